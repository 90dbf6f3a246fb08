#include "orchestrator/port/patch_encode.h"

#include <inttypes.h>
#include <stdio.h>

#include "orchestrator/port/cache_dir.h"
#include "orchestrator/port/cached_blocks.h"
#include "proto/base/own.h"
#include "proto/delta/encode.h"
#include "proto/io/crew.h"
#include "proto/io/files.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"

enum { GATHER_LEN = 256 * 1024 }; /* bytes written at a time */

/* A temporary file that a stream goes to. */
struct output {
	int fd; /* owned */
	char tmp[CACHE_PATH_CAP];
	uint64_t offset; /* bytes written */
	struct ota_buf gathered;
};

static void output_fini(struct output *output)
{
	if (output->fd >= 0) {
		(void)close(output->fd);
		(void)unlink(output->tmp); /* gone already if it got its name */
	}
	ota_buf_fini(&output->gathered);
}

static enum ota_code flush(struct output *output, struct ota_error *err)
{
	enum ota_code rc = ota_fd_write_at(
		output->fd, output->offset, ota_buf_bytes(&output->gathered), err);

	if (rc != OTA_OK)
		return rc;
	output->offset += output->gathered.len;
	output->gathered.len = 0;
	return OTA_OK;
}

static enum ota_code take_bytes(void *ctx, struct ota_bytes data)
{
	struct output *output = ctx;
	enum ota_code rc = ota_buf_add(&output->gathered, data);

	if (rc == OTA_OK && output->gathered.len >= GATHER_LEN)
		rc = flush(output, NULL);
	return rc;
}

static enum ota_code check_digests(const struct patch_recipe *recipe,
	const struct ota_manifest *manifest, struct ota_error *err)
{
	if (!ota_digest_equal(&manifest->to, &recipe->to))
		return ota_fail(err, OTA_E_DIGEST, "the stored new image is damaged");
	if (recipe->codec != OTA_CODEC_FULL &&
		!ota_digest_equal(&manifest->from, &recipe->from))
		return ota_fail(err, OTA_E_DIGEST, "the stored old image is damaged");
	return OTA_OK;
}

/* Both files get their names, the manifest last. */
static enum ota_code keep(const struct patch_encode *encode, struct output *output,
	const struct ota_manifest *manifest, struct patch_made *made,
	struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	char hex[OTA_DIGEST_HEX_CAP], name[OTA_DIGEST_HEX_CAP + 16];
	char path[CACHE_PATH_CAP];
	enum ota_code rc = ota_manifest_encode(manifest, &bytes, err);

	if (rc != OTA_OK)
		return rc;
	made->patch = ota_digest_of(ota_buf_bytes(&bytes));
	made->patch_len = manifest->patch_len;
	made->decoder_ram = manifest->decoder_ram;
	ota_digest_hex(&made->patch, hex);
	(void)snprintf(name, sizeof(name), "%s.patch", hex);
	rc = cache_commit(output->fd, output->tmp, encode->dir, name, err);
	if (rc != OTA_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "%s/%s.manifest", encode->dir, hex);
	return ota_file_replace(path, ota_buf_bytes(&bytes), 0600, err);
}

/* Where memory is short, asking for it may well succeed, and the process be killed for
 * using it; so what a codec will need is compared beforehand. */
static enum ota_code check_lengths(const struct patch_encode *encode,
	const struct ota_encode_job *job, struct ota_error *err)
{
	uint64_t max = encode->images_max;

	if (encode->recipe.codec != OTA_CODEC_PREDICT ||
		(job->from->len <= max && job->to->len <= max - job->from->len))
		return OTA_OK;
	return ota_fail(err, OTA_E_LIMIT,
		"images of %" PRIu64 " and %" PRIu64
		" bytes; this machine's memory does for %" PRIu64,
		job->from->len, job->to->len, max);
}

/* Work on a table is no progress with the new image, but may be cancelled like it. */
static bool go_on(void *ctx, uint64_t done, uint64_t total)
{
	const struct ota_progress *progress = ctx;

	(void)done;
	return progress->tick == NULL || progress->tick(progress->ctx, 0, total);
}

