#ifndef AGENT_CORE_SLOT_H
#define AGENT_CORE_SLOT_H

/* Slots: two places for an image, of which one runs. The five verbs every back end has.
 */

#include "proto/base/bytes.h"
#include "proto/base/names.h"
#include "proto/wire/digest.h"

enum {
	SLOT_COUNT = 2,
	SLOT_TRIES = 3, /* boots that an image on trial gets */
};

/* X(NAME, text)
 *
 * BAD    not to be booted: empty, being written, or given up
 * TRIAL  whole, not yet proved
 * GOOD   whole and proved */
#define SLOT_STATES(X)    \
	X(BAD, "bad")     \
	X(TRIAL, "trial") \
	X(GOOD, "good")

#define SLOT_STATE_ENUM(name, text) SLOT_##name,
enum slot_state { SLOT_STATES(SLOT_STATE_ENUM) N_SLOT_STATES };
#undef SLOT_STATE_ENUM

/** What is known of a slot. `= { 0 }` is an empty one. */
struct slot_info {
	enum slot_state state;
	struct ota_digest image;    /* zero: none */
	uint64_t image_len;         /* bytes */
	uint64_t counter;           /* of its release; 0: not known */
	char version[OTA_NAME_CAP]; /* may be "" */
};

/** A slot back end. Every call is durable when it returns, and idempotent. */
struct slot_port {
	void *ctx;
	/** The slot that runs. */
	enum ota_code (*get_current)(void *ctx, unsigned *slot, struct ota_error *err);
	/** The slot that the next boot tries first. */
	enum ota_code (*get_primary)(void *ctx, unsigned *slot, struct ota_error *err);
	/** Let the next boot try slot first; one on trial gets SLOT_TRIES boots. */
	enum ota_code (*set_primary)(void *ctx, unsigned slot, struct ota_error *err);
	/** What is recorded of a slot. */
	enum ota_code (*get_state)(
		void *ctx, unsigned slot, struct slot_info *out, struct ota_error *err);
	/** Record what a slot holds. */
	enum ota_code (*set_state)(void *ctx, unsigned slot, const struct slot_info *info,
		struct ota_error *err);
};

/* What a back end without a boot loader of its own records:
 *
 *   offset  size  field
 *        0     4  magic     "OTS1"
 *        4     1  current   slot that runs, 0 or 1
 *        5     1  primary   slot that the next boot tries first, 0 or 1
 *        6     1  tries     boots left to primary while it is on trial
 *        7     1  zero
 *        8    32  boot_id   of the boot that chose current
 *       40   256  slot[2]   each
 *                  0  1  state      enum slot_state
 *                  1  7  zero
 *                  8 32  image      digest
 *                 40  8  image_len  u64le
 *                 48  8  counter    u64le
 *                 56 72  version    name, NUL-padded, may be empty
 *
 * What a later version appends is passed over. */
struct slot_table {
	unsigned current, primary;
	uint8_t tries;
	struct ota_digest boot_id;
	struct slot_info slots[SLOT_COUNT];
};

enum { SLOT_TABLE_LEN = 296, SLOT_TABLE_LEN_MAX = 4000 }; /* bytes */

/** Append SLOT_TABLE_LEN bytes to out. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code slot_table_encode(
	const struct slot_table *table, struct ota_buf *out);

/** Parse untrusted bytes. OTA_OK, OTA_E_FORMAT, OTA_E_LIMIT or OTA_E_NAME. */
OTA_CHECKED enum ota_code slot_table_parse(
	struct ota_bytes in, struct slot_table *out, struct ota_error *err);

/** What a boot loader does: choose the slot to run, and count its tries. A slot on trial
 *  that has used up its tries becomes bad, and the other one primary, if that is whole.
 *  With a boot_id equal to the table's nothing changes (a restart within the boot).
 *  True if it was a boot. */
bool slot_table_boot(struct slot_table *table, const struct ota_digest *boot_id);

/** Text of a slot state. */
const char *slot_state_text(enum slot_state state);

#endif
