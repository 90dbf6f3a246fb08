#ifndef PROTO_DELTA_ENCODER_H
#define PROTO_DELTA_ENCODER_H

/* What an encoder is made of, below encode.h. A codec is one row of the table in
 * encode.c: it reads the new image in order, may read the old one at random, and hands
 * the patch on as it comes. */

#include "proto/delta/explain.h"
#include "proto/delta/image_in.h"
#include "proto/delta/stage.h"

struct ota_encoder_job {
	const struct ota_source *from; /* borrowed */
	struct ota_image_in *to;       /* borrowed; to be read to its end */
	int level;                     /* of zstd */
	int window_log;                /* of zstd or LZMA2 */
	uint32_t workers;              /* threads beside the caller's */
	struct ota_crew crew;          /* may be { 0 } */
	struct ota_explain explain;    /* may be { 0 } */
	struct ota_stage next;         /* takes the patch */
};

struct ota_encoder_row {
	uint8_t codec;           /* enum ota_codec_id */
	bool has_from;           /* reads the old image */
	uint8_t window_log_max;  /* of zstd or LZMA2 */
	uint64_t beside_ram_max; /* bytes of the decoder's heap beside that window */
	/** Make a whole patch. raw_len is what the outer layer holds, in bytes. */
	enum ota_code (*encode)(const struct ota_encoder_job *job, uint64_t *raw_len,
		struct ota_error *err);
};

/** A zstd frame that holds the image. encode_full.c */
extern const struct ota_encoder_row ota_encoder_full;

/** A zstd frame that holds a VCDIFF stream (RFC 3284). encode_vcdiff.c */
extern const struct ota_encoder_row ota_encoder_vcdiff;

/** LZMA2 that holds a prediction and what turns it into the image.
 *  encode_predict.c */
extern const struct ota_encoder_row ota_encoder_predict;

#endif
