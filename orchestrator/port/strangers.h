#ifndef ORCHESTRATOR_PORT_STRANGERS_H
#define ORCHESTRATOR_PORT_STRANGERS_H

/* Devices that reported and are not known: once they are registered, what the broker
 * retains of them is worth another look. */

#include "orchestrator/core/core.h"

enum { STRANGERS_MAX = 1024 };

/** `= { 0 }` is none. */
struct strangers {
	char ids[STRANGERS_MAX][OTA_NAME_CAP];
	size_t count;
	size_t oldest; /* index of the one that goes next when there is no room */
};

/** Remember one; the oldest is forgotten for it if there are too many. */
void strangers_note(struct strangers *strangers, const char *id);

/** Forget those that the core knows by now: bit i of the result is set if one of them is
 *  in bucket i of state/. */
uint64_t strangers_met(struct strangers *strangers, const struct core *core);

#endif
