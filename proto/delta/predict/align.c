#include "proto/delta/predict/align.h"

#include "proto/base/own.h"
#include "proto/delta/predict/equal.h"
#include "proto/delta/predict/extend.h"
#include "proto/delta/predict/suffix.h"

/* The new bytes are walked along a diagonal (old offset minus new offset). Only where it
 * misses can another be better by more than it is now, so only there a search is made,
 * and only for what is long enough to hold MISSES of the diagonal's misses: a seed. */
enum {
	MISSES = 8,        /* that a seed must make good */
	TICK_LEN = 1 << 20 /* bytes between two ticks */
};

enum {
	LOOK = 128,     /* bytes compared around each candidate for a seed */
	CANDIDATES = 12 /* to each side of the longest match */
};

/* Little left of `to` after its ends are peeled off: search near its place only. */
enum { NEAR_SHARE = 256, NEAR_FACTOR = 64, NEAR_LEN = 1 << 20 };

/* The next misses of a diagonal. */
struct misses {
	size_t at[MISSES]; /* offsets in `to`, a ring */
	unsigned head;
	unsigned count;
	size_t next; /* where to look for the next */
};

struct aligner {
	struct ota_pair_of_bytes pair;
	size_t end;  /* of `to`, without a suffix that both share */
	size_t base; /* in `from`, of what the suffixes are of */
	struct ota_suffixes suffixes;
	struct ota_place last; /* where the run under way begins at the latest */
	struct misses misses;
	const struct ota_progress *progress; /* borrowed */
	size_t next_tick;
	struct ota_runs *out; /* borrowed */
};

static bool tick(struct aligner *a, size_t done)
{
	if (a->progress == NULL || a->progress->tick == NULL || done < a->next_tick)
		return true;
	a->next_tick = done + TICK_LEN;
	return a->progress->tick(a->progress->ctx, done, a->pair.to.len);
}

/* The old offset that a diagonal through `last` gives; SIZE_MAX and more if none. */
static size_t across(const struct aligner *a, size_t to)
{
	return to + (a->last.from - a->last.to);
}

/* The next place from `to` on where the diagonal misses, or a->end. */
static size_t find_miss(const struct aligner *a, size_t to)
{
	size_t from = across(a, to), max = a->end - to;

	if (from >= a->pair.from.len)
		return to;
	if (max > a->pair.from.len - from)
		max = a->pair.from.len - from;
	return to + ota_equal_len(a->pair.to.at + to, a->pair.from.at + from, max);
}

static void fill_misses(struct aligner *a)
{
	struct misses *m = &a->misses;

	while (m->count < MISSES) {
		size_t at = find_miss(a, m->next);

		m->next = at;
		if (at >= a->end)
			return;
		m->at[(m->head + m->count++) % MISSES] = at;
		m->next = at + 1;
	}
}

static void drop_miss(struct misses *m)
{
	m->head = (m->head + 1) % MISSES;
	m->count--;
}

static size_t first_miss(const struct misses *m)
{
	return m->at[m->head];
}

static size_t last_miss(const struct misses *m)
{
	return m->at[(m->head + MISSES - 1) % MISSES];
}

/* Whether all grams that hold a miss may stand in the old bytes. If not, the misses that
 * no seed can make good are dropped. */
