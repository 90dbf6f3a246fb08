#include "agent/port/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/own.h"

static void close_dir(DIR **dir)
{
	if (*dir != NULL)
		(void)closedir(*dir);
}

static DIR *open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL && fd >= 0)
		(void)close(fd);
	return dir;
}

/* The next name but `.` and `..`; NULL: no more, or an error in errno. */
static const char *next_name(DIR *dir)
{
	const struct dirent *entry;

	errno = 0;
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return entry->d_name;
	return NULL;
}

static OTA_CHECKED enum ota_code failed(const char *name, struct ota_error *err)
{
	return ota_fail(err, OTA_E_IO, "remove %s: %s", name, strerror(errno));
}

static OTA_CHECKED enum ota_code remove_in(
	int at, const char *name, unsigned depth, struct ota_error *err)
{
	OTA_AUTO(close_dir) DIR *dir = NULL;
	const char *child;
	enum ota_code rc = OTA_OK;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return OTA_OK;
	if (errno != EISDIR && errno != EPERM)
		return failed(name, err);
	if (depth > TREE_DEPTH_MAX)
		return ota_fail(err, OTA_E_LIMIT, "remove %s: too deep", name);
	dir = open_dir(at, name);
	if (dir == NULL)
		return failed(name, err);
	while (rc == OTA_OK && (child = next_name(dir)) != NULL)
		rc = remove_in(dirfd(dir), child, depth + 1, err);
	if (rc == OTA_OK && unlinkat(at, name, AT_REMOVEDIR) != 0)
		rc = failed(name, err);
	return rc;
}

enum ota_code tree_remove(const char *path, struct ota_error *err)
{
	return remove_in(AT_FDCWD, path, 0, err);
}

static OTA_CHECKED enum ota_code sync_in(
	int at, const char *name, unsigned depth, struct ota_error *err)
{
	OTA_AUTO(close_dir) DIR *dir = open_dir(at, name);
	const char *child;
	enum ota_code rc = OTA_OK;

	if (dir == NULL && errno == ENOTDIR)
		return OTA_OK; /* a file or a link: synced when it was written */
	if (dir == NULL)
		return ota_fail(err, OTA_E_IO, "sync %s: %s", name, strerror(errno));
	if (depth > TREE_DEPTH_MAX)
		return ota_fail(err, OTA_E_LIMIT, "sync %s: too deep", name);
	while (rc == OTA_OK && (child = next_name(dir)) != NULL)
		rc = sync_in(dirfd(dir), child, depth + 1, err);
	if (rc == OTA_OK && errno != 0)
		rc = ota_fail(err, OTA_E_IO, "read %s: %s", name, strerror(errno));
	if (rc == OTA_OK && fsync(dirfd(dir)) != 0)
		rc = ota_fail(err, OTA_E_IO, "fsync %s: %s", name, strerror(errno));
	return rc;
}

enum ota_code tree_sync(const char *path, struct ota_error *err)
{
	return sync_in(AT_FDCWD, path, 0, err);
}

static uint64_t bytes_in(int at, const char *name, unsigned depth)
{
	OTA_AUTO(close_dir) DIR *dir = NULL;
	struct stat st;
	const char *child;
	uint64_t sum;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	sum = (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode) || depth > TREE_DEPTH_MAX)
		return sum;
	dir = open_dir(at, name);
	while (dir != NULL && (child = next_name(dir)) != NULL)
		sum += bytes_in(dirfd(dir), child, depth + 1);
	return sum;
}

uint64_t tree_bytes(const char *path)
{
	return bytes_in(AT_FDCWD, path, 0);
}
