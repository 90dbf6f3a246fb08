#ifndef PROTO_DELTA_ENCODE_H
#define PROTO_DELTA_ENCODE_H

#include "proto/delta/codec.h"
#include "proto/delta/explain.h"

struct ota_encode_options {
	int level;          /* zstd, 1 .. 19; 0: the codec's default */
	uint32_t chunk_len; /* bytes; 0: OTA_CHUNK_LEN */
	uint64_t ram_max;   /* bytes the decoder may need; 0: OTA_DECODER_RAM */
	uint32_t workers;   /* zstd threads, 0: none beside the caller's */
};

/** What to make a patch of. Everything is borrowed for the call. */
struct ota_encode_job {
	uint8_t codec;                 /* enum ota_codec_id */
	const struct ota_source *from; /* read at random; not used by OTA_CODEC_FULL */
	const struct ota_source *to;
	struct ota_encode_options options; /* may be { 0 } */
	struct ota_progress progress;      /* may be { 0 }; called on one thread only */
	struct ota_crew crew;              /* may be { 0 }; used by OTA_CODEC_PREDICT */
	struct ota_explain explain;        /* may be { 0 }; called by OTA_CODEC_PREDICT */
};

/**
 * Make a patch that turns job->from into job->to.
 *
 * out       the patch's bytes, in order; they are what chunks are cut from
 * manifest  filled on success, chunk table included; ota_manifest_fini() is the caller's
 *
 * The patch is decoded while it is made, so that what comes out is known to give the new
 * image back, and how much heap that took.
 *
 * Returns OTA_OK, OTA_E_NOTFOUND (codec), OTA_E_LIMIT (more than OTA_CHUNKS_MAX chunks,
 * the decoder would need more than ram_max, or an option out of range), OTA_E_CANCELLED,
 * OTA_E_NOMEM, or what a port returned. Memory is bounded independently of the sizes of
 * the images: about 100 MiB for OTA_CODEC_FULL, 500 MiB for OTA_CODEC_VCDIFF.
 * OTA_CODEC_PREDICT holds both images in memory, and a multiple of what it compares at
 * once; to explain its patch takes as much as that holds uncompressed, and changes no
 * byte of it.
 */
OTA_CHECKED enum ota_code ota_patch_encode(const struct ota_encode_job *job,
	const struct ota_sink *out, struct ota_manifest *manifest, struct ota_error *err);

#endif
