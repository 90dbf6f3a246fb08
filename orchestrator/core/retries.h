#ifndef ORCHESTRATOR_CORE_RETRIES_H
#define ORCHESTRATOR_CORE_RETRIES_H

/* Trying an update again, as the policy of its rollout (retry.h) has it. When an attempt
 * is put off and when it is asked is decided in attempts.c. */

#include "orchestrator/core/state.h"

/** True if the policy has a try left for what the device says it failed with. */
bool retries_is_left(const struct device *device, const struct attempt *attempt,
	enum failure_class class);

/** It failed and is tried again: set when, and look at the rollout by then. */
void retries_put_off(struct core *core, struct attempt *attempt);

/** Ask the device to try again what it failed with: a newer assign is the word for it. */
void retries_ask(struct core *core, struct device *device, struct attempt *attempt);

#endif
