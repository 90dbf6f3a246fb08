#ifndef ORCHESTRATOR_CORE_PUBLISH_H
#define ORCHESTRATOR_CORE_PUBLISH_H

/* What the broker shall hold: orders, assigns, fresh, and the patches that orders name.
 * Level-triggered: what shall be is computed from the state, and what differs from what
 * was signed last is signed and published. */

#include "orchestrator/core/state.h"

enum {
	FRESH_LIFE_S = 86400,  /* the dead-man switch */
	FRESH_RENEW_S = 21600, /* signed anew at the latest */
};

/** Store a device, and sign where it belongs with the next sequence. A device of no
 *  cohort is assigned nothing. */
void publish_assign(struct core *core, struct device *device);

/** The rollout whose order a cohort is under: the newest that has started a stage there;
 *  NULL if none has. */
struct rollout *publish_rollout_of(const struct core *core, const char *cohort);

/** Bring patches, orders and fresh up to date. */
void publish_settle(struct core *core);

/** Set all topics again, with a new fresh. */
void publish_assert(struct core *core);

/** Seconds when the fresh must be signed anew. */
uint64_t publish_due_s(const struct core *core);

/** Fill in the patches an order for an image may name, a full one first. Returns how
 *  many, at most OTA_PATCHES_MAX. */
uint32_t publish_patches(const struct core *core, const struct ota_digest *image,
	struct ota_patch_ref refs[static OTA_PATCHES_MAX]);

#endif
