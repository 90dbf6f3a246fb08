#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "agent/core/fetch.h"
#include "proto/base/own.h"

/* A broker, as far as a fetch can see one: what is retained, what is subscribed, and
 * messages on their way. Everything random comes from one seed. */

enum { N = 100, FENCE = INT32_MAX, FLIGHT_MAX = 400, LATENCY_MS = 20 };

struct message {
	uint64_t at_ms;
	uint32_t index; /* or FENCE */
	bool used;
};

struct world {
	struct fetch fetch;
	struct fetch_plan plan;
	uint64_t now_ms;
	bool present[N], held[N], asked[N];
	uint32_t outstanding, outstanding_most, window;
	struct message flight[FLIGHT_MAX];
	uint32_t asks, drops, needs, heals;
	uint64_t asked_bytes;
	uint32_t lose, twice, shuffle; /* permille */
	uint64_t random;
	bool subscribed[N];
	const char *fault; /* the first rule that was broken */
};

static uint32_t roll(struct world *w, uint32_t below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(w->random >> 33) % below;
}

static void rule(struct world *w, bool kept, const char *text)
{
	if (!kept && w->fault == NULL)
		w->fault = text;
}

static void send_one(struct world *w, uint32_t index, uint32_t order)
{
	uint64_t late_ms = roll(w, 1000) < w->shuffle ? roll(w, 300) : 0;

	if (roll(w, 1000) < w->lose)
		return;
	for (uint32_t i = 0; i < FLIGHT_MAX; i++) {
		if (w->flight[i].used)
			continue;
		w->flight[i] = (struct message){ w->now_ms + LATENCY_MS + order + late_ms,
			index, true };
		return;
	}
	rule(w, false, "messages pile up");
}

static void deliver(struct world *w, uint32_t index, uint32_t order)
{
	send_one(w, index, order);
	if (roll(w, 1000) < w->twice)
		send_one(w, index, order + 1);
}

/* What the broker does with one SUBSCRIBE, and the rules a SUBSCRIBE keeps. */
static void take_ask(struct world *w, const struct fetch_batch *batch)
{
	rule(w, batch->count >= 1 && batch->count <= FETCH_ASK_MAX, "8 filters at most");
	for (uint32_t i = 0; i < batch->count; i++) {
		uint32_t index = batch->chunks[i];

		rule(w, index < N && !w->held[index], "asked for a held chunk");
		rule(w, !w->asked[index], "asked for a chunk on its way");
		w->asked[index] = w->subscribed[index] = true;
		w->asked_bytes += OTA_CHUNK_LEN;
		w->asks++;
		if (w->present[index])
			deliver(w, index, i);
	}
	deliver(w, FENCE, batch->count);
}

static void count_outstanding(struct world *w)
{
	uint32_t subscribed = 0, outstanding = 0;

	for (uint32_t i = 0; i < N; i++) {
		w->asked[i] = w->fetch.chunks[i].state == FETCH_ASKED;
		outstanding += w->asked[i];
		subscribed += w->subscribed[i];
	}
	rule(w, outstanding == w->fetch.asked, "asked is counted right");
	rule(w, outstanding <= w->window, "window exceeded");
	rule(w, subscribed <= FETCH_WINDOW_MAX, "too many subscriptions");
}

static void step(struct world *w, enum fetch_event_kind kind, uint32_t index)
{
	struct fetch_event event = { kind, index };

	fetch_step(&w->fetch, w->now_ms, &event, &w->plan);
	for (uint32_t i = 0; i < N; i++)
		w->asked[i] =
			w->asked[i] && w->fetch.chunks[i].state == FETCH_ASKED &&
			w->fetch.chunks[i].batch + w->plan.ask_count <= w->fetch.batches;
	for (uint32_t i = 0; i < w->plan.drop.count; i++) {
		rule(w, w->subscribed[w->plan.drop.chunks[i]], "left what was not there");
		w->subscribed[w->plan.drop.chunks[i]] = false;
		w->drops++;
	}
	for (uint32_t i = 0; i < w->plan.ask_count; i++)
		take_ask(w, &w->plan.ask[i]);
	w->needs += w->plan.need;
	if (w->plan.need && w->heals > 0)
		for (uint32_t i = 0; i < N; i++)
			w->present[i] = true;
	count_outstanding(w);
}

