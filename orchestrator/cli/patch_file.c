#include "orchestrator/cli/patch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/cli/file_out.h"
#include "orchestrator/cli/patch_file_read.h"
#include "proto/base/own.h"
#include "proto/delta/decode.h"
#include "proto/delta/encode.h"
#include "proto/io/crew.h"
#include "proto/io/files.h"

enum { APPLY_RAM_MAX = 256 << 20 }; /* bytes; a workstation, not a gateway */

/* One attempt at a patch, kept in a nameless file until it has won. */
struct attempt {
	struct file_out patch;
	struct ota_manifest manifest;
	uint64_t give_up_len; /* bytes from which on it has lost; 0: none */
	bool lost;
};

static void attempt_fini(struct attempt *attempt)
{
	file_out_fini(&attempt->patch);
	ota_manifest_fini(&attempt->manifest);
}

static enum ota_code attempt_write(void *ctx, struct ota_bytes data)
{
	struct attempt *attempt = ctx;

	if (attempt->give_up_len != 0 &&
		attempt->patch.len + data.len >= attempt->give_up_len) {
		attempt->lost = true;
		return OTA_E_CANCELLED;
	}
	return file_out_add(&attempt->patch, data, NULL);
}

/* The part of the whole work that one encoding is. */
struct share {
	const struct ota_progress *progress;
	unsigned number, count;
};

static bool share_tick(void *ctx, uint64_t done, uint64_t total)
{
	const struct share *share = ctx;

	return share->progress->tick(
		share->progress->ctx, share->number * total + done, share->count * total);
}

/* The images of a job, open. */
struct images {
	struct image_file old, new;
};

static void images_fini(struct images *images)
{
	image_file_fini(&images->old);
	image_file_fini(&images->new);
}

static enum ota_code encode(const struct images *images, uint8_t codec,
	struct share *share, struct attempt *attempt, struct ota_error *err)
{
	uint32_t workers = ota_crew_size();
	struct ota_encode_job job = { .codec = codec,
		.from = &images->old.source,
		.to = &images->new.source,
		.options.workers = workers,
		.progress = { share, share_tick },
		.crew = { &workers, ota_crew_run } };
	struct ota_sink sink = { attempt, attempt_write };

	if (share->progress->tick == NULL)
		job.progress = (struct ota_progress){ 0 };
	return ota_patch_encode(&job, &sink, &attempt->manifest, err);
}

/* The delta first; then the full image, until it is the longer one. */
static enum ota_code encode_smallest(const struct patch_file_job *job,
	const struct images *images, struct attempt *best, struct ota_error *err)
{
	OTA_AUTO(attempt_fini) struct attempt full = { .patch.fd = -1 };
	struct share share = { &job->progress, 0, 2 };
	enum ota_code rc = encode(images, OTA_CODEC_VCDIFF, &share, best, err);

	if (rc != OTA_OK)
		return rc;
	rc = file_out_begin(&full.patch, job->patch_path, err);
	if (rc != OTA_OK)
		return rc;
	full.give_up_len = best->patch.len;
	share.number = 1;
	rc = encode(images, OTA_CODEC_FULL, &share, &full, err);
	if (full.lost)
		return OTA_OK;
	if (rc != OTA_OK)
		return rc;
	attempt_fini(best);
	*best = full;
	full = (struct attempt){ .patch.fd = -1 };
	return OTA_OK;
}

static enum ota_code encode_job(const struct patch_file_job *job,
	const struct images *images, struct attempt *best, struct ota_error *err)
{
	struct share share = { &job->progress, 0, 1 };
	enum ota_code rc = file_out_begin(&best->patch, job->patch_path, err);

	if (rc != OTA_OK)
		return rc;
	if (job->codec == PATCH_FILE_AUTO)
		return encode_smallest(job, images, best, err);
	return encode(images, job->codec, &share, best, err);
}

static enum ota_code add_head(
	struct file_out *out, const struct ota_manifest *manifest, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf head = { 0 };
	enum ota_code rc = ota_manifest_encode(manifest, &bytes, err);

	if (rc != OTA_OK)
		return rc;
	rc = ota_buf_add(&head, ota_bytes_of(PATCH_FILE_MAGIC));
	if (rc == OTA_OK)
		rc = ota_buf_add_le32(&head, (uint32_t)bytes.len);
	if (rc == OTA_OK)
		rc = ota_buf_add(&head, ota_buf_bytes(&bytes));
	if (rc != OTA_OK)
		return ota_fail(err, rc, "no memory for the manifest");
	return file_out_add(out, ota_buf_bytes(&head), err);
}

/* Append what was kept nameless. */
static enum ota_code add_patch(
	struct file_out *out, const struct file_out *patch, struct ota_error *err)
{
	uint8_t piece[65536];

	for (uint64_t at = 0; at < patch->len; at += sizeof piece) {
		uint64_t left = patch->len - at;
		struct ota_bytes data = { piece,
			left < sizeof piece ? (size_t)left : sizeof piece };
		enum ota_code rc = ota_fd_read_at(patch->fd, at, piece, data.len, err);

		if (rc == OTA_OK)
			rc = file_out_add(out, data, err);
		if (rc != OTA_OK)
			return rc;
	}
	return OTA_OK;
}

static enum ota_code write_patch_file(
	const char *path, const struct attempt *best, struct ota_error *err)
{
	OTA_AUTO(file_out_fini) struct file_out out = { .fd = -1 };
	enum ota_code rc = file_out_begin(&out, path, err);

	if (rc == OTA_OK)
		rc = add_head(&out, &best->manifest, err);
	if (rc == OTA_OK)
		rc = add_patch(&out, &best->patch, err);
	if (rc == OTA_OK)
		rc = file_out_commit(&out, err);
	return rc;
}

