#include "proto/base/backoff.h"

uint32_t ota_backoff_next(struct ota_backoff *backoff, uint32_t random)
{
	uint32_t middle_ms = backoff->next_ms == 0 ? backoff->min_ms : backoff->next_ms;
	uint64_t part_ms = (uint64_t)middle_ms * random >> 32;

	backoff->next_ms =
		middle_ms > backoff->max_ms / 2 ? backoff->max_ms : 2 * middle_ms;
	return middle_ms / 2 + (uint32_t)part_ms;
}

void ota_backoff_reset(struct ota_backoff *backoff)
{
	backoff->next_ms = 0;
}
