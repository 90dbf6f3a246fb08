#ifndef PROTO_DELTA_DEFLATE_H
#define PROTO_DELTA_DEFLATE_H

/* The outer layer of a patch put on: one zstd frame, without checksum (the image has its
 * digest), pushed on to the next part as it comes. */

#include "proto/delta/stage.h"

/** The content's length is not known beforehand. */
#define OTA_DEFLATE_LEN_UNKNOWN UINT64_MAX

struct ota_deflate_options {
	int level;            /* of zstd, 1 .. 19 */
	int window_log;       /* of the window the decoder must hold, 10 .. 27 */
	uint32_t workers;     /* threads beside the caller's */
	uint64_t content_len; /* bytes, or OTA_DEFLATE_LEN_UNKNOWN */
};

struct ZSTD_CCtx_s;

struct ota_deflate {
	struct ZSTD_CCtx_s *zstd; /* owned */
	uint8_t *piece;           /* owned, what zstd writes to */
	uint64_t taken;           /* bytes of content so far */
	uint64_t given;           /* bytes of the frame so far */
	struct ota_stage next;
};

/** Begin a frame that goes to next. OTA_OK, OTA_E_LIMIT for an option that zstd refuses,
 *  or OTA_E_NOMEM. On failure, too, ota_deflate_fini() is right. */
OTA_CHECKED enum ota_code ota_deflate_init(struct ota_deflate *deflate,
	const struct ota_deflate_options *options, struct ota_stage next,
	struct ota_error *err);

/** Release. Accepts a zeroed struct. */
void ota_deflate_fini(struct ota_deflate *deflate);

/** Add content. OTA_OK, OTA_E_NOMEM, or what next returned. */
OTA_CHECKED enum ota_code ota_deflate_feed(
	struct ota_deflate *deflate, struct ota_bytes data, struct ota_error *err);

/** End the frame. OTA_OK, OTA_E_NOMEM, or what next returned. */
OTA_CHECKED enum ota_code ota_deflate_finish(
	struct ota_deflate *deflate, struct ota_error *err);

#endif
