#ifndef PROTO_DELTA_DECODE_H
#define PROTO_DELTA_DECODE_H

#include "proto/delta/codec.h"

/** A decoder under way. Opaque. */
struct ota_decoder;

/**
 * Begin to apply a patch.
 *
 * manifest  borrowed for the decoder's life; its digest must have been verified
 * from      the source image, borrowed; ignored by OTA_CODEC_FULL
 * out       takes the new image in order; never more than manifest->to_len bytes
 * ram_max   bytes of heap the decoder may hold at any moment, all libraries included
 *
 * Returns OTA_OK; OTA_E_NORAM if the manifest says it needs more than ram_max ("decoder
 * needs 9437184 bytes, allowed are 8388608"); OTA_E_NOTFOUND for a codec not built in;
 * OTA_E_PRECURSOR if from->len is not manifest->from_len; OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_decoder_new(const struct ota_manifest *manifest,
	const struct ota_source *from, const struct ota_sink *out, uint64_t ram_max,
	struct ota_decoder **decoder, struct ota_error *err);

/**
 * Go on where another decoder of the same patch was cut off. Called before the first
 * feed, at most once; the patch is fed from its start all the same.
 *
 * have   what is in place of the new image, from its start; borrowed for the call. It is
 *        read for the digest, and out gets what comes behind it.
 *
 * Returns OTA_OK; OTA_E_LIMIT if have is longer than the image; OTA_E_NOMEM; or what have
 * returned. After a failure only ota_decoder_free() may be called. Where what is in
 * place is wrong, ota_decoder_finish() finds OTA_E_DIGEST.
 */
OTA_CHECKED enum ota_code ota_decoder_resume(struct ota_decoder *decoder,
	const struct ota_source *have, struct ota_error *err);

/**
 * Feed the next bytes of the patch, in order, any number at a time.
 *
 * Returns OTA_OK; OTA_E_DECODER for a stream that is malformed, wants more memory than
 * the cap, or produces more than to_len bytes; or what a port returned. After a failure
 * only ota_decoder_free() may be called.
 */
OTA_CHECKED enum ota_code ota_decoder_feed(
	struct ota_decoder *decoder, struct ota_bytes data, struct ota_error *err);

/**
 * All bytes were fed: check that the image is whole.
 *
 * Returns OTA_OK; OTA_E_DECODER if the stream or the image is short; OTA_E_DIGEST if the
 * image's digest is not manifest->to.
 */
OTA_CHECKED enum ota_code ota_decoder_finish(
	struct ota_decoder *decoder, struct ota_error *err);

/** Bytes of the new image that are in place: found there or written so far. */
uint64_t ota_decoder_written(const struct ota_decoder *decoder);

/** The most bytes of heap the decoder held at any moment. */
uint64_t ota_decoder_ram_peak(const struct ota_decoder *decoder);

/** Release a decoder at any point. NULL is allowed. */
void ota_decoder_free(struct ota_decoder *decoder);

#endif
