/* ETag, If-Match and If-None-Match of the API of a real sluiced. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/integration/server.h"

enum { HEADER_CAP = 200 };

#define FLEET "{\"fleet\":\"test\",\"cohorts\":[{\"name\":\"%s\"}]}"

static struct server server;

static void start(void)
{
	server_init(&server);
	server_start(&server);
}

static void stop(void)
{
	server_fini(&server);
}

TestSuite(conditions, .init = start, .fini = stop);

static struct outcome ask(
	const char *method, const char *path, const char *body, const char *header)
{
	struct call call = { method, path, "admin", ota_bytes_of(body), header };

	return server_ask(&server, &call);
}

/* The status alone, of a request with If-Match or If-None-Match. */
static long ask_if(const char *method, const char *path, const char *body,
	const char *name, const char *value)
{
	char header[HEADER_CAP + 20];

	(void)snprintf(header, sizeof header, "%s: %s", name, value);
	OTA_AUTO(outcome_fini) struct outcome out = ask(method, path, body, header);
	return out.status;
}

static const char *fleet_of(const char *cohort)
{
	static char text[128];

	(void)snprintf(text, sizeof text, FLEET, cohort);
	return text;
}

static void expect_error(struct outcome *outcome, const char *name, const char *part)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;

	cr_assert_eq(ota_json_parse(ota_buf_bytes(&outcome->body), false, &tree, NULL),
		OTA_OK);
	cr_expect_str_eq(server_text(tree, "error.name"), name);
	cr_expect(strstr(server_text(tree, "error.text"), part), "%s",
		server_text(tree, "error.text"));
}

Test(conditions, a_change_of_what_was_not_seen_is_refused)
{
	OTA_AUTO(outcome_fini) struct outcome seen = ask("GET", "/fleet", "", NULL);
	OTA_AUTO(outcome_fini) struct outcome put = { 0 }, late = { 0 }, now = { 0 };
	char header[HEADER_CAP];

	cr_assert_eq(seen.status, 200);
	cr_assert_eq(strlen(seen.etag), 34, "%s", seen.etag);
	(void)snprintf(header, sizeof header, "If-Match: %s", seen.etag);
	put = ask("PUT", "/fleet", fleet_of("a"), header);
	cr_assert_eq(put.status, 200);
	cr_expect_str_neq(put.etag, seen.etag, "its answer has the new one");
	late = ask("PUT", "/fleet", fleet_of("b"), header);
	cr_expect_eq(late.status, 412);
	cr_expect_str_eq(late.etag, put.etag, "and so has the refusal");
	expect_error(&late, "STALE", put.etag);
	now = ask("GET", "/fleet", "", NULL);
	cr_expect_str_eq(now.etag, put.etag, "nothing was changed");
}

Test(conditions, any_and_lists_and_weak_tags_are_as_in_the_rfc)
{
	OTA_AUTO(outcome_fini) struct outcome seen = ask("GET", "/fleet", "", NULL);
	char list[HEADER_CAP - 20], weak[SERVER_ETAG_CAP + 4];

	(void)snprintf(list, sizeof list, "\"x\", %s", seen.etag);
	(void)snprintf(weak, sizeof weak, "W/%s", seen.etag);
	cr_expect_eq(ask_if("PUT", "/fleet", fleet_of("a"), "If-Match", weak), 412);
	cr_expect_eq(ask_if("PUT", "/fleet", fleet_of("a"), "If-Match", "\"x\""), 412);
	cr_expect_eq(ask_if("PUT", "/fleet", fleet_of("a"), "If-Match", "x"), 400);
	cr_expect_eq(ask_if("PUT", "/fleet", fleet_of("a"), "If-Match", list), 200);
	cr_expect_eq(ask_if("PUT", "/fleet", fleet_of("b"), "If-Match", "*"), 200);
	cr_expect_eq(ask_if("PUT", "/fleet", fleet_of("a"), "If-None-Match", "*"), 412);
	cr_expect_eq(ask_if("GET", "/fleet", "", "If-None-Match", "*"), 304);
}

