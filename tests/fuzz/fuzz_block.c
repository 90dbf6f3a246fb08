#include "proto/delta/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a table announces as packed is unpacked within the block's length. The first
 * bytes say how long the block is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[OTA_BLOCK_LEN_MIN];
	struct ota_reader r = ota_reader_of((struct ota_bytes){ data, size });
	uint32_t len = ota_read_le32(&r) % OTA_BLOCK_LEN_MIN + 1;
	struct ota_bytes packed = { r.at, r.left };
	struct ota_block block = { .packed = ota_digest_of(packed),
		.packed_len = (uint32_t)packed.len };
	struct ota_block_table table = { .block_len = OTA_BLOCK_LEN_MIN,
		.count = 1,
		.image_len = len,
		.blocks = &block };
	struct ota_error err;

	if (!r.bad && packed.len < len)
		(void)!ota_block_unpack(&table, 0, packed, out, &err);
	return 0;
}
