#include "tests/unit/faults_kit.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <seccomp.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <uv.h>

#include "proto/io/files.h"

enum { CALLS_MAX = 128 };

/* The names of calls that were made at the first step of a walk, in this process or in
 * one that it forked. */
static struct made {
	const char *names[CALLS_MAX];
	atomic_size_t count;
} * made;

static atomic_bool recording;

/* What is armed. */
static const char *armed;
static atomic_long countdown = -1; /* calls left, until the last that fails */
static atomic_bool fired;
static int armed_error; /* of the one that failed last */
static int first_error;
static long armed_times; /* so many fail, one after the other */

/* What fails once beside it. */
static const char *second;
static int second_error;
static atomic_long second_countdown = -1;

/* What happens just before a call. */
static const char *awaited;
static void (*happening)(void);
static atomic_long awaited_countdown = -1;

/* File to be made then; "": none. */
static char mark[256];

/* Names of calls that are only pretended. */
static const char *pretended;

/* Whether a name is one of those of a list. */
static bool is_named(const char *list, const char *call)
{
	size_t len = strlen(call);

	for (const char *at = list; (at = strstr(at, call)) != NULL; at += len)
		if ((at == list || at[-1] == ' ') && at[len] == ' ')
			return true;
	return false;
}

static bool is_made(const char *call)
{
	for (size_t i = 0; i < atomic_load(&made->count) && i < CALLS_MAX; i++)
		if (made->names[i] != NULL && strcmp(made->names[i], call) == 0)
			return true;
	return false;
}

static void record(const char *call)
{
	size_t at;

	if (is_made(call))
		return;
	at = atomic_fetch_add(&made->count, 1);
	if (at < CALLS_MAX)
		made->names[at] = call;
}

/* Past the calls that may fail. */
static void make_mark(void)
{
	if (mark[0] != '\0')
		(void)mknod(mark, S_IFREG | 0600, 0);
}

static bool is_first(const char *call)
{
	if (armed == NULL || strcmp(armed, call) != 0 || atomic_load(&countdown) < 0 ||
		atomic_fetch_sub(&countdown, 1) >= armed_times)
		return false;
	armed_error = first_error;
	atomic_store(&fired, true);
	return true;
}

static bool is_second(const char *call)
{
	if (second == NULL || strcmp(second, call) != 0 ||
		atomic_load(&second_countdown) < 0 ||
		atomic_fetch_sub(&second_countdown, 1) > 0)
		return false;
	armed_error = second_error;
	return true;
}

static void let_happen(const char *call)
{
	if (awaited != NULL && strcmp(awaited, call) == 0 &&
		atomic_load(&awaited_countdown) >= 0 &&
		atomic_fetch_sub(&awaited_countdown, 1) == 0)
		happening();
}

/* Whether this call is the one; errno is set if so. */
static bool is_due(const char *call)
{
	let_happen(call);
	if (atomic_load(&recording))
		record(call);
	if (!is_first(call) && !is_second(call))
		return false;
	make_mark();
	errno = armed_error;
	return true;
}

/* Whether this call is only pretended. */
static bool is_pretended(const char *call)
{
	return pretended != NULL && is_named(pretended, call);
}

/* A call of the system or of a library, and what it gives when it fails: the error is in
 * errno, too. */
