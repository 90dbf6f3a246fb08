#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/io/loop.h"
#include "proto/io/mqtt_hold.h"
#include "tests/integration/peer.h"

enum { CHUNK_LEN = 64 * 1024, CHUNK_COUNT = 160, WINDOW = 8, FD_MAX = 256 };

static const char *const clients[] = { "dev-1", "dev-2", NULL };
static const char *const nobody[] = { NULL };

static struct broker broker;
static struct peer sluiced, device;
static uint8_t chunk[CHUNK_LEN];

static void start(void)
{
	broker_start(&broker, "127.0.0.1", clients);
	for (size_t i = 0; i < sizeof chunk; i++)
		chunk[i] = (uint8_t)(i * 7 + i / 251);
}

static void stop(void)
{
	broker_fini(&broker);
}

TestSuite(mqtt, .init = start, .fini = stop);

static struct ota_bytes chunk_bytes(void)
{
	return (struct ota_bytes){ chunk, sizeof chunk };
}

/* Both ends up, the orchestrator and a device. */
static void both_up(void)
{
	struct ota_mqtt_config a = peer_config(&broker, "sluiced", "localhost"),
			       b = peer_config(&broker, "dev-1", "localhost");

	cr_assert(peer_open(&sluiced, &a));
	cr_assert(peer_open(&device, &b));
	cr_assert(peer_wait(&sluiced.ups, 1), "%s", sluiced.why);
	cr_assert(peer_wait(&device.ups, 1), "%s", device.why);
}

static void close_both(void)
{
	cr_assert(peer_close_all((struct peer *const[]){ &sluiced, &device, NULL }));
}

Test(mqtt, a_retained_chunk_reaches_a_later_subscriber_whole)
{
	both_up();
	cr_assert_eq(
		peer_publish(&sluiced, "sluice/1/test/patch/x/0/0", chunk_bytes(), true),
		OTA_OK);
	cr_assert(peer_wait(&sluiced.done_ok, 1));
	cr_expect_eq(ota_mqtt_pending(sluiced.link), 0);
	cr_assert_eq(peer_subscribe(&device, "sluice/1/test/patch/x/0/0"), OTA_OK);
	cr_assert(peer_wait(&device.messages, 1));
	cr_expect_str_eq(device.topic, "sluice/1/test/patch/x/0/0");
	cr_expect(device.retained);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&device.payload), chunk_bytes()));
	close_both();
}

Test(mqtt, a_broker_of_another_ca_is_refused)
{
	struct ota_mqtt_config config = peer_config(&broker, "dev-1", "localhost");
	struct broker other = { 0 };
	char ca[BROKER_PATH_CAP];

	broker_start(&other, "127.0.0.1", nobody);
	config.ca_file = broker_file(&other, "ca", ".pem", ca);
	cr_assert(peer_open(&device, &config));
	cr_assert(peer_wait(&device.downs, 1));
	cr_expect_str_eq(device.why, "TLS: certificate verify failed (its dates "
				     "against this clock, its name, its CA)");
	cr_expect_eq(device.ups, 0);
	cr_assert(peer_close_all((struct peer *const[]){ &device, NULL }));
	broker_fini(&other);
}

Test(mqtt, a_broker_of_another_name_is_refused)
{
	struct broker other = { 0 };
	struct ota_mqtt_config config;

	broker_start(&other, "127.0.0.2", clients);
	config = peer_config(&other, "dev-1", "127.0.0.2");
	cr_assert(peer_open(&device, &config));
	cr_assert(peer_wait(&device.downs, 1));
	cr_expect_eq(device.ups, 0);
	cr_expect_not_null(
		strstr(device.why, ": TCP/TLS connect failure"), "%s", device.why);
	cr_assert(peer_close_all((struct peer *const[]){ &device, NULL }));
	broker_fini(&other);
}

Test(mqtt, a_client_without_a_certificate_is_refused)
{
	struct ota_mqtt_config config = peer_config(&broker, "dev-1", "localhost");

	config.cert_file = config.key_file = NULL;
	cr_assert(peer_open(&device, &config));
	cr_assert(peer_wait(&device.downs, 1));
	cr_expect_eq(device.ups, 0);
	cr_assert(peer_close_all((struct peer *const[]){ &device, NULL }));
}

