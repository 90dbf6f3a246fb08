#ifndef PROTO_DELTA_ENCODE_H
#define PROTO_DELTA_ENCODE_H

#include "proto/delta/codec.h"

struct ota_encode_options {
	int level;          /* zstd, 1 .. 19; 0: the codec's default */
	uint32_t chunk_len; /* bytes; 0: OTA_CHUNK_LEN */
	uint64_t ram_max;   /* bytes the decoder may need; 0: 8 MiB */
	uint32_t workers;   /* zstd threads, 0: none beside the caller's */
};

/**
 * Make a patch that turns from into to.
 *
 * codec     OTA_CODEC_FULL ignores from (its manifest has from zero)
 * from, to  read at random; not changed
 * out       the patch's bytes, in order; they are what chunks are cut from
 * manifest  filled on success, chunk table included; ota_manifest_fini() is the caller's
 *
 * Returns OTA_OK, OTA_E_NOTFOUND (codec), OTA_E_LIMIT (more than OTA_CHUNKS_MAX chunks,
 * or the decoder would need more than ram_max), OTA_E_CANCELLED, OTA_E_NOMEM, or what a
 * port returned. Memory is bounded independently of the sizes of the images.
 */
OTA_CHECKED enum ota_code ota_patch_encode(uint8_t codec, const struct ota_source *from,
	const struct ota_source *to, const struct ota_encode_options *options,
	const struct ota_progress *progress, const struct ota_sink *out,
	struct ota_manifest *manifest, struct ota_error *err);

#endif
