#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/feed.h"
#include "proto/base/own.h"
#include "tests/unit/api_kit.h"
#include "tests/unit/nomem_kit.h"

enum {
	LOOK_MS = 1000,
	EARLY_MS = 100,
	OVER_MS = 30000,
	RING_COUNT = 256,
	TURN_COUNT = 128
};

static struct feed *feed;

static void open_feed(void)
{
	api_kit_open();
	feed = feed_new(&api_kit.api);
	cr_assert_not_null(feed);
}

static void close_feed(void)
{
	feed_free(feed);
	api_kit_close();
}

TestSuite(feed, .init = open_feed, .fini = close_feed);

static void look_after(uint64_t ms)
{
	api_kit_clock.mono_ms += ms;
	feed_look(feed);
}

/* The text of the next event; NULL: none. Good until the next call. */
static const char *next(struct feed_place *place)
{
	static char text[65536];
	struct feed_event *event = feed_next(feed, place);

	if (!event)
		return NULL;
	cr_assert_lt(event->len, sizeof text);
	memcpy(text, event->text, event->len);
	text[event->len] = '\0';
	feed_event_drop(event);
	return text;
}

static bool begins(const char *text, const char *with)
{
	return text && strncmp(text, with, strlen(with)) == 0;
}

/* Leave a reader nothing to read. */
static struct feed_place read_all(void)
{
	struct feed_place place = feed_begin(feed, NULL);

	while (next(&place))
		;
	return place;
}

static void audit_many(unsigned count)
{
	cr_assert_eq(ledger_begin(api_kit.ledger, NULL), OTA_OK);
	while (count-- > 0)
		(void)api_kit_audit("test.noted");
	cr_assert_eq(ledger_commit(api_kit.ledger, NULL), OTA_OK);
}

/* Read on to the end; audit entries have to be those after *seq, each once and whole. */
static void follow(struct feed_place *place, uint64_t *seq)
{
	const char *text, *at;

	while ((text = next(place))) {
		for (at = text; *at; at = strstr(at, "\n\n") + 2) {
			char head[64];

			cr_assert_not_null(strstr(at, "\n\n"), "it is cut: %s", text);
			if (!begins(text, "id: "))
				continue;
			(void)snprintf(head, sizeof head,
				"id: %llu\nevent: audit\ndata: {",
				(unsigned long long)*seq + 1);
			cr_assert(begins(at, head), "instead of %s: %.200s", head, at);
			++*seq;
		}
	}
}

/* ---- what a reader sent */

static const struct {
	const char *text;
	uint64_t newest, known;
} ids[] = {
	{ NULL, 7, 7 },
	{ "", 7, 7 },
	{ "x", 7, 7 },
	{ "-1", 7, 7 },
	{ "+1", 7, 7 },
	{ " 1", 7, 7 },
	{ "1 ", 7, 7 },
	{ "0x1", 7, 7 },
	{ "0", 0, 0 },
	{ "0", 7, 0 },
	{ "6", 7, 6 },
	{ "7", 7, 7 },
	{ "8", 7, 7 },
	{ "0000000000000006", 7, 6 },
	{ "00000000000000006", 7, 7 },
	{ "18446744073709551615", 7, 7 },
	{ "18446744073709551617", 7, 7 },
	{ "0", FEED_REPLAY_MAX, 0 },
	{ "0", FEED_REPLAY_MAX + 1, 1 },
	{ "1", FEED_REPLAY_MAX + 1, 1 },
	{ "2", FEED_REPLAY_MAX + 1, 2 },
};

ParameterizedTestParameters(feed_ids, a_reader_knows_what_it_says_or_all_there_is)
{
	static size_t indices[sizeof ids / sizeof ids[0]];

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		indices[i] = i;
	return cr_make_param_array(size_t, indices, sizeof ids / sizeof ids[0]);
}

