/* Codec predict from end to end: whole images in, patches out, and back. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/lzma_in.h"
#include "proto/delta/predict/stream.h"
#include "proto/io/crew.h"
#include "tests/unit/plan_kit.h"

static enum ota_code encode_by(
	struct kit_patch *kit, uint32_t workers, struct ota_error *err)
{
	struct ota_bytes from = ota_buf_bytes(&kit->from), to = ota_buf_bytes(&kit->to);
	struct ota_source from_port = ota_source_of(&from), to_port = ota_source_of(&to);
	struct ota_encode_job job = { .codec = OTA_CODEC_PREDICT,
		.from = &from_port,
		.to = &to_port,
		.options.chunk_len = OTA_CHUNK_LEN_MIN };
	struct kit_sink sink = { 0 };
	struct ota_sink out = kit_sink_port(&sink);
	enum ota_code rc;

	if (workers > 0)
		job.crew = (struct ota_crew){ &workers, ota_crew_run };
	ota_buf_fini(&kit->patch);
	ota_manifest_fini(&kit->manifest);
	rc = ota_patch_encode(&job, &out, &kit->manifest, err);
	kit->patch = sink.bytes;
	return rc;
}

Test(predict_encode, every_pair_of_images_round_trips)
{
	for (unsigned i = 0; i < KIT_IMAGES + 4; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
		const char *name = kit_pair_of(&kit, i);
		struct ota_error err = { 0 };

		cr_assert_eq(kit_encode(&kit, OTA_CODEC_PREDICT, &err), OTA_OK, "%s: %s",
			name, err.text);
		run.ram_max = kit.manifest.decoder_ram;
		cr_assert_eq(
			kit_decode(&kit, &run, &err), OTA_OK, "%s: %s", name, err.text);
		cr_assert(kit_same(&run.image, &kit.to), "%s", name);
		cr_assert_leq(run.peak, kit.manifest.decoder_ram);
	}
}

Test(predict_encode, a_crew_changes_no_byte)
{
	for (unsigned i = KIT_IMAGES - 4; i < KIT_IMAGES; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch alone = { 0 };
		OTA_AUTO(kit_patch_fini) struct kit_patch crew = { 0 };
		const char *name = kit_pair_of(&alone, i);

		(void)kit_pair_of(&crew, i);
		cr_assert(encode_by(&alone, 0, NULL) == OTA_OK);
		for (uint32_t workers = 2; workers <= 3; workers++) {
			cr_assert(encode_by(&crew, workers, NULL) == OTA_OK);
			cr_expect(kit_same(&alone.patch, &crew.patch), "%s", name);
			cr_expect_eq(
				alone.manifest.decoder_ram, crew.manifest.decoder_ram);
		}
	}
}

Test(predict_encode, a_changed_library_costs_little_more_than_what_is_new_in_it)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch plain = { 0 };
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };

	kit_archives(&kit);
	kit_archives(&plain);
	cr_assert(kit_encode(&kit, OTA_CODEC_PREDICT, NULL) == OTA_OK);
	cr_assert(kit_encode(&plain, OTA_CODEC_VCDIFF, NULL) == OTA_OK);
	cr_expect_lt(kit.manifest.patch_len, 600);
	cr_expect_lt(3 * kit.manifest.patch_len, plain.manifest.patch_len);
}

/* A patch of the archives, and its stream once it is unpacked. */
struct sample {
	struct kit_patch kit;
	struct ota_buf raw;
};

static void sample_fini(struct sample *sample)
{
	kit_patch_fini(&sample->kit);
	ota_buf_fini(&sample->raw);
}

static enum ota_code keep(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	(void)err;
	return ota_buf_add(ctx, data);
}

