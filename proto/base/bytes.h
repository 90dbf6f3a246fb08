#ifndef PROTO_BASE_BYTES_H
#define PROTO_BASE_BYTES_H

/* Bytes: borrowed views, a cursor over untrusted input, an owned growing buffer, hex. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"

/** Borrowed bytes. Never owns, never NUL-terminated. */
struct ota_bytes {
	const uint8_t *at;
	size_t len; /* bytes */
};

/** The bytes of a C string, without its NUL. */
struct ota_bytes ota_bytes_of(const char *text);

/** True if both hold the same bytes. Not constant-time: never for secrets. */
bool ota_bytes_equal(struct ota_bytes a, struct ota_bytes b);

/** A cursor over untrusted bytes that fails once and stays failed: after a short
 *  read every further read yields zero, so a parser asks `bad` at its decision
 *  points instead of after each field. */
struct ota_reader {
	const uint8_t *at;
	size_t left; /* bytes */
	bool bad;
};

/** A cursor at the first byte of in. in is borrowed for the cursor's life. */
struct ota_reader ota_reader_of(struct ota_bytes in);

/** The next n bytes, or NULL. Compares n with what is left, so it cannot wrap. */
const uint8_t *ota_read(struct ota_reader *r, size_t n);

/** The next byte, or 0 once the cursor is bad. */
uint8_t ota_read_u8(struct ota_reader *r);

/** The next 4 bytes, little endian, or 0 once the cursor is bad. */
uint32_t ota_read_le32(struct ota_reader *r);

/** The next 8 bytes, little endian, or 0 once the cursor is bad. */
uint64_t ota_read_le64(struct ota_reader *r);

/** Owned bytes that grow. `= { 0 }` is an empty buffer. */
struct ota_buf {
	uint8_t *at; /* owned, cap bytes; NULL while cap is 0 */
	size_t len;  /* bytes in use */
	size_t cap;  /* bytes allocated */
};

/** Release a buffer's memory and leave it empty. */
void ota_buf_fini(struct ota_buf *buf);

/** Append a copy of data. OTA_OK or OTA_E_NOMEM; on failure buf is unchanged. */
OTA_CHECKED enum ota_code ota_buf_add(struct ota_buf *buf, struct ota_bytes data);

/** Append one byte. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_buf_add_u8(struct ota_buf *buf, uint8_t value);

/** Append 4 bytes, little endian. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_buf_add_le32(struct ota_buf *buf, uint32_t value);

/** Append 8 bytes, little endian. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_buf_add_le64(struct ota_buf *buf, uint64_t value);

/** Append formatted text without its NUL. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_buf_printf(struct ota_buf *buf, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Terminate with a NUL that len does not count, and view the text. NULL when memory
 *  is short. The pointer lives until the buffer next changes. */
const char *ota_buf_text(struct ota_buf *buf);

/** What the buffer holds, borrowed until the buffer next changes. */
struct ota_bytes ota_buf_bytes(const struct ota_buf *buf);

/** Write 2 * in.len lower-case hex digits and a NUL to out. */
void ota_hex_encode(struct ota_bytes in, char *out);

/**
 * Read exactly 2 * len lower-case hex digits followed by a NUL.
 *
 * Returns OTA_OK, or OTA_E_FORMAT for another length, an upper-case digit or anything
 * else; out is then unchanged.
 */
OTA_CHECKED enum ota_code ota_hex_decode(const char *text, uint8_t *out, size_t len);

#endif
