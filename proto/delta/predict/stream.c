#include "proto/delta/predict/stream.h"

#include <inttypes.h>
#include <string.h>

void ota_stream_init(struct ota_stream *stream, const struct ota_decoder_job *job)
{
	*stream = (struct ota_stream){ .job = job };
}

void ota_stream_fini(struct ota_stream *stream)
{
	if (stream->job == NULL)
		return;
	ota_apply_fini(&stream->apply);
	ota_tables_fini(&stream->tables);
	ota_heap_free(stream->job->heap, stream->block);
	*stream = (struct ota_stream){ 0 };
}

/* As many bytes of data as `to` still lacks of len; they are taken from data. */
static void take(
	struct ota_stream *stream, uint8_t *to, uint32_t len, struct ota_bytes *data)
{
	size_t n = len - stream->taken;

	n = data->len < n ? data->len : n;
	memcpy(to + stream->taken, data->at, n);
	stream->taken += (uint32_t)n;
	data->at += n;
	data->len -= n;
}

/* A head is whole: make room for its block. */
static enum ota_code begin_block(struct ota_stream *stream, struct ota_error *err)
{
	struct ota_reader r =
		ota_reader_of((struct ota_bytes){ stream->head, sizeof stream->head });
	uint32_t max = stream->has_tables ? OTA_BLOCK_SEGMENT_MAX : OTA_BLOCK_TABLES_MAX;

	stream->block_len = ota_read_le32(&r);
	stream->taken = 0;
	if (stream->block_len == 0 || stream->block_len > max)
		return ota_fail(err, OTA_E_DECODER, "a block of %" PRIu32 " bytes",
			stream->block_len);
	stream->block = ota_heap_alloc(stream->job->heap, stream->block_len);
	return stream->block != NULL
		       ? OTA_OK
		       : ota_fail(err, OTA_E_NOMEM, "no memory for a block");
}

static enum ota_code read_tables(
	struct ota_stream *stream, struct ota_bytes block, struct ota_error *err)
{
	const struct ota_decoder_job *job = stream->job;
	struct ota_ends ends = { job->from->len, job->image->len };

	stream->has_tables = true;
	return ota_tables_read(block, &ends, job->heap, &stream->tables, err);
}

/* A block is whole. The tables' bytes are released before anything else is allocated. */
static enum ota_code end_block(struct ota_stream *stream, struct ota_error *err)
{
	struct ota_bytes block = { stream->block, stream->block_len };
	bool is_first = !stream->has_tables;
	enum ota_code rc = is_first ? read_tables(stream, block, err)
				    : ota_apply_segment(&stream->apply, block, err);

	ota_heap_free(stream->job->heap, stream->block);
	stream->block = NULL;
	stream->taken = 0;
	if (rc != OTA_OK || !is_first)
		return rc;
	rc = ota_apply_init(&stream->apply, stream->job, &stream->tables);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "no memory for segments");
}

enum ota_code ota_stream_feed(
	struct ota_stream *stream, struct ota_bytes data, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	while (data.len > 0 && rc == OTA_OK) {
		if (stream->block == NULL) {
			take(stream, stream->head, OTA_BLOCK_HEAD_LEN, &data);
			if (stream->taken == OTA_BLOCK_HEAD_LEN)
				rc = begin_block(stream, err);
		} else {
			take(stream, stream->block, stream->block_len, &data);
			if (stream->taken == stream->block_len)
				rc = end_block(stream, err);
		}
	}
	return rc;
}

enum ota_code ota_stream_finish(const struct ota_stream *stream, struct ota_error *err)
{
	if (stream->block != NULL || stream->taken > 0)
		return ota_fail(err, OTA_E_DECODER, "the stream ends inside a block");
	if (!stream->has_tables)
		return ota_fail(err, OTA_E_DECODER, "the stream has no tables");
	return OTA_OK;
}
