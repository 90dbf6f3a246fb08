#include "tests/unit/run_kit.h"

#include <stdlib.h>
#include <string.h>

void kit_pair_fini(struct kit_pair *pair)
{
	ota_buf_fini(&pair->from);
	ota_buf_fini(&pair->to);
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t start(uint64_t seed)
{
	return (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void add(struct ota_buf *out, const uint8_t *at, size_t len)
{
	if (ota_buf_add(out, (struct ota_bytes){ at, len }) != OTA_OK)
		abort();
}

void kit_code(struct ota_buf *out, size_t len, uint64_t seed)
{
	static const uint8_t kinds[] = { 0x91, 0x94, 0xf9, 0xaa, 0x52, 0xb9, 0xd6, 0x54 };
	uint64_t state = start(seed);

	for (size_t i = 0; i < len; i += 4) {
		uint64_t r = next(&state);
		uint8_t word[4] = { r & 0xff, r >> 8 & 0x3f, r >> 16 & 3,
			kinds[r >> 24 & 7] };

		add(out, word, len - i < 4 ? len - i : 4);
	}
}

/* Append from `from` on what one edit makes of it; how far it went. */
static size_t edit(struct kit_pair *pair, size_t from, uint64_t *state)
{
	uint64_t r = next(state);
	size_t len = 4 + 4 * (r >> 8 & 63), other = (r >> 16) % (pair->from.len / 2);

	if (from + len > pair->from.len)
		len = pair->from.len - from;
	switch (r & 7) {
	case 0: /* removed */
		return from + len;
	case 1: /* new */
		kit_code(&pair->to, len, r);
		return from;
	case 2: /* copied */
		add(&pair->to, pair->from.at + other, len);
		return from;
	default: /* a word changed */
		len = len < 4 ? len : 4;
		kit_code(&pair->to, len, r);
		return from + len;
	}
}

void kit_mutated(struct kit_pair *pair, size_t len, unsigned edits, uint64_t seed)
{
	uint64_t state = start(seed);
	size_t done = 0;

	kit_code(&pair->from, len, seed);
	for (unsigned i = 0; i < edits && done < len; i++) {
		size_t keep = 4 * (next(&state) % (len / 2 / edits + 1));

		if (keep > len - done)
			keep = len - done;
		add(&pair->to, pair->from.at + done, keep);
		done = edit(pair, done + keep, &state);
	}
	add(&pair->to, pair->from.at + done, len - done);
}

void kit_periodic(struct ota_buf *out, size_t len, const char *pattern)
{
	size_t period = strlen(pattern);

	for (size_t i = 0; i < len; i++)
		add(out, (const uint8_t *)&pattern[i % period], 1);
}

struct kit_verdict kit_judge(const struct ota_runs *runs, const struct kit_pair *pair)
{
	struct kit_verdict v = { .valid = true };
	uint64_t end = 0;

	for (size_t i = 0; i < runs->count && v.valid; i++) {
		struct ota_run run = runs->at[i];

		v.valid = run.len > 0 && run.to >= end && run.to <= pair->to.len &&
			  run.len <= pair->to.len - run.to &&
			  run.from <= pair->from.len &&
			  run.len <= pair->from.len - run.from;
		end = run.to + run.len;
		v.covered += run.len;
		for (uint64_t k = 0; v.valid && k < run.len; k++)
			v.missed +=
				pair->to.at[run.to + k] != pair->from.at[run.from + k];
	}
	v.cost = 5 * runs->count + v.missed * 5 / 4 + (pair->to.len - v.covered) / 2;
	return v;
}

struct kit_verdict kit_aligned(const struct kit_pair *pair, struct ota_runs *runs)
{
	if (ota_align(ota_buf_bytes(&pair->from), ota_buf_bytes(&pair->to), NULL, runs) !=
		OTA_OK)
		return (struct kit_verdict){ 0 };
	return kit_judge(runs, pair);
}
