#ifndef ORCHESTRATOR_CORE_ADVANCE_H
#define ORCHESTRATOR_CORE_ADVANCE_H

/* How a rollout moves. */

#include "orchestrator/core/state.h"

/** Who did it and why, for the audit log. */
struct cause {
	const char *who;    /* API key id, or "core" */
	enum ota_code code; /* OTA_OK: nothing to say */
	const char *text;   /* printable ASCII; "" likewise */
};

/** The only place that changes a rollout's state: looks the move up, stores, writes it
 *  down. The cause becomes the rollout's reason, but for a restart, which changes none.
 * OTA_OK or OTA_E_STATE. */
OTA_CHECKED enum ota_code advance_move(struct core *core, struct rollout *rollout,
	enum rollout_event event, const struct cause *cause, struct ota_error *err);

/** A person says go on: the rollout and its stage. OTA_OK or OTA_E_STATE. */
OTA_CHECKED enum ota_code advance_resume(struct core *core, struct rollout *rollout,
	const struct cause *cause, struct ota_error *err);

/** Order the devices back, stage by stage or all at once. OTA_OK or OTA_E_STATE. */
OTA_CHECKED enum ota_code advance_revert(struct core *core, struct rollout *rollout,
	bool at_once, const struct cause *cause, struct ota_error *err);

/** Judge the stage under way. Visits every device. */
struct gate_verdict advance_judge(const struct core *core, const struct rollout *rollout);

/** Let it move as far as it may, and note when it is due again. */
void advance(struct core *core, struct rollout *rollout);

#endif
