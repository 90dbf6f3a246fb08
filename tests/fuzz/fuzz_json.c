#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is strict and compact prints as it was; what is compact is also strict with space
 * allowed; and cJSON never refuses what the scan let pass. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct ota_bytes in = { data, size };
	struct ota_error err;

	if (ota_json_scan(in, false, &err) != OTA_OK) {
		if (ota_json_scan(in, true, &err) == OTA_OK)
			abort();
		return 0;
	}
	if (ota_json_parse(in, false, &tree, &err) != OTA_OK ||
		ota_json_print(tree, &again, &err) != OTA_OK)
		abort();
	if (ota_json_scan(in, true, &err) == OTA_OK &&
		!ota_bytes_equal(in, ota_buf_bytes(&again)))
		abort();
	return 0;
}
