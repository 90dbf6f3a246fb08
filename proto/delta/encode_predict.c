#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/delta/encoder.h"
#include "proto/delta/lzma_out.h"
#include "proto/delta/predict/judge.h"
#include "proto/delta/predict/plan.h"
#include "proto/delta/predict/prune.h"
#include "proto/delta/predict/tally.h"

enum {
	LAY_MAX = 64 << 10,       /* bytes laid out at once */
	SEGMENT_LEN = 512 << 10,  /* bytes a segment may come to before it is closed */
	SEGMENT_TO_LEN = 8 << 20, /* bytes of the new image, likewise */
};

/* Both images in memory. */
struct images {
	struct ota_buf from, to;
};

static void images_fini(struct images *images)
{
	ota_buf_fini(&images->from);
	ota_buf_fini(&images->to);
}

static enum ota_code room_for(struct ota_buf *buf, uint64_t len, struct ota_error *err)
{
	if (len >= SIZE_MAX)
		return ota_fail(err, OTA_E_LIMIT, "the image is too long");
	buf->at = malloc((size_t)len + 1);
	if (buf->at == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for an image");
	buf->cap = (size_t)len + 1;
	buf->len = (size_t)len;
	return OTA_OK;
}

static enum ota_code read_from(
	const struct ota_source *source, struct ota_buf *buf, struct ota_error *err)
{
	enum ota_code rc = room_for(buf, source->len, err);

	if (rc == OTA_OK && source->len > 0)
		rc = source->read(source->ctx, 0, buf->at, buf->len);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "old image");
}

/* The new image is read through its digest. The long work comes after it, so progress
 * is not reported here. */
static enum ota_code read_to(
	struct ota_image_in *in, struct ota_buf *buf, struct ota_error *err)
{
	static const struct ota_progress silent;
	const struct ota_progress *progress = in->progress;
	enum ota_code rc = room_for(buf, in->source->len, err);

	in->progress = &silent;
	while (rc == OTA_OK && !ota_image_in_is_done(in)) {
		uint64_t left = in->source->len - in->offset;
		struct ota_bytes data;

		rc = ota_image_in_read(in, buf->at + in->offset,
			left < OTA_IMAGE_IN_MAX ? (size_t)left : OTA_IMAGE_IN_MAX, &data,
			err);
	}
	in->progress = progress;
	return rc;
}

/* What writes the segments. */
struct writer {
	struct ota_lzma_out lzma;
	struct ota_heap heap;
	struct ota_judge judge;
	struct ota_fix fix;
	struct ota_lay *lay;     /* owned */
	struct ota_tally *tally; /* owned; NULL: nobody asks */
	struct ota_buf block;
};

static void writer_fini(struct writer *writer)
{
	ota_lay_free(writer->lay);
	ota_tally_free(writer->tally);
	ota_segment_out_fini(&writer->judge.segment);
	ota_buf_fini(&writer->block);
	ota_heap_fini(&writer->heap);
	ota_lzma_out_fini(&writer->lzma);
}

static enum ota_code flush(struct writer *writer, struct ota_error *err)
{
	enum ota_code rc;

	rc = ota_lzma_out_feed(&writer->lzma, ota_buf_bytes(&writer->block), err);
	writer->block.len = 0;
	return rc;
}

/* The port of ota_lay. */
static enum ota_code answer(void *ctx, struct ota_guess *guess, struct ota_error *err)
{
	struct writer *writer = ctx;
	const struct ota_guess asked = *guess;
	enum ota_code rc = ota_judge_fix(&writer->judge, guess, err);

	return rc == OTA_OK ? ota_tally_guess(writer->tally, &asked, guess) : rc;
}

static enum ota_code end_segment(struct writer *writer, struct ota_error *err)
{
	enum ota_code rc;

	if (writer->judge.segment.to_len == 0)
		return OTA_OK;
	rc = ota_segment_write(&writer->judge.segment, &writer->block);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "no memory for a segment");
	ota_lay_forget(writer->lay);
	return flush(writer, err);
}

static enum ota_code end_segment_if_full(struct writer *writer, struct ota_error *err)
{
	const struct ota_segment_out *segment = &writer->judge.segment;

	if (ota_segment_out_len(segment) < SEGMENT_LEN &&
		segment->to_len < SEGMENT_TO_LEN)
		return OTA_OK;
	return end_segment(writer, err);
}

static enum ota_code write_extra(
	struct writer *writer, uint64_t offset, uint64_t end, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && offset < end) {
		uint64_t left = end - offset;
		struct ota_bytes piece = { writer->judge.to.at + offset,
			left < LAY_MAX ? (size_t)left : LAY_MAX };

		rc = ota_segment_out_extra(&writer->judge.segment, piece);
		if (rc == OTA_OK)
			rc = ota_tally_extra(writer->tally, offset, piece.len);
		if (rc != OTA_OK)
			return ota_fail(err, rc, "no memory for a segment");
		offset += piece.len;
		rc = end_segment_if_full(writer, err);
	}
	return rc;
}

