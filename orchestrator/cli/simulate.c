#include "orchestrator/cli/simulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli/output.h"
#include "orchestrator/cli/tree.h"
#include "orchestrator/sim/forks.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

enum { PPM = 1000000, PPM_OF_PERCENT = 10000, RUNS_USUAL = 200, PERMILLE = 1000 };

/* ---- reading words */

/* "2%", "2", "0.5%"; end: behind it. */
static OTA_CHECKED enum ota_code read_rate(const char *option, const char *text,
	const char **end, uint32_t *ppm, struct ota_error *err)
{
	char *stop;
	double percent;

	errno = 0;
	percent = strtod(text, &stop);
	if (text[0] < '0' || text[0] > '9' || errno != 0 || percent > 100)
		return ota_fail(err, OTA_E_USAGE,
			"--%s is a rate from 0%% to 100%%, not '%s'", option, text);
	*ppm = (uint32_t)(percent * PPM_OF_PERCENT + 0.5);
	*end = stop + (*stop == '%');
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_one(
	const char *option, const char *text, uint32_t *ppm, struct ota_error *err)
{
	const char *end = text;
	enum ota_code rc;

	if (text == NULL)
		return OTA_OK;
	rc = read_rate(option, text, &end, ppm, err);
	if (rc == OTA_OK && *end != '\0')
		rc = ota_fail(err, OTA_E_USAGE,
			"--%s is a rate from 0%% to 100%%, not '%s'", option, text);
	return rc;
}

static OTA_CHECKED enum ota_code read_rates(
	const char *text, struct simulate_plan *out, struct ota_error *err)
{
	const char *at = text != NULL ? text : "0.5%,2%,5%,100%";

	for (;;) {
		enum ota_code rc;

		if (out->fail_count == SIMULATE_RATES_MAX)
			return ota_fail(err, OTA_E_USAGE, "--fail takes up to %d rates",
				SIMULATE_RATES_MAX);
		rc = read_rate("fail", at, &at, &out->fail_ppm[out->fail_count++], err);
		if (rc != OTA_OK || *at == '\0')
			return rc;
		if (*at++ != ',')
			return ota_fail(err, OTA_E_USAGE,
				"--fail is rates with commas between them, not '%s'",
				text);
	}
}

static OTA_CHECKED enum ota_code read_count(const char *option, const char *text,
	uint64_t max, uint64_t *out, struct ota_error *err)
{
	char *end;
	unsigned long long value;

	if (text == NULL)
		return OTA_OK;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > max)
		return ota_fail(err, OTA_E_USAGE,
			"--%s is a whole number up to %llu, not '%s'", option,
			(unsigned long long)max, text);
	*out = value;
	return OTA_OK;
}

enum ota_code simulate_read(const struct simulate_words *words, struct simulate_plan *out,
	struct ota_error *err)
{
	struct simulate_plan plan = { .odds = twin_odds_usual(), .seed = 1 };
	uint64_t runs = RUNS_USUAL;
	enum ota_code rc = read_rates(words->fail, &plan, err);

	if (rc == OTA_OK)
		rc = read_one("brick", words->brick, &plan.odds.brick_ppm, err);
	if (rc == OTA_OK)
		rc = read_one("offline", words->offline, &plan.odds.offline_ppm, err);
	if (rc == OTA_OK)
		rc = read_count("runs", words->runs, SIMULATE_RUNS_MAX, &runs, err);
	if (rc == OTA_OK)
		rc = read_count("seed", words->seed, UINT64_MAX, &plan.seed, err);
	if (rc == OTA_OK && runs == 0)
		rc = ota_fail(err, OTA_E_USAGE, "--runs is at least 1");
	plan.runs = (uint32_t)runs;
	if (rc == OTA_OK)
		*out = plan;
	return rc;
}

/* ---- playing */

struct job {
	struct twin *twin;
	struct twin_odds odds;
	uint64_t seed;
	struct progress_bar bar;
	uint32_t before, all; /* runs of the rates before this one, and altogether */
};

static enum ota_code play(void *ctx, uint32_t index, void *out, struct ota_error *err)
{
	struct job *job = ctx;

	return twin_play(job->twin, &job->odds, job->seed + index, NULL, out, err);
}

static void count_run(void *ctx, uint32_t index, uint32_t runs)
{
	struct job *job = ctx;

	(void)runs;
	(void)progress_tick(&job->bar, job->before + index + 1, job->all);
}

