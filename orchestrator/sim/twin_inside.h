#ifndef ORCHESTRATOR_SIM_TWIN_INSIDE_H
#define ORCHESTRATOR_SIM_TWIN_INSIDE_H

/* What a twin is made of. Private to orchestrator/sim. */

#include "orchestrator/core/core.h"
#include "orchestrator/sim/dice.h"
#include "orchestrator/sim/queue.h"
#include "orchestrator/sim/twin.h"

enum {
	TWIN_STEP_S = 60, /* events happen on multiples of it, a whole batch at once */
	TWIN_UTC_S = 1800000000, /* when every twin begins: a Friday, 08:00 UTC */
	TWIN_LIFE_S = 365 * 86400,
};

#define TWIN_FLEET    "twin"
#define TWIN_FLEET_ID "twin-fleet-id-16"
#define TWIN_PRODUCT  "gateway"
#define TWIN_HARDWARE "gw-100"

enum twin_step { TWIN_RESTS, TWIN_STARTS, TWIN_FETCHES, TWIN_PROVES, TWIN_DONE };

struct twin_device {
	char id[OTA_NAME_CAP];
	uint32_t cohort; /* index */
	uint32_t bucket; /* under the salt of the run */
	uint64_t boot, counter;
	enum twin_step step;
	bool offline, soft, brick; /* its fate */
	bool named;                /* by a stage of the rollout */
};

struct twin_group { /* a cohort */
	const char *name;
	uint32_t first, count; /* of the devices */
	uint32_t *by_bucket;   /* owned; device indices, lowest bucket first */
	uint32_t opened;       /* of by_bucket: those that were told to start */
	struct ota_order order;
	bool ordered, changed;
};

struct twin {
	struct core *core; /* owned */
	struct core_now now;
	const struct twin_case *c; /* borrowed */
	struct ota_secret_key keys[OTA_N_ROLES];
	struct ota_buf root; /* owned */
	struct ota_digest old, image, release;
	bool started; /* the core has checked its key: assigns need no signature */

	struct twin_device *devices; /* owned */
	uint32_t device_count;
	struct twin_group *groups; /* owned, one per cohort */
	struct core_patch asked[8];
	uint32_t asked_count;

	struct dice dice;
	struct twin_odds odds;
	struct twin_watch watch;
	struct queue queue;
	struct ota_report report; /* what all reports have in common */
	uint64_t began_s, flying;
	struct twin_outcome outcome;
	bool ended;
};

/** A started core with a root, two images, a release and a catalog. */
OTA_CHECKED enum ota_code twin_world_init(struct twin *twin, struct ota_error *err);

/** Hand in the cohorts. */
OTA_CHECKED enum ota_code twin_world_fleet(struct twin *twin, struct ota_error *err);

/** Hand in a grant for all of the fleet, naming what the rollout names, and apply it. */
OTA_CHECKED enum ota_code twin_world_apply(struct twin *twin,
	const uint8_t salt[static OTA_SALT_LEN], struct ota_error *err);

/** Answer the core's requests for patches. After every call into it. */
void twin_world_settle(struct twin *twin);

/** Register all devices and let them report. */
OTA_CHECKED enum ota_code twin_devices_init(struct twin *twin, struct ota_error *err);

/** Draw their fates and buckets for a run. */
OTA_CHECKED enum ota_code twin_devices_deal(struct twin *twin,
	const uint8_t salt[static OTA_SALT_LEN], struct ota_error *err);

/** Take changed orders to their devices. */
void twin_devices_order(struct twin *twin);

/** Something happens to a device. */
OTA_CHECKED enum ota_code twin_device_event(
	struct twin *twin, const struct queue_item *item, struct ota_error *err);

#endif