static void unpack(const struct kit_patch *kit, struct ota_buf *raw)
{
	struct ota_heap heap = { .max = UINT64_MAX };
	struct ota_lzma_in in;

	cr_assert(ota_lzma_in_init(&in, &heap, kit->manifest.window_log,
			  kit->manifest.raw_len,
			  (struct ota_stage){ raw, keep }) == OTA_OK);
	cr_assert(ota_lzma_in_feed(&in, ota_buf_bytes(&kit->patch), NULL) == OTA_OK);
	cr_assert(ota_lzma_in_finish(&in, kit->manifest.raw_len, NULL) == OTA_OK);
	ota_lzma_in_fini(&in);
}

static void make_sample(struct sample *sample)
{
	kit_archives(&sample->kit);
	cr_assert(kit_encode(&sample->kit, OTA_CODEC_PREDICT, NULL) == OTA_OK);
	unpack(&sample->kit, &sample->raw);
	cr_assert_eq(sample->raw.len, sample->kit.manifest.raw_len);
}

/* What feeding a stream, in two pieces, came to. */
struct outcome {
	enum ota_code rc;
	struct kit_sink sink;
	uint64_t peak;
};

static void feed_raw(const struct kit_patch *kit, struct ota_bytes stream, size_t cut,
	struct outcome *outcome)
{
	struct ota_bytes old = ota_buf_bytes(&kit->from);
	struct ota_source from = ota_source_of(&old);
	struct ota_sink out = kit_sink_port(&outcome->sink);
	struct ota_heap heap = { .max = kit->manifest.decoder_ram };
	struct ota_image image;
	struct ota_decoder_job job = { &kit->manifest, &from, &heap, &image };
	struct ota_bytes rest = { stream.at + cut, stream.len - cut };
	struct ota_stream predict;

	outcome->sink.bytes.len = 0;
	ota_image_init(&image, &out, kit->to.len);
	ota_stream_init(&predict, &job);
	outcome->rc =
		ota_stream_feed(&predict, (struct ota_bytes){ stream.at, cut }, NULL);
	if (outcome->rc == OTA_OK)
		outcome->rc = ota_stream_feed(&predict, rest, NULL);
	if (outcome->rc == OTA_OK)
		outcome->rc = ota_stream_finish(&predict, NULL);
	ota_stream_fini(&predict);
	outcome->peak = heap.peak;
	cr_assert_eq(heap.held, 0);
	cr_assert_leq(heap.peak, kit->manifest.decoder_ram);
	cr_assert_leq(outcome->sink.bytes.len, kit->to.len);
}

/* A stream cut short gives what it holds at most, and fewer bytes than the image has. */
Test(predict_encode, every_truncated_stream_is_refused_or_short)
{
	OTA_AUTO(sample_fini) struct sample sample = { 0 };
	struct outcome outcome = { 0 };

	make_sample(&sample);
	for (size_t len = 0; len < sample.raw.len; len++) {
		struct ota_bytes stream = { sample.raw.at, len };

		feed_raw(&sample.kit, stream, len / 2, &outcome);
		cr_assert(outcome.rc == OTA_E_DECODER ||
				  outcome.sink.bytes.len < sample.kit.to.len,
			"%zu bytes: %s", len, ota_code_text(outcome.rc));
		cr_assert(outcome.sink.bytes.len == 0 ||
			  memcmp(outcome.sink.bytes.at, sample.kit.to.at,
				  outcome.sink.bytes.len) == 0);
	}
	feed_raw(&sample.kit, ota_buf_bytes(&sample.raw), 7, &outcome);
	cr_expect_eq(outcome.rc, OTA_OK);
	cr_expect(kit_same(&outcome.sink.bytes, &sample.kit.to));
	ota_buf_fini(&outcome.sink.bytes);
}

