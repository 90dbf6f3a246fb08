/* Breaks the system calls that change a disk, one of them at a time, and records them.
 * LD_PRELOAD; does nothing without these in the environment:
 *
 *   CRASH_DIR      folder whose files and folders are watched
 *   CRASH_CONTROL  file of a struct control, shared by all processes below
 *   CRASH_CMDLINE  file that is read in the place of /proc/cmdline
 *   CRASH_LOG      file that calls are appended to, if control.record is set */

#include "tests/crash/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum how {
	HOW_COUNT,
	HOW_KILL_BEFORE,
	HOW_KILL_AFTER,
	HOW_TEAR,     /* half of a write, then die; another call: die after it */
	HOW_FAIL,     /* with control.error */
	HOW_FAIL_ON,  /* it and every later call that needs room */
	HOW_READONLY, /* it and every later call: nothing can be changed any more */
	HOW_ROT, /* a sync: one bit of what it made safe turns over, see is_to_rot() */
};

struct control {
	atomic_uint count; /* calls so far, in all processes */
	atomic_uint fired; /* times that something was broken */
	uint32_t at;       /* the call to break, from 1 */
	uint32_t how;
	uint32_t error; /* errno */
	uint32_t record;
	atomic_uint lock; /* taken while a call is made and recorded */
	uint32_t zero;
	char what[480]; /* the call that was broken first */
};

struct log_head {
	uint32_t kind, flag;
	uint64_t ino, offset, data_len;
	uint32_t path_len, path2_len;
	char name[24];
};

enum { FDS_MAX = 1024, WRITTEN_MAX = 64 };

static struct {
	dev_t dev;
	ino_t ino;
	char *path; /* owned for the life of the process */
} files[FDS_MAX];

/* Bytes that this process wrote to a file: first since its last sync began, and last.
 * Only kept for HOW_ROT. */
struct unsafe {
	uint64_t ino, first, last;
	bool is_synced;
};

static struct unsafe written[WRITTEN_MAX];
static _Thread_local uint64_t rotten_at; /* of the sync that this thread makes */

static struct control *control;
static int log_fd = -1;
static char watched[PATH_MAX];
static size_t watched_len;

__attribute__((constructor)) static void begin(void)
{
	const char *dir = getenv("CRASH_DIR"), *page = getenv("CRASH_CONTROL");
	const char *log = getenv("CRASH_LOG");
	void *at;
	int fd;

	if (dir == NULL || page == NULL)
		return;
	watched_len = (size_t)snprintf(watched, sizeof watched, "%s/", dir);
	fd = (int)syscall(SYS_openat, AT_FDCWD, page, O_RDWR | O_CLOEXEC, 0);
	at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || at == MAP_FAILED)
		abort();
	(void)syscall(SYS_close, fd);
	if (log != NULL)
		log_fd = (int)syscall(SYS_openat, AT_FDCWD, log,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	control = at;
}

/* ---- which files ---- */

static bool is_watched(const char *path)
{
	size_t len = strlen(path);

	return strncmp(path, watched, watched_len) == 0 ||
	       (len == watched_len - 1 && strncmp(path, watched, len) == 0);
}

/* The kernel does not tell a process that may not be traced: it must be known. */
static bool path_of_fd(int fd, const struct stat *st, char *out)
{
	char link[64];
	ssize_t len;

	if (fd < FDS_MAX && files[fd].path != NULL && files[fd].dev == st->st_dev &&
		files[fd].ino == st->st_ino) {
		(void)snprintf(out, SHIM_PATH_CAP, "%s", files[fd].path);
		return true;
	}
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, out, SHIM_PATH_CAP - 1);
	if (len < 0)
		return false;
	out[len] = '\0';
	return true;
}

bool shim_watches_fd(struct shim_call *call, int fd)
{
	int saved = errno;
	struct stat st;
	bool found =
		control != NULL && fd >= 0 && fstat(fd, &st) == 0 &&
		(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)) &&
		path_of_fd(fd, &st, call->path) && is_watched(call->path);

	if (found) {
		call->ino = st.st_ino;
		call->size = (uint64_t)st.st_size;
	}
	errno = saved;
	return found;
}

