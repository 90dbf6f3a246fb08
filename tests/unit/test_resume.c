/* Decoders that go on where another was cut off. */

#include <criterion/criterion.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/predict_kit.h"

static const uint8_t codecs[] = { OTA_CODEC_FULL, OTA_CODEC_VCDIFF, OTA_CODEC_PREDICT };

enum { N_CODECS = sizeof codecs / sizeof codecs[0] };

/* A source that counts its reads. */
struct counted {
	struct ota_bytes bytes;
	unsigned reads;
	enum ota_code rc; /* of every read */
};

static enum ota_code counted_read(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	struct counted *counted = ctx;

	counted->reads++;
	memcpy(out, counted->bytes.at + offset, len);
	return counted->rc;
}

static struct ota_source counted_port(struct counted *counted)
{
	return (struct ota_source){ counted, counted->bytes.len, counted_read };
}

/* One decoding that goes on. */
struct resuming {
	struct kit_patch kit;
	struct counted old, have;
	struct kit_sink sink;
	uint64_t written; /* as the decoder tells right after it was told what is there */
	struct ota_error err;
};

static void resuming_fini(struct resuming *r)
{
	kit_patch_fini(&r->kit);
	ota_buf_fini(&r->sink.bytes);
}

/* Both images, related, and the patch between them. For predict, functions that moved
 * unlike their surroundings, in many segments. */
static void make(struct resuming *r, uint8_t codec)
{
	static const struct kit_program program = {
		.functions = 700, .cut = 300, .moved = 444, .noise = 1001, .stray = 558
	};
	struct kit_tables tables = { 0 };
	OTA_AUTO(kit_making_fini)
	struct kit_making making = { .segment_len = 4000 };

	kit_program_add(&r->kit, &tables, &program);
	if (codec == OTA_CODEC_PREDICT)
		cr_assert(kit_predict(&r->kit, &tables, &making, NULL) == OTA_OK);
	else
		cr_assert(kit_encode(&r->kit, codec, NULL) == OTA_OK);
	r->old.bytes = ota_buf_bytes(&r->kit.from);
	r->have.bytes = ota_buf_bytes(&r->kit.to);
}

/* Decode behind the first len bytes, which r->have holds. */
static enum ota_code resume(struct resuming *r, size_t len)
{
	struct ota_source old = counted_port(&r->old), have;
	struct ota_sink out = kit_sink_port(&r->sink);
	struct ota_decoder *decoder = NULL;
	enum ota_code rc;

	r->have.bytes.len = len;
	r->sink.bytes.len = 0;
	have = counted_port(&r->have);
	cr_assert(ota_decoder_new(&r->kit.manifest, &old, &out, OTA_DECODER_RAM, &decoder,
			  &r->err) == OTA_OK);
	rc = ota_decoder_resume(decoder, &have, &r->err);
	r->written = ota_decoder_written(decoder);
	if (rc == OTA_OK)
		rc = ota_decoder_feed(decoder, ota_buf_bytes(&r->kit.patch), &r->err);
	if (rc == OTA_OK)
		rc = ota_decoder_finish(decoder, &r->err);
	ota_decoder_free(decoder);
	return rc;
}

static void expect_rest(struct resuming *r, size_t len)
{
	struct ota_bytes rest = { r->kit.to.at + len, r->kit.to.len - len };

	cr_expect_eq(resume(r, len), OTA_OK, "%zu: %s", len, r->err.text);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&r->sink.bytes), rest), "%zu", len);
	cr_expect_eq(r->written, len);
}

Test(resume, what_is_in_place_is_not_written_again)
{
	for (unsigned i = 0; i < N_CODECS; i++) {
		OTA_AUTO(resuming_fini) struct resuming r = { 0 };

		make(&r, codecs[i]);
		expect_rest(&r, 0);
		expect_rest(&r, 1);
		for (size_t len = 1000; len < r.kit.to.len; len += 777)
			expect_rest(&r, len);
		expect_rest(&r, r.kit.to.len - 1);
		expect_rest(&r, r.kit.to.len);
	}
}

Test(resume, wrong_content_in_place_gives_another_digest)
{
	for (unsigned i = 0; i < N_CODECS; i++) {
		OTA_AUTO(resuming_fini) struct resuming r = { 0 };
		OTA_AUTO(ota_buf_fini) struct ota_buf wrong = { 0 };

		make(&r, codecs[i]);
		cr_assert(ota_buf_add(&wrong, ota_buf_bytes(&r.kit.to)) == OTA_OK);
		wrong.at[0] ^= 1;
		r.have.bytes = ota_buf_bytes(&wrong);
		cr_expect_eq(resume(&r, 1), OTA_E_DIGEST);
		cr_expect_eq(resume(&r, 10000), OTA_E_DIGEST);
		cr_expect_eq(resume(&r, wrong.len), OTA_E_DIGEST);
	}
}

Test(resume, more_than_the_image_is_refused)
{
	for (unsigned i = 0; i < N_CODECS; i++) {
		OTA_AUTO(resuming_fini) struct resuming r = { 0 };

		make(&r, codecs[i]);
		cr_expect_eq(resume(&r, r.kit.to.len + 1), OTA_E_LIMIT);
		cr_expect_str_eq(
			r.err.text, "23846 bytes are in place, the image has 23845");
		cr_expect_eq(r.have.reads, 0);
	}
}

Test(resume, what_cannot_be_read_is_said)
{
	OTA_AUTO(resuming_fini) struct resuming r = { .have.rc = OTA_E_IO };

	make(&r, OTA_CODEC_PREDICT);
	cr_expect_eq(resume(&r, 10), OTA_E_IO);
	cr_expect_str_eq(r.err.text, "read what is in place: local storage failed");
}

Test(resume, predict_reads_no_old_bytes_for_segments_in_place)
{
	OTA_AUTO(resuming_fini) struct resuming r = { 0 };

	make(&r, OTA_CODEC_PREDICT);
	cr_expect_eq(resume(&r, 0), OTA_OK);
	cr_expect_gt(r.old.reads, 0);
	r.old.reads = 0;
	cr_expect_eq(resume(&r, r.kit.to.len), OTA_OK);
	cr_expect_eq(r.old.reads, 0);
}