#define WRAP(type, call, params, args, failed)                     \
	type __real_##call params;                                 \
	type __wrap_##call params;                                 \
	type __wrap_##call params                                  \
	{                                                          \
		return is_due(#call)         ? (failed)            \
		       : is_pretended(#call) ? (type)0             \
					     : __real_##call args; \
	}

/* The end of a file is no error. */
#define END_OR_FAILED (armed_error == 0 ? 0 : -1)

WRAP(void *, malloc, (size_t len), (len), NULL)
WRAP(void *, calloc, (size_t count, size_t len), (count, len), NULL)
WRAP(void *, realloc, (void *at, size_t len), (at, len), NULL)
WRAP(void *, aligned_alloc, (size_t align, size_t len), (align, len), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)

WRAP(int, open64, (const char *path, int flags, mode_t mode), (path, flags, mode), -1)
WRAP(int, openat64, (int fd, const char *path, int flags, mode_t mode),
	(fd, path, flags, mode), -1)
WRAP(ssize_t, read, (int fd, void *out, size_t len), (fd, out, len), -1)
WRAP(ssize_t, write, (int fd, const void *at, size_t len), (fd, at, len), -1)
WRAP(ssize_t, pread64, (int fd, void *out, size_t len, off_t at), (fd, out, len, at),
	END_OR_FAILED)
WRAP(ssize_t, pwrite64, (int fd, const void *from, size_t len, off_t at),
	(fd, from, len, at), -1)
WRAP(int, fstat64, (int fd, struct stat *out), (fd, out), -1)
WRAP(int, stat64, (const char *path, struct stat *out), (path, out), -1)
WRAP(int, lstat64, (const char *path, struct stat *out), (path, out), -1)
WRAP(int, fstatat64, (int fd, const char *path, struct stat *out, int flags),
	(fd, path, out, flags), -1)
WRAP(int, statfs64, (const char *path, struct statfs *out), (path, out), -1)
WRAP(int, statvfs64, (const char *path, struct statvfs *out), (path, out), -1)
WRAP(int, fsync, (int fd), (fd), -1)
WRAP(int, fdatasync, (int fd), (fd), -1)
WRAP(int, ftruncate64, (int fd, off_t len), (fd, len), -1)
WRAP(int, fallocate64, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len), -1)
WRAP(off_t, lseek64, (int fd, off_t at, int whence), (fd, at, whence), -1)
WRAP(int, access, (const char *path, int mode), (path, mode), -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), -1)
WRAP(int, unlink, (const char *path), (path), -1)
WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1)
WRAP(int, rmdir, (const char *path), (path), -1)
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
WRAP(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), -1)
WRAP(int, mknodat, (int fd, const char *path, mode_t mode, dev_t device),
	(fd, path, mode, device), -1)
WRAP(int, linkat, (int from_fd, const char *from, int fd, const char *to, int flags),
	(from_fd, from, fd, to, flags), -1)
WRAP(int, symlink, (const char *to, const char *path), (to, path), -1)
WRAP(int, symlinkat, (const char *to, int fd, const char *path), (to, fd, path), -1)
WRAP(ssize_t, readlink, (const char *path, char *out, size_t len), (path, out, len), -1)
WRAP(int, chown, (const char *path, uid_t user, gid_t group), (path, user, group), -1)
WRAP(int, fchown, (int fd, uid_t user, gid_t group), (fd, user, group), -1)
WRAP(int, fchownat, (int fd, const char *path, uid_t user, gid_t group, int flags),
	(fd, path, user, group, flags), -1)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
WRAP(int, futimens, (int fd, const struct timespec times[2]), (fd, times), -1)
WRAP(DIR *, opendir, (const char *path), (path), NULL)
WRAP(DIR *, fdopendir, (int fd), (fd), NULL)
WRAP(struct dirent64 *, readdir64, (DIR * dir), (dir), NULL)
WRAP(FILE *, fopen64, (const char *path, const char *mode), (path, mode), NULL)
WRAP(int, mkostemp64, (char *path, int flags), (path, flags), -1)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)

WRAP(int, fcntl64, (int fd, int what, long arg), (fd, what, arg), -1)
WRAP(int, ioctl, (int fd, unsigned long what, void *arg), (fd, what, arg), -1)
WRAP(int, pipe, (int *fds), (fds), -1)
WRAP(int, pipe2, (int *fds, int flags), (fds, flags), -1)
WRAP(int, socketpair, (int domain, int type, int protocol, int *fds),
	(domain, type, protocol, fds), -1)
WRAP(int, getsockopt, (int fd, int level, int name, void *out, socklen_t *len),
	(fd, level, name, out, len), -1)
WRAP(int, accept4, (int fd, struct sockaddr *from, socklen_t *len, int flags),
	(fd, from, len, flags), -1)
