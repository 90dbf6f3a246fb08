#ifndef AGENT_PORT_BOOT_H
#define AGENT_PORT_BOOT_H

/* The boot loader that a configuration names. */

#include "agent/port/boot_custom.h"
#include "agent/port/boot_entries.h"
#include "agent/port/boot_grub.h"
#include "agent/port/boot_uboot.h"

/** A boot loader. It points into itself: it must not be moved once it is open. Holds no
 *  file and no memory of its own. */
struct boot {
	enum agent_boot_type type;
	struct boot_loader loader; /* get_current NULL: there is none */
	struct boot_counter counter;
	struct boot_uboot uboot;
	struct boot_grub grub;
	struct boot_entries entries;
	struct boot_custom custom;
};

/**
 * Open it; changes nothing on the device.
 *
 * config  borrowed for the life of boot
 *
 * Returns OTA_OK, or OTA_E_NOTFOUND, OTA_E_FORMAT, OTA_E_LIMIT, OTA_E_IO, OTA_E_NOMEM for
 * a file that it needs.
 */
OTA_CHECKED enum ota_code boot_open(
	const struct agent_config *config, struct boot *out, struct ota_error *err);

/**
 * The agent has started: mend what is damaged, and give the slot that runs its boots back
 * if it is good.
 *
 * An environment without our variables, or with senseless ones, gets new ones: the slot
 * that runs first, and both on trial, because nothing is known of them here (slots.h
 * knows). A damaged block of GRUB's is written again from the other one.
 *
 * mended  what was done, for the log; NULL: nothing was
 *
 * Returns OTA_OK, or a code of struct boot_loader.
 */
OTA_CHECKED enum ota_code boot_begin(
	struct boot *boot, const char **mended, struct ota_error *err);

#endif
