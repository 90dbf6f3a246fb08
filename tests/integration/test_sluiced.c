/* The orchestrator as a process, against a real broker. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "tests/integration/server.h"

enum { IMAGE_LEN = 3 << 20, CHANGED_LEN = 1 << 20 };

static struct server server;
static struct observer observer;
static uint8_t old_image[IMAGE_LEN], new_image[IMAGE_LEN];

/* Noise, so that a patch has about as many chunks as bytes were changed. */
static void fill(uint8_t *out, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		out[i] = (uint8_t)(seed >> 56);
	}
}

static void start(void)
{
	server_init(&server);
	fill(old_image, IMAGE_LEN, 1);
	memcpy(new_image, old_image, IMAGE_LEN);
	fill(new_image + IMAGE_LEN / 2, CHANGED_LEN, 2);
}

static void stop(void)
{
	server_fini(&server);
}

TestSuite(sluiced, .init = start, .fini = stop);

static struct ota_bytes image_bytes(const uint8_t *image)
{
	return (struct ota_bytes){ image, IMAGE_LEN };
}

static long put_image(const uint8_t *image, const struct ota_digest *name)
{
	char hex[OTA_DIGEST_HEX_CAP], path[128];
	struct call call = { "PUT", path, "admin", image_bytes(image), NULL };

	ota_digest_hex(name, hex);
	(void)snprintf(path, sizeof path, "/images/%s", hex);
	return server_call(&server, &call, NULL);
}

static long ask(const char *method, const char *path, const char *key, const char *body)
{
	struct call call = { method, path, key, ota_bytes_of(body), NULL };

	return server_call(&server, &call, NULL);
}

/* ---- a fleet that can be updated */

static struct ota_release release_of(const uint8_t *image, uint64_t counter)
{
	struct ota_release release = { .counter = counter,
		.hardware_count = 1,
		.image = ota_digest_of(image_bytes(image)),
		.image_len = IMAGE_LEN };

	(void)snprintf(release.product, sizeof release.product, "gateway");
	(void)snprintf(
		release.version, sizeof release.version, "%u.0", (unsigned)counter);
	(void)snprintf(release.hardware[0], OTA_NAME_CAP, "gw-100");
	return release;
}

static void post_documents(void)
{
	struct ota_release old = release_of(old_image, 1), new = release_of(new_image, 2);
	uint64_t now = ota_clock_utc_s();
	struct ota_catalog catalog = { .seq = 1,
		.issued_utc_s = now - 60,
		.expires_utc_s = now + 86400,
		.release_count = 2 };
	struct ota_grant grant = { .seq = 1,
		.max_permille = 1000,
		.not_before_utc_s = now - 60,
		.issued_utc_s = now - 60,
		.expires_utc_s = now + 86400 };

	catalog.releases[0] = sample_name(OTA_DOC_RELEASE, &old);
	catalog.releases[1] = sample_name(OTA_DOC_RELEASE, &new);
	grant.release = catalog.releases[1];
	cr_assert_eq(server_post(&server, OTA_DOC_RELEASE, &old, "\x02"), 200);
	cr_assert_eq(server_post(&server, OTA_DOC_RELEASE, &new, "\x02"), 200);
	cr_assert_eq(server_post(&server, OTA_DOC_CATALOG, &catalog, "\x02"), 200);
	cr_assert_eq(server_post(&server, OTA_DOC_GRANT, &grant, "\x03"), 200);
}

static void add_device(void)
{
	struct ota_public_key key = sample_public(SAMPLE_DEVICE_KEY);
	char hex[2 * OTA_PK_LEN + 1], body[256];

	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, hex);
	(void)snprintf(body, sizeof body,
		"{\"id\":\"gw-1\",\"key\":\"%s\",\"labels\":[\"ring=lab\"]}", hex);
	cr_assert_eq(ask("POST", "/devices", "admin", body), 200);
	cr_assert_eq(ask("PUT", "/fleet", "admin",
			     "{\"fleet\":\"test\",\"cohorts\":[{\"name\":\"all\"}]}"),
		200);
}

static struct ota_report report_of(uint64_t counter)
{
	struct ota_report report = sample_report();

