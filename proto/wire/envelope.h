#ifndef PROTO_WIRE_ENVELOPE_H
#define PROTO_WIRE_ENVELOPE_H

/* The signed envelope around every document.
 *
 *   offset  size       field
 *        0     4       magic       "OTA1"
 *        4     1       type        enum ota_doc_type
 *        5     1       version     OTA_DOC_VERSION
 *        6    16       fleet_id
 *       22     4       payload_len u32le, bytes, 2 .. OTA_PAYLOAD_LEN_MAX
 *       26   len       payload     strict JSON (json.h)
 *        .     1       nsig        0 .. OTA_SIGS_MAX
 *        .    80       sig[nsig]
 *                0 16  pk_hash     first 16 bytes of BLAKE2b-256(public key): a hint only
 *               16 64  signature   Ed25519 over the signed message
 *
 * Nothing follows the last signature. The signed message is
 *   "OTA1-sig\0" | type u8 | version u8 | fleet_id | u64le(payload_len) | payload
 * and its BLAKE2b-256 is the document's digest, by which other documents name it: it does
 * not change when a further key signs. */

#include "proto/base/bytes.h"
#include "proto/wire/digest.h"

enum {
	OTA_FLEET_ID_LEN = 16, /* bytes */
	OTA_PK_LEN = 32,       /* bytes, Ed25519 public key */
	OTA_SK_LEN = 64,       /* bytes, libsodium's secret key: seed and public key */
	OTA_SIG_LEN = 64,      /* bytes */
	OTA_PK_HASH_LEN = 16,  /* bytes */
	OTA_SIGS_MAX = 16,     /* signatures in one envelope */
	OTA_KEYS_MAX = 16,     /* keys of one role */
	OTA_PAYLOAD_LEN_MAX =
		49152, /* bytes, so that any envelope fits one 64 KiB message */
	OTA_DOC_VERSION = 1,
	OTA_ENVELOPE_LEN_MAX = 27 + OTA_PAYLOAD_LEN_MAX + OTA_SIGS_MAX * 80,
};

/* X(NAME, number on the wire, text, role that signs; DEVICE: the device's own key) */
#define OTA_DOC_TYPES(X)                  \
	X(ROOT, 1, "root", ROOT)          \
	X(RELEASE, 2, "release", RELEASE) \
	X(CATALOG, 3, "catalog", RELEASE) \
	X(GRANT, 4, "grant", OPERATOR)    \
	X(FRESH, 5, "fresh", ONLINE)      \
	X(ORDER, 6, "order", ONLINE)      \
	X(ASSIGN, 7, "assign", ONLINE)    \
	X(REPORT, 8, "report", DEVICE)

enum ota_role {
	OTA_ROLE_ROOT,
	OTA_ROLE_RELEASE,
	OTA_ROLE_OPERATOR,
	OTA_ROLE_ONLINE,
	OTA_N_ROLES,
	OTA_ROLE_DEVICE = OTA_N_ROLES
};

#define OTA_DOC_ENUM(name, number, text, role) OTA_DOC_##name = (number),
enum ota_doc_type { OTA_DOC_TYPES(OTA_DOC_ENUM) };
#undef OTA_DOC_ENUM

struct ota_public_key {
	uint8_t at[OTA_PK_LEN];
};

/** An Ed25519 secret key. Wiped by ota_secret_key_fini(). */
struct ota_secret_key {
	uint8_t at[OTA_SK_LEN];
};

/** The keys that may sign for a role, and how many distinct ones must. */
struct ota_keyset {
	struct ota_public_key keys[OTA_KEYS_MAX];
	uint32_t count;     /* keys in use, 1 .. OTA_KEYS_MAX */
	uint32_t threshold; /* 1 .. count */
};

struct ota_signature {
	uint8_t pk_hash[OTA_PK_HASH_LEN];
	uint8_t sig[OTA_SIG_LEN];
};

/** A parsed envelope: views into the bytes it was parsed from, nothing verified yet. */
struct ota_envelope {
	enum ota_doc_type type;
	uint8_t version;
	uint8_t fleet_id[OTA_FLEET_ID_LEN];
	struct ota_bytes payload; /* borrowed from the input */
	struct ota_signature sigs[OTA_SIGS_MAX];
	uint32_t nsig;
};

/** "root", "release" ... ; "unknown" for another number. */
const char *ota_doc_type_text(enum ota_doc_type type);

