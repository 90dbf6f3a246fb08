/* One parser for every document: walks the payload's tree and the table side by side. */

#include "proto/wire/doc_table.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

enum { ESCAPED_CAP = 80 };

static OTA_CHECKED enum ota_code read_object(const struct ota_doc_table *table,
	const cJSON *item, void *out, struct ota_error *err);

static OTA_CHECKED enum ota_code read_number(const struct ota_doc_member *m,
	const cJSON *item, void *out, struct ota_error *err)
{
	uint64_t value;

	if (!cJSON_IsNumber(item))
		return ota_fail(err, OTA_E_FORMAT, "not a number");
	value = (uint64_t)item->valuedouble;
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

static OTA_CHECKED enum ota_code read_bool(
	const cJSON *item, void *out, struct ota_error *err)
{
	bool value = cJSON_IsTrue(item);

	if (!cJSON_IsBool(item))
		return ota_fail(err, OTA_E_FORMAT, "neither true nor false");
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

static OTA_CHECKED enum ota_code read_string(const struct ota_doc_member *m,
	const cJSON *item, void *out, struct ota_error *err)
{
	const char *text = item->valuestring;

	if (!cJSON_IsString(item))
		return ota_fail(err, OTA_E_FORMAT, "not a string");
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

static OTA_CHECKED enum ota_code read_value(const struct ota_doc_member *m,
	const cJSON *item, void *out, struct ota_error *err)
{
	switch (m->kind) {
	case OTA_DOC_NUMBER:
		return read_number(m, item, out, err);
	case OTA_DOC_BOOL:
		return read_bool(item, out, err);
	case OTA_DOC_OBJECT:
		return read_object(m->object, item, out, err);
	case OTA_DOC_NAME:
	case OTA_DOC_LABEL:
	case OTA_DOC_TEXT:
	case OTA_DOC_HEX:
	case OTA_DOC_CHOICE:
		break;
	}
	return read_string(m, item, out, err);
}

static OTA_CHECKED enum ota_code read_list(const struct ota_doc_member *m,
	const cJSON *array, uint8_t *base, struct ota_error *err)
{
	const cJSON *item = array->child;
	uint32_t count = 0;

	if (!cJSON_IsArray(array))
		return ota_fail(err, OTA_E_FORMAT, "not an array");
	for (; item != NULL; item = item->next) {
		enum ota_code rc;

		if (count == m->list_max)
			return ota_fail(
				err, OTA_E_LIMIT, "over %zu entries", m->list_max);
		rc = read_value(m, item, base + m->offset + count * m->size, err);
		if (rc != OTA_OK)
			return ota_wrap(err, rc, "entry %u", count);
		count++;
	}
	if (count < m->list_min)
		return ota_fail(err, OTA_E_LIMIT, "under %zu entries", m->list_min);
	memcpy(base + m->count_offset, &count, sizeof count);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_member(const struct ota_doc_member *m,
	const cJSON *item, uint8_t *base, struct ota_error *err)
{
	char escaped[ESCAPED_CAP];
	enum ota_code rc;

	if (item == NULL)
		return ota_fail(err, OTA_E_FORMAT, "member '%s' is missing", m->key);
	if (strcmp(item->string, m->key) != 0) {
		ota_escape(item->string, escaped, sizeof escaped);
		return ota_fail(err, OTA_E_FORMAT, "member '%s' where '%s' belongs",
			escaped, m->key);
	}
	rc = m->list_max > 0 ? read_list(m, item, base, err)
			     : read_value(m, item, base + m->offset, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "%s", m->key);
}

static bool is_left_out(const struct ota_doc_member *m, const cJSON *item)
{
	return m->optional && (item == NULL || strcmp(item->string, m->key) != 0);
}

static enum ota_code read_object(const struct ota_doc_table *table, const cJSON *object,
	void *out, struct ota_error *err)
{
	const cJSON *item = object->child;
	char escaped[ESCAPED_CAP];

	if (!cJSON_IsObject(object))
		return ota_fail(err, OTA_E_FORMAT, "not an object");
	for (size_t i = 0; i < table->count; i++) {
		enum ota_code rc;

		if (is_left_out(&table->members[i], item))
			continue;
		rc = read_member(&table->members[i], item, out, err);
		if (rc != OTA_OK)
			return rc;
		item = item->next;
	}
	if (item == NULL)
		return OTA_OK;
	ota_escape(item->string, escaped, sizeof escaped);
	return ota_fail(err, OTA_E_FORMAT, "unknown member '%s'", escaped);
}

/* Into zeroed memory of the document's size. */
static OTA_CHECKED enum ota_code parse_into(const struct ota_doc_spec *spec,
	struct ota_bytes payload, void *doc, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	enum ota_code rc = ota_json_parse(payload, true, &tree, err);

	if (rc == OTA_OK)
		rc = read_object(&spec->table, tree, doc, err);
	if (rc == OTA_OK)
		rc = spec->check(doc, err);
	return rc;
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
