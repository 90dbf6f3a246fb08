#ifndef TESTS_UNIT_API_KIT_H
#define TESTS_UNIT_API_KIT_H

/* What the API acts on, whole, for tests of what stands on it: the core of a world in
 * memory, a ledger in a new directory, and the ports around them, without a broker. Its
 * clock stands still until a test moves it. */

#include <uv.h>

#include "orchestrator/port/api.h"
#include "tests/sim/fleet_world.h"

struct api_kit {
	char dir[32];
	uv_loop_t loop;
	struct fw_world *world; /* owned, as all below */
	struct ledger *ledger;
	struct images *images;
	struct patches *patches;
	struct publisher *publisher;
	struct mqtt_in *in;
	struct api api;
};

/** Of this process; begins with api_kit_open(). */
struct api_kit_clock {
	uint64_t mono_ms, utc_s;
	uint64_t each_ms; /* passes whenever somebody looks */
};

extern struct api_kit api_kit;
extern struct api_kit_clock api_kit_clock;

/** Make it, or fail the test. */
void api_kit_open(void);

/** Release everything. */
void api_kit_close(void);

/** Append an entry to the audit log; its seq. */
uint64_t api_kit_audit(const char *action);

/** Begin a rollout of a new release to the cohort lab, with two devices in it; which
 * release. */
struct ota_digest api_kit_rollout(const char *name);

/** Change the ledger's file behind its back. */
void api_kit_sql(const char *sql);

#endif
