#ifndef ORCHESTRATOR_CORE_SPEC_LIMITS_H
#define ORCHESTRATOR_CORE_SPEC_LIMITS_H

/* The limits of a rollout: default, check and JSON. Part of spec.h's rollout file. */

#include "orchestrator/core/spec_check.h"
#include "proto/wire/json.h"

/** What holds where a file says nothing. */
struct rollout_limits spec_limits_default(void);

/** Check ranges and names. OTA_OK, OTA_E_CONFIG or OTA_E_NAME. */
OTA_CHECKED enum ota_code spec_limits_check(
	struct spec_check *c, const struct rollout_limits *limits);

/** All members. Owned by the caller; NULL: no memory. */
cJSON *spec_limits_to_json(const struct rollout_limits *limits);

/** Read members into what holds so far; those that are missing stay. A number of devices
 *  in flight goes before a share. OTA_OK or the codes of ota_json_finish(). */
OTA_CHECKED enum ota_code spec_limits_from_json(
	const cJSON *json, struct rollout_limits *out, struct ota_error *err);

#endif
