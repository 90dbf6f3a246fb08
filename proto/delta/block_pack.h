#ifndef PROTO_DELTA_BLOCK_PACK_H
#define PROTO_DELTA_BLOCK_PACK_H

/* Makes the block table of an image, and what is published of its blocks. */

#include "proto/delta/block.h"

/**
 * Pack an image block by block.
 *
 * image     read once, from front to end
 * packed    gets all packed blocks, one behind the other, in their order
 * progress  ticks once a block; may be { 0 }
 * out       filled on success only; release with ota_block_table_fini(). Its image is
 *           the digest of what was read: compare it with what should be there.
 *
 * Returns OTA_OK, OTA_E_LIMIT for an image that has no table, OTA_E_NOMEM,
 * OTA_E_CANCELLED, or what image and packed return. Holds two blocks and a zstd context.
 */
OTA_CHECKED enum ota_code ota_block_table_make(const struct ota_source *image,
	const struct ota_sink *packed, const struct ota_progress *progress,
	struct ota_block_table *out, struct ota_error *err);

#endif
