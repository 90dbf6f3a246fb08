#ifndef ORCHESTRATOR_CORE_ROLLOUT_STATES_H
#define ORCHESTRATOR_CORE_ROLLOUT_STATES_H

/* The life of a rollout.
 *
 *   DRAFT -> PREPARING -> WAITING_FOR_GRANT -> RUNNING -> SOAKING -> COMPLETED
 *                ^                ^ grant too narrow |        |
 *                |                +------------------+        |
 *                +------------------- next stage -------------+
 *
 * Every stage goes through the same three doors: its patches, its grant, its gate.
 * From each of the four in the middle: HALT leads to HALTED, PAUSE to PAUSED, ABORT to
 * ABORTED, REVERT to REVERTING, which ends in HALTED. RESUME leads from PAUSED and HALTED
 * back to PREPARING; elsewhere it only acknowledges. SUPERSEDE ends in SUPERSEDED
 * whatever has not ended before: another rollout took its cohorts over. RESTART is waking
 * up from what is stored: nothing moves, what is in force is asserted again. */

#include <stdbool.h>

#include "proto/base/fsm.h"

/* X(NAME, text) */
#define ROLLOUT_STATES(X)                         \
	X(DRAFT, "draft")                         \
	X(PREPARING, "preparing")                 \
	X(WAITING_FOR_GRANT, "waiting-for-grant") \
	X(RUNNING, "running")                     \
	X(SOAKING, "soaking")                     \
	X(PAUSED, "paused")                       \
	X(HALTED, "halted")                       \
	X(REVERTING, "reverting")                 \
	X(COMPLETED, "completed")                 \
	X(ABORTED, "aborted")                     \
	X(SUPERSEDED, "superseded")

#define ROLLOUT_EVENTS(X)         \
	X(APPLY, "apply")         \
	X(PREPARED, "prepared")   \
	X(GRANTED, "granted")     \
	X(UNGRANTED, "ungranted") \
	X(FINISHED, "finished")   \
	X(NEXT, "next")           \
	X(DONE, "done")           \
	X(HALT, "halt")           \
	X(PAUSE, "pause")         \
	X(RESUME, "resume")       \
	X(REVERT, "revert")       \
	X(REVERTED, "reverted")   \
	X(ABORT, "abort")         \
	X(SUPERSEDE, "supersede") \
	X(RESTART, "restart")

#define ROLLOUT_STATE_ENUM(name, text) ROLLOUT_##name,
enum rollout_state { ROLLOUT_STATES(ROLLOUT_STATE_ENUM) N_ROLLOUT_STATES };
#undef ROLLOUT_STATE_ENUM

#define ROLLOUT_EVENT_ENUM(name, text) ROLLOUT_EV_##name,
enum rollout_event { ROLLOUT_EVENTS(ROLLOUT_EVENT_ENUM) N_ROLLOUT_EVENTS };
#undef ROLLOUT_EVENT_ENUM

extern const struct ota_fsm_spec rollout_fsm;

/** "draft", "waiting-for-grant" ... */
const char *rollout_state_text(enum rollout_state state);

/** The state with that text; false if there is none. */
bool rollout_state_of(const char *text, enum rollout_state *out);

/** True in PREPARING, WAITING_FOR_GRANT, RUNNING and SOAKING: it moves by itself. */
bool rollout_state_is_live(enum rollout_state state);

#endif