Test(predict_encode, every_flipped_bit_of_a_stream_ends_in_bounds)
{
	OTA_AUTO(sample_fini) struct sample sample = { 0 };
	struct outcome outcome = { 0 };
	unsigned refused = 0;

	make_sample(&sample);
	for (size_t i = 0; i < 8 * sample.raw.len; i++) {
		sample.raw.at[i / 8] ^= (uint8_t)(1 << i % 8);
		feed_raw(&sample.kit, ota_buf_bytes(&sample.raw), i / 8, &outcome);
		sample.raw.at[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_assert(outcome.rc == OTA_OK || outcome.rc == OTA_E_DECODER ||
				  outcome.rc == OTA_E_NOMEM,
			"bit %zu: %s", i, ota_code_text(outcome.rc));
		refused += outcome.rc != OTA_OK;
	}
	cr_expect_gt(refused, 0);
	ota_buf_fini(&outcome.sink.bytes);
}

/* All of it through the codec, whose digest tells what the stream cannot. */
Test(predict_encode, every_flipped_bit_and_cut_of_a_patch_is_refused_or_harmless)
{
	OTA_AUTO(sample_fini) struct sample sample = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct kit_patch *kit = &sample.kit;
	size_t len;

	make_sample(&sample);
	run.ram_max = kit->manifest.decoder_ram;
	for (size_t i = 0; i < 8 * kit->patch.len; i++) {
		enum ota_code rc;

		kit->patch.at[i / 8] ^= (uint8_t)(1 << i % 8);
		rc = kit_decode(kit, &run, NULL);
		kit->patch.at[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_assert(rc == OTA_E_DECODER || rc == OTA_E_DIGEST ||
				  rc == OTA_E_NOMEM ||
				  (rc == OTA_OK && kit_same(&run.image, &kit->to)),
			"bit %zu: %s", i, ota_code_text(rc));
		cr_assert_leq(run.peak, kit->manifest.decoder_ram);
		cr_assert_leq(run.image.len, kit->to.len);
	}
	for (len = kit->patch.len; kit->patch.len > 0;) {
		kit->patch.len--;
		cr_assert_eq(kit_decode(kit, &run, NULL), OTA_E_DECODER);
	}
	kit->patch.len = len;
}

/* A source of another length is refused at the door. One of the right length and with
 * other bytes is the caller's to know, who has its digest; the image's digest tells. */
Test(predict_encode, another_old_image_is_refused)
{
	OTA_AUTO(sample_fini) struct sample sample = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };

	make_sample(&sample);
	sample.kit.from.at[sample.kit.from.len / 2] ^= 1;
	cr_expect_eq(kit_decode(&sample.kit, &run, NULL), OTA_E_DIGEST);
	sample.kit.from.len--;
	cr_expect_eq(kit_decode(&sample.kit, &run, NULL), OTA_E_PRECURSOR);
	cr_expect_eq(run.image.len, 0);
}

/* Cancels at one of its calls. */
struct watch {
	unsigned calls, cancel_at;
};

static bool watch_tick(void *ctx, uint64_t done, uint64_t total)
{
	struct watch *watch = ctx;

	cr_assert_leq(done, total);
	return ++watch->calls != watch->cancel_at;
}

Test(predict_encode, it_can_be_cancelled_at_every_tick)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	enum ota_code rc = OTA_E_CANCELLED;
	unsigned at = 0;

	kit_archives(&kit);
	while (rc == OTA_E_CANCELLED) {
		struct ota_bytes from = ota_buf_bytes(&kit.from),
				 to = ota_buf_bytes(&kit.to);
		struct ota_source from_port = ota_source_of(&from),
				  to_port = ota_source_of(&to);
		struct watch watch = { .cancel_at = ++at };
		struct ota_encode_job job = { .codec = OTA_CODEC_PREDICT,
			.from = &from_port,
			.to = &to_port,
			.progress = { &watch, watch_tick } };
		struct kit_sink sink = { 0 };
		struct ota_sink out = kit_sink_port(&sink);

		rc = ota_patch_encode(&job, &out, &kit.manifest, NULL);
		cr_assert(rc == OTA_OK || rc == OTA_E_CANCELLED);
		cr_assert_eq(rc == OTA_OK, watch.calls < at);
		ota_buf_fini(&sink.bytes);
	}
	cr_assert_gt(at, 3);
}
