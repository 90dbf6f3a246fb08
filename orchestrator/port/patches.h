#ifndef ORCHESTRATOR_PORT_PATCHES_H
#define ORCHESTRATOR_PORT_PATCHES_H

/* The patch maker: answers "what takes a device from this image to that one?" with the
 * smaller of the delta and the full patch, both made on worker threads and kept. What is
 * in the cache is answered from there, so asking again after a restart costs nothing. */

#include <uv.h>

#include "orchestrator/core/core.h"
#include "orchestrator/port/images.h"

struct patches_config {
	const char *dir;             /* the cache; copied */
	const struct images *images; /* borrowed for the maker's life */
	uint32_t workers;            /* patches made at a time */
	enum ota_codec_id codec; /* of deltas; OTA_CODEC_PREDICT becomes vcdiff where it
				  * cannot be made */
	int level;               /* zstd; 0: the codec's default */
	uint64_t images_max;     /* bytes that both images of a delta of codec predict may
				  * have, as it holds them; longer ones get vcdiff */
};

/** Answers, on the loop thread, never from within patches_make(). */
struct patches_events {
	void *ctx;
	void (*made)(void *ctx, const struct core_patch *patch);
	void (*failed)(void *ctx, const struct ota_digest *from,
		const struct ota_digest *to, const struct ota_error *why);
};

struct patches;

/** Open the cache, removing what a process before left half made. */
OTA_CHECKED enum ota_code patches_new(uv_loop_t *loop,
	const struct patches_config *config, const struct patches_events *events,
	struct patches **out, struct ota_error *err);

/** Ask for the patch from an image (zero: full) to another. A question that is open
 *  already is not asked twice. */
void patches_make(struct patches *patches, const struct ota_digest *from,
	const struct ota_digest *to);

/** What is being made: [{"from","to","codec","done","total"}], bytes of the new image.
 *  Owned by the caller; NULL when memory is short. */
cJSON *patches_json(const struct patches *patches);

/** Cancel what is under way and release everything; closed runs once the workers have let
 *  go. No further answer comes. NULL patches: closed runs at once. */
void patches_close(struct patches *patches, void (*closed)(void *ctx), void *ctx);

#endif
