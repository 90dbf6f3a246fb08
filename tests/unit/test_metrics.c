#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/api_handlers.h"
#include "proto/base/own.h"
#include "proto/io/mqtt.h"
#include "tests/unit/api_kit.h"
#include "tests/unit/nomem_kit.h"

/* What the link and the probe say. */
static bool is_up;
static const char *probe = "waiting";

bool __wrap_ota_mqtt_is_up(const struct ota_mqtt *link);
const char *__wrap_publisher_probe_text(const struct publisher *publisher);

bool __wrap_ota_mqtt_is_up(const struct ota_mqtt *link)
{
	return link && is_up;
}

const char *__wrap_publisher_probe_text(const struct publisher *publisher)
{
	(void)publisher;
	return probe;
}

TestSuite(metrics, .init = api_kit_open, .fini = api_kit_close);

static char text[65536];

static enum ota_code ask(struct ota_error *err)
{
	OTA_AUTO(api_reply_fini) struct api_reply reply = { 0 };
	const struct api_request request = { .method = "GET", .path = "/metrics" };
	enum ota_code rc = api_get_metrics(&api_kit.api, &request, &reply, err);

	text[0] = '\0';
	if (rc != OTA_OK)
		return rc;
	cr_assert_lt(reply.body.len, sizeof text);
	memcpy(text, reply.body.at, reply.body.len);
	text[reply.body.len] = '\0';
	cr_expect_eq(reply.status, 200u);
	cr_expect_str_eq(reply.type, "text/plain; version=0.0.4; charset=utf-8");
	return rc;
}

static void look(void)
{
	struct ota_error err = { 0 };

	cr_assert_eq(ask(&err), OTA_OK, "%s", err.text);
}

/* True if a line of its own says it. */
static bool says(const char *line)
{
	char whole[256];

	(void)snprintf(whole, sizeof whole, "\n%s\n", line);
	return strstr(text, whole) != NULL;
}

static void expect(const char *line)
{
	cr_expect(says(line), "'%s' is not in\n%s", line, text);
}

/* ---- the format */

Test(metrics, each_family_is_named_once_before_its_samples)
{
	const char *line, *end;
	char family[128] = "";
	unsigned families = 0;

	api_kit_rollout("r-1");
	look();
	for (line = text; *line; line = end + 1) {
		end = strchr(line, '\n');
		cr_assert_not_null(end, "the last line has no end");
		if (sscanf(line, "# HELP %127s", family) == 1) {
			char type[160];

			families++;
			(void)snprintf(type, sizeof type, "\n# TYPE %s ", family);
			cr_expect(strstr(end, type) == end, "%s has no type", family);
			cr_expect_null(strstr(end + 1, type), "%s comes twice", family);
			continue;
		}
		if (*line != '#')
			cr_expect_eq(memcmp(line, family, strlen(family)), 0,
				"%.40s is not of %s", line, family);
	}
	cr_expect_geq(families, 20);
}

Test(metrics, an_empty_fleet_has_zeros_and_no_rollouts)
{
	look();
	expect("sluice_build_info{version=\"" SLUICE_VERSION "\"} 1");
	expect("sluice_devices_online 0");
	expect("sluice_devices_pending 0");
	expect("sluice_alarms 0");
	expect("sluice_audit_entries_total 0");
	expect("sluice_published_bytes_total 0");
	expect("sluice_full_bytes 0");
	expect("sluice_saved_ratio 0.000");
	expect("sluice_outbox_messages 0");
	expect("sluice_messages_received_total 0");
	expect("sluice_http_streams 0");
	cr_expect_null(strstr(text, "sluice_rollout_state{"));
	cr_expect_null(strstr(text, "sluice_stage_devices{"));
	cr_expect_null(strstr(text, "sluice_http_requests_total{"));
}

Test(metrics, devices_count_by_their_state)
{
	fw_add_devices(api_kit.world, "lab", 3, FW_GOOD);
	look();
	expect("sluice_devices{state=\"idle\"} 3");
	expect("sluice_devices_online 3");
	expect("sluice_document_expiry_timestamp_seconds{type=\"root\",rollout=\"\"} "
	       "1831536000");
}

Test(metrics, a_rollout_is_told_until_it_is_over)
{
	api_kit_rollout("r-1");
	look();
	cr_expect_not_null(strstr(text,
		"sluice_rollout_state{rollout=\"r-1\",state=\"waiting-for-grant\"} 1"));
	expect("sluice_stage_devices{rollout=\"r-1\",stage=\"lab\",state=\"pending\"} 2");
	expect("sluice_stage_devices{rollout=\"r-1\",stage=\"lab\",state=\"failed\"} 0");
	cr_assert_eq(fw_steer(api_kit.world, "r-1", "abort"), OTA_OK);
	look();
	cr_expect_null(strstr(text, "rollout=\"r-1\""));
}

Test(metrics, bytes_are_those_of_the_ledger)
{
	const struct ota_digest patch = { { 1 } };

	cr_assert_eq(ledger_count_patch(api_kit.ledger, &patch, 1000, NULL), OTA_OK);
	cr_assert_eq(ledger_count_again(api_kit.ledger, 77, NULL), OTA_OK);
	look();
	expect("sluice_published_bytes_total 1000");
	expect("sluice_republished_bytes_total 77");
}

