#ifndef ORCHESTRATOR_PORT_SIGNER_H
#define ORCHESTRATOR_PORT_SIGNER_H

/* The online key: signs fresh, order and assign, nothing else. */

#include "proto/wire/documents.h"

struct signer {
	struct ota_secret_key key; /* wiped by signer_fini() */
	uint8_t fleet_id[OTA_FLEET_ID_LEN];
};

/**
 * Read the key (64 hex digits of seed, readable by its owner alone) and learn the fleet
 * id from the anchor.
 *
 * Returns OTA_OK, OTA_E_CONFIG for a file that others may read or that holds no key, a
 * code of ota_file_read() or of ota_envelope_parse().
 */
OTA_CHECKED enum ota_code signer_open(const char *key_path, struct ota_bytes anchor,
	struct signer *out, struct ota_error *err);

/** Append the signed envelope of a payload to out. OTA_OK, OTA_E_DOCTYPE for a document
 *  that other keys sign, OTA_E_LIMIT or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code signer_sign(const struct signer *signer, enum ota_doc_type type,
	struct ota_bytes payload, struct ota_buf *out, struct ota_error *err);

/** Wipe the key. Accepts a zeroed struct. */
void signer_fini(struct signer *signer);

#endif
