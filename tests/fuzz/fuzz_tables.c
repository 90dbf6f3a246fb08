#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/delta/predict/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FROM_LEN = 40000, TO_LEN = 100000, HEAP_MAX = 8 << 20 };

/* Parts of a map are in order and do not overlap. */
static void check_map(const struct ota_tables *tables, const struct ota_pair *pair)
{
	struct ota_heap heap = { .max = HEAP_MAX };
	struct ota_map map = { .heap = &heap };
	int64_t to;

	if (ota_map_build(&map, tables, pair) != OTA_OK)
		abort();
	for (uint32_t i = 0; i < map.count; i++) {
		const struct ota_map_part *part = &map.parts[i];
		uint64_t left = (uint64_t)INT64_MAX - (uint64_t)part->from;

		if (part->len == 0 || part->len > left ||
			!ota_map_get(&map, part->from, &to) || to != part->to)
			abort();
		if (i > 0 && (part->from < part[-1].from ||
				     (uint64_t)part->from - (uint64_t)part[-1].from <
					     part[-1].len))
			abort();
	}
	ota_map_fini(&map);
	if (heap.held != 0)
		abort();
}

/* What is read is written to the same bytes again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ota_heap heap = { .max = HEAP_MAX };
	const struct ota_ends ends = { FROM_LEN, TO_LEN };
	struct ota_bytes in = { data, size };
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct ota_tables tables = { 0 };
	enum ota_code rc = ota_tables_read(in, &ends, &heap, &tables, NULL);

	if (rc == OTA_OK) {
		if (ota_tables_write(&tables, &again) != OTA_OK ||
			!ota_bytes_equal(ota_buf_bytes(&again), in))
			abort();
		for (uint32_t i = 0; i < tables.pair_count && i < 16; i++)
			check_map(&tables, &tables.pairs[i]);
	} else if (rc != OTA_E_DECODER && rc != OTA_E_NOMEM)
		abort();
	ota_tables_fini(&tables);
	if (heap.held != 0 || heap.peak > HEAP_MAX)
		abort();
	return 0;
}
