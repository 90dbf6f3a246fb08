#ifndef PROTO_WIRE_BLOCK_TABLE_H
#define PROTO_WIRE_BLOCK_TABLE_H

/* The block table of an image: what each of its blocks must be, so that a device whose
 * copy differs finds out where, and fetches those blocks only. Not signed: a manifest
 * (manifest.h) carries its BLAKE2b-256.
 *
 *   offset  size  field
 *        0     4  magic       "OTB1"
 *        4     4  block_len   u32le, bytes of every block but the last: the least of
 *                             65536, 131072, 262144 that makes count fit
 *        8     8  image_len   u64le, bytes, 1 .. OTA_BLOCKS_MAX * OTA_BLOCK_LEN_MAX
 *       16    32  image       digest of the image, not zero
 *       48     4  count       u32le, image_len / block_len rounded up,
 *                             1 .. OTA_BLOCKS_MAX
 *       52    68  for each block:
 *                   32  raw         digest of the block's bytes
 *                   32  packed      digest of what is published
 *                    4  packed_len  u32le, bytes of that, 1 .. the block's length
 *
 * Nothing follows. What is published is one zstd frame that tells its content size, or
 * the block's bytes themselves: then packed_len is the block's length and packed is raw.
 * It travels like a chunk, behind the same head (manifest.h). */

#include "proto/base/bytes.h"
#include "proto/wire/digest.h"

enum {
	OTA_BLOCK_LEN_MIN = 65536,  /* bytes */
	OTA_BLOCK_LEN_MAX = 262144, /* bytes */
	OTA_BLOCKS_MAX = 3800,      /* so that a table fits max_packet_size 300000 */
	OTA_BLOCK_TABLE_HEAD_LEN = 52,
	OTA_BLOCK_ENTRY_LEN = 68,
	OTA_BLOCK_TABLE_LEN_MAX =
		OTA_BLOCK_TABLE_HEAD_LEN + OTA_BLOCKS_MAX * OTA_BLOCK_ENTRY_LEN,
};

/** One block of an image. */
struct ota_block {
	struct ota_digest raw, packed;
	uint32_t packed_len; /* bytes of what is published */
};

/** `= { 0 }` is empty. */
struct ota_block_table {
	uint32_t block_len, count;
	uint64_t image_len; /* bytes */
	struct ota_digest image;
	struct ota_block *blocks; /* owned, count entries */
};

/** The block length for an image of so many bytes; 0 if it is empty or too long for a
 *  table. */
uint32_t ota_block_len_for(uint64_t image_len);

/** The bytes of block index of the image: block_len, or what is left for the last one; 0
 *  behind it. */
uint32_t ota_block_len(const struct ota_block_table *table, uint32_t index);

/**
 * Parse untrusted bytes of a table. Compare their digest with the one that names it
 * before.
 *
 * Returns OTA_OK, OTA_E_FORMAT, OTA_E_LIMIT or OTA_E_NOMEM; out is filled on success
 * only. Allocates only after the length proved to fit the count. Release with
 * ota_block_table_fini().
 */
OTA_CHECKED enum ota_code ota_block_table_parse(
	struct ota_bytes in, struct ota_block_table *out, struct ota_error *err);

/** Append the bytes of a table. OTA_OK, OTA_E_FORMAT or OTA_E_LIMIT for one that the
 *  parser would refuse, or OTA_E_NOMEM; on failure out is unchanged. */
OTA_CHECKED enum ota_code ota_block_table_encode(
	const struct ota_block_table *table, struct ota_buf *out, struct ota_error *err);

/** Release what parse filled in. Accepts a zeroed table; leaves one behind. */
void ota_block_table_fini(struct ota_block_table *table);

/**
 * Check a block message against the table: magic, index, packed length, packed digest.
 *
 * data   filled on success with the packed bytes, borrowed from in
 *
 * Returns OTA_OK, OTA_E_FORMAT, OTA_E_LIMIT (index beyond the table) or OTA_E_DIGEST.
 * A message is made by ota_chunk_encode().
 */
OTA_CHECKED enum ota_code ota_block_check(const struct ota_block_table *table,
	struct ota_bytes in, uint32_t *index, struct ota_bytes *data,
	struct ota_error *err);

#endif
