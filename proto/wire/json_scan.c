/* The strict scan: what may stand in a payload, byte by byte (RFC 8259, narrowed). */

#include "proto/wire/json.h"

#include <string.h>

struct scan {
	const uint8_t *begin, *at, *end;
	bool compact;
	unsigned depth;
	struct ota_bytes
		keys[OTA_JSON_KEYS_MAX]; /* of all open objects, outermost first */
	size_t n_keys;
	struct ota_error *err;
};

static enum ota_code fail_at(const struct scan *s, enum ota_code code, const char *what)
{
	return ota_fail(s->err, code, "%s at byte %zu", what, (size_t)(s->at - s->begin));
}

static bool is_next(const struct scan *s, char c)
{
	return s->at < s->end && *s->at == (uint8_t)c;
}

/* Step over c if it is next. */
static bool accept(struct scan *s, char c)
{
	if (!is_next(s, c))
		return false;
	s->at++;
	return true;
}

static void skip_space(struct scan *s)
{
	while (!s->compact && s->at < s->end && strchr(" \t\r\n", *s->at) != NULL &&
		*s->at != '\0')
		s->at++;
}

static bool is_continuation(const struct scan *s, size_t i, uint8_t low, uint8_t high)
{
	return s->at[i] >= low && s->at[i] <= high;
}

/* Bytes of the well-formed UTF-8 sequence at s->at (Unicode, table 3-7), or 0: no
 * overlong form, no surrogate, nothing over U+10FFFF, and no C1 control. */
static size_t utf8_len(const struct scan *s)
{
	size_t left = (size_t)(s->end - s->at);
	uint8_t first = s->at[0];

	if (first >= 0xc2 && first <= 0xdf && left >= 2)
		return is_continuation(s, 1, first == 0xc2 ? 0xa0 : 0x80, 0xbf) ? 2 : 0;
	if (first >= 0xe0 && first <= 0xef && left >= 3)
		return is_continuation(s, 1, first == 0xe0 ? 0xa0 : 0x80,
			       first == 0xed ? 0x9f : 0xbf) &&
				       is_continuation(s, 2, 0x80, 0xbf)
			       ? 3
			       : 0;
	if (first >= 0xf0 && first <= 0xf4 && left >= 4)
		return is_continuation(s, 1, first == 0xf0 ? 0x90 : 0x80,
			       first == 0xf4 ? 0x8f : 0xbf) &&
				       is_continuation(s, 2, 0x80, 0xbf) &&
				       is_continuation(s, 3, 0x80, 0xbf)
			       ? 4
			       : 0;
	return 0;
}

/* Step over one character of a string that is not its closing quote. */
static OTA_CHECKED enum ota_code scan_char(struct scan *s)
{
	size_t len = 1;

	if (*s->at < 0x20 || *s->at == 0x7f)
		return fail_at(s, OTA_E_FORMAT, "control character");
	if (*s->at == '\\') {
		if (s->end - s->at < 2 || (s->at[1] != '"' && s->at[1] != '\\'))
			return fail_at(s, OTA_E_FORMAT, "escape");
		len = 2;
	} else if (*s->at >= 0x80) {
		len = utf8_len(s);
	}
	if (len == 0)
		return fail_at(s, OTA_E_FORMAT, "not a printable UTF-8 character");
	s->at += len;
	return OTA_OK;
}

/* raw: what stands between the quotes; there is one spelling for each string, so equal
 * strings are equal bytes. */
static OTA_CHECKED enum ota_code scan_string(struct scan *s, struct ota_bytes *raw)
{
	const uint8_t *begin;
	enum ota_code rc = OTA_OK;

	if (!accept(s, '"'))
		return fail_at(s, OTA_E_FORMAT, "no string");
	begin = s->at;
	while (rc == OTA_OK && s->at < s->end && *s->at != '"')
		rc = scan_char(s);
	if (rc != OTA_OK)
		return rc;
	*raw = (struct ota_bytes){ begin, (size_t)(s->at - begin) };
	if (!accept(s, '"'))
		return fail_at(s, OTA_E_FORMAT, "string without an end");
	return OTA_OK;
}

