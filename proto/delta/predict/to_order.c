#include "proto/delta/predict/to_order.h"

#include "proto/delta/predict/sort.h"

static bool is_before(const void *a, const void *b)
{
	const struct ota_to_place *one = a, *other = b;

	if (one->offset != other->offset)
		return one->offset < other->offset;
	if (one->pair != other->pair)
		return one->pair < other->pair;
	return one->span < other->span;
}

static uint32_t span_count(const struct ota_tables *tables)
{
	uint32_t count = 0; /* at most OTA_PAIR_PARTS_MAX */

	for (uint32_t i = 0; i < tables->pair_count; i++)
		count += tables->pairs[i].to_count;
	return count;
}

enum ota_code ota_to_order_init(struct ota_to_order *order,
	const struct ota_tables *tables, struct ota_heap *heap)
{
	uint32_t count = span_count(tables), n = 0;

	*order = (struct ota_to_order){ .heap = heap, .count = count };
	if (count == 0)
		return OTA_OK;
	order->at = ota_heap_alloc(heap, count * sizeof *order->at);
	if (order->at == NULL)
		return OTA_E_NOMEM;
	for (uint32_t i = 0; i < tables->pair_count; i++)
		for (uint32_t j = 0; j < tables->pairs[i].to_count; j++)
			order->at[n++] =
				(struct ota_to_place){ tables->pairs[i].to[j].offset, i,
					j };
	ota_sort(order->at, count, sizeof *order->at, is_before);
	return OTA_OK;
}

uint32_t ota_to_order_behind(const struct ota_to_order *order, uint64_t to)
{
	uint32_t low = 0, high = order->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (order->at[middle].offset > to)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void ota_to_order_fini(struct ota_to_order *order)
{
	ota_heap_free(order->heap, order->at);
	*order = (struct ota_to_order){ 0 };
}
