#include "proto/delta/encode.h"

#include <inttypes.h>

#include "proto/base/own.h"
#include "proto/delta/encoder.h"
#include "proto/delta/patch_out.h"

enum {
	LEVEL = 19, /* of zstd, the default */
	LEVEL_MAX = 19,
	WINDOW_LOG_MIN = 10,
	/* What a decoder may need on a device beyond what it needed here: other word
	 * sizes, other versions of the libraries. */
	RAM_MARGIN = 64 << 10, /* bytes */
	RAM_MARGIN_DIVISOR = 16,
	/* For decoding here, which shall measure and not refuse. */
	RAM_HERE_MAX = 1 << 30, /* bytes */
};

static const struct ota_encoder_row *const rows[] = {
	&ota_encoder_full,
	&ota_encoder_vcdiff,
	&ota_encoder_predict,
};

static const struct ota_encoder_row *row_of(uint8_t codec)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i]->codec == codec)
			return rows[i];
	return NULL;
}

/* Put the defaults in, and refuse what is out of range. */
static enum ota_code settle(struct ota_encode_options *options, struct ota_error *err)
{
	if (options->level == 0)
		options->level = LEVEL;
	if (options->chunk_len == 0)
		options->chunk_len = OTA_CHUNK_LEN;
	if (options->ram_max == 0)
		options->ram_max = OTA_DECODER_RAM;
	if (options->level < 1 || options->level > LEVEL_MAX)
		return ota_fail(err, OTA_E_LIMIT, "level %d", options->level);
	if (options->chunk_len < OTA_CHUNK_LEN_MIN || options->chunk_len > OTA_CHUNK_LEN)
		return ota_fail(err, OTA_E_LIMIT, "chunks of %" PRIu32 " bytes",
			options->chunk_len);
	return OTA_OK;
}

/* The largest window that leaves the decoder room for the rest. */
static uint8_t window_log_of(const struct ota_encoder_row *row, uint64_t ram_max)
{
	uint8_t log = row->window_log_max;

	while (log > WINDOW_LOG_MIN &&
		(UINT64_C(1) << log) + row->beside_ram_max > ram_max)
		log--;
	return log;
}

/* Say that all is done; a caller may still cancel. */
static enum ota_code tick_last(const struct ota_encode_job *job, struct ota_error *err)
{
	const struct ota_progress *progress = &job->progress;

	if (progress->tick != NULL &&
		!progress->tick(progress->ctx, job->to->len, job->to->len))
		return ota_fail(err, OTA_E_CANCELLED, "cancelled");
	return OTA_OK;
}

static bool tick_before(void *ctx, uint64_t done, uint64_t total)
{
	const struct ota_encode_job *job = ctx;

	(void)done;
	(void)total;
	return job->progress.tick(job->progress.ctx, 0, job->to->len);
}

/* The old image's part of the manifest. Progress stands still but may cancel. */
static enum ota_code describe_from(
	struct ota_encode_job *job, struct ota_manifest *manifest, struct ota_error *err)
{
	struct ota_progress progress = { job, tick_before };

	if (job->progress.tick == NULL)
		progress = (struct ota_progress){ 0 };
	manifest->from_len = job->from->len;
	return ota_source_digest(job->from, &progress, &manifest->from, err);
}

/* The heap a device must have, from what decoding took here. */
static enum ota_code promise_ram(const struct ota_decoder *decoder, uint64_t ram_max,
	struct ota_manifest *manifest, struct ota_error *err)
{
	uint64_t peak = ota_decoder_ram_peak(decoder);

	manifest->decoder_ram = peak + peak / RAM_MARGIN_DIVISOR + RAM_MARGIN;
	if (manifest->decoder_ram > ram_max)
		return ota_fail(err, OTA_E_LIMIT,
			"the decoder would need %" PRIu64 " bytes, allowed are %" PRIu64,
			manifest->decoder_ram, ram_max);
	return OTA_OK;
}

static enum ota_code nowhere(void *ctx, struct ota_bytes data)
{
	(void)ctx;
	(void)data;
	return OTA_OK;
}

static enum ota_code patch_take(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	return ota_patch_out_add(ctx, data, err);
}

static void decoder_freep(struct ota_decoder **decoder)
{
	ota_decoder_free(*decoder);
}

/* Encode, and decode what comes out as it comes. The decoder borrows the manifest, whose
 * raw_len and to digest become known on the way: it uses them when it finishes. */
static enum ota_code encode(const struct ota_encode_job *job,
	const struct ota_encoder_row *row, const struct ota_sink *out,
	struct ota_manifest *manifest, struct ota_error *err)
{
	OTA_AUTO(decoder_freep) struct ota_decoder *decoder = NULL;
	OTA_AUTO(ota_patch_out_fini) struct ota_patch_out patch = { 0 };
	const struct ota_sink check = { .write = nowhere };
	struct ota_image_in to;
	struct ota_encoder_job part = { job->from, &to, job->options.level,
		manifest->window_log, job->options.workers, job->crew, job->explain,
		{ &patch, patch_take } };
	enum ota_code rc;

	manifest->raw_len = UINT64_MAX;
	rc = ota_decoder_new(manifest, job->from, &check, RAM_HERE_MAX, &decoder, err);
	if (rc != OTA_OK)
		return rc;
	rc = ota_patch_out_init(&patch, out, decoder, job->options.chunk_len);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "no memory for chunk digests");

	ota_image_in_init(&to, job->to, &job->progress);
	rc = row->encode(&part, &manifest->raw_len, err);
	if (rc == OTA_OK)
		rc = ota_patch_out_finish(&patch, err);
	if (rc != OTA_OK)
		return rc;

	manifest->to = ota_hasher_result(&to.hasher);
	rc = ota_decoder_finish(decoder, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "the patch made does not decode");
	manifest->patch_len = patch.len;
	manifest->chunk_count = patch.chunk_count;
	manifest->chunks = ota_take(&patch.chunks);
	return promise_ram(decoder, job->options.ram_max, manifest, err);
}

enum ota_code ota_patch_encode(const struct ota_encode_job *job,
	const struct ota_sink *out, struct ota_manifest *manifest, struct ota_error *err)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest made = { 0 };
	const struct ota_encoder_row *row = row_of(job->codec);
	struct ota_encode_job settled = *job;
	enum ota_code rc;

	if (row == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "codec %u is not built in",
			(unsigned)job->codec);
	rc = settle(&settled.options, err);
	if (rc != OTA_OK)
		return rc;

	made.codec = job->codec;
	made.window_log = window_log_of(row, settled.options.ram_max);
	made.chunk_len = settled.options.chunk_len;
	made.to_len = job->to->len;
	if (row->has_from)
		rc = describe_from(&settled, &made, err);
	if (rc == OTA_OK)
		rc = encode(&settled, row, out, &made, err);
	if (rc == OTA_OK)
		rc = tick_last(job, err);
	if (rc != OTA_OK)
		return rc;
	*manifest = made;
	made = (struct ota_manifest){ 0 };
	return OTA_OK;
}
