#ifndef ORCHESTRATOR_CORE_PACE_H
#define ORCHESTRATOR_CORE_PACE_H

/* How far a stage may be opened now. An order opens a share of a cohort in thousandths
 * (buckets), in their order; this decides how many of them, and says what holds back the
 * next. Pure: who stands how comes in, a share goes out. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"
#include "proto/wire/documents.h"

enum { PACE_TEXT_CAP = 192 };

/** No site, no group. */
#define PACE_NOWHERE UINT32_MAX

enum pace_class {
	PACE_WAITING,   /* has not begun, and will once it is open */
	PACE_WORKING,   /* at it, not rebooting */
	PACE_REBOOTING, /* rebooting, proving itself or falling back */
	PACE_FAILED,    /* nobody has acknowledged it */
	PACE_DONE,      /* nothing to do for it, in service unless it is away */
};

/** The class of a device that is at an update, by the step it is at. */
enum pace_class pace_class_of_step(enum ota_update_state step);

/** A device of the fleet. */
struct pace_device {
	enum pace_class class;
	uint32_t bucket; /* 0 .. 999; of those that may be opened */
	uint32_t site;   /* index into sites, or PACE_NOWHERE */
	uint32_t group;  /* index into groups, or PACE_NOWHERE */
	bool mine;       /* of this rollout; others count for their site and group only */
	bool open;       /* the order lets it begin */
	bool away;       /* out of reach */
	bool gone;       /* ... for so long that its group does not count on it */
	bool held;       /* its owner holds it back: not under way before it begins */
	bool recent;     /* began within the last minute */
};

struct pace_limits {
	uint64_t in_flight;         /* devices under way, at least 1 */
	uint64_t rebooting;         /* 0: no limit */
	uint64_t starts;            /* within a minute, at least 1 */
	uint64_t per_site_permille; /* of its devices, at least one device */
};

struct pace_case {
	struct pace_limits limits;
	uint32_t opened;                   /* permille open now */
	uint32_t upto;                     /* permille of the stage, not below opened */
	const struct pace_device *devices; /* borrowed: whoever counts for anything */
	size_t count;
	const char *const *sites; /* borrowed: their names, for the text */
	uint32_t site_count;
	const char *const *groups; /* borrowed */
	uint32_t group_count;
};

struct pace_verdict {
	uint32_t permille;        /* opened .. upto: what may be open now */
	enum ota_code code;       /* OTA_OK if that is all; or PACE, SITE, GROUP */
	char text[PACE_TEXT_CAP]; /* what holds the next bucket back, with numbers */
	uint32_t in_flight; /* once that is open: under way, or may begin any moment */
};

/**
 * Decide.
 *
 * Buckets are opened one after another while all of their devices fit:
 *   PACE   in_flight: those that are open and have not begun, and those at work
 *          starts: those that began within a minute, and those that may any moment
 *          rebooting: nothing is opened while so many are
 *   SITE   share of a site's devices under way
 *   GROUP  one device of the group stays in service: neither away, at work, failed nor
 *          about to begin; a group of one knows no limit
 * Devices of one bucket begin together. A bucket that is over a limit by itself is opened
 * alone, while nothing counts against that limit; a group is never taken whole. A device
 * that is away counts against its group only. Costs O(devices).
 */
struct pace_verdict pace_judge(const struct pace_case *c);

/** Devices under way, or that may begin any moment. Costs O(devices). */
uint64_t pace_in_flight(const struct pace_case *c);

#endif
