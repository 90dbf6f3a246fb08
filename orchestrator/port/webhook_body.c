#include "orchestrator/port/webhook_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "orchestrator/core/webhook_kinds.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

enum { TIME_CAP = 32, ID_HASH_LEN = 8 };

static const char *text_of(const cJSON *tree, const char *key)
{
	const char *text =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, key));

	return text ? text : "";
}

/* ---- in words */

/* "rollout r-1, stage lab", "device gw-1, rollout r-1", or what else there is. */
static void print_subject(const struct audit_entry *entry, const cJSON *detail,
	char out[static WEBHOOK_TEXT_CAP])
{
	static const char who_device[] = "device:";
	static const char *const keys[] = { "device", "rollout", "stage", "cohort",
		"release", "webhook", "type", "image" };
	bool by_device = strncmp(entry->who, who_device, sizeof(who_device) - 1) == 0;
	size_t len = 0;

	out[0] = '\0';
	if (by_device && !text_of(detail, "device")[0])
		len = (size_t)snprintf(out, WEBHOOK_TEXT_CAP, "device %.64s",
			entry->who + sizeof(who_device) - 1);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value = text_of(detail, keys[i]);

		if (value[0] && len < WEBHOOK_TEXT_CAP / 2)
			len += (size_t)snprintf(out + len, WEBHOOK_TEXT_CAP - len,
				"%s%s %.64s", len > 0 ? ", " : "", keys[i], value);
	}
}

/* Why, as it is written down by who knows. */
static const char *reason_of(const cJSON *detail)
{
	static const char *const keys[] = { "text", "error_text", "why" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (text_of(detail, keys[i])[0])
			return text_of(detail, keys[i]);
	return "";
}

static void print_words(const struct audit_entry *entry, const cJSON *detail,
	char out[static WEBHOOK_TEXT_CAP])
{
	char subject[WEBHOOK_TEXT_CAP], raw[2 * WEBHOOK_TEXT_CAP];
	const char *reason = reason_of(detail);
	const struct webhook_kind *kind = NULL;
	size_t number;

	if (webhook_kind_find(entry->action, &number))
		kind = webhook_kind_at(number);
	print_subject(entry, detail, subject);
	(void)snprintf(raw, sizeof(raw), "%s%s%s%s%.300s", subject,
		subject[0] ? ": " : "", kind ? kind->words : entry->action,
		reason[0] ? ": " : "", reason);
	ota_escape(raw, out, WEBHOOK_TEXT_CAP);
}

/* ---- in full */

/* Where a text has to end that it is shorter than its cap, and no character is cut. */
static size_t end_of(const char *text)
{
	size_t end = WEBHOOK_TEXT_CAP - 1;

	while (end > 0 && ((uint8_t)text[end] & 0xc0) == 0x80)
		end--;
	return end;
}

/* Audit entries are no deeper than JSON here is allowed to be. */
static void cut_texts(cJSON *tree)
{
	cJSON *item;

	if (cJSON_IsString(tree) && strlen(tree->valuestring) >= WEBHOOK_TEXT_CAP)
		tree->valuestring[end_of(tree->valuestring)] = '\0';
	cJSON_ArrayForEach(item, tree) cut_texts(item);
}

static void print_time(uint64_t utc_s, char out[static TIME_CAP])
{
	time_t seconds = (time_t)utc_s;
	struct tm tm = { 0 };

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(out, TIME_CAP, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* The tree but for "detail". NULL: no memory. */
static cJSON *frame(const char *action, uint64_t at_s, cJSON **data)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	char type[80], at[TIME_CAP];

	(void)snprintf(type, sizeof(type), "%.70s.v1", action);
	print_time(at_s, at);
	if (!tree || !cJSON_AddStringToObject(tree, "type", type) ||
		!cJSON_AddStringToObject(tree, "timestamp", at))
		return NULL;
	*data = cJSON_AddObjectToObject(tree, "data");
	return *data ? ota_take(&tree) : NULL;
}

/* detail is taken. */
static cJSON *tree_of(const struct audit_entry *entry, const char *fleet, cJSON *detail)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	char words[WEBHOOK_TEXT_CAP];
	cJSON *data = NULL;

	tree = frame(entry->action, entry->at_utc_s, &data);
	print_words(entry, detail, words);
	if (!tree || !cJSON_AddStringToObject(data, "fleet", fleet) ||
		!ota_json_add_u64(data, "seq", entry->seq) ||
		!cJSON_AddStringToObject(data, "who", entry->who) ||
		!cJSON_AddStringToObject(data, "text", words) ||
		!cJSON_AddItemToObject(data, "detail", detail)) {
		cJSON_Delete(detail);
		return NULL;
	}
	cut_texts(detail);
	return ota_take(&tree);
}

enum ota_code webhook_body(const struct audit_entry *entry, const char *fleet,
	struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	cJSON *detail = cJSON_Parse(entry->detail), *data;
	size_t before = out->len;
	enum ota_code rc;

	if (!detail)
		detail = cJSON_CreateObject();
	tree = detail ? tree_of(entry, fleet, detail) : NULL;
	if (!tree)
		return ota_fail(err, OTA_E_NOMEM, "event");
	rc = ota_json_print(tree, out, err);
	if (rc == OTA_E_NOMEM || (rc == OTA_OK && out->len - before <= WEBHOOK_BODY_MAX))
		return rc;
	out->len = before;
	data = cJSON_GetObjectItemCaseSensitive(tree, "data");
	cJSON_DeleteItemFromObjectCaseSensitive(data, "detail");
	return cJSON_AddObjectToObject(data, "detail")
		       ? ota_json_print(tree, out, err)
		       : ota_fail(err, OTA_E_NOMEM, "event");
}

enum ota_code webhook_test_body(
	const char *fleet, uint64_t now_utc_s, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	cJSON *data = NULL;

	tree = frame("webhook.test", now_utc_s, &data);
	if (!tree || !cJSON_AddStringToObject(data, "fleet", fleet) ||
		!cJSON_AddStringToObject(data, "text",
			"a test: nothing has happened, and this webhook works"))
		return ota_fail(err, OTA_E_NOMEM, "event");
	return ota_json_print(tree, out, err);
}

void webhook_event_id(const struct audit_entry *entry, char out[static WEBHOOK_ID_CAP])
{
	char hash[2 * ID_HASH_LEN + 1];

	ota_hex_encode((struct ota_bytes){ entry->hash.at, ID_HASH_LEN }, hash);
	(void)snprintf(out, WEBHOOK_ID_CAP, "evt_%" PRIu64 "_%s", entry->seq, hash);
}
