#include "agent/port/install_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/base/seeded.h"
#include "proto/io/files.h"

enum {
	PIECE_LEN = 1 << 20, /* bytes written at a time; a block is a multiple of it */
	SAME_LEN = 1 << 17,  /* bytes that are compared, and skipped, at a time */
	GLANCE_LEN = 4096,   /* bytes looked at where nothing is expected */
	ALIGN_LEN = 4096,    /* of memory */
};

static const struct install_target NONE = { .fd = -1, .mark = { .fd = -1 } };

static bool is_fixed(const struct install_target *target)
{
	return slot_medium_of(target->place.config)->is_fixed;
}

static void end_threads(struct install_target *target)
{
	install_check_free(target->check);
	target->check = NULL;
	install_readback_free(target->readback);
	target->readback = NULL;
}

/* The slot is not to be believed, at the next attempt either. */
static void distrust(struct install_target *target)
{
	struct install_mark_head head = target->mark.head;

	end_threads(target);
	(void)close(target->fd);
	target->fd = -1;
	install_mark_fini(&target->mark);
	head.distrust = true;
	/* A mark that cannot be written is no worse: its blocks are proved anyway. */
	(void)(install_mark_begin(target->mark_path, &head, NULL) == OTA_OK);
}

/* The end of this install. */
static OTA_CHECKED enum ota_code die(
	struct install_target *target, enum ota_code rc, const struct ota_error *why)
{
	target->error = *why;
	target->error.code = rc;
	distrust(target);
	return rc;
}

/* ---- writing ---- */

/* Whether it is worth reading a piece of what the slot holds: where nothing was found,
 * the first bytes of each block decide. */
static bool is_promising(struct install_target *target, uint64_t offset)
{
	if (!is_fixed(target) || target->mark.head.distrust)
		return false;
	if (!target->doubts)
		return true;
	return offset % INSTALL_BLOCK_LEN == 0 && target->fill >= GLANCE_LEN &&
	       ota_fd_read_at(target->fd, offset, target->found, GLANCE_LEN, NULL) ==
		       OTA_OK &&
	       memcmp(target->found, target->piece, GLANCE_LEN) == 0;
}

/* Read what the slot holds in place of the piece. What cannot be read is not there. */
static bool find_piece(struct install_target *target, uint64_t offset)
{
	return is_promising(target, offset) &&
	       ota_fd_read_at(target->fd, offset, target->found, target->fill, NULL) ==
		       OTA_OK;
}

/* Write part of the piece, and let it go to the medium at once. */
static OTA_CHECKED enum ota_code write_run(struct install_target *target, uint64_t offset,
	struct ota_bytes run, struct ota_error *err)
{
	enum ota_code rc;

	if (run.len == 0)
		return OTA_OK;
	offset += (size_t)(run.at - target->piece);
	target->count.written += run.len;
	rc = ota_fd_write_at(target->fd, offset, run, err);
	if (rc == OTA_OK)
		(void)sync_file_range(
			target->fd, (off_t)offset, (off_t)run.len, SYNC_FILE_RANGE_WRITE);
	return rc;
}

/* Write what is not there already, in runs as long as can be. */
static OTA_CHECKED enum ota_code write_changed(
	struct install_target *target, uint64_t offset, struct ota_error *err)
{
	uint64_t skipped = target->count.skipped;
	struct ota_bytes run = { target->piece, 0 };
	enum ota_code rc = OTA_OK;

	for (size_t at = 0; rc == OTA_OK && at < target->fill; at += SAME_LEN) {
		const uint8_t *data = target->piece + at;
		size_t left = target->fill - at, len = left < SAME_LEN ? left : SAME_LEN;

		if (memcmp(target->found + at, data, len) != 0) {
			run.len += len;
			continue;
		}
		target->count.skipped += len;
		rc = write_run(target, offset, run, err);
		run = (struct ota_bytes){ data + len, 0 };
	}
	target->doubts = target->count.skipped == skipped;
	return rc == OTA_OK ? write_run(target, offset, run, err) : rc;
}

