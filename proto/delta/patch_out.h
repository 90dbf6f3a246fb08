#ifndef PROTO_DELTA_PATCH_OUT_H
#define PROTO_DELTA_PATCH_OUT_H

/* A patch on its way out of an encoder: handed to the caller, cut into chunks whose
 * digests are kept, and decoded at once to see that it gives the new image back. */

#include "proto/delta/codec.h"
#include "proto/delta/decode.h"

struct ota_patch_out {
	const struct ota_sink *out;  /* borrowed */
	struct ota_decoder *decoder; /* borrowed */
	uint64_t len;                /* bytes so far */
	uint32_t chunk_len;          /* bytes of every chunk but the last */
	uint32_t chunk_fill;         /* bytes of the chunk at hand */
	uint32_t chunk_count;        /* chunks complete */
	struct ota_digest *chunks;   /* owned, OTA_CHUNKS_MAX entries */
	struct ota_hasher hasher;    /* of the chunk at hand */
};

/** Begin. OTA_OK or OTA_E_NOMEM. On failure, too, ota_patch_out_fini() is right. */
OTA_CHECKED enum ota_code ota_patch_out_init(struct ota_patch_out *patch,
	const struct ota_sink *out, struct ota_decoder *decoder, uint32_t chunk_len);

/** Release. Accepts a zeroed struct. */
void ota_patch_out_fini(struct ota_patch_out *patch);

/** Append to the patch. OTA_OK, OTA_E_LIMIT for more than OTA_CHUNKS_MAX chunks, or what
 *  decoder or sink returned. */
OTA_CHECKED enum ota_code ota_patch_out_add(
	struct ota_patch_out *patch, struct ota_bytes data, struct ota_error *err);

/** The patch is complete: close the last chunk. OTA_OK or OTA_E_LIMIT. */
OTA_CHECKED enum ota_code ota_patch_out_finish(
	struct ota_patch_out *patch, struct ota_error *err);

#endif
