#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "proto/wire/envelope.h"
#include "proto/wire/topics.h"
#include "tests/integration/agent_net.h"
#include "tests/integration/peer.h"
#include "tests/patch.h"

/* The real net process, a real Mosquitto, and a test that is orchestrator and install. */

enum { PATCH_LEN = 40 * OTA_CHUNK_LEN + 1000, N = 41 };

static const char *const clients[] = { "gw-1", NULL };
static struct broker broker;
static struct peer sluiced;
static struct agent_net net;
static struct test_patch patch;

static void start(void)
{
	broker_start(&broker, "127.0.0.1", clients);
	test_patch_init(&patch, PATCH_LEN, OTA_CHUNK_LEN, 1);
}

static void stop(void)
{
	broker_fini(&broker);
	test_patch_fini(&patch);
}

TestSuite(net, .init = start, .fini = stop);

static void open_both(const char *limits)
{
	struct ota_mqtt_config config = peer_config(&broker, "sluiced", "localhost");

	cr_assert(peer_open(&sluiced, &config));
	cr_assert(peer_wait(&sluiced.ups, 1), "%s", sluiced.why);
	agent_net_init(&net, &broker, limits);
	cr_assert(agent_net_start(&net));
	cr_assert(peer_wait(&net.count[IPC_UP], 1));
}

static void close_both(void)
{
	if (net.pid != 0)
		cr_expect_eq(agent_net_end(&net, SIGTERM), 0);
	agent_net_fini(&net);
	cr_assert(peer_close_all((struct peer *const[]){ &sluiced, NULL }));
}

static void publish(const struct ota_topic *topic, struct ota_bytes payload)
{
	char text[OTA_TOPIC_CAP];

	ota_topic_print("test", topic, text);
	cr_assert_eq(peer_publish(&sluiced, text, payload, true), OTA_OK);
}

static void publish_manifest(void)
{
	publish(&(struct ota_topic){ .kind = OTA_TOPIC_MANIFEST, .digest = patch.digest },
		ota_buf_bytes(&patch.manifest));
}

/* Publish chunk `index` with bytes that are its own or, to do harm, others. */
static void publish_as(uint32_t index, struct ota_bytes data)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf message = { 0 };
	struct ota_topic topic = {
		.kind = OTA_TOPIC_CHUNK, .digest = patch.digest, .index = index
	};

	cr_assert_eq(ota_chunk_encode(index, data, &message), OTA_OK);
	publish(&topic, ota_buf_bytes(&message));
}

static void publish_chunk(uint32_t index)
{
	publish_as(index, test_patch_chunk(&patch, index));
}

/* Chunks, their PUBACKs, then the manifest. */
static void publish_patch(void)
{
	unsigned before = sluiced.done_ok;

	for (uint32_t i = 0; i < N; i++)
		publish_chunk(i);
	cr_assert(peer_wait(&sluiced.done_ok, before + N));
	publish_manifest();
	cr_assert(peer_wait(&sluiced.done_ok, before + N + 1));
}

static void expect_spool_is_patch(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf data = { 0 };
	char path[256], hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&patch.digest, hex);
	(void)snprintf(path, sizeof path, "%s/%s/" SPOOL_DATA, net.spool, hex);
	cr_assert_eq(ota_file_read(path, PATCH_LEN, &data, NULL), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&data), ota_buf_bytes(&patch.bytes)));
}

/* The patch is in the spool, and every byte travelled once. */
static void expect_fetched(void)
{
	const struct ipc_message *fetched = &net.heard[IPC_FETCHED].head;

	cr_assert(peer_wait(&net.count[IPC_FETCHED], 1),
		"held %lu of %lu, failed %u: %.*s", net.heard[IPC_CHUNKS].head.a,
		net.heard[IPC_CHUNKS].head.b, net.count[IPC_FAILED],
		(int)net.heard[IPC_FAILED].head.payload.len,
		(const char *)net.heard[IPC_FAILED].head.payload.at);
	cr_expect_eq(fetched->a, N);
	cr_expect_eq(fetched->b, N);
	cr_expect_eq(fetched->d, 0, "%lu chunks fetched twice", fetched->d);
	expect_spool_is_patch();
}

