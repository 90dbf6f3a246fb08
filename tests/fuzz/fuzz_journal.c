#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/core/journal.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is parsed is encoded to the same bytes again, but for what a later version
 * appended. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct journal journal;

	if (journal_parse((struct ota_bytes){ data, size }, &journal, NULL) != OTA_OK)
		return 0;
	if (journal_encode(&journal, &again) != OTA_OK ||
		!ota_bytes_equal(
			ota_buf_bytes(&again), (struct ota_bytes){ data, JOURNAL_LEN }))
		abort();
	return 0;
}
