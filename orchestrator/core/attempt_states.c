#include "orchestrator/core/attempt_states.h"

#define TEXT(name, text) text,
static const char *const states[] = { ATTEMPT_STATES(TEXT) };
static const char *const events[] = { ATTEMPT_EVENTS(TEXT) };
#undef TEXT

#define ROW(from, event, to)                                     \
	{                                                        \
		ATTEMPT_##from, ATTEMPT_EV_##event, ATTEMPT_##to \
	}

/* clang-format off */
static const struct ota_fsm_row rows[] = {
	/*  from       event    to            why                                        */
	ROW(NEW,       BEGIN,   WORKING),
	ROW(NEW,       RESTART, NEW),

	ROW(WORKING,   BEGIN,   WORKING),  /* another step                               */
	ROW(WORKING,   SUCCEED, CONFIRMED),
	ROW(WORKING,   FAIL,    FAILED),
	ROW(WORKING,   EXCUSE,  EXCUSED),
	ROW(WORKING,   PUT_OFF, RETRYING),
	ROW(WORKING,   GO_BACK, REVERTED),
	ROW(WORKING,   RESTART, WORKING),

	ROW(RETRYING,  BEGIN,   WORKING),
	ROW(RETRYING,  SUCCEED, CONFIRMED),
	ROW(RETRYING,  FAIL,    FAILED),   /* it did not begin in time                   */
	ROW(RETRYING,  EXCUSE,  EXCUSED),
	ROW(RETRYING,  PUT_OFF, RETRYING), /* failed anew before we heard that it began  */
	ROW(RETRYING,  ASK,     RETRYING),
	ROW(RETRYING,  GO_BACK, REVERTED), /* it had gone back before                    */
	ROW(RETRYING,  RESTART, RETRYING),

	ROW(CONFIRMED, BEGIN,   WORKING),  /* it lost it, and takes it again             */
	ROW(CONFIRMED, RELAPSE, FAILED),
	ROW(CONFIRMED, FAIL,    FAILED),   /* it could not go back                       */
	ROW(CONFIRMED, GO_BACK, REVERTED),
	ROW(CONFIRMED, RESTART, CONFIRMED),

	ROW(FAILED,    BEGIN,   WORKING),
	ROW(FAILED,    SUCCEED, CONFIRMED), /* it was only late                          */
	ROW(FAILED,    FAIL,    FAILED),   /* it tells more                              */
	ROW(FAILED,    EXCUSE,  EXCUSED),
	ROW(FAILED,    PUT_OFF, RETRYING),
	ROW(FAILED,    ASK,     RETRYING),
	ROW(FAILED,    RESTART, FAILED),

	ROW(EXCUSED,   BEGIN,   WORKING),
	ROW(EXCUSED,   SUCCEED, CONFIRMED),
	ROW(EXCUSED,   FAIL,    FAILED),
	ROW(EXCUSED,   EXCUSE,  EXCUSED),
	ROW(EXCUSED,   PUT_OFF, RETRYING),
	ROW(EXCUSED,   ASK,     RETRYING),
	ROW(EXCUSED,   RESTART, EXCUSED),

	ROW(REVERTED,  RESTART, REVERTED),
};
/* clang-format on */

const struct ota_fsm_spec attempt_fsm = {
	.name = "attempt",
	.states = states,
	.events = events,
	.rows = rows,
	.n_states = N_ATTEMPT_STATES,
	.n_events = N_ATTEMPT_EVENTS,
	.n_rows = sizeof rows / sizeof rows[0],
};

const char *attempt_state_text(enum attempt_state state)
{
	return states[state];
}

bool attempt_state_of(const char *text, enum attempt_state *out)
{
	unsigned state;

	if (!ota_fsm_state_of(&attempt_fsm, text, &state))
		return false;
	*out = (enum attempt_state)state;
	return true;
}
