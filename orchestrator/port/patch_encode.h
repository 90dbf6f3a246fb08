#ifndef ORCHESTRATOR_PORT_PATCH_ENCODE_H
#define ORCHESTRATOR_PORT_PATCH_ENCODE_H

/* One patch, made into the cache. */

#include "orchestrator/port/cached_patch.h"
#include "orchestrator/port/images.h"

/** A patch in the cache. */
struct patch_made {
	struct ota_digest patch;
	uint64_t patch_len, decoder_ram; /* bytes */
	uint64_t took_ms;
};

struct patch_encode {
	const char *dir;             /* of the cache; borrowed */
	const struct images *images; /* borrowed */
	struct patch_recipe recipe;
	int level;
	uint64_t images_max; /* bytes of both images, for OTA_CODEC_PREDICT */
	struct ota_progress progress;
};

/** Answer from the cache. OTA_OK, or another code if the patch has to be made. */
OTA_CHECKED enum ota_code patch_encode_cached(const char *dir,
	const struct patch_recipe *recipe, struct patch_made *out, struct ota_error *err);

/** Make it; blocks for as long as that takes. Any thread; a codec that can share its work
 *  out uses all processors, also when others encode beside it. Returns what
 *  ota_patch_encode() returns, OTA_E_LIMIT for images too long, OTA_E_NOTFOUND for an
 * image that is not there, or OTA_E_DIGEST if a stored image is not what its name says.
 */
OTA_CHECKED enum ota_code patch_encode_run(
	const struct patch_encode *encode, struct patch_made *out, struct ota_error *err);

#endif