static bool absolute(int dir_fd, const char *path, char *out)
{
	char dir[SHIM_PATH_CAP];
	struct stat st;
	int n;

	if (path[0] == '/') {
		(void)snprintf(out, SHIM_PATH_CAP, "%s", path);
		return true;
	}
	if (dir_fd == AT_FDCWD) {
		if (getcwd(dir, sizeof dir) == NULL)
			return false;
	} else if (fstat(dir_fd, &st) != 0 || !path_of_fd(dir_fd, &st, dir)) {
		return false;
	}
	n = snprintf(out, SHIM_PATH_CAP, "%s/%s", dir, path);
	return n > 0 && n < SHIM_PATH_CAP;
}

static bool watches(int dir_fd, const char *path, char *out)
{
	int saved = errno;
	bool found = control != NULL && absolute(dir_fd, path, out) && is_watched(out);

	if (!found)
		out[0] = '\0';
	errno = saved;
	return found;
}

bool shim_watches_path(struct shim_call *call, int dir_fd, const char *path)
{
	return watches(dir_fd, path, call->path);
}

bool shim_watches_path2(struct shim_call *call, int dir_fd, const char *path)
{
	return watches(dir_fd, path, call->path2);
}

void shim_opened(const struct shim_call *call, long fd)
{
	int saved = errno;
	struct stat st;

	if (fd >= 0 && fd < FDS_MAX && fstat((int)fd, &st) == 0) {
		files[fd].dev = st.st_dev;
		files[fd].ino = st.st_ino;
		files[fd].path = strdup(call->path);
	}
	errno = saved;
}

/* ---- what happens to a call ---- */