/* ---- figures */

struct figures {
	const struct twin_outcome *runs; /* borrowed */
	uint32_t count;
	uint64_t *values; /* owned, count entries: for sorting */
};

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Sort one member of all runs. */
static void sort_member(struct figures *f, size_t member)
{
	for (uint32_t i = 0; i < f->count; i++)
		memcpy(&f->values[i], (const char *)&f->runs[i] + member,
			sizeof f->values[i]);
	qsort(f->values, f->count, sizeof *f->values, by_size);
}

static uint64_t mean_milli(const struct figures *f)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < f->count; i++)
		sum += f->values[i];
	return sum * PERMILLE / f->count;
}

static void add_spread(cJSON *tree, struct figures *f, const char *name, size_t member)
{
	cJSON *spread = cJSON_AddObjectToObject(tree, name);

	sort_member(f, member);
	ota_json_add_u64(spread, "mean_milli", mean_milli(f));
	ota_json_add_u64(spread, "median", f->values[f->count / 2]);
	ota_json_add_u64(spread, "most_of_95", f->values[(uint64_t)f->count * 95 / 100]);
	ota_json_add_u64(spread, "worst", f->values[f->count - 1]);
}

static uint32_t count_in(const struct figures *f, enum rollout_state state)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < f->count; i++)
		count += f->runs[i].state == state;
	return count;
}

static bool has_halted(const struct twin_outcome *run)
{
	return run->state == ROLLOUT_HALTED || run->state == ROLLOUT_REVERTING;
}

static void add_stages(
	cJSON *tree, const struct figures *f, const struct rollout_spec *spec)
{
	cJSON *list = cJSON_AddArrayToObject(tree, "halted_in");

	for (uint32_t s = 0; s < spec->stage_count; s++) {
		cJSON *stage = cJSON_CreateObject();
		const char *text = "";
		uint32_t halts = 0;

		for (uint32_t i = 0; i < f->count; i++)
			if (has_halted(&f->runs[i]) && f->runs[i].stage == s) {
				halts++;
				text = f->runs[i].text;
			}
		cJSON_AddStringToObject(stage, "name", spec->stages[s].name);
		ota_json_add_u64(stage, "runs", halts);
		cJSON_AddStringToObject(stage, "example", text);
		cJSON_AddItemToArray(list, stage);
	}
}

static cJSON *case_tree(
	const struct job *job, struct figures *f, const struct rollout_spec *spec)
{
	cJSON *tree = cJSON_CreateObject();
	uint32_t halts = 0;

	for (uint32_t i = 0; i < f->count; i++)
		halts += has_halted(&f->runs[i]);
	ota_json_add_u64(tree, "fail_ppm", job->odds.soft_ppm);
	ota_json_add_u64(tree, "brick_ppm", job->odds.brick_ppm);
	ota_json_add_u64(tree, "offline_ppm", job->odds.offline_ppm);
	ota_json_add_u64(tree, "halted", halts);
	ota_json_add_u64(tree, "completed", count_in(f, ROLLOUT_COMPLETED));
	add_spread(tree, f, "harmed", offsetof(struct twin_outcome, harmed));
	add_spread(tree, f, "bricked", offsetof(struct twin_outcome, bricked));
	add_spread(tree, f, "updated", offsetof(struct twin_outcome, updated));
	add_spread(tree, f, "at_once", offsetof(struct twin_outcome, flying_max));
	add_spread(tree, f, "elapsed_s", offsetof(struct twin_outcome, elapsed_s));
	add_stages(tree, f, spec);
	return tree;
}

static OTA_CHECKED enum ota_code play_rate(struct job *job, const struct twin_case *c,
	struct figures *f, cJSON *cases, struct ota_error *err)
{
	const struct forks forks = { .ctx = job,
		.run = play,
		.done = count_run,
		.out_len = sizeof(struct twin_outcome) };
	ota_autofree struct twin_outcome *runs = calloc(f->count, sizeof *runs);
	enum ota_code rc;

