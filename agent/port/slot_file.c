#include "agent/port/slot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/image_file.h"
#include "proto/base/own.h"

static const char *const image_names[SLOT_COUNT] = { "a.img", "b.img" };

enum ota_code slot_file_path(const char *dir, unsigned slot,
	char out[static AGENT_PATH_CAP], struct ota_error *err)
{
	return ota_path_join(dir, image_names[slot], out, AGENT_PATH_CAP, err);
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
static OTA_CHECKED enum ota_code point(
	const char *dir, unsigned slot, struct ota_error *err)
{
	char link[AGENT_PATH_CAP], temporary[AGENT_PATH_CAP];
	enum ota_code rc = ota_path_join(dir, "current", link, sizeof link, err);

	if (rc == OTA_OK)
		rc = ota_path_join(dir, "current.new", temporary, sizeof temporary, err);
	if (rc != OTA_OK || links_to(link, image_names[slot]))
		return rc;
	if (unlink(temporary) != 0 && errno != ENOENT)
		return io_error(temporary, err);
	if (symlink(image_names[slot], temporary) != 0)
		return io_error(temporary, err);
	if (rename(temporary, link) != 0)
		return io_error(link, err);
	return ota_dir_sync(dir, err);
}

/* ---- the record ---- */

/* Durable, or the table keeps what it was. */
static OTA_CHECKED enum ota_code store(
	struct slot_file *slots, const struct slot_table *table, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	enum ota_code rc = slot_table_encode(table, &bytes);

	if (rc == OTA_OK)
		rc = ota_record_write(&slots->record, ota_buf_bytes(&bytes), err);
	if (rc == OTA_OK)
		slots->table = *table;
	return rc;
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
	return rc == OTA_OK ? ota_fd_sync(to, err) : rc;
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
		rc = ota_path_join(dir, "a.img.new", temporary, sizeof temporary, err);
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

/* The table of a device that was never updated, or whose record is lost: what runs is
 * good, the other slot is empty. */
static OTA_CHECKED enum ota_code begin(struct slot_file *slots,
	const struct agent_slot_config *config, struct ota_error *err)
{
	struct slot_table table = { 0 };
	struct slot_info *slot;
	char link[AGENT_PATH_CAP], path[AGENT_PATH_CAP];
	enum ota_code rc = ota_path_join(config->dir, "current", link, sizeof link, err);

	if (rc != OTA_OK)
		return rc;
	table.current = table.primary = links_to(link, image_names[1]) ? 1 : 0;
	slot = &table.slots[table.current];
	rc = slot_file_path(config->dir, table.current, path, err);
	if (rc == OTA_OK && access(path, F_OK) != 0 && config->initial[0] != '\0' &&
		table.current == 0)
		rc = copy_initial(config->dir, config->initial, path, err);
	if (rc == OTA_OK)
		rc = image_path_digest(path, NULL, &slot->image, &slot->image_len, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "no image to begin with");
	slot->state = SLOT_GOOD;
	if (!slots->record.lost) {
		slot->counter = config->initial_counter;
		memcpy(slot->version, config->initial_version, sizeof slot->version);
	}
	return store(slots, &table, err);
}

static OTA_CHECKED enum ota_code load(struct slot_file *slots,
	const struct agent_slot_config *config, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	char path[AGENT_PATH_CAP];
	enum ota_code rc = ota_dir_make(config->dir, 0755, err);

	if (rc == OTA_OK)
		rc = ota_path_join(config->dir, "state", path, sizeof path, err);
	if (rc == OTA_OK)
		rc = ota_record_open(path, &slots->record, &bytes, err);
	if (rc != OTA_OK)
		return rc;
	if (slots->record.lost || slots->record.seq == 0)
		return begin(slots, config, err);
	return slot_table_parse(ota_buf_bytes(&bytes), &slots->table, err);
}

static OTA_CHECKED enum ota_code boot(
	struct slot_file *slots, const struct ota_digest *boot_id, struct ota_error *err)
{
	struct slot_table table = slots->table;
	enum ota_code rc = OTA_OK;

	if (slot_table_boot(&table, boot_id))
		rc = store(slots, &table, err);
	return rc == OTA_OK ? point(slots->dir, slots->table.current, err) : rc;
}

enum ota_code slot_file_open(const struct agent_slot_config *config,
	const struct ota_digest *boot_id, struct slot_file *out, struct ota_error *err)
{
	OTA_AUTO(slot_file_fini) struct slot_file slots = { .record = { .fd = -1 } };
	enum ota_code rc;

	memcpy(slots.dir, config->dir, sizeof slots.dir);
	rc = load(&slots, config, err);
	if (rc == OTA_OK)
		rc = boot(&slots, boot_id, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "slots in %s", config->dir);
	*out = slots;
	slots = (struct slot_file){ .record = { .fd = -1 } };
	return OTA_OK;
}

void slot_file_fini(struct slot_file *slots)
{
	ota_record_fini(&slots->record);
	*slots = (struct slot_file){ .record = { .fd = -1 } };
}

/* ---- the verbs ---- */

static enum ota_code get_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	(void)err;
	*slot = ((struct slot_file *)ctx)->table.current;
	return OTA_OK;
}

static enum ota_code get_primary(void *ctx, unsigned *slot, struct ota_error *err)
{
	(void)err;
	*slot = ((struct slot_file *)ctx)->table.primary;
	return OTA_OK;
}

static enum ota_code set_primary(void *ctx, unsigned slot, struct ota_error *err)
{
	struct slot_file *slots = ctx;
	struct slot_table table = slots->table;

	table.primary = slot;
	table.tries = SLOT_TRIES;
	return store(slots, &table, err);
}

static enum ota_code get_state(
	void *ctx, unsigned slot, struct slot_info *out, struct ota_error *err)
{
	(void)err;
	*out = ((struct slot_file *)ctx)->table.slots[slot];
	return OTA_OK;
}

static enum ota_code set_state(
	void *ctx, unsigned slot, const struct slot_info *info, struct ota_error *err)
{
	struct slot_file *slots = ctx;
	struct slot_table table = slots->table;

	table.slots[slot] = *info;
	return store(slots, &table, err);
}

struct slot_port slot_file_port(struct slot_file *slots)
{
	return (struct slot_port){ .ctx = slots,
		.get_current = get_current,
		.get_primary = get_primary,
		.set_primary = set_primary,
		.get_state = get_state,
		.set_state = set_state };
}
