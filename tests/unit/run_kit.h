#ifndef TESTS_UNIT_RUN_KIT_H
#define TESTS_UNIT_RUN_KIT_H

/* Made-up old and new bytes, and judging runs between them. Nothing here asserts. */

#include "proto/delta/predict/align.h"

/** A pair of old and new bytes. */
struct kit_pair {
	struct ota_buf from, to; /* owned */
};

/** Release. */
void kit_pair_fini(struct kit_pair *pair);

/** Append len bytes like the machine code of a small processor: words of few kinds. */
void kit_code(struct ota_buf *out, size_t len, uint64_t seed);

/** Fill from with len bytes of code, and to with the same after `edits` edits: words
 *  changed, pieces inserted, removed, copied and moved. */
void kit_mutated(struct kit_pair *pair, size_t len, unsigned edits, uint64_t seed);

/** Append len bytes that repeat a pattern. */
void kit_periodic(struct ota_buf *out, size_t len, const char *pattern);

/** What runs say of a pair. */
struct kit_verdict {
	bool valid;     /* in order, in bounds, without overlap, none empty */
	size_t covered; /* bytes */
	size_t missed;  /* of them differ */
	size_t cost;    /* bytes of patch, by rule of thumb */
};

/** Judge. */
struct kit_verdict kit_judge(const struct ota_runs *runs, const struct kit_pair *pair);

/** ota_align() of the pair; the verdict of its runs, not valid if it failed. */
struct kit_verdict kit_aligned(const struct kit_pair *pair, struct ota_runs *runs);

#endif
