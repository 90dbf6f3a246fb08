#ifndef ORCHESTRATOR_CORE_PLAN_CHANGES_H
#define ORCHESTRATOR_CORE_PLAN_CHANGES_H

/* What a rollout file changes against what there is. */

#include "orchestrator/core/state.h"

/**
 * Add to a plan:
 *
 *   "exists"   state of the rollout of that name; "" if there is none
 *   "differs"  [{"member","now","then"}]: what of it the file has otherwise, as JSON
 * text;
 *              "" where a member is missing
 *   "ends"     [{"rollout","state"}]: rollouts that it takes over from
 *   "refused"  {"number","name","text"}: why apply would refuse it; OK if it would not
 *   "current"  devices of its cohorts that run the release already
 */
void plan_changes(const struct core *core, const struct rollout *rollout, cJSON *tree);

#endif
