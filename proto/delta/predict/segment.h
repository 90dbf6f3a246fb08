#ifndef PROTO_DELTA_PREDICT_SEGMENT_H
#define PROTO_DELTA_PREDICT_SEGMENT_H

/* Segments: what a `predict` patch says about a stretch of the new image, in columns; and
 * the blocks that the stream is cut into. The format is described in
 * proto/delta/README.md. */

#include "proto/base/bytes.h"
#include "proto/delta/predict/lay.h"

enum {
	OTA_SEGMENT_TO_MAX = 16 << 20, /* bytes of the new image that one may give */
	OTA_BLOCK_HEAD_LEN = 4,        /* bytes before a block's own */
	OTA_BLOCK_SEGMENT_MAX = 1 << 20,
	OTA_BLOCK_TABLES_MAX = 64 << 20,
};

enum ota_segment_column {
	OTA_SEGMENT_FIX_RUNS,    /* varints */
	OTA_SEGMENT_FIXES,       /* varints */
	OTA_SEGMENT_RIGHT_RUNS,  /* varints */
	OTA_SEGMENT_WRONG_RUNS,  /* varints */
	OTA_SEGMENT_DIFFERENCES, /* bytes */
	OTA_SEGMENT_EXTRA,       /* bytes */
	OTA_SEGMENT_COLUMN_COUNT,
};

struct ota_segment {
	uint32_t to_len; /* bytes of the new image it gives */
	struct ota_reader columns[OTA_SEGMENT_COLUMN_COUNT]; /* borrowed from the block */
};

/** Parse the head of an untrusted segment. OTA_OK; OTA_E_DECODER for a to_len of 0 or
 *  above OTA_SEGMENT_TO_MAX, or for columns that are not exactly what is left. */
OTA_CHECKED enum ota_code ota_segment_read(
	struct ota_bytes in, struct ota_segment *out, struct ota_error *err);

/* The encoder's side, in segment_write.c. */

/** A segment being made. `{ 0 }` is an empty one. */
struct ota_segment_out {
	uint32_t to_len; /* grown by the functions below */
	struct ota_buf columns[OTA_SEGMENT_COLUMN_COUNT];
	uint64_t fix_run;   /* guesses right since the last correction */
	uint64_t right_run; /* covered bytes right since the last wrong run */
	uint64_t wrong_run; /* bytes of the wrong run that is open */
};

/** Note the answer to one guess: guess as ota_lay handed it out, answer as it goes back.
 *  The answer may not be off by exactly 2^63. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_segment_out_guess(struct ota_segment_out *segment,
	const struct ota_guess *guess, const struct ota_guess *answer);

/** Note len covered bytes: what was laid out and what the new image has. OTA_OK or
 *  OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_segment_out_covered(struct ota_segment_out *segment,
	const uint8_t *laid, const uint8_t *want, uint32_t len);

/** Note bytes that no cover has. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_segment_out_extra(
	struct ota_segment_out *segment, struct ota_bytes extra);

/** Bytes the segment has come to, within 64; its block may have OTA_BLOCK_SEGMENT_MAX. */
size_t ota_segment_out_len(const struct ota_segment_out *segment);

/** Append the segment as a block and empty it, its memory kept. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_segment_write(
	struct ota_segment_out *segment, struct ota_buf *out);

/** Release. Accepts a zeroed segment. */
void ota_segment_out_fini(struct ota_segment_out *segment);

/** Append a block: its length and its bytes, at most UINT32_MAX. OTA_OK or
 *  OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_block_write(struct ota_bytes block, struct ota_buf *out);

#endif
