#include <inttypes.h>

#include "proto/delta/decoder.h"
#include "proto/delta/lzma_in.h"
#include "proto/delta/predict/stream.h"

struct predict {
	const struct ota_decoder_job *job;
	struct ota_lzma_in lzma;
	struct ota_stream stream;
};

/* Take a piece of the stream out of the LZMA2. */
static enum ota_code predict_take(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	struct predict *predict = ctx;
	const struct ota_heap *heap = predict->job->heap;
	enum ota_code rc = ota_stream_feed(&predict->stream, data, err);

	if (rc != OTA_E_NOMEM || heap->exhausted || !heap->capped)
		return rc;
	return ota_fail(err, OTA_E_DECODER,
		"predict wants more than the %" PRIu64 " bytes of heap allowed",
		heap->max);
}

static void predict_free(void *state)
{
	struct predict *predict = state;

	ota_stream_fini(&predict->stream);
	ota_lzma_in_fini(&predict->lzma);
	ota_heap_free(predict->job->heap, predict);
}

static enum ota_code predict_new(const struct ota_decoder_job *job, void **state)
{
	struct predict *predict = ota_heap_alloc(job->heap, sizeof *predict);
	struct ota_stage next = { predict, predict_take };
	enum ota_code rc;

	if (predict == NULL)
		return OTA_E_NOMEM;
	*predict = (struct predict){ .job = job };
	ota_stream_init(&predict->stream, job);
	rc = ota_lzma_in_init(&predict->lzma, job->heap, job->manifest->window_log,
		job->manifest->raw_len, next);
	if (rc != OTA_OK) {
		predict_free(predict);
		return rc;
	}
	*state = predict;
	return OTA_OK;
}

static enum ota_code predict_feed(
	void *state, struct ota_bytes data, struct ota_error *err)
{
	struct predict *predict = state;

	return ota_lzma_in_feed(&predict->lzma, data, err);
}

static enum ota_code predict_finish(void *state, struct ota_error *err)
{
	struct predict *predict = state;
	enum ota_code rc =
		ota_lzma_in_finish(&predict->lzma, predict->job->manifest->raw_len, err);

	return rc != OTA_OK ? rc : ota_stream_finish(&predict->stream, err);
}

const struct ota_decoder_row ota_decoder_predict = {
	.codec = OTA_CODEC_PREDICT,
	.has_from = true,
	.new = predict_new,
	.feed = predict_feed,
	.finish = predict_finish,
	.free = predict_free,
};
