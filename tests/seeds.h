#ifndef TESTS_SEEDS_H
#define TESTS_SEEDS_H

/* Runs of one test that differ by a seed: a few by day, more with SLUICE_NIGHTLY=1, and
 * with SLUICE_SEED=N that one alone. Each assertion of such a run says seeds_text(), so
 * that a failure can be seen again. */

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct seeds {
	uint64_t seed; /* of this run */
	uint64_t end;  /* first that is not run */
	uint64_t random;
	bool begun;
};

/** Seeds 1, 2 and so on. */
static inline struct seeds seeds_of(uint64_t by_day, uint64_t by_night)
{
	const char *only = getenv("SLUICE_SEED");
	uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
	uint64_t runs = getenv("SLUICE_NIGHTLY") != NULL ? by_night : by_day;

	return (struct seeds){ .seed = first, .end = first + (only != NULL ? 1 : runs) };
}

/** Go to the next run; false when there is none left. */
static inline bool seeds_next(struct seeds *seeds)
{
	seeds->seed += seeds->begun;
	seeds->begun = true;
	seeds->random = seeds->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	return seeds->seed < seeds->end;
}

/** A number below `below` that follows from the seed and from how often it was asked for
 *  (xorshift64*). */
static inline uint64_t seeds_below(struct seeds *seeds, uint64_t below)
{
	seeds->random ^= seeds->random >> 12;
	seeds->random ^= seeds->random << 25;
	seeds->random ^= seeds->random >> 27;
	return (seeds->random * UINT64_C(2685821657736338717) >> 11) % below;
}

/** How to run this one again; valid until the next call. */
static inline const char *seeds_text(const struct seeds *seeds)
{
	static char text[48];

	(void)snprintf(text, sizeof text, "SLUICE_SEED=%" PRIu64, seeds->seed);
	return text;
}

#endif
