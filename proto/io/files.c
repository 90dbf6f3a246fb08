#include "proto/io/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/base/seeded.h"

enum { PATH_CAP = 1024, READ_STEP_LEN = 16384 };

/* "PATH: what: errno's text". Never touches errno before it is used. */
static enum ota_code fail_errno(struct ota_error *err, const char *path, const char *what)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	return ota_fail(err, full ? OTA_E_NOSPACE : OTA_E_IO, "%s: %s: %s", path, what,
		strerror(errno));
}

/* The same for a descriptor, whose path the kernel remembers. */
static enum ota_code fail_fd(struct ota_error *err, int fd, const char *what)
{
	int saved = errno;
	char link[64], path[PATH_CAP];
	ssize_t n;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		n = snprintf(path, sizeof path, "descriptor %d", fd);
	path[n] = '\0';
	errno = saved;
	return fail_errno(err, path, what);
}

/* The directory part of path: "." for a bare name, "/" for a name below the root. */
static OTA_CHECKED enum ota_code dir_of(
	const char *path, char out[static PATH_CAP], struct ota_error *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	if (strlen(path) >= PATH_CAP)
		return ota_fail(err, OTA_E_IO, "%.80s...: path is too long", path);
	if (slash == NULL)
		(void)snprintf(out, PATH_CAP, ".");
	else
		(void)snprintf(out, PATH_CAP, "%.*s", len == 0 ? 1 : (int)len, path);
	return OTA_OK;
}

/* Read up to one byte more than max, so that the caller sees what is too long. */
static OTA_CHECKED enum ota_code read_all(
	int fd, const char *path, size_t max, struct ota_buf *out, struct ota_error *err)
{
	uint8_t step[READ_STEP_LEN];

	for (;;) {
		ssize_t n = read(fd, step, sizeof step);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(err, path, "read");
		if (n == 0)
			return OTA_OK;
		if ((size_t)n > max - out->len)
			return ota_fail(
				err, OTA_E_LIMIT, "%s: longer than %zu bytes", path, max);
		if (ota_buf_add(out, (struct ota_bytes){ step, (size_t)n }) != OTA_OK)
			return ota_fail(err, OTA_E_NOMEM, "%s: out of memory", path);
	}
}

static OTA_CHECKED enum ota_code open_error(struct ota_error *err, const char *path)
{
	if (errno == ENOENT)
		return ota_fail(
			err, OTA_E_NOTFOUND, "%s: open: %s", path, strerror(errno));
	return fail_errno(err, path, "open");
}

/* Either all of it is added to out, or nothing. */
static OTA_CHECKED enum ota_code add_all(
	int fd, const char *path, size_t max, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf whole = { 0 };
	enum ota_code rc = read_all(fd, path, max, &whole, err);

	if (rc != OTA_OK)
		return rc;
	if (ota_buf_add(out, ota_buf_bytes(&whole)) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "%s: out of memory", path);
	return OTA_OK;
}

enum ota_code ota_file_read(
	const char *path, size_t max, struct ota_buf *out, struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return open_error(err, path);
	return add_all(fd, path, max, out, err);
}

enum ota_code ota_file_read_plain(
	const char *path, size_t max, struct ota_buf *out, struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return open_error(err, path);
	if (fstat(fd, &st) != 0)
		return fail_errno(err, path, "stat");
	if (!S_ISREG(st.st_mode))
		return ota_fail(err, OTA_E_IO, "%s: not a plain file", path);
	return add_all(fd, path, max, out, err);
}

/* Fill the temporary and make it durable, before its name means anything. */
static OTA_CHECKED enum ota_code fill_temporary(int fd, const char *temp,
	struct ota_bytes data, mode_t mode, struct ota_error *err)
{
	enum ota_code rc = ota_fd_write_at(fd, 0, data, err);

	if (rc != OTA_OK)
		return rc;
	if (fchmod(fd, mode) < 0)
		return fail_errno(err, temp, "chmod");
	if (!OTA_SEEDED(RENAME_UNSYNCED) && fsync(fd) < 0)
		return fail_errno(err, temp, "fsync");
	return OTA_OK;
}

static OTA_CHECKED enum ota_code replace_through(const char *temp, const char *path,
	int fd, struct ota_bytes data, mode_t mode, struct ota_error *err)
{
	enum ota_code rc = fill_temporary(fd, temp, data, mode, err);

	if (close(fd) < 0 && rc == OTA_OK)
		rc = fail_errno(err, temp, "close");
	if (rc == OTA_OK && rename(temp, path) < 0)
		rc = fail_errno(err, path, "rename");
	if (rc != OTA_OK)
		(void)unlink(temp);
	return rc;
}

