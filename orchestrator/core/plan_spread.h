#ifndef ORCHESTRATOR_CORE_PLAN_SPREAD_H
#define ORCHESTRATOR_CORE_PLAN_SPREAD_H

/* What a plan warns of: a site or a redundancy group wholly in one early stage, hardware
 * that only the last stage meets, a group whose devices cannot be taken apart. */

#include "orchestrator/core/state.h"

/** Append the warnings. Under the salt of the grant in force; without one, under the salt
 *  that sluice approve will take. */
void plan_spread(const struct core *core, const struct rollout *rollout, cJSON *warnings);

#endif
