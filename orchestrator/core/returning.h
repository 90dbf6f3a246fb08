#ifndef ORCHESTRATOR_CORE_RETURNING_H
#define ORCHESTRATOR_CORE_RETURNING_H

/* How far a stage that goes back is open: step by step, within the limits of the rollout,
 * as a stage that goes forward is (opening.h). Stages of named devices go back at once,
 * and so does everybody if people say so, and whoever is left in the end. */

#include "orchestrator/core/state.h"
#include "orchestrator/core/survey.h"

/** A stage begins to go back: nothing more is open than the stages before it left open.
 */
void returning_begin(struct rollout *rollout);

/**
 * Open the stage further if its limits allow, and note what holds the next devices back
 * and when to look again. The devices that are let go are told so in their attempts.
 * Visits every device, but for every cohort only once in a while.
 *
 * Returns true if it did: the order and the row of the rollout have to follow.
 */
bool returning_step(struct core *core, struct rollout *rollout);

/** True if the stage that goes back is open as far as it goes, or no stage does. */
bool returning_is_whole(const struct rollout *rollout);

/** True if the order lets a device of the survey go back. */
bool returning_is_told(const struct rollout *rollout, const struct standing *standing);

/** The permille of a stage's cohort that may go back for the sake of that stage. */
uint64_t returning_permille(const struct rollout *rollout, uint32_t stage);

#endif
