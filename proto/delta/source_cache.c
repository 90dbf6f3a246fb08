#include "proto/delta/source_cache.h"

#include <string.h>

enum ota_code ota_source_cache_init(struct ota_source_cache *cache, struct ota_heap *heap,
	const struct ota_source *source, size_t block_len, size_t count)
{
	*cache = (struct ota_source_cache){ .source = source,
		.heap = heap,
		.blocks = ota_heap_alloc(heap, block_len * count),
		.number = ota_heap_alloc(heap, sizeof(uint64_t) * count),
		.block_len = block_len,
		.count = count };
	if (cache->blocks == NULL || cache->number == NULL)
		return OTA_E_NOMEM;
	memset(cache->number, 0, sizeof(uint64_t) * count);
	return OTA_OK;
}

void ota_source_cache_fini(struct ota_source_cache *cache)
{
	ota_heap_free(cache->heap, cache->blocks);
	ota_heap_free(cache->heap, cache->number);
	*cache = (struct ota_source_cache){ 0 };
}

enum ota_code ota_source_cache_block(
	struct ota_source_cache *cache, uint64_t number, struct ota_bytes *block)
{
	size_t place = (size_t)(number % cache->count);
	uint8_t *at = cache->blocks + place * cache->block_len;
	uint64_t left, offset;
	size_t len;
	enum ota_code rc;

	if (number > cache->source->len / cache->block_len)
		return OTA_E_LIMIT;
	offset = number * cache->block_len;
	left = cache->source->len - offset;
	len = left < cache->block_len ? (size_t)left : cache->block_len;

	if (cache->number[place] != number + 1 && len > 0) {
		cache->number[place] = 0; /* a failed read leaves no block behind */
		rc = cache->source->read(cache->source->ctx, offset, at, len);
		if (rc != OTA_OK)
			return rc;
		cache->number[place] = number + 1;
	}
	*block = (struct ota_bytes){ at, len };
	return OTA_OK;
}