static void arrive(struct world *w, struct message *message)
{
	uint32_t index = message->index;

	message->used = false;
	if (index == FENCE) {
		step(w, FETCH_EV_FENCE, 0);
	} else if (w->subscribed[index]) {
		w->held[index] = true;
		step(w, FETCH_EV_RIGHT, index);
	}
}

static struct message *next_message(struct world *w)
{
	struct message *next = NULL;

	for (uint32_t i = 0; i < FLIGHT_MAX; i++)
		if (w->flight[i].used &&
			(next == NULL || w->flight[i].at_ms < next->at_ms))
			next = &w->flight[i];
	return next;
}

/* One event: the next message or the next wake, whichever is first. */
static void turn(struct world *w)
{
	struct message *next = next_message(w);
	uint64_t wake_ms = w->plan.wake_ms;

	rule(w, next != NULL || wake_ms != 0, "asleep for ever");
	if (next != NULL && (wake_ms == 0 || next->at_ms <= wake_ms)) {
		w->now_ms = next->at_ms > w->now_ms ? next->at_ms : w->now_ms;
		arrive(w, next);
	} else if (wake_ms != 0) {
		w->now_ms = wake_ms;
		step(w, FETCH_EV_TICK, 0);
		rule(w, w->plan.wake_ms == 0 || w->plan.wake_ms > wake_ms, "busy");
	}
}

static void cut_link(struct world *w)
{
	step(w, FETCH_EV_DOWN, 0);
	rule(w, w->plan.ask_count == 0 && w->plan.wake_ms == 0, "busy while down");
	memset(w->flight, 0, sizeof w->flight);
	memset(w->subscribed, 0, sizeof w->subscribed);
	w->now_ms += 1000;
	step(w, FETCH_EV_UP, 0);
}

static void begin_with(struct world *w, uint64_t seed, const struct fetch_config *config)
{
	w->random = seed;
	w->now_ms = 1000;
	w->window = config->chunks_max;
	for (uint32_t i = 0; i < N; i++)
		w->present[i] = true;
	cr_assert_eq(fetch_init(&w->fetch, config, NULL), OTA_OK);
}

static struct fetch_config plain(uint64_t seed)
{
	return (struct fetch_config){ .chunk_count = N,
		.chunk_len = OTA_CHUNK_LEN,
		.chunks_max = 16,
		.start_hash = (uint32_t)(seed * 2654435761u),
		.seed = seed };
}

static void begin(struct world *w, uint64_t seed)
{
	struct fetch_config config = plain(seed);

	begin_with(w, seed, &config);
}

static void run(struct world *w, uint32_t turns)
{
	for (uint32_t i = 0; i < turns && w->plan.outcome == FETCH_WORKING; i++)
		turn(w);
}

/* All chunks came, nothing is subscribed any more, no rule was broken. */
static void expect_done(struct world *w, const char *what, uint64_t seed)
{
	cr_expect_null(w->fault, "%s, seed %lu: %s", what, seed, w->fault);
	cr_expect_eq(w->plan.outcome, FETCH_DONE, "%s, seed %lu: %u held at %lu ms", what,
		seed, w->fetch.held, w->now_ms);
	for (uint32_t i = 0; i < N; i++) {
		cr_expect(w->held[i], "%s, seed %lu: chunk %u", what, seed, i);
		cr_expect_not(w->subscribed[i], "%s, seed %lu: %u stays", what, seed, i);
	}
	fetch_fini(&w->fetch);
}

Test(fetch, a_good_link_asks_for_each_chunk_once)
{
	struct world w = { 0 };

	begin(&w, 7);
	step(&w, FETCH_EV_UP, 0);
	run(&w, 1000);
	cr_expect_eq(w.asks, N);
	cr_expect_eq(w.drops, N);
	cr_expect(w.plan.drop_fence);
	cr_expect_eq(w.needs, 0);
	cr_expect_lt(w.now_ms, 2000);
	expect_done(&w, "good link", 7);
}

static const struct {
	const char *what;
	uint32_t lose, twice, shuffle;
} links[] = {
	{ "loss", 200, 0, 0 },
	{ "heavy loss", 600, 0, 0 },
	{ "duplicates", 0, 300, 0 },
	{ "reordering", 0, 0, 500 },
	{ "all of it", 200, 200, 300 },
};

