#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* How fast a stage is opened. */

static struct fw_world *world;
static struct ota_digest release;

static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(pacing, .init = open_world, .fini = close_world);

/* Everybody of cohort fleet in one stage, with more members of the rollout file. */
static void begin(const char *members)
{
	struct ota_error err = { .text = "" };
	char json[512];

	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	(void)snprintf(json, sizeof json,
		"{\"rollout\":\"r-1\",%s,\"stages\":["
		"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000}]}",
		members);
	cr_assert_eq(fw_apply(world, json, &release, &err), OTA_OK, "%s", err.text);
}

static bool is_under_way(const struct fw_device *d)
{
	return d->report.state >= OTA_UPDATE_OFFERED &&
	       d->report.state <= OTA_UPDATE_PROVING;
}

/* Devices under way whose id begins with ring. */
static unsigned under_way(const char *ring)
{
	unsigned count = 0;

	for (unsigned i = 0; i < world->device_count; i++)
		count += strncmp(world->devices[i].id, ring, strlen(ring)) == 0 &&
			 is_under_way(&world->devices[i]);
	return count;
}

/* The most devices of a ring that are ever under way until the rollout is through. */
static unsigned most_under_way(const char *ring, unsigned steps)
{
	unsigned most = 0;

	for (unsigned i = 0;
		i < steps && strcmp(fw_state(world, "r-1"), "completed") != 0; i++) {
		fw_step(world);
		most = under_way(ring) > most ? under_way(ring) : most;
	}
	cr_expect_str_eq(fw_state(world, "r-1"), "completed");
	return most;
}

static void expect_hold(const char *hold, const char *text)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	cr_expect_str_eq(fw_text(tree, "stages.0.hold"), hold);
	cr_expect_not_null(strstr(fw_text(tree, "stages.0.hold_text"), text), "%s",
		fw_text(tree, "stages.0.hold_text"));
}

Test(pacing, no_more_devices_than_the_limit_are_ever_under_way)
{
	fw_add_devices(world, "fleet", 60, FW_GOOD);
	begin("\"limits\":{\"in_flight\":7}");
	cr_expect_eq(most_under_way("fleet", 200), 7);
	cr_expect_eq(fw_count_running(world, "2.0"), 60);
}

Test(pacing, five_are_let_in_where_two_percent_are_fewer)
{
	fw_add_devices(world, "fleet", 30, FW_GOOD);
	begin("\"jitter_s\":0");
	cr_expect_eq(most_under_way("fleet", 100), 5);
}

Test(pacing, a_restart_at_any_moment_keeps_the_limit)
{
	fw_add_devices(world, "fleet", 24, FW_GOOD);
	world->restarts = true;
	begin("\"limits\":{\"in_flight\":3}");
	cr_expect_eq(most_under_way("fleet", 200), 3);
	cr_expect_gt(world->restart_count, 100);
}

Test(pacing, starts_are_spread_over_the_minutes)
{
	unsigned minutes[40] = { 0 };

	fw_add_devices(world, "fleet", 40, FW_GOOD);
	begin("\"limits\":{\"in_flight\":40,\"starts_per_minute\":6}");
	for (unsigned i = 0; i < 200; i++) {
		unsigned running = fw_count_running(world, "2.0");

		fw_step(world);
		minutes[i / 6] += fw_count_running(world, "2.0") - running;
	}
	for (unsigned i = 0; i < 34; i++)
		cr_expect_leq(minutes[i], 6, "%u in minute %u", minutes[i], i);
	cr_expect_eq(fw_count_running(world, "2.0"), 40);
	cr_expect_str_eq(fw_state(world, "r-1"), "completed");
}

Test(pacing, a_site_keeps_four_fifths_of_its_devices)
{
	world->label = "site=north";
	fw_add_devices(world, "north", 15, FW_GOOD);
	world->label = "site=south";
	fw_add_devices(world, "south", 15, FW_GOOD);
	begin("\"limits\":{\"in_flight\":30}");
	cr_expect_eq(most_under_way("north", 200), 3);
}

Test(pacing, of_a_pair_one_stays_in_service)
{
	char label[OTA_LABEL_CAP], name[16];

	for (unsigned i = 0; i < 12; i++) {
		(void)snprintf(label, sizeof label, "group=pair-%u", i);
		(void)snprintf(name, sizeof name, "p%u", i);
		world->label = label;
		fw_add_devices(world, name, 2, FW_GOOD);
	}
	begin("\"limits\":{\"in_flight\":24}");
	for (unsigned s = 0; s < 200 && strcmp(fw_state(world, "r-1"), "completed") != 0;
		s++) {
		fw_step(world);
		for (unsigned i = 0; i < 24; i += 2)
			cr_assert(!is_under_way(&world->devices[i]) ||
				  !is_under_way(&world->devices[i + 1]));
	}
	cr_expect_eq(fw_count_running(world, "2.0"), 24);
}

/* Which of a pair stands first is the salt's choice. */
static void lose_one_of_a_pair(void)
{
	world->label = "group=pair";
	fw_add_devices(world, "fleet", 2, FW_GOOD);
	world->devices[0].dead = true;
	fw_connect(world, &world->devices[0]);
	begin("\"jitter_s\":0");
	for (unsigned i = 0; i < 10; i++)
		fw_step(world);
}