static void ask_manifest(void)
{
	agent_net_ask(&net, IPC_MANIFEST, &patch.digest);
	cr_assert(peer_wait(&net.count[IPC_SPOOLED], 1));
}

static void ask_chunks(void)
{
	ask_manifest();
	agent_net_ask(&net, IPC_FETCH, &patch.digest);
}

static void start_again(void)
{
	cr_assert(agent_net_start(&net));
	cr_assert(peer_wait(&net.count[IPC_UP], 1));
	ask_chunks();
}

Test(net, a_patch_is_fetched_whole_and_each_byte_once)
{
	open_both("{rate: 0}");
	publish_patch();
	ask_chunks();
	expect_fetched();
	cr_expect_eq(net.heard[IPC_FETCHED].head.c, PATCH_LEN);
	agent_net_ask(&net, IPC_FETCH, &patch.digest);
	cr_assert(peer_wait(&net.count[IPC_FETCHED], 2), "what is there is there");
	cr_expect_eq(net.heard[IPC_FETCHED].head.c, PATCH_LEN);
	close_both();
}

Test(net, killed_anywhere_it_fetches_only_the_rest)
{
	open_both("{rate: 4M}");
	publish_patch();
	ask_chunks();
	for (uint32_t held = 0; held < N; held += 5) {
		(void)agent_net_wait_held(&net, &patch.digest, held);
		cr_expect(WIFSIGNALED(agent_net_end(&net, SIGKILL)));
		start_again();
	}
	expect_fetched();
	cr_expect_eq(net.heard[IPC_FETCHED].head.c, PATCH_LEN);
	close_both();
}

Test(net, a_broker_that_lost_everything_costs_only_the_rest)
{
	unsigned ups;

	open_both("{rate: 1M}");
	publish_patch();
	ask_chunks();
	cr_assert(agent_net_wait_held(&net, &patch.digest, 10));
	ups = sluiced.ups;
	broker_kill(&broker);
	broker_restart(&broker);
	cr_assert(peer_wait(&sluiced.ups, ups + 1));
	cr_assert(peer_wait(&net.count[IPC_UP], 2));
	cr_expect_eq(net.count[IPC_DOWN], 1);
	publish_patch();
	expect_fetched();
	close_both();
}

Test(net, a_wrong_chunk_is_dropped_and_asked_for_again)
{
	open_both("{rate: 0}");
	publish_patch();
	publish_as(7, test_patch_chunk(&patch, 8));
	publish_as(40, (struct ota_bytes){ patch.bytes.at, 10 });
	cr_assert(peer_wait(&sluiced.done_ok, N + 3));
	ask_chunks();
	cr_assert(agent_net_wait_held(&net, &patch.digest, N - 2));
	(void)peer_turn(500);
	cr_expect_eq(net.count[IPC_FETCHED], 0);
	publish_chunk(7);
	publish_chunk(40);
	expect_fetched();
	cr_expect_gt(net.heard[IPC_FETCHED].head.c, PATCH_LEN, "wrong bytes count");
	close_both();
}

Test(net, eight_wrong_chunks_fail_as_poison)
{
	open_both("{rate: 0}");
	for (uint32_t i = 0; i < N; i++)
		publish_as(i, test_patch_chunk(&patch, (i + 1) % (N - 1)));
	publish_manifest();
	cr_assert(peer_wait(&sluiced.done_ok, N + 1));
	ask_chunks();
	cr_assert(peer_wait(&net.count[IPC_FAILED], 1));
	cr_expect_eq(net.heard[IPC_FAILED].head.code, (uint32_t)OTA_E_POISON);
	cr_expect_eq(
		memcmp(net.heard[IPC_FAILED].head.payload.at, "8 wrong chunks", 14), 0);
	close_both();
}

