#include "proto/wire/json_write.h"

#include <string.h>

enum { DIGITS_MAX = 20, HEX_LEN = 64 };

static void put(struct ota_json_writer *w, const void *at, size_t len)
{
	if (w->rc == OTA_OK)
		w->rc = ota_buf_add(w->out, (struct ota_bytes){ at, len });
}

/* A string with its quotes; there is one spelling for each. */
static void put_string(struct ota_json_writer *w, const char *text)
{
	put(w, "\"", 1);
	for (;;) {
		size_t plain = strcspn(text, "\"\\");

		put(w, text, plain);
		text += plain;
		if (*text == '\0')
			break;
		put(w, "\\", 1);
		put(w, text++, 1);
	}
	put(w, "\"", 1);
}

void ota_json_put_key(struct ota_json_writer *w, const char *key)
{
	if (!w->is_first)
		put(w, ",", 1);
	w->is_first = false;
	if (key == NULL)
		return;
	put_string(w, key);
	put(w, ":", 1);
}

struct ota_json_writer ota_json_write(struct ota_buf *out)
{
	return (struct ota_json_writer){ .out = out, .is_first = true };
}

void ota_json_open(struct ota_json_writer *w, const char *key, char bracket)
{
	ota_json_put_key(w, key);
	put(w, &bracket, 1);
	w->is_first = true;
}

void ota_json_close(struct ota_json_writer *w, char bracket)
{
	put(w, &bracket, 1);
	w->is_first = false;
}

void ota_json_put_u64(struct ota_json_writer *w, const char *key, uint64_t value)
{
	char digits[DIGITS_MAX];
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	ota_json_put_key(w, key);
	put(w, digits + at, sizeof digits - at);
}

void ota_json_put_bool(struct ota_json_writer *w, const char *key, bool value)
{
	ota_json_put_key(w, key);
	put(w, value ? "true" : "false", value ? 4 : 5);
}

void ota_json_put_text(struct ota_json_writer *w, const char *key, const char *text)
{
	ota_json_put_key(w, key);
	put_string(w, text);
}

void ota_json_put_hex(struct ota_json_writer *w, const char *key, struct ota_bytes bytes)
{
	char hex[2 * HEX_LEN + 1];

	ota_json_put_key(w, key);
	put(w, "\"", 1);
	while (bytes.len > 0) {
		size_t len = bytes.len < HEX_LEN ? bytes.len : HEX_LEN;

		ota_hex_encode((struct ota_bytes){ bytes.at, len }, hex);
		put(w, hex, 2 * len);
		bytes.at += len;
		bytes.len -= len;
	}
	put(w, "\"", 1);
}
