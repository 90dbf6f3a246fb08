#ifndef ORCHESTRATOR_CORE_REVISION_H
#define ORCHESTRATOR_CORE_REVISION_H

/* What people decide about a thing, as one short name: another one as soon as somebody
 * decides otherwise, or it comes to a state in which they may have to. What changes by
 * itself all the time (counts, reports, presence, gates) is not in it. It is a digest of
 * what is stored, so a restart or another leader gives the same. */

#include "orchestrator/core/core.h"

enum {
	CORE_REVISION_CAP = 33,      /* bytes with the NUL: 16 of a digest, in hex */
	CORE_REVISION_NOW_CAP = 160, /* likewise */
};

/** The revision of a thing, and what there is to say of it to one who has seen another:
 *  "rollout 'one' is halted". */
struct core_revision {
	char text[CORE_REVISION_CAP];
	char now[CORE_REVISION_NOW_CAP];
};

/** Of a rollout: its spec, its state and since when, whether it was taken back, the grant
 *  for its release and the one that waits for signatures. The four states in which it
 *  moves by itself are one, but for PREPARING before its first stage. False: there is
 *  none. */
bool core_rollout_revision(
	const struct core *core, const char *rollout, struct core_revision *out);

/** Of a device, or of one that waits to be accepted: its key, labels, whether it is set
 *  aside, and another key that was presented. False: there is none. */
bool core_device_revision(
	const struct core *core, const char *device, struct core_revision *out);

/** Of the fleet file in force. */
void core_fleet_revision(const struct core *core, struct core_revision *out);

/** Of all that a plan goes by: every rollout, the fleet file and the catalog. */
void core_rollouts_revision(const struct core *core, struct core_revision *out);

#endif
