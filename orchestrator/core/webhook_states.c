#include "orchestrator/core/webhook_states.h"

#define TEXT(name, text) text,
static const char *const states[] = { WEBHOOK_STATES(TEXT) };
static const char *const events[] = { WEBHOOK_EVENTS(TEXT) };
#undef TEXT

#define ROW(from, event, to)                                     \
	{                                                        \
		WEBHOOK_##from, WEBHOOK_EV_##event, WEBHOOK_##to \
	}

/* clang-format off */
static const struct ota_fsm_row rows[] = {
	/*  from      event    to        why                                     */
	ROW(IDLE,     SEND,    SENDING),
	ROW(IDLE,     ENABLE,  IDLE),
	ROW(IDLE,     RESTART, IDLE),

	ROW(SENDING,  ACCEPT,  IDLE),
	ROW(SENDING,  REFUSE,  WAITING),
	ROW(SENDING,  GONE,    DISABLED),
	ROW(SENDING,  ENABLE,  SENDING),
	ROW(SENDING,  RESTART, SENDING), /* is not stored: it was waiting or idle */

	ROW(WAITING,  SEND,    SENDING),
	ROW(WAITING,  ENABLE,  IDLE),    /* it hears again: no need to wait      */
	ROW(WAITING,  RESTART, WAITING),

	ROW(DISABLED, ENABLE,  IDLE),
	ROW(DISABLED, RESTART, DISABLED),
};
/* clang-format on */

const struct ota_fsm_spec webhook_fsm = {
	.name = "webhook",
	.states = states,
	.events = events,
	.rows = rows,
	.n_states = N_WEBHOOK_STATES,
	.n_events = N_WEBHOOK_EVENTS,
	.n_rows = sizeof rows / sizeof rows[0],
};

const char *webhook_state_text(enum webhook_state state)
{
	return states[state];
}
