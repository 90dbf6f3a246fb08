#ifndef ORCHESTRATOR_CORE_TALLY_H
#define ORCHESTRATOR_CORE_TALLY_H

/* How the devices of a rollout stand, counted: kept by entering each device of a survey,
 * and taking it out before it is looked at again. */

#include "orchestrator/core/state.h"

/** The share of each stage: as decided, or as planned for those that have not started. */
struct stage_shares {
	const struct ota_grant *grant; /* borrowed; NULL: none, so nobody can tell */
	uint32_t count;                /* of the stages */
	uint64_t permille[SPEC_STAGES_MAX];
	bool started[SPEC_STAGES_MAX];
	bool by_name[SPEC_STAGES_MAX]; /* it takes the devices that it names */
};

struct tally {
	bool valid; /* or all of what follows is to be done anew */
	struct stage_shares shares;
	struct gate_counts counts[SPEC_STAGES_MAX]; /* offline: not yet; see absent */
	uint32_t absent[SPEC_STAGES_MAX]; /* offline, not begun: time tells pending from
					     offline */
	/* In the whole rollout: */
	uint32_t soft, hard; /* failures, not acknowledged */
	uint32_t confirmed;
	uint32_t aside; /* set aside before they came to a good end */
};

struct standing;

/** Begin anew under these shares, with nobody entered. */
void tally_reset(struct tally *tally, const struct stage_shares *shares);

/** Enter a device, and note the stage that takes it in standing->stage. */
void tally_enter(struct tally *tally, struct standing *standing);

/** Take it out, as it was entered. */
void tally_leave(struct tally *tally, const struct standing *standing);

#endif
