#ifndef ORCHESTRATOR_CORE_GATE_H
#define ORCHESTRATOR_CORE_GATE_H

/* The gate of a stage: numbers in, verdict out. Nothing here knows devices or time.
 *
 * Failure test: Wald's sequential probability ratio test of "the release fails at p0"
 * against "at p1". A failure moves the log likelihood ratio up by ln(p1/p0), a success
 * down by ln((1-p0)/(1-p1)); at ln((1-beta)/alpha) the release is bad. It is held above
 * the negative of that, so that a long good past cannot hide a sudden fault. */

#include "orchestrator/core/spec.h"
#include "orchestrator/core/worse.h"

enum {
	GATE_SMALL_WAVE = 125, /* devices: in a wave up to this one HARD failure halts */
	GATE_HARD_MAX = 3,     /* HARD failures that halt a larger wave */
	GATE_ALL_BELOW = 59,   /* devices: a smaller wave must finish as a whole */
	GATE_TEXT_CAP = 256,
};

/* The test's state is in millionths of a nat. Steps are whole numbers, so what is stored
 * and loaded again is what was. */

/** After one more failure. */
int64_t gate_llr_fail(const struct rollout_gates *gates, int64_t llr_micro);

/** After one more success. */
int64_t gate_llr_pass(const struct rollout_gates *gates, int64_t llr_micro);

/** At or above this the release has failed the test. */
int64_t gate_llr_halt(const struct rollout_gates *gates);

/** The devices of a stage, each counted in one of the first eight. */
struct gate_counts {
	uint32_t pending;   /* within reach, has not begun */
	uint32_t offline;   /* has not begun and is out of reach */
	uint32_t working;   /* under way */
	uint32_t confirmed; /* success */
	uint32_t soft;      /* failed softly */
	uint32_t hard;      /* failed hard */
	uint32_t reverted;  /* back on its old image by order */
	uint32_t excused;   /* failed for a reason that says nothing of the release, or
			       its failure was acknowledged */
	uint32_t alarms;    /* devices that refused documents as forged */
};

struct gate_case {
	const struct rollout_gates *gates;
	const char *stage; /* its name, for the sentence */
	struct gate_counts counts;
	uint32_t rollout_hard; /* HARD failures of the whole rollout, unacknowledged */
	uint32_t rollout_soft; /* SOFT ones */
	uint32_t rollout_confirmed;
	uint32_t rollout_aside; /* in quarantine, before they came to a good end */
	int64_t llr_micro;
	struct worse_test worse;
};

enum gate_move { GATE_WAIT, GATE_PASS, GATE_HALT };

struct gate_verdict {
	enum gate_move move;
	enum ota_code code;       /* GATE while waiting; HARD, FAILURES, SUCCESS or
				   * WORSE on halt */
	char text[GATE_TEXT_CAP]; /* one sentence */
};

/** The devices of a stage. */
uint32_t gate_wave(const struct gate_counts *counts);

/** Judge a stage, soak apart. */
struct gate_verdict gate_judge(const struct gate_case *c);

/** Only whether it must halt: true and *verdict. For stages that have not begun. */
bool gate_must_halt(const struct gate_case *c, struct gate_verdict *verdict);

/** The smallest failure rate, permille, that n devices without a failure rule out with
 *  95 % confidence: 1 - 0.05^(1/n). 1000 for none. */
uint32_t gate_detects_permille(uint32_t devices);

/* X(NAME, text) how a failure on a device counts */
#define FAILURE_CLASSES(X)    \
	X(NONE, "none")       \
	X(EXCUSED, "excused") \
	X(SOFT, "soft")       \
	X(HARD, "hard")

#define FAILURE_CLASS_ENUM(name, text) FAILURE_##name,
enum failure_class { FAILURE_CLASSES(FAILURE_CLASS_ENUM) N_FAILURE_CLASSES };
#undef FAILURE_CLASS_ENUM

/** The class of an update that ended with this code. OTA_OK: SOFT, a failure without a
 *  reason. */
enum failure_class failure_class_of(enum ota_code code);

/** "none", "excused", "soft", "hard". */
const char *failure_class_text(enum failure_class class);

/** True if the device cannot take the release, through no fault of the release: the gate
 *  goes on without it. */
bool failure_is_inability(enum ota_code code);

/** True if the device would not take a document, a patch or a release. */
bool failure_is_refusal(enum ota_code code);

/** True for a refusal that means somebody forged or replayed documents. */
bool failure_is_alarm(enum ota_code code);

#endif