Test(mqtt, a_denied_publish_is_seen_by_its_publisher)
{
	static const char *const denied[] = { "sluice/1/test/fresh",
		"sluice/1/test/state/0/dev-2/report", "sluice/1/test/need/dev-2",
		"sluice/1/test/device/dev-1/assign", "elsewhere" };
	unsigned count = sizeof denied / sizeof denied[0];

	both_up();
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(peer_publish(&device, denied[i], ota_bytes_of("x"), true),
			OTA_OK);
	cr_assert_eq(peer_publish(&device, "sluice/1/test/state/0/dev-1/report",
			     ota_bytes_of("x"), true),
		OTA_OK);
	cr_assert(peer_wait(&device.done_ok, 1));
	cr_expect_eq(device.done_denied, count);
	close_both();
}

/* Write one line to a file of the broker. */
static void add_line(const char *name, const char *key, const char *value)
{
	char path[BROKER_PATH_CAP + 32];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/%s", broker.dir, name);
	file = fopen(path, "a");
	cr_assert_not_null(file);
	(void)fprintf(file, "%s%s\n", key, value);
	(void)fclose(file);
}

/* Let the broker deny every SUBSCRIBE. An ACL file grants all of them and filters what is
 * delivered, so it gives way to a plugin. */
static void deny_subscribes(void)
{
	char json[BROKER_PATH_CAP + 16], command[BROKER_PATH_CAP + 64];
	glob_t found;

	(void)snprintf(command, sizeof command, "sed -i /^acl_file/d %s/mosquitto.conf",
		broker.dir);
	cr_assert_eq(system(command), 0);
	(void)snprintf(json, sizeof json, "%s/deny.json", broker.dir);
	cr_assert_eq(
		glob("/usr/lib/*/mosquitto_dynamic_security.so", 0, NULL, &found), 0);
	add_line("deny.json",
		"{\"defaultACLAccess\":{\"publishClientSend\":true,\"subscribe\":false,",
		"\"publishClientReceive\":true,\"unsubscribe\":true}}");
	add_line("mosquitto.conf", "plugin ", found.gl_pathv[0]);
	add_line("mosquitto.conf", "plugin_opt_config_file ", json);
	globfree(&found);
	broker_kill(&broker);
	broker_restart(&broker);
}

Test(mqtt, a_denied_subscribe_is_seen_for_one_filter_and_for_many)
{
	static const char *const two[] = { "sluice/1/test/fresh",
		"sluice/1/test/catalog" };

	deny_subscribes();
	both_up();
	cr_assert_eq(peer_subscribe(&device, two[0]), OTA_OK);
	cr_assert(peer_wait(&device.done_denied, 1));
	cr_assert_eq(ota_mqtt_subscribe(device.link, two, 2, peer_done, &device), OTA_OK);
	cr_assert(peer_wait(&device.done_denied, 2));
	cr_expect_eq(device.done_ok, 0);
	close_both();
}

Test(mqtt, nobody_hears_the_assignment_of_another_device)
{
	both_up();
	cr_assert_eq(peer_subscribe(&device, "sluice/1/test/#"), OTA_OK);
	cr_assert(peer_wait(&device.done_ok, 1));
	cr_assert_eq(peer_publish(&sluiced, "sluice/1/test/device/dev-2/assign",
			     ota_bytes_of("theirs"), true),
		OTA_OK);
	cr_assert_eq(peer_publish(&sluiced, "sluice/1/test/device/dev-1/assign",
			     ota_bytes_of("mine"), true),
		OTA_OK);
	cr_assert(peer_wait(&device.messages, 1));
	cr_expect_str_eq(device.topic, "sluice/1/test/device/dev-1/assign");
	cr_expect_eq(device.messages, 1);
	close_both();
}

