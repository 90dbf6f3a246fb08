#include "proto/base/own.h"
#include "proto/delta/predict/segment.h"
#include "proto/delta/predict/varint.h"

enum { HEAD_MAX = 64 /* bytes, of all that stands before the columns */ };

/* Numbers of two columns that belong together. */
static OTA_CHECKED enum ota_code add_two(struct ota_segment_out *segment,
	enum ota_segment_column column, uint64_t first, uint64_t second)
{
	enum ota_code rc = ota_varint_write(first, &segment->columns[column]);

	return rc != OTA_OK ? rc
			    : ota_varint_write(second, &segment->columns[column + 1]);
}

enum ota_code ota_segment_out_guess(struct ota_segment_out *segment,
	const struct ota_guess *guess, const struct ota_guess *answer)
{
	uint64_t run = segment->fix_run, off;

	if (!answer->plain && answer->target == guess->target) {
		segment->fix_run++;
		return OTA_OK;
	}
	segment->fix_run = 0;
	off = (uint64_t)answer->target - (uint64_t)guess->target;
	return add_two(segment, OTA_SEGMENT_FIX_RUNS, run,
		answer->plain ? 0 : ota_zigzag((int64_t)off) + 1);
}

static OTA_CHECKED enum ota_code close_wrong_run(struct ota_segment_out *segment)
{
	uint64_t right = segment->right_run, wrong = segment->wrong_run;

	if (wrong == 0)
		return OTA_OK;
	segment->right_run = 0;
	segment->wrong_run = 0;
	return add_two(segment, OTA_SEGMENT_RIGHT_RUNS, right, wrong);
}

enum ota_code ota_segment_out_covered(struct ota_segment_out *segment,
	const uint8_t *laid, const uint8_t *want, uint32_t len)
{
	enum ota_code rc = OTA_OK;

	segment->to_len += len;
	for (uint32_t i = 0; i < len && rc == OTA_OK; i++) {
		if (laid[i] == want[i]) {
			rc = close_wrong_run(segment);
			segment->right_run++;
		} else {
			segment->wrong_run++;
			rc = ota_buf_add_u8(&segment->columns[OTA_SEGMENT_DIFFERENCES],
				(uint8_t)(want[i] - laid[i]));
		}
	}
	return rc;
}

enum ota_code ota_segment_out_extra(
	struct ota_segment_out *segment, struct ota_bytes extra)
{
	segment->to_len += (uint32_t)extra.len;
	return ota_buf_add(&segment->columns[OTA_SEGMENT_EXTRA], extra);
}

size_t ota_segment_out_len(const struct ota_segment_out *segment)
{
	size_t len = HEAD_MAX;

	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT; i++)
		len += segment->columns[i].len;
	return len;
}

static OTA_CHECKED enum ota_code add_columns(
	const struct ota_segment_out *segment, struct ota_buf *out)
{
	enum ota_code rc = ota_varint_write(segment->to_len, out);

	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT && rc == OTA_OK; i++)
		rc = ota_varint_write(segment->columns[i].len, out);
	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT && rc == OTA_OK; i++)
		rc = ota_buf_add(out, ota_buf_bytes(&segment->columns[i]));
	return rc;
}

static void empty(struct ota_segment_out *segment)
{
	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT; i++)
		segment->columns[i].len = 0;
	segment->to_len = 0;
	segment->fix_run = 0;
	segment->right_run = 0;
}

enum ota_code ota_segment_write(struct ota_segment_out *segment, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf block = { 0 };
	enum ota_code rc = close_wrong_run(segment);

	if (rc == OTA_OK)
		rc = add_columns(segment, &block);
	if (rc == OTA_OK)
		rc = ota_block_write(ota_buf_bytes(&block), out);
	if (rc == OTA_OK)
		empty(segment);
	return rc;
}

void ota_segment_out_fini(struct ota_segment_out *segment)
{
	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT; i++)
		ota_buf_fini(&segment->columns[i]);
	*segment = (struct ota_segment_out){ 0 };
}

enum ota_code ota_block_write(struct ota_bytes block, struct ota_buf *out)
{
	enum ota_code rc = ota_buf_add_le32(out, (uint32_t)block.len);

	return rc != OTA_OK ? rc : ota_buf_add(out, block);
}