WRAP(int, bind, (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len), -1)
WRAP(int, listen, (int fd, int most), (fd, most), -1)
WRAP(int, connect, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len), -1)
WRAP(int, getsockname, (int fd, struct sockaddr *out, socklen_t *len), (fd, out, len), -1)
WRAP(ssize_t, send, (int fd, const void *at, size_t len, int flags), (fd, at, len, flags),
	-1)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags),
	END_OR_FAILED)

WRAP(long, syscall, (long number, long a, long b, long c, long d, long e),
	(number, a, b, c, d, e), -1)
WRAP(int, prctl,
	(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d),
	(what, a, b, c, d), -1)
WRAP(int, getrlimit64, (__rlimit_resource_t what, struct rlimit *out), (what, out), -1)
WRAP(int, setrlimit64, (__rlimit_resource_t what, const struct rlimit *limit),
	(what, limit), -1)
WRAP(int, setgroups, (size_t count, const gid_t *groups), (count, groups), -1)
WRAP(int, setresgid, (gid_t real, gid_t effective, gid_t saved), (real, effective, saved),
	-1)
WRAP(int, setresuid, (uid_t real, uid_t effective, uid_t saved), (real, effective, saved),
	-1)
WRAP(uid_t, geteuid, (void), (), 12345)
WRAP(pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags), -1)
WRAP(int, posix_spawn,
	(pid_t * pid, const char *path, const posix_spawn_file_actions_t *files,
		const posix_spawnattr_t *how, char *const args[], char *const env[]),
	(pid, path, files, how, args, env), armed_error)
WRAP(int, posix_spawn_file_actions_adddup2,
	(posix_spawn_file_actions_t * files, int from, int to), (files, from, to),
	armed_error)
WRAP(int, pthread_create,
	(pthread_t * out, const pthread_attr_t *how, void *(*run)(void *), void *ctx),
	(out, how, run, ctx), armed_error)

WRAP(scmp_filter_ctx, seccomp_init, (uint32_t action), (action), NULL)
WRAP(int, seccomp_load, (const scmp_filter_ctx filter), (filter), -armed_error)
WRAP(int, seccomp_rule_add,
	(scmp_filter_ctx filter, uint32_t action, int call, unsigned count,
		struct scmp_arg_cmp a, struct scmp_arg_cmp b),
	(filter, action, call, count, a, b), -armed_error)
WRAP(int, sodium_init, (void), (), -1)

WRAP(int, uv_loop_init, (uv_loop_t * loop), (loop), -armed_error)
WRAP(int, uv_timer_init, (uv_loop_t * loop, uv_timer_t *timer), (loop, timer),
	-armed_error)
WRAP(int, uv_signal_init, (uv_loop_t * loop, uv_signal_t *handle), (loop, handle),
	-armed_error)
WRAP(int, uv_signal_start, (uv_signal_t * handle, uv_signal_cb run, int number),
	(handle, run, number), -armed_error)
WRAP(int, uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd),
	-armed_error)
/* It makes the handle also when it fails, as the real one does: that is asked for a
 * program that is not there. */
int __real_uv_spawn(
	uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *how);
int __wrap_uv_spawn(
	uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *how);
int __wrap_uv_spawn(
	uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *how)
{
	uv_process_options_t nothing = *how;

	nothing.file = "/no/such/program";
	return __real_uv_spawn(loop, process, is_due("uv_spawn") ? &nothing : how);
}
WRAP(int, uv_queue_work,
	(uv_loop_t * loop, uv_work_t *work, uv_work_cb begin, uv_after_work_cb end),
	(loop, work, begin, end), -armed_error)

WRAP(struct archive *, archive_read_new, (void), (), NULL)
WRAP(int, archive_read_support_format_tar, (struct archive * archive), (archive),
	ARCHIVE_FATAL)
WRAP(int, archive_read_open_fd, (struct archive * archive, int fd, size_t len),
	(archive, fd, len), ARCHIVE_FATAL)

WRAP(const char *, archive_entry_pathname, (struct archive_entry * entry), (entry), NULL)
WRAP(const char *, archive_entry_pathname_utf8, (struct archive_entry * entry), (entry),
	NULL)
WRAP(const char *, archive_entry_symlink, (struct archive_entry * entry), (entry), NULL)
WRAP(const char *, archive_entry_symlink_utf8, (struct archive_entry * entry), (entry),
	NULL)

