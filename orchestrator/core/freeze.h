#ifndef ORCHESTRATOR_CORE_FREEZE_H
#define ORCHESTRATOR_CORE_FREEZE_H

/* Times in which nothing begins: no stage, and no further device of a stage under way.
 * What is under way goes on. Written as "2026-12-20..2027-01-05" or
 * "2026-12-20T12:00..2026-12-20T18:00" (the last day is part of it, the last minute is
 * not) or by the week, "fri 16:00-24:00". All of it is UTC. */

#include "orchestrator/core/spec.h"

enum { FREEZE_TIME_CAP = 24 };

/** A time as "2027-01-05T08:00Z". */
void freeze_time_text(uint64_t utc_s, char out[static FREEZE_TIME_CAP]);

/** Read one; untrusted text. OTA_OK or OTA_E_CONFIG; out is written on success only. */
OTA_CHECKED enum ota_code freeze_parse(
	const char *text, struct rollout_freeze *out, struct ota_error *err);

/** The freeze of a rollout that holds now, and when it will have passed (of several the
 *  last; adjacent ones are one). NULL: none. until_s may be NULL. */
const struct rollout_freeze *freeze_now(
	const struct rollout_spec *spec, uint64_t utc_s, uint64_t *until_s);

/** The texts as an array. Owned by the caller; NULL: no memory. */
cJSON *freezes_to_json(const struct rollout_spec *spec);

/** Read them back; array may be NULL after a failed ota_json_array(). OTA_OK,
 *  OTA_E_CONFIG or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code freezes_from_json(
	const cJSON *array, struct rollout_spec *out, struct ota_error *err);

#endif
