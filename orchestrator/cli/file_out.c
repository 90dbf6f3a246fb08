#include "orchestrator/cli/file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

static enum ota_code fail_errno(struct ota_error *err, const char *path)
{
	return ota_fail(err,
		errno == ENOSPC || errno == EDQUOT ? OTA_E_NOSPACE : OTA_E_IO, "%s: %s",
		path, strerror(errno));
}

/* The directory of path, allocated; NULL when memory is short. */
static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* What a new file may be used for, without the bits of the umask. */
static mode_t mode_of_new_file(void)
{
	mode_t mask = umask(0);

	(void)umask(mask);
	return 0666 & ~mask;
}

/* Not every file system has nameless files. */
static int open_nameless(struct file_out *out, const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (asprintf(&out->temp, "%s.XXXXXX", out->path) < 0) {
		out->temp = NULL;
		return -1;
	}
	fd = mkostemp(out->temp, O_CLOEXEC);
	if (fd < 0) {
		free(out->temp);
		out->temp = NULL;
	}
	return fd;
}

enum ota_code file_out_begin(
	struct file_out *out, const char *path, struct ota_error *err)
{
	ota_autofree char *dir = dir_of(path);
	struct stat st;

	*out = (struct file_out){ .fd = -1, .path = strdup(path) };
	if (dir == NULL || out->path == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%s: out of memory", path);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return ota_fail(err, OTA_E_USAGE, "%s: is not a regular file", path);
	out->fd = open_nameless(out, dir);
	if (out->fd < 0 || fchmod(out->fd, mode_of_new_file()) < 0)
		return fail_errno(err, path);
	return OTA_OK;
}

enum ota_code file_out_add(
	struct file_out *out, struct ota_bytes data, struct ota_error *err)
{
	enum ota_code rc = ota_fd_write_at(out->fd, out->len, data, err);

	if (rc == OTA_OK)
		out->len += data.len;
	return rc;
}

static enum ota_code sink_write(void *ctx, struct ota_bytes data)
{
	return file_out_add(ctx, data, NULL);
}

struct ota_sink file_out_sink(struct file_out *out)
{
	return (struct ota_sink){ out, sink_write };
}

/* A nameless file gets a name through its descriptor: a free one first, for only rename
 * replaces. */
static enum ota_code give_name(struct file_out *out, struct ota_error *err)
{
	char self[64];

	(void)snprintf(self, sizeof self, "/proc/self/fd/%d", out->fd);
	if (asprintf(&out->temp, "%s.%ld", out->path, (long)getpid()) < 0) {
		out->temp = NULL;
		return ota_fail(err, OTA_E_NOMEM, "%s: out of memory", out->path);
	}
	if (unlink(out->temp) < 0 && errno != ENOENT)
		return fail_errno(err, out->temp);
	if (linkat(AT_FDCWD, self, AT_FDCWD, out->temp, AT_SYMLINK_FOLLOW) < 0)
		return fail_errno(err, out->temp);
	return OTA_OK;
}

enum ota_code file_out_commit(struct file_out *out, struct ota_error *err)
{
	ota_autofree char *dir = dir_of(out->path);
	enum ota_code rc = ota_fd_sync(out->fd, err);

	if (rc == OTA_OK && dir == NULL)
		rc = ota_fail(err, OTA_E_NOMEM, "%s: out of memory", out->path);
	if (rc == OTA_OK && out->temp == NULL)
		rc = give_name(out, err);
	if (rc != OTA_OK)
		return rc;
	if (rename(out->temp, out->path) < 0)
		return fail_errno(err, out->path);
	free(out->temp);
	out->temp = NULL;
	return ota_dir_sync(dir, err);
}

void file_out_fini(struct file_out *out)
{
	if (out->temp != NULL)
		(void)unlink(out->temp);
	if (out->fd >= 0)
		(void)close(out->fd);
	free(out->temp);
	free(out->path);
	*out = (struct file_out){ .fd = -1 };
}
