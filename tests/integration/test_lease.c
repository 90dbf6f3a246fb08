/* Several orchestrators over one PostgreSQL and one broker: one leads, and nothing of
 * another reaches a device. */
#include <criterion/criterion.h>

#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "proto/wire/documents.h"
#include "tests/integration/server.h"
#include "tests/unit/postgres_kit.h"

enum { TAKEOVER_MS = 15 * 1000 };

static struct postgres database;
static struct server a, b;
static struct observer observer;

/* What the fresh documents that came by say. */
static struct {
	unsigned count, backwards;
	uint64_t seq; /* of the last one */
	struct ota_digest catalog;
} fresh;

static void start(void)
{
	postgres_start(&database);
	(void)setenv("DATABASE_URL", database.url, 1);
	server_init(&a);
	server_init_beside(&b, &a);
	server_start(&a);
	server_start(&b);
}

static void stop(void)
{
	server_fini(&b);
	server_fini(&a);
	postgres_fini(&database);
}

TestSuite(lease, .init = start, .fini = stop, .timeout = 100);

static void look(const char *topic, struct ota_bytes payload)
{
	static struct ota_fresh doc;
	struct ota_envelope e;

	if (!strstr(topic, "/fresh"))
		return;
	cr_assert_eq(ota_envelope_parse(payload, &e, NULL), OTA_OK);
	cr_assert_eq(ota_fresh_parse(e.payload, &doc, NULL), OTA_OK);
	fresh.count++;
	fresh.backwards += doc.seq < fresh.seq;
	fresh.seq = doc.seq;
	fresh.catalog = doc.catalog;
}

static void observe(void)
{
	observer_open(&observer, &a);
	observer.look = look;
	cr_assert(peer_wait(&fresh.count, 1), "no fresh");
}

static bool leads(void *ctx)
{
	struct call call = { .method = "GET", .path = "/status", .key = "read" };

	return server_call(ctx, &call, NULL) == 200;
}

static bool is_newer(void *ctx)
{
	return fresh.seq > *(const uint64_t *)ctx;
}

/* b leads, has published, and that within the time that was promised. */
static void await_takeover(void)
{
	uint64_t from_ms = ota_clock_mono_ms(), seq = fresh.seq;

	cr_assert(server_wait(leads, &b), "the other does not lead");
	cr_expect_leq(ota_clock_mono_ms() - from_ms, TAKEOVER_MS);
	cr_assert(server_wait(is_newer, &seq), "it publishes nothing newer");
	cr_log_info("taken over in %" PRIu64 " ms, fresh %" PRIu64 " after %" PRIu64,
		ota_clock_mono_ms() - from_ms, fresh.seq, seq);
}

/* ---- somebody who is told what happens */

enum { TOLD_MAX = 64, ID_CAP = 64 };

static struct {
	struct MHD_Daemon *daemon; /* has a thread of its own */
	atomic_uint answer;        /* status of HTTP */
	atomic_uint refused, taken;
	char ids[TOLD_MAX][ID_CAP]; /* of those that were taken */
} told;

static enum MHD_Result take_event(void *cls, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *data,
	size_t *len, void **state)
{
	static char empty[1];
	unsigned answer = atomic_load(&told.answer), number;
	struct MHD_Response *response;
	enum MHD_Result queued;

	(void)cls, (void)url, (void)method, (void)version, (void)data;
	if (*len > 0 || !*state) {
		*len = 0;
		*state = empty;
		return MHD_YES;
	}
	if (answer != 200) {
		atomic_fetch_add(&told.refused, 1);
	} else {
		number = atomic_load(&told.taken);
		(void)snprintf(told.ids[number % TOLD_MAX], ID_CAP, "%s",
			MHD_lookup_connection_value(
				connection, MHD_HEADER_KIND, "webhook-id"));
		atomic_fetch_add(&told.taken, 1);
	}
	response = MHD_create_response_from_buffer(0, empty, MHD_RESPMEM_PERSISTENT);
	queued = MHD_queue_response(connection, answer, response);
	MHD_destroy_response(response);
	return queued;
}