static bool may_seed(struct aligner *a)
{
	struct misses *m = &a->misses;
	size_t first = first_miss(m), gram;

	if (a->end - first < OTA_GRAM_LEN) { /* too little is left for any seed */
		drop_miss(m);
		return false;
	}
	for (unsigned i = MISSES; i > 0; i--) {
		gram = m->at[(m->head + i - 1) % MISSES] + 1;
		gram = gram < first + OTA_GRAM_LEN ? first : gram - OTA_GRAM_LEN;
		if (ota_suffixes_may_hold(&a->suffixes, a->pair.to.at + gram))
			continue;
		while (m->count > 0 && first_miss(m) <= gram)
			drop_miss(m);
		return false;
	}
	return true;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static OTA_CHECKED enum ota_code emit(struct aligner *a, size_t len)
{
	struct ota_run run = { a->last.to, a->last.from, len };

	return ota_runs_add(a->out, &run);
}

/* End the run under way where the next one, found at `seed`, begins. */
static OTA_CHECKED enum ota_code settle(struct aligner *a, struct ota_place seed)
{
	struct ota_place place[2] = { a->last, seed };
	size_t len = ota_extend(&a->pair, a->last, seed.to).len;
	size_t back = ota_extend_back(&a->pair, seed, a->last.to).len;
	enum ota_code rc;

	ota_share(&a->pair, place, &len, &back);
	rc = emit(a, len);
	a->last = (struct ota_place){ seed.to - back, seed.from - back };
	return rc;
}

/* What a candidate is worth, seen from the beginning of the match. */
static int64_t weigh(const struct aligner *a, struct ota_place at)
{
	size_t begin = at.to - least(at.to - a->last.to, LOOK);
	size_t end = least(at.to + LOOK, a->end);

	return ota_extend(&a->pair, at, end).worth +
	       ota_extend_back(&a->pair, at, begin).worth;
}

/* Of the matches around the longest, the one whose surroundings match best too; among
 * equals the one nearest to the diagonal under way. */
static struct ota_place choose(
	const struct aligner *a, const struct ota_suffix_hit *hit, size_t need)
{
	size_t to = first_miss(&a->misses), here = across(a, to);
	size_t low = hit->rank - least(hit->rank, CANDIDATES);
	size_t high = least(hit->rank + CANDIDATES + 1, a->suffixes.text.len);
	struct ota_place best = { to, a->base + (size_t)a->suffixes.order[hit->rank] };
	int64_t best_worth = weigh(a, best),
		best_way = llabs((int64_t)(best.from - here));

	for (size_t rank = low; rank < high; rank++) {
		struct ota_place at = { to, a->base + (size_t)a->suffixes.order[rank] };
		int64_t way = llabs((int64_t)(at.from - here)), worth;

		if (at.from + need > a->pair.from.len ||
			ota_equal_len(a->pair.to.at + to, a->pair.from.at + at.from,
				need) < need)
			continue;
		worth = weigh(a, at);
		if (worth < best_worth || (worth == best_worth && way >= best_way))
			continue;
		best = at;
		best_worth = worth;
		best_way = way;
	}
	return best;
}

/* Follow the diagonal of a seed from the first byte that it misses. */
static void follow(struct aligner *a, struct ota_place seed)
{
	a->misses = (struct misses){ .next = seed.to };
	fill_misses(a);
}

/* One step: a seed at the first miss, or on to the next miss. */
static OTA_CHECKED enum ota_code step(struct aligner *a)
{
	size_t at = first_miss(&a->misses), need = last_miss(&a->misses) + 1 - at;
	struct ota_suffix_hit hit;
	struct ota_place seed;
	enum ota_code rc;

	if (!may_seed(a))
		return OTA_OK;
	hit = ota_suffixes_find(
		&a->suffixes, (struct ota_bytes){ a->pair.to.at + at, a->end - at });
	if (hit.len < need) {
		drop_miss(&a->misses);
		return OTA_OK;
	}
	seed = choose(a, &hit, need);
	rc = settle(a, seed);
	follow(a, seed);
	return rc;
}

static OTA_CHECKED enum ota_code scan(struct aligner *a)
{
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && a->misses.count == MISSES) {
		if (!tick(a, first_miss(&a->misses)))
			return OTA_E_CANCELLED;
		rc = step(a);
		fill_misses(a);
	}
	return rc;
}

/* The old bytes to search: all, or if little is left of the new ones, those around. */
static struct ota_bytes searched(struct aligner *a)
{
	size_t first = first_miss(&a->misses), left = a->end - first;
	size_t reach = left * NEAR_FACTOR + NEAR_LEN, behind = a->pair.to.len - a->end;
	size_t end = a->pair.from.len - least(a->pair.from.len, behind);

	if (left > a->pair.from.len / NEAR_SHARE)
		return a->pair.from;
	a->base = first - least(first, reach);
	end += least(a->pair.from.len - end, reach);
	if (end < a->base)
		a->base = 0;
	return (struct ota_bytes){ a->pair.from.at + a->base, end - a->base };
}

/* Leave the common suffix out of the search; its length. */
static size_t peel(struct aligner *a)
{
	size_t same = ota_equal_len(
		a->pair.to.at, a->pair.from.at, least(a->pair.to.len, a->pair.from.len));
	size_t max = least(a->pair.to.len, a->pair.from.len) - same;
	size_t len = ota_equal_len_back(
		a->pair.to.at + a->pair.to.len, a->pair.from.at + a->pair.from.len, max);

	a->end = a->pair.to.len - len;
	return len;
}

static OTA_CHECKED enum ota_code align(struct aligner *a)
{
	size_t suffix = peel(a);
	enum ota_code rc = OTA_OK;

	fill_misses(a);
	if (a->misses.count == MISSES)
		rc = ota_suffixes_init(&a->suffixes, searched(a));
	if (rc == OTA_OK)
		rc = scan(a);
	if (rc == OTA_OK && suffix > 0)
		rc = settle(a, (struct ota_place){ a->end, a->pair.from.len - suffix });
	if (rc == OTA_OK)
		rc = emit(a, ota_extend(&a->pair, a->last, a->pair.to.len).len);
	if (rc == OTA_OK && !tick(a, a->pair.to.len))
		rc = OTA_E_CANCELLED;
	ota_suffixes_fini(&a->suffixes);
	return rc;
}

enum ota_code ota_align(struct ota_bytes from, struct ota_bytes to,
	const struct ota_progress *progress, struct ota_runs *out)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };
	struct aligner a = { .pair = { from, to }, .progress = progress, .out = &runs };
	struct ota_run all = { .len = to.len };
	struct ota_runs todo = { &all, 1, 1 };
	enum ota_code rc;

	if (from.len > INT32_MAX)
		return OTA_E_LIMIT;
	rc = from.len > 0 && to.len > 0 ? align(&a) : OTA_OK;
	if (rc != OTA_OK)
		return rc;
	ota_runs_tidy(&runs, &a.pair, &todo);
	ota_runs_extend(&runs, &a.pair, &todo);
	ota_runs_fini(out);
	*out = runs;
	runs = (struct ota_runs){ 0 };
	return OTA_OK;
}
