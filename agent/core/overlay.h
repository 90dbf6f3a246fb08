#ifndef AGENT_CORE_OVERLAY_H
#define AGENT_CORE_OVERLAY_H

/* The source of a patch where the slot that holds it was mended: some of its blocks lie
 * in a second file, which `install` makes and the process that decodes reads beside the
 * slot.
 *
 *   offset  size  field
 *        0     4  magic      "OTV1"
 *        4     4  block_len  u32le, bytes
 *        8     4  count      u32le, blocks in this file, at most OTA_BLOCKS_MAX
 *       12     .  index      of each in the source, u32le, rising
 *    16384     .  the blocks, block_len bytes apart */

#include "proto/wire/block_table.h"

enum {
	OVERLAY_HEAD_LEN = 12,
	OVERLAY_INDEX_LEN = OVERLAY_HEAD_LEN + OTA_BLOCKS_MAX * 4, /* bytes, at most */
	OVERLAY_DATA_OFFSET = 16384,
};

/** `= { 0 }` covers nothing. */
struct overlay {
	uint32_t block_len;             /* bytes; 0: it covers nothing */
	uint32_t count;                 /* blocks */
	uint16_t place[OTA_BLOCKS_MAX]; /* of a block of the source: 0: in the slot;
					   else 1 more than its place in the file */
};

/** A range that lies in one of the two files. */
struct overlay_piece {
	bool is_over;    /* in the overlay, else in the slot */
	uint64_t offset; /* there */
	size_t len;      /* bytes */
};

/** Let the next place of the file hold that block; blocks come in rising order. Returns
 *  where its bytes belong in the file. */
uint64_t overlay_add(struct overlay *overlay, uint32_t block);

/** Where the first of len bytes at offset of the source lie, and how many from there on
 *  lie in one piece; at least 1 if len is. */
struct overlay_piece overlay_find(
	const struct overlay *overlay, uint64_t offset, size_t len);

/** Append the bytes before the blocks, at most OVERLAY_INDEX_LEN. OTA_OK or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code overlay_encode(
	const struct overlay *overlay, struct ota_buf *out);

/** Parse the head: how many bytes its index takes behind it. OTA_OK or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code overlay_parse_head(
	struct ota_bytes in, struct overlay *out, struct ota_error *err);

/** Parse the index that follows the head. OTA_OK or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code overlay_parse_index(
	struct ota_bytes in, struct overlay *overlay, struct ota_error *err);

#endif
