/* One parser for every document: walks the payload's text and the table side by side. The
 * text was scanned before, so that it is strict JSON to its end, without white space. */

#include "proto/wire/doc_table.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

enum { ESCAPED_CAP = 80 };

/* A value, by the byte it begins with. */
static bool is_text(const char *at)
{
	return *at == '"';
}

static bool is_number(const char *at)
{
	return *at >= '0' && *at <= '9';
}

static bool is_bool(const char *at)
{
	return *at == 't' || *at == 'f';
}

/* The string at *at, written over itself without its quotes and escapes, and ended with a
 * NUL; *at moves behind it. */
static char *take_text(char **at)
{
	char *text = *at + 1, *from = text, *to = text;

	while (*from != '"') {
		if (*from == '\\')
			from++;
		*to++ = *from++;
	}
	*to = '\0';
	*at = from + 1;
	return text;
}

/* The key at *at; *at moves to its value. */
static const char *take_key(char **at)
{
	const char *key = take_text(at);

	*at += 1; /* ':' */
	return key;
}

static uint64_t take_number(char **at)
{
	uint64_t value = 0;

	while (is_number(*at))
		value = value * 10 + (uint64_t)(*(*at)++ - '0');
	return value;
}

static OTA_CHECKED enum ota_code read_object(
	const struct ota_doc_table *table, char **at, void *out, struct ota_error *err);

