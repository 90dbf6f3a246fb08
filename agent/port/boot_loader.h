#ifndef AGENT_PORT_BOOT_LOADER_H
#define AGENT_PORT_BOOT_LOADER_H

/* What a boot loader knows of the two slots: which one runs, which one it tries first,
 * and how often. Slots themselves (agent/port/slots.h) know what is in them. */

#include "agent/core/slot.h"

/**
 * A boot loader's side of the five verbs.
 *
 * A call that changes something is durable when it returns OTA_OK, and was read back from
 * where the boot loader will read it. Every call is idempotent: it may be repeated after
 * a cut at any instant, and leads to the same end. slot is 0 (a) or 1 (b). Outputs are
 * written on success only.
 *
 * All return OTA_OK; OTA_E_MEDIA if what was written does not read back; OTA_E_IO,
 * OTA_E_NOSPACE, OTA_E_NOMEM, OTA_E_TIMEOUT for the tool or file behind it, with a text
 * that names it. After a failure of set_primary() or set_state() the boot loader may hold
 * the old or the new value, never anything else. A change that would leave nothing to
 * boot is OTA_E_CONFLICT, and so is a primary slot that is bad.
 */
struct boot_loader {
	void *ctx; /* borrowed; of the functions */

	/** The slot that this boot runs from. OTA_E_NOTFOUND if it is neither. */
	enum ota_code (*get_current)(void *ctx, unsigned *slot, struct ota_error *err);

	/** The slot that the next boot tries first. */
	enum ota_code (*get_primary)(void *ctx, unsigned *slot, struct ota_error *err);

	/** Let the next boot try slot first. If that slot is SLOT_TRIAL it is booted at
	 *  most `tries` times; when they are used up it is SLOT_BAD and the other slot
	 *  boots. tries means nothing to a slot that is SLOT_GOOD. */
	enum ota_code (*set_primary)(
		void *ctx, unsigned slot, unsigned tries, struct ota_error *err);

	/** What the boot loader makes of a slot: SLOT_BAD is not booted, also while it is
	 *  the first one (going back, it is made bad before the other one is primary),
	 *  SLOT_TRIAL is counted down, SLOT_GOOD is booted. A good slot may be given up
	 * as well, when boot after boot never reaches the agent: then it is SLOT_BAD and
	 * the other one boots. The slot that runs is never SLOT_BAD for want of tries. */
	enum ota_code (*get_state)(
		void *ctx, unsigned slot, enum slot_state *out, struct ota_error *err);

	/** Tell the boot loader what a slot is. SLOT_TRIAL alone boots nothing: only
	 *  set_primary() makes it the next one, with its tries. */
	enum ota_code (*set_state)(
		void *ctx, unsigned slot, enum slot_state state, struct ota_error *err);
};

#endif
