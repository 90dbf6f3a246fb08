#include "proto/delta/predict/align.h"

#include <criterion/criterion.h>
#include <criterion/theories.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/base/own.h"
#include "tests/unit/run_kit.h"

#define PAIR(name) OTA_AUTO(kit_pair_fini) struct kit_pair name = { 0 }
#define RUNS(name) OTA_AUTO(ota_runs_fini) struct ota_runs name = { 0 }

static void append(struct ota_buf *out, const struct ota_buf *in, size_t at, size_t len)
{
	cr_assert_eq(ota_buf_add(out, (struct ota_bytes){ in->at + at, len }), OTA_OK);
}

Test(align, runs_that_continue_each_other_are_one)
{
	RUNS(runs);
	struct ota_run run[] = { { 0, 5, 10 }, { 10, 15, 2 }, { 12, 17, 0 },
		{ 13, 18, 1 }, { 14, 18, 1 } };

	for (size_t i = 0; i < sizeof run / sizeof run[0]; i++)
		cr_assert_eq(ota_runs_add(&runs, &run[i]), OTA_OK);
	cr_assert_eq(runs.count, 3);
	cr_assert_eq(runs.at[0].len, 12);
}

Test(align, equal_bytes_are_one_run)
{
	PAIR(pair);
	RUNS(runs);

	kit_code(&pair.from, 10001, 1);
	kit_code(&pair.to, 10001, 1);
	cr_assert_eq(kit_aligned(&pair, &runs).covered, 10001);
	cr_assert_eq(runs.count, 1);
}

Test(align, nothing_has_no_runs)
{
	PAIR(pair);
	RUNS(runs);

	cr_assert(kit_aligned(&pair, &runs).valid);
	kit_code(&pair.from, 100, 1);
	cr_assert(kit_aligned(&pair, &runs).valid);
	ota_buf_fini(&pair.from);
	kit_code(&pair.to, 100, 1);
	cr_assert(kit_aligned(&pair, &runs).valid);
	cr_assert_eq(runs.count, 0);
}

Test(align, an_insertion_gives_two_runs)
{
	PAIR(pair);
	RUNS(runs);

	kit_code(&pair.from, 10000, 1);
	append(&pair.to, &pair.from, 0, 4000);
	kit_code(&pair.to, 400, 2);
	append(&pair.to, &pair.from, 4000, 6000);
	cr_assert(kit_aligned(&pair, &runs).valid);
	cr_assert_eq(runs.count, 2);
	cr_assert_eq(runs.at[0].len, 4000);
	cr_assert_eq(runs.at[1].to, 4400);
	cr_assert_eq(runs.at[1].from, 4000);
}

Test(align, a_removal_gives_two_runs)
{
	PAIR(pair);
	RUNS(runs);

	kit_code(&pair.from, 10000, 1);
	append(&pair.to, &pair.from, 0, 4000);
	append(&pair.to, &pair.from, 4100, 5900);
	cr_assert_eq(kit_aligned(&pair, &runs).covered, 9900);
	cr_assert_eq(runs.count, 2);
}

Test(align, moved_blocks_are_found)
{
	PAIR(pair);
	RUNS(runs);

	kit_code(&pair.from, 9000, 1);
	append(&pair.to, &pair.from, 6000, 3000);
	append(&pair.to, &pair.from, 3000, 3000);
	append(&pair.to, &pair.from, 0, 3000);
	cr_assert_eq(kit_aligned(&pair, &runs).covered, 9000);
	cr_assert_eq(runs.count, 3);
	cr_assert_eq(runs.at[0].from, 6000);
}

Test(align, changed_words_do_not_end_a_run)
{
	PAIR(pair);
	RUNS(runs);

	kit_code(&pair.from, 10000, 1);
	append(&pair.to, &pair.from, 0, 10000);
	for (size_t i = 100; i < 10000; i += 40)
		pair.to.at[i] ^= 0xff;
	cr_assert_eq(kit_aligned(&pair, &runs).covered, 10000);
	cr_assert_eq(runs.count, 1);
}

/* The longest match of the bytes at `to`, by trying all. */
static size_t longest(const struct kit_pair *pair, size_t to, size_t *at)
{
	size_t best = 0;

	for (size_t i = 0; i < pair->from.len; i++) {
		size_t len = 0;

		while (i + len < pair->from.len && to + len < pair->to.len &&
			pair->from.at[i + len] == pair->to.at[to + len])
			len++;
		if (len > best) {
			best = len;
			*at = i;
		}
	}
	return best;
}

static bool is_same(const struct kit_pair *pair, size_t to, size_t from)
{
	return from < pair->from.len && pair->from.at[from] == pair->to.at[to];
}

/* How far it pays to go on from a place, or back from it, when each byte that is right
 * pays for one that is wrong. */
