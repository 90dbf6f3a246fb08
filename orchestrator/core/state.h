#ifndef ORCHESTRATOR_CORE_STATE_H
#define ORCHESTRATOR_CORE_STATE_H

/* What the core holds in memory. Private to orchestrator/core. Records are allocated one
 * by one and live until core_free(), so pointers between them stay good. */

#include "orchestrator/core/attempt_states.h"
#include "orchestrator/core/core.h"
#include "orchestrator/core/gate.h"
#include "orchestrator/core/rollout_states.h"
#include "orchestrator/core/spec.h"
#include "orchestrator/core/stage_states.h"
#include "orchestrator/core/worse.h"
#include "proto/wire/trust.h"

enum { CORE_TEXT_CAP = 256, IMAGE_ADVICE_CAP = 512 };

/** A signed document as it came. */
struct stored {
	enum ota_doc_type type;
	char key[OTA_DIGEST_HEX_CAP]; /* "3" for root 3, "" for the catalog, or hex */
	struct ota_digest digest;
	struct ota_buf envelope; /* owned */
};

struct release {
	struct ota_digest digest; /* of the document */
	struct ota_release doc;
};

struct grant {
	struct ota_digest digest; /* of the document */
	struct ota_grant doc;
};

/** A grant that lacks signatures. */
struct approval {
	struct ota_digest digest; /* of the document */
	struct ota_grant doc;
	struct ota_buf envelope; /* owned; verified, signed by operators alone */
};

struct image {
	struct ota_digest digest;
	uint64_t len; /* bytes */
	char advice[IMAGE_ADVICE_CAP];
};

enum patch_state { PATCH_ASKED, PATCH_MADE, PATCH_FAILED };

struct patch {
	struct core_patch made; /* from and to always, the rest once MADE */
	enum patch_state state;
	bool retained; /* the port was told to keep it on the broker */
	char why[CORE_TEXT_CAP];
};

struct changes;
struct device;
struct rollout;
struct survey;

struct attempt {
	struct attempt *older;   /* owned; of the same device */
	struct rollout *rollout; /* borrowed */
	enum attempt_state state;
	enum ota_update_state step; /* on the device, while WORKING */
	enum failure_class class;   /* of FAILED */
	enum ota_code error;        /* of FAILED and EXCUSED */
	char error_text[OTA_ERROR_TEXT_CAP];
	uint64_t offer_boot;            /* boots of the device before it began */
	uint64_t began_s, step_s;       /* took the order; entered this step or state */
	bool waiting;                   /* WORKING, and says what it waits for */
	bool acknowledged;              /* FAILED, and a person said go on */
	bool counted_good, counted_bad; /* by the failure test */
	uint64_t tries;                 /* after the first, that were put off or asked */
	uint64_t told_s;                /* CONFIRMED: to go back; 0: with its stage */
	uint64_t retry_s;               /* RETRYING: when to ask; 0: it was asked */
};

/* What a device refused last. Its reports say so only while it stands, which for a forged
 * order is as long as it takes us to put a newer one in its place. */
struct refusal {
	enum ota_code code; /* OTA_OK: nothing yet */
	uint64_t at_s;
	char text[CORE_TEXT_CAP];
};

enum { QUARANTINE_FAILURES_MAX = 16, QUARANTINE_TEXT_CAP = 96 };

/* How often a device failed and booted of late, and whether it is set aside for that. */
struct quarantine {
	uint64_t since_s; /* 0: it is not */
	char text[QUARANTINE_TEXT_CAP];
	uint64_t failures[QUARANTINE_FAILURES_MAX]; /* when, oldest first */
	uint32_t failure_count;
	uint64_t boots_from, boots_from_s; /* boots at the beginning of the hour; then */
};

enum { HEALTH_INCIDENTS_MAX = 2 * SPEC_WORSE_CAP_MAX };

/* What a device suffered outside of updates: health.h. */
struct health {
	uint64_t incidents[HEALTH_INCIDENTS_MAX]; /* when, oldest first */
	uint32_t count;
	bool pending; /* the last of them is not counted yet; not stored */
};

/** Another key that was presented for an id. */
struct second_key {
	uint64_t at_s; /* 0: none was, or an operator knows of it */
	struct ota_public_key key;
};

struct labels {
	char at[OTA_LABELS_MAX][OTA_LABEL_CAP];
	uint32_t count;
};

enum { TOKEN_ID_CAP = 13 };

/** A claim token. */
struct token {
	char id[TOKEN_ID_CAP];
	struct ota_digest hash; /* of the whole token */
	struct labels labels;   /* of the device that uses it */
	uint64_t expires_s;
	uint64_t used_s;           /* 0: it is not; the rest says what for */
	char device[OTA_NAME_CAP]; /* id */
	struct ota_public_key key;
};

/** A device that waits for its key to be accepted. */
struct claim {
	char id[OTA_NAME_CAP];
	struct ota_public_key key;
	struct labels labels;
	char token[TOKEN_ID_CAP];
	uint64_t claimed_s;
	struct second_key second;

	/* What it said; not stored, the broker retains it. */
	struct ota_buf report; /* owned; envelope, verified with its key */
	bool has_presence;
	struct ota_online presence;
};

