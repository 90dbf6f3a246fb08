#ifndef ORCHESTRATOR_CORE_SPEC_H
#define ORCHESTRATOR_CORE_SPEC_H

/* What people ask for: the fleet file and the rollout file, as structs that can only be
 * valid once their check has passed, and their JSON. The CLI fills them from YAML, sends
 * the JSON; the core reads it back. Member names: orchestrator/README.md. */

#include <cjson/cJSON.h>

#include "proto/base/week.h"
#include "proto/wire/documents.h"

enum {
	SPEC_STAGES_MAX = 32,          /* of a rollout */
	SPEC_TERMS_MAX = 8,            /* of a cohort's selector, labels and facts each */
	SPEC_VALUES_MAX = 32,          /* of one term */
	SPEC_COUNT_MAX = 1000000,      /* devices of a stage by count */
	SPEC_FREEZES_MAX = 16,         /* of a rollout */
	SPEC_FREEZE_CAP = 64,          /* bytes of the text of one */
	SPEC_IN_FLIGHT_MIN = 5,        /* what a share in flight is at least */
	SPEC_DURATION_MAX_S = 7776000, /* 90 days, for every duration */
	SPEC_RETRIES_MAX = 20,         /* of one class of failure */
	SPEC_FACTOR_MAX = 10,          /* of a backoff */
	SPEC_PRIORITY_MAX = 9,
	SPEC_STRIKES_MAX = 16,   /* failures of a device in a quarantine's rule */
	SPEC_BOOTS_MAX = 1000,   /* ... and its boots in an hour */
	SPEC_SUPERSEDES_MAX = 8, /* rollouts that one takes over from */
	SPEC_WORSE_MIN = 1200,   /* permille of a ratio of incidents */
	SPEC_WORSE_MAX = 100000,
	SPEC_WORSE_CAP_MAX = 8,
};

/* ---- the fleet file */

/** One condition of a selector: the label (or fact) key has one of the values. */
struct fleet_term {
	char key[OTA_NAME_CAP];
	char values[SPEC_VALUES_MAX][OTA_NAME_CAP];
	uint32_t value_count; /* 1 .. SPEC_VALUES_MAX */
};

/** A cohort selects the devices that meet all its terms; without terms: every device. */
struct fleet_cohort {
	char name[OTA_NAME_CAP];
	struct fleet_term labels[SPEC_TERMS_MAX];
	uint32_t label_count;
	struct fleet_term facts[SPEC_TERMS_MAX]; /* keys: product hardware version agent
						  */
	uint32_t fact_count;
};

/** The cohort of devices that are set aside; none of a fleet file may be called so. */
#define FLEET_QUARANTINE_COHORT "quarantine"

/** When a device is set aside. */
struct fleet_quarantine {
	uint64_t failures; /* of updates, soft or hard, within within_s; 0: never */
	uint64_t within_s;
	uint64_t boots; /* in an hour; 0: never */
};

/** The cohorts in their order: a device is in the first that selects it. */
struct fleet_spec {
	char fleet[OTA_NAME_CAP];
	struct fleet_cohort *cohorts; /* owned, cohort_count entries */
	uint32_t cohort_count;        /* 0 .. OTA_COHORTS_MAX */
	struct fleet_quarantine quarantine;
};

/** The facts a selector may name, and how many. */
extern const char *const fleet_fact_keys[];
extern const uint32_t n_fleet_fact_keys;

/** What a fleet file may leave out: 3 failures in 7 days, 12 boots in an hour. */
struct fleet_quarantine fleet_quarantine_default(void);

/** Release the cohorts. Accepts a zeroed struct; leaves one behind. */
void fleet_spec_fini(struct fleet_spec *fleet);

/** The cohort of that name; NULL if there is none. */
const struct fleet_cohort *fleet_spec_find(
	const struct fleet_spec *fleet, const char *cohort);

/* ---- the rollout file */

