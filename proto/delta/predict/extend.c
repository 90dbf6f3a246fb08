#include "proto/delta/predict/extend.h"

#include "proto/delta/predict/equal.h"

enum {
	HOPELESS = 16384, /* below the best so far: extend no further */
	GAP_MAX = 4096,   /* bytes that two runs are joined over */
	SMALL_RUN = 1024  /* bytes; a longer one is kept */
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

struct ota_reach ota_extend(
	const struct ota_pair_of_bytes *pair, struct ota_place at, size_t end)
{
	const uint8_t *to = pair->to.at + at.to, *from = pair->from.at + at.from;
	size_t max = least(end - at.to, pair->from.len - at.from);
	struct ota_reach best = { 0 };
	int64_t sum = 0;

	for (size_t i = 0; i < max && sum > best.worth - HOPELESS; i++) {
		size_t same = ota_equal_len(to + i, from + i, max - i);

		sum += OTA_WORTH_RIGHT * (int64_t)same;
		i += same;
		if (sum > best.worth)
			best = (struct ota_reach){ sum, i };
		sum -= OTA_WORTH_WRONG;
	}
	return best;
}

struct ota_reach ota_extend_back(
	const struct ota_pair_of_bytes *pair, struct ota_place at, size_t begin)
{
	const uint8_t *to = pair->to.at + at.to, *from = pair->from.at + at.from;
	size_t max = least(at.to - begin, at.from);
	struct ota_reach best = { 0 };
	int64_t sum = 0;

	for (size_t i = 0; i < max && sum > best.worth - HOPELESS; i++) {
		size_t same = ota_equal_len_back(to - i, from - i, max - i);

		sum += OTA_WORTH_RIGHT * (int64_t)same;
		i += same;
		if (sum > best.worth)
			best = (struct ota_reach){ sum, i };
		sum -= OTA_WORTH_WRONG;
	}
	return best;
}

/* Of `len` new bytes that both diagonals could cover, how many the first does best; if it
 * is all one, up to a multiple of 4. */
static size_t split(
	const struct ota_pair_of_bytes *pair, const struct ota_place place[2], size_t len)
{
	const uint8_t *to = pair->to.at + place[0].to;
	const uint8_t *mine = pair->from.at + place[0].from;
	const uint8_t *theirs = pair->from.at + place[1].from;
	int64_t sum = 0, best = 0;
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		sum += (to[i] == mine[i]) - (to[i] == theirs[i]);
		if (sum > best || (sum == best && (place[0].to + at) % 4 != 0)) {
			best = sum;
			at = i + 1;
		}
	}
	return at;
}

void ota_share(const struct ota_pair_of_bytes *pair, const struct ota_place place[2],
	size_t *mine, size_t *theirs)
{
	size_t gap = place[1].to - place[0].to, shared, first;
	struct ota_place begin[2] = { place[0], place[1] };

	if (*mine + *theirs <= gap)
		return;
	shared = *mine + *theirs - gap;
	begin[0].to += *mine - shared;
	begin[0].from += *mine - shared;
	begin[1].to -= *theirs;
	begin[1].from -= *theirs;
	first = split(pair, begin, shared);
	*mine -= shared - first;
	*theirs -= first;
}

static struct ota_place end_of(const struct ota_run *run)
{
	return (struct ota_place){ run->to + run->len, run->from + run->len };
}

static bool on_one_diagonal(const struct ota_run *a, const struct ota_run *b)
{
	return a->to - a->from == b->to - b->from;
}

/* What it is worth to cover all of some bytes. */
static int64_t worth_of(
	const struct ota_pair_of_bytes *pair, struct ota_place at, size_t len)
{
	int64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += pair->to.at[at.to + i] == pair->from.at[at.from + i]
			       ? OTA_WORTH_RIGHT
			       : -OTA_WORTH_WRONG;
	return sum;
}

static int64_t worth_of_run(
	const struct ota_pair_of_bytes *pair, const struct ota_run *run)
{
	struct ota_place at = { run->to, run->from };

	return run->len > SMALL_RUN ? INT32_MAX : worth_of(pair, at, run->len);
}

