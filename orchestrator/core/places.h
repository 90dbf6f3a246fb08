#ifndef ORCHESTRATOR_CORE_PLACES_H
#define ORCHESTRATOR_CORE_PLACES_H

/* Where the devices of a fleet stand, by the value of one of their labels. */

#include "orchestrator/core/pace.h"
#include "orchestrator/core/state.h"

struct places {
	const char **names; /* owned array of borrowed values */
	uint32_t name_count;
	uint32_t *of; /* owned: for each device of the core, its place or PACE_NOWHERE */
	uint32_t *slots; /* owned: hash table of places, index + 1 */
	uint32_t slot_mask;
};

/** The values of label key, numbered as they come. Release with places_fini(); good until
 *  the core changes. Costs O(devices). */
struct places places_of(const struct core *core, const char *key);

/** Release it. */
void places_fini(struct places *places);

#endif
