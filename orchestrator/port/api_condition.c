/* Requests that hold only for what somebody has seen: ETags of what a path names, and
 * If-Match and If-None-Match against them. */
#include "orchestrator/port/api_handlers.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/etag.h"

/* ---- revisions */

bool api_revision_fleet(const struct api *api, const struct api_request *request,
	struct core_revision *out)
{
	(void)request;
	core_fleet_revision(api->core, out);
	return true;
}

bool api_revision_device(const struct api *api, const struct api_request *request,
	struct core_revision *out)
{
	return core_device_revision(api->core, request->segments[0], out);
}

bool api_revision_rollouts(const struct api *api, const struct api_request *request,
	struct core_revision *out)
{
	(void)request;
	core_rollouts_revision(api->core, out);
	return true;
}

bool api_revision_rollout(const struct api *api, const struct api_request *request,
	struct core_revision *out)
{
	return core_rollout_revision(api->core, request->segments[0], out);
}

static bool of_bytes(struct ota_bytes bytes, struct core_revision *out)
{
	struct ota_digest digest = ota_digest_of(bytes);
	char hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&digest, hex);
	(void)snprintf(out->text, sizeof(out->text), "%.*s", CORE_REVISION_CAP - 1, hex);
	(void)snprintf(out->now, sizeof(out->now), "it is another one now");
	return true;
}

bool api_revision_document(const struct api *api, const struct api_request *request,
	struct core_revision *out)
{
	struct ota_bytes envelope;

	return api_find_document(api, request, &envelope, NULL) == OTA_OK &&
	       of_bytes(envelope, out);
}

bool api_revision_approval(const struct api *api, const struct api_request *request,
	struct core_revision *out)
{
	struct ota_bytes envelope;

	return core_get_approval(api->core, request->segments[0], &envelope) &&
	       of_bytes(envelope, out);
}

bool api_revision_image(const struct api *api, const struct api_request *request,
	struct core_revision *out)
{
	struct ota_digest image;
	uint64_t len;

	return ota_digest_parse(request->segments[0], &image, NULL) == OTA_OK &&
	       images_has(api->images, &image, &len) &&
	       of_bytes((struct ota_bytes){ image.at, OTA_DIGEST_LEN }, out);
}

/* ---- conditions */

/* What the client does not have is asked for; what it must not change is left alone. */
static bool is_safe(const struct api_request *request)
{
	return strcmp(request->method, "GET") == 0 ||
	       strcmp(request->method, "HEAD") == 0;
}

static enum ota_code stale(const struct core_revision *now, struct ota_error *err)
{
	return ota_fail(err, OTA_E_STALE,
		"it has changed since: %s. Look again, and if it still shall be, send "
		"If-Match: \"%s\"",
		now->now, now->text);
}

static enum ota_code check_match(const struct api_request *request,
	const struct core_revision *now, struct ota_error *err)
{
	bool has = false;
	enum ota_code rc = etag_list_has(
		request->if_match, now ? now->text : NULL, ETAG_STRONG, &has, err);

	if (rc != OTA_OK || has)
		return rc;
	if (now)
		return stale(now, err);
	return ota_fail(err, OTA_E_STALE,
		"%s %s has no ETag that If-Match could name; send it without",
		request->method, request->path);
}

static enum ota_code check_none_match(const struct api_request *request,
	const struct core_revision *now, bool *fresh, struct ota_error *err)
{
	bool has = false;
	enum ota_code rc = etag_list_has(
		request->if_none_match, now ? now->text : NULL, ETAG_WEAK, &has, err);

	if (rc != OTA_OK || !has)
		return rc;
	if (!is_safe(request))
		return ota_fail(err, OTA_E_STALE,
			"it is there already, as \"%s\", and If-None-Match says not then",
			now->text);
	*fresh = true;
	return OTA_OK;
}

enum ota_code api_condition(const struct api *api, const struct api_request *request,
	api_revision *revision, bool *fresh, struct ota_error *err)
{
	struct core_revision found;
	const struct core_revision *now = NULL;
	enum ota_code rc = OTA_OK;

	if (!request->if_match && !request->if_none_match)
		return OTA_OK;
	if (revision && revision(api, request, &found))
		now = &found;
	if (revision && !now && strcmp(request->method, "PUT") != 0)
		return OTA_OK; /* RFC 9110, 13.2.1: what would be no 2xx stays what it is
				*/
	if (request->if_match)
		rc = check_match(request, now, err);
	if (rc == OTA_OK && request->if_none_match)
		rc = check_none_match(request, now, fresh, err);
	return rc;
}
