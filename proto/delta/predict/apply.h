#ifndef PROTO_DELTA_PREDICT_APPLY_H
#define PROTO_DELTA_PREDICT_APPLY_H

/* Segments made into the new image: what covers predict, corrected, and what they leave
 * out. The decoder's side of ota_lay. */

#include "proto/delta/decoder.h"
#include "proto/delta/predict/segment.h"

enum { OTA_APPLY_PIECE_LEN = 65536 }; /* bytes of the new image handed on at once */

struct ota_apply {
	const struct ota_decoder_job *job; /* borrowed */
	const struct ota_tables *tables;   /* borrowed */
	struct ota_lay *lay;               /* owned */
	struct ota_fix fix;
	uint8_t *piece;             /* owned, OTA_APPLY_PIECE_LEN bytes */
	uint32_t piece_len;         /* bytes in use */
	struct ota_segment segment; /* what is left of it */
	uint64_t fix_run, right_run, wrong_run;
};

/** Begin. apply must not move afterwards. OTA_OK or OTA_E_NOMEM. On failure, too,
 *  ota_apply_fini() is right. */
OTA_CHECKED enum ota_code ota_apply_init(struct ota_apply *apply,
	const struct ota_decoder_job *job, const struct ota_tables *tables);

/** Release. Accepts a zeroed struct. */
void ota_apply_fini(struct ota_apply *apply);

/** Add what a segment gives to the image; nothing is laid out for one that is in place
 *  already. OTA_OK, OTA_E_DECODER for one that is malformed or gives too much, or what a
 *  port returned. */
OTA_CHECKED enum ota_code ota_apply_segment(
	struct ota_apply *apply, struct ota_bytes segment, struct ota_error *err);

#endif
