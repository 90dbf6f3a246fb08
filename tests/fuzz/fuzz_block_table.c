#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/wire/block_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses encodes to the same bytes, and its blocks add up. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct ota_bytes in = { data, size };
	struct ota_error err;
	uint64_t sum = 0;

	if (ota_block_table_parse(in, &table, &err) != OTA_OK)
		return 0;
	for (uint32_t i = 0; i < table.count; i++)
		sum += ota_block_len(&table, i);
	if (sum != table.image_len ||
		ota_block_table_encode(&table, &again, &err) != OTA_OK ||
		!ota_bytes_equal(in, ota_buf_bytes(&again)))
		abort();
	return 0;
}