/* The need that was heard, parsed. */
static struct ota_need expect_need(void)
{
	struct ota_need need = { 0 };

	/* Three times 5 s and up to 5 s of jitter: longer than one wait. */
	cr_assert(peer_wait(&sluiced.messages, 1) || peer_wait(&sluiced.messages, 1));
	cr_assert_str_eq(sluiced.topic, "sluice/1/test/need/gw-1");
	cr_expect_not(sluiced.retained);
	cr_assert_eq(
		ota_need_parse(ota_buf_bytes(&sluiced.payload), &need, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&need.patch, &patch.digest));
	return need;
}

Test(net, absent_chunks_are_needed_by_name)
{
	struct ota_need need;

	open_both("{rate: 0}");
	cr_assert_eq(peer_subscribe(&sluiced, "sluice/1/test/need/+"), OTA_OK);
	for (uint32_t i = 0; i < N; i++)
		if (i != 3 && i != 30)
			publish_chunk(i);
	publish_manifest();
	cr_assert(peer_wait(&sluiced.done_ok, N));
	ask_chunks();
	need = expect_need();
	cr_assert_eq(need.chunk_count, N);
	for (uint32_t i = 0; i < N; i++)
		cr_expect_eq(need.bitmap.at[i / 8] >> i % 8 & 1, i == 3 || i == 30);
	publish_chunk(3);
	publish_chunk(30);
	expect_fetched();
	close_both();
}

Test(net, an_absent_manifest_is_needed_too)
{
	struct ota_need need;

	open_both("{rate: 0}");
	cr_assert_eq(peer_subscribe(&sluiced, "sluice/1/test/need/+"), OTA_OK);
	agent_net_ask(&net, IPC_MANIFEST, &patch.digest);
	need = expect_need();
	cr_expect_eq(need.chunk_count, 0);
	publish_manifest();
	cr_assert(peer_wait(&net.count[IPC_SPOOLED], 1));
	close_both();
}

Test(net, a_patch_without_room_fails_with_numbers)
{
	const char *text = "spool: patch of 67108865 bytes, the spool may hold 67108864 "
			   "bytes";

	test_patch_fini(&patch);
	test_patch_init(&patch, (64 << 20) + 1, OTA_CHUNK_LEN, 2);
	open_both("{rate: 0}");
	publish_manifest();
	ask_chunks();
	cr_assert(peer_wait(&net.count[IPC_FAILED], 1));
	cr_expect_eq(net.heard[IPC_FAILED].head.code, (uint32_t)OTA_E_NOSPACE);
	cr_expect(ota_bytes_equal(net.heard[IPC_FAILED].head.payload, ota_bytes_of(text)),
		"%.*s", (int)net.heard[IPC_FAILED].head.payload.len,
		(const char *)net.heard[IPC_FAILED].head.payload.at);
	close_both();
}

Test(net, stop_stops_and_fetch_goes_on)
{
	uint64_t held;

	open_both("{rate: 1M}");
	publish_patch();
	ask_chunks();
	cr_assert(agent_net_wait_held(&net, &patch.digest, 10));
	agent_net_ask(&net, IPC_STOP, &patch.digest);
	(void)peer_turn(300);
	held = net.heard[IPC_CHUNKS].head.a;
	(void)peer_turn(700);
	cr_expect_eq(net.heard[IPC_CHUNKS].head.a, held, "stopped");
	agent_net_ask(&net, IPC_FETCH, &patch.digest);
	expect_fetched();
	agent_net_ask(&net, IPC_PURGE, &(struct ota_digest){ 0 });
	agent_net_ask(&net, IPC_FETCH, &patch.digest);
	cr_assert(peer_wait(&net.count[IPC_FAILED], 1), "nothing left to fetch into");
	cr_expect_eq(net.heard[IPC_FAILED].head.code, (uint32_t)OTA_E_NOTFOUND);
	close_both();
}

