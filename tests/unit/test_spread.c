#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/spread.h"
#include "proto/base/own.h"

enum { MAX = 400 };

static struct rollout_spec *spec;
static struct spread_device *fleet;
static char names[MAX][3][OTA_NAME_CAP];

static void open_fleet(void)
{
	spec = calloc(1, sizeof *spec);
	fleet = calloc(MAX, sizeof *fleet);
	spec->stage_count = 3;
	spec->stages[0] = (struct rollout_stage){ .kind = STAGE_COUNT, .count = 5 };
	spec->stages[1] = (struct rollout_stage){ .kind = STAGE_COUNT, .count = 25 };
	spec->stages[2] = (struct rollout_stage){ .permille = 1000 };
	for (int i = 0; i < 3; i++)
		memcpy(spec->stages[i].cohort, "fleet", 6);
}

static void close_fleet(void)
{
	free(spec);
	free(fleet);
}

TestSuite(spread, .init = open_fleet, .fini = close_fleet);

/* Devices of so many sites and so many groups; every 40th is of another hardware. */
static void make(size_t count, size_t sites, size_t groups)
{
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(names[i][0], OTA_NAME_CAP, "gw-%zu", i);
		(void)snprintf(names[i][1], OTA_NAME_CAP, "s%zu", i % sites);
		(void)snprintf(names[i][2], OTA_NAME_CAP, "g%zu", i % groups);
		fleet[i] = (struct spread_device){ .id = names[i][0],
			.cohort = "fleet",
			.site = names[i][1],
			.group = names[i][2],
			.hardware = i % 40 == 0 ? "gw-200" : "gw-100" };
	}
}

/* As written: the stages of devices, a digit each, all of one site, group and bucket. */
static struct spread_report look_at(const char *stages)
{
	make(strlen(stages), 1, 1);
	for (size_t i = 0; stages[i] != '\0'; i++)
		fleet[i].stage = (uint32_t)(stages[i] - '0');
	return spread_look(fleet, strlen(stages), 3);
}

Test(spread, a_site_or_group_wholly_in_one_early_stage_is_seen)
{
	struct spread_report report = look_at("000");

	cr_expect_eq(report.stages[0].whole_sites, 1);
	cr_expect_eq(report.stages[0].whole_groups, 1);
	cr_expect_str_eq(report.stages[0].site, "s0");
	cr_expect_str_eq(report.stages[0].group, "g0");
	cr_expect_eq(report.neighbours, 1000);
	report = look_at("001");
	cr_expect_eq(report.stages[0].whole_sites, 0);
	cr_expect_eq(report.stages[1].whole_groups, 0);
	report = look_at("222");
	cr_expect_eq(
		report.stages[2].whole_sites, 0, "the last stage takes what is left");
	report = look_at("0");
	cr_expect_eq(report.stages[0].whole_sites, 0, "one device is no site");
}

Test(spread, hardware_of_the_last_stage_alone_is_seen)
{
	struct spread_report report = look_at("201");

	cr_assert_eq(report.late_count, 1);
	cr_expect_str_eq(report.late[0], "gw-200");
	report = look_at("021");
	cr_expect_eq(report.late_count, 0);
	make(1, 1, 1);
	fleet[0].stage = 0;
	cr_expect_eq(spread_look(fleet, 1, 1).late_count, 0, "there is no earlier stage");
}

Test(spread, a_group_in_one_bucket_is_seen)
{
	cr_expect_eq(look_at("01").stuck_groups, 1);
	make(2, 1, 1);
	fleet[1].bucket = 7;
	cr_expect_eq(spread_look(fleet, 2, 3).stuck_groups, 0);
}

Test(spread, the_salt_is_the_same_for_the_same_and_another_for_another_release)
{
	uint8_t one[OTA_SALT_LEN], same[OTA_SALT_LEN], other[OTA_SALT_LEN];

	make(100, 5, 50);
	spread_salt(spec, fleet, 100, one);
	spread_salt(spec, fleet, 100, same);
	spec->release.at[0] = 1;
	spread_salt(spec, fleet, 100, other);
	cr_expect_eq(memcmp(one, same, sizeof one), 0);
	cr_expect_neq(memcmp(one, other, sizeof one), 0);
}

/* Of 400 devices 10 are of another hardware: one in 25 is early under half of the salts.
 */
Test(spread, the_salt_takes_every_hardware_early_and_no_pair_whole)
{
	for (uint8_t release = 0; release < 10; release++) {
		struct spread_report report;
		uint8_t salt[OTA_SALT_LEN];

		make(MAX, 20, 200);
		spec->release.at[0] = release;
		spread_salt(spec, fleet, MAX, salt);
		spread_place(spec, salt, fleet, MAX);
		report = spread_look(fleet, MAX, 3);
		cr_expect_eq(report.late_count, 0, "release %u", release);
		cr_expect_eq(report.stuck_groups, 0, "release %u", release);
		cr_expect_eq(report.stages[0].whole_groups, 0, "release %u", release);
		cr_expect_eq(report.stages[1].whole_groups, 0, "release %u", release);
		cr_expect_lt(report.neighbours, 100, "release %u: %llu", release,
			(unsigned long long)report.neighbours);
	}
}

Test(spread, devices_of_no_stage_count_for_nothing)
{
	make(2, 1, 1);
	fleet[0].stage = fleet[1].stage = SPREAD_NO_STAGE;
	cr_expect_eq(spread_look(fleet, 2, 3).stuck_groups, 0);
	make(1, 1, 1);
	fleet[0].cohort = "lab";
	spread_place(spec, (const uint8_t[OTA_SALT_LEN]){ 1 }, fleet, 1);
	cr_expect_eq(fleet[0].stage, SPREAD_NO_STAGE);
}
