#include "proto/wire/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

enum { ESCAPED_CAP = 80 };

enum ota_code ota_json_parse(
	struct ota_bytes in, bool compact, cJSON **out, struct ota_error *err)
{
	enum ota_code rc = ota_json_scan(in, compact, err);
	cJSON *tree;

	if (rc != OTA_OK)
		return rc;
	tree = cJSON_ParseWithLength((const char *)in.at, in.len);
	if (tree == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for JSON");
	*out = tree;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code print_text(const char *text, struct ota_buf *out)
{
	enum ota_code rc = ota_buf_add_u8(out, '"');

	for (; *text != '\0' && rc == OTA_OK; text++) {
		if (*text == '"' || *text == '\\')
			rc = ota_buf_add_u8(out, '\\');
		if (rc == OTA_OK)
			rc = ota_buf_add_u8(out, (uint8_t)*text);
	}
	return rc == OTA_OK ? ota_buf_add_u8(out, '"') : rc;
}

/* cJSON_Print writes 10^15 as 1e+15. */
static OTA_CHECKED enum ota_code print_number(double number, struct ota_buf *out)
{
	if (!(number >= 0 && number <= (double)OTA_JSON_NUMBER_MAX))
		return OTA_E_LIMIT;
	if ((double)(uint64_t)number < number)
		return OTA_E_FORMAT;
	return ota_buf_printf(out, "%llu", (unsigned long long)number);
}

static OTA_CHECKED enum ota_code print_value(
	const cJSON *value, unsigned depth, struct ota_buf *out);

/* What stands between the brackets of an array or object. */
static OTA_CHECKED enum ota_code print_children(
	const cJSON *parent, unsigned depth, struct ota_buf *out)
{
	enum ota_code rc = OTA_OK;

	for (const cJSON *c = parent->child; c != NULL && rc == OTA_OK; c = c->next) {
		if (c != parent->child)
			rc = ota_buf_add_u8(out, ',');
		if (rc == OTA_OK && cJSON_IsObject(parent))
			rc = print_text(c->string, out);
		if (rc == OTA_OK && cJSON_IsObject(parent))
			rc = ota_buf_add_u8(out, ':');
		if (rc == OTA_OK)
			rc = print_value(c, depth, out);
	}
	return rc;
}

static OTA_CHECKED enum ota_code print_nested(
	const cJSON *value, unsigned depth, struct ota_buf *out)
{
	bool is_object = cJSON_IsObject(value);
	enum ota_code rc;

	if (depth == OTA_JSON_DEPTH_MAX)
		return OTA_E_LIMIT;
	rc = ota_buf_add_u8(out, is_object ? '{' : '[');
	if (rc == OTA_OK)
		rc = print_children(value, depth + 1, out);
	return rc == OTA_OK ? ota_buf_add_u8(out, is_object ? '}' : ']') : rc;
}

static enum ota_code print_value(const cJSON *value, unsigned depth, struct ota_buf *out)
{
	if (cJSON_IsObject(value) || cJSON_IsArray(value))
		return print_nested(value, depth, out);
	if (cJSON_IsString(value))
		return print_text(value->valuestring, out);
	if (cJSON_IsNumber(value))
		return print_number(value->valuedouble, out);
	if (cJSON_IsBool(value))
		return ota_buf_add(
			out, ota_bytes_of(cJSON_IsTrue(value) ? "true" : "false"));
	if (cJSON_IsRaw(value))
		return ota_buf_add(out, ota_bytes_of(value->valuestring));
	return OTA_E_FORMAT;
}

enum ota_code ota_json_print(
	const cJSON *tree, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	enum ota_code rc = print_value(tree, 0, &text);

	if (rc != OTA_OK)
		return ota_fail(err, rc, "cannot be said in strict JSON");
	rc = ota_json_scan(ota_buf_bytes(&text), true, err);
	if (rc != OTA_OK)
		return rc;
	rc = ota_buf_add(out, ota_buf_bytes(&text));
	return rc == OTA_OK ? rc : ota_fail(err, rc, "no memory for JSON");
}

void ota_json_fail(struct ota_json_reader *r, enum ota_code code, const char *fmt, ...)
{
	char text[sizeof r->err->text];
	va_list ap;

	if (r->rc != OTA_OK)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	r->rc = ota_fail(r->err, code, "%s", text);
}

struct ota_json_reader ota_json_read(const cJSON *object, struct ota_error *err)
{
	struct ota_json_reader r = { .object = object, .err = err };

	if (!cJSON_IsObject(object))
		ota_json_fail(&r, OTA_E_FORMAT, "not an object");
	else if (cJSON_GetArraySize(object) > OTA_JSON_MEMBERS_MAX)
		ota_json_fail(&r, OTA_E_LIMIT, "over %d members", OTA_JSON_MEMBERS_MAX);
	return r;
}

/* The member key, marked as read; NULL once the reader failed. */
static const cJSON *take(struct ota_json_reader *r, const char *key)
{
	const cJSON *member = r->rc == OTA_OK ? r->object->child : NULL;
	unsigned i = 0;

	for (; member != NULL && strcmp(member->string, key) != 0; member = member->next)
		i++;
	if (member == NULL)
		ota_json_fail(r, OTA_E_FORMAT, "member '%s' is missing", key);
	else
		r->taken |= UINT64_C(1) << i;
	return member;
}

/* The member key if it is of the kind that is_kind tells, or NULL. */
static const cJSON *take_kind(struct ota_json_reader *r, const char *key,
	cJSON_bool (*is_kind)(const cJSON *), const char *kind)
{
	const cJSON *member = take(r, key);

	if (member == NULL || is_kind(member))
		return member;
	ota_json_fail(r, OTA_E_FORMAT, "member '%s' is not %s", key, kind);
	return NULL;
}

uint64_t ota_json_u64(struct ota_json_reader *r, const char *key)
{
	const cJSON *member = take_kind(r, key, cJSON_IsNumber, "a number");
	double number = member != NULL ? member->valuedouble : 0;

	if (number >= 0 && number <= (double)OTA_JSON_NUMBER_MAX)
		return (uint64_t)number;
	ota_json_fail(r, OTA_E_LIMIT, "member '%s' is not in 0 .. 2^53 - 1", key);
	return 0;
}

bool ota_json_bool(struct ota_json_reader *r, const char *key)
{
	return cJSON_IsTrue(take_kind(r, key, cJSON_IsBool, "true or false"));
}

const char *ota_json_text(struct ota_json_reader *r, const char *key)
{
	const cJSON *member = take_kind(r, key, cJSON_IsString, "a string");

	return member != NULL ? member->valuestring : "";
}

void ota_json_text_copy(struct ota_json_reader *r, const char *key, char *out, size_t cap)
{
	const char *text = ota_json_text(r, key);
	size_t len = strlen(text);

	if (r->rc != OTA_OK)
		return;
	if (len >= cap)
		ota_json_fail(r, OTA_E_LIMIT, "member '%s': %zu bytes, at most %zu", key,
			len, cap - 1);
	else
		memcpy(out, text, len + 1);
}

void ota_json_name(
	struct ota_json_reader *r, const char *key, char out[static OTA_NAME_CAP])
{
	const char *text = ota_json_text(r, key);

	if (r->rc == OTA_OK)
		r->rc = ota_name_copy(text, key, out, r->err);
}

void ota_json_hex(struct ota_json_reader *r, const char *key, uint8_t *out, size_t len)
{
	const char *text = ota_json_text(r, key);

	if (r->rc == OTA_OK && ota_hex_decode(text, out, len) != OTA_OK)
		ota_json_fail(r, OTA_E_FORMAT,
			"member '%s' is not %zu lower-case hex digits", key, 2 * len);
}

void ota_json_digest(struct ota_json_reader *r, const char *key, struct ota_digest *out)
{
	ota_json_hex(r, key, out->at, OTA_DIGEST_LEN);
}

const cJSON *ota_json_array(struct ota_json_reader *r, const char *key, uint32_t max)
{
	const cJSON *member = take_kind(r, key, cJSON_IsArray, "an array");

	if (member == NULL || cJSON_GetArraySize(member) <= (int64_t)max)
		return member;
	ota_json_fail(r, OTA_E_LIMIT, "member '%s': %d entries, at most %u", key,
		cJSON_GetArraySize(member), max);
	return NULL;
}

const cJSON *ota_json_object(struct ota_json_reader *r, const char *key)
{
	return take_kind(r, key, cJSON_IsObject, "an object");
}

bool ota_json_has(const struct ota_json_reader *r, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(r->object, key) != NULL;
}

enum ota_code ota_json_finish(struct ota_json_reader *r)
{
	const cJSON *member = r->rc == OTA_OK ? r->object->child : NULL;
	char escaped[ESCAPED_CAP];

	for (unsigned i = 0; member != NULL; i++, member = member->next) {
		if (r->taken >> i & 1)
			continue;
		ota_escape(member->string, escaped, sizeof escaped);
		ota_json_fail(r, OTA_E_FORMAT, "unknown member '%s'", escaped);
	}
	return r->rc;
}

cJSON *ota_json_add_hex(cJSON *object, const char *key, struct ota_bytes bytes)
{
	ota_autofree char *text = malloc(2 * bytes.len + 1);

	if (text == NULL)
		return NULL;
	ota_hex_encode(bytes, text);
	return cJSON_AddStringToObject(object, key, text);
}

cJSON *ota_json_add_digest(
	cJSON *object, const char *key, const struct ota_digest *digest)
{
	return ota_json_add_hex(
		object, key, (struct ota_bytes){ digest->at, OTA_DIGEST_LEN });
}

cJSON *ota_json_add_u64(cJSON *object, const char *key, uint64_t value)
{
	return cJSON_AddNumberToObject(object, key, (double)value);
}
