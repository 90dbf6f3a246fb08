#include "proto/delta/predict/tables.h"

void ota_pair_fini(struct ota_heap *heap, struct ota_pair *pair)
{
	ota_heap_free(heap, pair->from);
	ota_heap_free(heap, pair->to);
	ota_heap_free(heap, pair->regions);
	ota_heap_free(heap, pair->pins);
	*pair = (struct ota_pair){ 0 };
}

void ota_tables_fini(struct ota_tables *tables)
{
	for (uint32_t i = 0; i < tables->pair_count; i++)
		ota_pair_fini(tables->heap, &tables->pairs[i]);
	ota_heap_free(tables->heap, tables->pairs);
	ota_heap_free(tables->heap, tables->covers);
	*tables = (struct ota_tables){ 0 };
}

uint32_t ota_tables_cover_at(const struct ota_tables *tables, uint64_t to)
{
	uint32_t low = 0, high = tables->cover_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct ota_cover *cover = &tables->covers[middle];

		if (cover->to + cover->len > to)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}
