/* Idempotency-Key of the API of a real sluiced, over kill -9 at each of its steps. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/integration/server.h"
#include "tests/integration/steps.h"
#include "tests/unit/postgres_kit.h"

enum {
	HEADER_CAP = 200,
	ROUNDS_MAX = 6, /* of a sweep, where something else takes a step in between */
	STEPS_SWEPT = 8,
	DATABASE_LEN_MAX = 1 << 24,
};

#define KEY   "0123456789abcdef"
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

TestSuite(once, .init = start, .fini = stop);

/* Under an Idempotency-Key, with more header lines behind it if it holds them. */
static struct outcome ask_as(const char *who, const char *key, const char *method,
	const char *path, const char *body)
{
	char header[HEADER_CAP];
	struct call call = { method, path, who, ota_bytes_of(body), header };

	(void)snprintf(header, sizeof header, "Idempotency-Key: %s", key);
	return server_ask(&server, &call);
}

static struct outcome put_fleet(const char *key, const char *cohort)
{
	char body[128];

	(void)snprintf(body, sizeof body, FLEET, cohort);
	return ask_as("admin", key, "PUT", "/fleet", body);
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
	return a->status == b->status && strcmp(a->etag, b->etag) == 0 &&
	       a->body.len == b->body.len &&
	       memcmp(a->body.at, b->body.at, a->body.len) == 0;
}

/* Entries of the audit trail with an action. */
static unsigned count_audit(const char *action)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = server_get(&server, "/audit?limit=1000");
	const cJSON *entry;
	unsigned count = 0;

	cr_assert_not_null(tree);
	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(tree, "entries"))
	{
		count += strcmp(server_text(entry, "action"), action) == 0;
	}
	return count;
}

/* ---- what a key does */

Test(once, the_same_again_is_answered_the_same_and_done_once)
{
	OTA_AUTO(outcome_fini) struct outcome first = put_fleet(KEY, "a");
	OTA_AUTO(outcome_fini) struct outcome other = put_fleet(KEY "-other", "b");
	OTA_AUTO(outcome_fini) struct outcome again = put_fleet(KEY, "a");
	OTA_AUTO(outcome_fini) struct outcome quoted = put_fleet("\"" KEY "\"", "a");

	cr_assert_eq(first.status, 200);
	cr_expect_not(first.replayed);
	cr_expect_not(other.replayed);
	cr_expect(again.replayed);
	cr_expect(
		is_same(&first, &again), "to the letter, though it is another fleet now");
	cr_expect(quoted.replayed);
	cr_expect_eq(count_audit("fleet.set"), 2);
	server_kill(&server);
	server_start(&server);
	OTA_AUTO(outcome_fini) struct outcome later = put_fleet(KEY, "a");
	cr_expect(later.replayed);
	cr_expect(is_same(&first, &later));
	cr_expect_eq(count_audit("fleet.set"), 2);
}

Test(once, a_key_is_for_one_request_of_one_who_asks)
{
	static const char token[] = "{\"labels\":[],\"valid_s\":600}";
	OTA_AUTO(outcome_fini)
	struct outcome first = ask_as("enrol", KEY, "POST", "/tokens", token);
	OTA_AUTO(outcome_fini)
	struct outcome body = ask_as(
		"enrol", KEY, "POST", "/tokens", "{\"labels\":[],\"valid_s\":601}");
	OTA_AUTO(outcome_fini)
	struct outcome path = ask_as("enrol", KEY, "POST", "/devices", token);
	OTA_AUTO(outcome_fini)
	struct outcome query = ask_as("enrol", KEY, "POST", "/tokens?a=b", token);
	OTA_AUTO(outcome_fini)
	struct outcome else_ = ask_as("admin", KEY, "POST", "/tokens", token);

	cr_assert_eq(first.status, 200);
	cr_expect_eq(body.status, 422);
	cr_expect(strstr(ota_buf_text(&body.body), "\"name\":\"REUSED\""));
	cr_expect_eq(path.status, 422);
	cr_expect_eq(query.status, 422);
	cr_expect_eq(else_.status, 200);
	cr_expect_not(else_.replayed);
	cr_expect_not(is_same(&first, &else_), "another token");
	cr_expect_eq(count_audit("token.add"), 2);
}

