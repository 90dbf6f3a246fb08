#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/port/tree.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	BYTES_MAX = 1 << 20,
	BLOCK_LEN = 512, /* of tar: an entry's head, and what its bytes are padded to */
	SIZE_AT = 124,
	SUM_AT = 148,
	FIELD_LEN = 12,
};

static const char SECRET[] = "not to be reached";
static char top[] = "/tmp/fuzz-tree-XXXXXX", in_memory[] = "/dev/shm/fuzz-tree-XXXXXX";
static char *folder;
static char outside[64], tree[64];

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void leave(void)
{
	(void)unlink(outside);
	(void)rmdir(folder);
}

/* A folder with a file that no archive may touch. */
static void begin(void)
{
	int fd;

	folder = mkdtemp(in_memory);
	if (folder == NULL)
		folder = mkdtemp(top);
	must(folder != NULL && atexit(leave) == 0);
	(void)snprintf(outside, sizeof outside, "%s/outside", folder);
	(void)snprintf(tree, sizeof tree, "%s/tree", folder);
	fd = open(outside, O_WRONLY | O_CREAT | O_EXCL, 0600);
	must(write(fd, SECRET, sizeof SECRET) == sizeof SECRET && close(fd) == 0);
}

static void expect_outside_as_it_was(void)
{
	char now[sizeof SECRET + 1];
	ota_autoclose int fd = open(outside, O_RDONLY | O_CLOEXEC);
	struct stat st;

	must(fd >= 0 && fstat(fd, &st) == 0);
	must(st.st_nlink == 1 && (st.st_mode & 07777) == 0600 && st.st_uid == geteuid());
	must(read(fd, now, sizeof now) == sizeof SECRET);
	must(memcmp(now, SECRET, sizeof SECRET) == 0);
}

/* A link leads to what is inside, or nowhere. */
static void expect_inside(int root, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH };
	long fd = syscall(SYS_openat2, root, path, &how, sizeof how);

	must(fd >= 0 || errno != EXDEV);
	if (fd >= 0)
		(void)close((int)fd);
}

/* Nothing but folders, files and links that stay inside; returns bytes of the files. */
static uint64_t look(int root, const char *path)
{
	int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	uint64_t bytes = 0;

	must(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		ota_autofree char *name = NULL;
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		must(asprintf(&name, "%s/%s", path, entry->d_name) > 0);
		must(fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
		must(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode));
		if (S_ISLNK(st.st_mode))
			expect_inside(root, name);
		if (S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size / st.st_nlink;
		if (S_ISDIR(st.st_mode))
			bytes += look(root, name);
	}
	(void)closedir(dir);
	return bytes;
}

static void look_at_tree(void)
{
	ota_autoclose int root = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root >= 0)
		must(look(root, ".") <= BYTES_MAX);
}

/* Give each head the sum of its bytes, or hardly any change of one would be looked at. */
static void mend(uint8_t *archive, size_t len)
{
	for (size_t at = 0; at + BLOCK_LEN <= len;) {
		uint8_t *head = archive + at;
		char text[FIELD_LEN + 1] = "";
		unsigned sum = 0;
		size_t size;

		memset(head + SUM_AT, ' ', 8);
		for (size_t i = 0; i < BLOCK_LEN; i++)
			sum += head[i];
		if (sum == 8 * ' ') {
			memset(head + SUM_AT, 0, 8);
			at += BLOCK_LEN;
			continue;
		}
		(void)snprintf((char *)head + SUM_AT, 8, "%06o", sum);
		memcpy(text, head + SIZE_AT, FIELD_LEN);
		size = strtoul(text, NULL, 8);
		if (size > len)
			return;
		at += BLOCK_LEN + (size + BLOCK_LEN - 1) / BLOCK_LEN * BLOCK_LEN;
	}
}

/* An archive fills a tree and nothing else, whatever is in it; and the tree goes away. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tree_limits limits = { .bytes_max = BYTES_MAX,
		.entries_max = TREE_ENTRIES_MAX };
	ota_autoclose int archive = memfd_create("archive", MFD_CLOEXEC);
	ota_autofree uint8_t *bytes = malloc(size + 1);
	struct ota_error err = { 0 };

	if (folder == NULL)
		begin();
	must(bytes != NULL && archive >= 0);
	memcpy(bytes, data, size);
	if (size % 2 == 0)
		mend(bytes, size);
	must(write(archive, bytes, size) == (ssize_t)size);
	if (tree_unpack(archive, tree, &limits, &err) != OTA_OK)
		must(err.text[0] != '\0');
	look_at_tree();
	expect_outside_as_it_was();
	must(tree_remove(tree, &err) == OTA_OK);
	must(access(tree, F_OK) != 0);
	return 0;
}
