#include "orchestrator/cli/patch_file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/cli/patch_file.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

static enum ota_code image_read(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	const struct image_file *image = ctx;

	return ota_fd_read_at(image->fd, offset, out, len, NULL);
}

/* Open a file or block device for reading; its length is where its end is. */
static enum ota_code open_data(
	const char *path, int *fd, uint64_t *len, struct ota_error *err)
{
	struct stat st;
	off_t end;

	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if (fstat(*fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return ota_fail(err, OTA_E_USAGE, "%s: is no file or block device", path);
	end = lseek(*fd, 0, SEEK_END);
	if (end < 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	*len = (uint64_t)end;
	return OTA_OK;
}

enum ota_code image_file_open(
	struct image_file *image, const char *path, struct ota_error *err)
{
	image->source = (struct ota_source){ .ctx = image, .read = image_read };
	return open_data(path, &image->fd, &image->source.len, err);
}

void image_file_fini(struct image_file *image)
{
	if (image->fd >= 0)
		(void)close(image->fd);
	*image = (struct image_file){ .fd = -1 };
}

/* The first 8 bytes, untrusted. */
static enum ota_code read_head(
	int fd, uint64_t file_len, uint32_t *manifest_len, struct ota_error *err)
{
	uint8_t head[PATCH_FILE_HEAD_LEN];
	struct ota_reader r = ota_reader_of((struct ota_bytes){ head, sizeof head });
	enum ota_code rc;

	if (file_len < sizeof head)
		return ota_fail(err, OTA_E_FORMAT, "not a patch file");
	rc = ota_fd_read_at(fd, 0, head, sizeof head, err);
	if (rc != OTA_OK)
		return rc;
	if (memcmp(ota_read(&r, 4), PATCH_FILE_MAGIC, 4) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not a patch file");
	*manifest_len = ota_read_le32(&r);
	if (*manifest_len > OTA_MANIFEST_LEN_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "manifest of %" PRIu32 " bytes", *manifest_len);
	if (*manifest_len > file_len - sizeof head)
		return ota_fail(err, OTA_E_FORMAT, "the patch file is cut short");
	return OTA_OK;
}

static enum ota_code read_manifest(
	struct patch_file_reader *reader, uint32_t len, struct ota_error *err)
{
	ota_autofree uint8_t *bytes = malloc(len > 0 ? len : 1);
	enum ota_code rc;

	if (bytes == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for the manifest");
	rc = ota_fd_read_at(reader->fd, PATCH_FILE_HEAD_LEN, bytes, len, err);
	if (rc != OTA_OK)
		return rc;
	reader->patch_at = PATCH_FILE_HEAD_LEN + (uint64_t)len;
	return ota_manifest_parse(
		(struct ota_bytes){ bytes, len }, &reader->manifest, err);
}

static enum ota_code read_front(
	struct patch_file_reader *reader, uint64_t file_len, struct ota_error *err)
{
	uint32_t manifest_len = 0;
	enum ota_code rc = read_head(reader->fd, file_len, &manifest_len, err);

	if (rc == OTA_OK)
		rc = read_manifest(reader, manifest_len, err);
	if (rc != OTA_OK)
		return rc;
	if (file_len - reader->patch_at != reader->manifest.patch_len)
		return ota_fail(err, OTA_E_FORMAT,
			"holds %" PRIu64 " bytes of patch, its manifest says %" PRIu64,
			file_len - reader->patch_at, reader->manifest.patch_len);
	reader->chunk = malloc(reader->manifest.chunk_len);
	if (reader->chunk == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for a chunk");
	return OTA_OK;
}

enum ota_code patch_file_reader_open(
	struct patch_file_reader *reader, const char *path, struct ota_error *err)
{
	uint64_t file_len = 0;
	enum ota_code rc = open_data(path, &reader->fd, &file_len, err);

	if (rc != OTA_OK)
		return rc;
	rc = read_front(reader, file_len, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "%s", path);
}

enum ota_code patch_file_reader_chunk(struct patch_file_reader *reader, uint32_t index,
	struct ota_bytes *data, struct ota_error *err)
{
	const struct ota_manifest *manifest = &reader->manifest;
	struct ota_bytes chunk = { reader->chunk,
		ota_manifest_chunk_len(manifest, index) };
	uint64_t at = reader->patch_at + (uint64_t)index * manifest->chunk_len;
	enum ota_code rc = ota_fd_read_at(reader->fd, at, reader->chunk, chunk.len, err);
	struct ota_digest digest;

	if (rc != OTA_OK)
		return rc;
	digest = ota_digest_of(chunk);
	if (!ota_digest_equal(&digest, &manifest->chunks[index]))
		return ota_fail(err, OTA_E_DIGEST,
			"chunk %" PRIu32 " of the patch file is damaged", index);
	*data = chunk;
	return OTA_OK;
}

void patch_file_reader_fini(struct patch_file_reader *reader)
{
	if (reader->fd >= 0)
		(void)close(reader->fd);
	ota_manifest_fini(&reader->manifest);
	free(reader->chunk);
	*reader = (struct patch_file_reader){ .fd = -1 };
}
