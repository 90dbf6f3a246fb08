#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/wire/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses encodes to the same bytes, and its chunks add up. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct ota_bytes in = { data, size };
	struct ota_error err;
	uint64_t sum = 0;

	if (ota_manifest_parse(in, &m, &err) != OTA_OK)
		return 0;
	for (uint32_t i = 0; i < m.chunk_count; i++)
		sum += ota_manifest_chunk_len(&m, i);
	if (sum != m.patch_len || ota_manifest_encode(&m, &again, &err) != OTA_OK ||
		!ota_bytes_equal(in, ota_buf_bytes(&again)))
		abort();
	return 0;
}
