#include "agent/port/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/le.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { DIR_MODE = 0750, FILE_MODE = 0640 };

static const char MAGIC[4] = "OTB1";

static enum ota_code fail_errno(struct ota_error *err, const char *path, const char *what)
{
	return ota_fail(err, OTA_E_IO, "%s: %s: %s", path, what, strerror(errno));
}

static enum ota_code patch_dir(const char *root, const struct ota_digest *patch,
	char out[static SPOOL_PATH_CAP], struct ota_error *err)
{
	char hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(patch, hex);
	return ota_path_join(root, hex, out, SPOOL_PATH_CAP, err);
}

enum ota_code spool_file(const char *root, const struct ota_digest *patch,
	const char *name, char out[static SPOOL_PATH_CAP], struct ota_error *err)
{
	char dir[SPOOL_PATH_CAP];
	enum ota_code rc = patch_dir(root, patch, dir, err);

	return rc != OTA_OK ? rc : ota_path_join(dir, name, out, SPOOL_PATH_CAP, err);
}

/* --- the manifest ----------------------------------------------------------------------
 */

enum ota_code spool_manifest_read(const char *root, const struct ota_digest *patch,
	struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	char path[SPOOL_PATH_CAP];
	struct ota_digest found;
	enum ota_code rc = spool_file(root, patch, SPOOL_MANIFEST, path, err);

	if (rc == OTA_OK)
		rc = ota_file_read_plain(path, OTA_MANIFEST_LEN_MAX, &bytes, err);
	if (rc != OTA_OK)
		return rc;
	found = ota_digest_of(ota_buf_bytes(&bytes));
	if (!ota_digest_equal(&found, patch))
		return ota_fail(err, OTA_E_DIGEST, "%s: damaged", path);
	if (ota_buf_add(out, ota_buf_bytes(&bytes)) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "manifest of %zu bytes", bytes.len);
	return OTA_OK;
}

enum ota_code spool_manifest_write(const char *root, const struct ota_digest *patch,
	struct ota_bytes bytes, struct ota_error *err)
{
	char dir[SPOOL_PATH_CAP], path[SPOOL_PATH_CAP];
	enum ota_code rc = patch_dir(root, patch, dir, err);

	if (rc == OTA_OK)
		rc = ota_path_join(dir, SPOOL_MANIFEST, path, sizeof path, err);
	if (rc == OTA_OK)
		rc = ota_dir_make(dir, DIR_MODE, err);
	return rc != OTA_OK ? rc : ota_file_replace(path, bytes, FILE_MODE, err);
}

/* --- opening ---------------------------------------------------------------------------
 */

static uint32_t bits_len(const struct spool *spool)
{
	return (spool->manifest.chunk_count + 7) / 8;
}

static bool has_bit(const struct spool *spool, uint32_t index)
{
	return (spool->bits[index / 8] >> index % 8 & 1) != 0;
}

static enum ota_code open_file(
	const struct spool *spool, const char *name, int *out, struct ota_error *err)
{
	char path[SPOOL_PATH_CAP];
	enum ota_code rc = ota_path_join(spool->dir, name, path, sizeof path, err);
	struct stat st;
	ota_autoclose int fd = -1;

	if (rc != OTA_OK)
		return rc;
	fd = open(
		path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, FILE_MODE);
	if (fd < 0)
		return fail_errno(err, path, "open");
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return ota_fail(err, OTA_E_IO, "%s: not a file", path);
	*out = fd;
	fd = -1;
	return OTA_OK;
}

static enum ota_code no_space(const struct spool *spool, struct ota_error *err)
{
	uint64_t free_bytes = 0;
	enum ota_code rc = ota_disk_free(spool->dir, &free_bytes, err);

	if (rc != OTA_OK)
		return rc;
	return ota_fail(err, OTA_E_NOSPACE,
		"patch of %llu bytes, %llu bytes free for the spool",
		(unsigned long long)spool->manifest.patch_len,
		(unsigned long long)free_bytes);
}

