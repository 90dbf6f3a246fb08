#ifndef ORCHESTRATOR_CORE_STAGE_STATES_H
#define ORCHESTRATOR_CORE_STAGE_STATES_H

/* The life of a stage of a rollout.
 *
 *   WAITING -grant-> RUNNING -finish-> SOAKING -pass-> PASSED
 *
 * From the first three HALT leads to HALTED, and RESUME from there to WAITING: a stage
 * that was halted begins once more at its patches and its grant, with the share it had. A
 * pause leaves a stage as it is; what follows on it is GRANT again. */

#include <stdbool.h>

#include "proto/base/fsm.h"

/* X(NAME, text) */
#define STAGE_STATES(X)       \
	X(WAITING, "waiting") \
	X(RUNNING, "running") \
	X(SOAKING, "soaking") \
	X(PASSED, "passed")   \
	X(HALTED, "halted")

/* X(NAME, text)
 *
 * GRANT    its patches are made, and the grant covers it
 * FINISH   all gates but the soak are passed
 * PASS     it has soaked
 * HALT     a gate, a patch or the catalog stops the rollout
 * RESUME   a person says go on
 * RESTART  waking up from what is stored */
#define STAGE_EVENTS(X)     \
	X(GRANT, "grant")   \
	X(FINISH, "finish") \
	X(PASS, "pass")     \
	X(HALT, "halt")     \
	X(RESUME, "resume") \
	X(RESTART, "restart")

#define STAGE_STATE_ENUM(name, text) STAGE_##name,
enum stage_state { STAGE_STATES(STAGE_STATE_ENUM) N_STAGE_STATES };
#undef STAGE_STATE_ENUM

#define STAGE_EVENT_ENUM(name, text) STAGE_EV_##name,
enum stage_event { STAGE_EVENTS(STAGE_EVENT_ENUM) N_STAGE_EVENTS };
#undef STAGE_EVENT_ENUM

extern const struct ota_fsm_spec stage_fsm;

/** "waiting" ... */
const char *stage_state_text(enum stage_state state);

/** The state with that text; false if there is none. */
bool stage_state_of(const char *text, enum stage_state *out);

#endif
