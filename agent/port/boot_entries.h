#ifndef AGENT_PORT_BOOT_ENTRIES_H
#define AGENT_PORT_BOOT_ENTRIES_H

/* systemd-boot: one entry file per slot, and everything it needs to know in its name.
 *
 *   sluice-<rank>-<slot>.conf              proved: booted without counting
 *   sluice-<rank>-<slot>+<left>[-<done>].conf   on trial; systemd-boot counts by renaming
 *   sluice-<rank>-<slot>.trial             whole, not armed yet: no entry
 *   sluice-<rank>-<slot>.off               bad: no entry
 *
 * systemd-boot takes the entry whose name sorts last by version, one with no tries left
 * never before another. So the higher rank is the primary one, and one rename makes a
 * slot the primary one with its tries, or takes it away. */

#include "agent/port/boot_loader.h"
#include "agent/port/boot_running.h"

enum {
	BOOT_ENTRY_NAME_CAP = 64,        /* bytes with the NUL */
	BOOT_ENTRY_RANK_MAX = 999999999, /* of an entry */
	BOOT_ENTRY_TRIES_MAX = 99,
};

enum boot_entry_kind {
	BOOT_ENTRY_OFF,
	BOOT_ENTRY_WAITING,
	BOOT_ENTRY_COUNTED,
	BOOT_ENTRY_PROVED
};

/** What a name says. */
struct boot_entry {
	enum boot_entry_kind kind;
	unsigned slot, rank;
	unsigned left, done; /* COUNTED: boots */
};

/** Parse a file name; false if it is none of ours. */
bool boot_entry_parse(const char *name, struct boot_entry *out);

/** The name of an entry. */
void boot_entry_name(
	const struct boot_entry *entry, char out[static BOOT_ENTRY_NAME_CAP]);

/** The entries of a device. */
struct boot_entries {
	char dir[AGENT_PATH_CAP]; /* loader/entries of the ESP */
	struct boot_running running;
};

/** The entry of a slot in dir; of two that a cut left, the one that systemd-boot takes.
 *  OTA_OK, OTA_E_NOTFOUND or OTA_E_IO. */
OTA_CHECKED enum ota_code boot_entries_find(const struct boot_entries *entries,
	unsigned slot, struct boot_entry *out, struct ota_error *err);

/** The five verbs; borrows entries. A change is OTA_E_CONFLICT as in boot_vars.h. */
struct boot_loader boot_entries_loader(struct boot_entries *entries);

#endif
