#ifndef ORCHESTRATOR_CORE_PLAN_TIME_H
#define ORCHESTRATOR_CORE_PLAN_TIME_H

/* How long a rollout takes once its patches are made and its grant is there, at the least
 * and at the most, if nothing stops it. */

#include "orchestrator/core/state.h"

/** What is known of a rollout before it begins. */
struct plan_work {
	const uint32_t *devices;          /* borrowed: that each stage adds */
	uint64_t bytes_least, bytes_most; /* of the patches */
};

/**
 * Add "least_s" and "most_s" to each stage of a plan, and "time" to the plan itself:
 * {"least_s","most_s","device_s","measured","speed"}. most_s is 0 where a stage waits for
 * devices that are away.
 *
 * How long one device takes is the middle of what the last updates of the fleet took,
 * where three or more are known ("measured" of them); else it is assumed: "speed" bytes a
 * second, and three minutes to install, reboot and prove itself.
 */
void plan_time(const struct core *core, const struct rollout *rollout,
	const struct plan_work *work, cJSON *tree);

/** Add to each stage "worse_s": how long after its last device has confirmed a release
 *  that makes incidents gates.worse_ratio times as frequent is found, in the mean. 0: it
 *  is not, there is nobody to compare with. */
void plan_worse(const struct core *core, const struct rollout *rollout,
	const struct plan_work *work, cJSON *tree);

#endif