Test(once, a_key_is_bounded)
{
	static const char *const wrong[] = { "short", "", "0123456789abcde ", "\"0123\"",
		"0123456789abcdef,x", "\"0123456789abcdef", "0123456789abcd\xc3\xa9" };
	char text[160];

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		OTA_AUTO(outcome_fini) struct outcome out = put_fleet(wrong[i], "a");

		/* libcurl sends no header without a value */
		cr_expect_eq(out.status, wrong[i][0] ? 400 : 200, "%s", wrong[i]);
	}
	for (size_t len = 128; len <= 129; len++) {
		(void)snprintf(text, sizeof text, "%0*d", (int)len, 1);
		OTA_AUTO(outcome_fini) struct outcome out = put_fleet(text, "a");
		cr_expect_eq(out.status, len == 128 ? 200 : 400);
	}
}

Test(once, what_was_refused_and_changed_nothing_is_tried_anew)
{
	OTA_AUTO(outcome_fini)
	struct outcome no = ask_as("admin", KEY, "POST", "/rollouts/r/pause", "");
	OTA_AUTO(outcome_fini)
	struct outcome again = ask_as("admin", KEY, "POST", "/rollouts/r/pause", "");
	OTA_AUTO(outcome_fini) struct outcome put = put_fleet(KEY, "a");

	cr_expect_eq(no.status, 404);
	cr_expect_eq(again.status, 404);
	cr_expect_not(again.replayed);
	cr_expect_eq(put.status, 200, "the key is free");
}

#define DEVICE "{\"id\":\"gw-1\",\"key\":\"%s\",\"labels\":[]}"

Test(once, a_refusal_that_left_something_behind_is_kept)
{
	static const char *const keys[] = {
		"6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
		"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
	};
	char body[256];

	(void)snprintf(body, sizeof body, DEVICE, keys[0]);
	OTA_AUTO(outcome_fini)
	struct outcome added = ask_as("enrol", KEY, "POST", "/devices", body);
	(void)snprintf(body, sizeof body, DEVICE, keys[1]);
	OTA_AUTO(outcome_fini)
	struct outcome second = ask_as("enrol", KEY "-2", "POST", "/devices", body);
	OTA_AUTO(outcome_fini)
	struct outcome again = ask_as("enrol", KEY "-2", "POST", "/devices", body);

	cr_expect_eq(added.status, 200);
	cr_expect_eq(second.status, 409);
	cr_expect(again.replayed);
	cr_expect(is_same(&second, &again));
	cr_expect_eq(count_audit("device.second-key"), 1);
}

Test(once, who_asks_again_is_not_held_to_what_it_changed_itself)
{
	OTA_AUTO(outcome_fini) struct outcome seen = put_fleet(KEY "-0", "a");
	char lines[HEADER_CAP - 20];

	(void)snprintf(lines, sizeof lines, KEY "\r\nIf-Match: %s", seen.etag);
	OTA_AUTO(outcome_fini) struct outcome first = put_fleet(lines, "b");
	OTA_AUTO(outcome_fini) struct outcome again = put_fleet(lines, "b");
	cr_expect_eq(first.status, 200);
	cr_expect(again.replayed);
	cr_expect(is_same(&first, &again));
}

static bool file_has(const char *name, const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	char path[BROKER_PATH_CAP];

	return ota_file_read(server_path(&server, name, path), DATABASE_LEN_MAX, &bytes,
		       NULL) == OTA_OK &&
	       memmem(bytes.at, bytes.len, text, strlen(text)) != NULL;
}

Test(once, the_ledger_tells_nobody_a_token_nor_a_key)
{
	OTA_AUTO(outcome_fini)
	struct outcome made = ask_as("enrol", "a-key-nobody-knows", "POST", "/tokens",
		"{\"labels\":[],\"valid_s\":600}");
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;

	cr_assert_eq(made.status, 200);
	cr_assert_eq(
		ota_json_parse(ota_buf_bytes(&made.body), false, &tree, NULL), OTA_OK);
	cr_assert(file_has("state/sluiced.db-wal", server_text(tree, "id")),
		"or nothing is looked at");
	cr_expect_not(file_has("state/sluiced.db-wal", server_text(tree, "token")));
	cr_expect_not(file_has("state/sluiced.db-wal", "a-key-nobody-knows"));
}

/* ---- killed between the act and the answer */

TestSuite(once_killed, .timeout = 120);