	(void)snprintf(report.device, sizeof report.device, "gw-1");
	(void)snprintf(report.product, sizeof report.product, "gateway");
	(void)snprintf(report.hardware, sizeof report.hardware, "gw-100");
	(void)snprintf(report.version, sizeof report.version, "1.0");
	report.counter = counter;
	report.running = ota_digest_of(image_bytes(old_image));
	report.other = (struct ota_digest){ 0 };
	report.running_counter = 1;
	report.other_counter = 0;
	report.floor = 0;
	report.root = 1;
	report.cohort[0] = report.rollout[0] = report.error_text[0] = '\0';
	report.release = (struct ota_digest){ 0 };
	report.state = OTA_UPDATE_IDLE;
	report.error = report.wait = 0;
	return report;
}

static void publish_report(const struct ota_report *report, const char *keys)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_REPORT };
	OTA_AUTO(ota_buf_fini)
	struct ota_buf envelope = server_sign(OTA_DOC_REPORT, report, keys);

	(void)snprintf(topic.name, sizeof topic.name, "gw-1");
	observer_publish(&observer, &topic, ota_buf_bytes(&envelope), true);
}

static bool runs_1_0(void *ctx)
{
	OTA_AUTO(ota_json_fini) cJSON *device = server_get(&server, "/devices/gw-1");

	(void)ctx;
	return strcmp(server_text(device, "version"), "1.0") == 0;
}

static void report_and_wait(void)
{
	struct ota_report report = report_of(1);

	publish_report(&report, "\x05");
	cr_assert(server_wait(runs_1_0, NULL), "the report did not reach the core");
}

static void apply(void)
{
	struct ota_release new = release_of(new_image, 2);
	struct ota_digest name = sample_name(OTA_DOC_RELEASE, &new);
	char hex[OTA_DIGEST_HEX_CAP], body[512];

	ota_digest_hex(&name, hex);
	(void)snprintf(body, sizeof body,
		"{\"rollout\":\"r1\",\"release\":\"%s\",\"stages\":[{\"name\":\"one\","
		"\"cohort\":\"all\",\"permille\":1000,\"soak_s\":0}]}",
		hex);
	cr_assert_eq(ask("POST", "/rollouts", "admin", body), 200);
}

/* Everything up to the moment where a patch has to be made. */
static void set_up_fleet(void)
{
	struct ota_digest old = ota_digest_of(image_bytes(old_image));
	struct ota_digest new = ota_digest_of(image_bytes(new_image));

	add_device();
	post_documents();
	cr_assert_eq(put_image(old_image, &old), 200);
	cr_assert_eq(put_image(new_image, &new), 200);
	report_and_wait();
}

static bool order_is_out(void *ctx)
{
	return observer_count(&observer, *(const size_t *)ctx, "/order") > 0;
}

static bool outbox_is_empty(void *ctx)
{
	OTA_AUTO(ota_json_fini) cJSON *status = server_get(&server, "/status");

	(void)ctx;
	return server_number(status, "outbox") == 0;
}

/* Index of the first topic since `from` that contains part. */
static size_t first(size_t from, const char *part)
{
	for (size_t i = from; i < observer.count; i++)
		if (strstr(observer.seen[i].topic, part) != NULL)
			return i;
	return SEEN_MAX;
}

/* Chunks since `from` and before `to`. */
static size_t chunks_between(size_t from, size_t to)
{
	size_t count = 0;

	for (size_t i = from; i < to && i < observer.count; i++)
		count +=
			strstr(observer.seen[i].topic, "/patch/") != NULL &&
			strstr(observer.seen[i].topic, "/manifest") == NULL &&
			observer.seen[i].len > OTA_CHUNK_HEAD_LEN &&
			strstr(observer.seen[i].topic, "/patch/0000000000000000") == NULL;
	return count;
}

/* ---- HTTP */

