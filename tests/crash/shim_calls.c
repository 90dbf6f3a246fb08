/* The calls of the C library that change a disk, each led past the shim. Built without
 * _FILE_OFFSET_BITS: open() and open64() and their like are two names here. */

#include "tests/crash/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct iovec none = { NULL, 0 };

/* ---- open ---- */

static uint64_t ino_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* CRASH_CMDLINE in the environment: what a boot loader told the kernel. */
static const char *led_elsewhere(const char *path)
{
	const char *cmdline =
		strcmp(path, "/proc/cmdline") == 0 ? getenv("CRASH_CMDLINE") : NULL;

	return cmdline != NULL ? cmdline : path;
}

static int open_at(int dir_fd, const char *asked_path, int flags, mode_t mode)
{
	const char *path = led_elsewhere(asked_path);
	struct shim_call call = { .kind = SHIM_CREATE, .name = "open" };
	bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
	struct stat st;
	long fd;

	if (!shim_watches_path(&call, dir_fd, path))
		return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
	if ((flags & (O_CREAT | O_TRUNC)) == 0 && !nameless) {
		fd = syscall(SYS_openat, dir_fd, path, flags, mode);
		shim_opened(&call, fd);
		return (int)fd;
	}
	call.flag = fstatat(dir_fd, path, &st, 0) == 0 ? 1 : 0;
	call.flag |= (flags & O_TRUNC) != 0 ? 2 : 0;
	call.flag |= nameless ? 4 : 0;
	if (shim_begin(&call))
		return -1;
	fd = syscall(SYS_openat, dir_fd, path, flags, mode);
	shim_opened(&call, fd);
	call.ino = fd < 0 ? 0 : ino_of((int)fd);
	shim_end(&call, fd, none);
	return (int)fd;
}

static bool has_mode(int flags)
{
	return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

#define MODE_OF(flags, mode)                         \
	do {                                         \
		va_list more;                        \
		va_start(more, flags);               \
		if (has_mode(flags))                 \
			mode = va_arg(more, mode_t); \
		va_end(more);                        \
	} while (0)

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir_fd, const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return open_at(dir_fd, path, flags, mode);
}

int openat64(int dir_fd, const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return open_at(dir_fd, path, flags, mode);
}

int creat(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* The C library makes the name and opens it within itself. */
int mkostemp(char *path, int flags)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
	size_t at = strlen(path) - 6;
	uint8_t random[6];
	int fd;

	do {
		if (getrandom(random, sizeof random, 0) != sizeof random)
			return -1;
		for (size_t i = 0; i < sizeof random; i++)
			path[at + i] = letters[random[i] % 32];
		fd = open_at(AT_FDCWD, path, flags | O_CREAT | O_EXCL | O_RDWR, 0600);
	} while (fd < 0 && errno == EEXIST);
	return fd;
}

int mkostemp64(char *path, int flags)
{
	return mkostemp(path, flags);
}

int mkstemp(char *path)
{
	return mkostemp(path, 0);
}

int mkstemp64(char *path)
{
	return mkostemp(path, 0);
}

/* ---- write ---- */

/* Where write() will write. */
static uint64_t position_of(int fd)
{
	off64_t at = lseek64(fd, 0, SEEK_CUR);

	return at < 0 ? 0 : (uint64_t)at;
}

static ssize_t write_at(struct shim_call *call, int fd, struct iovec data, off64_t offset)
{
	ssize_t n;

	call->offset = offset < 0 ? position_of(fd) : (uint64_t)offset;
	call->end = call->offset + data.iov_len;
	if (shim_begin(call))
		return -1;
	if (call->torn)
		data.iov_len /= 2;
	n = offset < 0 ? syscall(SYS_write, fd, data.iov_base, data.iov_len)
		       : syscall(SYS_pwrite64, fd, data.iov_base, data.iov_len, offset);
	if (call->torn)
		shim_die();
	shim_end(call, n, (struct iovec){ data.iov_base, n < 0 ? 0 : (size_t)n });
	return n;
}

ssize_t write(int fd, const void *data, size_t len)
{
	struct shim_call call = { .kind = SHIM_WRITE, .name = "write" };

	if (!shim_watches_fd(&call, fd))
		return syscall(SYS_write, fd, data, len);
	return write_at(&call, fd, (struct iovec){ (void *)data, len }, -1);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	struct shim_call call = { .kind = SHIM_WRITE, .name = "pwrite" };

	if (!shim_watches_fd(&call, fd))
		return syscall(SYS_pwrite64, fd, data, len, offset);
	return write_at(&call, fd, (struct iovec){ (void *)data, len }, offset);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return pwrite64(fd, data, len, offset);
}

/* Several pieces are gathered first: one call, one write. */
static ssize_t write_pieces(
	struct shim_call *call, int fd, const struct iovec *pieces, off64_t offset)
{
	size_t count = (size_t)call->flag, len = 0;
	char *whole;
	ssize_t n;

	call->flag = 0;
	for (size_t i = 0; i < count; i++)
		len += pieces[i].iov_len;
	whole = malloc(len + 1);
	if (whole == NULL)
		abort();
	len = 0;
	for (size_t i = 0; i < count; i++) {
		memcpy(whole + len, pieces[i].iov_base, pieces[i].iov_len);
		len += pieces[i].iov_len;
	}
	n = write_at(call, fd, (struct iovec){ whole, len }, offset);
	free(whole);
	return n;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
	struct shim_call call = { SHIM_WRITE, "write", .flag = (uint32_t)count };

