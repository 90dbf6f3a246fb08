/* Routes about what is rolled out: documents, images, rollouts. */
#include "orchestrator/port/api_handlers.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/now.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

enum { ROOT_VERSION_MAX = 4096 }; /* looked for when the newest root is asked for */

/* ---- documents */

enum ota_code api_post_document(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	struct core_accepted doc = { 0 };
	enum ota_code rc = core_document(
		api->core, port_now(), request->who, request->body, &doc, err);

	if (rc != OTA_OK)
		return rc;
	if (!tree ||
		!cJSON_AddStringToObject(tree, "type", ota_doc_type_text(doc.type)) ||
		!ota_json_add_digest(tree, "digest", &doc.digest) ||
		(doc.type == OTA_DOC_GRANT &&
			!ota_json_add_u64(tree, "missing", doc.missing)))
		return ota_fail(err, OTA_E_NOMEM, "answer");
	return api_reply_json(reply, ota_take(&tree), err);
}

/* Roots are a chain without gaps; it need not begin with 1. */
static bool newest_root(const struct core *core, struct ota_bytes *out)
{
	bool found = false;

	for (unsigned version = 1; version <= ROOT_VERSION_MAX; version++) {
		struct ota_bytes envelope;
		char key[16];

		(void)snprintf(key, sizeof(key), "%u", version);
		if (core_get_document(core, OTA_DOC_ROOT, key, &envelope)) {
			*out = envelope;
			found = true;
		} else if (found) {
			break;
		}
	}
	return found;
}

static enum ota_code reply_octets(
	struct api_reply *reply, struct ota_bytes octets, struct ota_error *err)
{
	if (ota_buf_add(&reply->body, octets) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "answer");
	reply->status = 200;
	reply->type = "application/octet-stream";
	return OTA_OK;
}

enum ota_code api_get_approval(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	struct ota_bytes envelope = { 0 };

	if (!core_get_approval(api->core, request->segments[0], &envelope))
		return ota_fail(err, OTA_E_NOTFOUND,
			"no grant for that release waits for signatures");
	return reply_octets(reply, envelope, err);
}

enum ota_code api_find_document(const struct api *api, const struct api_request *request,
	struct ota_bytes *out, struct ota_error *err)
{
	const char *key = request->segments[1];
	bool current = strcmp(key, "current") == 0;
	enum ota_doc_type type;
	enum ota_code rc = ota_doc_type_of(request->segments[0], &type, err);
	bool found;

	if (rc != OTA_OK)
		return rc;
	if (current && type == OTA_DOC_ROOT)
		found = newest_root(api->core, out);
	else
		found = core_get_document(api->core, type, current ? "" : key, out);
	if (!found)
		return ota_fail(
			err, OTA_E_NOTFOUND, "no such %s", ota_doc_type_text(type));
	return OTA_OK;
}

enum ota_code api_get_document(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	struct ota_bytes envelope = { 0 };
	enum ota_code rc = api_find_document(api, request, &envelope, err);

	return rc == OTA_OK ? reply_octets(reply, envelope, err) : rc;
}

enum ota_code api_get_releases(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	static const struct api_list of = { "releases", "digest" };

	return api_reply_page(reply, core_releases_json(api->core), request, &of, err);
}

/* ---- images */

static enum ota_code reply_image(struct api_reply *reply, const struct ota_digest *image,
	uint64_t len, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();

	if (!tree || !ota_json_add_digest(tree, "digest", image) ||
		!ota_json_add_u64(tree, "len", len))
		return ota_fail(err, OTA_E_NOMEM, "answer");
	return api_reply_json(reply, ota_take(&tree), err);
}

static enum ota_code find_image(const struct api *api, const struct api_request *request,
	struct ota_digest *image, uint64_t *len, struct ota_error *err)
{
	enum ota_code rc = ota_digest_parse(request->segments[0], image, err);

	if (rc == OTA_OK && !images_has(api->images, image, len))
		rc = ota_fail(err, OTA_E_NOTFOUND, "no image %s", request->segments[0]);
	return rc;
}

enum ota_code api_put_image(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	char advice[OTA_ADVICE_CAP];
	struct core_image image = { .advice = advice };
	enum ota_code rc = image_upload_finish(request->upload, err);

	if (rc == OTA_OK)
		rc = find_image(api, request, &image.digest, &image.len, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "image");
	images_advice(api->images, &image.digest, advice);
	core_image(api->core, port_now(), request->who, &image);
	return reply_image(reply, &image.digest, image.len, err);
}

enum ota_code api_head_image(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	struct ota_digest image;
	uint64_t len = 0;
	enum ota_code rc = find_image(api, request, &image, &len, err);

	return rc == OTA_OK ? reply_image(reply, &image, len, err) : rc;
}

/* ---- rollouts */

enum ota_code api_post_plan(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *spec = NULL;
	cJSON *plan = NULL;
	enum ota_code rc = api_body_json(request, &spec, err);

	if (rc == OTA_OK)
		rc = core_plan_json(api->core, port_now(), spec, &plan, err);
	return rc == OTA_OK ? api_reply_json(reply, plan, err) : rc;
}

enum ota_code api_post_plan_fleet(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *fleet = NULL;
	cJSON *plan = NULL;
	enum ota_code rc = api_body_json(request, &fleet, err);

	if (rc == OTA_OK)
		rc = core_plan_fleet_json(api->core, fleet, &plan, err);
	return rc == OTA_OK ? api_reply_json(reply, plan, err) : rc;
}

static enum ota_code reply_rollout(
	struct api *api, const char *name, struct api_reply *reply, struct ota_error *err)
{
	return api_reply_found(reply, core_rollout_json(api->core, port_now(), name),
		"rollout", name, err);
}

enum ota_code api_post_rollout(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *spec = NULL;
	enum ota_code rc = api_body_json(request, &spec, err);
	const char *name;

	if (rc == OTA_OK)
		rc = core_apply(api->core, port_now(), request->who, spec, err);
	if (rc != OTA_OK)
		return rc;
	name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(spec, "rollout"));
	return reply_rollout(api, name ? name : "", reply, err);
}

enum ota_code api_get_rollouts(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	static const struct api_list of = { "rollouts", "rollout" };

	return api_reply_page(
		reply, core_rollouts_json(api->core, port_now()), request, &of, err);
}

enum ota_code api_get_rollout(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	return reply_rollout(api, request->segments[0], reply, err);
}

/* {"reason": text, "at_once": truth}, or no body at all. The text lives as long as the
 * tree. */
static enum ota_code read_steer(const struct api_request *request, cJSON **tree,
	struct core_steer *steer, struct ota_error *err)
{
	struct ota_json_reader r;
	enum ota_code rc;

	if (request->body.len == 0)
		return OTA_OK;
	rc = api_body_json(request, tree, err);
	if (rc != OTA_OK)
		return rc;
	r = ota_json_read(*tree, err);
	if (ota_json_has(&r, "reason"))
		steer->reason = ota_json_text(&r, "reason");
	if (ota_json_has(&r, "at_once"))
		steer->at_once = ota_json_bool(&r, "at_once");
	return ota_json_finish(&r);
}

enum ota_code api_post_command(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct core_steer steer = {
		.rollout = request->segments[0],
		.verb = request->segments[1],
		.reason = "",
	};
	enum ota_code rc = read_steer(request, &tree, &steer, err);

	if (rc == OTA_OK)
		rc = core_command(api->core, port_now(), request->who, &steer, err);
	return rc == OTA_OK ? reply_rollout(api, steer.rollout, reply, err) : rc;
}
