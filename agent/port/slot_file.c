#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/slot_file.h"
#include "proto/base/own.h"
#include "proto/base/seeded.h"
#include "proto/io/files.h"

struct names {
	const char *image, *use;
};

static const struct names *names_of(const struct slot_place *place)
{
	static const struct names files[SLOT_COUNT] = { { "a.img", "a.img" },
		{ "b.img", "b.img" } };
	static const struct names trees[SLOT_COUNT] = { { "a.tar", "a" },
		{ "b.tar", "b" } };

	return place->config->type == AGENT_SLOT_DIRECTORY ? &trees[place->slot]
							   : &files[place->slot];
}

enum ota_code slot_file_image_path(const struct slot_place *place,
	char out[static AGENT_PATH_CAP], struct ota_error *err)
{
	return ota_path_join(
		place->config->dir, names_of(place)->image, out, AGENT_PATH_CAP, err);
}

enum ota_code slot_file_use_path(const struct slot_place *place,
	char out[static AGENT_PATH_CAP], struct ota_error *err)
{
	return ota_path_join(
		place->config->dir, names_of(place)->use, out, AGENT_PATH_CAP, err);
}

enum ota_code slot_file_record_path(const struct agent_slot_config *config,
	const char *state_dir, char out[static AGENT_PATH_CAP], struct ota_error *err)
{
	enum ota_code rc = ota_dir_make(config->dir, 0755, err);

	(void)state_dir;
	return rc == OTA_OK
		       ? ota_path_join(config->dir, "state", out, AGENT_PATH_CAP, err)
		       : rc;
}

static OTA_CHECKED enum ota_code io_error(const char *path, struct ota_error *err)
{
	return ota_fail(err, errno == ENOSPC ? OTA_E_NOSPACE : OTA_E_IO, "%s: %s", path,
		strerror(errno));
}

/* ---- the link ---- */

static bool links_to(const char *path, const char *target)
{
	char now[AGENT_PATH_CAP];
	ssize_t len = readlink(path, now, sizeof now - 1);

	if (len < 0)
		return false;
	now[len] = '\0';
	return strcmp(now, target) == 0;
}

/* Let <dir>/current name the slot that runs; never without a link meanwhile. */
enum ota_code slot_file_point(const struct slot_place *place, struct ota_error *err)
{
	const char *dir = place->config->dir, *name = names_of(place)->use;
	char link[AGENT_PATH_CAP], temporary[AGENT_PATH_CAP];
	enum ota_code rc = ota_path_join(dir, "current", link, sizeof link, err);

	if (rc == OTA_OK)
		rc = ota_path_join(dir, "current.new", temporary, sizeof temporary, err);
	if (rc != OTA_OK || links_to(link, name))
		return rc;
	if (unlink(temporary) != 0 && errno != ENOENT)
		return io_error(temporary, err);
	if (symlink(name, temporary) != 0)
		return io_error(temporary, err);
	if (rename(temporary, link) != 0)
		return io_error(link, err);
	return ota_dir_sync(dir, err);
}

/* ---- the first start ---- */

static OTA_CHECKED enum ota_code copy_bytes(
	const struct image_file *from, int to, struct ota_error *err)
{
	ota_autofree uint8_t *piece = malloc(IMAGE_PIECE_LEN);
	enum ota_code rc = OTA_OK;

	if (piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "copy");
	for (uint64_t at = 0; rc == OTA_OK && at < from->len; at += IMAGE_PIECE_LEN) {
		uint64_t left = from->len - at;
		size_t len = left < IMAGE_PIECE_LEN ? (size_t)left : IMAGE_PIECE_LEN;

		rc = ota_fd_read_at(from->fd, at, piece, len, err);
		if (rc == OTA_OK)
			rc = ota_fd_write_at(
				to, at, (struct ota_bytes){ piece, len }, err);
	}
	return rc == OTA_OK && !OTA_SEEDED(RENAME_UNSYNCED) ? ota_fd_sync(to, err) : rc;
}

