#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/delta/deflate.h"
#include "proto/delta/encoder.h"
#include "proto/delta/vcdiff.h"

/* The old image is indexed around the position in the new one: all of it up to
 * SEARCH_LEN_MAX, so that a block is found wherever it moved. The index holds 4 bytes for
 * every step bytes; a smaller step finds more. Against a 346 MB ext4 image, steps of 2, 4
 * and 8 made 4.29, 4.49 and 4.77 MB; xdelta3 searches the same way, only not that far.
 *
 * Whatever is not found in the index is looked up in vain at random places, so what
 * matters for speed is that blocks are short and many. */
enum {
	BLOCK_LEN = 1 << 12,   /* bytes of the old image read at once */
	BLOCK_COUNT = 1 << 14, /* kept: 64 MiB */
	SEARCH_LEN_MAX = 1 << 28,
	SEARCH_LEN_MIN = 1 << 14,
	STEP_MIN = 2,
	INDEX_COUNT_MAX = 1 << 26, /* entries: 256 MiB */
	HEAP_MAX = 1 << 29,        /* bytes, for xdelta3 and blocks */
};

struct vcdiff {
	const struct ota_encoder_job *job;
	struct ota_heap heap;
	struct ota_deflate deflate;
	struct ota_vcdiff_source from;
	xd3_stream stream;
};

static uint64_t search_len(uint64_t from_len)
{
	uint64_t len = SEARCH_LEN_MIN;

	while (len < from_len && len < SEARCH_LEN_MAX)
		len *= 2;
	return len;
}

/* xdelta3's own default search, but for the step. */
static xd3_config settings(uint64_t search)
{
	uint64_t step = search / INDEX_COUNT_MAX;

	return (xd3_config){
		.winsize = OTA_VCDIFF_WINDOW_LEN,
		.smatch_cfg = XD3_SMATCH_SOFT,
		.smatcher_soft = { .large_look = 9,
			.large_step = step > STEP_MIN ? (usize_t)step : STEP_MIN,
			.small_look = 4,
			.small_chain = 8,
			.small_lchain = 2,
			.max_lazy = 36,
			.long_enough = 70 },
	};
}

static enum ota_code vcdiff_open(struct vcdiff *vcdiff, struct ota_error *err)
{
	const struct ota_encoder_job *job = vcdiff->job;
	struct ota_deflate_options options = { job->level, job->window_log, job->workers,
		OTA_DEFLATE_LEN_UNKNOWN };
	uint64_t search = search_len(job->from->len);
	enum ota_code rc = ota_deflate_init(&vcdiff->deflate, &options, job->next, err);

	if (rc != OTA_OK)
		return rc;
	rc = ota_source_cache_init(
		&vcdiff->from.cache, &vcdiff->heap, job->from, BLOCK_LEN, BLOCK_COUNT);
	if (rc == OTA_OK)
		rc = ota_vcdiff_open(&vcdiff->stream, settings(search), &vcdiff->heap,
			&vcdiff->from, search);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "no memory for vcdiff");
}

static void vcdiff_close(struct vcdiff *vcdiff)
{
	xd3_free_stream(&vcdiff->stream);
	ota_source_cache_fini(&vcdiff->from.cache);
	ota_deflate_fini(&vcdiff->deflate);
	ota_heap_fini(&vcdiff->heap); /* xdelta3 leaks when an allocation fails */
}

static enum ota_code emit(struct vcdiff *vcdiff, struct ota_error *err)
{
	struct ota_bytes data = { vcdiff->stream.next_out, vcdiff->stream.avail_out };
	enum ota_code rc = ota_deflate_feed(&vcdiff->deflate, data, err);

	xd3_consume_output(&vcdiff->stream);
	return rc;
}

/* Encode one window of the new image. */
static enum ota_code encode_window(
	struct vcdiff *vcdiff, struct ota_bytes window, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	xd3_avail_input(&vcdiff->stream, window.at, (usize_t)window.len);
	while (rc == OTA_OK) {
		int status = xd3_encode_input(&vcdiff->stream);

		switch (status) {
		case XD3_INPUT:
			return OTA_OK;
		case XD3_OUTPUT:
			rc = emit(vcdiff, err);
			break;
		case XD3_WINSTART:
		case XD3_WINFINISH:
			break;
		default:
			rc = ota_vcdiff_fail(&vcdiff->stream, status, OTA_E_LIMIT, err);
			break;
		}
	}
	return rc;
}

static enum ota_code encode_windows(struct vcdiff *vcdiff, struct ota_error *err)
{
	ota_autofree uint8_t *window = malloc(OTA_VCDIFF_WINDOW_LEN);
	struct ota_image_in *to = vcdiff->job->to;
	struct ota_bytes data;
	enum ota_code rc;

	if (window == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory to read the image");
	do {
		rc = ota_image_in_read(to, window, OTA_VCDIFF_WINDOW_LEN, &data, err);
		if (rc != OTA_OK)
			return rc;
		if (ota_image_in_is_done(to))
			xd3_set_flags(&vcdiff->stream, XD3_FLUSH);
		rc = encode_window(vcdiff, data, err);
	} while (rc == OTA_OK && !ota_image_in_is_done(to));
	return rc;
}

static enum ota_code vcdiff_encode(
	const struct ota_encoder_job *job, uint64_t *raw_len, struct ota_error *err)
{
	OTA_AUTO(vcdiff_close)
	struct vcdiff vcdiff = { .job = job, .heap.max = HEAP_MAX };
	enum ota_code rc = vcdiff_open(&vcdiff, err);

	if (rc == OTA_OK)
		rc = encode_windows(&vcdiff, err);
	if (rc != OTA_OK)
		return rc;
	*raw_len = vcdiff.deflate.taken;
	return ota_deflate_finish(&vcdiff.deflate, err);
}

const struct ota_encoder_row ota_encoder_vcdiff = {
	.codec = OTA_CODEC_VCDIFF,
	.has_from = true,
	.window_log_max = 21,
	.beside_ram_max = 5 << 20,
	.encode = vcdiff_encode,
};
