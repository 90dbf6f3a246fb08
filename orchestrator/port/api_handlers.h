#ifndef ORCHESTRATOR_PORT_API_HANDLERS_H
#define ORCHESTRATOR_PORT_API_HANDLERS_H

/* The handlers behind the table of routes. Each fills reply and returns OTA_OK, or fails
 * with a code that becomes the status. */

#include "orchestrator/core/revision.h"
#include "orchestrator/port/api.h"

/* X(NAME of the handler) */
#define API_HANDLERS(X)        \
	X(api_get_status)      \
	X(api_get_fleet)       \
	X(api_put_fleet)       \
	X(api_get_devices)     \
	X(api_post_device)     \
	X(api_get_device)      \
	X(api_get_explain)     \
	X(api_post_release)    \
	X(api_post_token)      \
	X(api_post_claim)      \
	X(api_get_claims)      \
	X(api_post_accept)     \
	X(api_post_reject)     \
	X(api_post_document)   \
	X(api_get_document)    \
	X(api_get_approval)    \
	X(api_get_releases)    \
	X(api_put_image)       \
	X(api_head_image)      \
	X(api_post_plan)       \
	X(api_post_plan_fleet) \
	X(api_post_rollout)    \
	X(api_get_rollouts)    \
	X(api_get_rollout)     \
	X(api_post_command)    \
	X(api_get_metrics)     \
	X(api_get_audit)       \
	X(api_get_webhooks)    \
	X(api_test_webhook)    \
	X(api_get_audit_verify)

#define API_HANDLER_DECLARE(name)                                              \
	enum ota_code name(struct api *api, const struct api_request *request, \
		struct api_reply *reply, struct ota_error *err);
API_HANDLERS(API_HANDLER_DECLARE)
#undef API_HANDLER_DECLARE

/** What finds the revision of the thing that a path names; false if there is none. */
typedef bool api_revision(const struct api *api, const struct api_request *request,
	struct core_revision *out);

api_revision api_revision_fleet, api_revision_device, api_revision_document,
	api_revision_approval, api_revision_image, api_revision_rollouts,
	api_revision_rollout;

/**
 * Hold a request to its If-Match and If-None-Match (RFC 9110, 13.2.2).
 *
 * revision  NULL: what the path names has no ETag, and never matches one
 * fresh     true if the answer is 304: it is a GET or HEAD, and they have it
 *
 * Returns OTA_OK if it may go on, also where there is nothing of that name, which is for
 * the handler to say; OTA_E_STALE, or OTA_E_FORMAT for what is no list of ETags.
 */
OTA_CHECKED enum ota_code api_condition(const struct api *api,
	const struct api_request *request, api_revision *revision, bool *fresh,
	struct ota_error *err);

/** Answers of one route with one status; both "" for those without a route. */
struct api_counted {
	const char *method, *path;
	unsigned status;
	uint64_t count; /* > 0 */
};

/** Walk the counts. */
void api_each_count(const struct api *api,
	void (*take)(void *ctx, const struct api_counted *counted), void *ctx);

/** An entry of the audit log; NULL: no memory. */
cJSON *api_audit_entry(const struct audit_entry *entry);

/** Reply with a tree, which is taken; NULL: memory was short. */
OTA_CHECKED enum ota_code api_reply_json(
	struct api_reply *reply, cJSON *tree, struct ota_error *err);

/** As api_reply_json(), where NULL means that what `name` names is not known. */
OTA_CHECKED enum ota_code api_reply_found(struct api_reply *reply, cJSON *tree,
	const char *what, const char *name, struct ota_error *err);

/** A list in an answer, and the member that names its entries. */
struct api_list {
	const char *name, *key;
};

/** As api_reply_json(), with the part of a list that "after" and "limit" ask for, all of
 *  it if neither is there; "next" is the name of its last entry if there are more behind,
 *  else "". OTA_E_USAGE for a limit out of 1 .. API_PAGE_MAX, OTA_E_NOTFOUND if no entry
 *  is named so. */
OTA_CHECKED enum ota_code api_reply_page(struct api_reply *reply, cJSON *tree,
	const struct api_request *request, const struct api_list *of,
	struct ota_error *err);

/** The envelope that the path names, borrowed as by core_get_document(). OTA_OK,
 *  OTA_E_NOTFOUND, or a code of ota_doc_type_of(). */
OTA_CHECKED enum ota_code api_find_document(const struct api *api,
	const struct api_request *request, struct ota_bytes *out, struct ota_error *err);

/** The body as strict JSON; free the tree. */
OTA_CHECKED enum ota_code api_body_json(
	const struct api_request *request, cJSON **out, struct ota_error *err);

/** A query parameter; fallback if it is not there. */
const char *api_param_text(
	const struct api_request *request, const char *name, const char *fallback);

/** A query parameter that is a whole number up to max. OTA_OK or OTA_E_USAGE. */
OTA_CHECKED enum ota_code api_param_u64(const struct api_request *request,
	const char *name, uint64_t max, uint64_t *inout, struct ota_error *err);

#endif
