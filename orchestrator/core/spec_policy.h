#ifndef ORCHESTRATOR_CORE_SPEC_POLICY_H
#define ORCHESTRATOR_CORE_SPEC_POLICY_H

/* The parts of a rollout file that say what becomes of devices that fail, are away or are
 * under another rollout: "retry", "offline", "priority" and "supersedes". Used by
 * rollout_spec.c alone. */

#include "orchestrator/core/spec_check.h"

/** Fill in what a file may leave out. */
void spec_policy_init(struct rollout_spec *spec);

/** Check ranges and names. OTA_OK, OTA_E_CONFIG or OTA_E_NAME. */
OTA_CHECKED enum ota_code spec_policy_check(
	struct spec_check *c, const struct rollout_spec *spec);

/** Add the members to the rollout's object. False: no memory. */
OTA_CHECKED bool spec_policy_add(cJSON *object, const struct rollout_spec *spec);

/** Read those members that are there. OTA_OK, or a code of ota_json_finish(). */
OTA_CHECKED enum ota_code spec_policy_read(
	struct ota_json_reader *r, struct rollout_spec *out, struct ota_error *err);

#endif
