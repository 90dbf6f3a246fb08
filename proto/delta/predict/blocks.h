#ifndef PROTO_DELTA_PREDICT_BLOCKS_H
#define PROTO_DELTA_PREDICT_BLOCKS_H

/* An index of a text by hashes of its blocks: where may these bytes stand? Blocks that
 * repeat one word are left out: they are everywhere, and compress to nothing. */

#include "proto/base/bytes.h"

enum {
	OTA_BLOCK_LEN = 32,   /* bytes */
	OTA_BLOCK_PLACES = 8, /* found for one block at most */
};

struct ota_blocks {
	struct ota_bytes text; /* borrowed */
	uint32_t *slots; /* owned: number of a block + 1, and a tag above it; 0: free */
	uint32_t slot_count;
	unsigned stride_log;  /* a block begins every so many bytes */
	unsigned number_bits; /* of a slot, below the tag */
};

/** Build: up to text.len / 2 + 64 MiB of memory. OTA_OK, OTA_E_NOMEM or OTA_E_LIMIT. */
OTA_CHECKED enum ota_code ota_blocks_init(
	struct ota_blocks *blocks, struct ota_bytes text);

/** Release. Accepts a zeroed struct. */
void ota_blocks_fini(struct ota_blocks *blocks);

/** The hash of the block at `at`, made ready to be found soon; 0 if it repeats a word. */
uint64_t ota_blocks_hash(const struct ota_blocks *blocks, const uint8_t *at);

/** Where a block with that hash, not 0, stands: offsets, each to be checked. Their count.
 */
unsigned ota_blocks_find(const struct ota_blocks *blocks, uint64_t hash,
	size_t place[static OTA_BLOCK_PLACES]);

#endif