Test(pacing, the_last_one_of_a_group_waits_for_the_others_for_a_day)
{
	lose_one_of_a_pair();
	cr_expect_eq(fw_count_running(world, "2.0"), 0);
	expect_hold("GROUP", "group pair: 1 of 2 devices are in service, "
			     "1 would begin next and leave none");
	cr_expect_str_eq(fw_rule(world, "fleet-2"), "GROUP");
	world->now.utc_s += 80000;
	world->now.mono_ms += 80000000;
	for (unsigned i = 0; i < 20; i++)
		fw_step(world);
	cr_expect_eq(fw_count_running(world, "2.0"), 0);
	world->now.utc_s += 7000;
	world->now.mono_ms += 7000000;
	for (unsigned i = 0; i < 20; i++)
		fw_step(world);
	cr_expect_eq(fw_count_running(world, "2.0"), 1);
}

Test(pacing, the_last_one_of_a_group_goes_on_when_another_is_back)
{
	lose_one_of_a_pair();
	world->devices[0].dead = false;
	fw_connect(world, &world->devices[0]);
	(void)most_under_way("fleet", 60);
	cr_expect_eq(fw_count_running(world, "2.0"), 2);
}

Test(pacing, who_is_not_let_in_yet_is_told_why)
{
	unsigned held = 0;

	fw_add_devices(world, "fleet", 20, FW_GOOD);
	begin("\"limits\":{\"in_flight\":3}");
	fw_step(world);
	for (unsigned i = 0; i < 20; i++)
		held += strcmp(fw_rule(world, world->devices[i].id), "PACE") == 0;
	cr_expect_eq(held, 17);
	expect_hold("PACE",
		"3 devices are under way, 1 would begin next, the limit of the "
		"rollout is 3 (in_flight)");
}

Test(pacing, orders_are_fewer_than_devices)
{
	fw_add_devices(world, "fleet", 60, FW_GOOD);
	begin("\"limits\":{\"in_flight\":12}");
	(void)most_under_way("fleet", 200);
	cr_expect_lt(world->order_count, 20, "%u orders", world->order_count);
}

Test(pacing, named_canaries_are_not_paced)
{
	fw_add_devices(world, "fleet", 3, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, "fleet-2");
	cr_assert_eq(fw_apply(world,
			     "{\"rollout\":\"r-1\",\"limits\":{\"in_flight\":1},"
			     "\"stages\":[{\"name\":\"c\",\"cohort\":\"fleet\","
			     "\"devices\":[\"fleet-2\"]}]}",
			     &release, NULL),
		OTA_OK);
	(void)most_under_way("fleet", 20);
	cr_expect_eq(fw_count_running(world, "2.0"), 1);
}

/* 1800000000 is 2027-01-15T08:00Z, a Friday. */
Test(pacing, nothing_begins_in_a_freeze)
{
	fw_add_devices(world, "fleet", 3, FW_GOOD);
	begin("\"freeze\":[\"2027-01-15T08:00..2027-01-15T09:00\",\"fri 09:00-10:00\"]");
	world->now.utc_s += 7180;
	world->now.mono_ms += 7180000;
	fw_step(world);
	cr_expect_eq(under_way("fleet"), 0);
	cr_expect_str_eq(fw_state(world, "r-1"), "waiting-for-grant");
	cr_expect_str_eq(fw_rule(world, "fleet-1"), "FREEZE");
	(void)most_under_way("fleet", 20);
	cr_expect_eq(fw_count_running(world, "2.0"), 3);
}

Test(pacing, a_freeze_holds_a_stage_under_way_back_and_lets_its_devices_finish)
{
	fw_add_devices(world, "fleet", 20, FW_GOOD);
	begin("\"limits\":{\"in_flight\":4},\"freeze\":[\"fri 08:01-09:00\"]");
	for (unsigned i = 0; i < 60; i++)
		fw_step(world);
	cr_expect_eq(under_way("fleet"), 0);
	cr_expect_lt(fw_count_running(world, "2.0"), 20);
	cr_expect_gt(fw_count_running(world, "2.0"), 3);
	expect_hold("FREEZE", "freeze fri 08:01-09:00, until 2027-01-15T09:00Z");
	(void)most_under_way("fleet", 500);
	cr_expect_eq(fw_count_running(world, "2.0"), 20);
}

/* A row of before stages were opened by steps. */
Test(pacing, a_stored_stage_that_was_open_stays_open)
{
	struct ota_order order;
	bool found = false;

	fw_add_devices(world, "fleet", 30, FW_GOOD);
	begin("\"limits\":{\"in_flight\":30}");
	fw_step(world);
	for (size_t i = 0; i < world->row_count; i++) {
		struct ota_buf *value = &world->rows[i].value;
		char *from, *to;

		if (world->rows[i].table != CORE_ROLLOUT)
			continue;
		cr_assert_eq(
			ota_buf_add(value, (struct ota_bytes){ (const uint8_t *)"", 1 }),
			OTA_OK);
		from = strstr((char *)value->at, "\"opened\"");
		to = from != NULL ? strstr(from, "\"llr_micro\"") : NULL;
		cr_assert_not_null(to);
		memmove(from, to, strlen(to) + 1);
		value->len = strlen((char *)value->at);
		found = true;
	}
	cr_assert(found);
	fw_restart(world);
	cr_assert(fw_order(world, "fleet", &order));
	cr_expect_eq(order.permille, 1000);
}
