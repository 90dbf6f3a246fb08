#include "orchestrator/core/retry.h"

uint64_t retry_allowed(const struct rollout_retry *retry, enum failure_class class)
{
	switch (class) {
	case FAILURE_SOFT:
		return retry->soft;
	case FAILURE_EXCUSED:
		return retry->excused;
	case FAILURE_NONE:
	case FAILURE_HARD:
	case N_FAILURE_CLASSES:
		break;
	}
	return 0;
}

uint64_t retry_backoff_s(
	const struct rollout_retry *retry, enum failure_class class, uint64_t tries)
{
	uint64_t wait_s = class == FAILURE_EXCUSED ? retry->excused_backoff_s
						   : retry->soft_backoff_s;

	for (uint64_t i = 0; i < tries && wait_s < SPEC_DURATION_MAX_S; i++)
		wait_s *= retry->factor > 0 ? retry->factor : 1;
	return wait_s < SPEC_DURATION_MAX_S ? wait_s : SPEC_DURATION_MAX_S;
}
