#ifndef AGENT_CORE_DECODE_WIRE_H
#define AGENT_CORE_DECODE_WIRE_H

/* What `install` and the process that decodes for it say to each other. To the decoder
 * goes one stream: a head,
 *
 *   offset  size  field
 *        0     4  magic         "OTW1"
 *        4     1  codec         enum ota_codec_id
 *        5     1  window_log    of zstd
 *        6     2  zero
 *        8     8  patch_len     u64le, bytes of the patch, which follows
 *       16     8  raw_len       u64le, as in the manifest
 *       24     8  from_len      u64le, as in the manifest
 *       32     8  to_len        u64le, as in the manifest
 *       40     8  decoder_ram   u64le, as in the manifest
 *       48     8  ram_max       u64le, bytes of heap that are allowed
 *       56     8  source_len    u64le, bytes of the source image
 *       64    32  to_digest     as in the manifest
 *
 * then have_len as u64le, as many bytes of what is in place of the new image, and the
 * patch. From it come answers:
 *
 *        0     1  kind          enum decode_answer_kind
 *        1     3  zero
 *        4     4  len           u32le, bytes of the payload
 *        8     .  payload
 *
 * The decoder has read bytes of strangers: whatever it answers is checked, and an image
 * is what was ordered only once somebody else has digested it. */

#include "proto/wire/manifest.h"

enum {
	DECODE_HEAD_LEN = 96,
	DECODE_HAVE_LEN = 8, /* bytes of have_len */
	DECODE_ANSWER_LEN = 8,
	DECODE_DATA_MAX = 256 << 10, /* bytes of one DATA */
	DECODE_DONE_LEN = 8,
	DECODE_FAILED_MIN = 4,                                    /* the code */
	DECODE_TEXT_MAX = 255,                                    /* bytes */
	DECODE_PAYLOAD_MAX = DECODE_FAILED_MIN + DECODE_TEXT_MAX, /* but of DATA */
};

/* READY   head is understood, rights are given up, the decoder can begin
 * DATA    the next bytes of the new image; 1 .. DECODE_DATA_MAX
 * DONE    the image is whole; u64le: the most bytes of heap the decoder held
 * FAILED  u32le enum ota_code, and text */
enum decode_answer_kind {
	DECODE_READY = 1,
	DECODE_DATA = 2,
	DECODE_DONE = 3,
	DECODE_FAILED = 4,
};

struct decode_head {
	struct ota_manifest manifest; /* but chunk table, chunk_len and `from` */
	uint64_t ram_max, source_len; /* bytes */
};

/** Write a head. */
void decode_head_encode(
	const struct decode_head *head, uint8_t out[static DECODE_HEAD_LEN]);

/** Parse a head of DECODE_HEAD_LEN bytes. OTA_OK or OTA_E_FORMAT. The result owns
 *  nothing. */
OTA_CHECKED enum ota_code decode_head_parse(
	struct ota_bytes in, struct decode_head *out, struct ota_error *err);

struct decode_answer {
	enum decode_answer_kind kind;
	uint32_t len; /* bytes of the payload */
};

/** Write the first bytes of an answer. */
void decode_answer_encode(
	const struct decode_answer *answer, uint8_t out[static DECODE_ANSWER_LEN]);

/** Parse the first DECODE_ANSWER_LEN bytes of an answer. OTA_OK, OTA_E_FORMAT or
 *  OTA_E_LIMIT: the length is one that this kind may have. */
OTA_CHECKED enum ota_code decode_answer_parse(
	struct ota_bytes in, struct decode_answer *out, struct ota_error *err);

/** Write the payload of FAILED; returns its length, at most DECODE_PAYLOAD_MAX. */
size_t decode_failed_encode(
	const struct ota_error *error, uint8_t out[static DECODE_PAYLOAD_MAX]);

/** Parse the payload of FAILED into err: its code, and its text with everything but
 *  printable ASCII made '?'. A code that is none is OTA_E_DECODER. Returns the code. */
enum ota_code decode_failed_parse(struct ota_bytes in, struct ota_error *err);

#endif