/* X(NAME, text) how a stage says which devices of its cohort it takes */
#define STAGE_KINDS(X)          \
	X(PERMILLE, "permille") \
	X(COUNT, "count")       \
	X(DEVICES, "devices")

#define STAGE_KIND_ENUM(name, text) STAGE_##name,
enum stage_kind { STAGE_KINDS(STAGE_KIND_ENUM) N_STAGE_KINDS };
#undef STAGE_KIND_ENUM

struct rollout_stage {
	char name[OTA_NAME_CAP];
	char cohort[OTA_NAME_CAP];
	enum stage_kind kind;
	uint64_t permille; /* PERMILLE: 1 .. 1000, of the cohort, cumulative */
	uint64_t count;    /* COUNT: 1 .. SPEC_COUNT_MAX, of the cohort, cumulative */
	char devices[OTA_CANARIES_MAX][OTA_NAME_CAP]; /* DEVICES: named */
	uint32_t device_count;                        /* DEVICES: 1 .. OTA_CANARIES_MAX */
	uint64_t soak_s;
};

/** When a stage has passed. */
struct rollout_gates {
	uint64_t success_permille;  /* of the devices that finished, 1 .. 1000 */
	uint64_t terminal_permille; /* of the devices reached, 1 .. 1000; all below 59 */
	uint64_t p0_ppm, p1_ppm;    /* failure rates of a good and a bad release, p0 < p1
				     */
	uint64_t alpha_ppm, beta_ppm; /* risks of halting a good, passing a bad one */
	uint64_t silence_s;           /* without a word past a deadline: a HARD failure */
	uint64_t worse_permille; /* incidents of updated devices, against the others: so
				  * many times as frequent (3000: thrice) is WORSE; 0:
				  * never */
	uint64_t worse_cap;      /* incidents of one device that count in a stage */
};

/** How long a device may take. */
struct rollout_deadlines {
	uint64_t fetch_s, install_s, prove_s;
};

/** How many devices may be under way at once. Stages of named devices are not paced. */
struct rollout_limits {
	uint64_t in_flight;          /* devices; 0: the share that follows */
	uint64_t in_flight_permille; /* of the fleet, 1 .. 1000; but at least
				      * SPEC_IN_FLIGHT_MIN devices */
	uint64_t rebooting; /* while so many are rebooting or proving, no further one
			     * begins; 0: no limit */
	uint64_t starts_per_minute;     /* 1 .. SPEC_COUNT_MAX */
	uint64_t per_site_permille;     /* of a site's devices, but at least one */
	char site_label[OTA_NAME_CAP];  /* label that names a device's site */
	char group_label[OTA_NAME_CAP]; /* ... and its redundancy group */
};

/** A time in which no stage and no device begins. */
struct rollout_freeze {
	char text[SPEC_FREEZE_CAP];  /* as written */
	uint64_t from_s, to_s;       /* seconds since 1970 UTC; both 0: by the week */
	struct ota_week_window week; /* UTC */
};

/** Whether a device that failed is tried again. A HARD failure never is by itself. */
struct rollout_retry {
	uint64_t soft;           /* further tries after SOFT failures, 0: none */
	uint64_t soft_backoff_s; /* before the first of them */
	uint64_t excused;        /* ... after failures that say nothing of the release */
	uint64_t excused_backoff_s; /* ... */
	uint64_t factor;            /* each wait is so many times the one before */
};

/** What a stage makes of devices that are away. */
struct rollout_offline {
	bool wait;        /* it does not pass before they have come */
	uint64_t after_s; /* it goes on without those away for so long; 0: silence_s */
};

/** How it stands to rollouts that hold one of its cohorts. */
struct rollout_precedence {
	uint64_t priority; /* 0 .. SPEC_PRIORITY_MAX: takes over from lower ones */
	char supersedes[SPEC_SUPERSEDES_MAX][OTA_NAME_CAP]; /* ... and from these */
	uint32_t count;
};

