#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/sim/forks.h"
#include "orchestrator/sim/twin.h"

/* The digital twin: what it says of a rollout that is good, bad, silent or watched. */

enum { PPM = 1000000, FLEET = 400 };

static struct rollout_spec spec;
static const struct twin_cohort cohorts[] = { { "lab", 5 }, { "fleet", FLEET } };
static const struct twin_case two_cohorts = { &spec, cohorts, 2 };

static void add_stage(const char *cohort, enum stage_kind kind, uint64_t size)
{
	struct rollout_stage *stage = &spec.stages[spec.stage_count++];

	(void)snprintf(stage->name, sizeof stage->name, "s%u", spec.stage_count);
	(void)snprintf(stage->cohort, sizeof stage->cohort, "%s", cohort);
	stage->kind = kind;
	stage->soak_s = 600;
	if (kind == STAGE_COUNT)
		stage->count = size;
	else
		stage->permille = size;
}

static void make_ramp(void)
{
	rollout_spec_init(&spec);
	(void)snprintf(spec.rollout, sizeof spec.rollout, "ramp");
	add_stage("lab", STAGE_PERMILLE, 1000);
	add_stage("fleet", STAGE_COUNT, 25);
	add_stage("fleet", STAGE_PERMILLE, 1000);
}

TestSuite(twin, .init = make_ramp);

static struct twin_outcome played(
	const struct twin_odds *odds, uint64_t seed, const struct twin_watch *watch)
{
	struct twin_outcome out = { 0 };
	struct twin *twin = NULL;
	struct ota_error err = { 0 };

	cr_assert_eq(twin_new(&two_cohorts, &twin, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(
		twin_play(twin, odds, seed, watch, &out, &err), OTA_OK, "%s", err.text);
	twin_free(twin);
	return out;
}

Test(twin, a_good_release_reaches_everybody)
{
	const struct twin_odds odds = twin_odds_usual();
	const struct twin_outcome out = played(&odds, 1, NULL);

	cr_expect_eq(out.state, ROLLOUT_COMPLETED, "%s", out.text);
	cr_expect_eq(out.stage, 2);
	cr_expect_eq(out.updated, FLEET + 5);
	cr_expect_eq(out.harmed, 0);
	cr_expect_geq(out.elapsed_s, 3 * 600, "three soaks");
}

Test(twin, the_same_seed_plays_the_same_run_and_another_one_does_not)
{
	struct twin_odds odds = twin_odds_usual();
	struct twin_outcome a, b, c;

	odds.soft_ppm = PPM / 50;
	a = played(&odds, 7, NULL);
	b = played(&odds, 7, NULL);
	c = played(&odds, 8, NULL);
	cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
	cr_expect_neq(memcmp(&a, &c, sizeof a), 0);
}

Test(twin, a_release_that_bricks_everything_harms_the_first_stage_alone)
{
	struct twin_odds odds = twin_odds_usual();
	struct twin_outcome out;

	odds.brick_ppm = PPM;
	out = played(&odds, 1, NULL);
	cr_expect_eq(out.state, ROLLOUT_HALTED);
	cr_expect_eq(out.stage, 0);
	cr_expect_eq(out.reason, OTA_E_HARD, "%s", out.text);
	cr_expect_geq(out.bricked, 1);
	cr_expect_leq(out.bricked, 5);
}

Test(twin, a_bad_release_halts_and_says_why)
{
	struct twin_odds odds = twin_odds_usual();
	struct twin_outcome out;

	odds.soft_ppm = PPM;
	out = played(&odds, 1, NULL);
	cr_expect_eq(out.state, ROLLOUT_HALTED);
	cr_expect_eq(out.stage, 0);
	cr_expect_leq(out.harmed, 5);
	cr_expect_eq(out.updated, 0);
	cr_expect(strstr(out.text, "stage s1") != NULL, "%s", out.text);
}

Test(twin, devices_that_are_away_are_not_waited_for)
{
	struct twin_odds odds = twin_odds_usual();
	struct twin_outcome out;

	odds.offline_ppm = PPM / 5;
	out = played(&odds, 1, NULL);
	cr_expect_eq(out.state, ROLLOUT_COMPLETED, "%s", out.text);
	cr_expect_lt(out.updated, FLEET);
	cr_expect_eq(out.exposed, out.updated);
}

static bool stop_at_ten(void *ctx, const struct twin_sight *sight)
{
	(void)ctx;
	return sight->harmed >= 10;
}

Test(twin, who_watches_blindly_ends_what_the_gates_would_have_ended_before)
{
	const struct twin_watch watch = { NULL, stop_at_ten, true };
	struct twin_odds odds = twin_odds_usual();
	struct twin_outcome out;

	odds.soft_ppm = PPM / 2;
	out = played(&odds, 1, &watch);
	cr_expect_eq(out.state, ROLLOUT_RUNNING);
	cr_expect_geq(out.harmed, 10);
	cr_expect_lt(out.harmed, 30);
}

Test(twin, a_stage_of_an_unknown_cohort_is_refused)
{
	struct twin *twin = NULL;
	struct ota_error err = { 0 };

	add_stage("flet", STAGE_PERMILLE, 1000);
	cr_expect_eq(twin_new(&two_cohorts, &twin, &err), OTA_E_USAGE);
	cr_expect_str_eq(err.text, "stage s4: there is no cohort 'flet'");
	cr_expect_null(twin);
}

/* ---- many runs */

static enum ota_code square(void *ctx, uint32_t index, void *out, struct ota_error *err)
{
	uint32_t *bad = ctx;

	*(uint32_t *)out = index * index;
	return index == *bad ? ota_fail(err, OTA_E_LIMIT, "no more") : OTA_OK;
}

Test(forks, results_come_back_in_order)
{
	uint32_t none = UINT32_MAX, out[20] = { 0 };
	const struct forks forks = {
		.ctx = &none, .run = square, .out_len = sizeof out[0], .at_once = 3
	};

	cr_assert_eq(forks_play(&forks, 20, out, NULL), OTA_OK);
	for (uint32_t i = 0; i < 20; i++)
		cr_expect_eq(out[i], i * i);
}

Test(forks, the_first_run_that_fails_is_told)
{
	uint32_t bad = 4, out[20] = { 0 };
	struct ota_error err = { 0 };
	const struct forks forks = {
		.ctx = &bad, .run = square, .out_len = sizeof out[0], .at_once = 2
	};

	cr_expect_eq(forks_play(&forks, 20, out, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "run 4: no more");
}

static enum ota_code give_up(void *ctx, uint32_t index, void *out, struct ota_error *err)
{
	(void)ctx;
	(void)index;
	(void)out;
	(void)err;
	_exit(3);
}

Test(forks, a_run_that_ends_by_itself_is_told)
{
	uint32_t out[2];
	struct ota_error err = { 0 };
	const struct forks forks = { .run = give_up, .out_len = sizeof out[0] };

	cr_expect_eq(forks_play(&forks, 2, out, &err), OTA_E_IO);
	cr_expect_str_eq(err.text, "run 0 ended by itself");
}
