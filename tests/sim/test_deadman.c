#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* An orchestrator that cannot trust its own eyes lets nothing go on. */

static struct fw_world *world;

static void open_world(void)
{
	struct ota_digest release;

	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "fleet", 8, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world,
			     "{\"rollout\":\"r-1\",\"limits\":{\"in_flight\":4},"
			     "\"gates\":{\"silence_s\":86400},"
			     "\"stages\":[{\"name\":\"all\",\"cohort\":\"fleet\","
			     "\"permille\":1000,\"soak_s\":3600}]}",
			     &release, NULL),
		OTA_OK);
	fw_step(world);
	fw_step(world);
	cr_assert_str_eq(fw_state(world, "r-1"), "running");
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(deadman, .init = open_world, .fini = close_world);

static void pass_s(uint64_t s)
{
	world->now.utc_s += s;
	world->now.mono_ms += s * 1000;
	(void)core_tick(world->core, world->now);
}

/* That many devices of those at the update report that they fetch. */
static void fetch(unsigned count)
{
	for (unsigned i = 0; i < 8 && count > 0; i++) {
		struct fw_device *d = &world->devices[i];

		if (d->report.state == OTA_UPDATE_IDLE)
			continue;
		d->report.state = OTA_UPDATE_FETCHING;
		cr_assert_eq(fw_report(world, d), OTA_OK);
		count--;
	}
	cr_assert_eq(count, 0);
}

static void expect_paused(const char *reason, const char *text)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	cr_expect_str_eq(fw_text(tree, "state"), "paused");
	cr_expect_str_eq(fw_text(tree, "reason_name"), reason);
	cr_expect_not_null(
		strstr(fw_text(tree, "reason"), text), "%s", fw_text(tree, "reason"));
}

static void expect_running(void)
{
	cr_expect_str_eq(fw_state(world, "r-1"), "running");
}

Test(deadman, a_wave_that_falls_silent_pauses_the_rollout)
{
	fetch(4);
	pass_s(870);
	expect_running();
	pass_s(60);
	expect_paused("UNHEARD",
		"of 4 devices that began the update, 0 were heard of within 900 s");
	cr_expect_str_eq(fw_rule(world, "fleet-1"), "UNHEARD");
}

Test(deadman, a_wave_of_which_half_is_heard_goes_on)
{
	fetch(4);
	pass_s(870);
	fetch(2);
	pass_s(60);
	expect_running();
}

Test(deadman, those_left_over_are_no_fair_sample)
{
	cr_assert(fw_until(world, "r-1", "soaking", 60));
	cr_assert_eq(fw_steer(world, "r-1", "pause"), OTA_OK);
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	for (unsigned i = 0; i < 3; i++) {
		world->devices[i].dead = true;
		fw_connect(world, &world->devices[i]);
	}
	pass_s(1000);
	cr_expect_str_neq(fw_state(world, "r-1"), "paused");
}

Test(deadman, a_device_that_waits_or_writes_its_slot_is_not_expected_to_speak)
{
	for (unsigned i = 0; i < 8; i++) {
		struct fw_device *d = &world->devices[i];

		if (d->report.state == OTA_UPDATE_IDLE)
			continue;
		d->report.state =
			i % 2 == 0 ? OTA_UPDATE_INSTALLING : OTA_UPDATE_FETCHING;
		d->report.wait = i % 2 == 0 ? 0 : OTA_E_WINDOW;
		cr_assert_eq(fw_report(world, d), OTA_OK);
	}
	pass_s(1000);
	expect_running();
}

Test(deadman, a_session_that_is_lost_four_times_in_a_quarter_of_an_hour_pauses)
{
	for (int i = 0; i < 3; i++)
		core_session_lost(world->core, world->now);
	expect_running();
	core_session_lost(world->core, world->now);
	expect_paused(
		"UNSTABLE", "was lost 4 times within 0 s, at most 3 times in 900 s");
}

Test(deadman, losses_far_apart_are_no_reason)
{
	for (int i = 0; i < 8; i++) {
		world->now.utc_s += 301;
		world->now.mono_ms += 301000;
		core_session_lost(world->core, world->now);
		expect_running();
	}
}

Test(deadman, a_slow_store_pauses)
{
	core_stored(world->core, world->now, 5000);
	expect_running();
	core_stored(world->core, world->now, 5001);
	expect_paused(
		"SLOW", "storing a decision took 5001 ms, at most 5000 are allowed");
}

Test(deadman, a_jump_of_the_clock_pauses_ahead_and_back)
{
	world->now.utc_s += 60;
	(void)core_tick(world->core, world->now);
	expect_running();
	world->now.utc_s += 61;
	(void)core_tick(world->core, world->now);
	expect_paused("CLOCK", "the wall clock jumped 61 s ahead");
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	expect_running();
	world->now.utc_s -= 100;
	(void)core_tick(world->core, world->now);
	expect_paused("CLOCK", "the wall clock jumped 100 s back");
}

Test(deadman, it_goes_on_when_a_person_says_so)
{
	core_stored(world->core, world->now, 6000);
	for (int i = 0; i < 20; i++)
		fw_step(world);
	expect_paused("SLOW", "");
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	cr_expect(fw_until(world, "r-1", "soaking", 100), "%s", fw_state(world, "r-1"));
}
