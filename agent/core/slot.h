#ifndef AGENT_CORE_SLOT_H
#define AGENT_CORE_SLOT_H

/* Slots: two places for an image, of which one runs. The five verbs every back end has.
 */

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

/** Text of a slot state. */
const char *slot_state_text(enum slot_state state);

#endif