static struct postgres postgres; /* pid 0: not in use */

/* An empty database, in the environment of what is started next. */
static void use_database(struct postgres *database)
{
	static unsigned count;
	char sql[64];

	*database = (struct postgres){ 0 };
	if (!postgres.pid)
		return;
	(void)snprintf(sql, sizeof sql, "CREATE DATABASE once_%u", ++count);
	cr_assert(postgres_run(&postgres, sql));
	(void)snprintf(database->url, sizeof database->url,
		"postgresql://sluice@/once_%u?host=%s", count, postgres.dir);
	(void)setenv("DATABASE_URL", database->url, 1);
}

static void start_armed(unsigned step)
{
	char steps[BROKER_PATH_CAP], wait[BROKER_PATH_CAP], text[32];

	server.program = SLUICED_STEPS;
	(void)snprintf(text, sizeof text, "%u,%d", step, SIGKILL);
	(void)setenv(STEPS_PATH, server_path(&server, "steps", steps), 1);
	(void)setenv(STEPS_WAIT, server_path(&server, "armed", wait), 1);
	(void)setenv(STEPS_STRIKE, text, 1);
	server_start(&server);
	(void)unsetenv(STEPS_PATH);
	(void)unsetenv(STEPS_WAIT);
	(void)unsetenv(STEPS_STRIKE);
}

static bool is_published(void *ctx)
{
	OTA_AUTO(ota_json_fini) cJSON *status = server_get(&server, "/status");

	(void)ctx;
	return status && server_number(status, "outbox") == 0 &&
	       strcmp(server_text(status, "broker.probe"), "ok") == 0;
}

/* From now on steps count. */
static void pull_trigger(void)
{
	char path[BROKER_PATH_CAP];
	ota_autoclose int fd = open(server_path(&server, "armed", path),
		O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
}

/* Asked again after the kill. True if it had been done before it. */
static bool is_done_once(const struct postgres *database)
{
	bool done;

	cr_assert_eq(server_await(&server), 128 + SIGKILL, "it was struck");
	cr_assert(file_has("steps", (char[]){ STEP_STRUCK, 0 }));
	if (postgres.pid) /* as time would, which the test does not wait for */
		cr_assert(postgres_run(
			database, "UPDATE sluice.lease SET expires = '-infinity'"));
	server_start(&server);
	done = count_audit("fleet.set") == 2;
	OTA_AUTO(outcome_fini) struct outcome again = put_fleet(KEY, "b");
	cr_expect_eq(again.status, 200);
	cr_expect_eq(
		again.replayed, done, "its answer was kept if and only if it was done");
	cr_expect_eq(count_audit("fleet.set"), 2);
	return done;
}

/* False if the request was answered before so many steps were taken. */
static bool strike(unsigned step, bool *done)
{
	struct postgres database;
	long status;

	use_database(&database);
	server_init(&server);
	start_armed(step);
	OTA_AUTO(outcome_fini) struct outcome before = put_fleet(KEY "-before", "a");
	cr_assert_eq(before.status, 200);
	cr_assert(server_wait(is_published, NULL));
	pull_trigger();
	OTA_AUTO(outcome_fini) struct outcome struck = put_fleet(KEY, "b");
	status = struck.status;
	cr_assert(status == 0 || status == 200, "%ld", status);
	if (status == 0)
		*done = is_done_once(&database);
	server_fini(&server);
	(void)unsetenv("DATABASE_URL");
	return status == 0;
}

/* Killed before its transaction begins, before it is committed, and once it is. */
static void sweep(void)
{
	bool before = false, after = false;

	for (int round = 0; round < ROUNDS_MAX && !(before && after); round++)
		for (unsigned step = 1; step <= STEPS_SWEPT; step++) {
			bool done = false;

			if (!strike(step, &done))
				break;
			before = before || !done;
			after = after || done;
		}
	cr_assert(before, "it was killed before the act");
	cr_assert(after, "it was killed between the act and the answer");
}

Test(once_killed, at_every_step_of_a_request_with_sqlite)
{
	sweep();
}

Test(once_killed, at_every_step_of_a_request_with_postgresql)
{
	if (!postgres_is_there())
		cr_skip_test("PostgreSQL is not installed");
	postgres_start(&postgres);
	sweep();
	postgres_fini(&postgres);
}
