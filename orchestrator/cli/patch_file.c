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
	uint64_t reached; /* what was told last */
};

/* Encoders may begin a stretch anew; who watches never sees less than before. */
static bool share_tick(void *ctx, uint64_t done, uint64_t total)
{
	struct share *share = ctx;
	uint64_t now = share->number * total + done;

	if (now > share->reached)
		share->reached = now;
	return share->progress->tick(
		share->progress->ctx, share->reached, share->count * total);
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

/* A patch file being made, by as many codecs as may win. */
struct making {
	const struct patch_file_job *job; /* borrowed */
	struct images images;
	struct share share;
	struct attempt best; /* of no codec before one has succeeded */
};

static void making_fini(struct making *making)
{
	attempt_fini(&making->best);
	images_fini(&making->images);
}

/* What may lose early is compressed on one thread: its bytes come as it goes, where
 * threads hold theirs back until each has done many MiB. */
static enum ota_code encode(struct making *making, uint8_t codec, struct attempt *attempt,
	struct ota_error *err)
{
	uint32_t crew = ota_crew_size();
	struct ota_encode_job job = { .codec = codec,
		.from = &making->images.old.source,
		.to = &making->images.new.source,
		.options.workers = attempt->give_up_len == 0 ? crew : 0,
		.progress = { &making->share, share_tick },
		.crew = { &crew, ota_crew_run } };
	struct ota_sink sink = { attempt, attempt_write };

	if (making->job->explain != NULL)
		job.explain = patch_explain_port(making->job->explain);
	if (making->share.progress->tick == NULL)
		job.progress = (struct ota_progress){ 0 };
	return ota_patch_encode(&job, &sink, &attempt->manifest, err);
}

/* Is a patch of that codec what was asked for? */
static bool is_wanted(const struct making *making, uint8_t codec)
{
	return making->job->codec == codec || making->job->codec == PATCH_FILE_AUTO;
}

/* Keep a patch if it is the best one. */
static void keep_best(struct making *making, struct attempt *attempt)
{
	const struct attempt *best = &making->best;
	struct attempt was = making->best;

	if (best->manifest.codec != 0 && best->patch.len <= attempt->patch.len)
		return;
	making->best = *attempt;
	*attempt = was;
}

/* Make a patch that may become the best one. Give up once it cannot, unless it is to be
 * told how long it would have been. */
static enum ota_code try_codec(
	struct making *making, uint8_t codec, struct ota_error *err)
{
	struct patch_explain *explain = making->job->explain;
	OTA_AUTO(attempt_fini)
	struct attempt attempt = { .patch.fd = -1,
		.give_up_len = explain == NULL ? making->best.patch.len : 0 };
	enum ota_code rc = file_out_begin(&attempt.patch, making->job->patch_path, err);

	if (rc == OTA_OK)
		rc = encode(making, codec, &attempt, err);
	if (attempt.lost)
		return OTA_OK;
	if (rc != OTA_OK)
		return rc;
	if (explain != NULL)
		explain->patch_len[codec] = attempt.patch.len;
	if (is_wanted(making, codec))
		keep_best(making, &attempt);
	return OTA_OK;
}

/* Some images are too much for codec predict, and others do without. */
static bool is_excused(const struct making *making, uint8_t codec, enum ota_code rc)
{
	bool is_spare = codec == OTA_CODEC_PREDICT ? making->job->codec != codec
						   : !is_wanted(making, codec);

	return is_spare && (rc == OTA_E_LIMIT || rc == OTA_E_NOMEM);
}

/* The codec that mostly wins comes first, so that the others stop early. */
static enum ota_code try_all(struct making *making, struct ota_error *err)
{
	static const uint8_t codecs[] = { OTA_CODEC_PREDICT, OTA_CODEC_VCDIFF,
		OTA_CODEC_FULL };
	enum ota_code rc = OTA_OK;

	making->share.count = sizeof codecs;
	for (unsigned i = 0; i < sizeof codecs && rc == OTA_OK; i++) {
		making->share.number = i;
		rc = try_codec(making, codecs[i], err);
		if (is_excused(making, codecs[i], rc))
			rc = OTA_OK;
	}
	return rc;
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
	OTA_AUTO(making_fini)
	struct making making = { .job = job,
		.images = { .old.fd = -1, .new.fd = -1 },
		.share = { &job->progress, 0, 1, 0 },
		.best.patch.fd = -1 };
	enum ota_code rc = image_file_open(&making.images.old, job->old_path, err);

	if (rc == OTA_OK)
		rc = image_file_open(&making.images.new, job->new_path, err);
	if (rc == OTA_OK)
		rc = job->codec == PATCH_FILE_AUTO || job->explain != NULL
			     ? try_all(&making, err)
			     : try_codec(&making, job->codec, err);
	if (rc == OTA_OK)
		rc = write_patch_file(job->patch_path, &making.best, err);
	if (rc == OTA_OK)
		give(&making.best.manifest, manifest);
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
