#include "proto/delta/predict/align.h"

#include <criterion/criterion.h>
#include <criterion/theories.h>

#include "proto/base/own.h"
#include "tests/unit/run_kit.h"

#define PAIR(name) OTA_AUTO(kit_pair_fini) struct kit_pair name = { 0 }
#define RUNS(name) OTA_AUTO(ota_runs_fini) struct ota_runs name = { 0 }

static void append(struct ota_buf *out, const struct ota_buf *in, size_t at, size_t len)
{
	cr_assert_eq(ota_buf_add(out, (struct ota_bytes){ in->at + at, len }), OTA_OK);
}

/* Match all of `to`. */
static struct kit_verdict matched(const struct kit_pair *pair, struct ota_runs *runs)
{
	struct ota_run all = { .len = pair->to.len };
	struct ota_runs todo = { &all, 1, 1 };

	cr_assert_eq(ota_match(ota_buf_bytes(&pair->from), ota_buf_bytes(&pair->to),
			     &todo, NULL, runs),
		OTA_OK);
	return kit_judge(runs, pair);
}

Test(match, equal_bytes_are_one_run)
{
	PAIR(pair);
	RUNS(runs);

	kit_code(&pair.from, 10001, 1);
	append(&pair.to, &pair.from, 0, 10001);
	cr_assert_eq(matched(&pair, &runs).covered, 10001);
	cr_assert_eq(runs.count, 1);
}

Test(match, nothing_has_no_runs)
{
	PAIR(pair);
	RUNS(runs);

	cr_assert(matched(&pair, &runs).valid);
	kit_code(&pair.from, 100, 1);
	cr_assert(matched(&pair, &runs).valid);
	ota_buf_fini(&pair.from);
	kit_code(&pair.to, 100, 1);
	cr_assert(matched(&pair, &runs).valid);
	cr_assert_eq(runs.count, 0);
}

Test(match, moved_blocks_are_found_at_any_offset)
{
	PAIR(pair);
	RUNS(runs);

	kit_code(&pair.from, 9000, 1);
	kit_code(&pair.to, 1, 2);
	append(&pair.to, &pair.from, 6003, 2997);
	append(&pair.to, &pair.from, 3000, 3003);
	append(&pair.to, &pair.from, 0, 3000);
	cr_assert_eq(matched(&pair, &runs).covered, 9000);
	cr_assert_eq(runs.count, 3);
	cr_assert_eq(runs.at[0].to, 1);
	cr_assert_eq(runs.at[0].from, 6003);
}

Test(match, short_pieces_are_found_in_what_is_left)
{
	PAIR(pair);
	RUNS(runs);

	kit_code(&pair.from, 20000, 1);
	append(&pair.to, &pair.from, 0, 10000);
	for (size_t i = 0; i < 20; i++) {
		kit_code(&pair.to, 40, 100 + i);
		append(&pair.to, &pair.from, 19000 - i * 100, 24);
	}
	cr_assert_geq(matched(&pair, &runs).covered, 10000 + 20 * 24);
}

Test(match, only_what_is_wanted_is_covered)
{
	PAIR(pair);
	RUNS(runs);
	struct ota_run wanted[] = { { 100, 0, 50 }, { 150, 0, 500 }, { 5000, 0, 31 },
		{ 7000, 0, 3000 } };
	struct ota_runs todo = { wanted, 4, 4 };
	uint64_t covered = 0;

	kit_code(&pair.from, 10000, 1);
	append(&pair.to, &pair.from, 0, 10000);
	cr_assert_eq(ota_match(ota_buf_bytes(&pair.from), ota_buf_bytes(&pair.to), &todo,
			     NULL, &runs),
		OTA_OK);
	for (size_t i = 0; i < runs.count; i++) {
		uint64_t at = runs.at[i].to, end = at + runs.at[i].len;

		covered += runs.at[i].len;
		cr_expect((at >= 100 && end <= 650) || (at >= 5000 && end <= 5031) ||
			  at >= 7000);
	}
	cr_assert_geq(covered, 3550);
}

TheoryDataPoints(match, nearly_as_good_as_an_alignment) = {
	DataPoints(unsigned, 1, 4, 16, 40, 80),
	DataPoints(uint64_t, 1, 2, 3, 4),
};

Theory((unsigned edits, uint64_t seed), match, nearly_as_good_as_an_alignment)
{
	PAIR(pair);
	RUNS(match);
	RUNS(align);
	struct kit_verdict us, them;

	kit_mutated(&pair, 20000, edits, seed);
	us = matched(&pair, &match);
	them = kit_aligned(&pair, &align);
	cr_assert(us.valid && them.valid);
	cr_expect_leq(
		us.cost, them.cost + them.cost / 5 + 20, "%zu > %zu", us.cost, them.cost);
}

static const char *const patterns[] = { "\xff", "ab", "abcabd",
	"0123456789abcdefghijklmnopqrstuvwxyz<>" };

TheoryDataPoints(match, what_repeats_takes_little_time) = {
	DataPoints(unsigned, 0, 1, 2, 3),
	DataPoints(size_t, 0, 1, 3, 7777),
};

Theory((unsigned pattern, size_t shift), match, what_repeats_takes_little_time)
{
	PAIR(pair);
	RUNS(runs);

	kit_periodic(&pair.from, 500000, patterns[pattern]);
	append(&pair.to, &pair.from, shift, 500000 - shift);
	append(&pair.to, &pair.from, 0, 400000);
	for (size_t i = 1000; i < pair.to.len; i += 5000)
		pair.to.at[i]++;
	cr_assert(matched(&pair, &runs).valid);
}

/* Cancels once ctx, a count of ticks, is used up. */
static bool count_down(void *ctx, uint64_t done, uint64_t total)
{
	unsigned *left = ctx;

	cr_assert_leq(done, total);
	return (*left)-- > 0;
}

Test(match, it_can_be_cancelled_at_every_tick)
{
	PAIR(pair);
	RUNS(runs);
	struct ota_run all = { 0 };
	struct ota_runs todo = { &all, 1, 1 };
	enum ota_code rc = OTA_E_CANCELLED;
	unsigned ticks;

	kit_mutated(&pair, 100000, 900, 1);
	all.len = pair.to.len;
	for (ticks = 0; rc == OTA_E_CANCELLED; ticks++) {
		unsigned left = ticks;
		struct ota_progress progress = { &left, count_down };

		cr_assert_null(runs.at);
		rc = ota_match(ota_buf_bytes(&pair.from), ota_buf_bytes(&pair.to), &todo,
			&progress, &runs);
	}
	cr_assert_eq(rc, OTA_OK);
	cr_assert_gt(ticks, 2);
}
