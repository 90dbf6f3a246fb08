#ifndef ORCHESTRATOR_SIM_TWIN_H
#define ORCHESTRATOR_SIM_TWIN_H

/* The digital twin of a fleet under a rollout: the orchestrator's real core, with its
 * real gates, grants, waves and orders, above devices that exist only as numbers, on a
 * clock that jumps from one event to the next. Pure: the seed decides everything.
 *
 * A device of the twin reads the order of its cohort as an agent does (bucket, canaries,
 * window, jitter), says that it has begun, fetches, reboots, and then does well, falls
 * back, or is never heard of again. A pause reaches it at once, and stops it unless it
 * has rebooted. Reports are not signed, patches cost nothing to make. */

#include "orchestrator/core/rollout_states.h"
#include "orchestrator/core/spec.h"

enum {
	TWIN_DEVICES_MAX = 200000,
	TWIN_TEXT_CAP = 256,
};

/** The devices of a cohort. */
struct twin_cohort {
	char name[OTA_NAME_CAP];
	uint32_t devices; /* at least those that the rollout names are made */
};

/** What is to be played through. Borrowed for the life of the twin. */
struct twin_case {
	const struct rollout_spec *spec; /* its release does not matter */
	const struct twin_cohort *cohorts;
	uint32_t cohort_count; /* 1 .. OTA_COHORTS_MAX */
};

/** How devices fare. */
struct twin_odds {
	uint32_t soft_ppm;    /* fall back cleanly to the old image */
	uint32_t brick_ppm;   /* never come up again */
	uint32_t offline_ppm; /* are out of reach all the time */
	uint64_t fetch_s;     /* mean time from the order to the reboot */
	uint64_t prove_s;     /* mean time from the reboot to the verdict */
	uint64_t report_s;    /* mean delay of the report that says so */
};

/** Something ended on a device, for who watches. */
struct twin_sight {
	bool bad;           /* it failed */
	uint64_t harmed;    /* devices failed or bound to fail if all stops now */
	uint64_t elapsed_s; /* since the rollout began */
};

/** Who watches; `= { 0 }`: nobody. */
struct twin_watch {
	void *ctx;
	/** A verdict has arrived. True: that is enough, end the run. */
	bool (*ended)(void *ctx, const struct twin_sight *sight);
	/** The core is told that every device does well, so that nothing but the watcher
	 * ends the rollout. For rules that stand beside ours. */
	bool blind;
};

/** How a run went. */
struct twin_outcome {
	enum rollout_state state; /* where the rollout ended, or stood at the end */
	uint32_t stage;           /* index of the stage it ended in */
	uint32_t reason;          /* enum ota_code of a halt; 0: none */
	char text[TWIN_TEXT_CAP]; /* the sentence that goes with it */
	uint64_t elapsed_s;       /* from apply to the end */
	uint64_t updated;         /* devices that run the new image */
	uint64_t harmed;          /* devices that fell back or are gone */
	uint64_t bricked;         /* of these: gone */
	uint64_t exposed;         /* devices that rebooted into the new image */
	uint64_t flying_max;      /* most devices under way at once */
	uint64_t reports;         /* that the core has taken */
};

struct twin;

/** Means of an hour's quiet office fleet: 5 min to fetch, 90 s to prove, 5 s to say so.
 */
struct twin_odds twin_odds_usual(void);

/**
 * A core and its fleet, every device registered and heard of, no rollout yet.
 *
 * Returns OTA_OK; OTA_E_USAGE for more than TWIN_DEVICES_MAX devices or a named device in
 * no cohort; codes of the core. *out is set on success only; release with twin_free().
 */
OTA_CHECKED enum ota_code twin_new(
	const struct twin_case *c, struct twin **out, struct ota_error *err);

/** Apply the rollout, grant all of it, and play it to its end: completed and the last
 *  device through, halted, or one year. A twin is played once (fork to play it again).
 * watch: NULL: nobody. */
OTA_CHECKED enum ota_code twin_play(struct twin *twin, const struct twin_odds *odds,
	uint64_t seed, const struct twin_watch *watch, struct twin_outcome *out,
	struct ota_error *err);

/** The number of devices. */
uint32_t twin_devices(const struct twin *twin);

/** Release a twin. NULL is allowed. */
void twin_free(struct twin *twin);

#endif
