#include "orchestrator/port/cache_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { NOTE_CAP = 160 }; /* bytes of a note */

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

enum ota_code cache_note_find(const char *dir, const char *name,
	struct ota_digest *digest, uint64_t *took_ms, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	char path[CACHE_PATH_CAP], hex[OTA_DIGEST_HEX_CAP];
	uint64_t took = 0;
	const char *text;
	enum ota_code rc;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = ota_file_read(path, NOTE_CAP, &buf, err);
	if (rc != OTA_OK)
		return rc;
	text = ota_buf_text(&buf);
	if (!text || sscanf(text, "%64s %" SCNu64, hex, &took) != 2)
		return ota_fail(err, OTA_E_FORMAT, "%s", path);
	rc = ota_digest_parse(hex, digest, err);
	if (rc == OTA_OK)
		*took_ms = took;
	return rc;
}

enum ota_code cache_note_store(const char *dir, const char *name,
	const struct ota_digest *digest, uint64_t took_ms, struct ota_error *err)
{
	char path[CACHE_PATH_CAP], hex[OTA_DIGEST_HEX_CAP], text[NOTE_CAP];

	ota_digest_hex(digest, hex);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)snprintf(text, sizeof(text), "%s %" PRIu64 "\n", hex, took_ms);
	return ota_file_replace(path, ota_bytes_of(text), 0600, err);
}
