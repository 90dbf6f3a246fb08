#ifndef AGENT_PORT_INSTALL_PATCH_H
#define AGENT_PORT_INSTALL_PATCH_H

/* A patch in the spool, which another, less trusted process writes: nothing of it is
 * believed but what has the digest that was ordered. */

#include "proto/wire/manifest.h"

struct install_patch {
	struct ota_manifest manifest; /* owned; its digest is the one ordered */
	int fd;                       /* owned; -1: none */
	uint8_t *chunk;               /* owned, manifest.chunk_len bytes */
};

/** Open the patch whose manifest has that digest. OTA_OK, OTA_E_NOTFOUND, OTA_E_DIGEST,
 *  OTA_E_IO, OTA_E_NOMEM or a code of ota_manifest_parse(). */
OTA_CHECKED enum ota_code install_patch_open(const char *spool_dir,
	const struct ota_digest *patch, struct install_patch *out, struct ota_error *err);

/** Close. Accepts `{ .fd = -1 }`. */
void install_patch_fini(struct install_patch *patch);

/** Read chunk i into memory that nobody else writes, then look at its digest. out is
 * valid until the next call. OTA_OK, or OTA_E_DIGEST also for a chunk that is not there.
 */
OTA_CHECKED enum ota_code install_patch_read(struct install_patch *patch, uint32_t i,
	struct ota_bytes *out, struct ota_error *err);

#endif
