#ifndef PROTO_WIRE_JSON_H
#define PROTO_WIRE_JSON_H

/* Strict JSON on top of cJSON, for signed payloads and for the HTTP API.
 *
 * Allowed: objects, arrays, strings, unsigned integers below 2^53 without leading zero,
 * true, false. Not allowed: null, negative numbers, fractions, exponents, escapes other
 * than \" and \\, control characters (C0, DEL, C1), bytes that are not UTF-8, BOM, NUL,
 * duplicate keys in one object, depth over 8, over 1024 keys open at once, anything after
 * the value but white space (and for signed payloads white space is not allowed either:
 * one text for one meaning).
 *
 * cJSON 1.7.15 accepts most of the forbidden ones, so a scan of the bytes runs first. */

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "proto/base/bytes.h"
#include "proto/base/names.h"
#include "proto/wire/digest.h"

enum {
	OTA_JSON_DEPTH_MAX = 8,    /* objects and arrays around a value */
	OTA_JSON_KEYS_MAX = 1024,  /* keys of an object and those around it */
	OTA_JSON_MEMBERS_MAX = 64, /* of an object that a reader reads */
};
#define OTA_JSON_NUMBER_MAX ((UINT64_C(1) << 53) - 1)

/** A cJSON tree that is released with OTA_AUTO(ota_json_fini). */
static inline void ota_json_fini(cJSON **tree)
{
	cJSON_Delete(*tree);
	*tree = NULL;
}

/**
 * Check bytes against the rules above without building anything.
 *
 * compact   true for signed payloads: white space is refused as well
 *
 * Returns OTA_OK; OTA_E_DUPKEY "duplicate key 'x' at byte N"; OTA_E_LIMIT for depth, keys
 * or a number over 2^53 - 1; OTA_E_FORMAT with the byte offset for the rest.
 */
OTA_CHECKED enum ota_code ota_json_scan(
	struct ota_bytes in, bool compact, struct ota_error *err);

/** Scan, then parse. *out is owned by the caller (cJSON_Delete). As ota_json_scan(), and
 *  OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_json_parse(
	struct ota_bytes in, bool compact, cJSON **out, struct ota_error *err);

/** Print a tree compactly into out (appended). Refuses what the scan would refuse. An
 *  item of cJSON_CreateRaw() is printed as it is, and checked with the rest.
 *  OTA_OK, a code of ota_json_scan() or OTA_E_NOMEM; on failure out is unchanged. */
OTA_CHECKED enum ota_code ota_json_print(
	const cJSON *tree, struct ota_buf *out, struct ota_error *err);

/** A reader of one object's members. The first failure sticks, so a parser reads all its
 *  members and asks once. Members that nobody asked for are refused at the end. */
struct ota_json_reader {
	const cJSON *object;   /* borrowed */
	struct ota_error *err; /* borrowed, may be NULL */
	enum ota_code rc;      /* OTA_OK until the first failure */
	uint64_t taken;        /* bit i: member i has been read */
};

/** Start reading an object; a tree of another kind, or one with over 64 members, makes
 *  the reader fail at once. A NULL object fails too. */
struct ota_json_reader ota_json_read(const cJSON *object, struct ota_error *err);

/** The unsigned integer member key; 0 on failure. */
uint64_t ota_json_u64(struct ota_json_reader *r, const char *key);

/** The boolean member key; false on failure. */
bool ota_json_bool(struct ota_json_reader *r, const char *key);

/** The string member key, borrowed from the tree; "" on failure. */
const char *ota_json_text(struct ota_json_reader *r, const char *key);

/** The string member key copied to out; fails with OTA_E_LIMIT if cap is too small. */
void ota_json_text_copy(
	struct ota_json_reader *r, const char *key, char *out, size_t cap);

/** The member key as a name (proto/base/names.h). */
void ota_json_name(
	struct ota_json_reader *r, const char *key, char out[static OTA_NAME_CAP]);

/** The member key as a digest in hex. */
void ota_json_digest(struct ota_json_reader *r, const char *key, struct ota_digest *out);

/** The member key as exactly len bytes in hex. */
void ota_json_hex(struct ota_json_reader *r, const char *key, uint8_t *out, size_t len);

/** The array member key with at most max entries; NULL on failure. */
const cJSON *ota_json_array(struct ota_json_reader *r, const char *key, uint32_t max);

/** The object member key; NULL on failure. */
const cJSON *ota_json_object(struct ota_json_reader *r, const char *key);

/** True if the object has that member. Does not count as reading it. */
bool ota_json_has(const struct ota_json_reader *r, const char *key);

/** Record a failure found by the caller, with the reader's own rules (first one sticks).
 */
void ota_json_fail(struct ota_json_reader *r, enum ota_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** OTA_OK if every read succeeded and every member of the object was read; otherwise the
 *  first failure, or OTA_E_FORMAT "unknown member 'x'". */
OTA_CHECKED enum ota_code ota_json_finish(struct ota_json_reader *r);

/** Add a digest member in hex. NULL when memory is short, like cJSON_Add...ToObject(). */
cJSON *ota_json_add_digest(
	cJSON *object, const char *key, const struct ota_digest *digest);

/** Add len bytes in hex. */
cJSON *ota_json_add_hex(cJSON *object, const char *key, struct ota_bytes bytes);

/** Add an unsigned integer below 2^53; ota_json_print() refuses larger ones. */
cJSON *ota_json_add_u64(cJSON *object, const char *key, uint64_t value);

#endif
