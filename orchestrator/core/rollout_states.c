#include "orchestrator/core/rollout_states.h"

#define TEXT(name, text) text,
static const char *const states[] = { ROLLOUT_STATES(TEXT) };
static const char *const events[] = { ROLLOUT_EVENTS(TEXT) };
#undef TEXT

#define ROW(from, event, to)                                     \
	{                                                        \
		ROLLOUT_##from, ROLLOUT_EV_##event, ROLLOUT_##to \
	}

/* clang-format off */
static const struct ota_fsm_row rows[] = {
	/*  from               event      to                   why                          */
	ROW(DRAFT,             APPLY,     PREPARING),
	ROW(DRAFT,             RESTART,   DRAFT),

	ROW(PREPARING,         PREPARED,  WAITING_FOR_GRANT), /* every patch is made        */
	ROW(PREPARING,         HALT,      HALTED),            /* one cannot be made         */
	ROW(PREPARING,         PAUSE,     PAUSED),
	ROW(PREPARING,         RESUME,    PREPARING),         /* acknowledges               */
	ROW(PREPARING,         REVERT,    REVERTING),
	ROW(PREPARING,         ABORT,     ABORTED),
	ROW(PREPARING,         SUPERSEDE, SUPERSEDED),
	ROW(PREPARING,         RESTART,   PREPARING),

	ROW(WAITING_FOR_GRANT, GRANTED,   RUNNING),           /* the grant covers the stage */
	ROW(WAITING_FOR_GRANT, HALT,      HALTED),            /* an earlier stage failed    */
	ROW(WAITING_FOR_GRANT, PAUSE,     PAUSED),
	ROW(WAITING_FOR_GRANT, RESUME,    WAITING_FOR_GRANT),
	ROW(WAITING_FOR_GRANT, REVERT,    REVERTING),
	ROW(WAITING_FOR_GRANT, ABORT,     ABORTED),
	ROW(WAITING_FOR_GRANT, SUPERSEDE, SUPERSEDED),
	ROW(WAITING_FOR_GRANT, RESTART,   WAITING_FOR_GRANT),

	ROW(RUNNING,           FINISHED,  SOAKING),           /* all gates but soak         */
	ROW(RUNNING,           UNGRANTED, WAITING_FOR_GRANT), /* the grant ran out          */
	ROW(RUNNING,           HALT,      HALTED),
	ROW(RUNNING,           PAUSE,     PAUSED),
	ROW(RUNNING,           RESUME,    RUNNING),
	ROW(RUNNING,           REVERT,    REVERTING),
	ROW(RUNNING,           ABORT,     ABORTED),
	ROW(RUNNING,           SUPERSEDE, SUPERSEDED),
	ROW(RUNNING,           RESTART,   RUNNING),

	ROW(SOAKING,           NEXT,      PREPARING),         /* soaked, a stage is left    */
	ROW(SOAKING,           DONE,      COMPLETED),         /* soaked, none is left       */
	ROW(SOAKING,           HALT,      HALTED),
	ROW(SOAKING,           PAUSE,     PAUSED),
	ROW(SOAKING,           RESUME,    SOAKING),
	ROW(SOAKING,           REVERT,    REVERTING),
	ROW(SOAKING,           ABORT,     ABORTED),
	ROW(SOAKING,           SUPERSEDE, SUPERSEDED),
	ROW(SOAKING,           RESTART,   SOAKING),

	ROW(PAUSED,            RESUME,    PREPARING),
	ROW(PAUSED,            REVERT,    REVERTING),
	ROW(PAUSED,            ABORT,     ABORTED),
	ROW(PAUSED,            SUPERSEDE, SUPERSEDED),
	ROW(PAUSED,            RESTART,   PAUSED),

	ROW(HALTED,            RESUME,    PREPARING),         /* failures are acknowledged  */
	ROW(HALTED,            REVERT,    REVERTING),
	ROW(HALTED,            ABORT,     ABORTED),
	ROW(HALTED,            SUPERSEDE, SUPERSEDED),
	ROW(HALTED,            RESTART,   HALTED),

	ROW(REVERTING,         REVERTED,  HALTED),            /* all are back, or too late  */
	ROW(REVERTING,         REVERT,    REVERTING),         /* what is left, at once      */
	ROW(REVERTING,         RESTART,   REVERTING),

	ROW(COMPLETED,         REVERT,    REVERTING),
	ROW(COMPLETED,         RESTART,   COMPLETED),

	ROW(ABORTED,           RESTART,   ABORTED),

	ROW(SUPERSEDED,        RESTART,   SUPERSEDED),
};
/* clang-format on */

const struct ota_fsm_spec rollout_fsm = {
	.name = "rollout",
	.states = states,
	.events = events,
	.rows = rows,
	.n_states = N_ROLLOUT_STATES,
	.n_events = N_ROLLOUT_EVENTS,
	.n_rows = sizeof rows / sizeof rows[0],
};

const char *rollout_state_text(enum rollout_state state)
{
	return states[state];
}

bool rollout_state_of(const char *text, enum rollout_state *out)
{
	unsigned state;

	if (!ota_fsm_state_of(&rollout_fsm, text, &state))
		return false;
	*out = (enum rollout_state)state;
	return true;
}

bool rollout_state_is_live(enum rollout_state state)
{
	return state >= ROLLOUT_PREPARING && state <= ROLLOUT_SOAKING;
}