enum ota_code ota_file_replace(
	const char *path, struct ota_bytes data, mode_t mode, struct ota_error *err)
{
	char dir[PATH_CAP], temp[PATH_CAP + 16];
	enum ota_code rc = dir_of(path, dir, err);
	int fd;

	if (rc != OTA_OK)
		return rc;
	(void)snprintf(temp, sizeof temp, "%s/.tmp-XXXXXX", dir);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, path, "create a temporary file beside it");
	rc = replace_through(temp, path, fd, data, mode, err);
	if (rc != OTA_OK)
		return rc;
	return ota_dir_sync(dir, err);
}

/* One level of ota_dir_make(). A directory we made is synced into its parent. */
static OTA_CHECKED enum ota_code make_one(
	const char *path, mode_t mode, struct ota_error *err)
{
	char parent[PATH_CAP];
	struct stat st;
	enum ota_code rc;

	if (mkdir(path, mode) == 0) {
		rc = dir_of(path, parent, err);
		return rc == OTA_OK ? ota_dir_sync(parent, err) : rc;
	}
	if (errno != EEXIST)
		return fail_errno(err, path, "mkdir");
	if (stat(path, &st) < 0)
		return fail_errno(err, path, "stat");
	if (!S_ISDIR(st.st_mode))
		return ota_fail(err, OTA_E_IO, "%s: exists and is no directory", path);
	return OTA_OK;
}

enum ota_code ota_dir_make(const char *path, mode_t mode, struct ota_error *err)
{
	char part[PATH_CAP];
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0 || len >= sizeof part)
		return ota_fail(err, OTA_E_IO, "'%.80s': not a usable path", path);
	for (size_t i = 1; i <= len; i++) {
		enum ota_code rc;

		if (i < len && path[i] != '/')
			continue;
		(void)snprintf(part, sizeof part, "%.*s", (int)i, path);
		rc = make_one(part, mode, err);
		if (rc != OTA_OK)
			return rc;
	}
	return OTA_OK;
}

enum ota_code ota_dir_sync(const char *path, struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno(err, path, "open");
	if (fsync(fd) < 0)
		return fail_errno(err, path, "fsync");
	return OTA_OK;
}

enum ota_code ota_file_remove(const char *path, struct ota_error *err)
{
	char dir[PATH_CAP];
	enum ota_code rc = dir_of(path, dir, err);

	if (rc != OTA_OK)
		return rc;
	if (unlink(path) < 0)
		return errno == ENOENT ? OTA_OK : fail_errno(err, path, "remove");
	return ota_dir_sync(dir, err);
}

enum ota_code ota_fd_write_at(
	int fd, uint64_t offset, struct ota_bytes data, struct ota_error *err)
{
	size_t done = 0;

	while (done < data.len) {
		ssize_t n = pwrite(
			fd, data.at + done, data.len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_fd(err, fd, "write");
		done += (size_t)n;
	}
	return OTA_OK;
}

enum ota_code ota_fd_read_at(
	int fd, uint64_t offset, uint8_t *out, size_t len, struct ota_error *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, out + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_fd(err, fd, "read");
		if (n == 0)
			break;
		done += (size_t)n;
	}
	if (done == len)
		return OTA_OK;
	errno = ENODATA;
	return fail_fd(err, fd, "read past the end");
}

enum ota_code ota_fd_sync(int fd, struct ota_error *err)
{
	return fdatasync(fd) < 0 ? fail_fd(err, fd, "fdatasync") : OTA_OK;
}

enum ota_code ota_disk_free(const char *path, uint64_t *out, struct ota_error *err)
{
	struct statvfs fs;

	if (statvfs(path, &fs) < 0)
		return fail_errno(err, path, "statvfs");
	*out = (uint64_t)fs.f_bavail * fs.f_frsize;
	return OTA_OK;
}

enum ota_code ota_path_join(
	const char *dir, const char *name, char *out, size_t cap, struct ota_error *err)
{
	size_t dir_len = strlen(dir);
	const char *slash = dir_len > 0 && dir[dir_len - 1] == '/' ? "" : "/";

	if (dir_len + strlen(slash) + strlen(name) + 1 > cap)
		return ota_fail(
			err, OTA_E_LIMIT, "%.60s/%.60s: path is too long", dir, name);
	(void)snprintf(out, cap, "%s%s%s", dir, slash, name);
	return OTA_OK;
}
