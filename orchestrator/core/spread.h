#ifndef ORCHESTRATOR_CORE_SPREAD_H
#define ORCHESTRATOR_CORE_SPREAD_H

/* How well the stages of a rollout spread over sites, redundancy groups and hardware, and
 * which salt spreads them best. The salt of a grant decides the order of the devices.
 * Pure.
 */

#include "orchestrator/core/spec.h"

/** No stage takes the device. */
#define SPREAD_NO_STAGE UINT32_MAX

enum {
	SPREAD_SALTS = 64,    /* at most */
	SPREAD_WORK = 200000, /* salts times devices, about */
	SPREAD_NAMES_MAX = 8,
};

struct spread_device {
	const char *id, *cohort;             /* borrowed, as all of these */
	const char *site, *group, *hardware; /* "" if it has none */
	uint32_t bucket;
	uint32_t stage; /* index, or SPREAD_NO_STAGE */
};

/** Of one stage but the last. */
struct spread_stage {
	uint32_t whole_sites; /* sites of two devices and more that it takes whole */
	uint32_t whole_groups;
	const char *site, *group; /* borrowed: one of them */
};

struct spread_report {
	struct spread_stage stages[SPEC_STAGES_MAX];
	const char
		*late[SPREAD_NAMES_MAX]; /* borrowed: hardware of the last stage alone */
	uint32_t late_count;             /* may be more than there are names */
	uint32_t stuck_groups;           /* all of whose devices share a bucket */
	const char *stuck;               /* borrowed: one of them */
	uint64_t neighbours; /* pairs of one site in one stage, per 1000 pairs, summed
			      * over the stages but the last */
};

/** Look at devices whose bucket and stage are known. stage_count: of the rollout. */
struct spread_report spread_look(
	const struct spread_device *devices, size_t count, uint32_t stage_count);

/** Fill in buckets and stages as a salt would have it. */
void spread_place(const struct rollout_spec *spec,
	const uint8_t salt[static OTA_SALT_LEN], struct spread_device *devices,
	size_t count);

/**
 * The salt, of up to SPREAD_SALTS that follow from the release, under which the stages
 * before the last spread best: first that no group shares a bucket, then that every
 * hardware and no whole group or site is early, then that few neighbours are in one
 * stage. The same for the same devices, rollout and release. Overwrites buckets and
 * stages of devices. Costs O(SPREAD_WORK): in large fleets, which spread well anyway,
 * fewer are tried.
 */
void spread_salt(const struct rollout_spec *spec, struct spread_device *devices,
	size_t count, uint8_t salt[static OTA_SALT_LEN]);

#endif
