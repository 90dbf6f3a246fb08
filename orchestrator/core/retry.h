#ifndef ORCHESTRATOR_CORE_RETRY_H
#define ORCHESTRATOR_CORE_RETRY_H

/* Whether a device that failed is tried again, and when: what the policy of a rollout
 * says for the class of the failure. Nothing here knows devices or time. */

#include "orchestrator/core/gate.h"

/** How often a device that failed so may be tried again; 0 for HARD, whatever the policy
 *  says. */
uint64_t retry_allowed(const struct rollout_retry *retry, enum failure_class class);

/** Seconds from a failure to the try after it. tries: how many there were before this
 *  failure was tried again, 0 for the first. At most SPEC_DURATION_MAX_S. */
uint64_t retry_backoff_s(
	const struct rollout_retry *retry, enum failure_class class, uint64_t tries);

#endif
