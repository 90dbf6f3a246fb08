#ifndef AGENT_PORT_BOOT_GRUB_H
#define AGENT_PORT_BOOT_GRUB_H

/* GRUB's environment block: a file of 1024 bytes that GRUB overwrites in place, sector by
 * sector, and that therefore must never change its place or length.
 *
 *   "# GRUB Environment Block\n"  NAME=VALUE "\n" ...  "#" up to byte 1024
 *
 * grub-editenv empties the file before it writes it, so a cut can lose all. Here it is
 * overwritten in place too, with our variables first: they lie in the first sector of 512
 * bytes, which a medium writes whole or not at all. A second block beside it (its name
 * with ".2") is for the script to fall back on when the first one is damaged. */

#include "agent/port/boot_vars.h"
#include "agent/port/config.h"

enum { BOOT_GRUB_LEN = 1024, BOOT_GRUB_SECTOR_LEN = 512 }; /* bytes */

struct boot_grub {
	char paths[2][AGENT_PATH_CAP]; /* of the block and the second one */
};

/** Parse an untrusted block. OTA_OK or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code boot_grub_parse(
	struct ota_bytes block, struct boot_text *out, struct ota_error *err);

/** Make a block with our variables, and those of others as they stand in the old one,
 *  which must parse or be empty. OTA_OK, OTA_E_FORMAT, or OTA_E_NOSPACE. */
OTA_CHECKED enum ota_code boot_grub_encode(const struct boot_text *text,
	struct ota_bytes old, uint8_t out[static BOOT_GRUB_LEN], struct ota_error *err);

/** Remember where the blocks are. OTA_OK or OTA_E_LIMIT. */
OTA_CHECKED enum ota_code boot_grub_open(
	const char *path, struct boot_grub *out, struct ota_error *err);

/** Read one of the two blocks, from the medium where that is possible. OTA_OK,
 *  OTA_E_NOTFOUND, OTA_E_FORMAT or OTA_E_IO. */
OTA_CHECKED enum ota_code boot_grub_read(
	const char *path, uint8_t out[static BOOT_GRUB_LEN], struct ota_error *err);

/** Write a block that is damaged or missing again from the other one, if that is valid.
 *  OTA_OK, OTA_E_IO or OTA_E_NOSPACE. */
OTA_CHECKED enum ota_code boot_grub_mend(
	const struct boot_grub *grub, bool *mended, struct ota_error *err);

/** The environment, for a boot_counter; borrows grub. */
struct boot_store boot_grub_store(struct boot_grub *grub);

#endif