Test(net, the_outstanding_window_of_a_small_device_is_enough)
{
	struct ipc_message fetch = { .type = IPC_FETCH, .digest = patch.digest, .b = 1 };

	open_both("{rate: 0, chunks_outstanding: 4}");
	publish_patch();
	ask_manifest();
	agent_net_send(&net, &fetch);
	expect_fetched();
	close_both();
}

static void want(const char *cohort, uint8_t release, uint64_t root)
{
	struct ipc_message message = { .type = IPC_WANT, .a = root };

	message.digest.at[0] = release;
	(void)snprintf(message.name, sizeof message.name, "%s", cohort);
	agent_net_send(&net, &message);
}

/* A document arrives at install as it was published, with what its topic says. */
static void expect_doc(const struct ota_topic *topic, const char *text)
{
	const struct ipc_message *doc = &net.heard[IPC_DOC].head;
	unsigned before = net.count[IPC_DOC];

	publish(topic, ota_bytes_of(text));
	cr_assert(peer_wait(&net.count[IPC_DOC], before + 1), "%s", text);
	cr_expect_eq(doc->code, (uint32_t)topic->kind, "%s", text);
	cr_expect(ota_bytes_equal(doc->payload, ota_bytes_of(text)), "%s", text);
	cr_expect_str_eq(doc->name, topic->name, "%s", text);
	cr_expect(ota_digest_equal(&doc->digest, &topic->digest), "%s", text);
	cr_expect_eq(doc->a, topic->root, "%s", text);
}

Test(net, wanted_documents_pass_unread)
{
	struct ota_topic grant = { .kind = OTA_TOPIC_GRANT, .digest = { { 7 } } };

	open_both("{rate: 0}");
	want("canary", 7, 2);
	expect_doc(&(struct ota_topic){ .kind = OTA_TOPIC_FRESH }, "anything at all");
	expect_doc(&(struct ota_topic){ .kind = OTA_TOPIC_CATALOG }, "catalog");
	expect_doc(&(struct ota_topic){ .kind = OTA_TOPIC_ASSIGN, .name = "gw-1" },
		"assign");
	expect_doc(&(struct ota_topic){ .kind = OTA_TOPIC_ORDER, .name = "canary" },
		"order");
	expect_doc(&(struct ota_topic){ .kind = OTA_TOPIC_ROOT, .root = 2 }, "root");
	expect_doc(&grant, "grant");
	want("lab", 8, 3);
	grant.digest.at[0] = 8;
	expect_doc(&grant, "grant of another release");
	expect_doc(&(struct ota_topic){ .kind = OTA_TOPIC_ORDER, .name = "lab" }, "lab");
	close_both();
}

Test(net, unwanted_and_empty_documents_do_not_pass)
{
	open_both("{rate: 0}");
	want("canary", 7, 2);
	want("", 0, 0);
	publish(&(struct ota_topic){ .kind = OTA_TOPIC_ORDER, .name = "canary" },
		ota_bytes_of("order"));
	publish(&(struct ota_topic){ .kind = OTA_TOPIC_CATALOG },
		(struct ota_bytes){ 0 });
	expect_doc(&(struct ota_topic){ .kind = OTA_TOPIC_FRESH }, "fresh");
	cr_expect_eq(net.count[IPC_DOC], 1);
	close_both();
}

