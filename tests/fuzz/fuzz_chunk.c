#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/wire/manifest.h"

enum { CHUNKS = 3, LAST_LEN = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The content always matches its digest, so the checks before it carry the weight: what
 * passes encodes to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct ota_bytes in = { data, size }, content = { 0 };
	struct ota_digest digests[CHUNKS];
	struct ota_manifest m = {
		.chunk_len = OTA_CHUNK_LEN_MIN,
		.chunk_count = CHUNKS,
		.patch_len = (CHUNKS - 1) * OTA_CHUNK_LEN_MIN + LAST_LEN,
		.chunks = digests,
	};
	struct ota_error err;
	uint32_t index = CHUNKS;

	if (size > OTA_CHUNK_HEAD_LEN)
		content = (struct ota_bytes){ data + OTA_CHUNK_HEAD_LEN,
			size - OTA_CHUNK_HEAD_LEN };
	for (uint32_t i = 0; i < CHUNKS; i++)
		digests[i] = ota_digest_of(content);
	if (ota_chunk_check(&m, in, &index, &content, &err) != OTA_OK)
		return 0;
	if (index >= CHUNKS || ota_chunk_encode(index, content, &again) != OTA_OK ||
		!ota_bytes_equal(in, ota_buf_bytes(&again)))
		abort();
	return 0;
}
