#ifndef ORCHESTRATOR_CORE_WEBHOOK_H
#define ORCHESTRATOR_CORE_WEBHOOK_H

/* When a webhook is told, what follows from its answer, and when an event is given up.
 * Pure: time, answers and random numbers come in; nothing here sends or stores. */

#include "orchestrator/core/core.h"
#include "orchestrator/core/webhook_states.h"

enum {
	WEBHOOK_WAIT_MIN_MS = 1000,        /* the middle of the first wait */
	WEBHOOK_WAIT_MAX_MS = 3600 * 1000, /* of the longest; doubling in between */
	WEBHOOK_ASKED_MAX_S = 24 * 3600,   /* no Retry-After holds us back for longer */
};

/** Where one stands. `= { 0 }` is idle, and never failed. */
struct webhook {
	enum webhook_state state;
	uint64_t tries;     /* failed, since the last that did not */
	uint64_t failing_s; /* since when, UTC; 0: it does not fail */
	uint64_t due_ms;    /* WAITING: when it is tried again, monotonic */
};

/** How a request ended. */
struct webhook_answer {
	unsigned status;  /* of HTTP; 0: there was no answer */
	uint64_t asked_s; /* the wait it asks for (Retry-After), from now; 0: none */
};

/** True if the answer says that the event is taken: any 2xx. */
bool webhook_is_accepted(const struct webhook_answer *answer);

/** Waking up: from what is stored, to be tried at once unless it is disabled. */
struct webhook webhook_restart(uint64_t tries, uint64_t failing_s, bool disabled);

/** True if an event may be sent now. */
bool webhook_is_due(const struct webhook *webhook, uint64_t now_ms);

/** An event is on its way. Only if webhook_is_due(). */
void webhook_send(struct webhook *webhook);

/** What was on its way has ended. random: all bits are used. */
void webhook_answered(struct webhook *webhook, const struct webhook_answer *answer,
	struct core_now now, uint32_t random);

/** A test was accepted: it is neither disabled nor does it wait. */
void webhook_enable(struct webhook *webhook);

/** True if an event of that time, of which a try has failed just now, is not tried any
 *  more: it is older than keep_s. */
bool webhook_gives_up(
	const struct webhook *webhook, uint64_t at_s, uint64_t keep_s, uint64_t now_s);

#endif
