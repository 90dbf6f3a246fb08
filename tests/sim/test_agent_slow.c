#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "tests/sim/world.h"

/* A line that brings next to nothing: it is said, fetching rests, and is tried again. */

enum {
	SEEDS = 20,
	RATE_MIN = 100, /* bytes/s */
	CHUNK = 65536,  /* bytes */
	CHUNKS = 4000,  /* of a patch that does not end */
	MINUTE_MS = 60 * 1000,
	HOUR_MS = 60 * MINUTE_MS,
};

static struct world w;
static uint64_t state; /* of the numbers below, from the seed */
static uint32_t chunks;

static uint64_t random_below(uint64_t below)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (state >> 33) % below;
}

static void set_up(void)
{
	world_init(&w);
	w.policy.rate_min = RATE_MIN;
	chunks = 0;
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_slow, .init = set_up, .fini = tear_down);

static void run_to_fetching(void)
{
	world_run_to_fetching(&w);
	w.net_is_mute = true;
	w.stops = 0;
}

static void chunk_arrives(void)
{
	struct ipc_message m = { .type = IPC_CHUNKS,
		.code = IPC_PATCH,
		.digest = w.agent.patch,
		.b = CHUNKS };

	chunks++;
	m.a = chunks;
	m.c = (uint64_t)chunks * CHUNK;
	world_say(&w, &m);
}

static bool is_given_up(void)
{
	return w.agent.parked && w.agent.verdict.code == OTA_E_SLOWLINK;
}

/* Let chunks arrive at a rate for a while, each up to half an interval late. Says in how
 * many minutes fetching rested. */
static unsigned trickle(uint64_t bytes_per_s, uint64_t for_ms)
{
	uint64_t each_ms = (uint64_t)CHUNK * 1000 / bytes_per_s;
	uint64_t next_ms = each_ms, n = 1;
	unsigned rested = 0;

	for (uint64_t now_ms = 0; now_ms < for_ms; now_ms += MINUTE_MS) {
		while (next_ms < now_ms + MINUTE_MS) {
			if (!w.agent.parked)
				chunk_arrives();
			next_ms = ++n * each_ms + random_below(each_ms / 2);
		}
		world_pass(&w, MINUTE_MS);
		rested += is_given_up();
	}
	return rested;
}

static void again(uint64_t seed)
{
	tear_down();
	set_up();
	state = seed;
	run_to_fetching();
}

Test(agent_slow, next_to_nothing_is_given_up_said_and_tried_again)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint64_t rate = 1 + seed % 3 * 20;
		unsigned rested;

		again(seed);
		rested = trickle(rate, (uint64_t)3 * HOUR_MS);
		cr_expect_geq(rested, 30, "seed %u: %u", (unsigned)seed, rested);
		cr_expect_leq(rested, 140, "seed %u: %u", (unsigned)seed, rested);
		cr_expect_geq(w.stops, 3);
		for (unsigned i = 0; i < 30 && !is_given_up(); i++)
			world_pass(&w, MINUTE_MS);
		world_pass(&w, 5000); /* until it says so */
		cr_expect_eq(w.report.state, OTA_UPDATE_FETCHING);
		cr_expect_eq(w.report.wait, OTA_E_SLOWLINK, "seed %u", (unsigned)seed);
		cr_expect_not_null(strstr(w.report.error_text, "wanted are 60000"), "%s",
			w.report.error_text);
		w.net_is_mute = false;
		world_pass(&w, (uint64_t)11 * MINUTE_MS);
		cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
		cr_expect(world_runs(&w, 2));
	}
}

Test(agent_slow, a_line_that_is_only_slow_is_left_alone)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		again(seed);
		cr_expect_eq(trickle(2 * RATE_MIN + random_below(20 * RATE_MIN),
				     (uint64_t)6 * HOUR_MS),
			0, "seed %u", (unsigned)seed);
		cr_expect_eq(w.stops, 0);
	}
}

Test(agent_slow, time_without_a_connection_does_not_count)
{
	struct ipc_message m = { .type = IPC_DOWN };

	run_to_fetching();
	world_say(&w, &m);
	world_pass(&w, (uint64_t)3 * HOUR_MS);
	cr_expect(!w.agent.parked);
	m.type = IPC_UP;
	m.payload = (struct ota_bytes){ w.nonce, OTA_NONCE_LEN };
	world_say(&w, &m);
	world_pass(&w, (uint64_t)9 * MINUTE_MS);
	cr_expect(!w.agent.parked);
	world_pass(&w, (uint64_t)2 * MINUTE_MS);
	cr_expect(is_given_up());
}

Test(agent_slow, nor_does_time_before_its_turn)
{
	uint64_t wait_ms;

	w.order.jitter_s = 5 * 3600;
	run_to_fetching();
	wait_ms = w.agent.asked_ms - w.now.mono_ms;
	cr_assert_gt(wait_ms, HOUR_MS, "the random numbers of the world have changed");
	world_pass(&w, wait_ms + (uint64_t)9 * MINUTE_MS);
	cr_expect(!w.agent.parked);
	world_pass(&w, (uint64_t)2 * MINUTE_MS);
	cr_expect(is_given_up());
}

Test(agent_slow, without_a_limit_it_waits_for_the_order)
{
	w.policy.rate_min = 0;
	run_to_fetching();
	world_pass(&w, (uint64_t)24 * HOUR_MS);
	cr_expect(!w.agent.parked);
	cr_expect_eq(w.stops, 0);
}
