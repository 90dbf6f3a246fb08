#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/wire/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses can be signed once more unless it is full, and keeps its name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = { 1 };
	OTA_AUTO(ota_buf_fini) struct ota_buf more = { 0 };
	struct ota_secret_key key = ota_secret_key_from_seed(seed);
	struct ota_keyset keys = {
		.keys = { ota_secret_key_public(&key) }, .count = 1, .threshold = 1
	};
	struct ota_bytes in = { data, size };
	struct ota_envelope before, after;
	struct ota_digest name, same;
	struct ota_error err;
	enum ota_code rc;

	if (ota_envelope_parse(in, &before, &err) != OTA_OK)
		return 0;
	rc = ota_envelope_sign(in, &key, &more, &err);
	if (rc == OTA_E_LIMIT && before.nsig == OTA_SIGS_MAX)
		return 0;
	if (rc != OTA_OK ||
		ota_envelope_parse(ota_buf_bytes(&more), &after, &err) != OTA_OK)
		abort();
	name = ota_envelope_digest(&before);
	same = ota_envelope_digest(&after);
	if (!ota_digest_equal(&name, &same))
		abort();
	rc = ota_envelope_verify(&after, before.fleet_id, &keys, &err);
	if (rc != OTA_OK &&
		rc != OTA_E_SIGNATURE) /* the key's id may stand there twice */
		abort();
	return 0;
}
