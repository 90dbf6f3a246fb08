/* One encoder for every document: its text from the table, and then parsed again, so that
 * nothing is ever signed that its reader would refuse. */

#include "proto/wire/doc_table.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/json_write.h"

static void write_object(struct ota_json_writer *w, const char *key,
	const struct ota_doc_table *table, const void *doc);

static uint64_t number_at(const struct ota_doc_member *m, const void *at)
{
	uint64_t value = 0;
	uint32_t small = 0;

	if (m->size == sizeof value) {
		memcpy(&value, at, sizeof value);
		return value;
	}
	memcpy(&small, at, sizeof small);
	return small;
}

static bool bool_at(const void *at)
{
	bool value;

	memcpy(&value, at, sizeof value);
	return value;
}

/* A value outside the enum becomes "", which the parser refuses. */
static const char *choice_at(const struct ota_doc_member *m, const void *at)
{
	unsigned value;

	memcpy(&value, at, sizeof value);
	return value <= m->max ? m->texts[value] : "";
}

/* key: NULL in a list. */
static void write_value(struct ota_json_writer *w, const char *key,
	const struct ota_doc_member *m, const void *at)
{
	switch (m->kind) {
	case OTA_DOC_NUMBER:
		ota_json_put_u64(w, key, number_at(m, at));
		break;
	case OTA_DOC_BOOL:
		ota_json_put_bool(w, key, bool_at(at));
		break;
	case OTA_DOC_HEX:
		ota_json_put_hex(w, key, (struct ota_bytes){ at, m->size });
		break;
	case OTA_DOC_CHOICE:
		ota_json_put_text(w, key, choice_at(m, at));
		break;
	case OTA_DOC_OBJECT:
		write_object(w, key, m->object, at);
		break;
	case OTA_DOC_NAME:
	case OTA_DOC_LABEL:
	case OTA_DOC_TEXT:
		ota_json_put_text(w, key, at);
		break;
	}
}

/* A count over the array's size becomes one entry too many, which the parser refuses. */
static void write_list(
	struct ota_json_writer *w, const struct ota_doc_member *m, const uint8_t *base)
{
	uint32_t count;

	memcpy(&count, base + m->count_offset, sizeof count);
	ota_json_open(w, m->key, '[');
	for (size_t i = 0; i < count && i <= m->list_max; i++) {
		size_t entry = i < m->list_max ? i : 0;

		write_value(w, NULL, m, base + m->offset + entry * m->size);
	}
	ota_json_close(w, ']');
}

static bool is_left_out(const struct ota_doc_member *m, const uint8_t *at)
{
	size_t i = 0;

	while (m->optional && i < m->size && at[i] == 0)
		i++;
	return m->optional && i == m->size;
}

static void write_object(struct ota_json_writer *w, const char *key,
	const struct ota_doc_table *table, const void *doc)
{
	const uint8_t *base = doc;

	ota_json_open(w, key, '{');
	for (size_t i = 0; i < table->count; i++) {
		const struct ota_doc_member *m = &table->members[i];

		if (is_left_out(m, base + m->offset))
			continue;
		if (m->list_max > 0)
			write_list(w, m, base);
		else
			write_value(w, m->key, m, base + m->offset);
	}
	ota_json_close(w, '}');
}

enum ota_code ota_doc_print(
	const struct ota_doc_spec *spec, const void *doc, struct ota_buf *out)
{
	struct ota_json_writer w = ota_json_write(out);

	write_object(&w, NULL, &spec->table, doc);
	return w.rc;
}

static OTA_CHECKED enum ota_code print_doc(const struct ota_doc_spec *spec,
	const void *doc, struct ota_buf *out, struct ota_error *err)
{
	ota_autofree void *back = calloc(1, spec->size);

	if (back == NULL || ota_doc_print(spec, doc, out) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "no memory to encode");
	return ota_doc_parse(spec, ota_buf_bytes(out), back, err);
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
