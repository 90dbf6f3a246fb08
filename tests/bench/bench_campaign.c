/* How our gates fare beside other rules for halting: false halts, misses, devices harmed.
 * Ours are the real core's. The others watch the same ramp over the same devices and
 * would pause it as soon as they are of that mind; where ours halts first, under a core
 * that is told that all is well. */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "orchestrator/sim/forks.h"
#include "orchestrator/sim/twin.h"

enum { DEVICES = 10000, PPM = 1000000, SOAK_S = 3600, JITTER_S = 600 };

/* ---- rules */

/* X(NAME, text) */
#define RULES(X)                                    \
	X(OURS, "our gates")                        \
	X(OF_ALL, "> 5 % of all targets")           \
	X(OF_EXECUTED, "20 % of at least 100 done") \
	X(WILSON, "Wilson 95 % above 1 %, peeking")

#define RULE_ENUM(name, text) RULE_##name,
enum rule { RULES(RULE_ENUM) N_RULES };
#undef RULE_ENUM

#define RULE_TEXT(name, text) text,
static const char *const rule_texts[] = { RULES(RULE_TEXT) };
#undef RULE_TEXT

struct tally {
	uint32_t done, bad;
};

/* An end of Wilson's interval (1927): the lower one for z < 0, the upper one for z > 0.
 */
static double wilson(double bad, double n, double z)
{
	double p = bad / n;

	return (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) /
	       (1 + z * z / n);
}

static bool says_halt(enum rule rule, const struct tally *t)
{
	switch (rule) {
	case RULE_OF_ALL:
		return t->bad * 20 > DEVICES;
	case RULE_OF_EXECUTED:
		return t->done >= 100 && t->bad * 5 >= t->done;
	case RULE_WILSON:
		return wilson(t->bad, t->done, -1.645) > 0.01;
	case RULE_OURS:
	case N_RULES:
		break;
	}
	return false;
}

/* ---- one run. Every rule watches ours. Where that comes to its end nobody has
 * interfered, and the others have seen what they would have seen alone. Where ours halts
 * it, they get a run of the same seed for themselves. */

struct result {
	bool halted[N_RULES];
	uint32_t harmed[N_RULES];
};

struct watcher {
	struct tally tally;
	struct result *result;
	bool alone; /* without our gates: it ends when all have halted */
};

static bool look(void *ctx, const struct twin_sight *sight)
{
	struct watcher *w = ctx;
	bool all = true;

	w->tally.done++;
	w->tally.bad += sight->bad;
	for (enum rule rule = RULE_OURS + 1; rule < N_RULES; rule++) {
		if (!w->result->halted[rule] && says_halt(rule, &w->tally)) {
			w->result->halted[rule] = true;
			w->result->harmed[rule] = (uint32_t)sight->harmed;
		}
		all = all && w->result->halted[rule];
	}
	return w->alone && all;
}

struct cell {
	struct twin *twin;
	struct twin_odds odds;
	uint64_t seed;
	uint32_t *again; /* owned; runs that the others get for themselves */
	bool alone;
	bool verbose;
};

static enum ota_code play(void *ctx, uint32_t index, void *out, struct ota_error *err)
{
	const struct cell *cell = ctx;
	struct result *result = out;
	struct watcher watcher = { .result = result, .alone = cell->alone };
	const struct twin_watch watch = { &watcher, look, cell->alone };
	uint64_t run = cell->alone ? cell->again[index] : index;
	struct twin_outcome o;
	enum ota_code rc =
		twin_play(cell->twin, &cell->odds, cell->seed + run, &watch, &o, err);

	result->halted[RULE_OURS] = o.state == ROLLOUT_HALTED;
	for (enum rule rule = RULE_OURS; rule < N_RULES; rule++)
		if (rule == RULE_OURS || !result->halted[rule])
			result->harmed[rule] = (uint32_t)o.harmed;
	return rc;
}

static enum ota_code play_all(
	struct cell *cell, uint32_t runs, struct result *results, struct ota_error *err)
{
	const struct forks forks = {
		.ctx = cell, .run = play, .out_len = sizeof(struct result)
	};
	struct result *alone = calloc(runs, sizeof *alone);
	uint32_t count = 0;
	enum ota_code rc;

	cell->alone = false;
	rc = forks_play(&forks, runs, results, err);
	for (uint32_t i = 0; i < runs; i++)
		if (results[i].halted[RULE_OURS])
			cell->again[count++] = i;
	cell->alone = true;
	if (rc == OTA_OK)
		rc = forks_play(&forks, count, alone, err);
	for (uint32_t i = 0; i < count; i++) {
		struct result *to = &results[cell->again[i]];

		alone[i].halted[RULE_OURS] = to->halted[RULE_OURS];
		alone[i].harmed[RULE_OURS] = to->harmed[RULE_OURS];
		*to = alone[i];
	}
	free(alone);
	return rc;
}

/* ---- figures */

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_rule(
	const struct result *results, uint32_t runs, enum rule rule, uint32_t *harmed)
{
	uint64_t sum = 0;
	uint32_t halts = 0;

	for (uint32_t i = 0; i < runs; i++) {
		const struct result *r = &results[i];

		halts += r->halted[rule];
		harmed[i] = r->harmed[rule];
		sum += harmed[i];
	}
	qsort(harmed, runs, sizeof *harmed, by_size);
	printf("  %-32s %6.2f %% (%5.2f - %6.2f) %9.1f %7u %7u\n", rule_texts[rule],
		100.0 * halts / runs, 100 * fmax(0, wilson(halts, runs, -1.96)),
		100 * wilson(halts, runs, 1.96), (double)sum / runs,
		harmed[runs * 95 / 100], harmed[runs - 1]);
}

