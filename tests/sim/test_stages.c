#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_world.h"

/* The states of a rollout's stages, as they are shown and stored. */

static struct fw_world *world;

static const char rollout[] =
	"{\"rollout\":\"r-1\",\"stages\":["
	"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":60},"
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":0}]}";

static void open_world(void)
{
	struct ota_digest release;
	struct ota_error err = { .text = "" };

	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 2, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, rollout, &release, &err), OTA_OK, "%s", err.text);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(stages, .init = open_world, .fini = close_world);

static void expect_stages(const char *lab, const char *all)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	cr_expect_str_eq(fw_text(tree, "stages.0.state"), lab, "rollout %s",
		fw_state(world, "r-1"));
	cr_expect_str_eq(fw_text(tree, "stages.1.state"), all, "rollout %s",
		fw_state(world, "r-1"));
}

static void steer(const char *verb)
{
	cr_assert_eq(fw_steer(world, "r-1", verb), OTA_OK);
}

Test(stages, one_after_the_other_they_run_soak_and_pass)
{
	expect_stages("running", "waiting");
	cr_assert(fw_until(world, "r-1", "soaking", 20));
	expect_stages("soaking", "waiting");
	cr_assert(fw_until(world, "r-1", "running", 20));
	expect_stages("passed", "running");
	cr_assert(fw_until(world, "r-1", "completed", 40));
	expect_stages("passed", "passed");
}

Test(stages, a_pause_leaves_a_stage_as_it_is_and_then_it_soaks_once_more)
{
	cr_assert(fw_until(world, "r-1", "soaking", 20));
	fw_step(world);
	steer("pause");
	expect_stages("soaking", "waiting");
	steer("resume");
	cr_assert(fw_until(world, "r-1", "soaking", 2));
	expect_stages("soaking", "waiting");
	cr_assert(fw_until(world, "r-1", "completed", 40));
}

Test(stages, a_halted_one_waits_anew_for_its_patches_and_its_grant)
{
	fw_withdraw(world);
	cr_assert(fw_until(world, "r-1", "halted", 2));
	expect_stages("halted", "waiting");
	fw_restart(world);
	expect_stages("halted", "waiting");
	steer("resume"); /* and it halts again, for the same reason */
	expect_stages("halted", "waiting");
	steer("abort");
	expect_stages("halted", "waiting");
}

static const char *const states[] = { "waiting", "running", "soaking", "passed",
	"halted" };

/* The length of a member that tells a stage's state at *at, which becomes the member that
 * rows had before; 0: there is none. */
static size_t make_old_member(const char *at, struct ota_buf *out)
{
	for (size_t s = 0; s < sizeof states / sizeof states[0]; s++) {
		char member[40];

		(void)snprintf(member, sizeof member, "\"state\":\"%s\"", states[s]);
		if (strncmp(at, member, strlen(member)) != 0)
			continue;
		cr_assert_eq(ota_buf_printf(out, "\"halted\":%s",
				     strcmp(states[s], "halted") == 0 ? "true" : "false"),
			OTA_OK);
		return strlen(member);
	}
	return 0;
}

/* A stored rollout as it was written before stages had states. */
static void make_old(struct fw_row *row)
{
	struct ota_buf old = { 0 };
	const char *at;
	size_t first;

	cr_assert_eq(
		ota_buf_add(&row->value, (struct ota_bytes){ (const uint8_t *)"", 1 }),
		OTA_OK);
	at = (const char *)row->value.at;
	first = (size_t)(strstr(at, "\"runs\"") - at);
	for (size_t i = 0; at[i] != '\0'; i++) {
		i += i > first ? make_old_member(at + i, &old) : 0;
		cr_assert_eq(ota_buf_printf(&old, "%c", at[i]), OTA_OK);
	}
	ota_buf_fini(&row->value);
	row->value = old;
}

static void expect_the_same_from_old_rows(const char *lab, const char *all)
{
	expect_stages(lab, all);
	for (size_t i = 0; i < world->row_count; i++)
		if (world->rows[i].table == CORE_ROLLOUT)
			make_old(&world->rows[i]);
	fw_restart(world);
	expect_stages(lab, all);
}

/* Such a row knows no better: it has to finish and soak in any case. */
Test(stages, an_old_row_of_a_stage_that_was_paused_while_it_soaked_goes_on)
{
	cr_assert(fw_until(world, "r-1", "soaking", 20));
	steer("pause");
	for (size_t i = 0; i < world->row_count; i++)
		if (world->rows[i].table == CORE_ROLLOUT)
			make_old(&world->rows[i]);
	fw_restart(world);
	expect_stages("running", "waiting");
	steer("resume");
	cr_assert(fw_until(world, "r-1", "completed", 60));
}

Test(stages, rows_of_before_stages_had_states_say_the_same)
{
	expect_the_same_from_old_rows("running", "waiting");
	cr_assert(fw_until(world, "r-1", "soaking", 20));
	expect_the_same_from_old_rows("soaking", "waiting");
	cr_assert(fw_until(world, "r-1", "running", 20));
	expect_the_same_from_old_rows("passed", "running");
	fw_withdraw(world);
	expect_the_same_from_old_rows("passed", "halted");
}