static OTA_CHECKED enum ota_code end_block(
	struct install_target *target, uint64_t block, struct ota_error *err)
{
	const struct ota_digest digest = ota_hasher_result(&target->block);

	ota_hasher_init(&target->block);
	return install_check_block(target->check, block, &digest, err);
}

/* Write the piece, which ends at target->at. */
static OTA_CHECKED enum ota_code flush(
	struct install_target *target, struct ota_error *err)
{
	uint64_t offset = target->at - target->fill;
	enum ota_code rc;

	if (find_piece(target, offset))
		rc = write_changed(target, offset, err);
	else
		rc = write_run(target, offset,
			(struct ota_bytes){ target->piece, target->fill }, err);
	ota_hasher_add(&target->block, (struct ota_bytes){ target->piece, target->fill });
	target->fill = 0;
	if (rc != OTA_OK || target->at % INSTALL_BLOCK_LEN != 0)
		return rc;
	return end_block(target, target->at / INSTALL_BLOCK_LEN - 1, err);
}

static enum ota_code take(void *ctx, struct ota_bytes data)
{
	struct install_target *target = ctx;
	struct ota_error err = { 0 };

	if (target->fd < 0)
		return target->error.code;
	if (data.len > target->len - target->at)
		return OTA_E_DECODER;
	while (data.len > 0) {
		size_t room = PIECE_LEN - target->fill;
		size_t len = data.len < room ? data.len : room;
		enum ota_code rc = OTA_OK;

		memcpy(target->piece + target->fill, data.at, len);
		target->fill += len;
		target->at += len;
		data = (struct ota_bytes){ data.at + len, data.len - len };
		if (target->fill == PIECE_LEN)
			rc = flush(target, &err);
		if (rc != OTA_OK)
			return die(target, rc, &err);
	}
	return OTA_OK;
}

struct ota_sink install_target_sink(struct install_target *target)
{
	return (struct ota_sink){ .ctx = target, .write = take };
}

static OTA_CHECKED enum ota_code finish(
	struct install_target *target, struct ota_error *err)
{
	enum ota_code rc = target->fill > 0 ? flush(target, err) : OTA_OK;

	if (rc == OTA_OK && !is_fixed(target) &&
		ftruncate(target->fd, (off_t)target->len) != 0)
		rc = ota_fail(err, OTA_E_IO, "slot: truncate: %s", strerror(errno));
	if (rc == OTA_OK && target->len % INSTALL_BLOCK_LEN != 0 &&
		target->count.kept < target->len)
		rc = end_block(target, target->len / INSTALL_BLOCK_LEN, err);
	if (rc == OTA_OK)
		rc = install_check_wait(target->check, err);
	if (rc == OTA_OK && !OTA_SEEDED(SLOT_UNSYNCED) && fsync(target->fd) != 0)
		rc = ota_fail(err, OTA_E_IO, "slot: fsync: %s", strerror(errno));
	return rc;
}

enum ota_code install_target_finish(struct install_target *target, struct ota_error *err)
{
	struct ota_error why = { 0 };
	enum ota_code rc;

	if (target->fd < 0 || target->at != target->len)
		return ota_fail(err, OTA_E_DECODER, "image is short");
	rc = finish(target, &why);
	if (rc != OTA_OK)
		return ota_fail(err, die(target, rc, &why), "%s", why.text);
	return OTA_OK;
}

/* ---- reading back ---- */

static OTA_CHECKED enum ota_code trust(
	struct install_target *target, struct ota_error *err)
{
	struct install_mark_head head = target->mark.head;

	if (!head.distrust)
		return OTA_OK;
	install_mark_fini(&target->mark);
	head.distrust = false;
	return install_mark_begin(target->mark_path, &head, err);
}

enum ota_code install_target_read_back(struct install_target *target,
	const struct ota_digest *digest, struct ota_error *err)
{
	struct ota_digest found;
	enum ota_code rc = install_readback_finish(target->readback, &found, err);

	if (rc == OTA_OK && !ota_digest_equal(&found, digest))
		rc = ota_fail(err, OTA_E_MEDIA, "slot reads back as something else");
	if (rc == OTA_E_MEDIA || rc == OTA_E_IO)
		distrust(target);
	return rc == OTA_OK ? trust(target, err) : rc;
}

