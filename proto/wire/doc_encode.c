/* One encoder for every document: a tree from the table, printed, then parsed again, so
 * that nothing is ever signed that its reader would refuse. */

#include "proto/wire/doc_table.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

static cJSON *object_of(const struct ota_doc_table *table, const void *doc);

static cJSON *number_of(const struct ota_doc_member *m, const void *at)
{
	uint64_t value = 0;
	uint32_t small = 0;

	if (m->size == sizeof small) {
		memcpy(&small, at, sizeof small);
		value = small;
	} else {
		memcpy(&value, at, sizeof value);
	}
	return cJSON_CreateNumber((double)value);
}

static cJSON *bool_of(const void *at)
{
	bool value;

	memcpy(&value, at, sizeof value);
	return cJSON_CreateBool(value);
}

static cJSON *hex_of(const struct ota_doc_member *m, const void *at)
{
	ota_autofree char *text = malloc(2 * m->size + 1);

	if (text == NULL)
		return NULL;
	ota_hex_encode((struct ota_bytes){ at, m->size }, text);
	return cJSON_CreateString(text);
}

/* A value outside the enum becomes "", which the parser refuses. */
static cJSON *choice_of(const struct ota_doc_member *m, const void *at)
{
	unsigned value;

	memcpy(&value, at, sizeof value);
	return cJSON_CreateString(value <= m->max ? m->texts[value] : "");
}

static cJSON *value_of(const struct ota_doc_member *m, const void *at)
{
	switch (m->kind) {
	case OTA_DOC_NUMBER:
		return number_of(m, at);
	case OTA_DOC_BOOL:
		return bool_of(at);
	case OTA_DOC_HEX:
		return hex_of(m, at);
	case OTA_DOC_CHOICE:
		return choice_of(m, at);
	case OTA_DOC_OBJECT:
		return object_of(m->object, at);
	case OTA_DOC_NAME:
	case OTA_DOC_LABEL:
	case OTA_DOC_TEXT:
		break;
	}
	return cJSON_CreateString(at);
}

/* A count over the array's size becomes one entry too many, which the parser refuses. */
static cJSON *list_of(const struct ota_doc_member *m, const uint8_t *base)
{
	OTA_AUTO(ota_json_fini) cJSON *array = cJSON_CreateArray();
	uint32_t count;

	memcpy(&count, base + m->count_offset, sizeof count);
	for (size_t i = 0; array != NULL && i < count && i <= m->list_max; i++) {
		size_t entry = i < m->list_max ? i : 0;

		if (!cJSON_AddItemToArray(
			    array, value_of(m, base + m->offset + entry * m->size)))
			return NULL;
	}
	return ota_take(&array);
}

static bool is_left_out(const struct ota_doc_member *m, const uint8_t *at)
{
	size_t i = 0;

	while (i < m->size && at[i] == 0)
		i++;
	return m->optional && i == m->size;
}

static cJSON *object_of(const struct ota_doc_table *table, const void *doc)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();
	const uint8_t *base = doc;

	for (size_t i = 0; i < table->count; i++) {
		const struct ota_doc_member *m = &table->members[i];
		cJSON *item;

		if (is_left_out(m, base + m->offset))
			continue;
		item = m->list_max > 0 ? list_of(m, base) : value_of(m, base + m->offset);
		if (!cJSON_AddItemToObject(object, m->key, item)) {
			cJSON_Delete(item);
			return NULL;
		}
	}
	return ota_take(&object);
}

static OTA_CHECKED enum ota_code print_doc(const struct ota_doc_spec *spec,
	const void *doc, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = object_of(&spec->table, doc);
	ota_autofree void *back = calloc(1, spec->size);
	enum ota_code rc;

	if (tree == NULL || back == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory to encode");
	rc = ota_json_print(tree, out, err);
	return rc != OTA_OK ? rc : ota_doc_parse(spec, ota_buf_bytes(out), back, err);
}

enum ota_code ota_doc_encode(const struct ota_doc_spec *spec, const void *doc,
	struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	enum ota_code rc = print_doc(spec, doc, &text, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "encode");
	rc = ota_buf_add(out, ota_buf_bytes(&text));
	return rc == OTA_OK ? rc : ota_fail(err, rc, "encode: no memory");
}