/* Room on file systems that cannot promise it: believe what they say is free. */
static enum ota_code room_by_count(
	struct spool *spool, uint64_t allocated, struct ota_error *err)
{
	uint64_t free_bytes = 0;
	enum ota_code rc = ota_disk_free(spool->dir, &free_bytes, err);

	if (rc != OTA_OK)
		return rc;
	if (allocated + free_bytes < spool->manifest.patch_len)
		return no_space(spool, err);
	if (ftruncate(spool->data_fd, (off_t)spool->manifest.patch_len) != 0)
		return fail_errno(err, spool->dir, "ftruncate");
	return OTA_OK;
}

/* Give the data file its final size, with its blocks. had: it had that size before. */
static enum ota_code take_room(struct spool *spool, bool *had, struct ota_error *err)
{
	off_t len = (off_t)spool->manifest.patch_len;
	struct stat st;

	if (fstat(spool->data_fd, &st) != 0)
		return fail_errno(err, spool->dir, "stat");
	*had = st.st_size == len;
	if (st.st_size > len && ftruncate(spool->data_fd, len) != 0)
		return fail_errno(err, spool->dir, "ftruncate");
	if (fallocate(spool->data_fd, 0, 0, len) == 0)
		return OTA_OK;
	if (errno == EOPNOTSUPP)
		return room_by_count(spool, (uint64_t)st.st_blocks * 512, err);
	if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
		return fail_errno(err, spool->dir, "fallocate");
	(void)ftruncate(spool->data_fd, 0);
	return no_space(spool, err);
}

/* Head and bits in one write, so that a killed process leaves both or neither. */
static enum ota_code write_bitmap(struct spool *spool, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = { 0 };
	struct ota_bytes bits = { spool->bits, bits_len(spool) };
	uint8_t head[SPOOL_HEAD_LEN];

	memcpy(head, MAGIC, sizeof MAGIC);
	ota_le32_set(head + 4, spool->manifest.chunk_count);
	ota_le64_set(head + 8, spool->bytes);
	ota_le64_set(head + 16, spool->refetched);
	if (ota_buf_add(&file, (struct ota_bytes){ head, sizeof head }) != OTA_OK ||
		ota_buf_add(&file, bits) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "bitmap of %zu bytes", bits.len);
	return ota_fd_write_at(spool->bitmap_fd, 0, ota_buf_bytes(&file), err);
}

/* True if the bitmap file is one of this patch; counters and bits are then filled. */
static bool read_bitmap(struct spool *spool, struct ota_bytes file)
{
	struct ota_reader r = ota_reader_of(file);
	const uint8_t *magic = ota_read(&r, sizeof MAGIC);
	uint32_t chunk_count = ota_read_le32(&r);
	uint64_t bytes = ota_read_le64(&r), refetched = ota_read_le64(&r);
	const uint8_t *bits = ota_read(&r, bits_len(spool));

	if (r.bad || memcmp(magic, MAGIC, sizeof MAGIC) != 0 ||
		chunk_count != spool->manifest.chunk_count)
		return false;
	spool->bytes = bytes;
	spool->refetched = refetched;
	memcpy(spool->bits, bits, bits_len(spool));
	return true;
}

/* Bits of chunks that may be there. Without a usable bitmap that is any chunk of a data
 * file of the right size. */
static enum ota_code load_candidates(
	struct spool *spool, bool had_data, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = { 0 };
	char path[SPOOL_PATH_CAP];
	enum ota_code rc =
		ota_path_join(spool->dir, SPOOL_BITMAP, path, sizeof path, err);

	if (rc == OTA_OK)
		rc = ota_file_read(path, SPOOL_HEAD_LEN + bits_len(spool), &file, err);
	if (rc != OTA_OK && rc != OTA_E_LIMIT)
		return rc;
	if (rc == OTA_OK && read_bitmap(spool, ota_buf_bytes(&file)))
		return OTA_OK;
	memset(spool->bits, had_data ? 0xff : 0, bits_len(spool));
	if (ftruncate(spool->bitmap_fd, 0) != 0)
		return fail_errno(err, path, "ftruncate");
	return OTA_OK;
}

