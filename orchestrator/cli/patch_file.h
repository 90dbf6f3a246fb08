#ifndef ORCHESTRATOR_CLI_PATCH_FILE_H
#define ORCHESTRATOR_CLI_PATCH_FILE_H

/* A patch in one file: what `sluice diff` writes and `sluice patch` applies, without a
 * fleet. Its manifest and its bytes are those that would travel.
 *
 *   offset  size  field
 *        0     4  magic         "OTAP"
 *        4     4  manifest_len  u32le, bytes, at most OTA_MANIFEST_LEN_MAX
 *        8     .  manifest      proto/wire/manifest.h
 *        .     .  patch         manifest.patch_len bytes: one zstd frame; with codec
 *                               predict, raw LZMA2
 *
 * Nothing follows. Cut out, the frame is read by the zstd program; what it holds is the
 * image, or, with codec vcdiff, a delta that the xdelta3 program decodes. LZMA2 is read
 * by the xz program (--format=raw --lzma2=dict=2MiB); what it holds is described in
 * proto/delta/README.md. */

#include "orchestrator/cli/patch_explain.h"
#include "proto/delta/codec.h"

enum {
	PATCH_FILE_HEAD_LEN = 8, /* bytes before the manifest */
	/* In place of a codec: the one whose patch is smallest. Codecs predict, vcdiff
	 * and full are tried in this order, each until it has as many bytes as the best
	 * one before. Images that are too much for predict (OTA_E_LIMIT, OTA_E_NOMEM)
	 * are left to the others. */
	PATCH_FILE_AUTO = 0,
};

struct patch_file_job {
	const char *old_path;         /* image to start from; file or block device */
	const char *patch_path;       /* the patch file */
	const char *new_path;         /* image to arrive at */
	uint8_t codec;                /* enum ota_codec_id or PATCH_FILE_AUTO */
	struct ota_progress progress; /* may be { 0 } */
	/* Borrowed; NULL: nobody asks. Else patches of all codecs are made to their ends,
	 * whichever is kept. */
	struct patch_explain *explain;
};

/**
 * Make patch_path from old_path and new_path, for a decoder with OTA_DECODER_RAM.
 *
 * manifest  filled on success, may be NULL; ota_manifest_fini() is the caller's
 *
 * Returns OTA_OK, or what ota_patch_encode() and the files returned. patch_path is
 * replaced on success only.
 */
OTA_CHECKED enum ota_code patch_file_make(const struct patch_file_job *job,
	struct ota_manifest *manifest, struct ota_error *err);

/**
 * Make new_path from old_path and patch_path. The codec of the job is not used; a full
 * patch does not read old_path.
 *
 * Returns OTA_OK; OTA_E_FORMAT or OTA_E_LIMIT if patch_path is no patch file;
 * OTA_E_DIGEST if it was damaged; OTA_E_PRECURSOR if old_path is not the image it is for;
 * OTA_E_CANCELLED; or what ota_decoder_new() and the files returned. new_path is replaced
 * on success only, and then holds the image with the digest in the manifest.
 */
OTA_CHECKED enum ota_code patch_file_apply(const struct patch_file_job *job,
	struct ota_manifest *manifest, struct ota_error *err);

/** Read the manifest of a patch file. OTA_OK, OTA_E_FORMAT, OTA_E_LIMIT or OTA_E_IO. */
OTA_CHECKED enum ota_code patch_file_inspect(
	const char *patch_path, struct ota_manifest *manifest, struct ota_error *err);

/** Write the patch of a patch file to out_path, its chunks checked. Codes as for
 *  patch_file_apply(). */
OTA_CHECKED enum ota_code patch_file_extract(
	const char *patch_path, const char *out_path, struct ota_error *err);

#endif
