/* Any body at any route that takes one, against a core that holds the sample fleet. The
 * first byte chooses the route. */
#include <stdlib.h>

#include "orchestrator/port/api.h"
#include "orchestrator/port/now.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "tests/unit/samples.h"

static const struct {
	const char *method, *path;
} routes[] = {
	{ "PUT", "/fleet" },
	{ "POST", "/devices" },
	{ "POST", "/documents" },
	{ "POST", "/plan" },
	{ "POST", "/rollouts" },
	{ "POST", "/rollouts/r1/pause" },
	{ "POST", "/rollouts/r1/revert" },
	{ "GET", "/rollouts/r1" },
	{ "GET", "/approvals/0" },
	{ "POST", "/tokens" },
	{ "POST", "/claims" },
	{ "POST", "/devices/gw-0001/accept" },
};

static void ignore(void *ctx)
{
	(void)ctx;
}

static void put(void *ctx, enum core_table table, const char *key, struct ota_bytes value)
{
	(void)ctx;
	(void)table;
	(void)key;
	(void)value;
}

static void drop(void *ctx, enum core_table table, const char *key)
{
	(void)ctx;
	(void)table;
	(void)key;
}

static void audit(void *ctx, const char *who, const char *action, struct ota_bytes detail)
{
	(void)ctx;
	(void)who;
	(void)action;
	if (ota_json_scan(detail, false, NULL) != OTA_OK)
		abort(); /* an entry that nobody could read again */
}

static void retain(void *ctx, const char *topic, struct ota_bytes payload)
{
	struct ota_topic parsed;

	(void)ctx;
	if (ota_topic_parse(SAMPLE_FLEET, topic, &parsed, NULL) != OTA_OK ||
		payload.len > ota_topic_payload_max(parsed.kind))
		abort(); /* nobody would take it */
}

static void patch(void *ctx, const struct ota_digest *digest)
{
	(void)ctx;
	(void)digest;
}

static void make_patch(
	void *ctx, const struct ota_digest *from, const struct ota_digest *to)
{
	(void)ctx;
	(void)from;
	(void)to;
}

static void sign(
	void *ctx, enum ota_doc_type type, struct ota_bytes payload, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini)
	struct ota_buf envelope =
		sample_seal(type, payload, (char[]){ SAMPLE_ONLINE_KEY, 0 });

	(void)ctx;
	if (ota_buf_add(out, ota_buf_bytes(&envelope)) != OTA_OK)
		abort();
}

static void fill(void *ctx, uint8_t *out, size_t len)
{
	(void)ctx;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)i;
}

static const struct core_port port = { .begin = ignore,
	.commit = ignore,
	.put = put,
	.drop = drop,
	.audit = audit,
	.retain = retain,
	.retain_patch = patch,
	.release_patch = patch,
	.make_patch = make_patch,
	.sign = sign,
	.random = fill };

static void ask(struct api *api, size_t at, struct ota_bytes body)
{
	OTA_AUTO(api_reply_fini) struct api_reply reply = { 0 };
	struct api_request request = { .method = routes[at].method,
		.path = routes[at].path,
		.who = "fuzz",
		.body_len = body.len,
		.body = body };

	api_answer(api, api_route_of(&request), &request, &reply);
	if (reply.status == 0 || reply.body.len == 0)
		abort();
}

static void bring(
	struct api *api, enum ota_doc_type type, const void *doc, const char *keys)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = sample_sign(type, doc, keys);

	ask(api, 2, ota_buf_bytes(&envelope));
}

/* A release that may be rolled out, and one device. */
static void fill_core(struct api *api, uint64_t now_s)
{
	struct ota_release release = sample_release();
	struct ota_catalog catalog = sample_catalog();

	catalog.issued_utc_s = now_s;
	catalog.expires_utc_s = now_s + 86400;
	core_image(api->core, port_now(), "fuzz",
		&(struct core_image){ release.image, release.image_len, "advice" });
	bring(api, OTA_DOC_RELEASE, &release, (char[]){ SAMPLE_RELEASE_KEY, 0 });
	bring(api, OTA_DOC_CATALOG, &catalog, (char[]){ SAMPLE_RELEASE_KEY, 0 });
	ask(api, 0,
		ota_bytes_of("{\"fleet\":\"" SAMPLE_FLEET
			     "\",\"cohorts\":[{\"name\":\"fleet\"}]}"));
	ask(api, 1,
		ota_bytes_of(
			"{\"id\":\"gw-0001\",\"key\":\"6e7a1cdd29b0b78fd13af4c5598feff"
			"4ef2a97166e3ca6f2e4fbfccd80505bf1\",\"labels\":[]}"));
	/* claim_000102030405_000102030405060708090a0b0c0d0e0f, by what fill() does */
	ask(api, 9, ota_bytes_of("{\"labels\":[\"ring=lab\"],\"valid_s\":3600}"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct core_now now = port_now();
	struct ota_root root = sample_root();
	OTA_AUTO(ota_buf_fini) struct ota_buf anchor = { 0 };
	struct api api = { .core = core_new(&port, SAMPLE_FLEET) };

	ota_log_set_level(OTA_LOG_ERR);
	root.issued_utc_s = now.utc_s;
	root.expires_utc_s = now.utc_s + 86400;
	anchor = sample_sign(OTA_DOC_ROOT, &root, (char[]){ SAMPLE_ROOT_KEY, 0 });
	if (len == 0 || !api.core ||
		core_start(api.core, now, ota_buf_bytes(&anchor), NULL) != OTA_OK) {
		core_free(api.core);
		return 0;
	}
	fill_core(&api, now.utc_s);
	ask(&api, data[0] % (sizeof routes / sizeof routes[0]),
		(struct ota_bytes){ data + 1, len - 1 });
	ask(&api, 7, (struct ota_bytes){ 0 });
	core_free(api.core);
	return 0;
}
