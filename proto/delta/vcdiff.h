#ifndef PROTO_DELTA_VCDIFF_H
#define PROTO_DELTA_VCDIFF_H

/* What encoder and decoder of the vcdiff codec share: limits within RFC 3284, and how
 * xdelta3 is given its memory and the old image. */

#include <xd3_library.h>

#include "proto/delta/source_cache.h"

enum {
	/* Bytes of the new image in one window. The decoder holds one window and its
	 * instructions, so this is what its heap is made of; larger windows were seen to
	 * gain less than 2 %. */
	OTA_VCDIFF_WINDOW_LEN = 1 << 20,
	OTA_VCDIFF_HEAD_LEN = 5, /* bytes: magic, version, header indicator */
};

/* RFC 3284, 4.1: magic "VCD" with high bits set, version 0, and a header indicator that
 * announces no secondary compressor, no code table and, of xdelta3, no application
 * header. */
#define OTA_VCDIFF_HEAD                      \
	{                                    \
		0xd6, 0xc3, 0xc4, 0x00, 0x00 \
	}

/** The old image as xdelta3 sees it. */
struct ota_vcdiff_source {
	struct ota_source_cache cache; /* the caller's to init and fini */
	enum ota_code code;            /* why a block could not be had, or OTA_OK */
	xd3_source xd3;
};

/**
 * Open a stream on the old image.
 *
 * config    of the caller; source reads and memory are filled in here
 * heap      borrowed for the life of the stream: all its memory
 * from      its cache is ready; borrowed for the life of the stream, at this address
 * search    bytes of the old image in which an encoder finds matches; a power of two
 *
 * Returns OTA_OK or OTA_E_NOMEM. On failure, too, xd3_free_stream() is right.
 */
OTA_CHECKED enum ota_code ota_vcdiff_open(xd3_stream *stream, xd3_config config,
	struct ota_heap *heap, struct ota_vcdiff_source *from, uint64_t search);

/** A failure of xdelta3 in words. code is what it means if neither the old image nor the
 *  system's memory were the cause. */
enum ota_code ota_vcdiff_fail(
	const xd3_stream *stream, int status, enum ota_code code, struct ota_error *err);

#endif