	if (runs == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%u runs", f->count);
	rc = forks_play(&forks, f->count, runs, err);
	f->runs = runs;
	if (rc == OTA_OK)
		cJSON_AddItemToArray(cases, case_tree(job, f, c->spec));
	job->before += f->count;
	return rc;
}

static OTA_CHECKED enum ota_code play_rates(struct job *job, const struct twin_case *c,
	const struct simulate_plan *plan, cJSON *tree, struct ota_error *err)
{
	struct figures f = { .count = plan->runs };
	ota_autofree uint64_t *values = calloc(plan->runs, sizeof *values);
	cJSON *cases = cJSON_AddArrayToObject(tree, "cases");
	enum ota_code rc = OTA_OK;

	if (values == NULL || cases == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%u runs", plan->runs);
	f.values = values;
	for (uint32_t i = 0; rc == OTA_OK && i < plan->fail_count; i++) {
		job->odds = plan->odds;
		job->odds.soft_ppm = plan->fail_ppm[i];
		rc = play_rate(job, c, &f, cases, err);
	}
	return rc;
}

enum ota_code simulate(const struct twin_case *c, const struct simulate_plan *plan,
	cJSON **out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	struct job job = { .seed = plan->seed, .all = plan->runs * plan->fail_count };
	enum ota_code rc;

	progress_begin(&job.bar, "simulating");
	rc = twin_new(c, &job.twin, err);
	if (rc != OTA_OK)
		return rc;
	cJSON_AddStringToObject(tree, "rollout", c->spec->rollout);
	ota_json_add_u64(tree, "devices", twin_devices(job.twin));
	ota_json_add_u64(tree, "runs", plan->runs);
	ota_json_add_u64(tree, "seed", plan->seed);
	rc = play_rates(&job, c, plan, tree, err);
	progress_end(&job.bar);
	twin_free(job.twin);
	if (rc == OTA_OK)
		*out = ota_take(&tree);
	return rc;
}

/* ---- for people */

static double percent(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

/* The stage that most halts are in. */
static const cJSON *likeliest(const cJSON *one)
{
	const cJSON *best = NULL, *stage;

	cJSON_ArrayForEach(stage, tree_item(one, "halted_in"))
	{
		uint64_t runs = tree_number(stage, "runs");

		if (runs > 0 && (best == NULL || runs > tree_number(best, "runs")))
			best = stage;
	}
	return best;
}

static void print_case(struct table *table, const cJSON *one, uint64_t runs)
{
	const cJSON *harmed = tree_item(one, "harmed"), *stage = likeliest(one);
	char time[32];

	table_row(table);
	table_cell(table, "%g %%", (double)tree_number(one, "fail_ppm") / PPM_OF_PERCENT);
	table_cell(table, "%.1f", (double)tree_number(harmed, "mean_milli") / PERMILLE);
	table_cell(table, "%llu", (unsigned long long)tree_number(harmed, "most_of_95"));
	table_cell(table, "%llu", (unsigned long long)tree_number(harmed, "worst"));
	table_cell(table, "%.1f",
		(double)tree_number(tree_item(one, "bricked"), "mean_milli") / PERMILLE);
	table_cell(table, "%.1f %%", percent(tree_number(one, "halted"), runs));
	if (stage != NULL)
		table_cell(table, "%s (%.0f %%)", tree_text(stage, "name"),
			percent(tree_number(stage, "runs"), runs));
	else
		table_cell(table, "-");
	table_cell(table, "%s",
		output_duration(
			tree_number(tree_item(one, "elapsed_s"), "median"), time));
}

void simulate_print(const cJSON *tree)
{
	static const char *const headings[] = { "FAILURE RATE", "DEVICES HARMED", "95 %",
		"WORST", "BRICKED", "HALTS", "MOST OFTEN IN", "TIME", NULL };
	struct table *table = table_new(headings);
	uint64_t runs = tree_number(tree, "runs");
	const cJSON *one;

	printf("Rollout %s, played %llu times with %llu devices (seed %llu):\n\n",
		tree_text(tree, "rollout"), (unsigned long long)runs,
		(unsigned long long)tree_number(tree, "devices"),
		(unsigned long long)tree_number(tree, "seed"));
	cJSON_ArrayForEach(one, tree_item(tree, "cases")) print_case(table, one, runs);
	table_print(table);
	cJSON_ArrayForEach(one, tree_item(tree, "cases"))
	{
		const cJSON *stage = likeliest(one);

		if (stage != NULL)
			printf("\nAt %g %%, for example: %s.",
				(double)tree_number(one, "fail_ppm") / PPM_OF_PERCENT,
				tree_text(stage, "example"));
	}
	printf("\n");
}
