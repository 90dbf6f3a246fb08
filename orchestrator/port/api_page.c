/* A part of a list that is whole already. */
#include "orchestrator/port/api_handlers.h"

#include <string.h>

#include "proto/base/own.h"

static const char *key_of(const cJSON *item, const char *key)
{
	const char *text =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, key));

	return text ? text : "";
}

/* Drop what stands up to and with the one named; false if there is none. */
static bool skip_to(cJSON *list, const char *key, const char *after)
{
	while (list->child) {
		bool found = strcmp(key_of(list->child, key), after) == 0;

		cJSON_Delete(cJSON_DetachItemViaPointer(list, list->child));
		if (found)
			return true;
	}
	return false;
}

/* Keep so many; the key of the last, if more stood behind it. */
static const char *cut(cJSON *list, const char *key, uint64_t limit)
{
	cJSON *last = NULL, *item = list->child;

	for (uint64_t i = 0; i < limit && item; i++) {
		last = item;
		item = item->next;
	}
	if (!last || !item)
		return "";
	while (last->next)
		cJSON_Delete(cJSON_DetachItemViaPointer(list, last->next));
	return key_of(last, key);
}

enum ota_code api_reply_page(struct api_reply *reply, cJSON *tree,
	const struct api_request *request, const struct api_list *of,
	struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *taken = tree;
	cJSON *list = cJSON_GetObjectItemCaseSensitive(taken, of->name);
	const char *after = api_param_text(request, "after", "");
	uint64_t limit = UINT64_MAX;
	enum ota_code rc = api_param_u64(request, "limit", API_PAGE_MAX, &limit, err);

	if (rc != OTA_OK)
		return rc;
	if (!list)
		return ota_fail(err, OTA_E_NOMEM, "answer");
	if (limit == 0)
		return ota_fail(err, OTA_E_USAGE, "limit must be at least 1");
	if (after[0] && !skip_to(list, of->key, after))
		return ota_fail(err, OTA_E_NOTFOUND, "after: nothing of that name");
	if (!cJSON_AddStringToObject(taken, "next", cut(list, of->key, limit)))
		return ota_fail(err, OTA_E_NOMEM, "answer");
	return api_reply_json(reply, ota_take(&taken), err);
}
