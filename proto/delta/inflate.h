#ifndef PROTO_DELTA_INFLATE_H
#define PROTO_DELTA_INFLATE_H

/* The outer layer of a patch taken off: exactly one zstd frame (RFC 8878), pushed in, its
 * content handed on in pieces whose size does not depend on how the frame came in. So
 * the heap that decoding takes depends on the patch alone. */

#include "proto/delta/heap.h"
#include "proto/delta/stage.h"

enum { OTA_INFLATE_PIECE_LEN = 65536 }; /* bytes of every piece but the last */

struct ZSTD_DCtx_s;

struct ota_inflate {
	struct ota_heap *heap;    /* borrowed */
	struct ZSTD_DCtx_s *zstd; /* owned */
	uint8_t *piece;           /* owned, OTA_INFLATE_PIECE_LEN bytes */
	size_t piece_len;         /* bytes in use */
	uint64_t taken;           /* bytes of the frame so far */
	uint64_t made;            /* bytes of content handed on so far */
	uint64_t content_max;     /* bytes of content that may be */
	bool ended;               /* the frame is complete */
	struct ota_prefix magic;
	struct ota_stage next;
};

/**
 * Begin. All memory comes from heap, zstd's own included.
 *
 * window_log   the largest window a frame may ask for, 10 .. 27
 * content_max  the most bytes of content it may hold
 * next         takes the content
 *
 * Returns OTA_OK or OTA_E_NOMEM. On failure, too, ota_inflate_fini() is right.
 */
OTA_CHECKED enum ota_code ota_inflate_init(struct ota_inflate *inflate,
	struct ota_heap *heap, int window_log, uint64_t content_max,
	struct ota_stage next);

/** Release. Accepts a zeroed struct. */
void ota_inflate_fini(struct ota_inflate *inflate);

/** Push the next bytes of the frame. OTA_OK, OTA_E_DECODER for anything but one frame
 *  within its limits, OTA_E_NOMEM, or what next returned. */
OTA_CHECKED enum ota_code ota_inflate_feed(
	struct ota_inflate *inflate, struct ota_bytes data, struct ota_error *err);

/** No more bytes come. OTA_OK, or OTA_E_DECODER if the frame is not complete or its
 *  content is not content_len bytes. */
OTA_CHECKED enum ota_code ota_inflate_finish(
	struct ota_inflate *inflate, uint64_t content_len, struct ota_error *err);

#endif
