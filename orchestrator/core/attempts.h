#ifndef ORCHESTRATOR_CORE_ATTEMPTS_H
#define ORCHESTRATOR_CORE_ATTEMPTS_H

/* What a report means for the update of a device by a rollout. */

#include "orchestrator/core/state.h"

/** The device has reported; before: its boots by the report before this one. Updates its
 *  attempts, the failure tests, and marks what has to be looked at. */
void attempts_report(struct core *core, struct device *device, uint64_t before);

/** Seconds when the device must have moved on from the step it is in, or counts as
 *  silent. */
uint64_t attempt_deadline_s(const struct attempt *attempt);

/** Seconds when something is to be done about the attempt: it is overdue, or its device
 * is to be asked to try again. UINT64_MAX: nothing ever. */
uint64_t attempt_due_s(const struct attempt *attempt);

/** Judge the devices of a rollout that are past their deadline: silent is HARD, slow but
 *  talking is a TIMEOUT. Ask those that are to be tried again and whose wait is over.
 *  Returns when to look again; UINT64_MAX: no need. */
uint64_t attempts_sweep(struct core *core, struct rollout *rollout);

/** A person has seen the failures: they count no more, the tests start again, and
 *  the devices are asked to try again. Deadlines of devices at work start again too. */
void attempts_acknowledge(struct core *core, struct rollout *rollout);

/** How the attempts of a rollout stand. */
struct attempts_sum {
	uint32_t soft, hard; /* failures that nobody acknowledged */
	uint32_t confirmed;
	uint32_t aside; /* set aside before they came to a good end */
};

/** Count them: stage_count() says what that costs. */
struct attempts_sum attempts_sum(const struct core *core, const struct rollout *rollout);

#endif
