#include "proto/delta/predict/align.h"

#include "proto/base/own.h"
#include "proto/delta/predict/equal.h"
#include "proto/delta/predict/suffix.h"

/* The new bytes are walked along a diagonal (old offset minus new offset). Only where it
 * misses can another be better by more than it is now, so only there a search is made,
 * and only for what is long enough to hold MISSES of the diagonal's misses: a seed. */
enum {
	MISSES = 9,        /* that a seed must make good */
	TICK_LEN = 1 << 20 /* bytes between two ticks */
};

/* What extending a run is worth: a byte that is right saves about half a byte of patch,
 * one that is wrong costs about as much more than one that is not covered. */
enum {
	RIGHT = 1,
	WRONG = 1,
	HOPELESS = 256 /* below the best so far: extend no further */
};

enum {
	LOOK = 128,     /* bytes compared around each candidate for a seed */
	CANDIDATES = 12 /* to each side of the longest match */
};

/* Little left of `to` after its ends are peeled off: search near its place only. */
enum { NEAR_SHARE = 256, NEAR_FACTOR = 64, NEAR_LEN = 1 << 20 };

/* A place on a diagonal. */
struct place {
	size_t to, from;
};

/* The next misses of a diagonal. */
struct misses {
	size_t at[MISSES]; /* offsets in `to`, a ring */
	unsigned head;
	unsigned count;
	size_t next; /* where to look for the next */
};

struct aligner {
	struct ota_bytes from, to;
	size_t end;  /* of `to`, without a suffix that both share */
	size_t base; /* in `from`, of what the suffixes are of */
	struct ota_suffixes suffixes;
	struct place last; /* where the run under way begins at the latest */
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
	return a->progress->tick(a->progress->ctx, done, a->to.len);
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

	if (from >= a->from.len)
		return to;
	if (max > a->from.len - from)
		max = a->from.len - from;
	return to + ota_equal_len(a->to.at + to, a->from.at + from, max);
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

	for (unsigned i = MISSES; i > 0; i--) {
		gram = m->at[(m->head + i - 1) % MISSES] + 1;
		gram = gram < first + OTA_GRAM_LEN ? first : gram - OTA_GRAM_LEN;
		if (ota_suffixes_may_hold(&a->suffixes, a->to.at + gram))
			continue;
		while (m->count > 0 && first_miss(m) <= gram)
			drop_miss(m);
		return false;
	}
	return true;
}

/* What the bytes after a place (not beyond `max`) are worth under its diagonal: the best
 * sum, and the length that has it. */
struct worth {
	int64_t sum;
	size_t len;
};

static struct worth extend(const uint8_t *to, const uint8_t *from, size_t max)
{
	struct worth best = { 0 };
	int64_t sum = 0;

	for (size_t i = 0; i < max && sum > best.sum - HOPELESS; i++) {
		size_t same = ota_equal_len(to + i, from + i, max - i);

		sum += RIGHT * (int64_t)same;
		i += same;
		if (sum > best.sum)
			best = (struct worth){ sum, i };
		sum -= WRONG;
	}
	return best;
}

static struct worth extend_back(const uint8_t *to, const uint8_t *from, size_t max)
{
	struct worth best = { 0 };
	int64_t sum = 0;

	for (size_t i = 0; i < max && sum > best.sum - HOPELESS; i++) {
		size_t same = ota_equal_len_back(to - i, from - i, max - i);

		sum += RIGHT * (int64_t)same;
		i += same;
		if (sum > best.sum)
			best = (struct worth){ sum, i };
		sum -= WRONG;
	}
	return best;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static struct worth extend_from(const struct aligner *a, struct place at, size_t end)
{
	size_t max = least(end - at.to, a->from.len - at.from);

	return extend(a->to.at + at.to, a->from.at + at.from, max);
}

static struct worth extend_back_from(
	const struct aligner *a, struct place at, size_t begin)
{
	size_t max = least(at.to - begin, at.from);

	return extend_back(a->to.at + at.to, a->from.at + at.from, max);
}

/* Which of two diagonals has each of the `len` bytes before the end of `a` and after the
 * beginning of `b`: how many go to `a`. */
static size_t split(const struct aligner *al, struct place a, struct place b, size_t len)
{
	const uint8_t *to = al->to.at + a.to;
	const uint8_t *by_a = al->from.at + a.from, *by_b = al->from.at + b.from;
	int64_t sum = 0, best = 0;
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		sum += (to[i] == by_a[i]) - (to[i] == by_b[i]);
		if (sum > best || (sum == best && (a.to + at) % 4 != 0)) {
			best = sum;
			at = i + 1;
		}
	}
	return at;
}

