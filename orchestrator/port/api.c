#include "orchestrator/port/api.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/api_handlers.h"
#include "orchestrator/port/api_once.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/wire/json.h"

struct api_route {
	const char *method, *path; /* a segment {} takes any name */
	enum api_scope scope;
	enum { PLAIN, UPLOAD, STREAM } kind;
	enum ota_code (*handler)(struct api *api, const struct api_request *request,
		struct api_reply *reply, struct ota_error *err);
	/* What the path names, if that has an ETag. */
	enum { NONE, FLEET, DEVICE, DOCUMENT, APPROVAL, IMAGE, ROLLOUTS, ROLLOUT } thing;
};

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",  "/status",               API_READ,    PLAIN,  api_get_status,       NONE },
	{ "GET",  "/fleet",                API_READ,    PLAIN,  api_get_fleet,        FLEET },
	{ "PUT",  "/fleet",                API_ADMIN,   PLAIN,  api_put_fleet,        FLEET },
	{ "GET",  "/devices",              API_READ,    PLAIN,  api_get_devices,      NONE },
	{ "POST", "/devices",              API_ENROL,   PLAIN,  api_post_device,      NONE },
	{ "GET",  "/devices/{}",           API_READ,    PLAIN,  api_get_device,       DEVICE },
	{ "GET",  "/devices/{}/explain",   API_READ,    PLAIN,  api_get_explain,      NONE },
	{ "POST", "/devices/{}/release",   API_ROLLOUT, PLAIN,  api_post_release,     DEVICE },
	{ "POST", "/devices/{}/accept",    API_ENROL,   PLAIN,  api_post_accept,      DEVICE },
	{ "POST", "/devices/{}/reject",    API_ENROL,   PLAIN,  api_post_reject,      DEVICE },
	{ "POST", "/tokens",               API_ENROL,   PLAIN,  api_post_token,       NONE },
	{ "POST", "/claims",               API_NOBODY,  PLAIN,  api_post_claim,       NONE },
	{ "GET",  "/claims",               API_READ,    PLAIN,  api_get_claims,       NONE },
	{ "POST", "/documents",            API_ROLLOUT, PLAIN,  api_post_document,    NONE },
	{ "GET",  "/documents/{}/{}",      API_READ,    PLAIN,  api_get_document,     DOCUMENT },
	{ "GET",  "/approvals/{}",         API_READ,    PLAIN,  api_get_approval,     APPROVAL },
	{ "GET",  "/releases",             API_READ,    PLAIN,  api_get_releases,     NONE },
	{ "PUT",  "/images/{}",            API_ROLLOUT, UPLOAD, api_put_image,        IMAGE },
	{ "HEAD", "/images/{}",            API_READ,    PLAIN,  api_head_image,       IMAGE },
	{ "POST", "/plan",                 API_READ,    PLAIN,  api_post_plan,        ROLLOUTS },
	{ "POST", "/plan/fleet",           API_READ,    PLAIN,  api_post_plan_fleet,  FLEET },
	{ "POST", "/rollouts",             API_ROLLOUT, PLAIN,  api_post_rollout,     ROLLOUTS },
	{ "GET",  "/rollouts",             API_READ,    PLAIN,  api_get_rollouts,     ROLLOUTS },
	{ "GET",  "/rollouts/{}",          API_READ,    PLAIN,  api_get_rollout,      ROLLOUT },
	{ "POST", "/rollouts/{}/{}",       API_ROLLOUT, PLAIN,  api_post_command,     ROLLOUT },
	{ "GET",  "/events",               API_READ,    STREAM, NULL,                 NONE },
	{ "GET",  "/metrics",              API_READ,    PLAIN,  api_get_metrics,      NONE },
	{ "GET",  "/audit",                API_READ,    PLAIN,  api_get_audit,        NONE },
	{ "GET",  "/audit/verify",         API_READ,    PLAIN,  api_get_audit_verify, NONE },
	{ "GET",  "/webhooks",             API_READ,    PLAIN,  api_get_webhooks,     NONE },
	{ "POST", "/webhooks/{}/test",     API_ADMIN,   PLAIN,  api_test_webhook,     NONE },
};

static api_revision *const revisions[] = {
	[FLEET] = api_revision_fleet,       [DEVICE] = api_revision_device,
	[DOCUMENT] = api_revision_document, [APPROVAL] = api_revision_approval,
	[IMAGE] = api_revision_image,       [ROLLOUTS] = api_revision_rollouts,
	[ROLLOUT] = api_revision_rollout,
};