/* Hand the manifest to a caller who wants it. */
static void give(struct ota_manifest *from, struct ota_manifest *to)
{
	if (to == NULL)
		return;
	*to = *from;
	*from = (struct ota_manifest){ 0 };
}

enum ota_code patch_file_make(const struct patch_file_job *job,
	struct ota_manifest *manifest, struct ota_error *err)
{
	OTA_AUTO(images_fini) struct images images = { .old.fd = -1, .new.fd = -1 };
	OTA_AUTO(attempt_fini) struct attempt best = { .patch.fd = -1 };
	enum ota_code rc = image_file_open(&images.old, job->old_path, err);

	if (rc == OTA_OK)
		rc = image_file_open(&images.new, job->new_path, err);
	if (rc == OTA_OK)
		rc = encode_job(job, &images, &best, err);
	if (rc == OTA_OK)
		rc = write_patch_file(job->patch_path, &best, err);
	if (rc == OTA_OK)
		give(&best.manifest, manifest);
	return rc;
}

/* What a decoding works on. */
struct decoding {
	struct image_file old;
	struct patch_file_reader patch;
	struct file_out new;
	struct ota_decoder *decoder; /* owned */
};

static void decoding_fini(struct decoding *decoding)
{
	ota_decoder_free(decoding->decoder);
	file_out_fini(&decoding->new);
	patch_file_reader_fini(&decoding->patch);
	image_file_fini(&decoding->old);
}

/* Open the old image and see that it is the one the patch is for. */
static enum ota_code open_precursor(const struct patch_file_job *job,
	struct decoding *decoding, struct ota_error *err)
{
	const struct ota_manifest *manifest = &decoding->patch.manifest;
	char want[OTA_DIGEST_HEX_CAP], got[OTA_DIGEST_HEX_CAP];
	struct ota_digest digest;
	enum ota_code rc;

	if (ota_digest_is_zero(&manifest->from))
		return OTA_OK;
	rc = image_file_open(&decoding->old, job->old_path, err);
	if (rc == OTA_OK)
		rc = ota_source_digest(
			&decoding->old.source, &(struct ota_progress){ 0 }, &digest, err);
	if (rc != OTA_OK)
		return rc;
	if (ota_digest_equal(&digest, &manifest->from))
		return OTA_OK;
	ota_digest_hex(&digest, got);
	ota_digest_hex(&manifest->from, want);
	return ota_fail(err, OTA_E_PRECURSOR,
		"%s has digest %.16s..., the patch is for %.16s...", job->old_path, got,
		want);
}

static enum ota_code feed_all(struct decoding *decoding,
	const struct ota_progress *progress, struct ota_error *err)
{
	struct patch_file_reader *patch = &decoding->patch;
	struct ota_bytes chunk;

	for (uint32_t i = 0; i < patch->manifest.chunk_count; i++) {
		enum ota_code rc = patch_file_reader_chunk(patch, i, &chunk, err);

		if (rc == OTA_OK)
			rc = ota_decoder_feed(decoding->decoder, chunk, err);
		if (rc != OTA_OK)
			return rc;
		if (progress->tick != NULL &&
			!progress->tick(progress->ctx,
				ota_decoder_written(decoding->decoder),
				patch->manifest.to_len))
			return ota_fail(err, OTA_E_CANCELLED, "cancelled");
	}
	return ota_decoder_finish(decoding->decoder, err);
}

enum ota_code patch_file_apply(const struct patch_file_job *job,
	struct ota_manifest *manifest, struct ota_error *err)
{
	OTA_AUTO(decoding_fini)
	struct decoding decoding = { .old.fd = -1, .patch.fd = -1, .new.fd = -1 };
	struct ota_sink sink = file_out_sink(&decoding.new);
	enum ota_code rc = patch_file_reader_open(&decoding.patch, job->patch_path, err);

	if (rc == OTA_OK)
		rc = open_precursor(job, &decoding, err);
	if (rc == OTA_OK)
		rc = file_out_begin(&decoding.new, job->new_path, err);
	if (rc == OTA_OK)
		rc = ota_decoder_new(&decoding.patch.manifest, &decoding.old.source,
			&sink, APPLY_RAM_MAX, &decoding.decoder, err);
	if (rc == OTA_OK)
		rc = feed_all(&decoding, &job->progress, err);
	if (rc == OTA_OK)
		rc = file_out_commit(&decoding.new, err);
	if (rc == OTA_OK)
		give(&decoding.patch.manifest, manifest);
	return rc;
}

enum ota_code patch_file_inspect(
	const char *patch_path, struct ota_manifest *manifest, struct ota_error *err)
{
	OTA_AUTO(patch_file_reader_fini) struct patch_file_reader reader = { .fd = -1 };
	enum ota_code rc = patch_file_reader_open(&reader, patch_path, err);

	if (rc == OTA_OK)
		give(&reader.manifest, manifest);
	return rc;
}

enum ota_code patch_file_extract(
	const char *patch_path, const char *out_path, struct ota_error *err)
{
	OTA_AUTO(patch_file_reader_fini) struct patch_file_reader reader = { .fd = -1 };
	OTA_AUTO(file_out_fini) struct file_out out = { .fd = -1 };
	struct ota_bytes chunk;
	enum ota_code rc = patch_file_reader_open(&reader, patch_path, err);

	if (rc == OTA_OK)
		rc = file_out_begin(&out, out_path, err);
	for (uint32_t i = 0; rc == OTA_OK && i < reader.manifest.chunk_count; i++) {
		rc = patch_file_reader_chunk(&reader, i, &chunk, err);
		if (rc == OTA_OK)
			rc = file_out_add(&out, chunk, err);
	}
	return rc == OTA_OK ? file_out_commit(&out, err) : rc;
}
