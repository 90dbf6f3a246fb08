#include <criterion/criterion.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "proto/io/loop.h"
#include "tests/integration/peer.h"

/* A link on which nothing happens: how often Paho's two threads wake, and that nothing
 * comes later for it. */

enum {
	KEEPALIVE_S = 4,
	KEEPALIVE_MS = 1000 * KEEPALIVE_S,
	PERIODS = 3,
	WAKES_PER_PING = 6, /* time to ping, a nap, the answer in its pieces; one spare */
	STILL_MS = 2 * 1000, /* Paho's own pace is a wake in each 1.1 s */
	AT_ONCE_MS = 500
};

static struct broker broker;
static struct peer peer;

static void start(void)
{
	static const char *const nobody[] = { NULL };

	broker_start(&broker, "127.0.0.1", nobody);
}

static void stop(void)
{
	broker_fini(&broker);
}

TestSuite(mqtt_idle, .init = start, .fini = stop);

/* The number behind key in a file of a thread; 0 if there is none. */
static unsigned long number_of(const char *thread, const char *key)
{
	char path[300], line[128];
	unsigned long value = 0;
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			(void)sscanf(line + strlen(key), "%lu", &value);
	if (file != NULL)
		(void)fclose(file);
	return value;
}

static bool is_of_paho(const char *thread)
{
	char path[300], name[32] = "";
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", thread);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	(void)fgets(name, sizeof name, file);
	(void)fclose(file);
	return strncmp(name, "MQTTAsync_", strlen("MQTTAsync_")) == 0;
}

/* How often Paho's two threads have gone to sleep and so been woken. */
static unsigned long wakes(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned long sum = 0;
	unsigned threads = 0;

	cr_assert_not_null(dir);
	for (struct dirent *at = readdir(dir); at != NULL; at = readdir(dir)) {
		if (!is_of_paho(at->d_name))
			continue;
		sum += number_of(at->d_name, "voluntary_ctxt_switches:");
		threads++;
	}
	(void)closedir(dir);
	cr_assert_eq(threads, 2);
	return sum;
}

/* Connect, and wait until Paho's threads sleep on where they would have woken. */
static void rest(uint32_t keepalive_s)
{
	struct ota_mqtt_config config = peer_config(&broker, "sluiced", "localhost");
	uint64_t deadline_ms = ota_clock_mono_ms() + PEER_TIMEOUT_MS;
	unsigned long before;

	config.keepalive_s = keepalive_s;
	cr_assert(peer_open(&peer, &config));
	cr_assert(peer_wait(&peer.ups, 1), "%s", peer.why);
	cr_assert_eq(peer_subscribe(&peer, "sluice/1/test/fresh"), OTA_OK);
	cr_assert(peer_wait(&peer.done_ok, 1));
	do {
		before = wakes();
		(void)peer_turn(STILL_MS);
		cr_assert(ota_clock_mono_ms() < deadline_ms, "it never rests");
	} while (wakes() != before);
}

static void close_peer(void)
{
	cr_assert(peer_close_all((struct peer *const[]){ &peer, NULL }));
}

Test(mqtt_idle, paho_wakes_for_its_ping_and_for_nothing_else)
{
	unsigned long before;

	rest(KEEPALIVE_S);
	before = wakes();
	(void)peer_turn(PERIODS * KEEPALIVE_MS);
	cr_expect_leq(wakes() - before, (PERIODS + 1) * WAKES_PER_PING);
	cr_expect_geq(wakes() - before, PERIODS - 1, "not even a ping");
	cr_expect_eq(peer.downs, 0);
	close_peer();
}

Test(mqtt_idle, what_is_said_and_heard_then_comes_at_once)
{
	uint64_t began_ms;

	rest(KEEPALIVE_S);
	began_ms = ota_clock_mono_ms();
	cr_assert_eq(peer_publish(&peer, "sluice/1/test/fresh", ota_bytes_of("x"), false),
		OTA_OK);
	cr_assert(peer_wait(&peer.done_ok, 2));
	cr_assert(peer_wait(&peer.messages, 1));
	cr_expect_lt(ota_clock_mono_ms() - began_ms, AT_ONCE_MS);
	close_peer();
}

Test(mqtt_idle, a_line_that_dies_meanwhile_is_given_up_as_soon_as_ever)
{
	uint64_t began_ms;

	rest(KEEPALIVE_S);
	broker_signal(&broker, SIGSTOP);
	began_ms = ota_clock_mono_ms();
	cr_assert(peer_wait(&peer.downs, 1));
	cr_expect_lt(ota_clock_mono_ms() - began_ms, KEEPALIVE_MS * 5 / 2 + 2 * 1000);
	broker_signal(&broker, SIGCONT);
	cr_assert(peer_wait(&peer.ups, 2));
	close_peer();
}

Test(mqtt_idle, a_broker_that_goes_meanwhile_is_missed_at_once)
{
	uint64_t began_ms;

	rest(KEEPALIVE_S);
	began_ms = ota_clock_mono_ms();
	broker_kill(&broker);
	cr_assert(peer_wait(&peer.downs, 1));
	cr_expect_lt(ota_clock_mono_ms() - began_ms, AT_ONCE_MS);
	broker_restart(&broker);
	cr_assert(peer_wait(&peer.ups, 2));
	close_peer();
}

Test(mqtt_idle, its_end_is_not_waited_for)
{
	uint64_t began_ms;

	rest(2 * KEEPALIVE_S);           /* its next ping is some seconds away */
	broker_signal(&broker, SIGSTOP); /* nor is what the broker answers to it */
	began_ms = ota_clock_mono_ms();
	close_peer();
	cr_expect_lt(ota_clock_mono_ms() - began_ms, 2 * 1000);
	broker_signal(&broker, SIGCONT);
}