/* Status of a failure; what has no row is 400: the request was wrong. */
static const struct { enum ota_code code; unsigned status; } statuses[] = {
	{ OTA_E_DENIED, 403 },    { OTA_E_NOTFOUND, 404 }, { OTA_E_CONFLICT, 409 },
	{ OTA_E_STATE, 409 },     { OTA_E_BUSY, 409 },     { OTA_E_SEQUENCE, 409 },
	{ OTA_E_LIMIT, 413 },     { OTA_E_NOSPACE, 507 },  { OTA_E_NOMEM, 507 },
	{ OTA_E_IO, 507 },        { OTA_E_STALE, 412 },    { OTA_E_REUSED, 422 },
};
/* What is ever answered, for the counts; what has no place counts as the last. */
static const unsigned counted[] = { 200, 304, 400, 401, 403, 404, 409, 412, 413, 422, 429,
	503, 507, 500 };
/* clang-format on */

static const size_t route_count = sizeof(routes) / sizeof(routes[0]);
static const size_t counted_count = sizeof(counted) / sizeof(counted[0]);

_Static_assert(sizeof(routes) / sizeof(routes[0]) < API_ROUTES_MAX,
	"the last is for what has no route");
_Static_assert(
	sizeof(counted) / sizeof(counted[0]) <= API_STATUSES_MAX, "each has a place");

/* ---- replies */

void api_reply_fini(struct api_reply *reply)
{
	ota_buf_fini(&reply->body);
}

static unsigned status_of(enum ota_code code)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].code == code)
			return statuses[i].status;
	return 400;
}

/* {"error":{"name":"HARDWARE","number":37,"text":"..."}} */
static bool print_failure(struct ota_buf *out, const struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	cJSON *error = tree ? cJSON_AddObjectToObject(tree, "error") : NULL;
	char text[sizeof(err->text) * 4];

	ota_escape(err->text, text, sizeof(text));
	return error &&
	       cJSON_AddStringToObject(error, "name", ota_code_name(err->code)) &&
	       ota_json_add_u64(error, "number", err->code) &&
	       cJSON_AddStringToObject(error, "text", text) &&
	       ota_json_print(tree, out, NULL) == OTA_OK;
}

static void fail_with(
	struct api_reply *reply, unsigned status, const struct ota_error *err)
{
	api_reply_fini(reply);
	reply->status = status;
	reply->type = NULL;
	reply->etag[0] = '\0';
	reply->replayed = false;
	(void)print_failure(&reply->body, err); /* short of memory: the status alone */
}

void api_fail(struct api_reply *reply, const struct ota_error *err)
{
	fail_with(reply, status_of(err->code), err);
}

void api_unauthorized(struct api_reply *reply)
{
	static const struct ota_error err = { OTA_E_DENIED,
		"a valid API key is needed: Authorization: Bearer sluice_..." };

	fail_with(reply, 401, &err);
}

void api_unavailable(struct api_reply *reply, const char *text)
{
	struct ota_error err = { 0 };

	(void)ota_fail(&err, OTA_E_BUSY, "%s", text);
	fail_with(reply, 503, &err);
}

enum ota_code api_reply_json(struct api_reply *reply, cJSON *tree, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *taken = tree;
	enum ota_code rc;

	if (!taken)
		return ota_fail(err, OTA_E_NOMEM, "answer");
	rc = ota_json_print(taken, &reply->body, err);
	if (rc != OTA_OK)
		return ota_wrap(err, OTA_E_IO, "answer is not strict JSON");
	reply->status = 200;
	return OTA_OK;
}

enum ota_code api_reply_found(struct api_reply *reply, cJSON *tree, const char *what,
	const char *name, struct ota_error *err)
{
	char shown[128];

	if (tree)
		return api_reply_json(reply, tree, err);
	ota_escape(name, shown, sizeof(shown));
	return ota_fail(err, OTA_E_NOTFOUND, "no %s '%s'", what, shown);
}

/* ---- requests */

enum ota_code api_body_json(
	const struct api_request *request, cJSON **out, struct ota_error *err)
{
	enum ota_code rc = ota_json_parse(request->body, false, out, err);

	return rc == OTA_OK ? rc : ota_wrap(err, rc, "body");
}

const char *api_param_text(
	const struct api_request *request, const char *name, const char *fallback)
{
	for (size_t i = 0; i < request->param_count; i++)
		if (strcmp(request->params[i].name, name) == 0)
			return request->params[i].value;
	return fallback;
}

bool api_read_u64(const char *text, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t value = 0;

	if (digits == 0 || digits > 16 || text[digits])
		return false;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	*out = value;
	return true;
}

enum ota_code api_param_u64(const struct api_request *request, const char *name,
	uint64_t max, uint64_t *inout, struct ota_error *err)
{
	const char *text = api_param_text(request, name, NULL);
	uint64_t value = 0;

	if (!text)
		return OTA_OK;
	if (!api_read_u64(text, &value))
		return ota_fail(err, OTA_E_USAGE, "%s must be a whole number", name);
	if (value > max)
		return ota_fail(err, OTA_E_USAGE, "%s must be at most %llu", name,
			(unsigned long long)max);
	*inout = value;
	return OTA_OK;
}

/* ---- routing */