/** The type with that text. OTA_OK or OTA_E_DOCTYPE. */
OTA_CHECKED enum ota_code ota_doc_type_of(
	const char *text, enum ota_doc_type *out, struct ota_error *err);

/** The role whose keys sign documents of that type. */
enum ota_role ota_doc_role(enum ota_doc_type type);

/** "root", "release", "operator", "online", "device". */
const char *ota_role_text(enum ota_role role);

/**
 * Parse an untrusted envelope. Looks at nothing inside the payload.
 *
 * in   borrowed; out's payload points into it
 *
 * Returns OTA_OK, OTA_E_FORMAT (magic, short, trailing bytes), OTA_E_LIMIT (payload or
 * nsig over its limit) or OTA_E_DOCTYPE (type or version unknown).
 */
OTA_CHECKED enum ota_code ota_envelope_parse(
	struct ota_bytes in, struct ota_envelope *out, struct ota_error *err);

/**
 * Check that enough distinct keys of a role signed. Call before the payload is parsed.
 *
 * Each 32-byte public key counts once however often it signed. Signatures by keys that
 * are not in the set are passed over. One by a key of the set that does not verify is
 * fatal.
 *
 * Returns OTA_OK; OTA_E_FLEET if fleet_id differs; OTA_E_SIGNATURE if a signature is bad
 * or no key of the role signed; OTA_E_THRESHOLD if some did, but fewer distinct ones than
 * keys->threshold ("1 of 2 keys"), or the threshold is outside 1 .. count; OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_envelope_verify(const struct ota_envelope *envelope,
	const uint8_t fleet_id[static OTA_FLEET_ID_LEN], const struct ota_keyset *keys,
	struct ota_error *err);

/** The digest that names a document: BLAKE2b-256 of its signed message. */
struct ota_digest ota_envelope_digest(const struct ota_envelope *envelope);

/**
 * Seal a payload in an envelope that carries no signature yet.
 *
 * out   the envelope's bytes are appended
 *
 * Returns OTA_OK, OTA_E_LIMIT (payload too long or too short) or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_envelope_seal(enum ota_doc_type type,
	const uint8_t fleet_id[static OTA_FLEET_ID_LEN], struct ota_bytes payload,
	struct ota_buf *out, struct ota_error *err);

/**
 * Add one signature to an envelope. A key that already signed replaces its signature.
 *
 * in    a whole envelope, borrowed
 * out   the new envelope's bytes are appended
 *
 * Returns OTA_OK, what ota_envelope_parse() returns for in, OTA_E_LIMIT when 16 others
 * have signed, or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_envelope_sign(struct ota_bytes in,
	const struct ota_secret_key *key, struct ota_buf *out, struct ota_error *err);

/** Which keys of a set signed, by their hints alone: of an envelope that was verified
 *  already. by: true for each key that did, in the order of the set. Returns how many
 *  distinct keys that is. */
uint32_t ota_envelope_signed_by(const struct ota_envelope *envelope,
	const struct ota_keyset *keys, bool by[static OTA_KEYS_MAX]);

/**
 * Put together the signatures of two envelopes of the same document. Both were verified
 * against keys; signatures by others are left out, and of a key that signed both the one
 * of a is taken.
 *
 * out   the new envelope's bytes are appended
 *
 * Returns OTA_OK, what ota_envelope_parse() returns, OTA_E_CONFLICT if they are not the
 * same document, or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_envelope_join(struct ota_bytes a, struct ota_bytes b,
	const struct ota_keyset *keys, struct ota_buf *out, struct ota_error *err);

/** The hint of a public key: what names it to people, as its fingerprint. */
void ota_public_key_hash(
	const struct ota_public_key *key, uint8_t out[static OTA_PK_HASH_LEN]);

/** The public half of a secret key. */
struct ota_public_key ota_secret_key_public(const struct ota_secret_key *key);

/** A key pair from 32 bytes of seed (Ed25519 seed, RFC 8032). */
struct ota_secret_key ota_secret_key_from_seed(const uint8_t seed[static 32]);

/** Wipe a secret key. */
void ota_secret_key_fini(struct ota_secret_key *key);

/** True if both are the same 32 bytes. */
bool ota_public_key_equal(const struct ota_public_key *a, const struct ota_public_key *b);

#endif
