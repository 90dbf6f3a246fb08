#ifndef ORCHESTRATOR_CORE_EXPLAIN_H
#define ORCHESTRATOR_CORE_EXPLAIN_H

/* Why a device does or does not update: one rule, the first that holds it. */

#include "orchestrator/core/state.h"

struct explanation {
	enum ota_code rule;
	const char *rollout; /* borrowed; "" if none plays a part */
	const char *unblock; /* static: who has to do what */
	char detail[CORE_TEXT_CAP];
};

/**
 * Find the rule. In this order:
 *   PENDING     its key is not accepted (explain_claim_json())
 *   NOREPORT    it has never reported
 *   QUARANTINE  it is set aside
 *   OFFLINE     it is away
 *   NOCOHORT    no cohort selects it
 *   ...         an alarm: what it refused as forged
 *   NOROLLOUT   no rollout has a stage for its cohort
 *   CURRENT     it runs the release
 *   WORKING     it is at it
 *   TRYAGAIN    it failed, and is tried again
 *   ...         what the update failed with, or what it lacks
 *   HARDWARE, PRODUCT, FLOOR, PRECURSOR   it cannot take the release
 *   HALTED, PAUSED, ABORTED, SUPERSEDED, PREPARING    the rollout stands there
 *   NOGRANT, SHARE, APPROVAL, EXPIRED               its stage waits for operators
 *   PACE, SITE, GROUP, FREEZE             its stage is not open to it yet
 *   STAGE, BUCKET                         its stage has not begun; no stage takes it
 *   ...         what it says it waits for (WINDOW), what it refuses
 *   ...         what ota_admit() says of the documents in force; if nothing, LATE after
 *               its stage has passed, else WORKING
 */
void explain_device(
	const struct core *core, struct device *device, struct explanation *out);

/** As core_explain_json(). */
cJSON *explain_json(const struct core *core, struct device *device);

/** The same of a device that waits to be accepted: PENDING. */
cJSON *explain_claim_json(const struct core *core, const struct claim *claim);

#endif