static OTA_CHECKED enum ota_code read_number(
	const struct ota_doc_member *m, char **at, void *out, struct ota_error *err)
{
	uint64_t value;

	if (!is_number(*at))
		return ota_fail(err, OTA_E_FORMAT, "not a number");
	value = take_number(at);
	if (value < m->min || value > m->max)
		return ota_fail(err, OTA_E_LIMIT, "%llu is not in %llu .. %llu",
			(unsigned long long)value, (unsigned long long)m->min,
			(unsigned long long)m->max);
	if (m->size == sizeof(uint32_t))
		memcpy(out, &(uint32_t){ (uint32_t)value }, sizeof(uint32_t));
	else
		memcpy(out, &value, sizeof value);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_bool(char **at, void *out, struct ota_error *err)
{
	bool value = **at == 't';

	if (!is_bool(*at))
		return ota_fail(err, OTA_E_FORMAT, "neither true nor false");
	*at += strlen(value ? "true" : "false");
	memcpy(out, &value, sizeof value);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_choice(const struct ota_doc_member *m,
	const char *text, void *out, struct ota_error *err)
{
	char escaped[ESCAPED_CAP];
	unsigned value = 0;

	while (value <= m->max && strcmp(m->texts[value], text) != 0)
		value++;
	if (value > m->max) {
		ota_escape(text, escaped, sizeof escaped);
		return ota_fail(err, OTA_E_FORMAT, "'%s' is none of its values", escaped);
	}
	memcpy(out, &value, sizeof value);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_label(
	const char *text, char *out, struct ota_error *err)
{
	enum ota_code rc = ota_label_check(text, err);

	if (rc == OTA_OK)
		memcpy(out, text, strlen(text) + 1);
	return rc;
}

static OTA_CHECKED enum ota_code read_text(const struct ota_doc_member *m,
	const char *text, char *out, struct ota_error *err)
{
	size_t len = strlen(text);

	if (len > m->max)
		return ota_fail(err, OTA_E_LIMIT, "%zu bytes, at most %llu", len,
			(unsigned long long)m->max);
	memcpy(out, text, len + 1);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_hex(const struct ota_doc_member *m,
	const char *text, uint8_t *out, struct ota_error *err)
{
	if (ota_hex_decode(text, out, m->size) != OTA_OK)
		return ota_fail(
			err, OTA_E_FORMAT, "not %zu lower-case hex digits", 2 * m->size);
	if (m->optional && text[strspn(text, "0")] == '\0')
		return ota_fail(err, OTA_E_FORMAT, "zero, and so to be left out");
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_string(
	const struct ota_doc_member *m, char **at, void *out, struct ota_error *err)
{
	const char *text;

	if (!is_text(*at))
		return ota_fail(err, OTA_E_FORMAT, "not a string");
	text = take_text(at);
	switch (m->kind) {
	case OTA_DOC_NAME:
		return text[0] == '\0' && m->min == 0
			       ? OTA_OK
			       : ota_name_copy(text, m->key, out, err);
	case OTA_DOC_LABEL:
		return read_label(text, out, err);
	case OTA_DOC_TEXT:
		return read_text(m, text, out, err);
	case OTA_DOC_HEX:
		return read_hex(m, text, out, err);
	case OTA_DOC_CHOICE:
		return read_choice(m, text, out, err);
	case OTA_DOC_NUMBER:
	case OTA_DOC_BOOL:
	case OTA_DOC_OBJECT:
		break;
	}
	return ota_fail(err, OTA_E_FORMAT, "not a string");
}

static OTA_CHECKED enum ota_code read_value(
	const struct ota_doc_member *m, char **at, void *out, struct ota_error *err)
{
	switch (m->kind) {
	case OTA_DOC_NUMBER:
		return read_number(m, at, out, err);
	case OTA_DOC_BOOL:
		return read_bool(at, out, err);
	case OTA_DOC_OBJECT:
		return read_object(m->object, at, out, err);
	case OTA_DOC_NAME:
	case OTA_DOC_LABEL:
	case OTA_DOC_TEXT:
	case OTA_DOC_HEX:
	case OTA_DOC_CHOICE:
		break;
	}
	return read_string(m, at, out, err);
}

static OTA_CHECKED enum ota_code read_list(
	const struct ota_doc_member *m, char **at, uint8_t *base, struct ota_error *err)
{
	uint32_t count = 0;

	if (**at != '[')
		return ota_fail(err, OTA_E_FORMAT, "not an array");
	while (*++*at != ']') { /* over '[' or ',' */
		enum ota_code rc;

		if (count == m->list_max)
			return ota_fail(
				err, OTA_E_LIMIT, "over %zu entries", m->list_max);
		rc = read_value(m, at, base + m->offset + count * m->size, err);
		if (rc != OTA_OK)
			return ota_wrap(err, rc, "entry %u", count);
		count++;
		if (**at == ']')
			break;
	}
	*at += 1;
	if (count < m->list_min)
		return ota_fail(err, OTA_E_LIMIT, "under %zu entries", m->list_min);
	memcpy(base + m->count_offset, &count, sizeof count);
	return OTA_OK;
}

/* key: of the value that comes next, NULL behind the last one. */
static OTA_CHECKED enum ota_code read_member(const struct ota_doc_member *m,
	const char *key, char **at, uint8_t *base, struct ota_error *err)
{
	char escaped[ESCAPED_CAP];
	enum ota_code rc;

	if (key == NULL)
		return ota_fail(err, OTA_E_FORMAT, "member '%s' is missing", m->key);
	if (strcmp(key, m->key) != 0) {
		ota_escape(key, escaped, sizeof escaped);
		return ota_fail(err, OTA_E_FORMAT, "member '%s' where '%s' belongs",
			escaped, m->key);
	}
	rc = m->list_max > 0 ? read_list(m, at, base, err)
			     : read_value(m, at, base + m->offset, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "%s", m->key);
}

static bool is_left_out(const struct ota_doc_member *m, const char *key)
{
	return m->optional && (key == NULL || strcmp(key, m->key) != 0);
}

/* The key behind a '{' or ',', or NULL at the end of the object. */
static const char *next_key(char **at)
{
	if (**at == '}')
		return NULL;
	*at += 1;
	return **at == '}' ? NULL : take_key(at);
}

static enum ota_code read_object(
	const struct ota_doc_table *table, char **at, void *out, struct ota_error *err)
{
	char escaped[ESCAPED_CAP];
	const char *key;

	if (**at != '{')
		return ota_fail(err, OTA_E_FORMAT, "not an object");
	key = next_key(at);
	for (size_t i = 0; i < table->count; i++) {
		enum ota_code rc;

		if (is_left_out(&table->members[i], key))
			continue;
		rc = read_member(&table->members[i], key, at, out, err);
		if (rc != OTA_OK)
			return rc;
		key = next_key(at);
	}
	*at += 1; /* '}' */
	if (key == NULL)
		return OTA_OK;
	ota_escape(key, escaped, sizeof escaped);
	return ota_fail(err, OTA_E_FORMAT, "unknown member '%s'", escaped);
}

/* Into zeroed memory of the document's size. */
static OTA_CHECKED enum ota_code parse_into(const struct ota_doc_spec *spec,
	struct ota_bytes payload, void *doc, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 }; /* a copy to write over */
	enum ota_code rc = ota_json_scan(payload, true, err);
	char *at;

	if (rc != OTA_OK)
		return rc;
	if (ota_buf_add(&text, payload) != OTA_OK || ota_buf_text(&text) == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for JSON");
	at = (char *)text.at;
	rc = read_object(&spec->table, &at, doc, err);
	return rc == OTA_OK ? spec->check(doc, err) : rc;
}

enum ota_code ota_doc_parse(const struct ota_doc_spec *spec, struct ota_bytes payload,
	void *out, struct ota_error *err)
{
	const char *name = ota_doc_type_text(spec->type);
	ota_autofree void *doc = calloc(1, spec->size);
	enum ota_code rc;

	if (payload.len > OTA_PAYLOAD_LEN_MAX)
		return ota_fail(err, OTA_E_LIMIT, "%s: %zu bytes", name, payload.len);
	if (doc == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%s", name);
	rc = parse_into(spec, payload, doc, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", name);
	memcpy(out, doc, spec->size);
	return OTA_OK;
}

enum ota_code ota_doc_check_times(
	uint64_t issued_utc_s, uint64_t expires_utc_s, struct ota_error *err)
{
	if (expires_utc_s <= issued_utc_s)
		return ota_fail(err, OTA_E_FORMAT, "expires is not after issued");
	return OTA_OK;
}
