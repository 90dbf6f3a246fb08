#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* Going back is staged, as going forward is. */

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 12, FW_GOOD);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(revert, .init = open_world, .fini = close_world);

static const char three_stages[] =
	"{\"rollout\":\"r-1\",\"stages\":["
	"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":0},"
	"{\"name\":\"few\",\"cohort\":\"fleet\",\"count\":4,\"soak_s\":0},"
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":600}],"
	"\"gates\":{\"silence_s\":60},"
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60}}";

/* Everybody runs 2.0, and the rollout soaks. */
static void all_updated(void)
{
	struct ota_digest release = fw_release(world, "2.0", 2);

	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, three_stages, &release, NULL), OTA_OK);
	while (fw_count_running(world, "2.0") < 14)
		fw_step(world);
	fw_step(world);
	cr_assert(fw_until(world, "r-1", "soaking", 20));
}

static unsigned running(const char *ring, const char *version)
{
	unsigned count = 0;

	for (unsigned i = 0; i < world->device_count; i++)
		count += strncmp(world->devices[i].id, ring, strlen(ring)) == 0 &&
			 strcmp(world->devices[i].report.version, version) == 0;
	return count;
}

static void expect_reason(const char *part)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	cr_expect(strstr(fw_text(tree, "reason"), part) != NULL, "%s",
		fw_text(tree, "reason"));
}

static void expect_share(const char *cohort, uint64_t permille)
{
	struct ota_order order = { 0 };

	cr_assert(fw_order(world, cohort, &order));
	cr_expect_eq(order.state, OTA_ORDER_REVERT);
	cr_expect_eq(order.permille, permille);
}

Test(revert, the_stages_go_back_one_after_the_other)
{
	all_updated();
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	expect_share("lab", 1000);
	expect_share("fleet", 0); /* nobody yet */
	fw_step(world);
	cr_expect_eq(running("lab", "1.0"), 2, "the lab first");
	cr_expect_lt(running("fleet", "1.0"), 12, "then a few");
	cr_expect(fw_until(world, "r-1", "halted", 20));
	cr_expect_eq(fw_count_running(world, "1.0"), 14);
}

Test(revert, at_once_if_people_say_so)
{
	struct core_steer steer = { "r-1", "revert", "burning", true };

	all_updated();
	cr_assert_eq(core_command(world->core, world->now, "ops", &steer, NULL), OTA_OK);
	fw_step(world);
	cr_expect_eq(fw_count_running(world, "1.0"), 14);
}

Test(revert, what_is_left_goes_at_once_if_people_say_so_in_the_middle)
{
	struct core_steer steer = { "r-1", "revert", "burning", true };

	all_updated();
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	cr_expect_eq(fw_steer(world, "r-1", "revert"), OTA_E_CONFLICT, "it is at it");
	fw_step(world);
	cr_assert_eq(core_command(world->core, world->now, "ops", &steer, NULL), OTA_OK);
	fw_step(world);
	cr_expect_eq(fw_count_running(world, "1.0"), 14);
}

Test(revert, a_device_that_cannot_go_back_stops_the_others_from_trying)
{
	struct ota_error err = { 0 };
	struct ota_digest three;

	all_updated();
	fw_device(world, "lab-1")->script = FW_STUCK_BACK;
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	cr_expect(fw_until(world, "r-1", "halted", 20));
	expect_reason("stage lab does not come back: 1 devices failed");
	for (int i = 0; i < 50; i++)
		fw_step(world);
	cr_expect_eq(running("fleet", "2.0"), 12, "they stay");
	three = fw_release(world, "3.0", 3);
	cr_expect_eq(fw_apply(world, three_stages, &three, &err), OTA_E_CONFLICT);
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK, "a person says go on");
	cr_expect(fw_until(world, "r-1", "halted", 40));
	cr_expect_eq(running("fleet", "1.0"), 12);
}

