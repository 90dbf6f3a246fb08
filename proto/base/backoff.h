#ifndef PROTO_BASE_BACKOFF_H
#define PROTO_BASE_BACKOFF_H

/* How long to wait before something that failed is tried again: from `min_ms` doubling to
 * `max_ms`, and each time half of that to one and a half of it, so that a fleet does not
 * come back all at once. Pure: the random number comes in. */

#include <stdint.h>

struct ota_backoff {
	uint32_t min_ms, max_ms; /* 1 .. 2^31 - 1; min_ms is not above max_ms */
	uint32_t next_ms;        /* the middle of the next wait; 0: min_ms */
};

/** The next wait in ms, by a random number of which all bits are used. It is at least
 * half of min_ms and less than one and a half of max_ms. */
uint32_t ota_backoff_next(struct ota_backoff *backoff, uint32_t random);

/** It went well: begin with min_ms again. */
void ota_backoff_reset(struct ota_backoff *backoff);

#endif
