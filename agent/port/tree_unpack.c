#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/tree.h"
#include "proto/base/own.h"
#include "proto/base/seeded.h"
#include "proto/io/files.h"

enum { READ_LEN = 1 << 16 }; /* bytes of the archive at a time */

/* One archive being unpacked. */
struct unpacking {
	struct archive *archive; /* owned */
	int root;                /* owned; the new directory */
	const struct tree_limits *limits;
	uint64_t bytes;
	uint32_t entries;
	bool owns; /* owners are set */
};

/* Where an entry belongs: a directory, and a name in it. */
struct spot {
	int dir;        /* owned */
	unsigned depth; /* of dir below the root */
	char name[NAME_MAX + 1];
};

static void unpacking_fini(struct unpacking *u)
{
	if (u->archive != NULL)
		(void)archive_read_free(u->archive);
	if (u->root >= 0)
		(void)close(u->root);
}

static void spot_fini(struct spot *spot)
{
	if (spot->dir >= 0)
		(void)close(spot->dir);
	spot->dir = -1;
}

static OTA_CHECKED enum ota_code sys_error(const char *what, struct ota_error *err)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	return ota_fail(
		err, full ? OTA_E_NOSPACE : OTA_E_IO, "%s: %s", what, strerror(errno));
}

/* ---- paths ---- */

/* Open a directory of the tree, made if it is not there, never through a link. */
static OTA_CHECKED enum ota_code step_into(
	struct spot *spot, const char *name, struct ota_error *err)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd;

	if (spot->depth == TREE_DEPTH_MAX)
		return ota_fail(err, OTA_E_LIMIT,
			"more than %d directories in each other", TREE_DEPTH_MAX);
	if (mkdirat(spot->dir, name, 0755) != 0 && errno != EEXIST)
		return sys_error("make directory", err);
	fd = openat(spot->dir, name, flags);
	if (fd < 0 && errno == ENOTDIR)
		return ota_fail(
			err, OTA_E_FORMAT, "path goes through what is no directory");
	if (fd < 0)
		return sys_error("open directory", err);
	(void)close(spot->dir);
	spot->dir = fd;
	spot->depth++;
	return OTA_OK;
}

/* One component of a path; what came before it becomes a directory. */
static OTA_CHECKED enum ota_code add_component(
	struct spot *spot, const char *at, size_t len, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (len == 0 || (len == 1 && at[0] == '.'))
		return OTA_OK;
	if (len == 2 && at[0] == '.' && at[1] == '.')
		return ota_fail(err, OTA_E_FORMAT, "path contains '..'");
	if (len > NAME_MAX)
		return ota_fail(err, OTA_E_FORMAT, "name is too long");
	if (spot->name[0] != '\0')
		rc = step_into(spot, spot->name, err);
	memcpy(spot->name, at, len);
	spot->name[len] = '\0';
	return rc;
}

/* name is "" for the root itself. */
static OTA_CHECKED enum ota_code find_spot(const struct unpacking *u, const char *path,
	struct spot *out, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	*out = (struct spot){ .dir = fcntl(u->root, F_DUPFD_CLOEXEC, 0) };
	if (out->dir < 0)
		return sys_error("open directory", err);
	if (path[0] == '/')
		return ota_fail(err, OTA_E_FORMAT, "path is absolute");
	while (rc == OTA_OK && *path != '\0') {
		size_t len = strcspn(path, "/");

		rc = add_component(out, path, len, err);
		path += len;
		path += *path == '/';
	}
	return rc;
}

/* `..` only at its start, and not above the root: all that such links lead through stays
 * inside, because they do. */
static OTA_CHECKED enum ota_code check_link(
	const char *target, unsigned depth, struct ota_error *err)
{
	bool named = false;

	if (target[0] == '/' || target[0] == '\0')
		return ota_fail(err, OTA_E_FORMAT, "link leads out of the tree");
	while (*target != '\0') {
		size_t len = strcspn(target, "/");
		bool up = len == 2 && target[0] == '.' && target[1] == '.';

		if (up && (named || depth == 0))
			return ota_fail(err, OTA_E_FORMAT, "link leads out of the tree");
		depth -= up;
		named = named || (!up && len > 0 && !(len == 1 && target[0] == '.'));
		target += len;
		target += *target == '/';
	}
	return OTA_OK;
}

/* ---- entries ---- */

