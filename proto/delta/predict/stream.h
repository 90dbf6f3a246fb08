#ifndef PROTO_DELTA_PREDICT_STREAM_H
#define PROTO_DELTA_PREDICT_STREAM_H

/* The stream of codec `predict`, once it is out of its LZMA2: blocks, of which the
 * first holds the tables and each further one a segment. Fed in pieces of any length. */

#include "proto/delta/predict/apply.h"

struct ota_stream {
	const struct ota_decoder_job *job; /* borrowed */
	uint8_t head[OTA_BLOCK_HEAD_LEN];
	uint8_t *block;     /* owned; NULL between blocks */
	uint32_t block_len; /* bytes of the block, its head not counted */
	uint32_t taken;     /* bytes of the head, or once that is whole, of the block */
	bool has_tables;
	struct ota_tables tables;
	struct ota_apply apply;
};

/** Begin; the stream must not move afterwards. The job is borrowed for its life. */
void ota_stream_init(struct ota_stream *stream, const struct ota_decoder_job *job);

/** Release. Accepts a zeroed struct. */
void ota_stream_fini(struct ota_stream *stream);

/** Take the next bytes. OTA_OK, OTA_E_DECODER for what is malformed, OTA_E_NOMEM (which
 *  stands for the heap's cap), or what a port returned. */
OTA_CHECKED enum ota_code ota_stream_feed(
	struct ota_stream *stream, struct ota_bytes data, struct ota_error *err);

/** No more bytes come. OTA_OK, or OTA_E_DECODER if the stream is not whole. */
OTA_CHECKED enum ota_code ota_stream_finish(
	const struct ota_stream *stream, struct ota_error *err);

#endif
