#include "proto/delta/codec.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/image_in.h"

static const struct codec_row {
	enum ota_codec_id id;
	const char *text;
} codecs[] = {
	{ OTA_CODEC_FULL, "full" },
	{ OTA_CODEC_VCDIFF, "vcdiff" },
	{ OTA_CODEC_PREDICT, "predict" },
};

const char *ota_codec_text(uint8_t codec)
{
	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
		if (codecs[i].id == codec)
			return codecs[i].text;
	return "unknown";
}

enum ota_code ota_codec_of(const char *text, uint8_t *out, struct ota_error *err)
{
	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
		if (strcmp(codecs[i].text, text) == 0) {
			*out = (uint8_t)codecs[i].id;
			return OTA_OK;
		}
	}
	return ota_fail(err, OTA_E_NOTFOUND, "no codec has that name");
}

static enum ota_code memory_read(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	const struct ota_bytes *data = ctx;

	memcpy(out, data->at + offset, len);
	return OTA_OK;
}

struct ota_source ota_source_of(struct ota_bytes *data)
{
	return (struct ota_source){ data, data->len, memory_read };
}

enum ota_code ota_source_digest(const struct ota_source *source,
	const struct ota_progress *progress, struct ota_digest *out,
	struct ota_error *err)
{
	enum { PIECE_LEN = 65536 };
	ota_autofree uint8_t *piece = malloc(PIECE_LEN);
	struct ota_bytes data;
	struct ota_image_in in;

	if (piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for a digest");
	ota_image_in_init(&in, source, progress);
	do {
		enum ota_code rc = ota_image_in_read(&in, piece, PIECE_LEN, &data, err);

		if (rc != OTA_OK)
			return rc;
	} while (data.len > 0);
	*out = ota_hasher_result(&in.hasher);
	return OTA_OK;
}
