/* The calls of the C library that change names and attributes, each led past the shim. */

#include "tests/crash/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct iovec none = { NULL, 0 };

/* ---- names ---- */

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	struct shim_call call = { .kind = SHIM_RENAME, .name = "rename", .flag = flags };
	bool one = shim_watches_path(&call, a, from);
	bool two = shim_watches_path2(&call, b, to);

	if (!one && !two)
		return (int)syscall(SYS_renameat2, a, from, b, to, flags);
	return shim_begin(&call)
		       ? -1
		       : shim_done(&call, syscall(SYS_renameat2, a, from, b, to, flags));
}

int renameat(int a, const char *from, int b, const char *to)
{
	return renameat2(a, from, b, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
	struct shim_call call = { .kind = SHIM_LINK, .name = "link" };
	struct stat st;
	long made;

	if (!shim_watches_path2(&call, b, to))
		return (int)syscall(SYS_linkat, a, from, b, to, flags);
	if (shim_begin(&call))
		return -1;
	made = syscall(SYS_linkat, a, from, b, to, flags);
	if (made == 0 && fstatat(b, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		call.ino = st.st_ino;
	shim_end(&call, made, none);
	return (int)made;
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int symlinkat(const char *target, int dir_fd, const char *path)
{
	struct shim_call call = { .kind = SHIM_SYMLINK, .name = "symlink" };
	long made;

	if (!shim_watches_path(&call, dir_fd, path))
		return (int)syscall(SYS_symlinkat, target, dir_fd, path);
	if (shim_begin(&call))
		return -1;
	made = syscall(SYS_symlinkat, target, dir_fd, path);
	shim_end(&call, made, (struct iovec){ (void *)target, strlen(target) });
	return (int)made;
}

int symlink(const char *target, const char *path)
{
	return symlinkat(target, AT_FDCWD, path);
}

int unlinkat(int dir_fd, const char *path, int flags)
{
	struct shim_call call = { .kind = SHIM_UNLINK, .name = "unlink" };

	if (!shim_watches_path(&call, dir_fd, path))
		return (int)syscall(SYS_unlinkat, dir_fd, path, flags);
	if ((flags & AT_REMOVEDIR) != 0) {
		call.kind = SHIM_RMDIR;
		call.name = "rmdir";
	}
	return shim_begin(&call)
		       ? -1
		       : shim_done(&call, syscall(SYS_unlinkat, dir_fd, path, flags));
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
	int rc = unlink(path);

	return rc != 0 && errno == EISDIR ? rmdir(path) : rc;
}

int mkdirat(int dir_fd, const char *path, mode_t mode)
{
	struct shim_call call = { .kind = SHIM_MKDIR, .name = "mkdir" };
	struct stat st;
	long made;

	if (!shim_watches_path(&call, dir_fd, path))
		return (int)syscall(SYS_mkdirat, dir_fd, path, mode);
	if (shim_begin(&call))
		return -1;
	made = syscall(SYS_mkdirat, dir_fd, path, mode);
	if (made == 0 && fstatat(dir_fd, path, &st, 0) == 0)
		call.ino = st.st_ino;
	shim_end(&call, made, none);
	return (int)made;
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int truncate(const char *path, off_t len)
{
	struct shim_call call = { .kind = SHIM_CONTROL, .name = "truncate" };

	if (!shim_watches_path(&call, AT_FDCWD, path))
		return (int)syscall(SYS_truncate, path, len);
	return shim_begin(&call) ? -1
				 : shim_done(&call, syscall(SYS_truncate, path, len));
}

/* ---- attributes ---- */

int fchmod(int fd, mode_t mode)
{
	struct shim_call call = { .kind = SHIM_MODE, .name = "fchmod" };

	if (!shim_watches_fd(&call, fd))
		return (int)syscall(SYS_fchmod, fd, mode);
	return shim_begin(&call) ? -1 : shim_done(&call, syscall(SYS_fchmod, fd, mode));
}

int chmod(const char *path, mode_t mode)
{
	struct shim_call call = { .kind = SHIM_MODE, .name = "chmod" };

	if (!shim_watches_path(&call, AT_FDCWD, path))
		return (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
	return shim_begin(&call)
		       ? -1
		       : shim_done(&call, syscall(SYS_fchmodat, AT_FDCWD, path, mode));
}

int fchmodat(int dir_fd, const char *path, mode_t mode, int flags)
{
	struct shim_call call = { .kind = SHIM_MODE, .name = "chmod" };

	(void)flags;
	if (!shim_watches_path(&call, dir_fd, path))
		return (int)syscall(SYS_fchmodat, dir_fd, path, mode);
	return shim_begin(&call)
		       ? -1
		       : shim_done(&call, syscall(SYS_fchmodat, dir_fd, path, mode));
}

int fchown(int fd, uid_t user, gid_t group)
{
	struct shim_call call = { .kind = SHIM_MODE, .name = "fchown" };

	if (!shim_watches_fd(&call, fd))
		return (int)syscall(SYS_fchown, fd, user, group);
	return shim_begin(&call) ? -1
				 : shim_done(&call, syscall(SYS_fchown, fd, user, group));
}

int futimens(int fd, const struct timespec times[2])
{
	struct shim_call call = { .kind = SHIM_MODE, .name = "utimensat" };

	if (!shim_watches_fd(&call, fd))
		return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
	return shim_begin(&call)
		       ? -1
		       : shim_done(&call, syscall(SYS_utimensat, fd, NULL, times, 0));
}

int utimensat(int dir_fd, const char *path, const struct timespec times[2], int flags)
{
	struct shim_call call = { .kind = SHIM_MODE, .name = "utimensat" };

	if (!shim_watches_path(&call, dir_fd, path))
		return (int)syscall(SYS_utimensat, dir_fd, path, times, flags);
	return shim_begin(&call) ? -1
				 : shim_done(&call, syscall(SYS_utimensat, dir_fd, path,
							    times, flags));
}

int fchownat(int dir_fd, const char *path, uid_t user, gid_t group, int flags)
{
	struct shim_call call = { .kind = SHIM_MODE, .name = "fchownat" };

	if (!shim_watches_path(&call, dir_fd, path))
		return (int)syscall(SYS_fchownat, dir_fd, path, user, group, flags);
	return shim_begin(&call) ? -1
				 : shim_done(&call, syscall(SYS_fchownat, dir_fd, path,
							    user, group, flags));
}

/* ---- what is no file call ---- */

/* True for requests that only ask, or empty a cache. */
static bool only_asks(unsigned long request)
{
	switch (request) {
	case BLKFLSBUF:
	case BLKGETSIZE:
	case BLKGETSIZE64:
	case BLKSSZGET:
	case BLKPBSZGET:
	case BLKBSZGET:
	case BLKROGET:
	case BLKIOMIN:
	case BLKALIGNOFF:
	case FIGETBSZ:
	case FS_IOC_GETFLAGS:
	case FIBMAP:
		return true;
	default:
		return (request & 0xff00) == 0x5400; /* of terminals, and FIONREAD */
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	struct shim_call call = { .kind = SHIM_CONTROL, .name = "ioctl" };
	va_list more;
	void *argument;

	va_start(more, request);
	argument = va_arg(more, void *);
	va_end(more);
	if (only_asks(request) || !shim_watches_fd(&call, fd))
		return (int)syscall(SYS_ioctl, fd, request, argument);
	return shim_begin(&call)
		       ? -1
		       : shim_done(&call, syscall(SYS_ioctl, fd, request, argument));
}

/* The packets of the agent's two halves tell what net was told, and when. */
ssize_t send(int fd, const void *data, size_t len, int flags)
{
	int saved = errno, type = 0;
	socklen_t type_len = sizeof type;
	ssize_t n = syscall(SYS_sendto, fd, data, len, flags, NULL, 0);

	if (n > 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 &&
		type == SOCK_SEQPACKET) {
		shim_say((struct iovec){ (void *)data, (size_t)n });
		errno = saved;
	}
	return n;
}
