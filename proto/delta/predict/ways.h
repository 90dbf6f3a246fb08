#ifndef PROTO_DELTA_PREDICT_WAYS_H
#define PROTO_DELTA_PREDICT_WAYS_H

/* How covers moved: by from less to, which wraps. Covers around an insertion move in
 * turns in a few ways, so the newest ones have numbers. */

#include "proto/delta/predict/tables.h"

enum { OTA_WAYS = 8 }; /* that have numbers */

/** `{ 0 }` knows only the way of what did not move. */
struct ota_ways {
	uint64_t recent[OTA_WAYS]; /* the newest first */
};

/** The way with that number, below OTA_WAYS; it becomes the newest. False, and no change,
 *  if it has a lower number too. */
bool ota_ways_take(struct ota_ways *ways, uint32_t number, uint64_t *way);

/** A way without a number, given as the step from the newest one. False, and no change,
 * if it has a number. */
bool ota_ways_add(struct ota_ways *ways, int64_t step, uint64_t *way);

/** The number of a way plus 1, or 0 if it has none; step is then written, unless it is
 *  NULL. It becomes the newest. */
uint32_t ota_ways_put(struct ota_ways *ways, uint64_t way, int64_t *step);

/**
 * Find which covers tell where addresses went, and set `maps`: a short cover that moved
 * unlike the long ones around it came from somewhere else by chance. Both ends find the
 * same.
 */
void ota_covers_doubt(struct ota_cover *covers, uint32_t count);

#endif
