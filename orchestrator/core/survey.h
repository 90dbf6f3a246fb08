#ifndef ORCHESTRATOR_CORE_SURVEY_H
#define ORCHESTRATOR_CORE_SURVEY_H

/* The fleet in the eyes of one rollout: what its gate and its pace ask of each device,
 * side by side in one array. Judging visits every device, and a device is two thousand
 * octets in many places; here it is one cache line. Who changed is known from what is
 * stored: nothing is acted on that is not. Times are kept, not what follows from them. */

#include "orchestrator/core/pace.h"
#include "orchestrator/core/places.h"
#include "orchestrator/core/state.h"
#include "orchestrator/core/tally.h"

/** A device. */
struct standing {
	struct attempt *attempt; /* borrowed; NULL: it has not begun */
	uint64_t presence_s, heard_s;
	uint64_t began_s; /* the attempt */
	uint64_t due_s;   /* the attempt is overdue, or to be asked; UINT64_MAX: never */
	uint32_t stages;  /* bit n: stage n is of the device's cohort */
	uint32_t named;   /* the stage that names it, or STAGE_NONE */
	uint32_t stage;   /* in the tally */
	uint16_t bucket;  /* under the grant; 0 without one */
	enum attempt_state state : 8;   /* of the attempt, as what follows */
	enum ota_update_state step : 8; /* ... */
	enum failure_class class : 8;
	enum pace_class pace : 8; /* of what it is at, also for another rollout */
	bool acknowledged : 1, waiting : 1;
	bool concerned : 1; /* stage_concerns() */
	bool online : 1;
	bool alarm : 1; /* device_has_alarm() */
	bool held : 1;  /* its owner holds it back */
	bool aside : 1; /* device_is_set_aside() */
};

struct survey {
	struct standing *at; /* owned; of each device of the core, in their order */
	size_t count;
	uint64_t seen; /* changes of devices that are in it */
	bool salted;   /* there is a grant, and this is its salt */
	uint8_t salt[OTA_SALT_LEN];

	struct tally tally; /* stage.h */

	struct { /* of a rollout that is over, as it was first asked for */
		bool counted;
		uint64_t changed_s; /* the rollout, when it was counted */
		uint32_t waves[SPEC_STAGES_MAX];
	} over;

	bool placed;
	uint64_t relabelled;         /* core's, when the places were found */
	struct places sites, groups; /* owned */
	struct pace_device *paces;   /* owned; room for as many, of the last judgement */
};

/** An empty one, for a rollout. Never NULL; release with survey_free(). */
struct survey *survey_new(void);

/** Release it; NULL is fine. */
void survey_free(struct survey *survey);

/** Forget what of a rollout's survey is a copy of devices, if the rollout does not look
 * at them any more: it was made to be looked at once. It is as large as the fleet. */
void survey_rest(const struct rollout *rollout);

/** The survey of a rollout, brought up to date. Borrowed, good until the core changes.
 *  Costs the devices that changed since; the first time, and when devices were added or
 *  the grant is another one, all of them. */
const struct survey *survey_of(const struct core *core, const struct rollout *rollout);

/** ... with its tally, under the shares as they are now. */
const struct survey *survey_with_tally(
	const struct core *core, const struct rollout *rollout);

/** ... with its places filled in, which costs O(devices) once labels have changed. */
const struct survey *survey_with_places(
	const struct core *core, const struct rollout *rollout);

/** For tests: true if what the surveys of all live rollouts say is what surveys made anew
 *  would say. */
bool survey_is_true(const struct core *core);

/* ---- who has changed */

enum { CHANGES_KEPT = 4096 };

/** The last devices that changed, of all that ever did. */
struct changes {
	struct device *last[CHANGES_KEPT]; /* borrowed; a ring */
	uint64_t count;
	uint64_t read; /* that some survey has seen */
};

/** Something of the device, or of an attempt of it, is another than before. */
void survey_touch(struct core *core, struct device *device);

#endif
