#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/core/journal.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is parsed is encoded, and that stands: it is parsed to the same again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf first = { 0 }, second = { 0 };
	struct journal journal;

	if (journal_parse((struct ota_bytes){ data, size }, &journal, NULL) != OTA_OK)
		return 0;
	if (journal_encode(&journal, &first) != OTA_OK ||
		journal_parse(ota_buf_bytes(&first), &journal, NULL) != OTA_OK ||
		journal_encode(&journal, &second) != OTA_OK ||
		!ota_bytes_equal(ota_buf_bytes(&first), ota_buf_bytes(&second)))
		abort();
	return 0;
}