static unsigned start_told(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const union MHD_DaemonInfo *info;

	atomic_store(&told.answer, 200);
	told.daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL,
		take_event, NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
	cr_assert_not_null(told.daemon);
	info = MHD_get_daemon_info(told.daemon, MHD_DAEMON_INFO_BIND_PORT);
	return info->port;
}

/* Start it with a webhook at that port. */
static void start_with_webhook(struct server *server, unsigned port)
{
	char path[BROKER_PATH_CAP];
	FILE *file = fopen(server_path(server, "told.secret", path), "we");

	cr_assert_not_null(file);
	cr_assert_eq(fchmod(fileno(file), 0600), 0);
	cr_assert_geq(
		fputs("whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n", file), 0);
	cr_assert_eq(fclose(file), 0);
	file = fopen(server_path(server, "sluiced.yaml", path), "ae");
	cr_assert_not_null(file);
	cr_assert_gt(fprintf(file,
			     "\nwebhooks:\n  - name: told\n    events: [token.add]\n"
			     "    url: http://127.0.0.1:%u/\n"
			     "    secret_file: told.secret\n",
			     port),
		0);
	cr_assert_eq(fclose(file), 0);
	server_start(server);
}

static bool has_taken(void *ctx)
{
	return atomic_load(&told.taken) >= *(const unsigned *)ctx;
}

static bool has_refused(void *ctx)
{
	(void)ctx;
	return atomic_load(&told.refused) > 0;
}

static void make_tokens(const struct server *server, unsigned count)
{
	struct call post = { "POST", "/tokens", "admin",
		ota_bytes_of("{\"labels\":[],\"valid_s\":600}"), NULL };

	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(server_call(server, &post, NULL), 200);
}

static struct ota_catalog catalog_of(uint64_t seq)
{
	uint64_t now = ota_clock_utc_s();
	struct ota_release release = sample_release();
	struct ota_catalog catalog = { .seq = seq,
		.issued_utc_s = now - 60,
		.expires_utc_s = now + 86400,
		.release_count = 1 };

	catalog.releases[0] = sample_name(OTA_DOC_RELEASE, &release);
	return catalog;
}

Test(lease, one_answers_and_the_others_tell_who)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf reply = { 0 };
	struct call status = { .method = "GET", .path = "/status", .key = "read" };
	struct call put = { "PUT", "/fleet", "admin",
		ota_bytes_of("{\"fleet\":\"test\",\"cohorts\":[{\"name\":\"all\"}]}"),
		NULL };
	struct call health = { .method = "GET", .path = "/healthz" };

	cr_assert_eq(server_call(&a, &put, NULL), 200);
	cr_expect_eq(server_call(&b, &put, NULL), 503);
	cr_expect_eq(server_call(&b, &status, &reply), 503);
	cr_expect_not_null(strstr(ota_buf_text(&reply), "stands by"));
	cr_expect_not_null(
		strstr(ota_buf_text(&reply), a.address), "%s", ota_buf_text(&reply));
	reply.len = 0;
	cr_expect_eq(server_call(&b, &health, &reply), 200);
	cr_expect_not_null(strstr(ota_buf_text(&reply), "\"standby\":true"));
	cr_expect_eq(server_stop(&b), 0);
}

Test(lease, when_the_leader_is_killed_another_leads)
{
	cJSON *fleet;
	struct call put = { "PUT", "/fleet", "admin",
		ota_bytes_of("{\"fleet\":\"test\",\"cohorts\":[{\"name\":\"all\"}]}"),
		NULL };

	observe();
	cr_assert_eq(server_call(&a, &put, NULL), 200);
	server_kill(&a);
	await_takeover();
	fleet = server_get(&b, "/fleet");
	cr_expect_str_eq(server_text(fleet, "cohorts.0.name"), "all");
	cJSON_Delete(fleet);
	cr_expect_eq(fresh.backwards, 0);
}