Test(sluiced, a_key_opens_what_its_scope_allows)
{
	static const struct {
		const char *method, *path, *key;
		long status;
	} rows[] = {
		{ "GET", "/healthz", NULL, 200 },
		{ "GET", "/status", NULL, 401 },
		{ "GET", "/status", "nobody", 401 },
		{ "GET", "/nonsense", NULL, 401 },
		{ "GET", "/status", "read", 200 },
		{ "GET", "/nonsense", "read", 404 },
		{ "DELETE", "/status", "admin", 404 },
		{ "GET", "/devices/gw-9", "read", 404 },
		{ "GET", "/devices/gw-9/explain", "read", 404 },
		{ "GET", "/devices?limit=x", "read", 400 },
		{ "GET", "/devices?limit=5000", "read", 400 },
		{ "GET", "/documents/root/current", "read", 200 },
		{ "GET", "/documents/root/2", "read", 404 },
		{ "GET", "/documents/x/1", "read", 400 },
		{ "GET", "/audit/verify", "read", 200 },
		{ "PUT", "/fleet", "read", 403 },
		{ "PUT", "/fleet", "rollout", 403 },
		{ "PUT", "/fleet", "enrol", 403 },
		{ "POST", "/devices", "rollout", 403 },
		{ "POST", "/devices", "enrol", 400 },
		{ "POST", "/rollouts", "enrol", 403 },
		{ "POST", "/rollouts", "rollout", 400 },
		{ "POST", "/rollouts/x/pause", "rollout", 404 },
	};

	server_start(&server);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		cr_expect_eq(ask(rows[i].method, rows[i].path, rows[i].key, ""),
			rows[i].status, "%s %s as %s", rows[i].method, rows[i].path,
			rows[i].key ? rows[i].key : "nobody");
	cr_assert_eq(server_stop(&server), 0);
}

Test(sluiced, a_body_is_bounded_and_strict)
{
	static const struct {
		const char *body;
		long status;
	} rows[] = {
		{ "{\"fleet\":\"test\",\"cohorts\":[]}", 200 },
		{ "{\"fleet\":\"test\",\"fleet\":\"test\",\"cohorts\":[]}", 400 },
		{ "{\"fleet\":\"test\",\"cohorts\":[],\"more\":1}", 400 },
		{ "{\"fleet\":\"test\",\"cohorts\":null}", 400 },
		{ "{", 400 },
		{ "[[[[[[[[[[1]]]]]]]]]]", 413 },
	};
	static char big[(1 << 20) + 1];
	struct call call = { "PUT", "/fleet", "admin", ota_bytes_of("{}"), NULL };

	server_start(&server);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		cr_expect_eq(ask("PUT", "/fleet", "admin", rows[i].body), rows[i].status,
			"%s", rows[i].body);
	memset(big, ' ', sizeof big - 1);
	cr_expect_eq(ask("PUT", "/fleet", "admin", big), 400, "1 MiB of blanks");
	call.body = (struct ota_bytes){ (const uint8_t *)big, sizeof big };
	cr_expect_eq(server_call(&server, &call, NULL), 413);
	call.body = ota_bytes_of("{}");
	call.header = "Transfer-Encoding: chunked";
	cr_expect_eq(server_call(&server, &call, NULL), 400);
}

Test(sluiced, a_failure_has_one_form)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf reply = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct call call = { .method = "GET", .path = "/devices/g%2Fw", .key = "read" };

	server_start(&server);
	cr_assert_eq(server_call(&server, &call, &reply), 404);
	cr_assert_eq(ota_json_parse(ota_buf_bytes(&reply), false, &tree, NULL), OTA_OK);
	cr_expect_str_eq(server_text(tree, "error.name"), "NOTFOUND");
	cr_expect_eq(server_number(tree, "error.number"), OTA_E_NOTFOUND);
	cr_expect_neq(server_text(tree, "error.text")[0], '\0');
}

/* A connection to the API, for bytes that no library would send. */
static int raw_connect(void)
{
	const char *colon = strrchr(server.address, ':');
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

/* Send a text, and read what comes until the other end closes or has said a line. */
static void raw_ask(const char *text, char *answer, size_t cap)
{
	ota_autoclose int fd = raw_connect();
	ssize_t got;

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	got = read(fd, answer, cap - 1);
	answer[got > 0 ? got : 0] = '\0';
}

Test(sluiced, a_body_that_could_end_in_two_places_is_refused)
{
	static const char *const heads[] = {
		"Content-Length: 2\r\nTransfer-Encoding: chunked",
		"Content-Length: 2\r\nContent-Length: 3",
		"Content-Length: -2",
		"Content-Length: 2, 2",
	};

	server_start(&server);
	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		char text[512], answer[512];

		(void)snprintf(text, sizeof text,
			"PUT /api/v1/fleet HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n{}",
			heads[i]);
		raw_ask(text, answer, sizeof answer);
		cr_expect(strncmp(answer, "HTTP/1.1 400", 12) == 0 || !answer[0],
			"%s: %s", heads[i], answer);
	}
}

