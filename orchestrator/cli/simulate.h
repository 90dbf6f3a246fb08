#ifndef ORCHESTRATOR_CLI_SIMULATE_H
#define ORCHESTRATOR_CLI_SIMULATE_H

/* Playing a rollout through before it begins, for `sluice plan --simulate` and
 * `sluice-sim`: many runs of the digital twin (orchestrator/sim) at given failure rates,
 * and what is to be expected of them. */

#include <cjson/cJSON.h>

#include "orchestrator/sim/twin.h"

enum {
	SIMULATE_RATES_MAX = 16,
	SIMULATE_RUNS_MAX = 100000,
};

/** What people give on the command line; NULL: the default. */
struct simulate_words {
	const char *fail;    /* "2%" or "0.5%,2%,100%": fall back cleanly; those three */
	const char *brick;   /* "0%": never heard of again; none */
	const char *offline; /* "3%": out of reach all the time; none */
	const char *runs;    /* "200" */
	const char *seed;    /* "1" */
};

/** The same, understood. */
struct simulate_plan {
	uint32_t fail_ppm[SIMULATE_RATES_MAX];
	uint32_t fail_count;
	struct twin_odds odds; /* but for soft_ppm */
	uint32_t runs;
	uint64_t seed;
};

/** Read the words. OTA_OK or OTA_E_USAGE with what is wrong. */
OTA_CHECKED enum ota_code simulate_read(const struct simulate_words *words,
	struct simulate_plan *out, struct ota_error *err);

/** Play it, with progress on stderr. The tree is the caller's: its members are told in
 *  orchestrator/sim/README.md. OTA_OK, codes of twin_new() and forks_play(). */
OTA_CHECKED enum ota_code simulate(const struct twin_case *c,
	const struct simulate_plan *plan, cJSON **out, struct ota_error *err);

/** Print that tree for people, on stdout. */
void simulate_print(const cJSON *tree);

#endif