Test(lease, a_leader_that_stops_hands_over_at_once)
{
	uint64_t from_ms;

	observe();
	from_ms = ota_clock_mono_ms();
	cr_assert_eq(server_stop(&a), 0);
	await_takeover();
	cr_expect_leq(ota_clock_mono_ms() - from_ms, 6000);
}

/* Somebody asks a process that does not run; it finds the request when it wakes up. */
static pid_t ask_in_vain(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct ota_catalog catalog = catalog_of(7);

		_exit(server_post(&a, OTA_DOC_CATALOG, &catalog, "\x02") == 200);
	}
	return pid;
}

Test(lease, a_leader_that_was_frozen_publishes_nothing_more)
{
	struct ota_catalog catalog = catalog_of(1);
	struct ota_digest ours = sample_name(OTA_DOC_CATALOG, &catalog);
	uint64_t seq;
	int status = 0;
	pid_t asker;

	observe();
	cr_assert_eq(kill(a.pid, SIGSTOP), 0);
	asker = ask_in_vain();
	await_takeover();
	seq = fresh.seq;
	cr_assert_eq(kill(a.pid, SIGCONT), 0);
	cr_expect_eq(server_await(&a), 1, "it ends by itself");
	/* PostgreSQL ended the session, if it froze inside of a transaction */
	cr_expect(server_logged(&a, "event=lease.lost") ||
		  server_logged(&a, "event=ledger.failed"));
	cr_assert_eq(waitpid(asker, &status, 0), asker);
	cr_expect_eq(WEXITSTATUS(status), 0, "what nobody may decide was answered");
	cr_expect_eq(fresh.seq, seq);
	cr_assert_eq(server_post(&b, OTA_DOC_CATALOG, &catalog, "\x02"), 200);
	cr_assert(server_wait(is_newer, &seq));
	cr_expect_eq(fresh.seq, seq + 1);
	cr_expect(ota_digest_equal(&fresh.catalog, &ours));
	cr_expect_eq(fresh.backwards, 0);
}

Test(lease, a_restart_of_the_database_is_survived)
{
	struct ota_catalog catalog = catalog_of(1);
	uint64_t seq;

	observe();
	server_kill(&b);
	cr_assert_eq(server_post(&a, OTA_DOC_CATALOG, &catalog, "\x02"), 200);
	postgres_kill(&database);
	cr_expect_eq(server_await(&a), 1);
	cr_expect(server_logged(&a, "why=\"database: "));
	postgres_restart(&database);
	seq = fresh.seq;
	server_start(&a); /* as its supervisor would */
	cr_assert(server_wait(leads, &a));
	cr_assert(server_wait(is_newer, &seq));
	catalog = catalog_of(1);
	cr_expect(!ota_digest_is_zero(&fresh.catalog));
	cr_expect_eq(fresh.backwards, 0);
}

Test(lease, webhooks_are_told_by_who_leads_and_go_on_under_the_next)
{
	unsigned port = start_told(), want = 2;

	cr_assert_eq(server_stop(&b), 0);
	cr_assert_eq(server_stop(&a), 0);
	start_with_webhook(&a, port);
	cr_assert(server_wait(leads, &a));
	start_with_webhook(&b, port);
	make_tokens(&a, want);
	cr_assert(server_wait(has_taken, &want));
	atomic_store(&told.answer, 500);
	make_tokens(&a, 3);
	cr_assert(server_wait(has_refused, NULL));
	server_kill(&a);
	atomic_store(&told.answer, 200);
	cr_assert(server_wait(leads, &b), "the other does not lead");
	want = 5;
	cr_assert(server_wait(has_taken, &want));
	make_tokens(&b, 1);
	want = 6;
	cr_assert(server_wait(has_taken, &want));
	MHD_stop_daemon(told.daemon);
	cr_expect_eq(atomic_load(&told.taken), 6, "none came twice");
	for (unsigned i = 0; i < 6; i++)
		for (unsigned j = 0; j < i; j++)
			cr_expect_str_neq(told.ids[i], told.ids[j]);
}