WRAP(enum ota_code, ota_path_join,
	(const char *dir, const char *name, char *out, size_t cap, struct ota_error *err),
	(dir, name, out, cap, err), ota_fail(err, OTA_E_LIMIT, "path is too long"))

/* Errors that are told apart, or one. */
struct row {
	const char *call;
	int error;
};

/* clang-format off */
static const struct row rows[] = {
	{ "malloc", ENOMEM }, { "calloc", ENOMEM }, { "realloc", ENOMEM },
	{ "aligned_alloc", ENOMEM }, { "strdup", ENOMEM },
	{ "open64", EIO }, { "open64", ENOENT }, { "open64", EOPNOTSUPP },
	{ "openat64", EIO }, { "openat64", ENOTDIR },
	{ "read", EIO }, { "read", EINTR }, { "read", EAGAIN },
	{ "write", EIO }, { "write", EINTR }, { "write", ENOSPC },
	{ "pread64", EIO }, { "pread64", EINTR }, { "pread64", 0 },
	{ "pwrite64", EIO }, { "pwrite64", EINTR }, { "pwrite64", ENOSPC },
	{ "fstat64", EIO }, { "stat64", EIO }, { "stat64", ENOENT }, { "lstat64", EIO },
	{ "fstatat64", EIO }, { "statfs64", EIO }, { "statvfs64", EIO },
	{ "fsync", EIO }, { "fdatasync", EIO },
	{ "ftruncate64", EIO }, { "fallocate64", EIO }, { "fallocate64", ENOSPC },
	{ "fallocate64", EDQUOT }, { "fallocate64", EFBIG },
	{ "fallocate64", EOPNOTSUPP }, { "fallocate64", ENOSYS },
	{ "lseek64", EIO }, { "access", EACCES }, { "access", ENOENT },
	{ "rename", EIO }, { "unlink", EIO }, { "unlink", ENOENT }, { "unlinkat", EIO },
	{ "rmdir", EIO }, { "mkdir", EIO }, { "mkdirat", EIO }, { "mkdirat", ENOSPC },
	{ "mkdirat", EDQUOT }, { "mknodat", EIO }, { "linkat", EIO }, { "symlink", EIO },
	{ "symlinkat", EIO }, { "readlink", EIO }, { "chown", EIO }, { "fchown", EIO },
	{ "fchownat", EIO }, { "fchmod", EIO }, { "futimens", EIO }, { "opendir", EIO },
	{ "opendir", ENOENT }, { "fdopendir", ENOMEM }, { "readdir64", EIO }, { "fopen64", EIO },
	{ "mkostemp64", EIO }, { "memfd_create", EIO },
	{ "fcntl64", EMFILE }, { "ioctl", EIO },
	{ "pipe", EMFILE }, { "pipe2", EMFILE }, { "socketpair", EMFILE },
	{ "getsockopt", EIO }, { "accept4", EMFILE }, { "bind", EIO }, { "listen", EIO },
	{ "connect", ECONNREFUSED }, { "getsockname", ENOBUFS }, { "send", EIO },
	{ "send", EAGAIN }, { "send", ENOBUFS }, { "send", EINTR }, { "recvmsg", EIO }, { "recvmsg", EINTR }, { "recvmsg", EAGAIN },
	{ "recvmsg", 0 },
	{ "syscall", ENOSYS }, { "syscall", EPERM }, { "prctl", EPERM },
	{ "getrlimit64", EPERM }, { "setrlimit64", EPERM }, { "setgroups", EPERM },
	{ "setgroups", EINVAL }, { "setresgid", EPERM }, { "setresgid", EINVAL },
	{ "setresuid", EPERM }, { "setresuid", EINVAL }, { "geteuid", 0 },
	{ "waitpid", EINTR }, { "waitpid", ECHILD }, { "posix_spawn", EAGAIN },
	{ "posix_spawn", ENOMEM },
	{ "posix_spawn_file_actions_adddup2", ENOMEM }, { "pthread_create", EAGAIN },
	{ "seccomp_init", 0 }, { "seccomp_load", EFAULT }, { "seccomp_rule_add", ENOMEM },
	{ "sodium_init", 0 }, { "uv_loop_init", ENOMEM }, { "uv_timer_init", ENOMEM },
	{ "uv_signal_init", ENOMEM }, { "uv_signal_start", EINVAL },
	{ "uv_poll_init", ENOMEM }, { "uv_spawn", EAGAIN }, { "uv_queue_work", ENOMEM },
	{ "archive_read_new", ENOMEM }, { "archive_read_support_format_tar", ENOMEM },
	{ "archive_read_open_fd", ENOMEM },
	{ "archive_entry_pathname", ENOMEM }, { "archive_entry_pathname_utf8", ENOMEM },
	{ "archive_entry_symlink", ENOMEM }, { "archive_entry_symlink_utf8", ENOMEM },
	{ "ota_path_join", 0 },
};
/* clang-format on */