Test(revert, a_device_that_falls_silent_while_it_goes_back_stops_the_others_too)
{
	all_updated();
	fw_device(world, "lab-1")->script = FW_MUTE;
	fw_device(world, "lab-1")->dead =
		true; /* says nothing, and is not seen to leave */
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	cr_expect(fw_until(world, "r-1", "halted", 40));
	expect_reason("1 say nothing");
	cr_expect_eq(running("fleet", "2.0"), 12);
}

Test(revert, a_device_that_was_away_before_holds_nobody_up)
{
	struct fw_device *away;

	all_updated();
	away = fw_device(world, "lab-1");
	away->dead = true;
	fw_connect(world, away);
	fw_step(world);
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	cr_expect(fw_until(world, "r-1", "halted", 80));
	cr_expect_eq(running("fleet", "1.0"), 12);
	away->dead = false;
	fw_connect(world, away);
	fw_step(world);
	cr_expect_eq(running("lab", "1.0"), 2, "it goes back when it comes");
}

Test(revert, devices_that_have_not_confirmed_fall_back_at_once)
{
	struct ota_digest release = fw_release(world, "2.0", 2);

	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, three_stages, &release, NULL), OTA_OK);
	while (running("fleet", "2.0") < 4)
		fw_step(world);
	while (fw_device(world, "fleet-1")->report.state != OTA_UPDATE_INSTALLING &&
		fw_device(world, "fleet-1")->report.state != OTA_UPDATE_CONFIRMED)
		fw_step(world);
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	fw_step(world);
	for (unsigned i = 0; i < world->device_count; i++)
		cr_expect(world->devices[i].report.state != OTA_UPDATE_INSTALLING, "%s",
			world->devices[i].id);
}

Test(revert, a_restart_after_every_call_goes_on_with_the_same_stage)
{
	world->restarts = true;
	all_updated();
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	expect_share("fleet", 0);
	cr_expect(fw_until(world, "r-1", "halted", 40));
	expect_share("fleet", 1000);
	cr_expect_eq(fw_count_running(world, "1.0"), 14);
}

/* ---- the limits hold on the way back, too */

static const char limited[] =
	"{\"rollout\":\"r-1\",\"limits\":{%s},\"stages\":["
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":6000}],"
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60}}";

static void all_updated_within(const char *limits)
{
	struct ota_digest release = fw_release(world, "2.0", 2);
	struct ota_error err = { .text = "" };
	char json[640];

	(void)snprintf(json, sizeof json, limited, limits);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, json, &release, &err), OTA_OK, "%s", err.text);
	for (int i = 0; i < 100 && running("fleet", "2.0") < 12; i++)
		fw_step(world);
	cr_assert(fw_until(world, "r-1", "soaking", 20));
}

/* Those that were told to go back and have not. */
static unsigned going_back(void)
{
	unsigned count = running("fleet", "2.0");

	for (unsigned i = 0; i < world->device_count; i++)
		count -= strcmp(fw_rule(world, world->devices[i].id), "PACE") == 0;
	return count;
}

/* The most that do at any look, until all are back. */
static unsigned most_going_back(void)
{
	unsigned most = going_back();

	for (int i = 0; i < 200 && strcmp(fw_state(world, "r-1"), "halted") != 0; i++) {
		fw_step(world);
		most = going_back() > most ? going_back() : most;
	}
	cr_expect_eq(running("fleet", "1.0"), 12, "and yet all are back");
	return most;
}

Test(revert, no_more_devices_than_the_limit_go_back_together)
{
	all_updated_within("\"in_flight\":3");
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	cr_expect_eq(most_going_back(), 3);
}

Test(revert, starts_are_spread_over_the_minutes_on_the_way_back)
{
	all_updated_within("\"in_flight\":12,\"starts_per_minute\":2");
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	for (unsigned minute = 1; minute <= 5; minute++) {
		for (int i = 0; i < 60 / FW_STEP_S; i++)
			fw_step(world);
		cr_expect_leq(
			running("fleet", "1.0"), 2 * (minute + 1), "minute %u", minute);
	}
	cr_expect_geq(running("fleet", "1.0"), 10);
}

