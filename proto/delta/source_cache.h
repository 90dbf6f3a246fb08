#ifndef PROTO_DELTA_SOURCE_CACHE_H
#define PROTO_DELTA_SOURCE_CACHE_H

/* Blocks of a source image, kept as long as nothing else needs their place. Block number
 * n has one place, n % count: finding it costs nothing, and copies run forward. */

#include "proto/delta/codec.h"
#include "proto/delta/heap.h"

struct ota_source_cache {
	const struct ota_source *source; /* borrowed */
	struct ota_heap *heap;           /* borrowed */
	uint8_t *blocks;                 /* owned, count * block_len bytes */
	uint64_t *number;                /* owned, count entries: block held, plus 1 */
	size_t block_len;                /* bytes */
	size_t count;                    /* blocks */
};

/** Make room for count blocks of block_len bytes. OTA_OK or OTA_E_NOMEM. On failure, too,
 *  ota_source_cache_fini() is right. */
OTA_CHECKED enum ota_code ota_source_cache_init(struct ota_source_cache *cache,
	struct ota_heap *heap, const struct ota_source *source, size_t block_len,
	size_t count);

/** Release the blocks. Accepts a zeroed cache. */
void ota_source_cache_fini(struct ota_source_cache *cache);

/**
 * One block; the last one of the source is shorter, and the one right behind the end of
 * the source is empty.
 *
 * block   borrowed until the next call
 *
 * Returns OTA_OK, OTA_E_LIMIT for a block beyond, or what the source returned.
 */
OTA_CHECKED enum ota_code ota_source_cache_block(
	struct ota_source_cache *cache, uint64_t number, struct ota_bytes *block);

#endif
