#include <inttypes.h>

#include "proto/delta/decoder.h"
#include "proto/delta/inflate.h"
#include "proto/delta/vcdiff.h"

static const uint8_t head[OTA_VCDIFF_HEAD_LEN] = OTA_VCDIFF_HEAD;

enum {
	BLOCK_LEN = 16384, /* bytes of the old image read at once */
	BLOCK_COUNT = 16,
	/* The most bytes one of a window's three sections may have; our encoder stays far
	 * below. xdelta3 itself gives a section above 2 GiB a buffer of 2 GiB. */
	SECTION_LEN_MAX = 4 * OTA_VCDIFF_WINDOW_LEN,
	/* RFC 3284, 4.2: window indicator */
	WINDOW_SOURCE = 1,
	WINDOW_TARGET = 2,
};

struct vcdiff {
	const struct ota_decoder_job *job;
	struct ota_inflate inflate;
	struct ota_prefix head;
	struct ota_vcdiff_source from;
	xd3_stream stream;
};

/* A window's head was read, and nothing was allocated for it yet. */
static enum ota_code check_window(const struct vcdiff *vcdiff, struct ota_error *err)
{
	const xd3_stream *stream = &vcdiff->stream;
	const struct ota_image *image = vcdiff->job->image;
	uint64_t from_len = vcdiff->job->from->len;

	if ((stream->dec_win_ind & WINDOW_TARGET) != 0)
		return ota_fail(err, OTA_E_DECODER, "vcdiff: window copies from target");
	if (stream->dec_tgtlen > OTA_VCDIFF_WINDOW_LEN)
		return ota_fail(err, OTA_E_DECODER, "vcdiff: window of %" PRIu64 " bytes",
			(uint64_t)stream->dec_tgtlen);
	if (stream->dec_tgtlen > image->len - image->written)
		return ota_fail(err, OTA_E_DECODER,
			"the patch makes more than the %" PRIu64 " bytes of the image",
			image->len);
	if (stream->data_sect.size > SECTION_LEN_MAX ||
		stream->inst_sect.size > SECTION_LEN_MAX ||
		stream->addr_sect.size > SECTION_LEN_MAX)
		return ota_fail(err, OTA_E_DECODER, "vcdiff: section is too long");
	if ((stream->dec_win_ind & WINDOW_SOURCE) != 0 &&
		(stream->dec_cpyoff > from_len ||
			stream->dec_cpylen > from_len - stream->dec_cpyoff))
		return ota_fail(err, OTA_E_DECODER,
			"vcdiff: window copies from behind the old image");
	return OTA_OK;
}

static enum ota_code emit(struct vcdiff *vcdiff, struct ota_error *err)
{
	struct ota_bytes window = { vcdiff->stream.next_out, vcdiff->stream.avail_out };
	enum ota_code rc = ota_image_add(vcdiff->job->image, window, err);

	xd3_consume_output(&vcdiff->stream);
	return rc;
}

/* Take a piece of the delta stream out of the zstd frame. */
static enum ota_code vcdiff_take(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	struct vcdiff *vcdiff = ctx;
	enum ota_code rc = OTA_OK;

	if (ota_prefix_check(&vcdiff->head, data) != OTA_OK)
		return ota_fail(
			err, OTA_E_DECODER, "not a plain vcdiff stream of version 0");
	xd3_avail_input(&vcdiff->stream, data.at, (usize_t)data.len);

	while (rc == OTA_OK) {
		int status = xd3_decode_input(&vcdiff->stream);

		switch (status) {
		case XD3_INPUT:
			return OTA_OK;
		case XD3_GOTHEADER:
		case XD3_WINSTART:
			rc = check_window(vcdiff, err);
			break;
		case XD3_OUTPUT:
			rc = emit(vcdiff, err);
			break;
		case XD3_WINFINISH:
			break;
		default:
			rc = ota_vcdiff_fail(&vcdiff->stream, status, OTA_E_DECODER, err);
			break;
		}
	}
	return rc;
}

static void vcdiff_free(void *state)
{
	struct vcdiff *vcdiff = state;

	xd3_free_stream(&vcdiff->stream);
	ota_source_cache_fini(&vcdiff->from.cache);
	ota_inflate_fini(&vcdiff->inflate);
	ota_heap_free(vcdiff->job->heap, vcdiff);
}

static enum ota_code open_parts(struct vcdiff *vcdiff)
{
	const struct ota_decoder_job *job = vcdiff->job;
	struct ota_stage next = { vcdiff, vcdiff_take };
	enum ota_code rc;

	rc = ota_inflate_init(&vcdiff->inflate, job->heap, job->manifest->window_log,
		job->manifest->raw_len, next);
	if (rc == OTA_OK)
		rc = ota_source_cache_init(&vcdiff->from.cache, job->heap, job->from,
			BLOCK_LEN, BLOCK_COUNT);
	if (rc == OTA_OK)
		rc = ota_vcdiff_open(&vcdiff->stream, (xd3_config){ 0 }, job->heap,
			&vcdiff->from, BLOCK_LEN);
	return rc;
}

static enum ota_code vcdiff_new(const struct ota_decoder_job *job, void **state)
{
	struct vcdiff *vcdiff = ota_heap_alloc(job->heap, sizeof *vcdiff);
	enum ota_code rc;

	if (vcdiff == NULL)
		return OTA_E_NOMEM;
	*vcdiff = (struct vcdiff){ .job = job, .head.want = { head, sizeof head } };
	rc = open_parts(vcdiff);
	if (rc != OTA_OK) {
		vcdiff_free(vcdiff);
		return rc;
	}
	*state = vcdiff;
	return OTA_OK;
}

static enum ota_code vcdiff_feed(
	void *state, struct ota_bytes data, struct ota_error *err)
{
	struct vcdiff *vcdiff = state;

	return ota_inflate_feed(&vcdiff->inflate, data, err);
}

static enum ota_code vcdiff_finish(void *state, struct ota_error *err)
{
	struct vcdiff *vcdiff = state;
	enum ota_code rc =
		ota_inflate_finish(&vcdiff->inflate, vcdiff->job->manifest->raw_len, err);

	if (rc != OTA_OK)
		return rc;
	if (vcdiff->head.seen < sizeof head || xd3_close_stream(&vcdiff->stream) != 0)
		return ota_fail(err, OTA_E_DECODER, "the delta ends in the middle");
	return OTA_OK;
}

const struct ota_decoder_row ota_decoder_vcdiff = {
	.codec = OTA_CODEC_VCDIFF,
	.has_from = true,
	.new = vcdiff_new,
	.feed = vcdiff_feed,
	.finish = vcdiff_finish,
	.free = vcdiff_free,
};
