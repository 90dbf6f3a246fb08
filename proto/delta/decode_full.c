#include "proto/delta/decoder.h"
#include "proto/delta/inflate.h"

struct full {
	const struct ota_decoder_job *job;
	struct ota_inflate inflate;
};

static enum ota_code full_take(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	return ota_image_add(ctx, data, err);
}

static void full_free(void *state)
{
	struct full *full = state;

	ota_inflate_fini(&full->inflate);
	ota_heap_free(full->job->heap, full);
}

static enum ota_code full_new(const struct ota_decoder_job *job, void **state)
{
	struct full *full = ota_heap_alloc(job->heap, sizeof *full);
	struct ota_stage next = { job->image, full_take };
	enum ota_code rc;

	if (full == NULL)
		return OTA_E_NOMEM;
	full->job = job;
	rc = ota_inflate_init(&full->inflate, job->heap, job->manifest->window_log,
		job->manifest->raw_len, next);
	if (rc != OTA_OK) {
		full_free(full);
		return rc;
	}
	*state = full;
	return OTA_OK;
}

static enum ota_code full_feed(void *state, struct ota_bytes data, struct ota_error *err)
{
	struct full *full = state;

	return ota_inflate_feed(&full->inflate, data, err);
}

static enum ota_code full_finish(void *state, struct ota_error *err)
{
	struct full *full = state;

	return ota_inflate_finish(&full->inflate, full->job->manifest->raw_len, err);
}

const struct ota_decoder_row ota_decoder_full = {
	.codec = OTA_CODEC_FULL,
	.has_from = false,
	.new = full_new,
	.feed = full_feed,
	.finish = full_finish,
	.free = full_free,
};
