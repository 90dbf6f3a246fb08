#include "orchestrator/core/stage_states.h"

#define TEXT(name, text) text,
static const char *const states[] = { STAGE_STATES(TEXT) };
static const char *const events[] = { STAGE_EVENTS(TEXT) };
#undef TEXT

#define ROW(from, event, to)                               \
	{                                                  \
		STAGE_##from, STAGE_EV_##event, STAGE_##to \
	}

/* clang-format off */
static const struct ota_fsm_row rows[] = {
	/*  from     event    to         why                                           */
	ROW(WAITING, GRANT,   RUNNING),
	ROW(WAITING, HALT,    HALTED),   /* no patch, withdrawn, or an earlier one fails */
	ROW(WAITING, RESUME,  WAITING),
	ROW(WAITING, RESTART, WAITING),

	ROW(RUNNING, GRANT,   RUNNING),  /* the grant ran out, or it was paused        */
	ROW(RUNNING, FINISH,  SOAKING),
	ROW(RUNNING, HALT,    HALTED),
	ROW(RUNNING, RESUME,  RUNNING),
	ROW(RUNNING, RESTART, RUNNING),

	ROW(SOAKING, GRANT,   RUNNING),  /* it was paused: it soaks once more          */
	ROW(SOAKING, PASS,    PASSED),
	ROW(SOAKING, HALT,    HALTED),
	ROW(SOAKING, RESUME,  SOAKING),
	ROW(SOAKING, RESTART, SOAKING),

	ROW(PASSED,  RESTART, PASSED),

	ROW(HALTED,  RESUME,  WAITING),
	ROW(HALTED,  RESTART, HALTED),
};
/* clang-format on */

const struct ota_fsm_spec stage_fsm = {
	.name = "stage",
	.states = states,
	.events = events,
	.rows = rows,
	.n_states = N_STAGE_STATES,
	.n_events = N_STAGE_EVENTS,
	.n_rows = sizeof rows / sizeof rows[0],
};

const char *stage_state_text(enum stage_state state)
{
	return states[state];
}

bool stage_state_of(const char *text, enum stage_state *out)
{
	unsigned state;

	if (!ota_fsm_state_of(&stage_fsm, text, &state))
		return false;
	*out = (enum stage_state)state;
	return true;
}
