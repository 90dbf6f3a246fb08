#include "proto/delta/encode.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/patch_kit.h"

static enum ota_code encode(struct kit_patch *kit, struct ota_encode_job *job,
	struct kit_sink *sink, struct ota_error *err)
{
	struct ota_bytes from = ota_buf_bytes(&kit->from), to = ota_buf_bytes(&kit->to);
	struct ota_source from_port = ota_source_of(&from), to_port = ota_source_of(&to);
	struct ota_sink out = kit_sink_port(sink);

	job->from = &from_port;
	job->to = &to_port;
	return ota_patch_encode(job, &out, &kit->manifest, err);
}

Test(encode, the_manifest_describes_the_patch)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct ota_digest from, to, chunk;
	struct ota_manifest *manifest = &kit.manifest;

	kit_images(&kit, 50000, 60000, false);
	cr_assert(kit_encode(&kit, OTA_CODEC_VCDIFF, NULL) == OTA_OK);
	from = ota_digest_of(ota_buf_bytes(&kit.from));
	to = ota_digest_of(ota_buf_bytes(&kit.to));
	cr_assert(ota_digest_equal(&manifest->from, &from));
	cr_assert(ota_digest_equal(&manifest->to, &to));
	cr_assert_eq(manifest->patch_len, kit.patch.len);
	cr_assert_eq(manifest->chunk_count, (kit.patch.len + 4095) / 4096);
	for (uint32_t i = 0; i < manifest->chunk_count; i++) {
		chunk = ota_digest_of((struct ota_bytes){
			kit.patch.at + i * 4096, ota_manifest_chunk_len(manifest, i) });
		cr_assert(ota_digest_equal(&manifest->chunks[i], &chunk), "chunk %u", i);
	}
}

Test(encode, the_manifest_survives_the_wire)
{
	for (uint8_t codec = OTA_CODEC_FULL; codec <= OTA_CODEC_PREDICT; codec++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
		OTA_AUTO(ota_manifest_fini) struct ota_manifest again = { 0 };
		struct ota_error err = { 0 };

		kit_images(&kit, 0, 0, false);
		cr_assert(kit_encode(&kit, codec, NULL) == OTA_OK);
		cr_assert(ota_manifest_encode(&kit.manifest, &bytes, NULL) == OTA_OK);
		cr_assert(
			ota_manifest_parse(ota_buf_bytes(&bytes), &again, &err) == OTA_OK,
			"%s", err.text);
		cr_assert_eq(again.chunk_count, 1);
	}
}

Test(encode, a_full_patch_has_no_source)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };

	kit_images(&kit, 1000, 1000, true);
	cr_assert(kit_encode(&kit, OTA_CODEC_FULL, NULL) == OTA_OK);
	cr_assert(ota_digest_is_zero(&kit.manifest.from));
	cr_assert_eq(kit.manifest.from_len, 0);
}

Test(encode, threads_change_nothing_about_the_image)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct ota_encode_job job = { .codec = OTA_CODEC_FULL,
		.options = { .level = 1, .workers = 2 } };
	struct kit_sink sink = { 0 };

	kit_images(&kit, 0, 3 << 20, false);
	cr_assert(encode(&kit, &job, &sink, NULL) == OTA_OK);
	kit.patch = sink.bytes;
	cr_assert(kit_decode(&kit, &run, NULL) == OTA_OK);
	cr_assert(kit_same(&run.image, &kit.to));
}

static const struct {
	const char *name;
	uint8_t codec;
	struct ota_encode_options options;
	enum ota_code code;
	const char *text;
} refused[] = {
	{ "codec", 99, { 0 }, OTA_E_NOTFOUND, "codec 99 is not built in" },
	{ "level", 1, { .level = 20 }, OTA_E_LIMIT, "level 20" },
	{ "negative level", 1, { .level = -1 }, OTA_E_LIMIT, "level -1" },
	{ "short chunk", 1, { .chunk_len = 4095 }, OTA_E_LIMIT, "chunks of 4095 bytes" },
	{ "long chunk", 1, { .chunk_len = 65537 }, OTA_E_LIMIT, "chunks of 65537 bytes" },
	{ "heap", 1, { .level = 1, .ram_max = 1000 }, OTA_E_LIMIT,
		"the decoder would need" },
	{ "heap", 2, { .level = 1, .ram_max = 1 << 20 }, OTA_E_LIMIT,
		"the decoder would need" },
};

Test(encode, options_out_of_range_are_refused_and_nothing_is_handed_out)
{
	for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		struct ota_encode_job job = { .codec = refused[i].codec,
			.options = refused[i].options };
		struct kit_sink sink = { 0 };
		struct ota_error err = { 0 };

		kit_images(&kit, 1 << 20, 1 << 20, false);
		cr_expect_eq(encode(&kit, &job, &sink, &err), refused[i].code, "%s",
			refused[i].name);
		cr_expect(
			strncmp(err.text, refused[i].text, strlen(refused[i].text)) == 0,
			"%s: %s", refused[i].name, err.text);
		cr_expect_null(kit.manifest.chunks);
		ota_buf_fini(&sink.bytes);
	}
}