/* Names are bytes; but what is known to be UTF-8 cannot be had as bytes where the locale
 * is another. "/" is refused as a path. */
static const char *path_of(struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);

	if (path == NULL)
		path = archive_entry_pathname_utf8(entry);
	return path != NULL ? path : "/";
}

static const char *hard_link_of(struct archive_entry *entry)
{
	const char *path = archive_entry_hardlink(entry);

	return path != NULL ? path : archive_entry_hardlink_utf8(entry);
}

static const char *symlink_of(struct archive_entry *entry)
{
	const char *path = archive_entry_symlink(entry);

	if (path == NULL)
		path = archive_entry_symlink_utf8(entry);
	return path != NULL ? path : "";
}

static OTA_CHECKED enum ota_code read_error(struct unpacking *u, struct ota_error *err)
{
	const char *text = archive_error_string(u->archive);

	return ota_fail(err, OTA_E_FORMAT, "%s", text != NULL ? text : "damaged archive");
}

/* Where the bytes of a sparse file lie is told apart from how long it is. */
static OTA_CHECKED enum ota_code write_data(
	struct unpacking *u, int fd, uint64_t size, struct ota_error *err)
{
	const void *data;
	size_t len;
	la_int64_t offset;
	int got;
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && (got = archive_read_data_block(u->archive, &data, &len,
					&offset)) != ARCHIVE_EOF) {
		if (got != ARCHIVE_OK)
			return read_error(u, err);
		if (u->limits->stop != NULL && atomic_load(u->limits->stop))
			return ota_fail(err, OTA_E_CANCELLED, "told to stop");
		if ((uint64_t)offset > size || len > size - (uint64_t)offset)
			return ota_fail(err, OTA_E_FORMAT, "bytes behind its end");
		rc = ota_fd_write_at(
			fd, (uint64_t)offset, (struct ota_bytes){ data, len }, err);
	}
	return rc;
}

static OTA_CHECKED enum ota_code set_meta(const struct unpacking *u, int fd,
	struct archive_entry *entry, struct ota_error *err)
{
	mode_t mode = archive_entry_perm(entry) & 07777;
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = archive_entry_mtime(entry) } };

	if (archive_entry_filetype(entry) == AE_IFDIR)
		mode |= S_IRWXU;
	if (u->owns && fchown(fd, (uid_t)archive_entry_uid(entry),
			       (gid_t)archive_entry_gid(entry)) != 0)
		return sys_error("owner", err);
	if (fchmod(fd, mode) != 0)
		return sys_error("mode", err);
	return futimens(fd, times) == 0 ? OTA_OK : sys_error("time", err);
}

