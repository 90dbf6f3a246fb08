/* Routes about the fleet: status, cohorts, devices, audit. */
#include "orchestrator/port/api_handlers.h"

#include <string.h>

#include "orchestrator/port/now.h"
#include "proto/base/own.h"
#include "proto/io/mqtt.h"
#include "proto/wire/json.h"

/* ---- status */

static bool add_broker(cJSON *status, const struct api *api)
{
	cJSON *broker = cJSON_AddObjectToObject(status, "broker");

	return broker &&
	       cJSON_AddBoolToObject(
		       broker, "connected", api->link && ota_mqtt_is_up(api->link)) &&
	       cJSON_AddStringToObject(broker, "url", api->broker_url) &&
	       cJSON_AddStringToObject(
		       broker, "probe", publisher_probe_text(api->publisher)) &&
	       ota_json_add_u64(broker, "denied", publisher_denied_count(api->publisher));
}

/* The sums of what went out beside what the core knows. */
static bool add_bytes(cJSON *status, const struct api *api)
{
	cJSON *bytes = cJSON_GetObjectItemCaseSensitive(status, "bytes");
	uint64_t published = 0, again = 0;

	if (!bytes)
		bytes = cJSON_AddObjectToObject(status, "bytes");
	if (!bytes || ledger_counts(api->ledger, &published, &again, NULL) != OTA_OK)
		return false;
	cJSON_DeleteItemFromObjectCaseSensitive(bytes, "published");
	cJSON_DeleteItemFromObjectCaseSensitive(bytes, "republished");
	return ota_json_add_u64(bytes, "published", published) &&
	       ota_json_add_u64(bytes, "republished", again);
}

static bool add_audit(cJSON *status, const struct api *api)
{
	cJSON *audit = cJSON_AddObjectToObject(status, "audit");
	struct ota_digest head;
	uint64_t seq;

	ledger_audit_head(api->ledger, &seq, &head);
	return audit && ota_json_add_u64(audit, "seq", seq) &&
	       ota_json_add_digest(audit, "head", &head);
}

static void drop_ours(cJSON *status)
{
	static const char *const ours[] = { "version", "broker", "outbox", "audit",
		"preparing" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		cJSON_DeleteItemFromObjectCaseSensitive(status, ours[i]);
}

enum ota_code api_get_status(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *status = core_status_json(api->core, port_now());
	cJSON *preparing = patches_json(api->patches);

	(void)request;
	if (status)
		drop_ours(status);
	if (!status || !preparing ||
		!cJSON_AddItemToObject(status, "preparing", preparing)) {
		cJSON_Delete(preparing);
		return ota_fail(err, OTA_E_NOMEM, "status");
	}
	if (!cJSON_AddStringToObject(status, "version", SLUICE_VERSION) ||
		!ota_json_add_u64(status, "outbox", ledger_outbox_len(api->ledger)) ||
		!add_broker(status, api) || !add_bytes(status, api) ||
		!add_audit(status, api))
		return ota_fail(err, OTA_E_NOMEM, "status");
	return api_reply_json(reply, ota_take(&status), err);
}

/* ---- cohorts and devices */

enum ota_code api_get_fleet(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	(void)request;
	return api_reply_json(reply, core_fleet_json(api->core), err);
}

enum ota_code api_put_fleet(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *fleet = NULL;
	enum ota_code rc = api_body_json(request, &fleet, err);

	if (rc == OTA_OK)
		rc = core_set_fleet(api->core, port_now(), request->who, fleet, err);
	return rc == OTA_OK ? api_get_fleet(api, request, reply, err) : rc;
}

enum ota_code api_get_devices(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	uint64_t limit = API_PAGE;
	enum ota_code rc = api_param_u64(request, "limit", API_PAGE_MAX, &limit, err);

	if (rc != OTA_OK)
		return rc;
	return api_reply_json(reply,
		core_devices_json(api->core, port_now(),
			api_param_text(request, "cohort", NULL),
			api_param_text(request, "after", ""), (uint32_t)limit),
		err);
}

enum ota_code api_post_device(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *device = NULL;
	enum ota_code rc = api_body_json(request, &device, err);
	const char *id;

	if (rc == OTA_OK)
		rc = core_add_device(api->core, port_now(), request->who, device, err);
	if (rc != OTA_OK)
		return rc;
	id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(device, "id"));
	return api_reply_found(reply,
		id ? core_device_json(api->core, port_now(), id) : NULL, "device",
		id ? id : "", err);
}

enum ota_code api_get_device(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	const char *id = request->segments[0];

	return api_reply_found(
		reply, core_device_json(api->core, port_now(), id), "device", id, err);
}

enum ota_code api_get_explain(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	const char *id = request->segments[0];

	return api_reply_found(
		reply, core_explain_json(api->core, port_now(), id), "device", id, err);
}

