#include "orchestrator/port/images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "orchestrator/port/cache_dir.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { FLUSH_LEN = 8 << 20 }; /* bytes handed to the disk at a time */

struct images {
	char *dir; /* owned */
};

struct image_upload {
	const struct images *images; /* borrowed */
	struct ota_digest image;
	uint64_t len, done, flushed; /* bytes */
	struct ota_hasher hasher;
	int fd;                   /* owned */
	char tmp[CACHE_PATH_CAP]; /* "" once the file has its name */
};

enum ota_code images_open(const char *dir, struct images **out, struct ota_error *err)
{
	ota_autofree struct images *images = NULL;
	enum ota_code rc = cache_dir_open(dir, err);

	if (rc != OTA_OK)
		return rc;
	images = calloc(1, sizeof(*images));
	if (images)
		images->dir = strdup(dir);
	if (!images || !images->dir)
		return ota_fail(err, OTA_E_NOMEM, "images");
	*out = ota_take(&images);
	return OTA_OK;
}

void images_free(struct images *images)
{
	if (images)
		free(images->dir);
	free(images);
}

static void path_of(const struct images *images, const struct ota_digest *image,
	char path[static CACHE_PATH_CAP])
{
	char hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(image, hex);
	(void)snprintf(path, CACHE_PATH_CAP, "%s/%s", images->dir, hex);
}

bool images_has(
	const struct images *images, const struct ota_digest *image, uint64_t *len)
{
	char path[CACHE_PATH_CAP];
	struct stat st;

	path_of(images, image, path);
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (len)
		*len = (uint64_t)st.st_size;
	return true;
}

/* ---- sources */

struct image_file {
	int fd; /* owned */
};

static enum ota_code read_file(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	const struct image_file *file = ctx;

	return ota_fd_read_at(file->fd, offset, out, len, NULL);
}

enum ota_code images_source(const struct images *images, const struct ota_digest *image,
	struct ota_source *out, struct ota_error *err)
{
	ota_autofree struct image_file *file = calloc(1, sizeof(*file));
	char path[CACHE_PATH_CAP];
	struct stat st;

	if (!file)
		return ota_fail(err, OTA_E_NOMEM, "image");
	path_of(images, image, path);
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file->fd < 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"image %s: %s", path, strerror(errno));
	if (fstat(file->fd, &st) != 0) {
		(void)close(file->fd);
		return ota_fail(err, OTA_E_IO, "image %s: %s", path, strerror(errno));
	}
	*out = (struct ota_source){ ota_take(&file), (uint64_t)st.st_size, read_file };
	return OTA_OK;
}

void images_source_fini(struct ota_source *source)
{
	struct image_file *file = source->ctx;

	if (file)
		(void)close(file->fd);
	free(file);
	*source = (struct ota_source){ 0 };
}

void images_advice(const struct images *images, const struct ota_digest *image,
	char out[static OTA_ADVICE_CAP])
{
	char path[CACHE_PATH_CAP];
	ota_autoclose int fd = -1;
	struct stat st;
	void *at;

	out[0] = '\0';
	path_of(images, image, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		return;
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return;
	(void)ota_image_advice((struct ota_bytes){ at, (size_t)st.st_size }, out);
	(void)munmap(at, (size_t)st.st_size);
}

/* ---- uploads */

static void free_upload(struct image_upload **upload)
{
	image_upload_free(*upload);
}

static enum ota_code set_room_aside(
	int fd, const char *dir, uint64_t len, struct ota_error *err)
{
	int failed = posix_fallocate(fd, 0, (off_t)len);

	if (failed == 0 || failed == EOPNOTSUPP || failed == EINVAL)
		return OTA_OK;
	return ota_fail(err, failed == ENOSPC ? OTA_E_NOSPACE : OTA_E_IO,
		"%llu bytes in %s: %s", (unsigned long long)len, dir, strerror(failed));
}

enum ota_code image_upload_new(const struct images *images,
	const struct ota_digest *image, uint64_t len, struct image_upload **out,
	struct ota_error *err)
{
	OTA_AUTO(free_upload) struct image_upload *upload = NULL;
	enum ota_code rc;

	if (len == 0 || len > IMAGE_LEN_MAX)
		return ota_fail(err, OTA_E_LIMIT, "an image has 1 byte to 16 GiB");
	/* the hasher inside wants more alignment than calloc() gives */
	upload = aligned_alloc(_Alignof(struct image_upload), sizeof(*upload));
	if (!upload)
		return ota_fail(err, OTA_E_NOMEM, "upload");
	*upload = (struct image_upload){
		.images = images, .image = *image, .len = len, .fd = -1
	};
	ota_hasher_init(&upload->hasher);
	rc = cache_tmp(images->dir, upload->tmp, &upload->fd, err);
	if (rc == OTA_OK)
		rc = set_room_aside(upload->fd, images->dir, len, err);
	if (rc == OTA_OK)
		*out = ota_take(&upload);
	return rc;
}

enum ota_code image_upload_add(
	struct image_upload *upload, struct ota_bytes data, struct ota_error *err)
{
	enum ota_code rc;

	if (data.len > upload->len - upload->done)
		return ota_fail(err, OTA_E_LIMIT, "more bytes than announced");
	rc = ota_fd_write_at(upload->fd, upload->done, data, err);
	if (rc != OTA_OK)
		return rc;
	ota_hasher_add(&upload->hasher, data);
	upload->done += data.len;
	if (upload->done - upload->flushed >= FLUSH_LEN) {
		/* so that little is left for the sync at the end, on the loop thread */
		(void)sync_file_range(upload->fd, (off_t)upload->flushed,
			(off_t)(upload->done - upload->flushed), SYNC_FILE_RANGE_WRITE);
		upload->flushed = upload->done;
	}
	return OTA_OK;
}

enum ota_code image_upload_finish(struct image_upload *upload, struct ota_error *err)
{
	char name[OTA_DIGEST_HEX_CAP];
	struct ota_digest got;
	enum ota_code rc;

	if (upload->done != upload->len)
		return ota_fail(err, OTA_E_FORMAT, "%llu bytes of %llu came",
			(unsigned long long)upload->done,
			(unsigned long long)upload->len);
	got = ota_hasher_result(&upload->hasher);
	if (!ota_digest_equal(&got, &upload->image)) {
		ota_digest_hex(&got, name);
		return ota_fail(err, OTA_E_DIGEST, "the bytes have digest %s", name);
	}
	ota_digest_hex(&upload->image, name);
	rc = cache_commit(upload->fd, upload->tmp, upload->images->dir, name, err);
	if (rc == OTA_OK)
		upload->tmp[0] = '\0';
	return rc;
}

void image_upload_free(struct image_upload *upload)
{
	if (!upload)
		return;
	if (upload->fd >= 0)
		(void)close(upload->fd);
	if (upload->tmp[0])
		(void)unlink(upload->tmp);
	free(upload);
}
