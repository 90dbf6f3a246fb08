#ifndef PROTO_WIRE_JSON_WRITE_H
#define PROTO_WIRE_JSON_WRITE_H

/* JSON written straight into a buffer, for what is written often. Nothing is checked: the
 * texts have to be such that ota_json_scan() lets them through, numbers below 2^53, and
 * brackets in pairs. */

#include <stdbool.h>

#include "proto/base/bytes.h"

/** The first failure sticks, so a caller writes all and asks once. */
struct ota_json_writer {
	struct ota_buf *out; /* borrowed; appended to */
	enum ota_code rc;    /* OTA_OK or OTA_E_NOMEM */
	bool is_first;       /* nothing stands before in this object or array */
};

/** A writer of one value at the end of out. */
struct ota_json_writer ota_json_write(struct ota_buf *out);

/* In all of these key names a member; NULL: an entry of an array, or the value itself. */

/** Open an object '{' or an array '['. */
void ota_json_open(struct ota_json_writer *w, const char *key, char bracket);

/** Close it: '}' or ']'. */
void ota_json_close(struct ota_json_writer *w, char bracket);

/** A number. */
void ota_json_put_u64(struct ota_json_writer *w, const char *key, uint64_t value);

/** true or false. */
void ota_json_put_bool(struct ota_json_writer *w, const char *key, bool value);

/** A string; text is NUL-terminated. */
void ota_json_put_text(struct ota_json_writer *w, const char *key, const char *text);

/** Bytes in lower-case hex. */
void ota_json_put_hex(struct ota_json_writer *w, const char *key, struct ota_bytes bytes);

/** A member whose value the caller appends to w->out next, as JSON. */
void ota_json_put_key(struct ota_json_writer *w, const char *key);

#endif