	if (!shim_watches_fd(&call, fd))
		return syscall(SYS_writev, fd, pieces, count);
	return write_pieces(&call, fd, pieces, -1);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
	struct shim_call call = { SHIM_WRITE, "pwrite", .flag = (uint32_t)count };

	if (!shim_watches_fd(&call, fd))
		return syscall(SYS_pwritev, fd, pieces, count, offset, 0);
	return write_pieces(&call, fd, pieces, offset);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
	return pwritev64(fd, pieces, count, offset);
}

/* A copy within the kernel: read and written here, so that what it wrote is known. */
static ssize_t copy(struct shim_call *call, const int fds[2], off64_t *from, size_t len)
{
	enum { PIECE = 65536 };
	char piece[PIECE];
	ssize_t n;

	if (len > PIECE)
		len = PIECE;
	n = from == NULL ? read(fds[0], piece, len) : pread64(fds[0], piece, len, *from);
	if (n <= 0)
		return n;
	n = write_at(call, fds[1], (struct iovec){ piece, (size_t)n },
		call->flag != 0 ? (off64_t)call->offset : -1);
	if (n > 0 && from != NULL)
		*from += n;
	return n;
}

ssize_t sendfile64(int out, int in, off64_t *from, size_t len)
{
	struct shim_call call = { .kind = SHIM_WRITE, .name = "sendfile" };

	if (!shim_watches_fd(&call, out))
		return syscall(SYS_sendfile, out, in, from, len);
	return copy(&call, (int[]){ in, out }, from, len);
}

ssize_t sendfile(int out, int in, off_t *from, size_t len)
{
	return sendfile64(out, in, from, len);
}

ssize_t copy_file_range(
	int in, off64_t *from, int out, off64_t *to, size_t len, unsigned flags)
{
	struct shim_call call = { .kind = SHIM_WRITE, .name = "copy_file_range" };
	ssize_t n;

	if (!shim_watches_fd(&call, out))
		return syscall(SYS_copy_file_range, in, from, out, to, len, flags);
	call.flag = to != NULL;
	call.offset = to == NULL ? 0 : (uint64_t)*to;
	n = copy(&call, (int[]){ in, out }, from, len);
	if (n > 0 && to != NULL)
		*to += n;
	return n;
}

/* ---- size ---- */

int ftruncate64(int fd, off64_t len)
{
	struct shim_call call = { .kind = SHIM_RESIZE, .name = "ftruncate" };

	if (!shim_watches_fd(&call, fd))
		return (int)syscall(SYS_ftruncate, fd, len);
	call.offset = call.end = (uint64_t)len;
	if (shim_begin(&call))
		return -1;
	return shim_done(&call, syscall(SYS_ftruncate, fd, len));
}

int ftruncate(int fd, off_t len)
{
	return ftruncate64(fd, len);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	struct shim_call call = { .kind = SHIM_ALLOCATE, .name = "fallocate" };

	if (!shim_watches_fd(&call, fd))
		return (int)syscall(SYS_fallocate, fd, mode, offset, len);
	call.end = (uint64_t)(offset + len);
	call.offset = mode == FALLOC_FL_KEEP_SIZE ? 0 : call.end;
	if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE)
		call.kind = SHIM_CONTROL; /* holes and the like: not modelled */
	if (shim_begin(&call))
		return -1;
	return shim_done(&call, syscall(SYS_fallocate, fd, mode, offset, len));
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	return fallocate64(fd, mode, offset, len);
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	return fallocate64(fd, 0, offset, len) == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	return posix_fallocate64(fd, offset, len);
}

/* ---- sync ---- */

/* What is lost without it is tried by replaying the log; the disk itself need not wait.
 */
static int sync_fd(int fd, long number, const char *name)
{
	struct shim_call call = { .kind = SHIM_SYNC, .name = name };

	if (!shim_watches_fd(&call, fd))
		return (int)syscall(number, fd);
	if (shim_begin(&call))
		return -1;
	return shim_done(&call, syscall(number, fd));
}

int fsync(int fd)
{
	return sync_fd(fd, SYS_fsync, "fsync");
}

int fdatasync(int fd)
{
	return sync_fd(fd, SYS_fdatasync, "fdatasync");
}

int syncfs(int fd)
{
	struct shim_call call = { .kind = SHIM_SYNC, .name = "syncfs", .flag = 1 };

	if (!shim_watches_fd(&call, fd))
		return (int)syscall(SYS_syncfs, fd);
	if (shim_begin(&call))
		return -1;
	return shim_done(&call, syscall(SYS_syncfs, fd));
}

/* Promises nothing about a loss of power, so it is a call that may fail and no more. */
int sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
	struct shim_call call = { .kind = SHIM_MODE, .name = "sync_file_range" };

	if (!shim_watches_fd(&call, fd))
		return (int)syscall(SYS_sync_file_range, fd, offset, len, flags);
	if (shim_begin(&call))
		return -1;
	return shim_done(&call, syscall(SYS_sync_file_range, fd, offset, len, flags));
}
