#include "orchestrator/port/cache_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

static const char tmp_prefix[] = "tmp-";

static void close_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

enum ota_code cache_dir_open(const char *dir, struct ota_error *err)
{
	OTA_AUTO(close_dir) DIR *list = NULL;
	enum ota_code rc = ota_dir_make(dir, 0700, err);

	if (rc != OTA_OK)
		return rc;
	list = opendir(dir);
	if (!list)
		return ota_fail(err, OTA_E_IO, "open %s: %s", dir, strerror(errno));
	for (struct dirent *e; (e = readdir(list)) != NULL;)
		if (strncmp(e->d_name, tmp_prefix, sizeof(tmp_prefix) - 1) == 0 &&
			unlinkat(dirfd(list), e->d_name, 0) != 0)
			return ota_fail(err, OTA_E_IO, "remove %s/%s: %s", dir, e->d_name,
				strerror(errno));
	return OTA_OK;
}

enum ota_code cache_tmp(
	const char *dir, char path[static CACHE_PATH_CAP], int *fd, struct ota_error *err)
{
	int made;

	(void)snprintf(path, CACHE_PATH_CAP, "%s/%sXXXXXX", dir, tmp_prefix);
	made = mkostemp(path, O_CLOEXEC);
	if (made < 0)
		return ota_fail(err, errno == ENOSPC ? OTA_E_NOSPACE : OTA_E_IO,
			"make a file in %s: %s", dir, strerror(errno));
	*fd = made;
	return OTA_OK;
}

enum ota_code cache_commit(
	int fd, const char *tmp, const char *dir, const char *name, struct ota_error *err)
{
	char path[CACHE_PATH_CAP];
	enum ota_code rc = ota_fd_sync(fd, err);

	if (rc == OTA_OK)
		rc = ota_path_join(dir, name, path, sizeof(path), err);
	if (rc != OTA_OK)
		return rc;
	if (rename(tmp, path) != 0)
		return ota_fail(err, OTA_E_IO, "rename to %s: %s", path, strerror(errno));
	return ota_dir_sync(dir, err);
}