static enum ota_code chunk_is_whole(struct spool *spool, uint32_t index, uint8_t *room,
	bool *out, struct ota_error *err)
{
	uint32_t len = ota_manifest_chunk_len(&spool->manifest, index);
	uint64_t at = (uint64_t)index * spool->manifest.chunk_len;
	enum ota_code rc = ota_fd_read_at(spool->data_fd, at, room, len, err);
	struct ota_digest found;

	if (rc != OTA_OK)
		return rc;
	found = ota_digest_of((struct ota_bytes){ room, len });
	*out = ota_digest_equal(&found, &spool->manifest.chunks[index]);
	return OTA_OK;
}

/* Keep the bits of chunks that are whole, and none beyond the last chunk. */
static enum ota_code verify_candidates(struct spool *spool, struct ota_error *err)
{
	ota_autofree uint8_t *room = malloc(spool->manifest.chunk_len);
	ota_autofree uint8_t *whole = calloc(1, bits_len(spool));

	if (room == NULL || whole == NULL)
		return ota_fail(err, OTA_E_NOMEM, "verify the spool");
	for (uint32_t i = 0; i < spool->manifest.chunk_count; i++) {
		enum ota_code rc = OTA_OK;
		bool is_whole = false;

		if (has_bit(spool, i))
			rc = chunk_is_whole(spool, i, room, &is_whole, err);
		if (rc != OTA_OK)
			return rc;
		whole[i / 8] |= (uint8_t)(is_whole << i % 8);
		spool->held += is_whole;
	}
	memcpy(spool->bits, whole, bits_len(spool));
	return OTA_OK;
}

static enum ota_code load_manifest(const char *root, const struct ota_digest *patch,
	struct spool *spool, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	enum ota_code rc = spool_manifest_read(root, patch, &bytes, err);

	if (rc == OTA_OK)
		rc = ota_manifest_parse(ota_buf_bytes(&bytes), &spool->manifest, err);
	return rc;
}

static enum ota_code open_files(
	struct spool *spool, uint64_t max_bytes, struct ota_error *err)
{
	bool had_data = false;
	enum ota_code rc;

	if (spool->manifest.patch_len > max_bytes)
		return ota_fail(err, OTA_E_NOSPACE,
			"patch of %llu bytes, the spool may hold %llu bytes",
			(unsigned long long)spool->manifest.patch_len,
			(unsigned long long)max_bytes);
	spool->bits = calloc(1, bits_len(spool));
	if (spool->bits == NULL)
		return ota_fail(err, OTA_E_NOMEM, "bitmap of the spool");
	rc = open_file(spool, SPOOL_DATA, &spool->data_fd, err);
	if (rc == OTA_OK)
		rc = open_file(spool, SPOOL_BITMAP, &spool->bitmap_fd, err);
	if (rc == OTA_OK)
		rc = take_room(spool, &had_data, err);
	if (rc == OTA_OK)
		rc = load_candidates(spool, had_data, err);
	if (rc == OTA_OK)
		rc = verify_candidates(spool, err);
	if (rc == OTA_OK)
		rc = write_bitmap(spool, err);
	return rc != OTA_OK ? rc : ota_dir_sync(spool->dir, err);
}

enum ota_code spool_open(const char *root, const struct ota_digest *patch,
	uint64_t max_bytes, struct spool *out, struct ota_error *err)
{
	OTA_AUTO(spool_fini) struct spool spool = { 0 };
	enum ota_code rc = patch_dir(root, patch, spool.dir, err);

	if (rc == OTA_OK)
		rc = load_manifest(root, patch, &spool, err);
	if (rc == OTA_OK)
		rc = open_files(&spool, max_bytes, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "spool");
	*out = spool;
	spool = (struct spool){ 0 };
	return OTA_OK;
}

static void close_fd(int *fd)
{
	if (*fd > 0)
		(void)close(*fd);
	*fd = 0;
}

void spool_fini(struct spool *spool)
{
	close_fd(&spool->data_fd);
	close_fd(&spool->bitmap_fd);
	free(spool->bits);
	ota_manifest_fini(&spool->manifest);
	*spool = (struct spool){ 0 };
}