static enum ota_code write_cover(
	struct writer *writer, const struct ota_cover *cover, struct ota_error *err)
{
	uint8_t laid[LAY_MAX + OTA_REF_FIELD_MAX];
	struct ota_lay_part part = { cover, 0, LAY_MAX };
	enum ota_code rc = OTA_OK;
	uint32_t len;

	ota_tally_cover(writer->tally, cover);
	while (rc == OTA_OK && part.done < cover->len) {
		rc = ota_lay_next(writer->lay, &part, laid, &len, err);
		if (rc != OTA_OK)
			return rc;
		rc = ota_segment_out_covered(&writer->judge.segment, laid,
			writer->judge.to.at + cover->to + part.done, len);
		if (rc == OTA_OK)
			rc = ota_tally_covered(
				writer->tally, cover->to + part.done, laid, len);
		if (rc != OTA_OK)
			return ota_fail(err, rc, "no memory for a segment");
		part.done += len;
		rc = end_segment_if_full(writer, err);
	}
	return rc;
}

static enum ota_code write_tables(
	struct writer *writer, const struct ota_tables *tables, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	enum ota_code rc = ota_tables_write(tables, &bytes);

	if (rc == OTA_OK)
		rc = ota_tally_tables(writer->tally, ota_buf_bytes(&bytes));
	if (rc == OTA_OK)
		rc = ota_block_write(ota_buf_bytes(&bytes), &writer->block);
	return rc == OTA_OK ? flush(writer, err)
			    : ota_fail(err, rc, "no memory for the tables");
}

static enum ota_code write_all(
	struct writer *writer, const struct ota_tables *tables, struct ota_error *err)
{
	uint64_t end = 0;
	enum ota_code rc = write_tables(writer, tables, err);

	for (uint32_t i = 0; i < tables->cover_count && rc == OTA_OK; i++) {
		const struct ota_cover *cover = &tables->covers[i];

		rc = write_extra(writer, end, cover->to, err);
		if (rc == OTA_OK)
			rc = write_cover(writer, cover, err);
		end = cover->to + cover->len;
	}
	if (rc == OTA_OK)
		rc = write_extra(writer, end, writer->judge.to.len, err);
	return rc == OTA_OK ? end_segment(writer, err) : rc;
}

/* Prepare what needs more than a zero. */
static enum ota_code writer_open(struct writer *writer, const struct ota_plan *plan,
	const struct ota_source *from, bool explains)
{
	enum ota_code rc;

	writer->fix = (struct ota_fix){ writer, answer };
	rc = ota_lay_new(&plan->tables, from, &writer->fix, &writer->heap, &writer->lay);
	if (rc == OTA_OK && explains)
		rc = ota_tally_new(&plan->to, &writer->tally);
	return rc;
}

static enum ota_code write_stream(const struct ota_encoder_job *job,
	const struct images *images, const struct ota_plan *plan, uint64_t *raw_len,
	struct ota_error *err)
{
	OTA_AUTO(writer_fini)
	struct writer writer = {
		.heap.max = UINT64_MAX,
		.judge.to = ota_buf_bytes(&images->to),
	};
	struct ota_bytes from = ota_buf_bytes(&images->from);
	struct ota_source source = ota_source_of(&from);
	enum ota_code rc =
		ota_lzma_out_init(&writer.lzma, job->window_log, job->next, err);

	if (rc != OTA_OK)
		return rc;
	rc = writer_open(&writer, plan, &source, job->explain.item != NULL);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "no memory to lay out the image");
	rc = write_all(&writer, &plan->tables, err);
	*raw_len = writer.lzma.taken;
	if (rc == OTA_OK)
		rc = ota_lzma_out_finish(&writer.lzma, err);
	if (rc == OTA_OK)
		rc = ota_tally_report(
			writer.tally, writer.lzma.given, &job->explain, err);
	return rc;
}

static enum ota_code prune(
	const struct images *images, struct ota_tables *tables, struct ota_error *err)
{
	struct ota_bytes from = ota_buf_bytes(&images->from);
	struct ota_source source = ota_source_of(&from);

	return ota_regions_prune(tables, &source, ota_buf_bytes(&images->to), err);
}

static enum ota_code predict_encode(
	const struct ota_encoder_job *job, uint64_t *raw_len, struct ota_error *err)
{
	OTA_AUTO(images_fini) struct images images = { 0 };
	OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };
	struct ota_plan_job plan_job = { .progress = *job->to->progress,
		.crew = job->crew };
	enum ota_code rc = read_from(job->from, &images.from, err);

	if (rc == OTA_OK)
		rc = read_to(job->to, &images.to, err);
	if (rc != OTA_OK)
		return rc;
	plan_job.from = ota_buf_bytes(&images.from);
	plan_job.to = ota_buf_bytes(&images.to);
	rc = ota_plan_make(&plan_job, &plan, err);
	if (rc == OTA_OK)
		rc = prune(&images, &plan.tables, err);
	if (rc != OTA_OK)
		return rc;
	return write_stream(job, &images, &plan, raw_len, err);
}

const struct ota_encoder_row ota_encoder_predict = {
	.codec = OTA_CODEC_PREDICT,
	.has_from = true,
	.window_log_max = 21,
	.beside_ram_max = 3 << 20,
	.encode = predict_encode,
};