static OTA_CHECKED enum ota_code make_file(struct unpacking *u, const struct spot *spot,
	struct archive_entry *entry, struct ota_error *err)
{
	ota_autoclose int fd = openat(spot->dir, spot->name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	la_int64_t size = archive_entry_size(entry);
	enum ota_code rc;

	if (fd < 0)
		return sys_error("create", err);
	if ((uint64_t)size > u->limits->bytes_max - u->bytes)
		return ota_fail(err, OTA_E_LIMIT, "more than %" PRIu64 " bytes in all",
			u->limits->bytes_max);
	u->bytes += (uint64_t)size;
	rc = write_data(u, fd, (uint64_t)size, err);
	if (rc == OTA_OK && ftruncate(fd, size) != 0)
		rc = sys_error("truncate", err);
	if (rc == OTA_OK)
		rc = set_meta(u, fd, entry, err);
	if (rc == OTA_OK && !OTA_SEEDED(TREE_UNSYNCED) && fsync(fd) != 0)
		rc = sys_error("fsync", err);
	return rc;
}

static OTA_CHECKED enum ota_code make_hard_link(const struct unpacking *u,
	const struct spot *spot, const char *target, struct ota_error *err)
{
	OTA_AUTO(spot_fini) struct spot to = { .dir = -1 };
	struct stat st;
	enum ota_code rc = find_spot(u, target, &to, err);

	if (rc != OTA_OK)
		return rc;
	if (fstatat(to.dir, to.name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISREG(st.st_mode))
		return ota_fail(err, OTA_E_FORMAT, "hard link to what is no file");
	return linkat(to.dir, to.name, spot->dir, spot->name, 0) == 0
		       ? OTA_OK
		       : sys_error("link", err);
}

static OTA_CHECKED enum ota_code make_symlink(const struct unpacking *u,
	const struct spot *spot, struct archive_entry *entry, struct ota_error *err)
{
	const char *target = symlink_of(entry);
	enum ota_code rc = check_link(target, spot->depth, err);

	if (rc != OTA_OK)
		return rc;
	if (symlinkat(target, spot->dir, spot->name) != 0)
		return sys_error("symlink", err);
	if (u->owns && fchownat(spot->dir, spot->name, (uid_t)archive_entry_uid(entry),
			       (gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) != 0)
		return sys_error("owner", err);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code make_special(const struct unpacking *u,
	const struct spot *spot, struct archive_entry *entry, struct ota_error *err)
{
	if (!u->limits->special_files)
		return ota_fail(err, OTA_E_FORMAT,
			"a device or pipe; allow it with slot.special_files");
	if (mknodat(spot->dir, spot->name, archive_entry_mode(entry),
		    archive_entry_rdev(entry)) != 0)
		return sys_error("make node", err);
	if (u->owns && fchownat(spot->dir, spot->name, (uid_t)archive_entry_uid(entry),
			       (gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) != 0)
		return sys_error("owner", err);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code make_dir(const struct unpacking *u, struct spot *spot,
	struct archive_entry *entry, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (spot->name[0] != '\0')
		rc = step_into(spot, spot->name, err);
	return rc == OTA_OK ? set_meta(u, spot->dir, entry, err) : rc;
}

/* A later entry of the same name takes the place of an earlier one, unless that is a
 * directory. */
static OTA_CHECKED enum ota_code make_entry(
	struct unpacking *u, struct archive_entry *entry, struct ota_error *err)
{
	OTA_AUTO(spot_fini) struct spot spot = { .dir = -1 };
	const char *path = path_of(entry), *hard_link = hard_link_of(entry);
	mode_t type = archive_entry_filetype(entry);
	enum ota_code rc = find_spot(u, path, &spot, err);

	if (rc != OTA_OK)
		return rc;
	if (type == AE_IFDIR)
		return make_dir(u, &spot, entry, err);
	if (spot.name[0] == '\0')
		return ota_fail(err, OTA_E_FORMAT, "has no name");
	(void)unlinkat(spot.dir, spot.name, 0);
	if (hard_link != NULL)
		return make_hard_link(u, &spot, hard_link, err);
	if (type == AE_IFREG)
		return make_file(u, &spot, entry, err);
	if (type == AE_IFLNK)
		return make_symlink(u, &spot, entry, err);
	return make_special(u, &spot, entry, err);
}

static OTA_CHECKED enum ota_code make_all(struct unpacking *u, struct ota_error *err)
{
	struct archive_entry *entry;
	int got;
	enum ota_code rc;

	while ((got = archive_read_next_header(u->archive, &entry)) != ARCHIVE_EOF) {
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
			return read_error(u, err);
		if (++u->entries > u->limits->entries_max)
			return ota_fail(err, OTA_E_LIMIT, "more than %" PRIu32 " entries",
				u->limits->entries_max);
		rc = make_entry(u, entry, err);
		if (rc != OTA_OK)
			return ota_wrap(err, rc, "%.100s", path_of(entry));
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code open_archive(
	struct unpacking *u, int fd, struct ota_error *err)
{
	u->archive = archive_read_new();
	if (u->archive == NULL)
		return ota_fail(err, OTA_E_NOMEM, "archive");
	if (lseek(fd, 0, SEEK_SET) != 0)
		return sys_error("seek", err);
	if (archive_read_support_format_tar(u->archive) != ARCHIVE_OK ||
		archive_read_open_fd(u->archive, fd, READ_LEN) != ARCHIVE_OK)
		return read_error(u, err);
	return OTA_OK;
}

enum ota_code tree_unpack(int archive, const char *into, const struct tree_limits *limits,
	struct ota_error *err)
{
	OTA_AUTO(unpacking_fini)
	struct unpacking u = { .root = -1, .limits = limits, .owns = geteuid() == 0 };
	enum ota_code rc;

	if (mkdir(into, 0755) != 0)
		return sys_error(into, err);
	u.root = open(into, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u.root < 0)
		return sys_error(into, err);
	rc = open_archive(&u, archive, err);
	if (rc == OTA_OK)
		rc = make_all(&u, err);
	return rc == OTA_OK ? tree_sync(into, err) : rc;
}
