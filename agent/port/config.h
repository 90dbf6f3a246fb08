#ifndef AGENT_PORT_CONFIG_H
#define AGENT_PORT_CONFIG_H

/* agent.yaml, read once at the start of each process. config/README.md tells every key
 * with its unit, range and default. Relative paths are relative to the file. */

#include "agent/core/policy.h"
#include "proto/base/bytes.h"
#include "proto/base/names.h"
#include "proto/io/log.h"

enum {
	AGENT_PATH_CAP = 1024,      /* bytes with the NUL */
	AGENT_URL_CAP = 256,        /* bytes with the NUL */
	AGENT_USER_CAP = 64,        /* bytes with the NUL */
	AGENT_REBOOT_ARGS_MAX = 16, /* words of the reboot command */
};

struct agent_broker_config {
	char url[AGENT_URL_CAP];            /* "tcp://host:port" or "ssl://host:port" */
	char ca_file[AGENT_PATH_CAP];       /* PEM; "" for tcp:// */
	char cert_file[AGENT_PATH_CAP];     /* PEM; "": none */
	char key_file[AGENT_PATH_CAP];      /* PEM; "": none */
	char user[AGENT_USER_CAP];          /* "": none */
	char password_file[AGENT_PATH_CAP]; /* "": none */
	uint32_t keepalive_s;
};

enum agent_slot_type { AGENT_SLOT_FILE, AGENT_SLOT_DIRECTORY, AGENT_SLOT_BLOCK };

struct agent_slot_config {
	enum agent_slot_type type;
	char dir[AGENT_PATH_CAP];        /* file, directory */
	char devices[2][AGENT_PATH_CAP]; /* block: slots a and b */
	char initial[AGENT_PATH_CAP];    /* file, directory: image of the first start; "":
					    none */
	uint64_t initial_len;            /* block: bytes of it; 0: all of the slot */
	bool special_files;              /* directory: may hold devices and pipes */
	char initial_version[OTA_NAME_CAP]; /* of that image; "": not known */
	uint64_t initial_counter;           /* of that image; 0: not known */
};

/** What the owner of the device allows. */
struct agent_policy_config {
	struct policy rules;
	char metered_command[AGENT_PATH_CAP]; /* "": not asked */
	char power_command[AGENT_PATH_CAP];   /* "": not asked */
	char lock_command[AGENT_PATH_CAP];    /* "": not asked */
	char lock_file[AGENT_PATH_CAP];       /* holds while it is there; "": none */
};

enum agent_boot_type {
	AGENT_BOOT_NONE,
	AGENT_BOOT_UBOOT,
	AGENT_BOOT_GRUB,
	AGENT_BOOT_SYSTEMD,
	AGENT_BOOT_CUSTOM
};

struct agent_boot_config {
	enum agent_boot_type type;
	/* UBOOT: fw_env.config; GRUB: environment block; SYSTEMD: directory of entries;
	 * CUSTOM: executable */
	char path[AGENT_PATH_CAP];
	uint32_t deadline_s; /* of each command */
};

struct agent_config {
	char device[OTA_NAME_CAP], fleet[OTA_NAME_CAP], product[OTA_NAME_CAP],
		hardware[OTA_NAME_CAP];
	char root_file[AGENT_PATH_CAP];       /* signed root, the trust anchor */
	char device_key_file[AGENT_PATH_CAP]; /* 64 hex digits of Ed25519 seed */
	struct agent_broker_config broker;
	char state_dir[AGENT_PATH_CAP];
	char spool_dir[AGENT_PATH_CAP];
	uint64_t spool_max_bytes;
	char user[AGENT_USER_CAP];      /* that net becomes when it is root; "": stays */
	char hooks_dir[AGENT_PATH_CAP]; /* "": no hooks */
	struct agent_slot_config slot;
	struct agent_policy_config policy;
	struct agent_boot_config boot;
	char reboot[AGENT_REBOOT_ARGS_MAX][AGENT_PATH_CAP];
	uint32_t reboot_count; /* words of the command; 0: the agent restarts itself */
	uint64_t decoder_ram_bytes;
	uint32_t chunks_outstanding;
	uint64_t rate_bytes_per_s; /* 0: no limit */
	uint32_t hook_deadline_s;
	enum ota_log_level log_level;
};

/**
 * Read a configuration.
 *
 * out     filled on success only; owns nothing
 * errors  every mistake as "file:line:col: error: ..." with source line and caret, for
 *         people, is appended; may be NULL
 * err     the first of them, without source line
 *
 * Returns OTA_OK, OTA_E_CONFIG or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code agent_config_load(const char *path, struct agent_config *out,
	struct ota_buf *errors, struct ota_error *err);

#endif