Test(net, each_document_that_is_cleared_is_no_news)
{
	const struct ota_topic topics[] = { { .kind = OTA_TOPIC_CATALOG },
		{ .kind = OTA_TOPIC_ASSIGN, .name = "gw-1" },
		{ .kind = OTA_TOPIC_ORDER, .name = "lab" },
		{ .kind = OTA_TOPIC_ROOT, .root = 2 },
		{ .kind = OTA_TOPIC_RELEASE, .digest = { { 7 } } },
		{ .kind = OTA_TOPIC_GRANT, .digest = { { 7 } } },
		{ .kind = OTA_TOPIC_FRESH } };
	enum { N_TOPICS = sizeof topics / sizeof topics[0] };

	open_both("{rate: 0}");
	want("lab", 7, 2);
	for (size_t i = 0; i < N_TOPICS; i++) {
		expect_doc(&topics[i], "something");
		publish(&topics[i], (struct ota_bytes){ 0 });
	}
	expect_doc(&topics[0], "what comes behind them");
	cr_expect_eq(net.count[IPC_DOC], N_TOPICS + 1);
	close_both();
}

/* Subscribe to a topic of gw-1 and expect its retained payload. */
static void expect_state(enum ota_topic_kind kind, const char *payload)
{
	struct ota_topic topic = { .kind = kind, .name = "gw-1" };
	char text[OTA_TOPIC_CAP];
	unsigned before = sluiced.messages;

	ota_topic_print("test", &topic, text);
	cr_assert_eq(peer_subscribe(&sluiced, text), OTA_OK);
	cr_assert(peer_wait(&sluiced.messages, before + 1));
	cr_expect(sluiced.retained);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&sluiced.payload), ota_bytes_of(payload)),
		"%.*s", (int)sluiced.payload.len, (const char *)sluiced.payload.at);
}

static void presence_of(bool online, char out[static OTA_ONLINE_CAP])
{
	struct ota_online presence = { .online = online };

	cr_assert_eq(net.heard[IPC_UP].head.payload.len, 16);
	ota_hex_encode(net.heard[IPC_UP].head.payload, presence.nonce);
	ota_online_print(&presence, out);
}

Test(net, presence_follows_the_process)
{
	static const int signals[] = { SIGKILL, SIGTERM };
	char online[OTA_ONLINE_CAP], offline[OTA_ONLINE_CAP];

	open_both("{rate: 0}");
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		unsigned before;

		presence_of(true, online);
		presence_of(false, offline);
		(void)peer_turn(100);
		expect_state(OTA_TOPIC_ONLINE, online);
		before = sluiced.messages;
		(void)agent_net_end(&net, signals[i]);
		cr_assert(peer_wait(&sluiced.messages, before + 1));
		cr_expect(ota_bytes_equal(
			ota_buf_bytes(&sluiced.payload), ota_bytes_of(offline)));
		cr_assert(agent_net_start(&net));
		cr_assert(peer_wait(&net.count[IPC_UP], 1));
	}
	close_both();
}

static void send_report(const char *text)
{
	struct ipc_message report = { .type = IPC_REPORT, .payload = ota_bytes_of(text) };

	agent_net_send(&net, &report);
}

Test(net, the_newest_report_is_retained_and_survives_the_broker)
{
	open_both("{rate: 0}");
	for (int i = 0; i < 100; i++)
		send_report("old");
	send_report("new");
	(void)peer_turn(500);
	expect_state(OTA_TOPIC_REPORT, "new");
	broker_kill(&broker);
	send_report("newer");
	broker_restart(&broker);
	cr_assert(peer_wait(&sluiced.ups, 2));
	cr_assert(peer_wait(&net.count[IPC_UP], 2));
	(void)peer_turn(500);
	expect_state(OTA_TOPIC_REPORT, "newer");
	close_both();
}