void shim_die(void)
{
	(void)syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

static void lock(void)
{
	while (atomic_exchange(&control->lock, 1) != 0)
		(void)sched_yield();
}

static void unlock(void)
{
	atomic_store(&control->lock, 0);
}

static void fire(const struct shim_call *call)
{
	if (atomic_fetch_add(&control->fired, 1) == 0)
		(void)snprintf(control->what, sizeof control->what, "%s %s%s%s",
			call->name, call->path + watched_len,
			call->path2[0] != '\0' ? " -> " : "",
			call->path2[0] != '\0' ? call->path2 + watched_len : "");
}

/* True if a disk without a free block cannot do it. What is there already can be written
 * over, and what is there already cannot be made: the kernel says so first. */
static bool needs_room(const struct shim_call *call)
{
	struct stat st;

	switch (call->kind) {
	case SHIM_WRITE:
	case SHIM_RESIZE:
	case SHIM_ALLOCATE:
		return call->end > call->size;
	case SHIM_CREATE:
	case SHIM_MKDIR:
	case SHIM_SYMLINK:
		return lstat(call->path, &st) != 0;
	case SHIM_LINK:
		return true;
	case SHIM_NONE:
	case SHIM_SYNC:
	case SHIM_RENAME:
	case SHIM_UNLINK:
	case SHIM_RMDIR:
	case SHIM_MODE:
	case SHIM_CONTROL:
	case SHIM_SAY:
		break;
	}
	return false;
}

/* Which of the calls it is must be known again in shim_end(): by its number. */
static _Thread_local unsigned number;

static bool is_to_fail(const struct shim_call *call, bool now)
{
	bool since = control->at != 0 && number >= control->at;

	return (now && control->how == HOW_FAIL) ||
	       (since && control->how == HOW_FAIL_ON && needs_room(call)) ||
	       (since && control->how == HOW_READONLY && call->kind != SHIM_SAY);
}

/* Entry of a file, or a free one. */
static struct unsafe *unsafe_of(uint64_t ino)
{
	for (size_t i = 0; i < WRITTEN_MAX; i++)
		if (written[i].ino == ino || written[i].ino == 0)
			return &written[i];
	abort();
}

static void note_write(const struct shim_call *call)
{
	struct unsafe *file;

	lock();
	file = unsafe_of(call->ino);
	file->last = (call->offset + call->end) / 2;
	if (file->ino == 0 || file->is_synced)
		file->first = file->last;
	file->ino = call->ino;
	file->is_synced = false;
	unlock();
}

/* Nothing new to be made safe, because an earlier sync did it on the way: the last. */
static void note_sync(const struct shim_call *call)
{
	struct unsafe *file;

	lock();
	file = unsafe_of(call->ino);
	rotten_at = file->is_synced ? file->last : file->first;
	file->is_synced = true;
	unlock();
}

bool shim_begin(struct shim_call *call)
{
	bool now;

	number = atomic_fetch_add(&control->count, 1) + 1;
	if (control->how == HOW_ROT && call->kind == SHIM_SYNC)
		note_sync(call);
	now = number == control->at;
	if (now && control->how == HOW_KILL_BEFORE) {
		fire(call);
		shim_die();
	}
	if (is_to_fail(call, now)) {
		fire(call);
		errno = (int)control->error;
		return true;
	}
	if (now && control->how == HOW_TEAR && call->kind == SHIM_WRITE) {
		fire(call);
		call->torn = true;
		return false;
	}
	if (control->record != 0) {
		lock();
		call->flag |= needs_room(call) ? SHIM_GROWS : 0;
	}
	return false;
}

static void append(const struct shim_call *call, bool failed, struct iovec data)
{
	struct log_head head = { .kind = (uint32_t)call->kind,
		.flag = call->flag | (failed ? SHIM_FAILED : 0),
		.ino = call->ino,
		.offset = call->offset,
		.data_len = data.iov_len,
		.path_len = (uint32_t)strlen(call->path),
		.path2_len = (uint32_t)strlen(call->path2) };
	struct iovec parts[] = { { &head, sizeof head },
		{ (char *)call->path, head.path_len },
		{ (char *)call->path2, head.path2_len }, data };

	(void)snprintf(head.name, sizeof head.name, "%s", call->name);
	if (syscall(SYS_writev, log_fd, parts, 4) !=
		(long)(sizeof head + head.path_len + head.path2_len + data.iov_len))
		abort();
}

/* Two threads of the installer make calls: the order of those that do not wait for each
 * other is not always that of the recorded run. */
static bool is_to_rot(const struct shim_call *call)
{
	const char *end = strrchr(call->path, '.');

	return control->how == HOW_ROT && number >= control->at &&
	       atomic_load(&control->fired) == 0 && call->kind == SHIM_SYNC &&
	       end != NULL &&
	       (strcmp(end, ".img") == 0 || strcmp(end, ".tar") == 0 ||
		       strcmp(end, ".part") == 0);
}

/* Of what was synced before, the installer may have seen that it is there. */
static void rot(const struct shim_call *call)
{
	long fd = syscall(SYS_openat, AT_FDCWD, call->path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	if (fd < 0 || syscall(SYS_pread64, fd, &byte, 1, (off_t)rotten_at) != 1)
		abort();
	byte ^= 1;
	if (syscall(SYS_pwrite64, fd, &byte, 1, (off_t)rotten_at) != 1)
		abort();
	(void)syscall(SYS_close, fd);
}

void shim_end(const struct shim_call *call, long result, struct iovec data)
{
	int saved = errno;

	if (control->record != 0) {
		if (log_fd >= 0)
			append(call, result < 0, data);
		unlock();
	}
	if (number == control->at &&
		(control->how == HOW_KILL_AFTER || control->how == HOW_TEAR)) {
		fire(call);
		shim_die();
	}
	if (control->how == HOW_ROT && call->kind == SHIM_WRITE && result > 0)
		note_write(call);
	if (is_to_rot(call)) {
		fire(call);
		rot(call);
	}
	errno = saved;
}

int shim_done(const struct shim_call *call, long result)
{
	shim_end(call, result, (struct iovec){ NULL, 0 });
	return (int)result;
}

void shim_say(struct iovec data)
{
	const struct shim_call call = { .kind = SHIM_SAY, .name = "send" };
	int saved = errno;

	if (control != NULL && control->record != 0 && log_fd >= 0) {
		lock();
		append(&call, false, data);
		unlock();
	}
	errno = saved;
}