Test(metrics, answers_count_by_route_and_status_and_the_rest_without_one)
{
	struct api_request request = { .method = "GET", .path = "/devices/gw-1" };
	const struct api_route *route = api_route_of(&request);

	api_count(&api_kit.api, route, 200);
	api_count(&api_kit.api, route, 200);
	api_count(&api_kit.api, route, 599); /* has no place */
	api_count(&api_kit.api, NULL, 401);
	api_kit.api.counts.streams = 9;
	look();
	expect("sluice_http_requests_total{method=\"GET\",route=\"/devices/{}\","
	       "code=\"200\"} 2");
	expect("sluice_http_requests_total{method=\"GET\",route=\"/devices/{}\","
	       "code=\"500\"} 1");
	expect("sluice_http_requests_total{method=\"\",route=\"\",code=\"401\"} 1");
	expect("sluice_http_streams 9");
}

Test(metrics, the_broker_is_there_once_it_is_connected_and_fit_once_it_was_probed)
{
	api_kit.api.link = (struct ota_mqtt *)&is_up;
	look();
	expect("sluice_broker_connected 0");
	expect("sluice_broker_probe_ok 0");
	is_up = true;
	look();
	expect("sluice_broker_connected 1");
	expect("sluice_broker_probe_ok 0");
	probe = "ok";
	look();
	expect("sluice_broker_probe_ok 1");
	api_kit.api.link = NULL;
	look();
	expect("sluice_broker_connected 0");
}

Test(metrics, the_process_is_measured)
{
	unsigned long long bytes = 0;
	const char *at;

	look();
	at = strstr(text, "\nprocess_resident_memory_bytes ");
	cr_assert_not_null(at);
	cr_assert_eq(sscanf(at, " process_resident_memory_bytes %llu", &bytes), 1);
	cr_expect_gt(bytes, 1000000);
	cr_expect_not_null(strstr(text, "\nprocess_cpu_seconds_total "));
}

/* ---- failures */

Test(metrics, a_ledger_that_cannot_be_read_is_no_zero)
{
	struct ota_error err = { 0 };

	api_kit_sql("ALTER TABLE numbers RENAME TO elsewhere");
	cr_expect_eq(ask(&err), OTA_E_IO);
	cr_expect_str_eq(err.text, "metrics");
}

/* Without a rollout: the core, which looks at its devices then, ends without memory. */
Test(metrics, half_an_answer_for_lack_of_memory_is_none, .timeout = 60)
{
	enum ota_code rc = OTA_E_NOMEM;
	bool failed = true;
	unsigned refused = 0;

	api_count(&api_kit.api, NULL, 401);
	for (long nth = 0; failed; nth++) {
		cr_assert_lt(nth, 10000);
		nomem_arm(nth);
		rc = ask(NULL);
		failed = nomem_disarm();
		refused += rc == OTA_E_NOMEM;
		cr_assert(rc == OTA_E_NOMEM || says("sluice_http_streams 0"), "%s", text);
	}
	cr_expect_eq(rc, OTA_OK);
	cr_expect_gt(refused, 0);
}

/* ---- ready */

static const struct {
	bool stands_by;
	bool link, up;
	const char *probe;
	unsigned status;
	const char *body;
} readies[] = {
	{ false, true, true, "ok", 200,
		"{\"ready\":true,\"leader\":true,\"broker\":true}" },
	{ false, true, true, "waiting", 503,
		"{\"ready\":false,\"leader\":true,\"broker\":false}" },
	{ false, true, false, "ok", 503,
		"{\"ready\":false,\"leader\":true,\"broker\":false}" },
	{ false, false, true, "ok", 503,
		"{\"ready\":false,\"leader\":true,\"broker\":false}" },
	{ true, true, true, "ok", 503,
		"{\"ready\":false,\"leader\":false,\"broker\":false}" },
};

Test(metrics, ready_is_who_leads_with_a_broker_that_is_fit)
{
	static const struct ledger_leader other = { "other", "x:1" };

	for (size_t i = 0; i < sizeof readies / sizeof readies[0]; i++) {
		OTA_AUTO(api_reply_fini) struct api_reply reply = { 0 };
		struct ota_bytes body;

		api_kit.api.standby = readies[i].stands_by ? &other : NULL;
		api_kit.api.link = readies[i].link ? (struct ota_mqtt *)&is_up : NULL;
		is_up = readies[i].up;
		probe = readies[i].probe;
		api_ready(&api_kit.api, &reply);
		body = ota_buf_bytes(&reply.body);
		cr_expect_eq(reply.status, readies[i].status, "%zu", i);
		cr_expect(ota_bytes_equal(body, ota_bytes_of(readies[i].body)),
			"%zu: %.*s", i, (int)body.len, (const char *)body.at);
	}
}

Test(metrics, ready_without_the_memory_to_say_so_is_not_ready)
{
	OTA_AUTO(api_reply_fini) struct api_reply reply = { 0 };

	api_kit.api.link = (struct ota_mqtt *)&is_up;
	is_up = true;
	probe = "ok";
	nomem_arm(0);
	api_ready(&api_kit.api, &reply);
	cr_assert(nomem_disarm());
	cr_expect_eq(reply.status, 503u);
}
