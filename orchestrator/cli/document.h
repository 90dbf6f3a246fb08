#ifndef ORCHESTRATOR_CLI_DOCUMENT_H
#define ORCHESTRATOR_CLI_DOCUMENT_H

/* Signed documents on the fleet manager's side: sealing, signing, files, printing. */

#include <cjson/cJSON.h>

#include "proto/wire/documents.h"

/** Seal a payload and sign it with one key; the envelope is appended to out. */
OTA_CHECKED enum ota_code document_sign(enum ota_doc_type type,
	const uint8_t fleet_id[static OTA_FLEET_ID_LEN], struct ota_bytes payload,
	const struct ota_secret_key *key, struct ota_buf *out, struct ota_error *err);

/** Read an envelope's file; view points into bytes. */
OTA_CHECKED enum ota_code document_read(const char *path, struct ota_buf *bytes,
	struct ota_envelope *view, struct ota_error *err);

/** A tree that tells what an envelope says: type, digest, signatures, payload. NULL when
 *  memory is short or the payload is not JSON. */
cJSON *document_tree(const struct ota_envelope *envelope);

#endif