struct device {
	char id[OTA_NAME_CAP];
	size_t index; /* in the core's array, as of the last survey that was built */
	struct ota_public_key key;
	char (*labels)[OTA_LABEL_CAP]; /* owned */
	uint32_t label_count;
	char cohort[OTA_NAME_CAP]; /* "" while none selects it */
	uint64_t assign_seq;

	bool online;
	char nonce[33];      /* of the session that said so; "" before the first */
	uint64_t presence_s; /* when online last changed */

	bool reported; /* the fields below hold something */
	uint64_t heard_s;
	struct ota_report report;
	struct ota_digest report_digest; /* of its payload */
	enum ota_code alarm_acked;       /* this refusal was acknowledged */
	struct refusal refused;
	struct quarantine quarantine;
	struct health health;
	struct second_key second;

	struct attempt *attempts; /* owned, newest first */

	/* Bucket under the salt last asked for. */
	bool bucket_known;
	uint8_t salt[OTA_SALT_LEN];
	uint32_t bucket;

	/* The stage that names it, of the rollout last asked for. */
	uint64_t named_for; /* number of the rollout; 0: none yet */
	uint32_t named_by;  /* STAGE_NONE: none does */
};

struct stage_run {
	enum stage_state state;
	uint64_t started_s, soak_from_s, ended_s; /* 0: not yet */
	uint64_t permille;                        /* as decided when it started */
	uint64_t opened;   /* permille open so far, of the cohort */
	uint64_t opened_s; /* when it was opened further last; 0: not yet */
	int64_t llr_micro; /* when it ended */
};

struct rollout {
	uint64_t number; /* 1, 2, ...: later ones go first */
	struct rollout_spec spec;
	const struct release *release; /* borrowed */
	enum rollout_state state;
	uint32_t stage; /* index */
	struct stage_run runs[SPEC_STAGES_MAX];
	int64_t llr_micro;
	struct worse_test worse;
	struct survey *survey; /* owned; survey.h */
	enum ota_code reason;  /* why it stands where it stands; OTA_OK: nothing to say */
	char reason_text[CORE_TEXT_CAP];
	uint64_t created_s, changed_s;
	bool reverted; /* orders to revert are out, or have done their work */
	uint64_t reverting_s;
	uint32_t revert_stage;    /* goes back now; stage_count: everybody may */
	uint64_t revert_step_s;   /* since when */
	uint64_t revert_opened;   /* permille of its cohort that may, so far */
	uint64_t revert_opened_s; /* since when; 0: since it is its turn */

	bool dirty;     /* look at its gate */
	uint64_t due_s; /* look at its gate at the latest; UINT64_MAX: no need */

	/* Of the stage under way, while it is not open as far as it goes. */
	enum ota_code hold; /* what holds its next devices back; OTA_OK: nothing */
	char hold_text[CORE_TEXT_CAP];
	uint64_t look_s; /* try again then */
};

/** The order a cohort is under. */
struct cohort {
	char name[OTA_NAME_CAP];
	uint64_t seq;
	bool ordered;           /* the fields below hold something */
	bool again;             /* issue anew even if nothing changed */
	struct ota_order order; /* as signed */
	struct ota_digest digest;
	struct ota_buf envelope; /* owned */
};

enum { DEADMAN_LOSSES = 3 }; /* of the session, within its time */

/** What the dead-man's switch has seen since the start. */
struct deadman {
	struct core_now before;           /* the call before; utc_s 0: none */
	uint64_t lost_ms[DEADMAN_LOSSES]; /* the last losses, in a ring */
	uint64_t losses;
	uint64_t look_ms; /* count who was heard then */
};

struct loose_row {
	enum core_table table;
	char *key;   /* owned */
	cJSON *tree; /* owned */
};

struct core {
	struct core_port port;
	char fleet[OTA_NAME_CAP];
	bool in_transaction;
	struct core_now now; /* of the call under way */
	struct deadman deadman;

	struct loose_row *rows; /* owned; only between core_load() and core_start() */
	size_t row_count;

	struct ota_trust trust;
	struct ota_catalog *catalog; /* owned; NULL while there is none */
	struct fleet_spec spec;
	struct stored **documents; /* owned arrays of owned records from here on */
	struct release **releases;
	struct grant **grants;
	struct approval **approvals;
	struct image **images;
	struct device **devices; /* sorted by id */
	struct patch **patches;
	struct rollout **rollouts; /* oldest first */
	struct cohort **cohorts;
	struct token **tokens;
	struct claim **claims;
	struct changes *changes; /* owned; of devices: survey.h */
	uint64_t relabelled;     /* times that labels of a device were set */
	size_t document_count, release_count, grant_count, approval_count, image_count,
		device_count, patch_count, rollout_count, cohort_count, token_count,
		claim_count;

	uint64_t fresh_seq;
	uint64_t fresh_issued_s;
	bool fresh_due;          /* what it lists has changed */
	struct ota_fresh *fresh; /* owned; as signed; NULL before core_start() */
	bool orders_due;         /* an order may have changed */
	bool presence_due;       /* somebody came or went */
	bool health_due;         /* a device has an incident that is not counted yet */
	bool patches_due;        /* a source may have come up */
	bool assigns_due;        /* sign all assigns again */
};

#endif
