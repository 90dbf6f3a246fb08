#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/core/slot.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is parsed is encoded to the same bytes again, but for what a later version
 * appended; and it boots. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct slot_table table;

	if (slot_table_parse((struct ota_bytes){ data, size }, &table, NULL) != OTA_OK)
		return 0;
	if (slot_table_encode(&table, &again) != OTA_OK ||
		!ota_bytes_equal(ota_buf_bytes(&again),
			(struct ota_bytes){ data, SLOT_TABLE_LEN }))
		abort();
	(void)slot_table_boot(&table, &(struct ota_digest){ { 1 } });
	if (table.current >= SLOT_COUNT)
		abort();
	return 0;
}