static OTA_CHECKED enum ota_code emit(struct aligner *a, size_t len)
{
	struct ota_run run = { a->last.to, a->last.from, len };

	return ota_runs_add(a->out, &run);
}

/* End the run under way where the next one, found at `seed`, begins. */
static OTA_CHECKED enum ota_code settle(struct aligner *a, struct place seed)
{
	size_t len = extend_from(a, a->last, seed.to).len;
	size_t back = extend_back_from(a, seed, a->last.to).len;
	enum ota_code rc;

	if (a->last.to + len > seed.to - back) {
		size_t shared = a->last.to + len - (seed.to - back);
		struct place left = { a->last.to + len - shared,
			a->last.from + len - shared };
		struct place right = { seed.to - back, seed.from - back };
		size_t mine = split(a, left, right, shared);

		len -= shared - mine;
		back -= mine;
	}
	rc = emit(a, len);
	a->last = (struct place){ seed.to - back, seed.from - back };
	return rc;
}

/* What a candidate is worth, seen from the beginning of the match. */
static int64_t weigh(const struct aligner *a, struct place at)
{
	struct worth after = extend_from(a, at, least(at.to + LOOK, a->end));
	size_t begin = at.to - least(at.to - a->last.to, LOOK);

	return after.sum + extend_back_from(a, at, begin).sum;
}

/* Of the matches around the longest, the one whose surroundings match best too; among
 * equals the one nearest to the diagonal under way. */
static struct place choose(
	const struct aligner *a, const struct ota_suffix_hit *hit, size_t need)
{
	size_t to = first_miss(&a->misses), here = across(a, to);
	size_t low = hit->rank - least(hit->rank, CANDIDATES);
	size_t high = least(hit->rank + CANDIDATES + 1, a->suffixes.text.len);
	struct place best = { to, a->base + (size_t)a->suffixes.order[hit->rank] };
	int64_t best_worth = weigh(a, best),
		best_way = llabs((int64_t)(best.from - here));

	for (size_t rank = low; rank < high; rank++) {
		struct place at = { to, a->base + (size_t)a->suffixes.order[rank] };
		int64_t way = llabs((int64_t)(at.from - here)), worth;

		if (at.from + need > a->from.len ||
			ota_equal_len(a->to.at + to, a->from.at + at.from, need) < need)
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
static void follow(struct aligner *a, struct place seed)
{
	a->misses = (struct misses){ .next = seed.to };
	fill_misses(a);
}

/* One step: a seed at the first miss, or on to the next miss. */
static OTA_CHECKED enum ota_code step(struct aligner *a)
{
	size_t at = first_miss(&a->misses), need = last_miss(&a->misses) + 1 - at;
	struct ota_suffix_hit hit;
	struct place seed;
	enum ota_code rc;

	if (!may_seed(a))
		return OTA_OK;
	hit = ota_suffixes_find(
		&a->suffixes, (struct ota_bytes){ a->to.at + at, a->end - at });
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
	size_t reach = left * NEAR_FACTOR + NEAR_LEN, behind = a->to.len - a->end;
	size_t end = a->from.len - least(a->from.len, behind);

	if (left > a->from.len / NEAR_SHARE)
		return a->from;
	a->base = first - least(first, reach);
	end += least(a->from.len - end, reach);
	if (end < a->base)
		a->base = 0;
	return (struct ota_bytes){ a->from.at + a->base, end - a->base };
}

/* Leave the common suffix out of the search; its length. */
static size_t peel(struct aligner *a)
{
	size_t same = ota_equal_len(a->to.at, a->from.at, least(a->to.len, a->from.len));
	size_t max = least(a->to.len, a->from.len) - same;
	size_t len =
		ota_equal_len_back(a->to.at + a->to.len, a->from.at + a->from.len, max);

	a->end = a->to.len - len;
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
		rc = settle(a, (struct place){ a->end, a->from.len - suffix });
	if (rc == OTA_OK)
		rc = emit(a, extend_from(a, a->last, a->to.len).len);
	if (rc == OTA_OK && !tick(a, a->to.len))
		rc = OTA_E_CANCELLED;
	ota_suffixes_fini(&a->suffixes);
	return rc;
}

enum ota_code ota_align(struct ota_bytes from, struct ota_bytes to,
	const struct ota_progress *progress, struct ota_runs *out)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };
	struct aligner a = { .from = from, .to = to, .progress = progress, .out = &runs };
	enum ota_code rc;

	if (from.len > INT32_MAX)
		return OTA_E_LIMIT;
	rc = from.len > 0 && to.len > 0 ? align(&a) : OTA_OK;
	if (rc != OTA_OK)
		return rc;
	ota_runs_fini(out);
	*out = runs;
	runs = (struct ota_runs){ 0 };
	return OTA_OK;
}