ParameterizedTest(size_t *index, feed_ids, a_reader_knows_what_it_says_or_all_there_is)
{
	cr_expect_eq(feed_known(ids[*index].text, ids[*index].newest), ids[*index].known,
		"'%s' of %llu", ids[*index].text ? ids[*index].text : "nothing",
		(unsigned long long)ids[*index].newest);
}

/* ---- states */

Test(feed, a_new_reader_is_told_what_is_the_case_and_nothing_of_the_past)
{
	struct feed_place place;
	const char *text;

	api_kit_rollout("r-1");
	audit_many(3);
	feed_wake(feed);
	place = feed_begin(feed, NULL);
	cr_assert(feed_has(feed, &place));
	cr_assert(begins(next(&place), "event: fleet\ndata: {\"fleet\":\"demo\","));
	text = next(&place);
	cr_assert(
		begins(text, "event: rollout\ndata: {\"rollout\":\"r-1\","), "%s", text);
	cr_assert_str_eq(text + strlen(text) - 3, "}\n\n");
	cr_expect_not(feed_has(feed, &place));
	cr_expect_null(next(&place));
}

Test(feed, a_state_that_only_the_clock_changed_is_no_news)
{
	struct feed_place place;

	api_kit_rollout("r-1");
	feed_wake(feed);
	place = read_all();
	api_kit_clock.utc_s += 5;
	look_after(LOOK_MS);
	cr_expect_not(feed_has(feed, &place));
	api_kit_clock.utc_s += UINT64_C(10000000000); /* one more digit */
	look_after(LOOK_MS);
	api_kit_clock.utc_s -= UINT64_C(10000000000);
	look_after(LOOK_MS);
	while (begins(next(&place), "event: "))
		;
	fw_add_devices(api_kit.world, "fleet", 1, FW_GOOD);
	look_after(LOOK_MS);
	cr_expect(begins(next(&place), "event: fleet\n"));
	cr_expect_null(next(&place));
}

Test(feed, who_is_slow_is_told_the_newest_state_alone)
{
	struct feed_place place;
	const char *text;

	feed_wake(feed);
	place = read_all();
	for (const char *ring = "abcde"; *ring; ring++) {
		fw_add_devices(api_kit.world, (char[]){ *ring, 0 }, 1, FW_GOOD);
		look_after(LOOK_MS);
	}
	text = next(&place);
	cr_assert(begins(text, "event: fleet\n"));
	cr_expect_not_null(strstr(text, "\"total\":5,"), "%s", text);
	cr_expect_null(next(&place));
}

Test(feed, nobody_looks_more_often_than_every_second)
{
	struct feed_place place;

	feed_wake(feed);
	place = read_all();
	fw_add_devices(api_kit.world, "fleet", 1, FW_GOOD);
	look_after(LOOK_MS - EARLY_MS - 1);
	cr_expect_not(feed_has(feed, &place));
	look_after(1);
	cr_expect(feed_has(feed, &place));
}

Test(feed, looking_takes_its_share_of_the_time_and_no_more)
{
	struct feed_place place;
	uint64_t began_ms = api_kit_clock.mono_ms, took_ms;

	api_kit_clock.each_ms = 500;
	feed_wake(feed);
	api_kit_clock.each_ms = 0;
	took_ms = api_kit_clock.mono_ms - began_ms;
	cr_assert_gt(took_ms, 500);
	place = read_all();
	fw_add_devices(api_kit.world, "fleet", 1, FW_GOOD);
	took_ms -= 500; /* what looking at the clock for the first time took */
	api_kit_clock.mono_ms = began_ms + 500 + took_ms * FEED_SHARE - 1;
	feed_look(feed);
	cr_expect_not(feed_has(feed, &place));
	look_after(1);
	cr_expect(feed_has(feed, &place));
}

