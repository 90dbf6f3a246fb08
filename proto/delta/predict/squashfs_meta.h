#ifndef PROTO_DELTA_PREDICT_SQUASHFS_META_H
#define PROTO_DELTA_PREDICT_SQUASHFS_META_H

/* A table of squashfs: blocks of 8 KiB, each behind two bytes that tell how long it is in
 * the image and whether it is compressed. What lies in it is found by where its block
 * begins in the image, and an offset in what came out of the block. */

#include "proto/delta/predict/members_list.h"

enum { OTA_SQUASHFS_META_LEN = 8192 }; /* bytes that come out of a block */

struct ota_squashfs_meta {
	uint8_t *at;      /* owned */
	size_t len;       /* bytes */
	uint64_t *starts; /* owned: of each block, counted from the table's first byte */
	uint32_t count, cap; /* blocks */
};

/** Read blocks from one offset of a volume to another, as far as they can be read. Costs
 *  a step for each 16 bytes. */
void ota_squashfs_meta_read(const struct ota_volume *volume, enum ota_packing packing,
	uint64_t begin, uint64_t end, struct ota_squashfs_meta *out);

/** Where in the table a block that begins at `start` has its byte `offset`. False if no
 *  block begins there. */
bool ota_squashfs_meta_find(const struct ota_squashfs_meta *meta, uint64_t start,
	uint32_t offset, uint64_t *at);

/** What was read. */
struct ota_bytes ota_squashfs_meta_bytes(const struct ota_squashfs_meta *meta);

/** Release. Accepts a zeroed table. */
void ota_squashfs_meta_fini(struct ota_squashfs_meta *meta);

#endif