/* Whether two runs of one diagonal are better joined than with `between` them, something
 * worth as much. */
static bool are_better_joined(const struct ota_pair_of_bytes *pair,
	const struct ota_run *a, const struct ota_run *b, int64_t between)
{
	struct ota_place at = end_of(a);
	size_t gap = b->to - at.to;

	return on_one_diagonal(a, b) && gap <= GAP_MAX &&
	       worth_of(pair, at, gap) + OTA_RUN_COST >= between;
}

static void join(struct ota_run *a, const struct ota_run *b)
{
	a->len = b->to + b->len - a->to;
}

/* Take `run` in after the `count` runs that are tidy already; how many there are then. */
static size_t take_in(struct ota_run *at, size_t count, struct ota_run run,
	const struct ota_pair_of_bytes *pair)
{
	while (count > 0) {
		struct ota_run *last = &at[count - 1];
		int64_t worth = worth_of_run(pair, last) - OTA_RUN_COST;

		if (are_better_joined(pair, last, &run, 0)) {
			join(last, &run);
			return count;
		}
		if (count > 1 && are_better_joined(pair, last - 1, &run, worth)) {
			join(last - 1, &run);
			return count - 1;
		}
		if (worth >= 0)
			break;
		count--;
	}
	at[count] = run;
	return count + 1;
}

void ota_runs_tidy(struct ota_runs *runs, const struct ota_pair_of_bytes *pair,
	const struct ota_runs *todo)
{
	size_t done = 0, i = 0;

	for (size_t k = 0; k < todo->count && runs->count > 0; k++) {
		struct ota_run *first = runs->at + done;
		size_t end = todo->at[k].to + todo->at[k].len, count = 0;

		for (; i < runs->count && runs->at[i].to < end; i++)
			count = take_in(first, count, runs->at[i], pair);
		if (count > 0 && worth_of_run(pair, &first[count - 1]) < OTA_RUN_COST)
			count--;
		done += count;
	}
	runs->count = done;
}

static void lengthen(struct ota_run *run, size_t before, size_t after)
{
	run->to -= before;
	run->from -= before;
	run->len += before + after;
}

/* Extend run `i` forwards and the next one backwards, where both lie in one range of
 * what is to do, or each to the end of its own. */
static void extend_between(struct ota_run *run, struct ota_run *next,
	const struct ota_pair_of_bytes *pair, const struct ota_run range[2])
{
	struct ota_place place[2] = { end_of(run), { next->to, next->from } };
	size_t end = least(range[0].to + range[0].len, next->to);
	size_t begin = range[1].to > place[0].to ? range[1].to : place[0].to;
	size_t mine = ota_extend(pair, place[0], end).len;
	size_t theirs = ota_extend_back(pair, place[1], begin).len;

	ota_share(pair, place, &mine, &theirs);
	lengthen(run, 0, mine);
	lengthen(next, theirs, 0);
}

/* The range that holds a run, at or after range `i`. */
static size_t range_of(const struct ota_runs *todo, size_t i, const struct ota_run *run)
{
	while (i + 1 < todo->count && todo->at[i].to + todo->at[i].len <= run->to)
		i++;
	return i;
}

void ota_runs_extend(struct ota_runs *runs, const struct ota_pair_of_bytes *pair,
	const struct ota_runs *todo)
{
	size_t in = 0;
	struct ota_run *first = runs->at, *last;

	if (runs->count == 0)
		return;
	in = range_of(todo, 0, first);
	lengthen(first,
		ota_extend_back(pair, (struct ota_place){ first->to, first->from },
			todo->at[in].to)
			.len,
		0);
	for (size_t i = 0; i + 1 < runs->count; i++) {
		size_t next = range_of(todo, in, &runs->at[i + 1]);
		struct ota_run range[2] = { todo->at[in], todo->at[next] };

		extend_between(&runs->at[i], &runs->at[i + 1], pair, range);
		in = next;
	}
	last = &runs->at[runs->count - 1];
	lengthen(last, 0,
		ota_extend(pair, end_of(last), todo->at[in].to + todo->at[in].len).len);
}