static bool take_segment(
	struct api_request *request, unsigned *taken, const char *from, size_t len)
{
	if (*taken == API_SEGMENTS_MAX || len == 0 || len >= API_SEGMENT_CAP)
		return false;
	memcpy(request->segments[*taken], from, len);
	request->segments[*taken][len] = '\0';
	(*taken)++;
	return true;
}

/* Segment by segment; both begin with '/'. */
static bool is_match(struct api_request *request, const char *pattern)
{
	const char *path = request->path;
	unsigned taken = 0;

	while (*pattern == '/' && *path == '/') {
		size_t want = strcspn(++pattern, "/");
		size_t have = strcspn(++path, "/");
		bool any = want == 2 && strncmp(pattern, "{}", 2) == 0;

		if (any && !take_segment(request, &taken, path, have))
			return false;
		if (!any && (want != have || strncmp(pattern, path, want) != 0))
			return false;
		pattern += want;
		path += have;
	}
	return !*pattern && !*path;
}

const struct api_route *api_route_of(struct api_request *request)
{
	for (size_t i = 0; i < route_count; i++)
		if (strcmp(request->method, routes[i].method) == 0 &&
			is_match(request, routes[i].path))
			return &routes[i];
	return NULL;
}

enum api_scope api_route_scope(const struct api_route *route)
{
	return route->scope;
}

bool api_route_is_upload(const struct api_route *route)
{
	return route->kind == UPLOAD;
}

bool api_route_is_stream(const struct api_route *route)
{
	return route->kind == STREAM;
}

enum ota_code api_upload_new(const struct api *api, const struct api_request *request,
	struct image_upload **out, struct ota_error *err)
{
	struct ota_digest image;
	enum ota_code rc = ota_digest_parse(request->segments[0], &image, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "image");
	return image_upload_new(api->images, &image, request->body_len, out, err);
}

/* ---- counts */

void api_count(struct api *api, const struct api_route *route, unsigned status)
{
	size_t row = route ? (size_t)(route - routes) : API_ROUTES_MAX - 1, i = 0;

	while (i < counted_count - 1 && counted[i] != status)
		i++;
	api->counts.answers[row][i]++;
}

void api_each_count(const struct api *api,
	void (*take)(void *ctx, const struct api_counted *counted), void *ctx)
{
	for (size_t row = 0; row < API_ROUTES_MAX; row++)
		for (size_t i = 0; i < counted_count; i++) {
			struct api_counted one = { "", "", counted[i],
				api->counts.answers[row][i] };

			if (row < route_count) {
				one.method = routes[row].method;
				one.path = routes[row].path;
			}
			if (one.count > 0)
				take(ctx, &one);
		}
}

/* ---- answers */

static void name_revision(const struct api *api, const struct api_route *route,
	const struct api_request *request, struct api_reply *reply)
{
	api_revision *revision = revisions[route->thing];
	struct core_revision now;

	if (revision && revision(api, request, &now))
		(void)snprintf(reply->etag, sizeof(reply->etag), "\"%s\"", now.text);
}

/* Looks and acts on the one thread that changes anything: nobody comes in between. */
static enum ota_code act(struct api *api, const struct api_route *route,
	const struct api_request *request, struct api_reply *reply, struct ota_error *err)
{
	bool fresh = false;
	enum ota_code rc =
		api_condition(api, request, revisions[route->thing], &fresh, err);

	if (rc == OTA_OK && fresh)
		reply->status = 304;
	else if (rc == OTA_OK)
		rc = route->handler(api, request, reply, err);
	return rc;
}

/* What changes something, and by whom is known. */
static bool may_be_once(const struct api_route *route)
{
	return strcmp(route->method, "GET") != 0 && strcmp(route->method, "HEAD") != 0 &&
	       route->scope != API_READ && route->scope != API_NOBODY;
}

static void log_refusal(const struct api_route *route, const struct api_request *request,
	const struct api_reply *reply, const struct ota_error *err)
{
	char why[256];

	ota_log(reply->status == 507 ? OTA_LOG_ERR : OTA_LOG_INFO, "api.refused",
		"who=%s method=%s route=%s status=%u error=%s why=%s", request->who,
		route->method, route->path, reply->status, ota_code_name(err->code),
		ota_log_quote(err->text, why));
}

void api_answer(struct api *api, const struct api_route *route,
	const struct api_request *request, struct api_reply *reply)
{
	struct api_once once = { 0 };
	struct ota_error err = { 0 };

	if (may_be_once(route))
		err.code = api_once_begin(api, request, &once, reply, &err);
	if (err.code == OTA_OK && reply->replayed)
		return;
	if (err.code == OTA_OK)
		err.code = act(api, route, request, reply, &err);
	if (err.code != OTA_OK)
		api_fail(reply, &err);
	if (err.code == OTA_OK || err.code == OTA_E_STALE)
		name_revision(api, route, request, reply);
	api_once_end(api, request, &once, reply);
	if (err.code != OTA_OK)
		log_refusal(route, request, reply, &err);
}