enum ota_code api_post_release(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	const char *id = request->segments[0];
	enum ota_code rc =
		core_release_device(api->core, port_now(), request->who, id, err);

	return rc == OTA_OK ? api_get_device(api, request, reply, err) : rc;
}

/* ---- enrolment */

enum ota_code api_post_token(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *body = NULL;
	cJSON *token = NULL;
	enum ota_code rc = api_body_json(request, &body, err);

	if (rc == OTA_OK)
		rc = core_add_token(
			api->core, port_now(), request->who, body, &token, err);
	return rc == OTA_OK ? api_reply_json(reply, token, err) : rc;
}

enum ota_code api_post_claim(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *body = NULL;
	cJSON *answer = NULL;
	enum ota_code rc = api_body_json(request, &body, err);

	if (rc == OTA_OK)
		rc = core_claim(api->core, port_now(), body, &answer, err);
	return rc == OTA_OK ? api_reply_json(reply, answer, err) : rc;
}

enum ota_code api_get_claims(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	static const struct api_list of = { "claims", "id" };

	return api_reply_page(reply, core_claims_json(api->core), request, &of, err);
}

enum ota_code api_post_accept(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *body = NULL;
	enum ota_code rc = api_body_json(request, &body, err);

	if (rc == OTA_OK)
		rc = core_accept_device(api->core, port_now(), request->who,
			request->segments[0], body, err);
	return rc == OTA_OK ? api_get_device(api, request, reply, err) : rc;
}

enum ota_code api_post_reject(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	const char *id = request->segments[0];
	enum ota_code rc =
		core_reject_device(api->core, port_now(), request->who, id, err);

	if (rc != OTA_OK)
		return rc;
	if (!tree || !cJSON_AddStringToObject(tree, "id", id))
		return ota_fail(err, OTA_E_NOMEM, "answer");
	return api_reply_json(reply, ota_take(&tree), err);
}

/* ---- audit */

struct audit_page {
	cJSON *entries; /* borrowed */
	uint64_t last;  /* seq */
	bool short_of_memory;
};

cJSON *api_audit_entry(const struct audit_entry *entry)
{
	OTA_AUTO(ota_json_fini) cJSON *item = cJSON_CreateObject();
	cJSON *detail = cJSON_Parse(entry->detail);

	if (!detail)
		detail = cJSON_CreateString("damaged");
	if (!item || !detail || !cJSON_AddItemToObject(item, "detail", detail)) {
		cJSON_Delete(detail);
		return NULL;
	}
	if (!ota_json_add_u64(item, "seq", entry->seq) ||
		!ota_json_add_u64(item, "at", entry->at_utc_s) ||
		!cJSON_AddStringToObject(item, "who", entry->who) ||
		!cJSON_AddStringToObject(item, "action", entry->action) ||
		!ota_json_add_digest(item, "prev", &entry->prev) ||
		!ota_json_add_digest(item, "hash", &entry->hash))
		return NULL;
	return ota_take(&item);
}

static bool add_entry(void *ctx, const struct audit_entry *entry)
{
	struct audit_page *page = ctx;
	cJSON *item = api_audit_entry(entry);

	page->last = entry->seq;
	page->short_of_memory = !item || !cJSON_AddItemToArray(page->entries, item);
	if (page->short_of_memory)
		cJSON_Delete(item);
	return !page->short_of_memory;
}

enum ota_code api_get_audit(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	struct audit_page page = { 0 };
	uint64_t after = 0, limit = API_PAGE;
	enum ota_code rc = api_param_u64(request, "limit", API_PAGE_MAX, &limit, err);

	if (rc == OTA_OK)
		rc = api_param_u64(request, "after", OTA_JSON_NUMBER_MAX, &after, err);
	if (rc != OTA_OK)
		return rc;
	page.last = after;
	page.entries = tree ? cJSON_AddArrayToObject(tree, "entries") : NULL;
	if (!page.entries)
		return ota_fail(err, OTA_E_NOMEM, "audit");
	rc = ledger_each_audit(
		api->ledger, after, (uint32_t)limit, add_entry, &page, err);
	if (rc != OTA_OK)
		return rc;
	if (page.short_of_memory || !ota_json_add_u64(tree, "next", page.last))
		return ota_fail(err, OTA_E_NOMEM, "audit");
	return api_reply_json(reply, ota_take(&tree), err);
}

enum ota_code api_get_audit_verify(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	struct audit_walk walk = { 0 };
	enum ota_code rc = ledger_audit_verify(api->ledger, &walk, err);

	(void)request;
	if (rc != OTA_OK)
		return rc;
	if (!tree || !cJSON_AddBoolToObject(tree, "ok", walk.broken_at == 0) ||
		!ota_json_add_u64(tree, "entries", walk.entries) ||
		!ota_json_add_digest(tree, "head", &walk.head) ||
		!ota_json_add_u64(tree, "broken_at", walk.broken_at))
		return ota_fail(err, OTA_E_NOMEM, "audit");
	return api_reply_json(reply, ota_take(&tree), err);
}