static bool is_digit(const struct scan *s)
{
	return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static OTA_CHECKED enum ota_code scan_number(struct scan *s)
{
	const uint8_t *begin = s->at;
	uint64_t value = 0;

	while (is_digit(s)) {
		value = value * 10 + (uint64_t)(*s->at - '0');
		if (value > OTA_JSON_NUMBER_MAX)
			return fail_at(s, OTA_E_LIMIT, "number over 2^53 - 1");
		s->at++;
	}
	if (*begin == '0' && s->at - begin > 1)
		return fail_at(s, OTA_E_FORMAT, "leading zero");
	if (s->at < s->end && strchr(".eE", *s->at) != NULL && *s->at != '\0')
		return fail_at(s, OTA_E_FORMAT, "not an integer");
	return OTA_OK;
}

static OTA_CHECKED enum ota_code scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return fail_at(s, OTA_E_FORMAT, "no value");
	s->at += len;
	return OTA_OK;
}

/* Remember a key of the object whose keys begin at number base. */
static OTA_CHECKED enum ota_code add_key(
	struct scan *s, size_t base, struct ota_bytes key)
{
	char text[48] = "", escaped[100];

	for (size_t i = base; i < s->n_keys; i++) {
		if (!ota_bytes_equal(s->keys[i], key))
			continue;
		memcpy(text, key.at, key.len < sizeof text ? key.len : sizeof text - 1);
		ota_escape(text, escaped, sizeof escaped);
		return ota_fail(s->err, OTA_E_DUPKEY, "duplicate key '%s' at byte %zu",
			escaped, (size_t)(key.at - s->begin));
	}
	if (s->n_keys == OTA_JSON_KEYS_MAX)
		return fail_at(s, OTA_E_LIMIT, "too many keys");
	s->keys[s->n_keys++] = key;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code scan_value(struct scan *s);

static OTA_CHECKED enum ota_code scan_member(struct scan *s, size_t base)
{
	struct ota_bytes key = { 0 };
	enum ota_code rc;

	skip_space(s);
	rc = scan_string(s, &key);
	if (rc != OTA_OK)
		return rc;
	rc = add_key(s, base, key);
	if (rc != OTA_OK)
		return rc;
	skip_space(s);
	if (!accept(s, ':'))
		return fail_at(s, OTA_E_FORMAT, "no ':'");
	return scan_value(s);
}

static OTA_CHECKED enum ota_code scan_object(struct scan *s)
{
	size_t base = s->n_keys;
	enum ota_code rc;

	s->at++;
	skip_space(s);
	if (accept(s, '}'))
		return OTA_OK;
	do {
		rc = scan_member(s, base);
		if (rc != OTA_OK)
			return rc;
	} while (accept(s, ','));
	s->n_keys = base;
	return accept(s, '}') ? OTA_OK : fail_at(s, OTA_E_FORMAT, "no ',' or '}'");
}

static OTA_CHECKED enum ota_code scan_array(struct scan *s)
{
	enum ota_code rc;

	s->at++;
	skip_space(s);
	if (accept(s, ']'))
		return OTA_OK;
	do {
		rc = scan_value(s);
		if (rc != OTA_OK)
			return rc;
	} while (accept(s, ','));
	return accept(s, ']') ? OTA_OK : fail_at(s, OTA_E_FORMAT, "no ',' or ']'");
}

static OTA_CHECKED enum ota_code scan_nested(struct scan *s)
{
	enum ota_code rc;

	if (s->depth == OTA_JSON_DEPTH_MAX)
		return fail_at(s, OTA_E_LIMIT, "nested over 8 deep");
	s->depth++;
	rc = is_next(s, '{') ? scan_object(s) : scan_array(s);
	s->depth--;
	return rc;
}

static OTA_CHECKED enum ota_code scan_scalar(struct scan *s)
{
	struct ota_bytes ignored;

	if (is_next(s, '"'))
		return scan_string(s, &ignored);
	if (is_digit(s))
		return scan_number(s);
	return scan_word(s, is_next(s, 't') ? "true" : "false");
}

/* A value with the space around it. */
static enum ota_code scan_value(struct scan *s)
{
	enum ota_code rc;

	skip_space(s);
	rc = is_next(s, '{') || is_next(s, '[') ? scan_nested(s) : scan_scalar(s);
	skip_space(s);
	return rc;
}

enum ota_code ota_json_scan(struct ota_bytes in, bool compact, struct ota_error *err)
{
	struct scan s;
	enum ota_code rc;

	if (in.len == 0)
		return ota_fail(err, OTA_E_FORMAT, "empty");
	s.begin = s.at = in.at;
	s.end = in.at + in.len;
	s.compact = compact;
	s.depth = 0;
	s.n_keys = 0;
	s.err = err;
	rc = scan_value(&s);
	if (rc == OTA_OK && s.at < s.end)
		rc = fail_at(&s, OTA_E_FORMAT, "something follows the value");
	return rc;
}