enum { ROWS = sizeof rows / sizeof rows[0] };

static bool is_wanted(const struct faults *walk, const char *call)
{
	return is_made(call) && (walk->only == NULL || is_named(walk->only, call));
}

bool faults_next(struct faults *walk)
{
	if (!walk->begun) {
		walk->begun = true;
		if (made == NULL)
			made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (made == MAP_FAILED)
			abort();
		return true;
	}
	if (walk->fired) {
		walk->nth += walk->nth < FAULTS_EACH || walk->wants_each ? 1 : walk->nth;
		walk->fired = false;
		return true;
	}
	walk->nth = 0;
	do
		walk->row++;
	while (walk->row <= ROWS && !is_wanted(walk, rows[walk->row - 1].call));
	return walk->row <= ROWS;
}

static void arm(const char *call, int error, long nth, long times)
{
	atomic_store(&fired, false);
	armed = call;
	first_error = error;
	armed_times = times;
	atomic_store(&countdown, nth + times - 1);
}

void faults_arm(const struct faults *walk)
{
	const struct row *row = &rows[walk->row > 0 ? walk->row - 1 : 0];

	if (walk->row > 0) {
		arm(row->call, row->error, walk->nth, 1);
		return;
	}
	atomic_store(&fired, false);
	atomic_store(&made->count, 0);
	atomic_store(&recording, true);
}

bool faults_disarm(struct faults *walk)
{
	atomic_store(&countdown, -1);
	atomic_store(&recording, false);
	walk->fired = faults_fired();
	walk->count += walk->fired;
	return walk->fired;
}

void faults_pretend(const char *calls)
{
	pretended = calls;
}

const char *faults_text(const struct faults *walk)
{
	static char text[96];
	const struct row *row = &rows[walk->row > 0 ? walk->row - 1 : 0];

	if (walk->row == 0)
		return "no fault";
	(void)snprintf(text, sizeof text, "%s,%d,%ld", row->call, row->error, walk->nth);
	return text;
}

bool faults_arm_text(const char *text)
{
	char call[64];
	int error;
	long nth, times = 1;

	if (sscanf(text, "%63[^,],%d,%ld,%ld", call, &error, &nth, &times) < 3)
		return false;
	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].call, call) != 0)
			continue;
		arm(rows[i].call, error, nth, times);
		return true;
	}
	return false;
}

bool faults_arm_second(const char *text)
{
	char call[64];
	int error;
	long nth;

	if (sscanf(text, "%63[^,],%d,%ld", call, &error, &nth) < 3)
		return false;
	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].call, call) != 0)
			continue;
		second = rows[i].call;
		second_error = error;
		atomic_store(&second_countdown, nth);
		return true;
	}
	return false;
}

bool faults_second_fired(void)
{
	return second != NULL && atomic_load(&second_countdown) < 0;
}

bool faults_fired(void)
{
	return atomic_load(&fired);
}

void faults_before(const char *call, long nth, void (*run)(void))
{
	awaited = call;
	happening = run;
	atomic_store(&awaited_countdown, nth);
}

bool faults_mark_at(const char *path)
{
	if (strlen(path) >= sizeof mark)
		return false;
	memcpy(mark, path, strlen(path) + 1);
	return true;
}
