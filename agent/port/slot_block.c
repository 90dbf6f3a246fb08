#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "agent/port/mounts.h"
#include "agent/port/slot_medium.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

/* The type `block`: a slot is a partition, or any block device, and the image lies at its
 * start. What lies behind the image is nobody's. A plain file of fixed size is taken as
 * well, to try things out where there are no partitions. The slot table is in the state
 * directory. */

static enum ota_code image_path(const struct slot_place *place,
	char out[static AGENT_PATH_CAP], struct ota_error *err)
{
	(void)err;
	memcpy(out, place->config->devices[place->slot], AGENT_PATH_CAP);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code look(
	const struct slot_place *place, struct stat *out, struct ota_error *err)
{
	const char *path = place->config->devices[place->slot];

	if (stat(path, out) != 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if (!S_ISBLK(out->st_mode) && !S_ISREG(out->st_mode))
		return ota_fail(err, OTA_E_CONFIG,
			"%s: neither a block device nor a plain file", path);
	return OTA_OK;
}

static bool is_same_device(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static OTA_CHECKED enum ota_code check_two(
	const struct agent_slot_config *config, struct ota_error *err)
{
	struct stat st[SLOT_COUNT];

	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		const struct slot_place place = { config, i };
		enum ota_code rc = look(&place, &st[i], err);

		if (rc != OTA_OK)
			return rc;
	}
	if (is_same_device(&st[0], &st[1]))
		return ota_fail(err, OTA_E_CONFIG,
			"slot.a and slot.b are the same device: %s and %s",
			config->devices[0], config->devices[1]);
	return OTA_OK;
}

static enum ota_code record_path(const struct agent_slot_config *config,
	const char *state_dir, char out[static AGENT_PATH_CAP], struct ota_error *err)
{
	enum ota_code rc = check_two(config, err);

	if (rc == OTA_OK)
		rc = ota_dir_make(state_dir, 0700, err);
	return rc == OTA_OK ? ota_path_join(state_dir, "slots", out, AGENT_PATH_CAP, err)
			    : rc;
}

/* The slot that holds the root of the running system, if one does. */
static enum ota_code find_running(const struct agent_slot_config *config, bool *known,
	unsigned *slot, struct ota_error *err)
{
	*known = false;
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		const struct slot_place place = { config, i };
		struct stat st, root;
		enum ota_code rc = look(&place, &st, err);

		if (rc != OTA_OK)
			return rc;
		if (S_ISBLK(st.st_mode) && stat("/", &root) == 0 &&
			root.st_dev == st.st_rdev) {
			*known = true;
			*slot = i;
		}
	}
	return OTA_OK;
}

/* A slot is written where it is made: at the factory, not here. */
static enum ota_code provision(const struct slot_place *place, struct ota_error *err)
{
	struct stat st;

	return look(place, &st, err);
}

static enum ota_code find_len(
	const struct slot_place *place, uint64_t *out, struct ota_error *err)
{
	(void)err;
	*out = place->config->initial_len;
	return OTA_OK;
}

static enum ota_code point(const struct slot_place *place, struct ota_error *err)
{
	(void)place;
	(void)err;
	return OTA_OK;
}

static enum ota_code room(
	const struct slot_place *place, uint64_t *out, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	enum ota_code rc =
		image_file_open(place->config->devices[place->slot], &image, err);

	if (rc == OTA_OK)
		*out = image.len;
	return rc;
}

/* ---- to be written ---- */

static OTA_CHECKED enum ota_code check_free(
	const struct slot_place *place, const struct stat *st, struct ota_error *err)
{
	const char *path = place->config->devices[place->slot];
	enum mounts_use use = MOUNTS_FREE;
	enum ota_code rc = OTA_OK;

	if (S_ISBLK(st->st_mode))
		rc = mounts_find(st->st_rdev, MOUNTS_TABLE, &use, err);
	if (rc == OTA_OK && use == MOUNTS_ROOT)
		return ota_fail(err, OTA_E_BUSY,
			"%s: the running system is on it; it is not written", path);
	if (rc == OTA_OK && use == MOUNTS_MOUNTED)
		return ota_fail(err, OTA_E_BUSY, "%s: is mounted; unmount it", path);
	return rc;
}

/* O_EXCL on a block device: nobody else has claimed it, and nobody can until it is
 * closed.
 */
static OTA_CHECKED enum ota_code open_claimed(
	const char *path, const struct stat *st, int *out, struct ota_error *err)
{
	int flags = O_RDWR | O_CLOEXEC | (S_ISBLK(st->st_mode) ? O_EXCL : 0);
	ota_autoclose int fd = open(path, flags);
	struct stat opened;

	if (fd < 0 && errno == EBUSY)
		return ota_fail(err, OTA_E_BUSY,
			"%s: is in use: mounted, swap, or part of another device", path);
	if (fd < 0 || fstat(fd, &opened) != 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	if (!is_same_device(&opened, st))
		return ota_fail(err, OTA_E_IO, "%s: became another device", path);
	*out = fd;
	fd = -1;
	return OTA_OK;
}

static enum ota_code open_target(
	const struct slot_place *place, uint64_t len, int *out, struct ota_error *err)
{
	const char *path = place->config->devices[place->slot];
	ota_autoclose int fd = -1;
	struct stat st;
	uint64_t holds;
	enum ota_code rc = check_two(place->config, err);

	if (rc == OTA_OK)
		rc = look(place, &st, err);
	if (rc == OTA_OK)
		rc = check_free(place, &st, err);
	if (rc == OTA_OK)
		rc = room(place, &holds, err);
	if (rc == OTA_OK && len > holds)
		rc = ota_fail(err, OTA_E_NOSPACE,
			"%s: image of %" PRIu64 " bytes, the slot has %" PRIu64, path,
			len, holds);
	if (rc == OTA_OK)
		rc = open_claimed(path, &st, &fd, err);
	if (rc != OTA_OK)
		return rc;
	(void)ioctl(fd, BLKFLSBUF, 0); /* what is read is what the medium has */
	*out = fd;
	fd = -1;
	return OTA_OK;
}

const struct slot_medium slot_block_medium = {
	.record_path = record_path,
	.image_path = image_path,
	.use_path = image_path,
	.find_running = find_running,
	.provision = provision,
	.find_len = find_len,
	.point = point,
	.room = room,
	.open_target = open_target,
	.is_fixed = true,
};