/* Devices whose source was written to repair it with its block table. A patch is as good
 * as ever without. */
static enum ota_code add_blocks(const struct patch_encode *encode,
	struct ota_manifest *manifest, struct ota_error *err)
{
	struct ota_progress progress = encode->progress;
	struct blocks_job job = { .dir = encode->dir,
		.images = encode->images,
		.image = encode->recipe.from,
		.progress = { &progress, go_on } };
	struct ota_error failed = { 0 };
	char hex[OTA_DIGEST_HEX_CAP], why[256];
	enum ota_code rc;

	if (encode->recipe.codec == OTA_CODEC_FULL)
		return OTA_OK;
	rc = cached_blocks_make(&job, &manifest->blocks, &failed);
	if (rc == OTA_E_CANCELLED)
		return ota_fail(err, rc, "%s", failed.text);
	if (rc == OTA_OK || rc == OTA_E_LIMIT)
		return OTA_OK;
	ota_digest_hex(&encode->recipe.from, hex);
	ota_log(OTA_LOG_WARNING, "blocks.failed", "image=%.12s error=%s why=%s", hex,
		ota_code_name(rc), ota_log_quote(failed.text, why));
	return OTA_OK;
}

static enum ota_code encode_into(const struct patch_encode *encode, struct output *output,
	struct ota_manifest *manifest, struct ota_error *err)
{
	OTA_AUTO(images_source_fini) struct ota_source from = { 0 };
	OTA_AUTO(images_source_fini) struct ota_source to = { 0 };
	uint32_t workers = ota_crew_size();
	struct ota_encode_job job = {
		.codec = encode->recipe.codec,
		.from = &from,
		.to = &to,
		.options = { .level = encode->level },
		.progress = encode->progress,
		.crew = { &workers, ota_crew_run },
	};
	struct ota_sink sink = { output, take_bytes };
	enum ota_code rc = images_source(encode->images, &encode->recipe.to, &to, err);

	if (rc == OTA_OK && encode->recipe.codec != OTA_CODEC_FULL)
		rc = images_source(encode->images, &encode->recipe.from, &from, err);
	if (rc == OTA_OK)
		rc = check_lengths(encode, &job, err);
	if (rc == OTA_OK)
		rc = ota_patch_encode(&job, &sink, manifest, err);
	return rc == OTA_OK ? flush(output, err) : rc;
}

enum ota_code patch_encode_run(
	const struct patch_encode *encode, struct patch_made *out, struct ota_error *err)
{
	OTA_AUTO(output_fini) struct output output = { .fd = -1 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	struct patch_made made = { 0 };
	uint64_t began_ms = ota_clock_mono_ms();
	enum ota_code rc = cache_tmp(encode->dir, output.tmp, &output.fd, err);

	if (rc == OTA_OK)
		rc = encode_into(encode, &output, &manifest, err);
	if (rc == OTA_OK)
		rc = check_digests(&encode->recipe, &manifest, err);
	if (rc == OTA_OK)
		rc = add_blocks(encode, &manifest, err);
	if (rc == OTA_OK)
		rc = keep(encode, &output, &manifest, &made, err);
	made.took_ms = ota_clock_mono_ms() - began_ms;
	if (rc == OTA_OK)
		rc = patch_recipe_store(
			encode->dir, &encode->recipe, &made.patch, made.took_ms, err);
	if (rc == OTA_OK)
		*out = made;
	return rc;
}

enum ota_code patch_encode_cached(const char *dir, const struct patch_recipe *recipe,
	struct patch_made *out, struct ota_error *err)
{
	OTA_AUTO(cached_patch_fini) struct cached_patch file = { 0 };
	struct ota_digest patch;
	uint64_t took_ms = 0;
	enum ota_code rc = patch_recipe_find(dir, recipe, &patch, &took_ms, err);

	if (rc == OTA_OK)
		rc = cached_patch_open(dir, &patch, &file, err);
	if (rc != OTA_OK)
		return rc;
	*out = (struct patch_made){ patch, file.manifest.patch_len,
		file.manifest.decoder_ram, took_ms };
	return OTA_OK;
}