Test(revert, the_limit_holds_through_restarts_on_the_way_back)
{
	all_updated_within("\"in_flight\":3");
	world->restarts = true;
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	cr_expect_leq(most_going_back(), 3);
	cr_expect_gt(world->restart_count, 20);
}

Test(revert, devices_that_fall_silent_on_the_way_back_stop_those_after_them)
{
	all_updated_within("\"in_flight\":3");
	for (unsigned i = 0; i < world->device_count; i++)
		if (strncmp(world->devices[i].id, "fleet", 5) == 0) {
			world->devices[i].script = FW_MUTE;
			world->devices[i].dead = true;
		}
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	cr_expect(fw_until(world, "r-1", "halted", 600));
	expect_reason("12 say nothing");
	expect_reason("3 devices are under way");
}

Test(revert, what_holds_the_next_back_is_told)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	unsigned waiting = 0;

	all_updated_within("\"in_flight\":3");
	for (unsigned i = 0; i < world->device_count; i++)
		world->devices[i].dead = true;
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	fw_step(world);
	fw_step(world);
	tree = core_rollout_json(world->core, world->now, "r-1");
	cr_expect_str_eq(fw_text(tree, "stages.0.hold"), "PACE");
	for (unsigned i = 0; i < world->device_count; i++)
		waiting += strcmp(fw_rule(world, world->devices[i].id), "PACE") == 0;
	cr_expect_eq(waiting, 9, "%u", waiting);
}

static bool is_told(const char *id)
{
	const char *rule = fw_rule(world, id);

	return strcmp(rule, "PACE") != 0 && strcmp(rule, "SITE") != 0 &&
	       strcmp(rule, "GROUP") != 0;
}

/* Ten more devices with label (%u: the number of the pair), all updated, told to go back,
 * and none of them moves. */
static void all_stand_still(const char *label)
{
	struct ota_digest release;
	struct ota_error err = { .text = "" };
	char text[OTA_LABEL_CAP], json[640];

	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(text, sizeof text, "%s-%u", label, i / 2);
		world->label = strncmp(label, "site", 4) == 0 ? label : text;
		(void)snprintf(json, sizeof json, "p%u", i);
		fw_add_devices(world, json, 1, FW_GOOD);
	}
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	(void)snprintf(json, sizeof json, limited, "\"in_flight\":22");
	cr_assert_eq(fw_apply(world, json, &release, &err), OTA_OK, "%s", err.text);
	cr_assert(fw_until(world, "r-1", "soaking", 300));
	for (unsigned i = 0; i < world->device_count; i++)
		world->devices[i].dead = true;
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	for (int i = 0; i < 4; i++)
		fw_step(world);
}

Test(revert, of_a_pair_one_stays_in_service_on_the_way_back)
{
	unsigned told = 0;

	all_stand_still("group=pair");
	for (unsigned i = 0; i < 10; i += 2) {
		bool one = is_told(world->devices[14 + i].id);
		bool other = is_told(world->devices[15 + i].id);

		cr_expect(!one || !other, "pair %u", i / 2);
		told += one || other;
	}
	cr_expect_gt(told, 0);
}

Test(revert, of_a_site_the_share_that_may_goes_back_together)
{
	unsigned told = 0;

	all_stand_still("site=north");
	for (unsigned i = 14; i < world->device_count; i++)
		told += is_told(world->devices[i].id);
	cr_expect_eq(told, 2, "%u of 10, 20 %% may", told);
}

Test(revert, at_once_knows_no_limit)
{
	struct core_steer steer = { "r-1", "revert", "burning", true };

	all_updated_within("\"in_flight\":3");
	cr_assert_eq(core_command(world->core, world->now, "ops", &steer, NULL), OTA_OK);
	fw_step(world);
	cr_expect_eq(running("fleet", "1.0"), 12);
}
