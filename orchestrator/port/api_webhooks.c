/* Routes about webhooks. What is secret is never told: neither what signs, nor the path
 * of an address, which with many receivers is a secret of its own. */
#include <string.h>

#include "orchestrator/core/webhook_kinds.h"
#include "orchestrator/port/api_handlers.h"
#include "orchestrator/port/now.h"
#include "orchestrator/port/webhooks.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/wire/json.h"

/* "https://example.org:8443": as far as the path. */
static bool add_origin(cJSON *object, const char *url)
{
	char origin[CONFIG_URL_CAP];
	const char *host = strstr(url, "://");
	size_t len = host ? strcspn(host + 3, "/?") + (size_t)(host + 3 - url) : 0;

	memcpy(origin, url, len);
	origin[len] = '\0';
	return cJSON_AddStringToObject(object, "url", origin) != NULL;
}

static bool add_events(cJSON *object, uint64_t kinds)
{
	cJSON *list = cJSON_AddArrayToObject(object, "events");

	for (size_t i = 0; list && webhook_kind_at(i); i++) {
		cJSON *name = NULL;

		if (!(kinds >> i & 1))
			continue;
		name = cJSON_CreateString(webhook_kind_at(i)->action);
		if (!name || !cJSON_AddItemToArray(list, name)) {
			cJSON_Delete(name);
			return false;
		}
	}
	return list != NULL;
}

/* Nothing, before there was any. */
static bool add_said(cJSON *object, const char *key, const struct webhook_said *said)
{
	cJSON *item = NULL;

	if (!said->id[0])
		return true;
	item = cJSON_AddObjectToObject(object, key);
	return item && cJSON_AddStringToObject(item, "id", said->id) &&
	       ota_json_add_u64(item, "at", said->at_utc_s) &&
	       ota_json_add_u64(item, "took_ms", said->took_ms) &&
	       cJSON_AddBoolToObject(item, "under_way", said->under_way) &&
	       ota_json_add_u64(item, "status", said->status) &&
	       cJSON_AddStringToObject(item, "text", said->text);
}

static uint64_t retry_s(const struct webhook *run)
{
	uint64_t now_ms = ota_clock_mono_ms();

	return run->state == WEBHOOK_WAITING && run->due_ms > now_ms
		       ? (run->due_ms - now_ms + 999) / 1000
		       : 0;
}

static bool add_state(cJSON *object, const struct webhook_view *view)
{
	const char *state = webhook_state_text(view->run.state);

	return cJSON_AddStringToObject(object, "state", state) &&
	       ota_json_add_u64(object, "seq", view->cursor) &&
	       ota_json_add_u64(object, "waiting", view->waiting) &&
	       ota_json_add_u64(object, "oldest_s", view->oldest_s) &&
	       ota_json_add_u64(object, "tries", view->run.tries) &&
	       ota_json_add_u64(object, "failing_s", view->run.failing_s) &&
	       ota_json_add_u64(object, "retry_s", retry_s(&view->run)) &&
	       ota_json_add_u64(object, "disabled_s", view->disabled_s) &&
	       ota_json_add_u64(object, "delivered", view->delivered) &&
	       ota_json_add_u64(object, "failed", view->failed) &&
	       ota_json_add_u64(object, "given_up", view->given_up);
}

static cJSON *tree_of(const struct webhook_view *view)
{
	OTA_AUTO(ota_json_fini) cJSON *item = cJSON_CreateObject();

	if (!item || !cJSON_AddStringToObject(item, "name", view->config->name) ||
		!add_origin(item, view->config->url) ||
		!add_events(item, view->config->kinds) || !add_state(item, view) ||
		!add_said(item, "last", &view->last) ||
		!add_said(item, "test", &view->test))
		return NULL;
	return ota_take(&item);
}

enum ota_code api_get_webhooks(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	cJSON *list = tree ? cJSON_AddArrayToObject(tree, "webhooks") : NULL;
	struct webhook_view view;

	(void)request;
	for (size_t i = 0; list && webhooks_at(api->webhooks, i, &view); i++) {
		cJSON *item = tree_of(&view);

		if (!item || !cJSON_AddItemToArray(list, item)) {
			cJSON_Delete(item);
			list = NULL;
		}
	}
	return api_reply_json(reply, list ? ota_take(&tree) : NULL, err);
}

enum ota_code api_test_webhook(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	const char *name = request->segments[0];
	char id[WEBHOOK_ID_CAP];
	enum ota_code rc = webhooks_test(api->webhooks, name, id, err);

	if (rc != OTA_OK)
		return rc;
	ota_log(OTA_LOG_INFO, "webhook.test", "webhook=%s who=%s test=%s", name,
		request->who, id);
	if (!tree || !cJSON_AddStringToObject(tree, "name", name) ||
		!cJSON_AddStringToObject(tree, "id", id))
		return ota_fail(err, OTA_E_NOMEM, "answer");
	return api_reply_json(reply, ota_take(&tree), err);
}