Test(feed, the_end_of_a_rollout_is_told_for_half_a_minute)
{
	struct feed_place place, late;

	api_kit_rollout("r-1");
	feed_wake(feed);
	place = read_all();
	cr_assert_eq(fw_steer(api_kit.world, "r-1", "abort"), OTA_OK);
	look_after(LOOK_MS);
	while (!begins(next(&place), "event: rollout\n"))
		cr_assert(feed_has(feed, &place), "its end was not told");
	look_after(OVER_MS - 1);
	late = feed_begin(feed, NULL);
	cr_expect(begins(next(&late), "event: fleet\n"));
	cr_expect(begins(next(&late), "event: rollout\n"));
	look_after(LOOK_MS);
	late = feed_begin(feed, NULL);
	cr_expect(begins(next(&late), "event: fleet\n"));
	cr_expect_null(next(&late));
}

Test(feed, a_rollout_that_was_over_before_is_not_told)
{
	struct feed_place place;

	api_kit_rollout("r-1");
	cr_assert_eq(fw_steer(api_kit.world, "r-1", "abort"), OTA_OK);
	feed_wake(feed);
	place = feed_begin(feed, NULL);
	cr_expect(begins(next(&place), "event: fleet\n"));
	cr_expect_null(next(&place));
}

Test(feed, a_rollout_that_goes_on_again_is_told_for_as_long_as_it_does)
{
	struct fw_world *w = api_kit.world;
	struct feed_place place;
	struct ota_digest release = api_kit_rollout("r-1");

	fw_grant(w, &release, 1000, NULL);
	feed_wake(feed);
	cr_assert(fw_until(w, "r-1", "completed", 100), "%s", fw_state(w, "r-1"));
	look_after(LOOK_MS);
	w->devices[0].script = FW_AWAY; /* it does not end soon */
	cr_assert_eq(fw_steer(w, "r-1", "revert"), OTA_OK);
	look_after(LOOK_MS);
	look_after(2 * OVER_MS);
	look_after(LOOK_MS);
	place = feed_begin(feed, NULL);
	while (!begins(next(&place), "event: rollout\n"))
		cr_assert(feed_has(feed, &place), "it goes on and is not told");
}

Test(feed, what_a_reader_holds_stays_when_it_is_replaced_and_when_all_is_over)
{
	struct feed_place place = { 0 };
	struct feed_event *event, *second;

	feed_wake(feed);
	event = feed_next(feed, &place);
	cr_assert_not_null(event);
	second = feed_event_hold(event);
	cr_assert_eq(second, event);
	feed_event_drop(second);
	fw_add_devices(api_kit.world, "fleet", 1, FW_GOOD);
	look_after(LOOK_MS);
	feed_free(feed);
	feed = NULL;
	cr_expect_eq(memcmp(event->text, "event: fleet\n", 13), 0);
	cr_expect_eq(event->refs, 1u);
	feed_event_drop(event);
	feed_event_drop(NULL);
}

/* ---- the audit log */

Test(feed, entries_come_in_their_order_and_each_once)
{
	struct feed_place place;
	uint64_t seq;

	audit_many(2);
	feed_wake(feed);
	place = read_all();
	seq = place.audit_seq;
	cr_assert_eq(seq, 2);
	audit_many(5);
	look_after(LOOK_MS);
	follow(&place, &seq);
	cr_expect_eq(seq, 7);
}

/* Turns of at most TURN_COUNT, and the ring goes round. */
Test(feed, a_burst_is_told_whole_however_long_it_takes)
{
	struct feed_place quick, slow, lost = { 0 };
	uint64_t quick_seq = 0, slow_seq = 0, lost_seq = 0, done = 0;

	feed_wake(feed);
	quick = slow = read_all();
	for (unsigned turn = 0; turn < 6; turn++) {
		audit_many(TURN_COUNT - 11);
		look_after(LOOK_MS);
		follow(&quick, &quick_seq);
		done += TURN_COUNT - 11;
		cr_assert_eq(quick_seq, done);
	}
	cr_assert_gt(done, 2 * RING_COUNT);
	follow(&slow, &slow_seq); /* from the ledger, then from the ring */
	cr_expect_eq(slow_seq, done);
	follow(&lost, &lost_seq);
	cr_expect_eq(lost_seq, done);
	audit_many(3 * TURN_COUNT);
	for (unsigned turn = 1; turn <= 3; turn++) {
		look_after(LOOK_MS);
		follow(&quick, &quick_seq);
		cr_assert_eq(quick_seq, done + turn * TURN_COUNT);
	}
}

