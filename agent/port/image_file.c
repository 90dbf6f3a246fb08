#include "agent/port/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { ALIGN_LEN = 4096 }; /* of memory and lengths past the page cache, bytes */

enum ota_code image_file_open(
	const char *path, struct image_file *out, struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image_file image = { 0 };
	struct stat st;

	if (fd < 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	image.len = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &image.len) != 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return ota_fail(err, OTA_E_IO, "%s: not a file", path);
	image.fd = fd;
	*out = image;
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

void image_file_bypass_cache(struct image_file *image)
{
	int flags = fcntl(image->fd, F_GETFL);

	(void)ioctl(image->fd, BLKFLSBUF, 0); /* of a block device */
	(void)posix_fadvise(image->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (flags >= 0)
		image->is_direct = fcntl(image->fd, F_SETFL, flags | O_DIRECT) == 0;
}

uint8_t *image_file_piece(void)
{
	return aligned_alloc(ALIGN_LEN, IMAGE_PIECE_LEN);
}

/* Past the page cache whole units are asked for, and the last may be cut by the end. */
enum ota_code image_file_read(const struct image_file *image, uint64_t at, uint8_t *piece,
	size_t len, struct ota_error *err)
{
	size_t asked = (len + ALIGN_LEN - 1) / ALIGN_LEN * ALIGN_LEN, done = 0;

	if (!image->is_direct)
		return ota_fd_read_at(image->fd, at, piece, len, err);
	while (done < len) {
		ssize_t n =
			pread(image->fd, piece + done, asked - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ota_fail(err, OTA_E_IO, "read: %s",
				n < 0 ? strerror(errno) : "past the end");
		done += (size_t)n;
	}
	return OTA_OK;
}

enum ota_code image_file_digest(const struct image_file *image, const atomic_bool *stop,
	struct ota_digest *out, struct ota_error *err)
{
	ota_autofree uint8_t *piece = image_file_piece();
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
		rc = image_file_read(image, at, piece, len, err);
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
