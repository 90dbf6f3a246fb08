#ifndef ORCHESTRATOR_PORT_BUCKET_H
#define ORCHESTRATOR_PORT_BUCKET_H

/* Token buckets: how many of a kind are let through in a burst and per second. */

#include <stdbool.h>
#include <stdint.h>

struct bucket_rate {
	uint32_t burst;   /* tokens a full bucket holds */
	uint32_t each_ms; /* a token comes back after that long */
};

/** `= { 0 }` is a full bucket. */
struct bucket {
	uint64_t full_at_ms; /* monotonic; when it will be full again */
};

/** Take a token; false if there is none. */
static inline bool bucket_take(
	struct bucket *bucket, const struct bucket_rate *rate, uint64_t now_ms)
{
	uint64_t full_at = bucket->full_at_ms > now_ms ? bucket->full_at_ms : now_ms;

	if (full_at + rate->each_ms > now_ms + (uint64_t)rate->burst * rate->each_ms)
		return false;
	bucket->full_at_ms = full_at + rate->each_ms;
	return true;
}

#endif
