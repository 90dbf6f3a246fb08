#ifndef ORCHESTRATOR_CORE_PLAN_H
#define ORCHESTRATOR_CORE_PLAN_H

/* What applying a rollout would do, before anything is done. */

#include "orchestrator/core/state.h"

/** As core_plan_json(). Shares are exact once there is a grant, whose salt makes the
 *  buckets; until then they are estimates. */
OTA_CHECKED enum ota_code plan_json(
	const struct core *core, const cJSON *json, cJSON **out, struct ota_error *err);

#endif
