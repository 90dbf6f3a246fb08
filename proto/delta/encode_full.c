#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/delta/deflate.h"
#include "proto/delta/encoder.h"

static enum ota_code full_encode(
	const struct ota_encoder_job *job, uint64_t *raw_len, struct ota_error *err)
{
	enum { PIECE_LEN = 1 << 18 };
	struct ota_deflate_options options = { job->level, job->window_log, job->workers,
		job->to->source->len };
	OTA_AUTO(ota_deflate_fini) struct ota_deflate deflate = { 0 };
	ota_autofree uint8_t *piece = malloc(PIECE_LEN);
	struct ota_bytes data;
	enum ota_code rc;

	if (piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory to read the image");
	rc = ota_deflate_init(&deflate, &options, job->next, err);
	if (rc != OTA_OK)
		return rc;
	do {
		rc = ota_image_in_read(job->to, piece, PIECE_LEN, &data, err);
		if (rc == OTA_OK)
			rc = ota_deflate_feed(&deflate, data, err);
		if (rc != OTA_OK)
			return rc;
	} while (data.len > 0);
	*raw_len = deflate.taken;
	return ota_deflate_finish(&deflate, err);
}

const struct ota_encoder_row ota_encoder_full = {
	.codec = OTA_CODEC_FULL,
	.has_from = false,
	.window_log_max = 22,
	.beside_ram_max = 640 << 10,
	.encode = full_encode,
};
