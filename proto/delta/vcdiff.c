#include "proto/delta/vcdiff.h"

#include <inttypes.h>

static void *xd3_heap_alloc(void *heap, size_t count, usize_t len)
{
	size_t total;

	if (__builtin_mul_overflow(count, (size_t)len, &total))
		return NULL;
	return ota_heap_alloc(heap, total);
}

static void xd3_heap_free(void *heap, void *at)
{
	ota_heap_free(heap, at);
}

static int get_block(xd3_stream *stream, xd3_source *source, xoff_t number)
{
	struct ota_vcdiff_source *from = source->ioh;
	struct ota_bytes block;

	(void)stream;
	from->code = ota_source_cache_block(&from->cache, number, &block);
	if (from->code != OTA_OK)
		return XD3_INTERNAL;
	source->curblkno = number;
	source->curblk = block.at;
	source->onblk = (usize_t)block.len;
	return 0;
}

enum ota_code ota_vcdiff_open(xd3_stream *stream, xd3_config config,
	struct ota_heap *heap, struct ota_vcdiff_source *from, uint64_t search)
{
	config.getblk = get_block;
	config.alloc = xd3_heap_alloc;
	config.freef = xd3_heap_free;
	config.opaque = heap;
	if (xd3_config_stream(stream, &config) != 0)
		return OTA_E_NOMEM;

	from->xd3 = (xd3_source){ .blksize = (usize_t)from->cache.block_len,
		.max_winsize = search,
		.ioh = from };
	if (xd3_set_source_and_size(stream, &from->xd3, from->cache.source->len) != 0)
		return OTA_E_NOMEM;
	return OTA_OK;
}

enum ota_code ota_vcdiff_fail(
	const xd3_stream *stream, int status, enum ota_code code, struct ota_error *err)
{
	const struct ota_vcdiff_source *from = stream->src->ioh;
	const struct ota_heap *heap = from->cache.heap;

	if (from->code != OTA_OK)
		return ota_fail(err, from->code, "read the old image: %s",
			ota_code_text(from->code));
	if (heap->exhausted)
		return ota_fail(err, OTA_E_NOMEM, "no memory for vcdiff");
	if (heap->capped)
		return ota_fail(err, code,
			"vcdiff wants more than the %" PRIu64 " bytes of heap allowed",
			heap->max);
	return ota_fail(err, code, "vcdiff: %s",
		stream->msg != NULL ? stream->msg : xd3_strerror(status));
}
