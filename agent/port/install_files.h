#ifndef AGENT_PORT_INSTALL_FILES_H
#define AGENT_PORT_INSTALL_FILES_H

/* What the installer keeps and reads as files:
 *
 *   <state_dir>/journal     agent/core/journal.h in a record file
 *   <state_dir>/docs/NAME   the newest document of each kind, as it was received */

#include "agent/core/core.h"
#include "agent/port/config.h"
#include "proto/io/files.h"

struct install_files {
	const struct agent_config *config; /* borrowed */
	struct ota_record_file journal;
	struct ota_buf first; /* owned; the journal as it was at the start */
	struct ota_buf root;  /* owned; the signed root of provisioning */
	struct ota_secret_key key;
};

/** Read a device key: 64 hex digits in a file for its owner alone. OTA_OK, OTA_E_CONFIG,
 *  OTA_E_NOTFOUND, OTA_E_IO or OTA_E_NOMEM. Release with ota_secret_key_fini(). */
OTA_CHECKED enum ota_code install_files_key(
	const char *path, struct ota_secret_key *out, struct ota_error *err);

/** Open everything. OTA_OK; OTA_E_CONFIG for a device key that is malformed or open to
 *  others; OTA_E_NOTFOUND, OTA_E_IO or OTA_E_NOMEM. Release with install_files_fini(). */
OTA_CHECKED enum ota_code install_files_open(const struct agent_config *config,
	struct install_files *out, struct ota_error *err);

/** Release; the key is wiped. */
void install_files_fini(struct install_files *files);

/** As agent_port.journal_store; a failed store is tried once more on a new descriptor. */
OTA_CHECKED enum ota_code install_files_store(
	struct install_files *files, struct ota_bytes journal, struct ota_error *err);

/** As agent_port.doc_load. kind is one of those that are signed and kept: root, catalog,
 *  fresh, release, grant, order or assign. */
OTA_CHECKED enum ota_code install_files_doc_load(const struct install_files *files,
	enum ota_topic_kind kind, struct ota_buf *out, struct ota_error *err);

/** As agent_port.doc_store, of the same kinds. */
OTA_CHECKED enum ota_code install_files_doc_store(const struct install_files *files,
	enum ota_topic_kind kind, struct ota_bytes envelope, struct ota_error *err);

/** As agent_port.room, for the slot that does not run. */
OTA_CHECKED enum ota_code install_files_room(const struct install_files *files,
	unsigned slot, const struct ota_digest *patch, struct agent_room *out,
	struct ota_error *err);

#endif
