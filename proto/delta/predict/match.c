#include "proto/delta/predict/align.h"

#include "proto/base/own.h"
#include "proto/delta/predict/blocks.h"
#include "proto/delta/predict/equal.h"
#include "proto/delta/predict/extend.h"
#include "proto/delta/predict/rest.h"

enum {
	BATCH = 32,         /* places of the new bytes that are hashed together */
	LOOK = 4096,        /* bytes compared to choose among places */
	MISSES = 9,         /* of the last diagonal that another must make good */
	TICK_LEN = 1 << 20, /* bytes between two ticks */
};

struct matcher {
	struct ota_pair_of_bytes pair;
	struct ota_blocks blocks;
	size_t begin, end; /* of the new bytes that may be covered now */
	size_t diagonal;   /* of the last run: old offset minus new, wrapping */
	const struct ota_progress *progress; /* borrowed */
	size_t next_tick;
	struct ota_runs *out; /* borrowed */
};

static bool tick(struct matcher *m, size_t done)
{
	if (m->progress == NULL || m->progress->tick == NULL || done < m->next_tick)
		return true;
	m->next_tick = done + TICK_LEN;
	return m->progress->tick(m->progress->ctx, done, m->pair.to.len);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many bytes of a place are equal from there on, at most `max`. */
static size_t after(const struct matcher *m, struct ota_place at, size_t max)
{
	max = least(max, least(m->end - at.to, m->pair.from.len - at.from));
	return ota_equal_len(m->pair.to.at + at.to, m->pair.from.at + at.from, max);
}

static size_t before(const struct matcher *m, struct ota_place at, size_t max)
{
	max = least(max, least(at.to - m->begin, at.from));
	return ota_equal_len_back(m->pair.to.at + at.to, m->pair.from.at + at.from, max);
}

/* Cover all that is equal around a place. */
static OTA_CHECKED enum ota_code cover(struct matcher *m, struct ota_place at)
{
	size_t back = before(m, at, SIZE_MAX);
	struct ota_run run = { at.to - back, at.from - back,
		back + after(m, at, SIZE_MAX) };

	m->begin = run.to + run.len;
	m->diagonal = at.from - at.to;
	return ota_runs_add(m->out, &run);
}

/* Whether the last run's diagonal has a block at `to`. */
static bool continues(const struct matcher *m, size_t to, struct ota_place *found)
{
	struct ota_place at = { to, to + m->diagonal };

	if (at.from >= m->pair.from.len || m->pair.from.len - at.from < OTA_BLOCK_LEN ||
		after(m, at, OTA_BLOCK_LEN) < OTA_BLOCK_LEN)
		return false;
	*found = at;
	return true;
}

/* Whether the last run's diagonal is nearly as good for `len` bytes as one without a
 * miss. */
static bool is_nearly_right(const struct matcher *m, size_t to, size_t len)
{
	size_t from = to + m->diagonal, end = to + len;
	unsigned misses = 0;

	if (from >= m->pair.from.len || m->pair.from.len - from < len)
		return false;
	for (; to < end && misses < MISSES; to++, misses++)
		to += ota_equal_len(m->pair.to.at + to,
			m->pair.from.at + (to + m->diagonal), end - to);
	return misses - (to > end) < MISSES;
}

/* The place of a block's hash where most is equal, if anything is. */
static bool choose(
	const struct matcher *m, size_t to, uint64_t hash, struct ota_place *found)
{
	size_t place[OTA_BLOCK_PLACES], best = 0;
	unsigned count = ota_blocks_find(&m->blocks, hash, place);

	for (unsigned i = 0; i < count; i++) {
		struct ota_place at = { to, place[i] };
		size_t len = after(m, at, LOOK);

		if (len < OTA_BLOCK_LEN || is_nearly_right(m, to, len))
			continue;
		len += before(m, at, LOOK);
		if (len <= best)
			continue;
		best = len;
		*found = at;
	}
	return best > 0;
}

/* Look at `count` places from `to` on; how many were passed until one was found. */
static unsigned look(
	const struct matcher *m, size_t to, unsigned count, struct ota_place *found)
{
	uint64_t hash[BATCH];
	unsigned i;

	for (i = 0; i < count; i++)
		hash[i] = ota_blocks_hash(&m->blocks, m->pair.to.at + to + i);
	for (i = 0; i < count; i++) {
		if (continues(m, to + i, found) ||
			(hash[i] != 0 && choose(m, to + i, hash[i], found)))
			break;
	}
	return i;
}

/* Cover what is equal in one range. */
static OTA_CHECKED enum ota_code match_range(struct matcher *m)
{
	size_t to = m->begin;
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && m->end - to >= OTA_BLOCK_LEN) {
		size_t left = m->end - to - OTA_BLOCK_LEN + 1;
		unsigned count = (unsigned)least(left, BATCH), passed;
		struct ota_place found = { 0 };

		if (!tick(m, to))
			return OTA_E_CANCELLED;
		passed = look(m, to, count, &found);
		to += passed;
		if (passed == count)
			continue;
		rc = cover(m, found);
		to = m->begin;
	}
	return rc;
}

static OTA_CHECKED enum ota_code match(struct matcher *m, const struct ota_runs *todo)
{
	enum ota_code rc = ota_blocks_init(&m->blocks, m->pair.from);

	for (size_t i = 0; i < todo->count && rc == OTA_OK; i++) {
		m->begin = todo->at[i].to;
		m->end = todo->at[i].to + todo->at[i].len;
		rc = match_range(m);
	}
	ota_blocks_fini(&m->blocks);
	return rc;
}

/* Ranges that touch each other as one, so that runs never cross the end of a range. */
static OTA_CHECKED enum ota_code merge_touching(
	const struct ota_runs *ranges, struct ota_runs *out)
{
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; i < ranges->count && rc == OTA_OK; i++) {
		const struct ota_run *r = &ranges->at[i];

		rc = ota_runs_add(out, &(struct ota_run){ r->to, r->to, r->len });
	}
	return rc;
}

static void improve(struct ota_runs *runs, const struct ota_pair_of_bytes *pair,
	const struct ota_runs *todo)
{
	ota_runs_extend(runs, pair, todo);
	ota_runs_tidy(runs, pair, todo);
	ota_runs_extend(runs, pair, todo);
}

/* Match, and make the most of it. */
static OTA_CHECKED enum ota_code match_well(
	struct matcher *m, const struct ota_runs *todo, struct ota_runs *runs)
{
	enum ota_code rc = match(m, todo);

	if (rc != OTA_OK)
		return rc;
	improve(runs, &m->pair, todo);
	rc = ota_match_rest(runs, &m->pair, todo, m->progress);
	if (rc != OTA_OK)
		return rc;
	improve(runs, &m->pair, todo);
	return tick(m, m->pair.to.len) ? OTA_OK : OTA_E_CANCELLED;
}

enum ota_code ota_match(struct ota_bytes from, struct ota_bytes to,
	const struct ota_runs *todo, const struct ota_progress *progress,
	struct ota_runs *out)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs wanted = { 0 };
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };
	struct matcher m = { .pair = { from, to }, .progress = progress, .out = &runs };
	enum ota_code rc = merge_touching(todo, &wanted);

	if (rc == OTA_OK)
		rc = match_well(&m, &wanted, &runs);
	if (rc != OTA_OK)
		return rc;
	ota_runs_fini(out);
	*out = runs;
	runs = (struct ota_runs){ 0 };
	return OTA_OK;
}
