#include "proto/delta/predict/apply.h"

#include <inttypes.h>
#include <string.h>

#include "proto/delta/predict/varint.h"

enum { ROOM_MIN = 4096 }; /* bytes of a piece below which it is handed on */

static const uint64_t to_the_end = UINT64_MAX; /* a run that nothing follows */

/* The next run of what is right. */
static uint64_t read_run(struct ota_reader *column)
{
	return column->left == 0 ? to_the_end : ota_varint_read(column);
}

static enum ota_code fix(void *ctx, struct ota_guess *guess, struct ota_error *err)
{
	struct ota_apply *apply = ctx;
	struct ota_reader *columns = apply->segment.columns;
	uint64_t code;

	if (apply->fix_run > 0) {
		apply->fix_run -= apply->fix_run == to_the_end ? 0 : 1;
		return OTA_OK;
	}
	code = ota_varint_read(&columns[OTA_SEGMENT_FIXES]);
	apply->fix_run = read_run(&columns[OTA_SEGMENT_FIX_RUNS]);
	if (columns[OTA_SEGMENT_FIXES].bad || columns[OTA_SEGMENT_FIX_RUNS].bad)
		return ota_fail(err, OTA_E_DECODER, "a correction is missing");
	if (code == 0)
		guess->plain = true;
	else
		guess->target = (int64_t)((uint64_t)guess->target +
					  (uint64_t)ota_unzigzag(code - 1));
	return OTA_OK;
}

/* Of the next len predicted bytes, the first that are wrong in the same run. */
static enum ota_code correct_run(
	struct ota_apply *apply, uint8_t *at, uint32_t *len, struct ota_error *err)
{
	struct ota_reader *columns = apply->segment.columns;
	const uint8_t *differences;

	if (apply->wrong_run == 0)
		apply->wrong_run = ota_varint_read(&columns[OTA_SEGMENT_WRONG_RUNS]);
	if (apply->wrong_run == 0)
		return ota_fail(err, OTA_E_DECODER, "a run of wrong bytes is missing");
	if (*len > apply->wrong_run)
		*len = (uint32_t)apply->wrong_run;
	differences = ota_read(&columns[OTA_SEGMENT_DIFFERENCES], *len);
	if (differences == NULL)
		return ota_fail(err, OTA_E_DECODER, "a difference is missing");

	for (uint32_t i = 0; i < *len; i++)
		at[i] = (uint8_t)(at[i] + differences[i]);
	apply->wrong_run -= *len;
	if (apply->wrong_run == 0)
		apply->right_run = read_run(&columns[OTA_SEGMENT_RIGHT_RUNS]);
	if (columns[OTA_SEGMENT_RIGHT_RUNS].bad)
		return ota_fail(err, OTA_E_DECODER, "a run of right bytes is malformed");
	return OTA_OK;
}

static enum ota_code correct(
	struct ota_apply *apply, uint8_t *at, uint32_t len, struct ota_error *err)
{
	while (len > 0) {
		uint32_t n = len;
		enum ota_code rc = OTA_OK;

		if (apply->right_run == 0)
			rc = correct_run(apply, at, &n, err);
		else if (apply->right_run != to_the_end) {
			n = apply->right_run < len ? (uint32_t)apply->right_run : len;
			apply->right_run -= n;
		}
		if (rc != OTA_OK)
			return rc;
		at += n;
		len -= n;
	}
	return OTA_OK;
}

static enum ota_code flush(struct ota_apply *apply, struct ota_error *err)
{
	struct ota_bytes piece = { apply->piece, apply->piece_len };

	apply->piece_len = 0;
	return ota_image_add(apply->job->image, piece, err);
}

