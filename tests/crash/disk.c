/* A disk that writes down what is done to it: a file system of two files, by libfuse.
 *
 * usage: crash_disk BASE LOG MOUNTPOINT
 *
 *   disk   the disk; its bytes are at first those of BASE, which stays as it is
 *   says   what is appended to it stands in the log, between the writes of the disk
 *
 * LOG is a list of struct entry, each with its bytes behind it. Says "ready" once it can
 * be used, and ends when it is unmounted, or with its parent. */

#define FUSE_USE_VERSION 31

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ENTRY_WRITE = 1, ENTRY_FLUSH, ENTRY_SAYS };

struct entry {
	uint32_t kind, len; /* len: bytes that follow */
	uint64_t offset;    /* of a write; bytes */
};

static uint8_t *disk;
static size_t disk_len, says_len; /* bytes */
static int log_fd;

static int append(uint32_t kind, uint64_t offset, const char *data, size_t len)
{
	struct entry entry = { kind, (uint32_t)len, offset };
	struct iovec parts[] = { { &entry, sizeof entry }, { (char *)data, len } };

	return writev(log_fd, parts, 2) == (ssize_t)(sizeof entry + len) ? 0 : -EIO;
}

static bool is_disk(const char *path)
{
	return strcmp(path, "/disk") == 0;
}

static bool is_says(const char *path)
{
	return strcmp(path, "/says") == 0;
}

static void *on_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	(void)connection;
	config->attr_timeout = 0;
	(void)puts("ready");
	(void)fflush(stdout);
	return NULL;
}

static int on_getattr(const char *path, struct stat *out, struct fuse_file_info *file)
{
	(void)file;
	memset(out, 0, sizeof *out);
	out->st_nlink = 1;
	if (strcmp(path, "/") == 0) {
		out->st_mode = S_IFDIR | 0700;
		return 0;
	}
	if (!is_disk(path) && !is_says(path))
		return -ENOENT;
	out->st_mode = S_IFREG | 0600;
	out->st_size = (off_t)(is_disk(path) ? disk_len : says_len);
	return 0;
}

static int on_open(const char *path, struct fuse_file_info *file)
{
	file->direct_io = is_says(path);
	return 0;
}

static int on_read(const char *path, char *out, size_t len, off_t offset,
	struct fuse_file_info *file)
{
	size_t at = (size_t)offset;

	(void)file;
	if (!is_disk(path) || at >= disk_len)
		return 0;
	if (len > disk_len - at)
		len = disk_len - at;
	memcpy(out, disk + at, len);
	return (int)len;
}

static int on_write(const char *path, const char *data, size_t len, off_t offset,
	struct fuse_file_info *file)
{
	size_t at = (size_t)offset;
	int failed;

	(void)file;
	if (is_says(path)) {
		says_len += len;
		failed = append(ENTRY_SAYS, 0, data, len);
	} else if (at > disk_len || len > disk_len - at) {
		failed = -ENOSPC;
	} else {
		memcpy(disk + at, data, len);
		failed = append(ENTRY_WRITE, at, data, len);
	}
	return failed != 0 ? failed : (int)len;
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
	(void)data_only;
	(void)file;
	return is_disk(path) ? append(ENTRY_FLUSH, 0, NULL, 0) : 0;
}

static const struct fuse_operations operations = {
	.init = on_init,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
};

static bool open_files(const char *base, const char *log)
{
	int fd = open(base, O_RDONLY | O_CLOEXEC);
	struct stat st;

	log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || log_fd < 0 || fstat(fd, &st) != 0)
		return false;
	disk_len = (size_t)st.st_size;
	disk = mmap(NULL, disk_len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	return disk != MAP_FAILED;
}

int main(int argc, char **argv)
{
	/* In front, and one request after the other: the log is in their order. */
	char *args[] = { argv[0], (char[]){ "-f" }, (char[]){ "-s" }, argv[argc - 1],
		NULL };

	if (argc != 4) {
		(void)fprintf(stderr, "usage: crash_disk BASE LOG MOUNTPOINT\n");
		return 1;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!open_files(argv[1], argv[2])) {
		(void)fprintf(stderr, "crash_disk: %s\n", strerror(errno));
		return 1;
	}
	return fuse_main(4, args, &operations, NULL);
}
