#ifndef PROTO_DELTA_PREDICT_EXTEND_H
#define PROTO_DELTA_PREDICT_EXTEND_H

/* What it is worth to cover bytes with a run, and making runs longer, fewer and better by
 * that measure. */

#include "proto/delta/predict/align.h"

/** In quarters of a byte of patch. A byte that is right saves about half a byte; one that
 *  is wrong costs three quarters. A run costs 6 bytes, with the disorder it brings.
 *  Measured over the corpus of tests/bench, together with what align.c asks of a seed. */
enum { OTA_WORTH_RIGHT = 2, OTA_WORTH_WRONG = 3, OTA_RUN_COST = 24 };

/** A pair of contents, and a place in both. */
struct ota_pair_of_bytes {
	struct ota_bytes from, to; /* borrowed */
};

struct ota_place {
	size_t to, from;
};

/** The length that is worth most, and what it is worth. */
struct ota_reach {
	int64_t worth;
	size_t len;
};

/** How far to extend from a place on, not beyond `end` of the new bytes nor the old. */
struct ota_reach ota_extend(
	const struct ota_pair_of_bytes *pair, struct ota_place at, size_t end);

/** How far to extend back from a place, not before `begin` nor the old bytes. */
struct ota_reach ota_extend_back(
	const struct ota_pair_of_bytes *pair, struct ota_place at, size_t begin);

/**
 * Share out the new bytes between two places on different diagonals of which the first
 * could extend to the second and the second back to the first.
 *
 * mine, theirs   how far each extends; on return without an overlap
 */
void ota_share(const struct ota_pair_of_bytes *pair, const struct ota_place place[2],
	size_t *mine, size_t *theirs);

/** Join runs of one diagonal over what is short between them, drop those not worth it.
 *  todo as below. Time is linear in the bytes covered. */
void ota_runs_tidy(struct ota_runs *runs, const struct ota_pair_of_bytes *pair,
	const struct ota_runs *todo);

/**
 * Extend each run into the gaps before and after it.
 *
 * todo   where new bytes may be covered, in order; each run lies in one of them
 */
void ota_runs_extend(struct ota_runs *runs, const struct ota_pair_of_bytes *pair,
	const struct ota_runs *todo);

#endif
