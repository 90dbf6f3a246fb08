#ifndef ORCHESTRATOR_PORT_CACHED_PATCH_H
#define ORCHESTRATOR_PORT_CACHED_PATCH_H

/* Patches in the cache directory, each two files named by the digest of its manifest:
 *
 *   <digest>.patch      its bytes, which chunks are cut from
 *   <digest>.manifest   its manifest
 *
 * and small files that say what was made of what: "full-<to>" and "vcdiff-<from>-<to>"
 * hold "<digest> <ms it took>\n". They are written last. */

#include "proto/wire/manifest.h"

/** A patch, open for reading. `= { 0 }` is closed. */
struct cached_patch {
	struct ota_digest name;
	struct ota_manifest manifest; /* owned */
	struct ota_buf bytes;         /* of the manifest; owned */
	int fd;                       /* of the patch; owned while bytes.len > 0 */
};

/** Open a patch; its manifest is checked against its name, each chunk when it is read.
 *  OTA_OK, OTA_E_NOTFOUND, OTA_E_DIGEST, OTA_E_IO or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code cached_patch_open(const char *dir,
	const struct ota_digest *patch, struct cached_patch *out, struct ota_error *err);

/** Close it. Accepts a zeroed struct; leaves one behind. */
void cached_patch_fini(struct cached_patch *file);

/** Append the chunk message of index. OTA_OK, OTA_E_DIGEST if the cache is damaged,
 *  OTA_E_IO or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code cached_patch_chunk(const struct cached_patch *file,
	uint32_t index, struct ota_buf *out, struct ota_error *err);

/** What a patch is made of. */
struct patch_recipe {
	uint8_t codec;              /* enum ota_codec_id */
	struct ota_digest from, to; /* from: zero for OTA_CODEC_FULL */
};

/** Find what was made before: patch and took_ms are written on success only. OTA_OK,
 *  OTA_E_NOTFOUND, OTA_E_FORMAT or OTA_E_IO. */
OTA_CHECKED enum ota_code patch_recipe_find(const char *dir,
	const struct patch_recipe *recipe, struct ota_digest *patch, uint64_t *took_ms,
	struct ota_error *err);

/** Note what was made. Its files are durable already. Any thread. */
OTA_CHECKED enum ota_code patch_recipe_store(const char *dir,
	const struct patch_recipe *recipe, const struct ota_digest *patch,
	uint64_t took_ms, struct ota_error *err);

#endif
