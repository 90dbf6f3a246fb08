#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* What a plan says of the time a rollout takes, of what it changes, and of what its
 * comparison with the others can find. */

enum { DEVICES = 41, HOUR_S = 3600, DAY_S = 86400 };

static struct fw_world *world;
static struct ota_digest release;
static cJSON *answer; /* of the last plan */

#define ALL "\"stages\":[{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000}]"
#define THREE                                                                        \
	"\"stages\":[{\"name\":\"one\",\"cohort\":\"fleet\",\"devices\":"            \
	"[\"fleet-1\"],\"soak_s\":7200},"                                            \
	"{\"name\":\"half\",\"cohort\":\"fleet\",\"permille\":500,\"soak_s\":3600}," \
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000}]"

static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "fleet", DEVICES, FW_GOOD);
	release = fw_release(world, "2.0", 2);
}

static void close_world(void)
{
	cJSON_Delete(answer);
	fw_close(world);
}

TestSuite(plan, .init = open_world, .fini = close_world);

static void plan(const char *members)
{
	OTA_AUTO(ota_json_fini) cJSON *spec = NULL;
	struct ota_error err = { .text = "" };
	char json[1024], hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&release, hex);
	(void)snprintf(json, sizeof json, "{\"rollout\":\"r-1\",\"release\":\"%s\",%s}",
		hex, members);
	cr_assert_eq(ota_json_parse(ota_bytes_of(json), false, &spec, &err), OTA_OK);
	cJSON_Delete(answer);
	answer = NULL;
	cr_assert_eq(core_plan_json(world->core, world->now, spec, &answer, &err), OTA_OK,
		"%s", err.text);
}

static uint64_t number(const char *path)
{
	return fw_number(answer, path);
}

static const char *text(const char *path)
{
	return fw_text(answer, path);
}

static void apply(const char *members)
{
	struct ota_error err = { .text = "" };
	char json[1024];

	(void)snprintf(json, sizeof json, "{\"rollout\":\"r-1\",%s}", members);
	cr_assert_eq(fw_apply(world, json, &release, &err), OTA_OK, "%s", err.text);
}

/* ---- time */

Test(plan, a_stage_takes_as_long_as_so_many_at_once_and_so_many_a_minute_let_it)
{
	plan(ALL);
	cr_expect_eq(number("time.measured"), 0);
	cr_expect_eq(number("stages.0.least_s"), 8 * 180 + 180, "5 at once, 180 s each");
	plan(ALL ",\"limits\":{\"in_flight\":41}");
	cr_expect_eq(number("stages.0.least_s"), 48 + 180, "50 a minute");
	plan(ALL ",\"limits\":{\"in_flight\":41,\"starts_per_minute\":1}");
	cr_expect_eq(number("stages.0.least_s"), 40 * 60 + 180, "one a minute");
	cr_expect_geq(number("stages.0.most_s"), number("stages.0.least_s"));
}

Test(plan, soaks_are_part_of_it_and_named_devices_begin_at_once)
{
	plan(THREE);
	cr_expect_eq(number("stages.0.least_s"), 7200 + 180);
	cr_expect_eq(number("time.least_s"), number("stages.0.least_s") +
						     number("stages.1.least_s") +
						     number("stages.2.least_s"));
}

Test(plan, what_updates_took_before_says_more_than_an_assumption)
{
	fw_grant(world, &release, 1000, NULL);
	apply(ALL);
	cr_assert(fw_until(world, "r-1", "completed", 200));
	release = fw_release(world, "3.0", 3);
	plan("\"stages\":[{\"name\":\"one\",\"cohort\":\"fleet\",\"devices\":"
	     "[\"fleet-1\"]}],\"supersedes\":[]");
	cr_expect_eq(number("time.measured"), DEVICES);
	cr_expect_gt(number("time.device_s"), 0);
	cr_expect_lt(number("time.device_s"), 120);
	cr_expect_eq(number("stages.0.least_s"), number("time.device_s"));
}

Test(plan, a_window_may_have_just_closed_and_many_devices_need_many_nights)
{
	plan(ALL ",\"window\":{\"from_min\":60,\"to_min\":120}");
	cr_expect_eq(number("stages.0.least_s"), 9 * 180);
	cr_expect_geq(number("stages.0.most_s"), 23 * HOUR_S + 9 * 180);
	plan(ALL ",\"window\":{\"from_min\":60,\"to_min\":61},\"limits\":{\"in_flight\":"
		 "41,\"starts_per_minute\":10}");
	cr_expect_eq(number("stages.0.least_s"), 240 + 4 * (DAY_S - 60) + 180,
		"four minutes: four more nights");
}

