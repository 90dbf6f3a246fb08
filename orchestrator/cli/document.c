#include "orchestrator/cli/document.h"

#include "proto/base/own.h"
#include "proto/io/files.h"

enum ota_code document_sign(enum ota_doc_type type,
	const uint8_t fleet_id[static OTA_FLEET_ID_LEN], struct ota_bytes payload,
	const struct ota_secret_key *key, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf sealed = { 0 };
	enum ota_code rc = ota_envelope_seal(type, fleet_id, payload, &sealed, err);

	if (rc == OTA_OK)
		rc = ota_envelope_sign(ota_buf_bytes(&sealed), key, out, err);
	return rc;
}

enum ota_code document_read(const char *path, struct ota_buf *bytes,
	struct ota_envelope *view, struct ota_error *err)
{
	enum ota_code rc = ota_file_read(path, OTA_ENVELOPE_LEN_MAX, bytes, err);

	if (rc == OTA_OK)
		rc = ota_envelope_parse(ota_buf_bytes(bytes), view, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "document %s", path);
	return OTA_OK;
}

cJSON *document_tree(const struct ota_envelope *envelope)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	struct ota_digest digest = ota_envelope_digest(envelope);
	cJSON *payload, *signatures;

	if (ota_json_parse(envelope->payload, true, &payload, NULL) != OTA_OK)
		return NULL;
	cJSON_AddStringToObject(tree, "type", ota_doc_type_text(envelope->type));
	ota_json_add_digest(tree, "digest", &digest);
	ota_json_add_hex(tree, "fleet_id",
		(struct ota_bytes){ envelope->fleet_id, OTA_FLEET_ID_LEN });
	signatures = cJSON_AddArrayToObject(tree, "signed_by");
	for (uint32_t i = 0; i < envelope->nsig; i++) {
		char hex[2 * OTA_PK_HASH_LEN + 1];

		ota_hex_encode(
			(struct ota_bytes){ envelope->sigs[i].pk_hash, OTA_PK_HASH_LEN },
			hex);
		cJSON_AddItemToArray(signatures, cJSON_CreateString(hex));
	}
	cJSON_AddItemToObject(tree, "payload", payload);
	return ota_take(&tree);
}