Test(fetch, every_bad_link_ends_with_all_chunks)
{
	for (size_t row = 0; row < sizeof links / sizeof links[0]; row++)
		for (uint64_t seed = 1; seed <= 40; seed++) {
			struct world w = { .lose = links[row].lose,
				.twice = links[row].twice,
				.shuffle = links[row].shuffle };

			begin(&w, seed);
			step(&w, FETCH_EV_UP, 0);
			run(&w, 100000);
			expect_done(&w, links[row].what, seed);
		}
}

Test(fetch, a_link_cut_at_any_step_resumes_with_the_missing_chunks)
{
	for (uint32_t at = 0; at < 150; at++) {
		struct world w = { 0 };

		begin(&w, at);
		step(&w, FETCH_EV_UP, 0);
		run(&w, at);
		if (w.plan.outcome == FETCH_WORKING)
			cut_link(&w);
		run(&w, 1000);
		cr_expect_leq(w.asks, N + 16, "cut at %u: %u asked", at, w.asks);
		expect_done(&w, "cut", at);
	}
}

Test(fetch, a_link_cut_every_few_steps_still_gets_there)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct world w = { .lose = 100, .shuffle = 100 };

		begin(&w, seed);
		step(&w, FETCH_EV_UP, 0);
		for (uint32_t i = 0; i < 5000 && w.plan.outcome == FETCH_WORKING; i++) {
			turn(&w);
			if (roll(&w, 20) == 0 && w.plan.outcome == FETCH_WORKING)
				cut_link(&w);
		}
		expect_done(&w, "cuts", seed);
	}
}

static bool need_names(const struct world *w, uint32_t index)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf need = { 0 };

	cr_assert_eq(fetch_need(&w->fetch, &need), OTA_OK);
	cr_assert_eq(need.len, (N + 7) / 8);
	return (need.at[index / 8] >> index % 8 & 1) != 0;
}

Test(fetch, absent_chunks_are_asked_for_three_times_and_then_needed)
{
	struct world w = { 0 };

	begin(&w, 3);
	w.present[5] = w.present[77] = false;
	step(&w, FETCH_EV_UP, 0);
	while (w.needs == 0 && w.plan.wake_ms != 0)
		turn(&w);
	cr_expect_eq(w.fetch.held, N - 2);
	cr_expect_eq(w.asks, N + 4, "%u asked", w.asks);
	cr_expect(need_names(&w, 5) && need_names(&w, 77) && !need_names(&w, 6));
	cr_expect_gt(w.now_ms, 5000); /* two graces */
	cr_expect_lt(w.now_ms, 12000);
	w.present[5] = w.present[77] = true;
	run(&w, 100);
	expect_done(&w, "absent", 3);
}

Test(fetch, the_whole_patch_may_be_absent_until_it_is_needed)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world w = { .heals = 1, .lose = 50 };

		begin(&w, seed);
		memset(w.present, 0, sizeof w.present);
		step(&w, FETCH_EV_UP, 0);
		run(&w, 10000);
		cr_expect_leq(w.needs, 4, "seed %lu: %u needs", seed, w.needs);
		expect_done(&w, "absent patch", seed);
	}
}

Test(fetch, needs_back_off_to_five_minutes)
{
	struct world w = { 0 };

	begin(&w, 9);
	memset(w.present, 0, sizeof w.present);
	step(&w, FETCH_EV_UP, 0);
	while (w.now_ms < 3600 * 1000 && w.fault == NULL)
		turn(&w);
	cr_expect_null(w.fault, "%s", w.fault);
	cr_expect(w.needs > 12 && w.needs < 40, "%u needs in an hour", w.needs);
	cr_expect_leq(w.asks, N * (FETCH_TRIES + w.needs), "asks only after needs");
	fetch_fini(&w.fetch);
}

Test(fetch, a_live_republish_ends_the_wait)
{
	struct world w = { 0 };

	begin(&w, 4);
	w.present[50] = false;
	step(&w, FETCH_EV_UP, 0);
	while (w.asks < N + 1)
		turn(&w);
	turn(&w); /* absent again */
	cr_assert_eq(w.fetch.later, 1);
	cr_assert(w.subscribed[50], "the last absent chunk stays subscribed");
	w.held[50] = true;
	step(&w, FETCH_EV_RIGHT, 50);
	expect_done(&w, "live", 4);
}

