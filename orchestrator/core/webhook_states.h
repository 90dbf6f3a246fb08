#ifndef ORCHESTRATOR_CORE_WEBHOOK_STATES_H
#define ORCHESTRATOR_CORE_WEBHOOK_STATES_H

/* The life of a webhook: an address that is told of what happens.
 *
 *   IDLE -send-> SENDING -accept-> IDLE
 *                 |   |
 *                 |   +-- gone ---> DISABLED -enable-> IDLE
 *                 +-- refuse -> WAITING -send-> SENDING
 *
 * When a wait is over is told in webhook.h; here stands what may follow on what. */

#include "proto/base/fsm.h"

/* X(NAME, text) */
#define WEBHOOK_STATES(X)     \
	X(IDLE, "idle")       \
	X(SENDING, "sending") \
	X(WAITING, "waiting") \
	X(DISABLED, "disabled")

/* X(NAME, text)
 *
 * SEND     an event is on its way
 * ACCEPT   it was answered with 2xx
 * REFUSE   it was answered with something else, or not at all
 * GONE     it was answered with 410: nobody wants to hear any more
 * ENABLE   a test was answered with 2xx: somebody does
 * RESTART  waking up from what is stored */
#define WEBHOOK_EVENTS(X)   \
	X(SEND, "send")     \
	X(ACCEPT, "accept") \
	X(REFUSE, "refuse") \
	X(GONE, "gone")     \
	X(ENABLE, "enable") \
	X(RESTART, "restart")

#define WEBHOOK_STATE_ENUM(name, text) WEBHOOK_##name,
enum webhook_state { WEBHOOK_STATES(WEBHOOK_STATE_ENUM) N_WEBHOOK_STATES };
#undef WEBHOOK_STATE_ENUM

#define WEBHOOK_EVENT_ENUM(name, text) WEBHOOK_EV_##name,
enum webhook_event { WEBHOOK_EVENTS(WEBHOOK_EVENT_ENUM) N_WEBHOOK_EVENTS };
#undef WEBHOOK_EVENT_ENUM

extern const struct ota_fsm_spec webhook_fsm;

/** "idle" ... */
const char *webhook_state_text(enum webhook_state state);

#endif
