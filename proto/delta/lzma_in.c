#include "proto/delta/lzma_in.h"

#include <inttypes.h>

static void *lzma_alloc(void *heap, size_t count, size_t len)
{
	return len > 0 && count > SIZE_MAX / len ? NULL
						 : ota_heap_alloc(heap, count * len);
}

static void lzma_free(void *heap, void *at)
{
	ota_heap_free(heap, at);
}

enum ota_code ota_lzma_in_init(struct ota_lzma_in *in, struct ota_heap *heap,
	int window_log, uint64_t content_max, struct ota_stage next)
{
	lzma_options_lzma options = { .dict_size = UINT32_C(1) << window_log };
	lzma_filter filters[] = { { LZMA_FILTER_LZMA2, &options },
		{ LZMA_VLI_UNKNOWN, NULL } };

	*in = (struct ota_lzma_in){ .heap = heap,
		.allocator = { lzma_alloc, lzma_free, heap },
		.lzma = LZMA_STREAM_INIT,
		.piece = ota_heap_alloc(heap, OTA_LZMA_IN_PIECE_LEN),
		.content_max = content_max,
		.next = next };
	in->lzma.allocator = &in->allocator;
	if (in->piece == NULL)
		return OTA_E_NOMEM;
	return lzma_raw_decoder(&in->lzma, filters) == LZMA_OK ? OTA_OK : OTA_E_NOMEM;
}

void ota_lzma_in_fini(struct ota_lzma_in *in)
{
	lzma_end(&in->lzma);
	ota_heap_free(in->heap, in->piece);
	*in = (struct ota_lzma_in){ 0 };
}

static enum ota_code flush(struct ota_lzma_in *in, struct ota_error *err)
{
	struct ota_bytes piece = { in->piece, in->piece_len };

	if (piece.len > in->content_max - in->made)
		return ota_fail(err, OTA_E_DECODER,
			"the patch holds more than %" PRIu64 " bytes", in->content_max);
	in->piece_len = 0;
	in->made += piece.len;
	return piece.len == 0 ? OTA_OK : in->next.take(in->next.ctx, piece, err);
}

/* One call into LZMA, and the piece handed on if it is full or the last. */
static enum ota_code step(struct ota_lzma_in *in, struct ota_error *err)
{
	lzma_ret status;

	in->lzma.next_out = in->piece + in->piece_len;
	in->lzma.avail_out = OTA_LZMA_IN_PIECE_LEN - in->piece_len;
	status = lzma_code(&in->lzma, LZMA_RUN);
	if (status != LZMA_OK && status != LZMA_STREAM_END)
		return ota_fail(err, OTA_E_DECODER, "LZMA: data corruption detected");
	in->piece_len = OTA_LZMA_IN_PIECE_LEN - in->lzma.avail_out;
	in->ended = status == LZMA_STREAM_END;
	return in->ended || in->lzma.avail_out == 0 ? flush(in, err) : OTA_OK;
}

enum ota_code ota_lzma_in_feed(
	struct ota_lzma_in *in, struct ota_bytes data, struct ota_error *err)
{
	bool is_full;

	if (data.len == 0)
		return OTA_OK;
	in->lzma.next_in = data.at;
	in->lzma.avail_in = data.len;
	do {
		enum ota_code rc;

		if (in->ended)
			return ota_fail(err, OTA_E_DECODER,
				"%zu bytes after the end of the patch",
				in->lzma.avail_in);
		rc = step(in, err);
		if (rc != OTA_OK)
			return rc;
		is_full = in->lzma.avail_out == 0; /* then more may be waiting */
	} while (in->lzma.avail_in > 0 || (is_full && !in->ended));
	return OTA_OK;
}

enum ota_code ota_lzma_in_finish(
	struct ota_lzma_in *in, uint64_t content_len, struct ota_error *err)
{
	if (!in->ended)
		return ota_fail(err, OTA_E_DECODER, "the patch ends in the middle");
	if (in->made != content_len)
		return ota_fail(err, OTA_E_DECODER,
			"the patch holds %" PRIu64 " bytes, not %" PRIu64, in->made,
			content_len);
	return OTA_OK;
}