Test(sluiced, a_header_is_bounded_in_size_and_time)
{
	static char text[16384], answer[512];
	ota_autoclose int fd = -1;
	uint64_t began_ms, took_ms;

	server_start(&server);
	(void)snprintf(text, sizeof text,
		"GET /api/v1/healthz HTTP/1.1\r\nHost: x\r\nX: %09000d\r\n\r\n", 0);
	raw_ask(text, answer, sizeof answer);
	cr_expect_eq(strncmp(answer, "HTTP/1.1 413", 12), 0, "%s", answer);
	fd = raw_connect();
	began_ms = ota_clock_mono_ms();
	while (write(fd, "G", 1) == 1 && recv(fd, answer, 1, MSG_DONTWAIT) != 0)
		(void)peer_turn(500);
	took_ms = ota_clock_mono_ms() - began_ms;
	cr_expect_gt(took_ms, 8000);
	cr_expect_lt(took_ms, 15000);
}

Test(sluiced, an_image_with_another_digest_is_refused)
{
	struct ota_digest old = ota_digest_of(image_bytes(old_image));
	struct ota_digest new = ota_digest_of(image_bytes(new_image));
	char hex[OTA_DIGEST_HEX_CAP], path[128];

	server_start(&server);
	cr_assert_eq(put_image(new_image, &old), 400);
	ota_digest_hex(&old, hex);
	(void)snprintf(path, sizeof path, "/images/%s", hex);
	cr_assert_eq(ask("GET", path, "admin", ""), 404, "there is only HEAD");
	cr_assert_eq(put_image(old_image, &old), 200);
	cr_assert_eq(put_image(old_image, &old), 200, "twice is fine");
	cr_assert_eq(put_image(new_image, &new), 200);
	cr_assert_eq(ask("PUT", "/images/xyz", "admin", "hello"), 400);
	cr_assert_eq(ask("PUT", path, "read", "hello"), 403);
}

Test(sluiced, only_one_process_has_the_state)
{
	server_start(&server);
	cr_assert_eq(server_run(&server, NULL), 1);
	cr_assert_eq(server_run(&server, "check"), 0);
	cr_assert_eq(server_run(&server, "chekc"), 1);
}

Test(sluiced, an_online_key_that_others_may_read_is_refused)
{
	char path[BROKER_PATH_CAP];

	cr_assert_eq(chmod(server_path(&server, "online.key", path), 0644), 0);
	cr_assert_eq(server_run(&server, "check"), 1);
	cr_assert_eq(server_run(&server, NULL), 1);
	cr_assert_eq(chmod(path, 0600), 0);
	cr_assert_eq(server_run(&server, "check"), 0);
}

/* ---- publishing */

Test(sluiced, a_patch_is_out_before_what_names_it)
{
	size_t from, manifest, order, zero = 0;
	OTA_AUTO(ota_json_fini) cJSON *status = NULL;

	server_start(&server);
	observer_open(&observer, &server);
	set_up_fleet();
	from = observer.count;
	apply();
	cr_assert(server_wait(order_is_out, &from), "no order came");
	cr_assert(server_wait(outbox_is_empty, &zero));
	manifest = first(from, "/manifest");
	order = first(from, "/order");
	cr_expect_lt(manifest, order);
	cr_expect_geq(chunks_between(from, manifest), CHANGED_LEN / OTA_CHUNK_LEN);
	cr_expect_eq(chunks_between(manifest, observer.count), 0);
	status = server_get(&server, "/status");
	cr_expect_gt(server_number(status, "bytes.published"), CHANGED_LEN);
	cr_expect_lt(server_number(status, "bytes.published"), IMAGE_LEN);
	cr_expect_eq(server_number(status, "bytes.republished"), 0);
	cr_expect_str_eq(server_text(status, "broker.probe"), "ok");
	observer_close(&observer);
	cr_assert_eq(server_stop(&server), 0);
}

static bool saw_chunk(void *ctx)
{
	return chunks_between(*(const size_t *)ctx, observer.count) > 0;
}

Test(sluiced, kill_9_in_the_middle_of_publishing_is_harmless)
{
	size_t from, again, zero = 0;
	OTA_AUTO(ota_json_fini) cJSON *audit = NULL;

	server_start(&server);
	observer_open(&observer, &server);
	set_up_fleet();
	from = observer.count;
	apply();
	cr_assert(server_wait(saw_chunk, &from));
	server_kill(&server);
	(void)peer_turn(200);
	again = observer.count;
	server_start(&server);
	cr_assert(server_wait(order_is_out, &again), "no order after the restart");
	cr_assert(server_wait(outbox_is_empty, &zero));
	cr_expect_geq(chunks_between(again, first(again, "/manifest")),
		CHANGED_LEN / OTA_CHUNK_LEN);
	cr_expect_lt(first(again, "/manifest"), first(again, "/order"));
	audit = server_get(&server, "/audit/verify");
	cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(audit, "ok")));
	observer_close(&observer);
}

