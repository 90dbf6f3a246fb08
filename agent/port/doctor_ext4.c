#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "agent/port/doctor_checks.h"
#include "proto/base/le.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

/* What is read of ext4's superblock, which is on the disk as Linux has it in
 * fs/ext4/ext4.h:
 *
 *   offset  size  field
 *     0x38     2  magic              0xEF53, u16le
 *     0x64     4  feature_ro_compat  u32le */
enum {
	SUPERBLOCK_AT = 1024, /* bytes from the start of the device */
	SUPERBLOCK_LEN = 1024,
	MAGIC_AT = 0x38,
	RO_COMPAT_AT = 0x64,
	METADATA_CSUM = 0x400,
};

/* The device that holds a directory, as the kernel names it, whoever made the node. */
static OTA_CHECKED enum ota_code open_device(const struct stat *dir, int *out,
	char path[static AGENT_PATH_CAP], struct ota_error *err)
{
	ota_autoclose int fd = -1;
	char link[64], target[AGENT_PATH_CAP];
	struct stat st;
	ssize_t len;

	(void)snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(dir->st_dev),
		minor(dir->st_dev));
	(void)snprintf(path, AGENT_PATH_CAP, "%s", link);
	len = readlink(link, target, sizeof target - 1);
	if (len < 0)
		return ota_fail(err, OTA_E_NOTFOUND, "%s", strerror(errno));
	target[len] = '\0';
	(void)snprintf(path, AGENT_PATH_CAP, "/dev/%.200s", basename(target));
	for (char *slash = path + sizeof "/dev/"; (slash = strchr(slash, '!')) != NULL;)
		*slash = '/';
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return ota_fail(err, OTA_E_IO, "%s", strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISBLK(st.st_mode) || st.st_rdev != dir->st_dev)
		return ota_fail(err, OTA_E_IO, "another device");
	*out = fd;
	fd = -1;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_features(const struct stat *dir, uint32_t *out,
	char path[static AGENT_PATH_CAP], struct ota_error *err)
{
	ota_autoclose int fd = -1;
	uint8_t super[SUPERBLOCK_LEN];
	enum ota_code rc = open_device(dir, &fd, path, err);

	if (rc == OTA_OK)
		rc = ota_fd_read_at(fd, SUPERBLOCK_AT, super, sizeof super, err);
	if (rc == OTA_OK && ota_le16(super + MAGIC_AT) != EXT4_SUPER_MAGIC)
		rc = ota_fail(err, OTA_E_FORMAT, "no superblock of ext4");
	if (rc == OTA_OK)
		*out = ota_le32(super + RO_COMPAT_AT);
	return rc;
}

void doctor_look_at_ext4(struct doctor *d, const char *key, const char *dir)
{
	char path[AGENT_PATH_CAP];
	struct ota_error err = { 0 };
	uint32_t features = 0;
	struct statfs fs;
	struct stat st;

	if (statfs(dir, &fs) != 0 || fs.f_type != EXT4_SUPER_MAGIC || stat(dir, &st) != 0)
		return;
	if (read_features(&st, &features, path, &err) != OTA_OK)
		doctor_say(d, DOCTOR_WARNING, "run the doctor as root",
			"`%s`: %s is on ext4, of which %s cannot be read (%s): whether a "
			"power cut can be the end of it is not known",
			key, dir, path, err.text);
	else if ((features & METADATA_CSUM) != 0)
		doctor_say(d, DOCTOR_WARNING,
			"unmount it, `e2fsck -f` and `tune2fs -O ^metadata_csum` it, or "
			"let `e2fsck -y` run before it is mounted "
			"(deploy/boot/README.md)",
			"`%s`: the ext4 on %s has metadata_csum: a power cut within its "
			"superblock leaves what is neither mounted nor passes `e2fsck "
			"-p`",
			key, path);
}