Test(feed, a_reader_who_was_away_goes_on_where_it_was)
{
	struct feed_place place;
	uint64_t seq = 40;

	audit_many(100);
	feed_wake(feed);
	place = feed_begin(feed, "40");
	follow(&place, &seq);
	cr_expect_eq(seq, 100);
	audit_many(FEED_REPLAY_MAX);
	look_after(LOOK_MS);
	place = feed_begin(feed, "40");
	cr_expect_eq(place.audit_seq, 100);
}

Test(feed, waking_up_forgets_what_nobody_was_there_for)
{
	struct feed_place place;
	uint64_t version;

	feed_wake(feed);
	version = read_all().version;
	audit_many(10);
	feed_wake(feed);
	place = feed_begin(feed, NULL);
	cr_expect(begins(next(&place), "event: fleet\n"));
	cr_expect_null(next(&place));
	cr_expect_gt(place.version, version, "a version came again");
	cr_expect_eq(place.audit_seq, 10);
}

/* ---- failures */

Test(feed, a_ledger_that_cannot_be_read_costs_time_and_nothing_else)
{
	struct feed_place place;
	uint64_t seq;

	feed_wake(feed);
	place = read_all();
	seq = place.audit_seq;
	audit_many(RING_COUNT + 20);
	api_kit_sql("ALTER TABLE audit RENAME TO elsewhere");
	look_after(LOOK_MS);
	follow(&place, &seq);
	cr_assert_eq(seq, 0, "an entry came from nowhere");
	api_kit_sql("ALTER TABLE elsewhere RENAME TO audit");
	for (unsigned turn = 0; turn < 3; turn++)
		look_after(LOOK_MS);
	api_kit_sql("ALTER TABLE audit RENAME TO elsewhere");
	cr_assert(feed_has(feed, &place));
	cr_assert_eq(place.audit_seq, 0);
	follow(&place, &seq); /* the first are in the ledger alone */
	cr_assert_eq(seq, 0);
	api_kit_sql("ALTER TABLE elsewhere RENAME TO audit");
	follow(&place, &seq);
	cr_expect_eq(seq, RING_COUNT + 20);
}

/* Each allocation fails once: nothing is left out then, told twice, or cut. */
Test(feed, no_memory_costs_time_and_nothing_else, .timeout = 60)
{
	bool failed = true;

	audit_many(20);
	feed_wake(feed);
	audit_many(RING_COUNT);
	for (unsigned turn = 0; turn < 2; turn++)
		look_after(LOOK_MS);
	for (long nth = 0; failed; nth++) {
		struct feed_place place = read_all(), behind = place;
		uint64_t seq = place.audit_seq, all = seq - RING_COUNT - 15;

		cr_assert_lt(nth, 10000);
		behind.audit_seq = all;
		audit_many(3);
		nomem_arm(nth);
		look_after(LOOK_MS);
		follow(&place, &seq);
		follow(&behind, &all);
		failed = nomem_disarm();
		look_after(LOOK_MS);
		follow(&place, &seq);
		follow(&behind, &all);
		cr_assert_eq(seq, all);
		cr_assert_not(feed_has(feed, &place));
	}
}

Test(feed, no_memory_for_a_feed_or_an_event_is_said)
{
	nomem_arm(0);
	cr_expect_null(feed_new(&api_kit.api));
	cr_assert(nomem_disarm());
	nomem_arm(0);
	cr_expect_null(feed_event_new(ota_bytes_of("x")));
	cr_assert(nomem_disarm());
	feed_free(NULL);
}