/* Whole under its name, or not there. */
static OTA_CHECKED enum ota_code copy_initial(
	const char *dir, const char *initial, const char *path, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file from = { 0 };
	ota_autoclose int to = -1;
	char temporary[AGENT_PATH_CAP];
	enum ota_code rc = image_file_open(initial, &from, err);

	if (rc == OTA_OK)
		rc = ota_path_join(dir, "initial.new", temporary, sizeof temporary, err);
	if (rc != OTA_OK)
		return rc;
	to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (to < 0)
		return io_error(temporary, err);
	rc = copy_bytes(&from, to, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", temporary);
	if (rename(temporary, path) != 0)
		return io_error(path, err);
	return ota_dir_sync(dir, err);
}

enum ota_code slot_file_find_running(const struct agent_slot_config *config, bool *known,
	unsigned *slot, struct ota_error *err)
{
	char link[AGENT_PATH_CAP];
	enum ota_code rc = ota_path_join(config->dir, "current", link, sizeof link, err);

	if (rc != OTA_OK)
		return rc;
	*known = false;
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		const struct slot_place place = { config, i };

		if (links_to(link, names_of(&place)->use)) {
			*known = true;
			*slot = i;
		}
	}
	return OTA_OK;
}

enum ota_code slot_file_provision(const struct slot_place *place, struct ota_error *err)
{
	const struct agent_slot_config *config = place->config;
	char path[AGENT_PATH_CAP];
	enum ota_code rc = slot_file_image_path(place, path, err);

	if (rc != OTA_OK || access(path, F_OK) == 0)
		return rc;
	if (config->initial[0] == '\0' || place->slot != 0)
		return ota_fail(err, OTA_E_NOTFOUND, "%s: no image", path);
	return copy_initial(config->dir, config->initial, path, err);
}

/* A file knows its length. */
enum ota_code slot_file_find_len(
	const struct slot_place *place, uint64_t *out, struct ota_error *err)
{
	(void)place;
	(void)err;
	*out = 0;
	return OTA_OK;
}

enum ota_code slot_file_room(
	const struct slot_place *place, uint64_t *out, struct ota_error *err)
{
	char path[AGENT_PATH_CAP];
	struct stat st;
	uint64_t free_bytes;
	enum ota_code rc = slot_file_image_path(place, path, err);

	if (rc == OTA_OK)
		rc = ota_disk_free(place->config->dir, &free_bytes, err);
	if (rc != OTA_OK)
		return rc;
	if (lstat(path, &st) == 0)
		free_bytes += (uint64_t)st.st_blocks * 512;
	*out = free_bytes;
	return OTA_OK;
}

/* Take the room before the first byte, where the file system can; its length stays. */
static OTA_CHECKED enum ota_code reserve(
	int fd, const char *path, uint64_t len, struct ota_error *err)
{
	if (len == 0 || fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)len) == 0 ||
		errno == EOPNOTSUPP || errno == ENOSYS)
		return OTA_OK;
	return ota_wrap(err, io_error(path, err), "room for %" PRIu64 " bytes", len);
}

enum ota_code slot_file_open_target(
	const struct slot_place *place, uint64_t len, int *out, struct ota_error *err)
{
	char path[AGENT_PATH_CAP];
	ota_autoclose int fd = -1;
	bool known = false;
	unsigned running = 0;
	enum ota_code rc = slot_file_image_path(place, path, err);

	if (rc == OTA_OK)
		rc = slot_file_find_running(place->config, &known, &running, err);
	if (rc == OTA_OK && known && running == place->slot)
		rc = ota_fail(err, OTA_E_BUSY, "%s: `current` leads to it", path);
	if (rc != OTA_OK)
		return rc;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return io_error(path, err);
	rc = reserve(fd, path, len, err);
	if (rc == OTA_OK && !OTA_SEEDED(FOLDER_UNSYNCED))
		rc = ota_dir_sync(place->config->dir, err);
	if (rc != OTA_OK)
		return rc;
	*out = fd;
	fd = -1;
	return OTA_OK;
}

const struct slot_medium slot_file_medium = {
	.record_path = slot_file_record_path,
	.image_path = slot_file_image_path,
	.use_path = slot_file_use_path,
	.find_running = slot_file_find_running,
	.provision = slot_file_provision,
	.find_len = slot_file_find_len,
	.point = slot_file_point,
	.room = slot_file_room,
	.open_target = slot_file_open_target,
};
