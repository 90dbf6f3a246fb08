#ifndef ORCHESTRATOR_CORE_ROLLOUTS_H
#define ORCHESTRATOR_CORE_ROLLOUTS_H

/* How rollouts begin, move and end. Everything else changes what they look at and lets
 * rollouts_settle() decide. */

#include "orchestrator/core/state.h"

/** True if nothing more will come of it and its cohorts are free for another: COMPLETED,
 *  ABORTED, SUPERSEDED, or HALTED after a revert. */
bool rollout_is_settled(const struct rollout *rollout);

/** True if a rollout of that file, once applied, ends another that is not settled and
 *  holds one of its cohorts: by name or by priority. */
bool rollouts_takes_over(const struct rollout_spec *spec, const struct rollout *other);

/** Check what core_apply() and core_plan_json() refuse, but for other rollouts. release:
 *  filled on OTA_OK, borrowed. */
OTA_CHECKED enum ota_code rollouts_check(const struct core *core,
	const struct rollout_spec *spec, const struct release **release,
	struct ota_error *err);

/** Whether core_apply() refuses it for another rollout: OTA_OK, also if it is there as
 *  it is, or OTA_E_CONFLICT. */
OTA_CHECKED enum ota_code rollouts_conflict(
	const struct core *core, const struct rollout_spec *spec, struct ota_error *err);

/** As core_apply(). */
OTA_CHECKED enum ota_code rollouts_apply(
	struct core *core, const char *who, const cJSON *json, struct ota_error *err);

/** As core_command(). */
OTA_CHECKED enum ota_code rollouts_command(struct core *core, const char *who,
	struct rollout *rollout, const struct core_steer *steer, struct ota_error *err);

/** Let every rollout that is dirty or due move as far as it may. all: every one. */
void rollouts_settle(struct core *core, bool all);

/** Forget the surveys of rollouts that are over, which explanations may have made. */
void rollouts_rest(struct core *core);

/** A restart is an event in every state. */
void rollouts_restart(struct core *core);

/** Seconds when one has something to do at the latest; UINT64_MAX: none has. */
uint64_t rollouts_due_s(const struct core *core);

#endif