Test(fetch, eight_wrong_chunks_are_poison)
{
	struct world w = { 0 };

	begin(&w, 5);
	step(&w, FETCH_EV_UP, 0);
	for (uint32_t i = 0; i < FETCH_WRONG_MAX; i++) {
		cr_expect_eq(w.plan.outcome, FETCH_WORKING);
		step(&w, FETCH_EV_WRONG, 50);
	}
	cr_expect_eq(w.plan.outcome, FETCH_FAILED);
	cr_expect_eq(w.plan.err.code, OTA_E_POISON);
	cr_expect_str_eq(w.plan.err.text,
		"8 wrong chunks, the last as chunk 50; 0 of 100 are held");
	cr_expect_eq(w.plan.ask_count, 0);
	cr_expect(w.plan.drop_fence);
	fetch_fini(&w.fetch);
}

Test(fetch, a_wrong_chunk_is_asked_for_again_after_a_grace)
{
	struct world w = { 0 };
	uint32_t index;

	begin(&w, 6);
	step(&w, FETCH_EV_UP, 0);
	index = w.plan.ask[0].chunks[0];
	memset(w.flight, 0, sizeof w.flight);
	step(&w, FETCH_EV_WRONG, index);
	cr_expect(fetch_is_missing(&w.fetch, index));
	cr_expect_neq(w.fetch.chunks[index].state, FETCH_ASKED);
	run(&w, 1000);
	cr_expect_geq(w.now_ms, 1000 + FETCH_GRACE_MS);
	expect_done(&w, "wrong", 6);
}

Test(fetch, wrong_and_right_copies_of_held_chunks_change_nothing)
{
	struct world w = { 0 };

	begin(&w, 8);
	step(&w, FETCH_EV_UP, 0);
	while (w.fetch.held < 10)
		turn(&w);
	for (uint32_t i = 0; i < N; i++)
		if (w.held[i]) {
			step(&w, FETCH_EV_WRONG, i);
			step(&w, FETCH_EV_RIGHT, i);
		}
	step(&w, FETCH_EV_RIGHT, N);
	step(&w, FETCH_EV_WRONG, UINT32_MAX);
	cr_expect_eq(w.fetch.held, 10);
	cr_expect_eq(w.fetch.wrong, 0);
	run(&w, 1000);
	expect_done(&w, "copies", 8);
}

Test(fetch, what_is_held_at_the_start_is_never_asked_for)
{
	struct fetch_config config = plain(11);
	struct world w = { 0 };
	uint8_t bitmap[(N + 7) / 8];

	memset(bitmap, 0x5f, sizeof bitmap);
	bitmap[sizeof bitmap - 1] = 0xff; /* and bits beyond the last chunk */
	config.held = (struct ota_bytes){ bitmap, sizeof bitmap };
	begin_with(&w, 11, &config);
	for (uint32_t i = 0; i < N; i++)
		w.held[i] = bitmap[i / 8] >> i % 8 & 1;
	step(&w, FETCH_EV_UP, 0);
	run(&w, 1000);
	cr_expect_eq(w.asks, 12 * 2);
	expect_done(&w, "held", 11);
}

Test(fetch, it_starts_at_the_group_of_the_device_and_goes_round)
{
	for (uint32_t hash = 0; hash < 20; hash++) {
		struct fetch_config config = plain(1);
		struct world w = { 0 };

		config.start_hash = hash;
		begin_with(&w, 1, &config);
		step(&w, FETCH_EV_UP, 0);
		cr_expect_eq(w.plan.ask[0].chunks[0], hash % 7 * 16, "hash %u", hash);
		run(&w, 1000);
		expect_done(&w, "start", hash);
	}
}

Test(fetch, windows_of_every_width_are_kept)
{
	for (uint32_t window = 1; window <= FETCH_WINDOW_MAX; window++) {
		struct fetch_config config = plain(window);
		struct world w = { .lose = 50, .shuffle = 100 };

		config.chunks_max = window;
		begin_with(&w, window, &config);
		step(&w, FETCH_EV_UP, 0);
		run(&w, 100000);
		expect_done(&w, "window", window);
	}
}

Test(fetch, a_rate_cap_is_kept)
{
	static const uint64_t rates[] = { 1, 1000, 65536, 1000000, 1u << 30 };

	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct fetch_config config = plain(i);
		struct world w = { 0 };
		uint64_t burst = rates[i] > OTA_CHUNK_LEN ? rates[i] : OTA_CHUNK_LEN;

		config.rate = rates[i];
		begin_with(&w, i, &config);
		step(&w, FETCH_EV_UP, 0);
		while (w.plan.outcome == FETCH_WORKING && w.fault == NULL) {
			turn(&w);
			cr_assert_leq(w.asked_bytes,
				burst + rates[i] * (w.now_ms - 1000) / 1000, "rate %lu",
				rates[i]);
		}
		expect_done(&w, "rate", rates[i]);
	}
}

