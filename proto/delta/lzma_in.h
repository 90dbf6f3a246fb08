#ifndef PROTO_DELTA_LZMA_IN_H
#define PROTO_DELTA_LZMA_IN_H

/* The outer layer of a `predict` patch taken off: raw LZMA2, pushed in, its content
 * handed on in pieces whose size does not depend on how it came in. So the heap that
 * decoding takes depends on the patch alone. */

#include <lzma.h>

#include "proto/delta/heap.h"
#include "proto/delta/stage.h"

enum { OTA_LZMA_IN_PIECE_LEN = 65536 }; /* bytes of every piece but the last */

/** May not be moved once it was begun. */
struct ota_lzma_in {
	struct ota_heap *heap; /* borrowed */
	lzma_allocator allocator;
	lzma_stream lzma;
	uint8_t *piece;       /* owned, OTA_LZMA_IN_PIECE_LEN bytes */
	size_t piece_len;     /* bytes in use */
	uint64_t made;        /* bytes of content handed on so far */
	uint64_t content_max; /* bytes of content that may be */
	bool ended;           /* its end mark was seen */
	struct ota_stage next;
};

/**
 * Begin. All memory comes from heap, LZMA's own included; none is taken later.
 *
 * window_log   of the dictionary, 10 .. 27; LZMA has no fewer than 4096 bytes
 * content_max  the most bytes of content there may be
 * next         takes the content
 *
 * Returns OTA_OK or OTA_E_NOMEM. On failure, too, ota_lzma_in_fini() is right.
 */
OTA_CHECKED enum ota_code ota_lzma_in_init(struct ota_lzma_in *in, struct ota_heap *heap,
	int window_log, uint64_t content_max, struct ota_stage next);

/** Release. Accepts a zeroed struct. */
void ota_lzma_in_fini(struct ota_lzma_in *in);

/** Push the next bytes. OTA_OK, OTA_E_DECODER for what is no LZMA2, for a distance beyond
 *  the dictionary, for more content than may be and for bytes behind the end mark, or
 *  what next returned. */
OTA_CHECKED enum ota_code ota_lzma_in_feed(
	struct ota_lzma_in *in, struct ota_bytes data, struct ota_error *err);

/** No more bytes come. OTA_OK, or OTA_E_DECODER if the end mark was not seen or the
 *  content is not content_len bytes. */
OTA_CHECKED enum ota_code ota_lzma_in_finish(
	struct ota_lzma_in *in, uint64_t content_len, struct ota_error *err);

#endif
