#include "orchestrator/port/signer.h"

#include <sodium.h>
#include <string.h>

#include "orchestrator/port/secret_file.h"
#include "proto/base/own.h"

enum { SEED_LEN = 32, KEY_FILE_MAX = 256 };

static enum ota_code read_seed(
	const char *path, uint8_t seed[static SEED_LEN], struct ota_error *err)
{
	OTA_AUTO(secret_wipe) struct ota_buf buf = { 0 };
	enum ota_code rc = secret_file_read(path, KEY_FILE_MAX, &buf, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "online key");
	while (buf.len > 0 && (buf.at[buf.len - 1] == '\n' || buf.at[buf.len - 1] == ' '))
		buf.len--;
	if (!ota_buf_text(&buf))
		return ota_fail(err, OTA_E_NOMEM, "online key");
	if (ota_hex_decode(ota_buf_text(&buf), seed, SEED_LEN) != OTA_OK)
		return ota_fail(err, OTA_E_CONFIG,
			"online key %s does not hold 64 hex digits", path);
	return OTA_OK;
}

enum ota_code signer_open(const char *key_path, struct ota_bytes anchor,
	struct signer *out, struct ota_error *err)
{
	struct ota_envelope envelope;
	uint8_t seed[SEED_LEN] = { 0 };
	enum ota_code rc = ota_envelope_parse(anchor, &envelope, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "root");
	rc = read_seed(key_path, seed, err);
	if (rc != OTA_OK)
		return rc;
	out->key = ota_secret_key_from_seed(seed);
	sodium_memzero(seed, sizeof(seed));
	memcpy(out->fleet_id, envelope.fleet_id, OTA_FLEET_ID_LEN);
	return OTA_OK;
}

enum ota_code signer_sign(const struct signer *signer, enum ota_doc_type type,
	struct ota_bytes payload, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf sealed = { 0 };
	enum ota_code rc;

	if (ota_doc_role(type) != OTA_ROLE_ONLINE)
		return ota_fail(err, OTA_E_DOCTYPE, "the online key does not sign a %s",
			ota_doc_type_text(type));
	rc = ota_envelope_seal(type, signer->fleet_id, payload, &sealed, err);
	if (rc == OTA_OK)
		rc = ota_envelope_sign(ota_buf_bytes(&sealed), &signer->key, out, err);
	return rc;
}

void signer_fini(struct signer *signer)
{
	ota_secret_key_fini(&signer->key);
}
