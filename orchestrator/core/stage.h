#ifndef ORCHESTRATOR_CORE_STAGE_H
#define ORCHESTRATOR_CORE_STAGE_H

/* Which devices a stage of a rollout takes, how they fare, and whether the grant covers
 * it. */

#include "orchestrator/core/state.h"
#include "orchestrator/core/survey.h"
#include "orchestrator/core/wave.h"

/** No stage. */
#define STAGE_NONE UINT32_MAX

/**
 * Whether a device could run a release at all, as far as it has said.
 *
 * Returns OTA_OK (also before its first report), OTA_E_PRODUCT, OTA_E_HARDWARE,
 * OTA_E_FLOOR, OTA_E_PRECURSOR (it runs none of the versions the release needs) or
 * OTA_E_CURRENT (it runs the image already).
 */
OTA_CHECKED enum ota_code stage_fit(
	const struct device *device, const struct ota_release *release);

/** The newest rollout that has a stage for a cohort, started or not; NULL if none has. */
struct rollout *stage_rollout_of(const struct core *core, const char *cohort);

/** True if the gate of the rollout counts the device: it is in one of its cohorts and
 *  fits, or has begun the update. */
bool stage_concerns(const struct rollout *rollout, const struct device *device);

/** The shares of the stages, worked out. Visits every device for each stage by count yet
 *  to start, if any has come or gone since the last time. */
struct stage_shares stage_shares(const struct core *core, const struct rollout *rollout);

/** ... without the survey's tally, for which they are. */
struct stage_shares stage_shares_anew(
	const struct core *core, const struct rollout *rollout);

/** The stage that names a device; STAGE_NONE if none does. */
uint32_t stage_naming(const struct rollout *rollout, struct device *device);

/** Index of the first stage that takes the device; STAGE_NONE if none does, or none can
 *  be told before there is a grant. */
uint32_t stage_of_device(const struct stage_shares *shares, const struct rollout *rollout,
	struct device *device);

/** The same of a device in the rollout's survey. */
uint32_t stage_of_standing(
	const struct stage_shares *shares, const struct standing *standing);

/** Count the concerned devices of a stage's cohort by their buckets. There must be a
 *  grant. */
void stage_buckets(const struct core *core, const struct rollout *rollout, uint32_t stage,
	struct wave_buckets *out);

/**
 * The share to open for a stage under the grant in force.
 *
 * permille   filled on OTA_OK: the permille of its order, never more than granted
 *
 * Returns OTA_OK; OTA_E_NOGRANT if there is none; OTA_E_EXPIRED; OTA_E_SHARE if it is
 * narrower than the stage, with the numbers.
 */
OTA_CHECKED enum ota_code stage_cover(const struct core *core,
	const struct rollout *rollout, uint32_t stage, uint64_t *permille,
	struct ota_error *err);

/** Count the devices of each stage by how they fare. counts has SPEC_STAGES_MAX entries.
 *  Costs the devices that changed since the last time; every device, once a stage has
 *  begun, and while some are away that have not begun. */
void stage_count(const struct core *core, const struct rollout *rollout,
	struct gate_counts *counts);

/** True if the device refused documents as forged and nobody acknowledged that. */
bool device_has_alarm(const struct device *device);

/** True if the device has been away for longer than the rollout waits for such, and at
 *  least since the stage began. */
bool device_is_away(const struct device *device, const struct rollout *rollout,
	uint32_t stage, uint64_t now_utc_s);

/** The next second at which a device of the stage that has not begun will be away;
 *  UINT64_MAX: none will. Visits every device. */
uint64_t stage_away_due_s(
	const struct core *core, const struct rollout *rollout, uint32_t stage);

#endif
