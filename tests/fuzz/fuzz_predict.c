#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/stream.h"
#include "tests/fuzz/predict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM_MAX = 4 << 20 };

/* One decoding of a stream as it is once unpacked. */
struct run {
	struct ota_heap heap;
	struct ota_image image;
	struct kit_sink sink;
	enum ota_code rc;
};

static void decode(
	struct run *run, const struct kit_patch *kit, struct ota_bytes stream, size_t cut)
{
	struct ota_bytes bytes = ota_buf_bytes(&kit->from);
	struct ota_source from = ota_source_of(&bytes);
	struct ota_decoder_job job = { &kit->manifest, &from, &run->heap, &run->image };
	struct ota_bytes head = { stream.at, cut < stream.len ? cut : stream.len };
	struct ota_stream predict;

	run->heap.max = RAM_MAX;
	ota_stream_init(&predict, &job);
	run->rc = ota_stream_feed(&predict, head, NULL);
	stream.at += head.len;
	stream.len -= head.len;
	if (run->rc == OTA_OK)
		run->rc = ota_stream_feed(&predict, stream, NULL);
	if (run->rc == OTA_OK)
		run->rc = ota_stream_finish(&predict, NULL);
	ota_stream_fini(&predict);
	if (run->rc != OTA_OK && run->rc != OTA_E_DECODER && run->rc != OTA_E_NOMEM)
		abort();
	if (run->heap.held != 0 || run->heap.peak > RAM_MAX ||
		run->image.written > run->image.len)
		abort();
}

/* Going on behind a part of what came out makes the same image. */
static void check_resume(const struct run *whole, const struct kit_patch *kit,
	struct ota_bytes stream, size_t have)
{
	struct run run = { 0 };
	struct ota_sink out = kit_sink_port(&run.sink);
	struct ota_bytes done = ota_buf_bytes(&whole->sink.bytes);
	struct ota_bytes rest;

	done.len = have < done.len ? have : done.len;
	rest = ota_buf_bytes(&whole->sink.bytes); /* at NULL if it is empty */
	if (done.len > 0)
		rest.at += done.len;
	rest.len -= done.len;
	ota_image_init(&run.image, &out, kit->to.len);
	if (done.len > 0 && ota_image_found(&run.image, done, NULL) != OTA_OK)
		abort();
	decode(&run, kit, stream, 0);
	if (run.rc != OTA_OK || run.image.written != whole->image.written ||
		!ota_bytes_equal(ota_buf_bytes(&run.sink.bytes), rest))
		abort();
	ota_buf_fini(&run.sink.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct kit_tables tables = { 0 };
	struct run run = { 0 };
	struct ota_sink out = kit_sink_port(&run.sink);
	struct ota_bytes stream;

	if (size < FUZZ_PREDICT_HEAD_LEN)
		return 0;
	stream = (struct ota_bytes){ data + FUZZ_PREDICT_HEAD_LEN,
		size - FUZZ_PREDICT_HEAD_LEN };
	kit_program_add(&kit, &tables, &fuzz_program);
	ota_image_init(&run.image, &out, kit.to.len);
	decode(&run, &kit, stream, data[0]);
	if (run.rc == OTA_OK && data[1] > 0)
		check_resume(&run, &kit, stream, data[1] * FUZZ_PREDICT_PLACE_LEN);
	ota_buf_fini(&run.sink.bytes);
	return 0;
}
