#ifndef ORCHESTRATOR_CORE_VIEWS_H
#define ORCHESTRATOR_CORE_VIEWS_H

/* What people look at, as JSON. The members are documented in orchestrator/README.md.
 * All of it reads core->now; the trees belong to the caller. */

#include "orchestrator/core/state.h"

/** What travelled for an image: one full compressed image against the patches made. */
struct views_bytes {
	uint64_t published, full; /* bytes */
};

/** For one image; NULL: for all together. */
struct views_bytes views_bytes_of(
	const struct core *core, const struct ota_digest *image);

/** {"published","full","saved_permille"} */
cJSON *views_bytes_json(struct views_bytes bytes);

/** One release, with what is known of its catalog, image and grant. */
cJSON *views_release(const struct core *core, const struct release *release);

/** Add "refused" to a tree, unless there is nothing. */
void views_refusal(cJSON *tree, const struct refusal *refused);

/** Without attempts; with them. */
cJSON *views_device(const struct device *device, bool attempts);

/** Without spec, patches and counts; with them. */
cJSON *views_rollout(const struct core *core, const struct rollout *rollout, bool whole);

/** As core_status_json(). */
cJSON *views_status(const struct core *core);

/** As core_fleet_json(). */
cJSON *views_fleet(const struct core *core);

/** As core_devices_json(). */
cJSON *views_devices(
	const struct core *core, const char *cohort, const char *after, uint32_t limit);

/** As core_releases_json(). */
cJSON *views_releases(const struct core *core);

/** Summaries in an array, newest first. */
cJSON *views_rollouts(const struct core *core);

#endif
