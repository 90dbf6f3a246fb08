#ifndef TESTS_UNIT_SAMPLES_H
#define TESTS_UNIT_SAMPLES_H

/* One small fleet, made of fixed keys: the documents of proto/README.md and of the tests.
 * They fit together: a gateway gw-0001 that runs 1.3.0 may install 1.4.0. */

#include "proto/wire/admit.h"
#include "proto/wire/block_table.h"
#include "proto/wire/manifest.h"
#include "proto/wire/topics.h"
#include "proto/wire/trust.h"

/* The seed of a key is 32 times this byte. */
enum {
	SAMPLE_ROOT_KEY = 0x01,
	SAMPLE_RELEASE_KEY = 0x02,
	SAMPLE_OPERATOR_KEY = 0x03,
	SAMPLE_ONLINE_KEY = 0x04,
	SAMPLE_DEVICE_KEY = 0x05,
	SAMPLE_ROOT_KEY_2 = 0x11,     /* a second key of the root role */
	SAMPLE_OPERATOR_KEY_2 = 0x13, /* ... of the operator role */
	SAMPLE_STRANGER_KEY = 0x77,   /* of no role */
};

#define SAMPLE_FLEET   "example"
#define SAMPLE_COHORT  "fleet"
#define SAMPLE_DEVICE  "gw-0001"
#define SAMPLE_ISSUED  UINT64_C(1760000000)
#define SAMPLE_EXPIRES UINT64_C(1767776000)

/** The key pair of a seed byte. */
struct ota_secret_key sample_key(uint8_t seed_byte);

/** The public half of it. */
struct ota_public_key sample_public(uint8_t seed_byte);

/** The digest of a text, for images and the like. */
struct ota_digest sample_digest(const char *text);

/* The documents. Each names the others by their true digests. */
struct ota_root sample_root(void);
struct ota_release sample_release(void);
struct ota_catalog sample_catalog(void);
struct ota_grant sample_grant(void);
struct ota_fresh sample_fresh(void);
struct ota_order sample_order(void);
struct ota_assign sample_assign(void);
struct ota_report sample_report(void);

/** The next root, with another root key: SAMPLE_ROOT_KEY_2. */
struct ota_root sample_next_root(void);

/** The sample of a type, in memory that the next call overwrites. */
const void *sample_of(enum ota_doc_type type);

/** Encode any document struct by its type; out is replaced. */
enum ota_code sample_encode(enum ota_doc_type type, const void *doc, struct ota_buf *out,
	struct ota_error *err);

/** Parse a payload by its type into doc, which has room for any document. */
enum ota_code sample_parse(enum ota_doc_type type, struct ota_bytes payload, void *doc,
	struct ota_error *err);

/** Any document. */
union sample_doc {
	struct ota_root root;
	struct ota_release release;
	struct ota_catalog catalog;
	struct ota_grant grant;
	struct ota_fresh fresh;
	struct ota_order order;
	struct ota_assign assign;
	struct ota_report report;
};

/** An envelope around a payload, for the sample fleet, signed by keys: a string of seed
 *  bytes. Release with ota_buf_fini(). */
struct ota_buf sample_seal(
	enum ota_doc_type type, struct ota_bytes payload, const char *keys);

/** The same around a document struct. */
struct ota_buf sample_sign(enum ota_doc_type type, const void *doc, const char *keys);

/** Follow the chain to a root, signed by keys. */
enum ota_code sample_follow(
	struct ota_trust *trust, const struct ota_root *root, const char *keys);

/** The sample of a type, signed by the one key of its role. */
struct ota_buf sample_envelope(enum ota_doc_type type);

/** The digest that names a document struct. */
struct ota_digest sample_name(enum ota_doc_type type, const void *doc);

/** Trust anchored in sample_root(). */
struct ota_trust sample_trust(void);

/** The bytes of sample chunk 0 .. 2; the last one is short. */
struct ota_bytes sample_chunk(uint32_t index);

/** A manifest of the three chunks. Release with ota_manifest_fini(). */
struct ota_manifest sample_manifest(void);

/** The table of an image of 65636 bytes: a packed block and one that is not. Release with
 *  ota_block_table_fini(). */
struct ota_block_table sample_block_table(void);

/** The device has chunk 1 of the three, and lacks 0 and 2. */
struct ota_need sample_need(void);

/** A device that is there, with its nonce. */
#define SAMPLE_ONLINE "1:c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3"

#endif
