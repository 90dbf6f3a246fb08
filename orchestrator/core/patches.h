#ifndef ORCHESTRATOR_CORE_PATCHES_H
#define ORCHESTRATOR_CORE_PATCHES_H

/* Which patches a rollout needs: one from each image its devices run, and a full one for
 * devices that run an image nobody knows. One that claims to have been installed with a
 * known image gets the patch from that one, as it repairs what it runs, until it refuses.
 */

#include "orchestrator/core/state.h"

/** The image a patch for the device has to start from; zero: a full one. False if the
 *  device needs none: it never reported, runs the image, or cannot run the release. */
bool patches_source(const struct core *core, const struct rollout *rollout,
	const struct device *device, struct ota_digest *from);

/** True if the device runs an image nobody knows, but claims to have been installed with
 *  one that is known, and has not refused to repair it for the order it is under. */
bool patches_repairs(const struct core *core, const struct device *device);

/** Ask for every patch the rollout needs and does not have.
 *
 * failed   set to the one that cannot be made, borrowed; NULL: none
 *
 * Returns how many are still being made. */
uint32_t patches_ask(
	struct core *core, const struct rollout *rollout, const struct patch **failed);

/** True if a rollout open to the device needs a patch for it that was never asked for. */
bool patches_lack(const struct core *core, const struct device *device);

/** Try those again that could not be made. */
void patches_retry(struct core *core, const struct rollout *rollout);

/** A worker has made one. Unknown ones are passed over. */
void patches_made(struct core *core, const struct core_patch *made);

/** A worker could not, which text says why. Unknown ones are passed over. */
void patches_failed(struct core *core, const struct ota_digest *from,
	const struct ota_digest *to, const char *why);

#endif
