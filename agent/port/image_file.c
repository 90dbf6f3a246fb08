#include "agent/port/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum ota_code image_file_open(
	const char *path, struct image_file *out, struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return ota_fail(err, OTA_E_IO, "%s: not a file", path);
	*out = (struct image_file){ fd, (uint64_t)st.st_size };
	fd = -1;
	return OTA_OK;
}

void image_file_fini(struct image_file *image)
{
	if (image->fd > 0)
		(void)close(image->fd);
	*image = (struct image_file){ 0 };
}

static enum ota_code read_at(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	const struct image_file *image = ctx;

	return ota_fd_read_at(image->fd, offset, out, len, NULL);
}

struct ota_source image_file_source(struct image_file *image)
{
	return (struct ota_source){ .ctx = image, .len = image->len, .read = read_at };
}

enum ota_code image_file_digest(const struct image_file *image, const atomic_bool *stop,
	struct ota_digest *out, struct ota_error *err)
{
	ota_autofree uint8_t *piece = malloc(IMAGE_PIECE_LEN);
	struct ota_hasher hasher;
	enum ota_code rc;

	if (piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "image");
	ota_hasher_init(&hasher);
	for (uint64_t at = 0; at < image->len; at += IMAGE_PIECE_LEN) {
		uint64_t left = image->len - at;
		size_t len = left < IMAGE_PIECE_LEN ? (size_t)left : IMAGE_PIECE_LEN;

		if (stop != NULL && atomic_load(stop))
			return ota_fail(err, OTA_E_CANCELLED, "image");
		rc = ota_fd_read_at(image->fd, at, piece, len, err);
		if (rc != OTA_OK)
			return ota_wrap(err, rc, "image");
		ota_hasher_add(&hasher, (struct ota_bytes){ piece, len });
	}
	(void)posix_fadvise(image->fd, 0, 0, POSIX_FADV_DONTNEED);
	*out = ota_hasher_result(&hasher);
	return OTA_OK;
}

enum ota_code image_path_digest(const char *path, const atomic_bool *stop,
	struct ota_digest *out, uint64_t *len, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	enum ota_code rc = image_file_open(path, &image, err);

	if (rc == OTA_OK)
		rc = image_file_digest(&image, stop, out, err);
	if (rc == OTA_OK && len != NULL)
		*len = image.len;
	return rc;
}
