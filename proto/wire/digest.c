#include "proto/wire/digest.h"

#include <string.h>

#include <sodium.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct ota_hasher),
	"a hasher has room for libsodium's state");

struct ota_digest ota_digest_of(struct ota_bytes data)
{
	struct ota_hasher hasher;

	ota_hasher_init(&hasher);
	ota_hasher_add(&hasher, data);
	return ota_hasher_result(&hasher);
}

bool ota_digest_equal(const struct ota_digest *a, const struct ota_digest *b)
{
	return memcmp(a->at, b->at, OTA_DIGEST_LEN) == 0;
}

bool ota_digest_is_zero(const struct ota_digest *digest)
{
	static const struct ota_digest zero = { { 0 } };

	return ota_digest_equal(digest, &zero);
}

void ota_digest_hex(const struct ota_digest *digest, char out[static OTA_DIGEST_HEX_CAP])
{
	ota_hex_encode((struct ota_bytes){ digest->at, OTA_DIGEST_LEN }, out);
}

enum ota_code ota_digest_parse(
	const char *text, struct ota_digest *out, struct ota_error *err)
{
	if (ota_hex_decode(text, out->at, OTA_DIGEST_LEN) != OTA_OK)
		return ota_fail(
			err, OTA_E_FORMAT, "a digest is 64 lower-case hex digits");
	return OTA_OK;
}

/* The three calls below fail only for a wrong length or a spent state: our mistakes. */

void ota_hasher_init(struct ota_hasher *hasher)
{
	void *state = hasher->opaque;

	(void)crypto_generichash_init(state, NULL, 0, OTA_DIGEST_LEN);
}

void ota_hasher_add(struct ota_hasher *hasher, struct ota_bytes data)
{
	void *state = hasher->opaque;

	if (data.len > 0)
		(void)crypto_generichash_update(state, data.at, data.len);
}

struct ota_digest ota_hasher_result(struct ota_hasher *hasher)
{
	void *state = hasher->opaque;
	struct ota_digest digest = { { 0 } };

	(void)crypto_generichash_final(state, digest.at, OTA_DIGEST_LEN);
	return digest;
}
