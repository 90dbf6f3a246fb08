#ifndef PROTO_DELTA_BLOCK_H
#define PROTO_DELTA_BLOCK_H

/* Packed blocks of an image (proto/wire/block_table.h): made by the orchestrator,
 * unpacked by agents. */

#include "proto/delta/codec.h"
#include "proto/wire/block_table.h"

/**
 * Unpack a block.
 *
 * packed  untrusted: length and digest are compared with the table before zstd sees it
 * out     ota_block_len(table, index) bytes; on failure its content is undefined
 *
 * Returns OTA_OK, OTA_E_LIMIT for an index behind the table, OTA_E_DIGEST if packed is
 * not what the table announces or what comes out is not the block, OTA_E_FORMAT if it is
 * not one zstd frame of exactly that length, or OTA_E_NOMEM. Allocates what one zstd
 * context takes, about 160 KiB, for the call.
 */
OTA_CHECKED enum ota_code ota_block_unpack(const struct ota_block_table *table,
	uint32_t index, struct ota_bytes packed, uint8_t *out, struct ota_error *err);

#endif
