#ifndef AGENT_PORT_INSTALL_TARGET_H
#define AGENT_PORT_INSTALL_TARGET_H

/* The slot being written. Bytes come in order; every INSTALL_BLOCK_LEN of them they are
 * made durable, and then their digest is marked (install_check.h), and they are read back
 * (install_readback.h). What a slot of fixed size holds already is read first, and not
 * written again.
 *
 * A write or a sync that fails is the end: the descriptor is closed and never synced
 * again, and the mark then says that nothing in the slot is to be believed. */

#include "agent/port/install_check.h"
#include "agent/port/slot_medium.h"
#include "proto/delta/codec.h"

/** How the bytes of an image came to be in the slot. */
struct install_count {
	uint64_t kept;    /* proved to be there from an earlier attempt */
	uint64_t skipped; /* found there, byte for byte */
	uint64_t written;
};

struct install_target {
	struct slot_place place;
	const char *mark_path;   /* borrowed */
	int fd;                  /* owned; -1: none, or it failed */
	uint64_t len;            /* of the image, bytes */
	uint64_t at;             /* bytes in place, or in the piece to be written next */
	uint8_t *piece;          /* owned, aligned; bytes not yet written */
	size_t fill;             /* bytes in it */
	uint8_t *found;          /* owned, aligned; what the slot holds */
	bool doubts;             /* the last piece compared was nowhere the same */
	struct ota_hasher block; /* of what was written of the block */
	struct install_mark mark;
	struct install_readback *readback; /* owned */
	struct install_check *check;       /* owned; uses fd, mark and readback */
	struct install_count count;
	struct ota_error error; /* why it failed */
};

/**
 * Open a slot to write the image of a patch into it, and prove what is in place of it
 * already.
 *
 * mark_path  of the file of the mark, borrowed for the life of the target
 * stop       ends proving and reading back early; borrowed for the life of the target
 * out        release with install_target_fini(), also after a failure; must not move
 *
 * Returns OTA_OK, OTA_E_NOMEM, what slot_medium.open_target, install_mark_open() or
 * install_readback_new() returns, or OTA_E_CANCELLED by stop.
 */
OTA_CHECKED enum ota_code install_target_open(const struct slot_place *place,
	const struct install_mark_head *head, const char *mark_path,
	const atomic_bool *stop, struct install_target *out, struct ota_error *err);

/** Close. Accepts `{ .fd = -1, .mark = { .fd = -1 } }`. */
void install_target_fini(struct install_target *target);

/** What is proved to be in place, from the start of the image; borrows target. */
struct ota_source install_target_have(struct install_target *target);

/** Takes what comes behind it; borrows target. */
struct ota_sink install_target_sink(struct install_target *target);

/** All bytes came: make them durable. OTA_OK, or why it failed. */
OTA_CHECKED enum ota_code install_target_finish(
	struct install_target *target, struct ota_error *err);

/**
 * After install_target_finish(): wait until all of the image was read back from the
 * medium, and see that it is the image. What a failure before had spoilt is good again
 * then; else the slot is not to be believed at the next attempt either.
 *
 * digest  of the image
 *
 * Returns OTA_OK, OTA_E_MEDIA if it is another, OTA_E_IO, OTA_E_NOSPACE, OTA_E_NOMEM or
 * OTA_E_CANCELLED.
 */
OTA_CHECKED enum ota_code install_target_read_back(struct install_target *target,
	const struct ota_digest *digest, struct ota_error *err);

#endif
