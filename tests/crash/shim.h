#ifndef TESTS_CRASH_SHIM_H
#define TESTS_CRASH_SHIM_H

/* What shim.c (how calls are broken and recorded) and shim_calls.c (which calls) say to
 * each other. The layouts of the control page and of the log are read by shim.py. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What a call does to the disk, as the log numbers it.
 *
 * CREATE   a file may begin to exist, or to be empty; `flag` bit 0: it was there before,
 *          bit 1: it is cut to nothing, bit 2: it has no name (O_TMPFILE)
 * WRITE    bytes at an offset
 * RESIZE   to `offset` bytes
 * ALLOCATE up to `offset` bytes, zeros where there was nothing
 * SYNC     of a file or a folder; flag: of everything
 * RENAME, LINK, SYMLINK (data: its target), UNLINK, MKDIR, RMDIR
 * MODE     of a file: nothing that a device would boot or not for
 * CONTROL  an ioctl that changes something
 * SAY      a packet to net; nothing of the disk, and not counted
 *
 * What failed is recorded, too, with SHIM_FAILED in its flag: entry n is call n. What a
 * full disk cannot do has SHIM_GROWS. */
enum shim_kind {
	SHIM_NONE,
	SHIM_CREATE,
	SHIM_WRITE,
	SHIM_RESIZE,
	SHIM_ALLOCATE,
	SHIM_SYNC,
	SHIM_RENAME,
	SHIM_LINK,
	SHIM_SYMLINK,
	SHIM_UNLINK,
	SHIM_MKDIR,
	SHIM_RMDIR,
	SHIM_MODE,
	SHIM_CONTROL,
	SHIM_SAY,
};

enum { SHIM_PATH_CAP = 1024 };

#define SHIM_FAILED 0x80000000u
#define SHIM_GROWS  0x40000000u

/* One call. `= { .kind = ..., .name = ... }` to begin with. */
struct shim_call {
	enum shim_kind kind;
	const char *name;                               /* a string constant */
	char path[SHIM_PATH_CAP], path2[SHIM_PATH_CAP]; /* absolute; "" if it has none */
	uint64_t ino, offset;
	uint64_t size, end; /* of the file, and up to where the call writes; bytes */
	uint32_t flag;
	bool torn; /* do half of it, then shim_die() */
};

/** True if the descriptor is of a file or folder that is watched; call->path and ino are
 *  filled. */
bool shim_watches_fd(struct shim_call *call, int fd);

/** True if a path relative to dir_fd is watched; call->path is filled. */
bool shim_watches_path(struct shim_call *call, int dir_fd, const char *path);

/** The same for the second path of a call. */
bool shim_watches_path2(struct shim_call *call, int dir_fd, const char *path);

/** Count the call. True if it is to fail, with errno set; may not return, if the process
 *  is to die before it. shim_end() must follow if it is false and not torn. */
bool shim_begin(struct shim_call *call);

/** The call was made: record it (result < 0: it failed), die if it is to.
 *  errno stays. */
void shim_end(const struct shim_call *call, long result, struct iovec data);

/** The same for a call without data; returns result. */
int shim_done(const struct shim_call *call, long result);

/** Record a packet. */
void shim_say(struct iovec data);

/** End this process as a loss of power would. */
void shim_die(void) __attribute__((noreturn));

/** Remember which file a descriptor is of; result of an open, may be negative. */
void shim_opened(const struct shim_call *call, long fd);

#endif