/* --- chunks ----------------------------------------------------------------------------
 */

bool spool_holds(const struct spool *spool, uint32_t index)
{
	return index < spool->manifest.chunk_count && has_bit(spool, index);
}

enum ota_code spool_put(
	struct spool *spool, uint32_t index, struct ota_bytes data, struct ota_error *err)
{
	uint64_t at = (uint64_t)index * spool->manifest.chunk_len;
	enum ota_code rc = ota_fd_write_at(spool->data_fd, at, data, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "spool: chunk %u", index);
	spool->bits[index / 8] |= (uint8_t)(1u << index % 8);
	spool->held++;
	spool->unsynced++;
	return spool_count(spool, data.len, 0, err);
}

enum ota_code spool_count(
	struct spool *spool, uint64_t bytes, uint32_t refetched, struct ota_error *err)
{
	enum ota_code rc;

	spool->bytes += bytes;
	spool->refetched += refetched;
	rc = write_bitmap(spool, err);
	return rc == OTA_OK ? OTA_OK : ota_wrap(err, rc, "spool: bitmap");
}

enum ota_code spool_sync_start(
	struct spool *spool, struct spool_sync *out, struct ota_error *err)
{
	int data_fd = fcntl(spool->data_fd, F_DUPFD_CLOEXEC, 3);
	int bitmap_fd = fcntl(spool->bitmap_fd, F_DUPFD_CLOEXEC, 3);

	if (data_fd < 0 || bitmap_fd < 0) {
		enum ota_code rc = fail_errno(err, spool->dir, "dup");

		close_fd(&data_fd);
		close_fd(&bitmap_fd);
		return rc;
	}
	spool->unsynced = 0;
	*out = (struct spool_sync){ data_fd, bitmap_fd };
	return OTA_OK;
}

enum ota_code spool_sync_run(struct spool_sync *sync, struct ota_error *err)
{
	enum ota_code rc = ota_fd_sync(sync->data_fd, err);

	if (rc == OTA_OK)
		rc = ota_fd_sync(sync->bitmap_fd, err);
	close_fd(&sync->data_fd);
	close_fd(&sync->bitmap_fd);
	return rc == OTA_OK ? OTA_OK : ota_wrap(err, rc, "spool");
}

/* --- forgetting ------------------------------------------------------------------------
 */

static void dir_closep(DIR **dir)
{
	if (*dir != NULL)
		(void)closedir(*dir);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static enum ota_code remove_dir(const char *path, struct ota_error *err)
{
	OTA_AUTO(dir_closep) DIR *dir = opendir(path);
	const struct dirent *entry;

	if (dir == NULL)
		return errno == ENOENT ? OTA_OK : fail_errno(err, path, "open");
	while ((entry = readdir(dir)) != NULL)
		if (!is_dots(entry->d_name) &&
			unlinkat(dirfd(dir), entry->d_name, 0) != 0)
			return fail_errno(err, path, "remove a file inside");
	if (rmdir(path) != 0)
		return fail_errno(err, path, "remove");
	return OTA_OK;
}

enum ota_code spool_remove(
	const char *root, const struct ota_digest *patch, struct ota_error *err)
{
	char path[SPOOL_PATH_CAP];
	enum ota_code rc = patch_dir(root, patch, path, err);

	return rc != OTA_OK ? rc : remove_dir(path, err);
}

enum ota_code spool_purge(
	const char *root, const struct ota_digest *keep, struct ota_error *err)
{
	OTA_AUTO(dir_closep) DIR *dir = opendir(root);
	const struct dirent *entry;

	if (dir == NULL)
		return errno == ENOENT ? OTA_OK : fail_errno(err, root, "open");
	while ((entry = readdir(dir)) != NULL) {
		struct ota_digest patch;
		enum ota_code rc;

		if (ota_digest_parse(entry->d_name, &patch, NULL) != OTA_OK)
			continue;
		if (keep != NULL && ota_digest_equal(&patch, keep))
			continue;
		rc = spool_remove(root, &patch, err);
		if (rc != OTA_OK)
			return rc;
	}
	return OTA_OK;
}