/* A device in another process that will die without a word. Returns once it is up. */
static pid_t doomed(const char *name, const char *will_topic, const char *will_payload)
{
	struct ota_mqtt_config config = peer_config(&broker, name, "localhost");
	int ready[2];
	pid_t pid;
	char byte;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		config.will_topic = will_topic;
		config.will_payload = will_payload;
		if (!peer_open(&device, &config) || !peer_wait(&device.ups, 1) ||
			write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)peer_turn(PEER_TIMEOUT_MS);
		_exit(1);
	}
	(void)close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void kill_one(pid_t pid)
{
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

Test(mqtt, a_killed_device_leaves_its_own_will_and_no_forged_one)
{
	pid_t forger = doomed("dev-1", "sluice/1/test/state/0/dev-2/online", "forged");
	pid_t honest = doomed("dev-2", "sluice/1/test/state/0/dev-2/online", "0:nonce");
	struct ota_mqtt_config config = peer_config(&broker, "sluiced", "localhost");

	cr_assert(peer_open(&sluiced, &config));
	cr_assert(peer_wait(&sluiced.ups, 1));
	cr_assert_eq(peer_subscribe(&sluiced, "sluice/1/test/state/#"), OTA_OK);
	cr_assert(peer_wait(&sluiced.done_ok, 1));
	kill_one(forger);
	kill_one(honest);
	cr_assert(peer_wait(&sluiced.messages, 1));
	cr_expect(ota_bytes_equal(
		ota_buf_bytes(&sluiced.payload), ota_bytes_of("0:nonce")));
	cr_expect_eq(sluiced.messages, 1);
	cr_assert(peer_close_all((struct peer *const[]){ &sluiced, NULL }));
}

Test(mqtt, a_polite_close_leaves_no_will)
{
	struct ota_mqtt_config config = peer_config(&broker, "dev-1", "localhost");
	struct ota_mqtt_config other = peer_config(&broker, "sluiced", "localhost");

	config.will_topic = "sluice/1/test/state/0/dev-1/online";
	config.will_payload = "0";
	cr_assert(peer_open(&sluiced, &other));
	cr_assert(peer_open(&device, &config));
	cr_assert(peer_wait(&device.ups, 1) && peer_wait(&sluiced.ups, 1));
	cr_assert_eq(peer_subscribe(&sluiced, "sluice/1/test/#"), OTA_OK);
	cr_assert(peer_wait(&sluiced.done_ok, 1));
	peer_begin_close(&device);
	for (unsigned i = 0;
		i < 200 && !broker_said(&broker, "Client dev-1 disconnected."); i++)
		(void)peer_turn(20);
	cr_assert(broker_said(&broker, "Client dev-1 disconnected."));
	cr_assert_eq(
		peer_publish(&sluiced, "sluice/1/test/fresh", ota_bytes_of("x"), false),
		OTA_OK);
	cr_assert(peer_wait(&sluiced.messages, 1));
	cr_expect_str_eq(sluiced.topic, "sluice/1/test/fresh");
	close_both();
}

Test(mqtt, after_a_crash_of_the_broker_every_caller_is_told_once)
{
	enum { COUNT = 300 };

	both_up();
	for (unsigned i = 0; i < COUNT; i++)
		cr_assert_eq(peer_publish(&sluiced, "sluice/1/test/fresh", chunk_bytes(),
				     false),
			OTA_OK);
	cr_assert_eq(ota_mqtt_pending(sluiced.link), COUNT);
	cr_assert(peer_wait(&sluiced.done_ok, 30));
	broker_kill(&broker);
	cr_assert(peer_wait(&sluiced.downs, 1));
	cr_expect_gt(sluiced.done_link, 0);
	cr_expect_eq(sluiced.done_ok + sluiced.done_link, COUNT);
	cr_expect_eq(ota_mqtt_pending(sluiced.link), 0);
	cr_expect_eq(peer_publish(&sluiced, "sluice/1/test/fresh", chunk_bytes(), false),
		OTA_E_LINK);
	broker_restart(&broker);
	cr_assert(peer_wait(&sluiced.ups, 2) && peer_wait(&device.ups, 2));
	cr_assert_eq(
		peer_publish(&sluiced, "sluice/1/test/fresh", ota_bytes_of("x"), false),
		OTA_OK);
	cr_assert(peer_wait(&sluiced.done_ok, COUNT - sluiced.done_link + 1));
	cr_expect_eq(sluiced.done_ok + sluiced.done_link, COUNT + 1);
	close_both();
}

Test(mqtt, a_frozen_broker_never_blocks_the_loop)
{
	struct ota_mqtt_config config = peer_config(&broker, "dev-2", "localhost");
	struct peer late;
	uint64_t longest_ms;

	both_up();
	broker_signal(&broker, SIGSTOP);
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(peer_publish(&sluiced, "sluice/1/test/fresh", chunk_bytes(),
				     false),
			OTA_OK);
	cr_assert(peer_open(&late, &config));
	longest_ms = peer_turn(3000);
	/* A call that waits for the broker would take seconds; a busy machine does not.
	 */
	cr_expect_lt(
		longest_ms, 1000, "the loop stood still for %u ms", (unsigned)longest_ms);
	cr_expect_eq(late.ups, 0);
	cr_expect_gt(ota_mqtt_pending(sluiced.link), 100);
	cr_assert(
		peer_close_all((struct peer *const[]){ &sluiced, &device, &late, NULL }));
	cr_expect_eq(sluiced.done_ok + sluiced.done_link, 200);
	broker_signal(&broker, SIGCONT);
}

Test(mqtt, a_broker_that_falls_silent_is_given_up_after_the_keepalive)
{
	struct ota_mqtt_config config = peer_config(&broker, "dev-1", "localhost");
	uint64_t start_ms;

	config.keepalive_s = 1;
	cr_assert(peer_open(&device, &config));
	cr_assert(peer_wait(&device.ups, 1));
	broker_signal(&broker, SIGSTOP);
	start_ms = ota_clock_mono_ms();
	cr_assert(peer_wait(&device.downs, 1));
	cr_expect_lt(ota_clock_mono_ms() - start_ms, 10 * 1000);
	broker_signal(&broker, SIGCONT);
	cr_assert(peer_wait(&device.ups, 2));
	cr_assert(peer_close_all((struct peer *const[]){ &device, NULL }));
}

/* Bytes allocated now, in all arenas; 0 under a sanitizer. */
static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* One connection that is closed with 19 MB of publishes Paho could not send. */
static void close_while_frozen(void)
{
	struct ota_mqtt_config config = peer_config(&broker, "sluiced", "localhost");

	config.inflight_max = 300;
	cr_assert(peer_open(&sluiced, &config));
	cr_assert(peer_wait(&sluiced.ups, 1));
	broker_signal(&broker, SIGSTOP);
	for (unsigned i = 0; i < 300; i++)
		cr_assert_eq(peer_publish(&sluiced, "sluice/1/test/fresh", chunk_bytes(),
				     false),
			OTA_OK);
	(void)peer_turn(200);
	cr_assert(peer_close_all((struct peer *const[]){ &sluiced, NULL }));
	broker_signal(&broker, SIGCONT);
}

Test(mqtt, what_could_not_be_sent_is_released)
{
	size_t before, after;

	close_while_frozen();
	before = allocated();
	close_while_frozen();
	after = allocated();
	cr_expect_lt(after, before + 1000 * 1000, "%zu bytes more", after - before);
}

Test(mqtt, closing_tells_all_callers_and_then_is_silent)
{
	unsigned ok, messages;

	both_up();
	cr_assert_eq(peer_subscribe(&device, "sluice/1/test/fresh"), OTA_OK);
	cr_assert(peer_wait(&device.done_ok, 1));
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(peer_publish(&sluiced, "sluice/1/test/fresh", chunk_bytes(),
				     false),
			OTA_OK);
	cr_assert(peer_wait(&device.messages, 1));
	peer_begin_close(&sluiced);
	peer_begin_close(&device);
	ok = sluiced.done_ok;
	messages = device.messages;
	cr_expect_eq(ok + sluiced.done_link, 100);
	cr_expect_gt(sluiced.done_link, 0);
	close_both();
	cr_expect_eq(sluiced.done_ok, ok);
	cr_expect_eq(ok + sluiced.done_link, 100);
	cr_expect_eq(device.messages, messages);
	cr_expect_eq(sluiced.downs + device.downs, 0);
	cr_expect(sluiced.closed && device.closed);
}

Test(mqtt, an_unreachable_broker_is_tried_again_and_again)
{
	struct ota_mqtt_config config = peer_config(&broker, "dev-1", "localhost");

	broker_kill(&broker);
	cr_assert(peer_open(&device, &config));
	cr_assert(peer_wait(&device.downs, 2));
	broker_restart(&broker);
	cr_assert(peer_wait(&device.ups, 1));
	cr_assert(peer_close_all((struct peer *const[]){ &device, NULL }));
}

/* How many of our sockets lead to the broker; false in *right if one of them waits for
 * acknowledgements (Nagle) or would be inherited by a child. */
static unsigned sockets_to_broker(bool *right)
{
	unsigned count = 0;

	for (int fd = 0; fd < FD_MAX; fd++) {
		struct sockaddr_in peer = { 0 };
		socklen_t len = sizeof peer, on_len = sizeof(int);
		int on = 0;

		if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 ||
			peer.sin_family != AF_INET || ntohs(peer.sin_port) != broker.port)
			continue;
		count++;
		if (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &on_len) < 0 ||
			on == 0 || (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
			*right = false;
	}
	return count;
}

Test(mqtt, its_sockets_do_not_wait_and_are_not_inherited)
{
	bool right = true;

	both_up();
	cr_expect_eq(sockets_to_broker(&right), 2);
	cr_expect(right);
	close_both();
}

/* Ask for chunk i. */
static void pull(unsigned i)
{
	char topic[64];

	(void)snprintf(topic, sizeof topic, "sluice/1/test/patch/x/%u/%u", i / 16, i);
	cr_assert_eq(peer_subscribe(&device, topic), OTA_OK);
}

/* What is retained below patch/x: as much as twice what may wait. */
static unsigned publish_twice_the_bound(void)
{
	const unsigned count = 2 * OTA_HOLD_LEN_MAX / (CHUNK_LEN + OTA_HOLD_COST);
	char topic[64];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(
			topic, sizeof topic, "sluice/1/test/patch/x/%u/%u", i / 16, i);
		cr_assert_eq(peer_publish(&sluiced, topic, chunk_bytes(), true), OTA_OK);
	}
	cr_assert(peer_wait(&sluiced.done_ok, count));
	return count;
}

