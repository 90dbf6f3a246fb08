#include <stdlib.h>

#include "proto/wire/topics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses prints as the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ota_bytes in = { data, size };
	struct ota_online online;
	struct ota_error err;
	char again[OTA_ONLINE_CAP];

	if (ota_online_parse(in, &online, &err) != OTA_OK)
		return 0;
	ota_online_print(&online, again);
	if (!ota_bytes_equal(in, ota_bytes_of(again)))
		abort();
	return 0;
}