Test(encode, a_patch_of_too_many_chunks_is_refused)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct ota_error err = { 0 };

	kit_noise(&kit.to, OTA_CHUNKS_MAX * OTA_CHUNK_LEN_MIN + 1, 1);
	cr_assert_eq(kit_encode(&kit, OTA_CODEC_FULL, &err), OTA_E_LIMIT);
	cr_assert_str_eq(err.text, "the patch has more than 8000 chunks of 4096 bytes");
}

Test(encode, less_heap_for_the_decoder_is_kept_to)
{
	for (uint8_t codec = OTA_CODEC_FULL; codec <= OTA_CODEC_PREDICT; codec++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		struct ota_encode_job job = { .codec = codec,
			.options = { .level = 1, .ram_max = 5 << 20 } };
		struct kit_sink sink = { 0 };
		struct ota_error err = { 0 };

		kit_images(&kit, 8 << 20, 8 << 20, true);
		cr_assert(encode(&kit, &job, &sink, &err) == OTA_OK, "%s", err.text);
		cr_assert_leq(kit.manifest.decoder_ram, (uint64_t)5 << 20);
		ota_buf_fini(&sink.bytes);
	}
}

/* What a progress has seen, and when it cancels. */
struct watch {
	uint64_t done, gap_max, total;
	unsigned calls, cancel_at;
	bool fell;
};

static bool watch_tick(void *ctx, uint64_t done, uint64_t total)
{
	struct watch *watch = ctx;

	watch->fell |= done < watch->done || done > total;
	if (done > watch->done && done - watch->done > watch->gap_max)
		watch->gap_max = done - watch->done;
	watch->done = done;
	watch->total = total;
	return ++watch->calls != watch->cancel_at;
}

static enum ota_code encode_watched(uint8_t codec, bool related, struct watch *watch)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct ota_encode_job job = {
		.codec = codec, .options.level = 1, .progress = { watch, watch_tick }
	};
	struct kit_sink sink = { 0 };
	enum ota_code rc;

	kit_images(&kit, 3 << 20, 3500000, related);
	rc = encode(&kit, &job, &sink, NULL);
	ota_buf_fini(&sink.bytes);
	return rc;
}

Test(encode, progress_rises_to_the_end_in_steps_of_a_mebibyte_at_most)
{
	for (uint8_t codec = OTA_CODEC_FULL; codec <= OTA_CODEC_PREDICT; codec++) {
		struct watch watch = { 0 };

		cr_assert(encode_watched(codec, false, &watch) == OTA_OK);
		cr_assert(!watch.fell);
		cr_assert_eq(watch.total, 3500000);
		cr_assert_eq(watch.done, 3500000);
		cr_assert_leq(watch.gap_max, 1 << 20);
	}
}

Test(encode, it_can_be_cancelled_at_every_tick)
{
	for (uint8_t codec = OTA_CODEC_FULL; codec <= OTA_CODEC_PREDICT; codec++) {
		enum ota_code rc = OTA_E_CANCELLED;
		unsigned at = 0;

		while (rc == OTA_E_CANCELLED) {
			struct watch watch = { .cancel_at = ++at };

			rc = encode_watched(codec, true, &watch);
			cr_assert_eq(rc == OTA_OK, watch.calls < at, "tick %u", at);
		}
		cr_assert_eq(rc, OTA_OK);
		cr_assert_gt(at, 4);
	}
}

Test(encode, a_sink_that_fails_at_any_byte_says_so)
{
	for (size_t at = 1; at < 3 * OTA_CHUNK_LEN; at += 20000) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		struct ota_encode_job job = { .codec = OTA_CODEC_FULL,
			.options.level = 1 };
		struct kit_sink sink = { .fail_at = at, .fail_code = OTA_E_NOSPACE };
		struct ota_error err = { 0 };

		kit_noise(&kit.to, 3 * OTA_CHUNK_LEN, 1);
		cr_assert_eq(encode(&kit, &job, &sink, &err), OTA_E_NOSPACE);
		cr_assert(strncmp(err.text, "write the patch at ", 19) == 0);
		ota_buf_fini(&sink.bytes);
	}
}

static enum ota_code no_read(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	(void)ctx;
	(void)out;
	(void)len;
	return offset == 0 ? OTA_OK : OTA_E_IO;
}

Test(encode, an_image_that_cannot_be_read_says_so)
{
	struct ota_source to = { NULL, 3 << 20, no_read };
	struct ota_encode_job job = { .codec = OTA_CODEC_FULL, .to = &to };
	struct kit_sink sink = { 0 };
	struct ota_sink out = kit_sink_port(&sink);
	struct ota_manifest manifest = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(ota_patch_encode(&job, &out, &manifest, &err), OTA_E_IO);
	cr_assert_str_eq(err.text, "read image at 262144: local storage failed");
	ota_buf_fini(&sink.bytes);
}

Test(encode, codecs_have_names)
{
	uint8_t codec = 0;
	struct ota_error err = { 0 };

	cr_assert(ota_codec_of("vcdiff", &codec, &err) == OTA_OK);
	cr_assert_eq(codec, OTA_CODEC_VCDIFF);
	cr_assert_str_eq(ota_codec_text(codec), "vcdiff");
	cr_assert_str_eq(ota_codec_text(OTA_CODEC_FULL), "full");
	cr_assert_str_eq(ota_codec_text(77), "unknown");
	cr_assert_eq(ota_codec_of("bsdiff", &codec, &err), OTA_E_NOTFOUND);
	cr_assert_eq(codec, OTA_CODEC_VCDIFF);
}