/* Each run on a line of its own: its seed, and who halted it, with how many harmed. */
static void print_runs(const struct cell *cell, const struct result *results,
	uint32_t runs, const char *what)
{
	for (uint32_t i = 0; i < runs; i++) {
		fprintf(stderr, "%s: seed %" PRIu64 ":", what, cell->seed + i);
		for (enum rule rule = 0; rule < N_RULES; rule++)
			fprintf(stderr, " %d %u", results[i].halted[rule],
				results[i].harmed[rule]);
		fprintf(stderr, "\n");
	}
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int bench(struct cell *cell, uint32_t runs, const char *what)
{
	struct result *results = calloc(runs, sizeof *results);
	uint32_t *harmed = calloc(runs, sizeof *harmed);
	struct ota_error err = { 0 };
	double began = seconds();

	cell->again = calloc(runs, sizeof *cell->again);
	if (play_all(cell, runs, results, &err) != OTA_OK) {
		fprintf(stderr, "bench_campaign: %s\n", err.text);
		return 1;
	}
	printf("%s: %u runs, %.0f s\n", what, runs, seconds() - began);
	printf("  %-32s %8s %-16s %9s %7s %7s\n", "rule", "halts", "(95 % sure)",
		"harmed", "95 %", "worst");
	for (enum rule rule = 0; rule < N_RULES; rule++)
		print_rule(results, runs, rule, harmed);
	printf("\n");
	(void)fflush(stdout);
	if (cell->verbose)
		print_runs(cell, results, runs, what);
	free(cell->again);
	free(harmed);
	free(results);
	return 0;
}

/* ---- the ramp: 5 and 25 by name, 125, 625, 3125, all */

static void add_named(struct rollout_spec *spec, uint32_t from, uint32_t count)
{
	struct rollout_stage *stage = &spec->stages[spec->stage_count++];

	stage->kind = STAGE_DEVICES;
	for (uint32_t i = from; i < from + count; i++)
		(void)snprintf(stage->devices[stage->device_count++], OTA_NAME_CAP,
			"canary-%u", i);
}

static void make_ramp(struct rollout_spec *spec)
{
	rollout_spec_init(spec);
	(void)snprintf(spec->rollout, sizeof spec->rollout, "campaign");
	spec->jitter_s = JITTER_S;
	add_named(spec, 0, 5);
	add_named(spec, 5, 25);
	for (uint64_t count = 125; count <= 3125; count *= 5) {
		spec->stages[spec->stage_count].kind = STAGE_COUNT;
		spec->stages[spec->stage_count++].count = count;
	}
	spec->stages[spec->stage_count].kind = STAGE_PERMILLE;
	spec->stages[spec->stage_count++].permille = OTA_PERMILLE_ALL;
	for (uint32_t i = 0; i < spec->stage_count; i++) {
		struct rollout_stage *stage = &spec->stages[i];

		(void)snprintf(stage->name, sizeof stage->name, "stage-%u", i + 1);
		(void)snprintf(stage->cohort, sizeof stage->cohort, "fleet");
		stage->soak_s = SOAK_S;
	}
}

/* ---- */

static int bench_rate(struct cell *cell, uint32_t runs, const char *percent)
{
	char what[64];

	cell->odds = twin_odds_usual();
	cell->odds.soft_ppm = (uint32_t)lround(strtod(percent, NULL) * PPM / 100);
	(void)snprintf(what, sizeof what, "fails softly at %s %%", percent);
	return bench(cell, runs, what);
}

static int bench_all(struct cell *cell, uint32_t runs, char **rates, int count)
{
	static char usual[][4] = { "0.1", "0.5", "1", "2", "5", "10", "100" };
	int n_usual = (int)(sizeof usual / sizeof usual[0]);
	int status = 0;

	for (int i = 0; status == 0 && i < (count > 0 ? count : n_usual); i++)
		status = bench_rate(cell, runs, count > 0 ? rates[i] : usual[i]);
	if (status != 0 || count > 0)
		return status;
	cell->odds = twin_odds_usual();
	cell->odds.brick_ppm = PPM;
	return bench(cell, runs, "bricks every device (the others are not told)");
}

int main(int argc, char **argv)
{
	static struct rollout_spec spec;
	const struct twin_cohort cohort = { "fleet", DEVICES };
	const struct twin_case c = { &spec, &cohort, 1 };
	struct cell cell = { .seed = 1 };
	uint32_t runs = 400;
	struct ota_error err = { 0 };
	int opt, status;

	while ((opt = getopt(argc, argv, "r:s:v")) != -1) {
		if (opt == 'r')
			runs = (uint32_t)strtoul(optarg, NULL, 10);
		else if (opt == 's')
			cell.seed = strtoull(optarg, NULL, 10);
		else if (opt == 'v')
			cell.verbose = true;
		if (opt == '?' || runs == 0) {
			fprintf(stderr, "usage: bench_campaign [-r RUNS] [-s SEED] [-v] "
					"[PERCENT...]\n");
			return 1;
		}
	}
	make_ramp(&spec);
	if (sodium_init() < 0 || twin_new(&c, &cell.twin, &err) != OTA_OK) {
		fprintf(stderr, "bench_campaign: %s\n", err.text);
		return 1;
	}
	status = bench_all(&cell, runs, argv + optind, argc - optind);
	twin_free(cell.twin);
	return status;
}
