#include "proto/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_CAP = 256 };

struct ota_bytes ota_bytes_of(const char *text)
{
	return (struct ota_bytes){ (const uint8_t *)text, strlen(text) };
}

bool ota_bytes_equal(struct ota_bytes a, struct ota_bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

struct ota_reader ota_reader_of(struct ota_bytes in)
{
	return (struct ota_reader){ .at = in.at, .left = in.len };
}

const uint8_t *ota_read(struct ota_reader *r, size_t n)
{
	const uint8_t *here = r->at;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	if (n > 0)
		r->at += n;
	r->left -= n;
	return here;
}

static uint64_t read_le(struct ota_reader *r, size_t n)
{
	const uint8_t *b = ota_read(r, n);
	uint64_t value = 0;

	for (size_t i = 0; b != NULL && i < n; i++)
		value |= (uint64_t)b[i] << (8 * i);
	return value;
}

uint8_t ota_read_u8(struct ota_reader *r)
{
	return (uint8_t)read_le(r, 1);
}

uint32_t ota_read_le32(struct ota_reader *r)
{
	return (uint32_t)read_le(r, 4);
}

uint64_t ota_read_le64(struct ota_reader *r)
{
	return read_le(r, 8);
}

void ota_buf_fini(struct ota_buf *buf)
{
	free(buf->at);
	*buf = (struct ota_buf){ 0 };
}

/* Room for n more bytes. */
static OTA_CHECKED enum ota_code reserve(struct ota_buf *buf, size_t n)
{
	size_t cap = buf->cap == 0 ? BUF_FIRST_CAP : buf->cap;
	uint8_t *at;

	if (n > SIZE_MAX / 2 - buf->len)
		return OTA_E_NOMEM;
	while (cap < buf->len + n)
		cap *= 2;
	if (cap == buf->cap)
		return OTA_OK;
	at = realloc(buf->at, cap);
	if (at == NULL)
		return OTA_E_NOMEM;
	buf->at = at;
	buf->cap = cap;
	return OTA_OK;
}

enum ota_code ota_buf_add(struct ota_buf *buf, struct ota_bytes data)
{
	enum ota_code rc = reserve(buf, data.len);

	if (rc != OTA_OK)
		return rc;
	if (data.len > 0)
		memcpy(buf->at + buf->len, data.at, data.len);
	buf->len += data.len;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code add_le(struct ota_buf *buf, uint64_t value, size_t n)
{
	uint8_t b[8];

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(value >> (8 * i));
	return ota_buf_add(buf, (struct ota_bytes){ b, n });
}

enum ota_code ota_buf_add_u8(struct ota_buf *buf, uint8_t value)
{
	return add_le(buf, value, 1);
}

enum ota_code ota_buf_add_le32(struct ota_buf *buf, uint32_t value)
{
	return add_le(buf, value, 4);
}

enum ota_code ota_buf_add_le64(struct ota_buf *buf, uint64_t value)
{
	return add_le(buf, value, 8);
}

enum ota_code ota_buf_printf(struct ota_buf *buf, const char *fmt, ...)
{
	va_list ap;
	enum ota_code rc;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return OTA_E_NOMEM;
	rc = reserve(buf, (size_t)n + 1);
	if (rc != OTA_OK)
		return rc;
	va_start(ap, fmt);
	(void)vsnprintf((char *)buf->at + buf->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)n;
	return OTA_OK;
}

const char *ota_buf_text(struct ota_buf *buf)
{
	if (reserve(buf, 1) != OTA_OK)
		return NULL;
	buf->at[buf->len] = '\0';
	return (const char *)buf->at;
}

struct ota_bytes ota_buf_bytes(const struct ota_buf *buf)
{
	return (struct ota_bytes){ buf->at, buf->len };
}

void ota_hex_encode(struct ota_bytes in, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < in.len; i++) {
		*out++ = digits[in.at[i] >> 4];
		*out++ = digits[in.at[i] & 15];
	}
	*out = '\0';
}

/* The value of a lower-case hex digit, or 16. */
static unsigned hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	return 16;
}

enum ota_code ota_hex_decode(const char *text, uint8_t *out, size_t len)
{
	if (strlen(text) != 2 * len)
		return OTA_E_FORMAT;
	for (size_t i = 0; i < 2 * len; i++)
		if (hex_value(text[i]) > 15)
			return OTA_E_FORMAT;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(hex_value(text[2 * i]) << 4 |
				   hex_value(text[2 * i + 1]));
	return OTA_OK;
}
