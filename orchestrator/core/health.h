#ifndef ORCHESTRATOR_CORE_HEALTH_H
#define ORCHESTRATOR_CORE_HEALTH_H

/* What devices suffer outside of updates, and whether those that run a new release suffer
 * more of it than the others (worse.h).
 *
 * An incident of a device that no update moves is: its session with the broker is lost,
 * by its last will or by a new session before that came; it boots, also when it falls
 * back to another image; it begins to refuse documents as forged. What comes within 10
 * min of one is the same incident. Within a stage so many count of one device as the file
 * says, and of a site one within a minute: neither a single device that flaps nor a line
 * that a whole site hangs on says anything of a release. */

#include "orchestrator/core/state.h"

/** True if an update, or going back, moves the device: what it does is no incident. */
bool device_is_moved(const struct device *device);

/** The device had an incident. Nothing if an update moves it. */
void health_incident(struct core *core, struct device *device);

/** Count what has happened since the last call against or for the rollouts that move by
 *  themselves. Visits every device, if there is anything to count. */
void health_tick(struct core *core);

/** How often the device counts among those that could have an incident: once, and once
 *  more for each it had in the last 30 days, as far as they are remembered. */
uint64_t health_weight(const struct core *core, const struct device *device);

/** Incidents a day and device to be expected, from the last 30 days of the whole fleet,
 * in millionths; no less than one in 30 days. Visits every device. */
uint64_t health_rate_micro(const struct core *core);

#endif