Test(net, an_installer_that_is_gone_ends_it)
{
	int status = 0;

	open_both("{rate: 0}");
	(void)shutdown(net.fd, SHUT_RDWR);
	cr_assert_eq(waitpid(net.pid, &status, 0), net.pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	net.pid = 0;
	uv_close((uv_handle_t *)&net.poll, NULL);
	(void)close(net.fd);
	close_both();
}

/* How often its log holds a text. */
static unsigned count_in_log(const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf log = { 0 };
	unsigned count = 0;

	if (ota_file_read(net.log, 1 << 20, &log, NULL) != OTA_OK)
		return 0;
	for (const char *at = ota_buf_text(&log); (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

static void wait_log(const char *text, unsigned times)
{
	uint64_t until_ms = ota_clock_mono_ms() + PEER_TIMEOUT_MS;

	while (count_in_log(text) < times && ota_clock_mono_ms() < until_ms)
		(void)peer_turn(5);
	cr_assert_geq(count_in_log(text), times, "%s", text);
}

Test(net, an_oversized_document_is_refused_and_the_next_one_passes)
{
	static uint8_t bytes[OTA_ENVELOPE_LEN_MAX + 1];
	const struct ota_topic fresh = { .kind = OTA_TOPIC_FRESH };

	open_both("{rate: 0}");
	publish(&fresh, (struct ota_bytes){ bytes, sizeof bytes });
	wait_log("event=net.refused", 1);
	cr_expect_eq(net.count[IPC_DOC], 0);
	expect_doc(&fresh, "a small one");
	close_both();
}

Test(net, progress_passes_to_whom_it_may_concern)
{
	const struct ipc_message progress = { .type = IPC_PROGRESS,
		.payload = ota_bytes_of("half of it") };

	open_both("{rate: 0}");
	cr_assert_eq(peer_subscribe(&sluiced, "sluice/1/test/progress/+"), OTA_OK);
	cr_assert(peer_wait(&sluiced.done_ok, 1));
	agent_net_send(&net, &progress);
	cr_assert(peer_wait(&sluiced.messages, 1));
	cr_expect_str_eq(sluiced.topic, "sluice/1/test/progress/gw-1");
	cr_expect(ota_bytes_equal(
		ota_buf_bytes(&sluiced.payload), ota_bytes_of("half of it")));
	cr_expect_not(sluiced.retained);
	close_both();
}

/* Lost, refused, refused again: each reason once in a row, and install hears of one. */
Test(net, each_new_reason_to_be_down_is_logged_once)
{
	open_both("{rate: 0}");
	broker_kill(&broker);
	wait_log("event=net.down", 2);
	(void)peer_turn(4000); /* the next try comes within this */
	cr_expect_eq(count_in_log("event=net.down"), 2);
	cr_expect_eq(net.count[IPC_DOWN], 1);
	broker_restart(&broker);
	cr_assert(peer_wait(&net.count[IPC_UP], 2));
	broker_kill(&broker);
	wait_log("event=net.down", 3);
	cr_assert(peer_wait(&net.count[IPC_DOWN], 2));
	close_both();
}

/* Its last words are not answered: meanwhile nothing that comes is done any more, and
 * it goes all the same. */
Test(net, told_to_end_it_hears_no_more_and_goes)
{
	open_both("{rate: 0}");
	broker_signal(&broker, SIGSTOP);
	cr_assert_eq(kill(net.pid, SIGTERM), 0);
	wait_log("event=net.told-to-end", 1);
	agent_net_ask(&net, IPC_MANIFEST, &patch.digest);
	cr_assert_eq(kill(net.pid, SIGINT), 0);
	wait_log("event=net.told-to-end", 2);
	broker_kill(&broker);
	cr_expect_eq(agent_net_end(&net, 0), 0);
	cr_expect_eq(count_in_log("event=net.down"), 0, "it was about to go");
	broker_restart(&broker);
	close_both();
}

/* ... and without an answer at all after a second. */
Test(net, told_to_end_before_a_frozen_broker_it_goes_without_an_answer)
{
	open_both("{rate: 0}");
	broker_signal(&broker, SIGSTOP);
	cr_expect_eq(agent_net_end(&net, SIGTERM), 0);
	broker_signal(&broker, SIGCONT);
	close_both();
}