/* ---- what is in place ---- */

static OTA_CHECKED enum ota_code hash_block(struct install_target *target, uint64_t at,
	uint64_t len, struct ota_digest *out, struct ota_error *err)
{
	struct ota_hasher hasher;
	enum ota_code rc = OTA_OK;

	ota_hasher_init(&hasher);
	for (uint64_t done = 0; rc == OTA_OK && done < len; done += PIECE_LEN) {
		uint64_t left = len - done;
		size_t step = left < PIECE_LEN ? (size_t)left : PIECE_LEN;

		rc = ota_fd_read_at(target->fd, at + done, target->found, step, err);
		if (rc == OTA_OK)
			ota_hasher_add(
				&hasher, (struct ota_bytes){ target->found, step });
	}
	if (rc == OTA_OK)
		*out = ota_hasher_result(&hasher);
	return rc;
}

/* Go as far as the blocks on the medium are those of the mark. What cannot be read is not
 * there. */
static OTA_CHECKED enum ota_code prove(
	struct install_target *target, const atomic_bool *stop, struct ota_error *err)
{
	uint64_t blocks = install_mark_blocks(target->len);

	for (uint64_t i = 0; i < blocks; i++) {
		struct ota_digest marked = install_mark_get(&target->mark, i), found;
		uint64_t at = i * INSTALL_BLOCK_LEN, left = target->len - at;
		uint64_t len = left < INSTALL_BLOCK_LEN ? left : INSTALL_BLOCK_LEN;

		if (atomic_load(stop))
			return ota_fail(err, OTA_E_CANCELLED, "told to stop");
		if (ota_digest_is_zero(&marked) ||
			hash_block(target, at, len, &found, NULL) != OTA_OK ||
			!ota_digest_equal(&marked, &found))
			break;
		target->at = at + len;
	}
	target->count.kept = target->at;
	return OTA_OK;
}

static enum ota_code read_proved(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	return ota_fd_read_at(((struct install_target *)ctx)->fd, offset, out, len, NULL);
}

struct ota_source install_target_have(struct install_target *target)
{
	return (struct ota_source){
		.ctx = target, .len = target->count.kept, .read = read_proved
	};
}

/* ---- open and close ---- */

void install_target_fini(struct install_target *target)
{
	end_threads(target);
	if (target->fd >= 0)
		(void)close(target->fd);
	install_mark_fini(&target->mark);
	free(target->piece);
	free(target->found);
	*target = NONE;
}

enum ota_code install_target_open(const struct slot_place *place,
	const struct install_mark_head *head, const char *mark_path,
	const atomic_bool *stop, struct install_target *out, struct ota_error *err)
{
	OTA_AUTO(install_target_fini) struct install_target target = NONE;
	enum ota_code rc = slot_medium_of(place->config)
				   ->open_target(place, head->to_len, &target.fd, err);

	if (rc != OTA_OK)
		return rc;
	target.place = *place;
	target.mark_path = mark_path;
	target.len = head->to_len;
	target.piece = aligned_alloc(ALIGN_LEN, PIECE_LEN);
	target.found = aligned_alloc(ALIGN_LEN, PIECE_LEN);
	if (target.piece == NULL || target.found == NULL)
		return ota_fail(err, OTA_E_NOMEM, "slot");
	ota_hasher_init(&target.block);
	rc = install_mark_open(mark_path, head, &target.mark, err);
	if (rc == OTA_OK)
		rc = prove(&target, stop, err);
	if (rc == OTA_OK)
		rc = install_readback_new(
			place, head->to_len, stop, &target.readback, err);
	if (rc != OTA_OK)
		return rc;
	install_readback_reach(target.readback, target.count.kept);
	(void)posix_fadvise(target.fd, 0, 0, POSIX_FADV_RANDOM); /* no reading ahead */
	*out = target;
	target = NONE;
	return install_check_new(out->fd, &out->mark, out->readback, &out->check, err);
}
