#ifndef PROTO_DELTA_DECODER_H
#define PROTO_DELTA_DECODER_H

/* What a decoder is made of, below decode.h. A codec is one row of the table in decode.c:
 * it is fed the patch, may read the old image at random, takes all its memory from the
 * job's heap, and adds the new image in order. Limits on the image, its digest and the
 * cap of the heap are not its business. */

#include "proto/delta/heap.h"
#include "proto/delta/image.h"

struct ota_decoder_job {
	const struct ota_manifest *manifest; /* borrowed */
	const struct ota_source *from;       /* borrowed */
	struct ota_heap *heap;               /* borrowed: every allocation */
	struct ota_image *image;             /* borrowed: where the new image goes */
};

struct ota_decoder_row {
	uint8_t codec; /* enum ota_codec_id */
	bool has_from; /* reads the old image */
	/** Begin. The job is borrowed for the decoder's life. state is owned. OTA_OK or
	 *  OTA_E_NOMEM, which stands for the heap's cap as well. */
	enum ota_code (*new)(const struct ota_decoder_job *job, void **state);
	/** Take the next bytes of the patch, any number. */
	enum ota_code (*feed)(void *state, struct ota_bytes data, struct ota_error *err);
	/** No more come: is the stream whole? */
	enum ota_code (*finish)(void *state, struct ota_error *err);
	/** Release at any point. */
	void (*free)(void *state);
};

/** A zstd frame that holds the image. decode_full.c */
extern const struct ota_decoder_row ota_decoder_full;

/** LZMA2 that holds tables and segments. decode_predict.c */
extern const struct ota_decoder_row ota_decoder_predict;

/** A zstd frame that holds a VCDIFF stream (RFC 3284). decode_vcdiff.c */
extern const struct ota_decoder_row ota_decoder_vcdiff;

#endif
