#include "agent/port/install_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/image_file.h"
#include "agent/port/spool.h"
#include "proto/base/own.h"
#include "proto/delta/decode.h"
#include "proto/io/files.h"

/* A patch in the spool, which another, less trusted process writes. */
struct patch {
	struct ota_manifest manifest; /* owned; its digest is the one ordered */
	int fd;                       /* owned */
	uint8_t *chunk;               /* owned, manifest.chunk_len bytes */
};

static void patch_fini(struct patch *patch)
{
	ota_manifest_fini(&patch->manifest);
	if (patch->fd >= 0)
		(void)close(patch->fd);
	free(patch->chunk);
	*patch = (struct patch){ .fd = -1 };
}

static OTA_CHECKED enum ota_code open_data(
	const struct install_work *work, int *out, struct ota_error *err)
{
	char path[AGENT_PATH_CAP + OTA_DIGEST_HEX_CAP + sizeof SPOOL_DATA + 1];
	char hex[OTA_DIGEST_HEX_CAP], dir[sizeof path];
	ota_autoclose int fd = -1;
	struct stat st;
	enum ota_code rc;

	ota_digest_hex(&work->patch, hex);
	rc = ota_path_join(work->spool_dir, hex, dir, sizeof dir, err);
	if (rc == OTA_OK)
		rc = ota_path_join(dir, SPOOL_DATA, path, sizeof path, err);
	if (rc != OTA_OK)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return ota_fail(err, OTA_E_IO, "%s: not a file", path);
	*out = fd;
	fd = -1;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code open_patch(
	const struct install_work *work, struct patch *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	OTA_AUTO(patch_fini) struct patch patch = { .fd = -1 };
	enum ota_code rc =
		spool_manifest_read(work->spool_dir, &work->patch, &bytes, err);

	if (rc == OTA_OK)
		rc = ota_manifest_parse(ota_buf_bytes(&bytes), &patch.manifest, err);
	if (rc == OTA_OK)
		rc = open_data(work, &patch.fd, err);
	if (rc != OTA_OK)
		return rc;
	patch.chunk = malloc(patch.manifest.chunk_len);
	if (patch.chunk == NULL)
		return ota_fail(err, OTA_E_NOMEM, "chunk");
	*out = patch;
	patch = (struct patch){ .fd = -1 };
	return OTA_OK;
}

/* Read a chunk into memory that nobody else writes, then look at its digest. A chunk that
 * is not there is as wrong as one that is changed. */
static OTA_CHECKED enum ota_code read_chunk(
	struct patch *patch, uint32_t i, struct ota_bytes *out, struct ota_error *err)
{
	uint32_t len = ota_manifest_chunk_len(&patch->manifest, i);
	struct ota_bytes data = { patch->chunk, len };
	struct ota_digest digest;
	enum ota_code rc = ota_fd_read_at(patch->fd,
		(uint64_t)i * patch->manifest.chunk_len, patch->chunk, len, NULL);

	if (rc == OTA_OK)
		digest = ota_digest_of(data);
	if (rc != OTA_OK || !ota_digest_equal(&digest, &patch->manifest.chunks[i]))
		return ota_fail(err, OTA_E_DIGEST, "chunk %u in the spool", i);
	*out = data;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_stop(
	const struct install_work *work, struct ota_error *err)
{
	return atomic_load(&work->stop) ? ota_fail(err, OTA_E_CANCELLED, "told to stop")
					: OTA_OK;
}

enum ota_code install_work_verify(const struct install_work *work, struct ota_error *err)
{
	OTA_AUTO(patch_fini) struct patch patch = { .fd = -1 };
	enum ota_code rc = open_patch(work, &patch, err);
	struct ota_bytes data;

	for (uint32_t i = 0; rc == OTA_OK && i < patch.manifest.chunk_count; i++) {
		rc = check_stop(work, err);
		if (rc == OTA_OK)
			rc = read_chunk(&patch, i, &data, err);
	}
	return rc;
}

/* The image being written. */
struct target {
	int fd;          /* owned */
	uint64_t offset; /* bytes written so far */
};

static void target_fini(struct target *target)
{
	if (target->fd >= 0)
		(void)close(target->fd);
	target->fd = -1;
}

static enum ota_code write_target(void *ctx, struct ota_bytes data)
{
	struct target *target = ctx;
	enum ota_code rc = ota_fd_write_at(target->fd, target->offset, data, NULL);

	target->offset += data.len;
	return rc;
}

static OTA_CHECKED enum ota_code open_target(const struct slot_place *place,
	const struct ota_manifest *manifest, struct target *out, struct ota_error *err)
{
	enum ota_code rc = slot_medium_of(place->config)
				   ->open_target(place, manifest->to_len, &out->fd, err);

	if (rc == OTA_OK && !slot_medium_of(place->config)->is_fixed &&
		ftruncate(out->fd, 0) != 0)
		rc = ota_fail(err, OTA_E_IO, "slot: %s", strerror(errno));
	return rc;
}

static OTA_CHECKED enum ota_code feed_all(const struct install_work *work,
	struct patch *patch, struct ota_decoder *decoder, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;
	struct ota_bytes data;

	for (uint32_t i = 0; rc == OTA_OK && i < patch->manifest.chunk_count; i++) {
		rc = check_stop(work, err);
		if (rc != OTA_OK)
			return rc;
		rc = read_chunk(patch, i, &data, err);
		if (rc != OTA_OK)
			return ota_wrap(
				err, OTA_E_MEDIA, "changed after it was verified");
		rc = ota_decoder_feed(decoder, data, err);
	}
	return rc == OTA_OK ? ota_decoder_finish(decoder, err) : rc;
}

static void free_decoder(struct ota_decoder **decoder)
{
	ota_decoder_free(*decoder);
}

static OTA_CHECKED enum ota_code decode(const struct install_work *work,
	struct patch *patch, struct target *target, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file from = { 0 };
	OTA_AUTO(free_decoder) struct ota_decoder *decoder = NULL;
	const struct ota_sink sink = { .ctx = target, .write = write_target };
	struct ota_source source;
	enum ota_code rc = slot_image_open(&work->from, work->from_len, &from, err);

	if (rc != OTA_OK)
		return rc;
	source = image_file_source(&from);
	rc = ota_decoder_new(
		&patch->manifest, &source, &sink, work->ram_max, &decoder, err);
	return rc == OTA_OK ? feed_all(work, patch, decoder, err) : rc;
}

/* What the medium gives back, not what the page cache remembers. */
static OTA_CHECKED enum ota_code read_back(const struct install_work *work,
	const struct ota_manifest *manifest, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	struct ota_digest digest;
	enum ota_code rc = slot_image_open(&work->to, manifest->to_len, &image, err);

	if (rc != OTA_OK)
		return rc;
	(void)posix_fadvise(image.fd, 0, 0, POSIX_FADV_DONTNEED);
	rc = image_file_digest(&image, &work->stop, &digest, err);
	if (rc == OTA_OK && !ota_digest_equal(&digest, &manifest->to))
		rc = ota_fail(err, OTA_E_MEDIA, "slot reads back as something else");
	return rc;
}

enum ota_code install_work_apply(const struct install_work *work, struct ota_error *err)
{
	OTA_AUTO(patch_fini) struct patch patch = { .fd = -1 };
	OTA_AUTO(target_fini) struct target target = { .fd = -1 };
	enum ota_code rc = open_patch(work, &patch, err);

	if (rc == OTA_OK)
		rc = open_target(&work->to, &patch.manifest, &target, err);
	if (rc == OTA_OK)
		rc = decode(work, &patch, &target, err);
	if (rc == OTA_OK)
		rc = ota_fd_sync(target.fd, err);
	if (rc == OTA_OK)
		rc = read_back(work, &patch.manifest, err);
	return rc == OTA_OK ? slot_medium_of(work->to.config)
				      ->settle(&work->to, patch.manifest.to_len,
					      &work->stop, err)
			    : rc;
}
