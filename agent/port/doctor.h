#ifndef AGENT_PORT_DOCTOR_H
#define AGENT_PORT_DOCTOR_H

/* What is missing or dangerous on a device, in plain words, before it matters. Nothing is
 * changed. */

#include "agent/port/config.h"

/* X(NAME, text) */
#define DOCTOR_LEVELS(X)      \
	X(OK, "ok")           \
	X(WARNING, "warning") \
	X(ERROR, "error")

#define DOCTOR_LEVEL_ENUM(name, text) DOCTOR_##name,
enum doctor_level { DOCTOR_LEVELS(DOCTOR_LEVEL_ENUM) N_DOCTOR_LEVELS };
#undef DOCTOR_LEVEL_ENUM

enum { DOCTOR_FINDINGS_MAX = 64, DOCTOR_TEXT_CAP = 400 };

/** One of the checks, of which each may find several things. */
struct doctor;
struct doctor_check {
	const char *name, *why; /* borrowed; why it matters */
	void (*look)(struct doctor *doctor);
};

struct doctor_finding {
	enum doctor_level level;
	const struct doctor_check *check; /* borrowed */
	char what[DOCTOR_TEXT_CAP];
	const char *advice; /* borrowed; what to do, "" if nothing */
};

/** What is looked at beside the files of the configuration; everything is borrowed. */
struct doctor_world {
	uint64_t utc_s;       /* of the local clock */
	const char *watchdog; /* "/dev/watchdog" */
	const char *meminfo;  /* "/proc/meminfo" */
	const char *mounts;   /* "/proc/self/mountinfo" */
	const char *cmdline;  /* "/proc/cmdline" */
	const char *efi_dir;  /* "/sys/firmware/efi/efivars" */
	uint32_t broker_ms;   /* to wait for the broker; 0: it is not tried */
};

/** What was found. */
struct doctor {
	const struct agent_config *config; /* borrowed */
	struct doctor_world world;
	const struct doctor_check *check; /* that looks now */
	struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
	size_t count;
};

/** The world of this machine. */
struct doctor_world doctor_world_here(void);

/** Look at everything. out is filled. */
void doctor_examine(const struct agent_config *config, const struct doctor_world *world,
	struct doctor *out);

/** How many findings have this level. */
size_t doctor_count(const struct doctor *doctor, enum doctor_level level);

/** The findings for people, appended to out. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code doctor_print_text(
	const struct doctor *doctor, struct ota_buf *out);

/** The same as one JSON object: findings, each with check, level, what, why and do, and
 *  the numbers errors and warnings. */
OTA_CHECKED enum ota_code doctor_print_json(
	const struct doctor *doctor, struct ota_buf *out);

#endif
