#ifndef ORCHESTRATOR_CORE_REVERT_H
#define ORCHESTRATOR_CORE_REVERT_H

/* Going back is a rollout too. Devices that have not confirmed fall back at once; those
 * that have go back stage by stage, as they came, each stage when the one before is back,
 * and at last whoever is left. A stage is opened step by step (returning.h). No byte is
 * sent: each still holds its old image. */

#include "orchestrator/core/state.h"

/** Begin, or go on where it stopped. at_once: all stages together. The caller moves and
 *  stores the rollout. */
void revert_begin(struct core *core, struct rollout *rollout, bool at_once);

enum revert_move {
	REVERT_WAIT,
	REVERT_OPENED,  /* more devices go back now */
	REVERT_STOPPED, /* devices of a stage do not come back: the others stay */
	REVERT_DONE,
};

/** Look at the stage that is going back, open it further, or open the next. text: filled
 * in for STOPPED and DONE; may be "". Visits every device. */
enum revert_move revert_step(
	struct core *core, struct rollout *rollout, char text[static GATE_TEXT_CAP]);

/** Seconds when to look at it at the latest: those that were let go must be back then, or
 *  more may be. */
uint64_t revert_due_s(const struct rollout *rollout);

/** True while a revert has stages left. */
bool revert_is_unfinished(const struct rollout *rollout);

/** Fill in who of the order's cohort goes back. */
void revert_share(const struct rollout *rollout, struct ota_order *order);

#endif
