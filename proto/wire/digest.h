#ifndef PROTO_WIRE_DIGEST_H
#define PROTO_WIRE_DIGEST_H

/* BLAKE2b-256, the one digest of Sluice (libsodium crypto_generichash, 32 bytes, no key).
 */

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/base/error.h"

enum {
	OTA_DIGEST_LEN = 32,                         /* bytes */
	OTA_DIGEST_HEX_CAP = 2 * OTA_DIGEST_LEN + 1, /* characters with the NUL */
};

struct ota_digest {
	uint8_t at[OTA_DIGEST_LEN];
};

/** The digest of some bytes in memory. */
struct ota_digest ota_digest_of(struct ota_bytes data);

/** True if equal. Digests are public, so the time it takes may depend on them. */
bool ota_digest_equal(const struct ota_digest *a, const struct ota_digest *b);

/** True for 32 zero bytes: "no image", the source of a full patch. */
bool ota_digest_is_zero(const struct ota_digest *digest);

/** 64 lower-case hex digits and a NUL. */
void ota_digest_hex(const struct ota_digest *digest, char out[static OTA_DIGEST_HEX_CAP]);

/** Read 64 lower-case hex digits. OTA_OK or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code ota_digest_parse(
	const char *text, struct ota_digest *out, struct ota_error *err);

/** A running digest: init, any number of adds, then the result once. */
struct ota_hasher {
	_Alignas(64) uint8_t opaque[384]; /* crypto_generichash_state */
};

/** Start a running digest. */
void ota_hasher_init(struct ota_hasher *hasher);

/** Add bytes to it. */
void ota_hasher_add(struct ota_hasher *hasher, struct ota_bytes data);

/** The digest of everything added. The hasher is spent. */
struct ota_digest ota_hasher_result(struct ota_hasher *hasher);

#endif
