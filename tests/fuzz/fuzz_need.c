#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/wire/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses encodes to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct ota_bytes in = { data, size };
	struct ota_need need;
	struct ota_error err;

	if (ota_need_parse(in, &need, &err) != OTA_OK)
		return 0;
	if (ota_need_encode(&need, &again) != OTA_OK ||
		!ota_bytes_equal(in, ota_buf_bytes(&again)))
		abort();
	return 0;
}
