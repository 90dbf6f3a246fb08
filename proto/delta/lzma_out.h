#ifndef PROTO_DELTA_LZMA_OUT_H
#define PROTO_DELTA_LZMA_OUT_H

/* The outer layer of a `predict` patch put on: raw LZMA2, pushed on to the next part as
 * it comes. Such a patch is many columns of a few kB each, mostly numbers: adaptive
 * statistics make 5 to 9 % less of them than zstd does. */

#include <lzma.h>

#include "proto/delta/stage.h"

struct ota_lzma_out {
	lzma_stream lzma;
	uint8_t *piece; /* owned, what LZMA writes to */
	uint64_t taken; /* bytes of content so far */
	uint64_t given; /* bytes of LZMA2 so far */
	struct ota_stage next;
};

/** Begin what goes to next. window_log is that of the dictionary the decoder must hold,
 *  10 .. 27; LZMA has no fewer than 4096 bytes. OTA_OK, OTA_E_LIMIT for what LZMA
 *  refuses, or OTA_E_NOMEM. On failure, too, ota_lzma_out_fini() is right. */
OTA_CHECKED enum ota_code ota_lzma_out_init(struct ota_lzma_out *out, int window_log,
	struct ota_stage next, struct ota_error *err);

/** Release. Accepts a zeroed struct. */
void ota_lzma_out_fini(struct ota_lzma_out *out);

/** Add content. OTA_OK, OTA_E_NOMEM, or what next returned. */
OTA_CHECKED enum ota_code ota_lzma_out_feed(
	struct ota_lzma_out *out, struct ota_bytes data, struct ota_error *err);

/** End it. OTA_OK, OTA_E_NOMEM, or what next returned. */
OTA_CHECKED enum ota_code ota_lzma_out_finish(
	struct ota_lzma_out *out, struct ota_error *err);

#endif