enum rollout_on_halt { ON_HALT_PAUSE, ON_HALT_REVERT };

struct rollout_spec {
	char rollout[OTA_NAME_CAP];
	struct ota_digest release; /* document digest */
	struct rollout_stage stages[SPEC_STAGES_MAX];
	uint32_t stage_count; /* 1 .. SPEC_STAGES_MAX */
	struct rollout_gates gates;
	struct rollout_deadlines deadlines;
	struct ota_window window;
	uint64_t jitter_s;
	enum rollout_on_halt on_halt;
	struct rollout_limits limits;
	struct rollout_freeze freezes[SPEC_FREEZES_MAX];
	uint32_t freeze_count;
	struct rollout_retry retry;
	struct rollout_offline offline;
	struct rollout_precedence precedence;
};

/** Where in a rollout or fleet file a check failed, for "file:line:col". */
struct spec_place {
	const char *list; /* "stages", "cohorts", "gates", "deadlines", "window", "retry",
			     "offline", or "": the top level */
	uint32_t index;   /* of the entry, for stages and cohorts */
	const char *key;  /* the member at fault; "" for the entry as a whole */
};

/** Fill in what a file may leave out: gates 95 % success, 95 % terminal, SPRT 0.5 % / 5 %
 *  with risks of 0.1 %, silence 10 min, three times the incidents, of which 2 of a device
 *  count in a stage; deadlines 6 h, 30 min, 10 min; always open; no
 *  jitter; pause on halt; 2 % of the fleet in flight, 50 starts a minute, 20 % of a site,
 *  labels site and group; 5 more tries after excused failures, 15 min apart, doubling.
 *  Everything else is zeroed. */
void rollout_spec_init(struct rollout_spec *spec);

/** "permille", "count", "devices". */
const char *stage_kind_text(enum stage_kind kind);

/** "pause", "revert". */
const char *rollout_on_halt_text(enum rollout_on_halt on_halt);

/**
 * Check all rules: names, ranges, at least one stage, unique stage names, shares and
 * counts that grow within a cohort, no device named twice, nothing after a whole cohort.
 *
 * fleet   with it, that each cohort is there; NULL: not looked at
 * place   filled on failure; may be NULL
 *
 * Returns OTA_OK, OTA_E_NAME or OTA_E_CONFIG with one sentence ("... did you mean
 * 'lab'?")
 */
OTA_CHECKED enum ota_code rollout_spec_check(const struct rollout_spec *spec,
	const struct fleet_spec *fleet, struct spec_place *place, struct ota_error *err);

/** Check names, facts and that cohorts are unique. As above. */
OTA_CHECKED enum ota_code fleet_spec_check(
	const struct fleet_spec *fleet, struct spec_place *place, struct ota_error *err);

/** The JSON of a rollout, all members present. Owned by the caller; NULL: no memory. */
cJSON *rollout_spec_to_json(const struct rollout_spec *spec);

/** Read it back. All but "rollout", "release" and "stages", and members inside, may be
 *  missing: rollout_spec_init() says what they are then.
 *  Checked as by rollout_spec_check() without a fleet. OTA_OK, its codes, or those of
 *  ota_json_finish(). out is written on success only. */
OTA_CHECKED enum ota_code rollout_spec_from_json(
	const cJSON *json, struct rollout_spec *out, struct ota_error *err);

/** The JSON of a fleet file. Owned by the caller; NULL: no memory. */
cJSON *fleet_spec_to_json(const struct fleet_spec *fleet);

/** Read it back, checked. "labels", "facts" and "quarantine" may be missing. OTA_OK,
 * codes of fleet_spec_check() or ota_json_finish(), OTA_E_NOMEM. out is written on
 * success only; release with fleet_spec_fini(). */
OTA_CHECKED enum ota_code fleet_spec_from_json(
	const cJSON *json, struct fleet_spec *out, struct ota_error *err);

#endif