static size_t reach(const struct kit_pair *pair, size_t to, size_t from, long max)
{
	long sum = 0, best = 0, step = max < 0 ? -1 : 1;
	size_t len = 0;

	for (long i = 0; i != max; i += step) {
		size_t at = (size_t)(step < 0 ? i - 1 : i);

		if (from + at >= pair->from.len)
			break;
		sum += is_same(pair, to + at, from + at) ? 1 : -1;
		if (sum > best) {
			best = sum;
			len = (size_t)labs(i) + 1;
		}
	}
	return len;
}

/* The textbook's approximate alignment: a search at each byte, and a new run where its
 * match is longer by more than 8 than what the run under way has right there. Overlaps
 * go to the earlier run. */
static void textbook(const struct kit_pair *pair, struct ota_runs *runs)
{
	size_t at = 0, run_to = 0, run_from = 0;

	while (at <= pair->to.len) {
		size_t seed = 0, len = longest(pair, at, &seed), right = 0, mine, back;

		for (size_t i = at; i < at + len; i++)
			right += is_same(pair, i, run_from + (i - run_to));
		if (at < pair->to.len && len <= right + 8) {
			at += len > 0 && len == right ? len : 1;
			continue;
		}
		mine = reach(pair, run_to, run_from, (long)(at - run_to));
		cr_assert_eq(
			ota_runs_add(runs, &(struct ota_run){ run_to, run_from, mine }),
			OTA_OK);
		back = reach(pair, at, seed, (long)(run_to + mine) - (long)at);
		run_to = at - back;
		run_from = seed - back;
		at += len > 0 ? len : 1;
	}
}

TheoryDataPoints(align, no_costlier_than_the_textbook) = {
	DataPoints(unsigned, 1, 4, 16, 40, 80),
	DataPoints(uint64_t, 1, 2, 3, 4),
};

Theory((unsigned edits, uint64_t seed), align, no_costlier_than_the_textbook)
{
	PAIR(pair);
	RUNS(ours);
	RUNS(theirs);
	struct kit_verdict we, they;

	kit_mutated(&pair, 6000, edits, seed);
	textbook(&pair, &theirs);
	we = kit_aligned(&pair, &ours);
	they = kit_judge(&theirs, &pair);
	cr_assert(we.valid && they.valid);
	cr_expect_geq(we.covered + they.covered / 50, they.covered);
	cr_expect_leq(we.cost, they.cost + 4, "%zu > %zu", we.cost, they.cost);
}

static const char *const patterns[] = { "\xff", "ab", "abcabd", "0123456789abcdefg" };

TheoryDataPoints(align, what_repeats_is_covered_in_little_time) = {
	DataPoints(unsigned, 0, 1, 2, 3),
	DataPoints(size_t, 0, 1, 3, 7777),
};

Theory((unsigned pattern, size_t shift), align, what_repeats_is_covered_in_little_time)
{
	PAIR(pair);
	RUNS(runs);
	struct kit_verdict v;

	kit_periodic(&pair.from, 500000, patterns[pattern]);
	append(&pair.to, &pair.from, shift, 500000 - shift);
	append(&pair.to, &pair.from, 0, 400000);
	for (size_t i = 1000; i < pair.to.len; i += 5000)
		pair.to.at[i]++;
	v = kit_aligned(&pair, &runs);
	cr_assert(v.valid);
	cr_assert_geq(v.covered + 16, pair.to.len);
	cr_assert_lt(v.missed, 200);
}

static bool no(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx;
	cr_assert_leq(done, total);
	return false;
}

Test(align, it_can_be_cancelled)
{
	PAIR(pair);
	RUNS(runs);
	struct ota_progress progress = { .tick = no };

	kit_mutated(&pair, 10000, 20, 1);
	cr_assert_eq(ota_align(ota_buf_bytes(&pair.from), ota_buf_bytes(&pair.to),
			     &progress, &runs),
		OTA_E_CANCELLED);
	cr_assert_null(runs.at);
}

/* Wrong bytes at the very end are too few for a seed, and none behind them is looked at.
 */
Test(align, nothing_behind_the_end_is_read)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *at = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ota_bytes from = { at, page - 16 }, to = { at, page };

	cr_assert_neq(at, MAP_FAILED);
	cr_assert_eq(mprotect(at + page, page, PROT_NONE), 0);
	for (size_t wrong = 1; wrong < 12; wrong++) {
		RUNS(runs);

		memset(at, 0, page);
		memset(at + page - wrong, 0xff, wrong);
		cr_assert_eq(ota_align(from, to, NULL, &runs), OTA_OK);
	}
	(void)munmap(at, 2 * page);
}

Test(align, two_gibibytes_are_refused)
{
	RUNS(runs);
	struct ota_bytes from = { (const uint8_t *)"", (size_t)1 << 31 };

	cr_assert_eq(ota_align(from, (struct ota_bytes){ 0 }, NULL, &runs), OTA_E_LIMIT);
}
