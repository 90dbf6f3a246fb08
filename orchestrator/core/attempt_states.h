#ifndef ORCHESTRATOR_CORE_ATTEMPT_STATES_H
#define ORCHESTRATOR_CORE_ATTEMPT_STATES_H

/* The update of one device by one rollout.
 *
 *   NEW -begin-> WORKING -succeed-> CONFIRMED -go-back-> REVERTED
 *                 |   ^                 |
 *                 |   +--- begin ---- RETRYING <- put-off, ask
 *                 +---- fail, excuse -> FAILED, EXCUSED
 *
 * Whether it counts, as what, and when it is tried again is told in attempts.c and
 * retry.h; here stands what may follow on what. */

#include <stdbool.h>

#include "proto/base/fsm.h"

/* X(NAME, text) */
#define ATTEMPT_STATES(X)         \
	X(NEW, "new")             \
	X(WORKING, "working")     \
	X(RETRYING, "retrying")   \
	X(CONFIRMED, "confirmed") \
	X(FAILED, "failed")       \
	X(EXCUSED, "excused")     \
	X(REVERTED, "reverted")

/* X(NAME, text)
 *
 * BEGIN    the device says that it is at it
 * SUCCEED  it runs the release, proved itself and said so
 * FAIL     it failed, and is not tried again by itself
 * EXCUSE   it failed for a reason that says nothing of the release
 * PUT_OFF  it failed, and the policy has a try left
 * ASK      a person wants it tried again
 * RELAPSE  it has left the image it had confirmed
 * GO_BACK  it is on its old image again, by order
 * RESTART  waking up from what is stored */
#define ATTEMPT_EVENTS(X)     \
	X(BEGIN, "begin")     \
	X(SUCCEED, "succeed") \
	X(FAIL, "fail")       \
	X(EXCUSE, "excuse")   \
	X(PUT_OFF, "put-off") \
	X(ASK, "ask")         \
	X(RELAPSE, "relapse") \
	X(GO_BACK, "go-back") \
	X(RESTART, "restart")

#define ATTEMPT_STATE_ENUM(name, text) ATTEMPT_##name,
enum attempt_state { ATTEMPT_STATES(ATTEMPT_STATE_ENUM) N_ATTEMPT_STATES };
#undef ATTEMPT_STATE_ENUM

#define ATTEMPT_EVENT_ENUM(name, text) ATTEMPT_EV_##name,
enum attempt_event { ATTEMPT_EVENTS(ATTEMPT_EVENT_ENUM) N_ATTEMPT_EVENTS };
#undef ATTEMPT_EVENT_ENUM

extern const struct ota_fsm_spec attempt_fsm;

/** "working" ... */
const char *attempt_state_text(enum attempt_state state);

/** The state with that text; false if there is none. */
bool attempt_state_of(const char *text, enum attempt_state *out);

#endif