Test(conditions, what_is_known_is_not_sent_again)
{
	OTA_AUTO(outcome_fini) struct outcome seen = ask("GET", "/rollouts", "", NULL);
	OTA_AUTO(outcome_fini) struct outcome again = { 0 }, later = { 0 };
	char header[HEADER_CAP];

	(void)snprintf(header, sizeof header, "If-None-Match: W/%s", seen.etag);
	again = ask("GET", "/rollouts", "", header);
	cr_expect_eq(again.status, 304);
	cr_expect_eq(again.body.len, 0);
	cr_expect_str_eq(again.etag, seen.etag);
	cr_assert_eq(ask_if("PUT", "/fleet", fleet_of("a"), "If-Match", "*"), 200);
	later = ask("GET", "/rollouts", "", header);
	cr_expect_eq(later.status, 200);
	cr_expect_str_neq(later.etag, seen.etag);
}

Test(conditions, two_lines_of_a_header_are_one_list)
{
	OTA_AUTO(outcome_fini) struct outcome seen = ask("GET", "/fleet", "", NULL);
	char header[HEADER_CAP];

	(void)snprintf(header, sizeof header, "\"x\"\r\nIf-Match: %s", seen.etag);
	cr_expect_eq(ask_if("PUT", "/fleet", fleet_of("a"), "If-Match", header), 200);
}

Test(conditions, a_device_is_let_in_as_it_was_seen)
{
	static const char body[] = "{\"id\":\"gw-1\",\"key\":"
				   "\"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f"
				   "2e4fbfccd80505bf1\",\"labels\":[\"%s\"]}";
	OTA_AUTO(outcome_fini) struct outcome seen = { 0 };
	char text[256];

	(void)snprintf(text, sizeof text, body, "ring=lab");
	cr_assert_eq(ask_if("POST", "/devices", text, "Accept", "*/*"), 200);
	seen = ask("GET", "/devices/gw-1", "", NULL);
	cr_assert_eq(strlen(seen.etag), 34);
	(void)snprintf(text, sizeof text, body, "ring=field");
	cr_assert_eq(ask_if("POST", "/devices", text, "Accept", "*/*"), 200);
	cr_expect_eq(
		ask_if("POST", "/devices/gw-1/release", "", "If-Match", seen.etag), 412);
	cr_expect_eq(ask_if("POST", "/devices/gw-1/release", "", "If-Match", "*"), 409);
}

Test(conditions, what_is_not_there_is_not_found_and_what_has_no_tag_matches_none)
{
	OTA_AUTO(outcome_fini) struct outcome list = { 0 };

	cr_expect_eq(ask_if("POST", "/rollouts/r/pause", "", "If-Match", "\"x\""), 404);
	cr_expect_eq(ask_if("POST", "/devices/d/release", "", "If-Match", "*"), 404);
	list = ask("POST", "/tokens", "{\"labels\":[],\"valid_s\":600}", "If-Match: *");
	cr_expect_eq(list.status, 412);
	cr_expect_str_eq(list.etag, "");
	expect_error(&list, "STALE", "POST /tokens has no ETag");
}

Test(conditions, documents_are_known_by_what_they_are)
{
	OTA_AUTO(outcome_fini)
	struct outcome seen = ask("GET", "/documents/root/current", "", NULL);
	OTA_AUTO(outcome_fini)
	struct outcome by_name = ask("GET", "/documents/root/1", "", NULL);

	cr_assert_eq(seen.status, 200);
	cr_expect_str_eq(seen.etag, by_name.etag);
	cr_expect_eq(
		ask_if("GET", "/documents/root/1", "", "If-None-Match", seen.etag), 304);
	cr_expect_eq(
		ask_if("GET", "/documents/root/2", "", "If-None-Match", seen.etag), 404);
}
