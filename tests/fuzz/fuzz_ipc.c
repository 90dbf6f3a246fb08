#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/core/ipc.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is parsed is encoded to the same bytes again: one packet, one meaning. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct ipc_message message;

	if (ipc_parse((struct ota_bytes){ data, size }, &message, NULL) != OTA_OK)
		return 0;
	if (ipc_encode(&message, &again) != OTA_OK ||
		!ota_bytes_equal(ota_buf_bytes(&again), (struct ota_bytes){ data, size }))
		abort();
	return 0;
}
