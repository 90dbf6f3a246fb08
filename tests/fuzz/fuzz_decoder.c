#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zstd.h>

#include "proto/base/own.h"
#include "proto/delta/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	FROM_LEN = 40000,
	TO_LEN = 100000,
	RAM_MAX = 8 << 20,
	FRAME_CAP = 1 << 17,
};

/* What the first byte picks: a codec, or a delta to be put into a frame, which mutation
 * by itself rarely keeps whole. */
enum { PICK_FULL = 0, PICK_VCDIFF = 1, PICK_FRAMED = 2, PICK_PREDICT = 3, N_PICKS };

static enum ota_code count(void *ctx, struct ota_bytes data)
{
	uint64_t *written = ctx;

	*written += data.len;
	return OTA_OK;
}

/* Decode in two pieces; nothing may be written past the image or held past the cap. */
static void decode(
	const struct ota_manifest *manifest, struct ota_bytes patch, size_t cut)
{
	static uint8_t old[FROM_LEN];
	struct ota_bytes from_bytes = { old, sizeof old };
	struct ota_source from = ota_source_of(&from_bytes);
	uint64_t written = 0;
	struct ota_sink out = { &written, count };
	struct ota_decoder *decoder = NULL;
	enum ota_code rc;

	for (size_t i = 0; i < sizeof old; i++)
		old[i] = (uint8_t)(i * i >> 3);
	if (ota_decoder_new(manifest, &from, &out, RAM_MAX, &decoder, NULL) != OTA_OK)
		abort();
	cut = cut < patch.len ? cut : patch.len;
	rc = ota_decoder_feed(decoder, (struct ota_bytes){ patch.at, cut }, NULL);
	if (rc == OTA_OK)
		rc = ota_decoder_feed(decoder,
			(struct ota_bytes){ patch.at + cut, patch.len - cut }, NULL);
	if (rc == OTA_OK && ota_decoder_finish(decoder, NULL) == OTA_OK)
		abort(); /* the digest is that of nothing */
	if (written > TO_LEN || ota_decoder_ram_peak(decoder) > RAM_MAX)
		abort();
	ota_decoder_free(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ota_autofree uint8_t *frame = malloc(FRAME_CAP);
	struct ota_manifest manifest = {
		.codec = OTA_CODEC_VCDIFF, .window_log = 21, .from_len = FROM_LEN
	};
	struct ota_bytes patch = { data + 2, size - 2 };

	if (size < 2 || frame == NULL)
		return 0;
	manifest.to_len = TO_LEN;
	manifest.raw_len = UINT64_MAX;
	if (data[0] % N_PICKS == PICK_FULL)
		manifest.codec = OTA_CODEC_FULL;
	if (data[0] % N_PICKS == PICK_PREDICT)
		manifest.codec = OTA_CODEC_PREDICT;
	if (data[0] % N_PICKS == PICK_FRAMED) {
		size_t len = ZSTD_compress(frame, FRAME_CAP, patch.at, patch.len, 1);

		if (ZSTD_isError(len))
			return 0;
		patch = (struct ota_bytes){ frame, len };
		manifest.raw_len = size - 2;
	}
	decode(&manifest, patch, data[1]);
	return 0;
}