Test(fetch, nothing_is_asked_before_the_start)
{
	struct fetch_config config = plain(2);
	struct world w = { 0 };

	config.start_at_ms = 60000;
	begin_with(&w, 2, &config);
	step(&w, FETCH_EV_UP, 0);
	cr_expect_eq(w.plan.ask_count, 0);
	cr_expect_eq(w.plan.wake_ms, 60000);
	run(&w, 1000);
	cr_expect_geq(w.now_ms, 60000);
	expect_done(&w, "start", 2);
}

Test(fetch, a_lost_fence_costs_five_seconds_of_silence)
{
	struct world w = { 0 };

	begin(&w, 12);
	step(&w, FETCH_EV_UP, 0);
	run(&w, 20); /* the link has shown that it is quick */
	w.fetch.rate = 1 << 20;
	memset(w.flight, 0, sizeof w.flight);
	step(&w, FETCH_EV_TICK, 0);
	cr_assert_gt(w.fetch.asked, 0);
	cr_expect_eq(w.plan.wake_ms, w.fetch.progress_ms + FETCH_PATIENCE_MS);
	run(&w, 1000);
	expect_done(&w, "lost fence", 12);
}

Test(fetch, the_manifest_is_one_chunk_without_a_fence)
{
	struct fetch_config config = { .chunks_max = 16, .seed = 1 };
	struct fetch fetch = { 0 };
	struct fetch_plan plan;
	uint64_t now_ms = 1;
	uint32_t needs = 0;

	cr_assert_eq(fetch_init(&fetch, &config, NULL), OTA_OK);
	fetch_step(&fetch, now_ms, &(struct fetch_event){ FETCH_EV_UP, 0 }, &plan);
	cr_expect_eq(plan.ask_count, 1);
	for (int i = 0; i < 20 && needs == 0; i++, needs += plan.need) {
		now_ms = plan.wake_ms;
		fetch_step(
			&fetch, now_ms, &(struct fetch_event){ FETCH_EV_TICK, 0 }, &plan);
	}
	cr_expect_eq(needs, 1);
	fetch_step(&fetch, now_ms, &(struct fetch_event){ FETCH_EV_RIGHT, 0 }, &plan);
	cr_expect_eq(plan.outcome, FETCH_DONE);
	cr_expect_eq(plan.drop.count, 1);
	cr_expect_not(plan.drop_fence);
	fetch_fini(&fetch);
}

Test(fetch, stopping_leaves_nothing_subscribed)
{
	struct world w = { 0 };

	begin(&w, 13);
	step(&w, FETCH_EV_UP, 0);
	run(&w, 30);
	fetch_stop(&w.fetch, &w.plan);
	for (uint32_t i = 0; i < w.plan.drop.count; i++)
		w.subscribed[w.plan.drop.chunks[i]] = false;
	for (uint32_t i = 0; i < N; i++)
		cr_expect_not(w.subscribed[i], "%u", i);
	cr_expect(w.plan.drop_fence);
	fetch_fini(&w.fetch);
}

static const struct {
	struct fetch_config config;
	const char *text;
} refusals[] = {
	{ { .chunk_count = OTA_CHUNKS_MAX + 1 }, "8001 chunks" },
	{ { .chunk_count = 1, .chunk_len = 4095, .chunks_max = 1 },
		"chunks of 4095 bytes" },
	{ { .chunk_count = 1, .chunk_len = 65537, .chunks_max = 1 },
		"chunks of 65537 bytes" },
	{ { .chunk_count = 1, .chunk_len = 4096 }, "0 chunks outstanding" },
	{ { .chunk_count = 1, .chunk_len = 4096, .chunks_max = 17 },
		"17 chunks outstanding" },
};

Test(fetch, refuses_what_is_out_of_range)
{
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		struct fetch fetch = { .window = 77 };
		struct ota_error err = { 0 };

		cr_expect_eq(fetch_init(&fetch, &refusals[i].config, &err), OTA_E_LIMIT);
		cr_expect_str_eq(err.text, refusals[i].text);
		cr_expect_eq(fetch.window, 77, "row %zu: out touched", i);
	}
}