Test(sluiced, a_broker_that_forgot_is_told_again)
{
	size_t from, again, zero = 0;
	OTA_AUTO(ota_json_fini) cJSON *status = NULL;
	char store[BROKER_PATH_CAP];

	server_start(&server);
	observer_open(&observer, &server);
	set_up_fleet();
	from = observer.count;
	apply();
	cr_assert(server_wait(order_is_out, &from));
	cr_assert(server_wait(outbox_is_empty, &zero));
	broker_kill(&server.broker);
	(void)snprintf(
		store, sizeof store, "%.200s/state/mosquitto.db", server.broker.dir);
	(void)unlink(store);
	again = observer.count;
	broker_restart(&server.broker);
	cr_assert(peer_wait(&observer.ups, 2));
	cr_assert(server_wait(order_is_out, &again), "the order was not sent again");
	cr_expect_geq(chunks_between(again, observer.count), CHANGED_LEN / OTA_CHUNK_LEN);
	status = server_get(&server, "/status");
	cr_expect_gt(server_number(status, "bytes.republished"), CHANGED_LEN);
	observer_close(&observer);
}

static bool saw_chunk_4(void *ctx)
{
	return observer_count(&observer, *(const size_t *)ctx, "/0/4") > 0;
}

Test(sluiced, what_devices_need_is_sent_once_more)
{
	static const uint8_t bitmap[] = { 0x11, 0, 0, 0, 0, 0, 0, 0 };
	struct ota_topic topic = { .kind = OTA_TOPIC_NEED };
	struct ota_topic manifest;
	struct ota_need need;
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	size_t from, again, at, zero = 0;

	server_start(&server);
	observer_open(&observer, &server);
	set_up_fleet();
	from = observer.count;
	apply();
	cr_assert(server_wait(order_is_out, &from));
	cr_assert(server_wait(outbox_is_empty, &zero));
	at = first(from, "/manifest");
	cr_assert_eq(
		ota_topic_parse("test", observer.seen[at].topic, &manifest, NULL), 0);
	need.patch = manifest.digest;
	need.chunk_count = (uint32_t)((observer.seen[at].len - OTA_MANIFEST_HEAD_LEN) /
				      OTA_DIGEST_LEN) -
			   1; /* the last digest is that of the block table */
	need.bitmap = (struct ota_bytes){ bitmap, (need.chunk_count + 7) / 8 };
	cr_assert_eq(ota_need_encode(&need, &bytes), OTA_OK);
	(void)snprintf(topic.name, sizeof topic.name, "gw-1");
	again = observer.count;
	observer_publish(&observer, &topic, ota_buf_bytes(&bytes), false);
	(void)peer_turn(400);
	observer_publish(&observer, &topic, ota_buf_bytes(&bytes), false);
	cr_assert(server_wait(saw_chunk_4, &again));
	(void)peer_turn(1500);
	cr_expect_eq(chunks_between(again, observer.count), 2, "%zu",
		chunks_between(again, observer.count));
	observer_close(&observer);
}

/* ---- what devices say */

Test(sluiced, a_report_by_another_key_is_refused)
{
	struct ota_report report = report_of(1);

	server_start(&server);
	observer_open(&observer, &server);
	add_device();
	publish_report(&report, "\x77");
	(void)peer_turn(500);
	cr_expect_not(runs_1_0(NULL));
	publish_report(&report, "\x05");
	cr_expect(server_wait(runs_1_0, NULL));
	observer_close(&observer);
}

static bool stranger_was_refused(void *ctx)
{
	(void)ctx;
	return server_logged(&server, "device gw-1 is not registered");
}

Test(sluiced, what_a_device_said_before_it_was_registered_is_heard_afterwards)
{
	struct ota_report report = report_of(1);

	server_start(&server);
	observer_open(&observer, &server);
	publish_report(&report, "\x05");
	cr_assert(server_wait(stranger_was_refused, NULL));
	add_device();
	cr_expect(server_wait(runs_1_0, NULL));
	observer_close(&observer);
}