static uint32_t least(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

/* Bytes that no cover has: the next ones, max at most. */
static enum ota_code add_extra(
	struct ota_apply *apply, uint64_t max, uint32_t *len, struct ota_error *err)
{
	const uint8_t *extra;

	*len = least(max, OTA_APPLY_PIECE_LEN - apply->piece_len);
	extra = ota_read(&apply->segment.columns[OTA_SEGMENT_EXTRA], *len);
	if (extra == NULL)
		return ota_fail(
			err, OTA_E_DECODER, "bytes that no cover has are missing");
	memcpy(apply->piece + apply->piece_len, extra, *len);
	return OTA_OK;
}

/* The bytes of the image at `at` and some that follow, max at most. */
static enum ota_code add_part(struct ota_apply *apply, uint64_t at, uint32_t max,
	uint32_t *len, struct ota_error *err)
{
	uint32_t index = ota_tables_cover_at(apply->tables, at);
	const struct ota_cover *cover;
	uint8_t *out = apply->piece + apply->piece_len;
	struct ota_lay_part part;
	enum ota_code rc;

	if (index == apply->tables->cover_count)
		return add_extra(apply, max, len, err);
	cover = &apply->tables->covers[index];
	if (cover->to > at)
		return add_extra(apply, least(max, cover->to - at), len, err);
	part = (struct ota_lay_part){ cover, (uint32_t)(at - cover->to),
		least(max, OTA_APPLY_PIECE_LEN - OTA_REF_FIELD_MAX - apply->piece_len) };
	rc = ota_lay_next(apply->lay, &part, out, len, err);
	if (rc != OTA_OK)
		return rc;
	if (*len > max)
		return ota_fail(err, OTA_E_DECODER, "its end cuts a reference");
	return correct(apply, out, *len, err);
}

static enum ota_code add_parts(struct ota_apply *apply, struct ota_error *err)
{
	uint64_t at = apply->job->image->written;
	uint32_t left = apply->segment.to_len, len;
	enum ota_code rc = OTA_OK;

	while (left > 0 && rc == OTA_OK) {
		rc = add_part(apply, at, left, &len, err);
		if (rc != OTA_OK)
			return rc;
		apply->piece_len += len;
		at += len;
		left -= len;
		if (apply->piece_len > OTA_APPLY_PIECE_LEN - ROOM_MIN || left == 0)
			rc = flush(apply, err);
	}
	return rc;
}

static enum ota_code check_used_up(const struct ota_apply *apply, struct ota_error *err)
{
	bool is_left = apply->fix_run != to_the_end || apply->right_run != to_the_end ||
		       apply->wrong_run != 0;

	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT; i++)
		is_left = is_left || apply->segment.columns[i].left > 0;
	if (is_left)
		return ota_fail(err, OTA_E_DECODER, "it holds more than it uses");
	return OTA_OK;
}

static enum ota_code apply_segment(
	struct ota_apply *apply, struct ota_bytes in, struct ota_error *err)
{
	struct ota_image *image = apply->job->image;
	struct ota_segment *segment = &apply->segment;
	enum ota_code rc = ota_segment_read(in, segment, err);

	if (rc != OTA_OK)
		return rc;
	if (segment->to_len > image->len - image->written)
		return ota_fail(err, OTA_E_DECODER,
			"the patch makes more than the %" PRIu64 " bytes of the image",
			image->len);
	if (ota_image_skip(image, segment->to_len))
		return OTA_OK;
	ota_lay_forget(apply->lay);
	apply->fix_run = read_run(&segment->columns[OTA_SEGMENT_FIX_RUNS]);
	apply->right_run = read_run(&segment->columns[OTA_SEGMENT_RIGHT_RUNS]);
	apply->wrong_run = 0;
	if (segment->columns[OTA_SEGMENT_FIX_RUNS].bad ||
		segment->columns[OTA_SEGMENT_RIGHT_RUNS].bad)
		return ota_fail(err, OTA_E_DECODER, "its first run is malformed");
	rc = add_parts(apply, err);
	return rc != OTA_OK ? rc : check_used_up(apply, err);
}

enum ota_code ota_apply_segment(
	struct ota_apply *apply, struct ota_bytes segment, struct ota_error *err)
{
	uint64_t at = apply->job->image->written;
	enum ota_code rc = apply_segment(apply, segment, err);

	if (rc != OTA_E_DECODER)
		return rc;
	return ota_wrap(err, rc, "segment at %" PRIu64, at);
}

enum ota_code ota_apply_init(struct ota_apply *apply, const struct ota_decoder_job *job,
	const struct ota_tables *tables)
{
	*apply = (struct ota_apply){ .job = job,
		.tables = tables,
		.fix = { apply, fix },
		.piece = ota_heap_alloc(job->heap, OTA_APPLY_PIECE_LEN) };
	if (apply->piece == NULL)
		return OTA_E_NOMEM;
	return ota_lay_new(tables, job->from, &apply->fix, job->heap, &apply->lay);
}

void ota_apply_fini(struct ota_apply *apply)
{
	if (apply->job == NULL)
		return;
	ota_lay_free(apply->lay);
	ota_heap_free(apply->job->heap, apply->piece);
	*apply = (struct ota_apply){ 0 };
}