Test(mqtt, what_is_not_handled_holds_back_the_broker_and_nothing_is_lost)
{
	const unsigned full = OTA_HOLD_LEN_MAX / (CHUNK_LEN + OTA_HOLD_COST) + 1;
	unsigned count;

	both_up();
	count = publish_twice_the_bound();
	device.keeps = true;
	cr_assert_eq(peer_subscribe(&device, "sluice/1/test/patch/x/+/+"), OTA_OK);
	cr_assert(peer_wait(&device.messages, full));
	(void)peer_turn(1500); /* Paho has gone round, and still does not read */
	cr_expect_eq(device.messages, full, "%u", device.messages);
	peer_let_go(&device);
	cr_assert(peer_wait(&device.messages, count));
	cr_expect_eq(device.messages, count);
	cr_expect_eq(device.downs, 0, "%s", device.why);
	close_both();
}

Test(mqtt, a_link_is_closed_while_it_is_held_back)
{
	both_up();
	(void)publish_twice_the_bound();
	device.keeps = true;
	cr_assert_eq(peer_subscribe(&device, "sluice/1/test/patch/x/+/+"), OTA_OK);
	cr_assert(peer_wait(&device.messages, OTA_HOLD_LEN_MAX / CHUNK_LEN / 2));
	close_both();
	peer_let_go(&device);
}

Test(mqtt, ten_mebibytes_are_pulled_in_windows)
{
	uint64_t start_ms;
	char topic[64];

	both_up();
	for (unsigned i = 0; i < CHUNK_COUNT; i++) {
		(void)snprintf(
			topic, sizeof topic, "sluice/1/test/patch/x/%u/%u", i / 16, i);
		cr_assert_eq(peer_publish(&sluiced, topic, chunk_bytes(), true), OTA_OK);
	}
	cr_assert(peer_wait(&sluiced.done_ok, CHUNK_COUNT));
	start_ms = ota_clock_mono_ms();
	for (unsigned i = 0; i < CHUNK_COUNT; i++) {
		cr_assert(i < WINDOW || peer_wait(&device.messages, i - WINDOW + 1));
		pull(i);
	}
	cr_assert(peer_wait(&device.messages, CHUNK_COUNT));
	(void)fprintf(stderr, "10 MiB in 64 KiB chunks, window %d: %u ms\n", WINDOW,
		(unsigned)(ota_clock_mono_ms() - start_ms));
	cr_expect_eq(device.messages, CHUNK_COUNT);
	close_both();
}
