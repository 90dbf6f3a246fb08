/* For ZSTD_createDCtx_advanced(): the decoder's heap has a hard cap only if zstd's
 * allocations go through it. The function is as it is today since zstd 1.3. */
#define ZSTD_STATIC_LINKING_ONLY

#include "proto/delta/inflate.h"

#include <inttypes.h>
#include <zstd.h>
#include <zstd_errors.h>

/* RFC 8878, 3.1.1: the frame we make. Skippable frames and those of zstd before 0.8 are
 * refused before the library sees them; the latter would not use our heap. */
static const uint8_t magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };

enum { HEAD_LEN = 5 }; /* bytes of magic and frame descriptor */

static void *zstd_alloc(void *heap, size_t len)
{
	return ota_heap_alloc(heap, len);
}

static void zstd_free(void *heap, void *at)
{
	ota_heap_free(heap, at);
}

enum ota_code ota_inflate_init(struct ota_inflate *inflate, struct ota_heap *heap,
	int window_log, uint64_t content_max, struct ota_stage next)
{
	ZSTD_customMem mem = { zstd_alloc, zstd_free, heap };
	size_t status;

	*inflate = (struct ota_inflate){ .heap = heap,
		.zstd = ZSTD_createDCtx_advanced(mem),
		.piece = ota_heap_alloc(heap, OTA_INFLATE_PIECE_LEN),
		.content_max = content_max,
		.magic.want = { magic, sizeof magic },
		.next = next };
	if (inflate->zstd == NULL || inflate->piece == NULL)
		return OTA_E_NOMEM;
	status = ZSTD_DCtx_setParameter(inflate->zstd, ZSTD_d_windowLogMax, window_log);
	return ZSTD_isError(status) ? OTA_E_NOMEM : OTA_OK;
}

void ota_inflate_fini(struct ota_inflate *inflate)
{
	(void)ZSTD_freeDCtx(inflate->zstd);
	ota_heap_free(inflate->heap, inflate->piece);
	*inflate = (struct ota_inflate){ 0 };
}

static enum ota_code flush(struct ota_inflate *inflate, struct ota_error *err)
{
	struct ota_bytes piece = { inflate->piece, inflate->piece_len };

	if (piece.len > inflate->content_max - inflate->made)
		return ota_fail(err, OTA_E_DECODER,
			"the patch holds more than %" PRIu64 " bytes",
			inflate->content_max);
	inflate->piece_len = 0;
	inflate->made += piece.len;
	if (piece.len == 0)
		return OTA_OK;
	return inflate->next.take(inflate->next.ctx, piece, err);
}

static enum ota_code refuse(
	const struct ota_inflate *inflate, size_t status, struct ota_error *err)
{
	if (ZSTD_getErrorCode(status) == ZSTD_error_memory_allocation &&
		inflate->heap->exhausted)
		return ota_fail(err, OTA_E_NOMEM, "no memory for zstd");
	if (ZSTD_getErrorCode(status) == ZSTD_error_memory_allocation)
		return ota_fail(err, OTA_E_DECODER,
			"zstd wants more than the %" PRIu64 " bytes of heap allowed",
			inflate->heap->max);
	return ota_fail(err, OTA_E_DECODER, "zstd: %s", ZSTD_getErrorName(status));
}

/* One call into zstd, and the piece handed on if it is full or the last. */
static enum ota_code step(
	struct ota_inflate *inflate, ZSTD_inBuffer *in, struct ota_error *err)
{
	ZSTD_outBuffer out = { inflate->piece, OTA_INFLATE_PIECE_LEN,
		inflate->piece_len };
	size_t before = in->pos, status;

	status = ZSTD_decompressStream(inflate->zstd, &out, in);
	if (ZSTD_isError(status))
		return refuse(inflate, status, err);
	inflate->taken += in->pos - before;
	inflate->piece_len = out.pos;
	inflate->ended = status == 0;
	if (inflate->ended || out.pos == out.size)
		return flush(inflate, err);
	return OTA_OK;
}

/* The part of data that one call may see. zstd sets its buffers up without a window if it
 * can see a whole small frame at once; byte by byte through the head, it never does. */
static size_t visible_len(const struct ota_inflate *inflate, struct ota_bytes data)
{
	return inflate->taken < HEAD_LEN && data.len > 1 ? 1 : data.len;
}

enum ota_code ota_inflate_feed(
	struct ota_inflate *inflate, struct ota_bytes data, struct ota_error *err)
{
	if (ota_prefix_check(&inflate->magic, data) != OTA_OK)
		return ota_fail(err, OTA_E_DECODER, "not a zstd frame");

	/* zstd keeps the last byte of a frame back until all content was taken, so what
	 * it still holds when data is used up comes out with the bytes that follow. */
	while (data.len > 0) {
		ZSTD_inBuffer in = { data.at, visible_len(inflate, data), 0 };
		enum ota_code rc;

		if (inflate->ended)
			return ota_fail(err, OTA_E_DECODER,
				"%zu bytes after the end of the patch", data.len);
		rc = step(inflate, &in, err);
		if (rc != OTA_OK)
			return rc;
		data.at += in.pos;
		data.len -= in.pos;
	}
	return OTA_OK;
}

enum ota_code ota_inflate_finish(
	struct ota_inflate *inflate, uint64_t content_len, struct ota_error *err)
{
	if (!inflate->ended)
		return ota_fail(err, OTA_E_DECODER, "the patch ends in the middle");
	if (inflate->made != content_len)
		return ota_fail(err, OTA_E_DECODER,
			"the patch holds %" PRIu64 " bytes, not %" PRIu64, inflate->made,
			content_len);
	return OTA_OK;
}
