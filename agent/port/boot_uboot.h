#ifndef AGENT_PORT_BOOT_UBOOT_H
#define AGENT_PORT_BOOT_UBOOT_H

/* U-Boot's environment, through fw_printenv and fw_setenv of libubootenv, which know the
 * media (MTD, UBI, block devices, files). All variables of a change are one call of
 * fw_setenv, which writes the copy of a redundant environment that is not in use. */

#include "agent/port/boot_vars.h"
#include "agent/port/config.h"

enum { BOOT_UBOOT_COPIES_MAX = 2 };

/** What fw_env.config says: where the copies of the environment are. */
struct boot_uboot_config {
	char paths[BOOT_UBOOT_COPIES_MAX][AGENT_PATH_CAP];
	unsigned count; /* 1: not redundant */
};

struct boot_uboot {
	char config_file[AGENT_PATH_CAP]; /* fw_env.config */
	struct boot_uboot_config config;
	uint32_t deadline_ms; /* of each call of a tool */
};

/** Parse fw_env.config: lines "device offset size [sector-size [sectors]]", '#' begins a
 *  comment line. OTA_OK, OTA_E_FORMAT or OTA_E_LIMIT. */
OTA_CHECKED enum ota_code boot_uboot_config_parse(
	struct ota_bytes text, struct boot_uboot_config *out, struct ota_error *err);

/** Parse what fw_printenv says when it is asked for all our variables: one line each, in
 *  order. OTA_OK or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code boot_uboot_answer_parse(
	struct ota_bytes text, struct boot_text *out, struct ota_error *err);

/** Read fw_env.config. OTA_OK, or as boot_uboot_config_parse() and ota_file_read(). */
OTA_CHECKED enum ota_code boot_uboot_open(const char *config_file, uint32_t deadline_ms,
	struct boot_uboot *out, struct ota_error *err);

/** The environment, for a boot_counter; borrows uboot. */
struct boot_store boot_uboot_store(struct boot_uboot *uboot);

#endif
