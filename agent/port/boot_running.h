#ifndef AGENT_PORT_BOOT_RUNNING_H
#define AGENT_PORT_BOOT_RUNNING_H

/* Which slot this boot runs from. Three may know; those that do must agree:
 *
 *   the kernel command line   word sluice.slot=a or sluice.slot=b
 *   the root device           is the device of a slot, or lies on it (dm-verity,
 * dm-crypt) systemd-boot              entry it booted, in the EFI variable
 * LoaderEntrySelected */

#include "agent/core/slot.h"
#include "agent/port/config.h"

/** Where to look; everything is borrowed. */
struct boot_running {
	const char *cmdline_file;        /* "/proc/cmdline" */
	const char *root_dir;            /* "/" */
	const char *devices[SLOT_COUNT]; /* of the slots; "" or NULL: none */
	const char *sys_dir; /* "/sys/dev/block"; asked if there are devices */
	const char *efi_dir; /* "/sys/firmware/efi/efivars"; NULL: not asked */
};

/** Where to look on a device whose slots have these devices ("": none). */
struct boot_running boot_running_of(const char *device_a, const char *device_b);

/**
 * Find the slot that runs.
 *
 * Returns OTA_OK; OTA_E_NOTFOUND if nobody knows; OTA_E_CONFLICT if two disagree, with
 * both; OTA_E_FORMAT for a word that names no slot; OTA_E_IO or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code boot_running_find(
	const struct boot_running *where, unsigned *out, struct ota_error *err);

/** The slot in a kernel command line, which need not be trusted; *known is false without
 *  one. OTA_OK, OTA_E_FORMAT, or OTA_E_CONFLICT for two. */
OTA_CHECKED enum ota_code boot_cmdline_parse(
	struct ota_bytes text, bool *known, unsigned *slot, struct ota_error *err);

/** The text of an EFI variable as efivarfs gives it: 4 bytes of attributes, UTF-16LE with
 *  a NUL at its end, here only printable ASCII. OTA_OK, OTA_E_FORMAT or OTA_E_LIMIT. */
OTA_CHECKED enum ota_code boot_efi_text_parse(
	struct ota_bytes in, char *out, size_t cap, struct ota_error *err);

#endif