/* The world begins on a Friday at 08:00. */
Test(plan, a_freeze_is_waited_for)
{
	plan(ALL ",\"limits\":{\"in_flight\":41},\"freeze\":[\"fri 07:00-09:00\"]");
	cr_expect_geq(number("time.least_s"), HOUR_S / 2 + 48 + 180);
	cr_expect_leq(number("time.least_s"), HOUR_S + 48 + 180);
}

Test(plan, who_is_away_is_waited_for_and_perhaps_for_ever)
{
	uint64_t before;

	plan(ALL);
	before = number("time.most_s");
	fw_device(world, "fleet-1")->dead = true;
	fw_connect(world, fw_device(world, "fleet-1"));
	plan(ALL);
	cr_expect_eq(number("time.most_s"), before + 600);
	plan(ALL ",\"offline\":{\"wait\":true}");
	cr_expect_eq(number("time.most_s"), 0);
	cr_expect_gt(number("time.least_s"), 0);
}

/* ---- what is sent */

Test(plan, the_patches_of_all_its_devices_are_told)
{
	plan(ALL);
	cr_expect_eq(number("patches.0.devices"), DEVICES);
	cr_expect_str_eq(text("patches.0.version"), "1.0");
	cr_expect_str_eq(text("patches.1.version"), "");
}

/* ---- what it changes */

Test(plan, a_new_one_changes_nothing_that_is)
{
	plan(ALL);
	cr_expect_str_eq(text("exists"), "");
	cr_expect_str_eq(text("refused.name"), "OK");
	cr_expect_eq(number("current"), 0);
	cr_expect_str_eq(text("differs.0.member"), "");
}

Test(plan, the_same_file_again_is_the_same)
{
	apply(ALL);
	plan(ALL);
	cr_expect_str_eq(text("exists"), "waiting-for-grant");
	cr_expect_str_eq(text("refused.name"), "OK");
	cr_expect_str_eq(text("differs.0.member"), "");
}

Test(plan, another_file_of_that_name_is_refused_member_by_member)
{
	apply(ALL);
	plan("\"stages\":[{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":500},"
	     "{\"name\":\"rest\",\"cohort\":\"fleet\",\"permille\":1000}],"
	     "\"gates\":{\"silence_s\":900}");
	cr_expect_eq(number("refused.number"), OTA_E_CONFLICT);
	cr_expect_str_eq(text("refused.text"), "there is a rollout r-1 already");
	cr_expect_str_eq(text("differs.0.member"), "stages[0].permille");
	cr_expect_str_eq(text("differs.0.now"), "1000");
	cr_expect_str_eq(text("differs.0.then"), "500");
	cr_expect_str_eq(text("differs.1.member"), "stages[1]");
	cr_expect_str_eq(text("differs.1.now"), "");
	cr_expect_str_eq(text("differs.2.member"), "gates.silence_s");
	cr_expect_str_eq(text("differs.3.member"), "");
}

Test(plan, who_holds_the_cohort_and_who_ends_is_told)
{
	struct ota_error err = { .text = "" };

	cr_assert_eq(
		fw_apply(world, "{\"rollout\":\"r-0\"," ALL "}", &release, &err), OTA_OK);
	release = fw_release(world, "3.0", 3);
	plan(ALL);
	cr_expect_eq(number("refused.number"), OTA_E_CONFLICT);
	cr_expect_not_null(strstr(text("refused.text"), "rollout r-0"));
	plan(ALL ",\"priority\":1");
	cr_expect_str_eq(text("refused.name"), "OK");
	cr_expect_str_eq(text("ends.0.rollout"), "r-0");
	cr_expect_str_eq(text("ends.0.state"), "waiting-for-grant");
}

Test(plan, devices_that_run_the_release_are_counted)
{
	fw_grant(world, &release, 1000, NULL);
	apply(ALL);
	cr_assert(fw_until(world, "r-1", "completed", 200));
	plan(ALL);
	cr_expect_eq(number("current"), DEVICES);
	cr_expect_str_eq(text("exists"), "completed");
	cr_expect_eq(number("stages.0.devices"), 0);
}

/* ---- what the comparison with the others can find */

Test(plan, a_worse_release_is_found_while_there_are_others_and_sooner_with_more)
{
	uint64_t one, half;

	plan(THREE);
	one = number("stages.0.worse_s");
	half = number("stages.1.worse_s");
	cr_expect_gt(one, half);
	cr_expect(half > DAY_S && half < 365u * DAY_S, "%llu", (unsigned long long)half);
	cr_expect_eq(number("stages.2.worse_s"), 0, "nobody is left to compare with");
	plan(THREE ",\"gates\":{\"worse_permille\":6000}");
	cr_expect_lt(number("stages.1.worse_s"), half);
	plan(THREE ",\"gates\":{\"worse_permille\":0}");
	cr_expect_eq(number("stages.1.worse_s"), 0);
}
