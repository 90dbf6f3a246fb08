#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* Devices that fail or boot too often are set aside, until a person releases them. */

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 20, FW_GOOD);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(quarantine, .init = open_world, .fini = close_world);

static void steps(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fw_step(world);
}

static void begin(const char *rollout, const struct ota_digest *release)
{
	struct ota_error err = { .text = "" };
	char json[512];

	(void)snprintf(json, sizeof json,
		"{\"rollout\":\"%s\",\"stages\":[{\"name\":\"lab\",\"cohort\":\"lab\","
		"\"permille\":1000,\"soak_s\":0}],"
		"\"gates\":{\"silence_s\":60,\"p1_ppm\":500000},"
		"\"retry\":{\"soft\":5,\"soft_backoff_s\":60,\"factor\":1}}",
		rollout);
	fw_grant(world, release, 1000, NULL);
	cr_assert_eq(fw_apply(world, json, release, &err), OTA_OK, "%s", err.text);
}

/* One of twenty fails three times. */
static void flap(void)
{
	struct ota_digest release = fw_release(world, "2.0", 2);

	fw_device(world, "lab-3")->script = FW_UNHEALTHY;
	begin("r-1", &release);
	steps(60);
}

static uint64_t alarms(void)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = core_status_json(world->core, world->now);

	return (uint64_t)cJSON_GetArraySize(
		cJSON_GetObjectItemCaseSensitive(tree, "alarms"));
}

static void expect_cohort(const char *device, const char *cohort)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_device_json(world->core, world->now, device);

	cr_expect_str_eq(fw_text(tree, "cohort"), cohort);
}

static enum ota_code release_device(const char *device, struct ota_error *err)
{
	return core_release_device(world->core, world->now, "ops", device, err);
}

Test(quarantine, a_device_that_fails_three_times_is_set_aside_and_that_is_an_alarm)
{
	flap();
	cr_expect_eq(fw_device(world, "lab-3")->failures, 3);
	expect_cohort("lab-3", "quarantine");
	cr_expect_str_eq(fw_rule(world, "lab-3"), "QUARANTINE");
	cr_expect_eq(alarms(), 1);
	cr_expect_not_null(strstr(world->actions, "device.quarantine "));
}

Test(quarantine, no_gate_counts_it_and_no_order_reaches_it)
{
	struct ota_digest release;

	flap();
	cr_expect_str_eq(fw_state(world, "r-1"), "completed");
	release = fw_release(world, "3.0", 3);
	begin("r-2", &release);
	cr_assert(fw_until(world, "r-2", "completed", 40));
	steps(10);
	cr_expect_eq(fw_count_running(world, "3.0"), 19);
	cr_expect_eq(fw_device(world, "lab-3")->failures, 3);
}

/* The only device of its cohort begins, and then boots all the time. */
static void lose_the_only_one(void)
{
	struct ota_digest release;
	struct fw_device *d;

	fw_add_devices(world, "canary", 1, FW_MUTE);
	d = fw_device(world, "canary-1");
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world,
			     "{\"rollout\":\"r-1\",\"stages\":[{\"name\":\"one\","
			     "\"cohort\":\"canary\",\"permille\":1000,\"soak_s\":0}]}",
			     &release, NULL),
		OTA_OK);
	steps(2);
	d->dead = true; /* from here on it does what the test does */
	d->report.state = OTA_UPDATE_FETCHING;
	(void)snprintf(d->report.rollout, sizeof d->report.rollout, "r-1");
	d->report.release = release;
	for (int i = 0; i < 13; i++) {
		d->report.boot++;
		cr_assert_eq(fw_report(world, d), OTA_OK);
		fw_step(world);
	}
	expect_cohort("canary-1", "quarantine");
}

Test(quarantine, a_rollout_that_loses_its_only_device_to_it_halts)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;

	lose_the_only_one();
	steps(3);
	cr_expect_str_eq(fw_state(world, "r-1"), "halted");
	tree = core_rollout_json(world->core, world->now, "r-1");
	cr_expect_str_eq(fw_text(tree, "reason_name"), "QUARANTINE");
	cr_expect_str_eq(fw_text(tree, "reason"),
		"stage one: 1 devices were set aside at the update, none is left and "
		"none has "
		"confirmed");
}

Test(quarantine, it_goes_on_with_the_device_once_that_is_released)
{
	lose_the_only_one();
	fw_device(world, "canary-1")->script = FW_GOOD;
	fw_device(world, "canary-1")->dead = false;
	fw_device(world, "canary-1")->report.state = OTA_UPDATE_IDLE;
	fw_device(world, "canary-1")->report.rollout[0] = '\0';
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	steps(2);
	cr_expect_str_eq(fw_state(world, "r-1"), "halted", "it is still set aside");
	cr_assert_eq(release_device("canary-1", NULL), OTA_OK);
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	cr_expect(fw_until(world, "r-1", "completed", 40));
	cr_expect_eq(fw_count_running(world, "2.0"), 1);
}

Test(quarantine, an_operator_releases_it_with_a_clean_slate)
{
	struct ota_error err = { 0 };

	flap();
	fw_device(world, "lab-3")->script = FW_GOOD;
	cr_assert_eq(release_device("lab-3", NULL), OTA_OK);
	expect_cohort("lab-3", "lab");
	cr_expect_not_null(strstr(world->actions, "device.release "));
	steps(10);
	cr_expect_eq(fw_count_running(world, "2.0"), 20, "it takes what it missed");
	cr_expect_eq(alarms(), 0);
	cr_expect_eq(release_device("lab-3", &err), OTA_E_STATE);
	cr_expect_str_eq(err.text, "device lab-3 is not set aside");
	cr_expect_eq(release_device("lab-99", &err), OTA_E_NOTFOUND);
}

Test(quarantine, a_device_that_boots_all_the_time_is_set_aside)
{
	struct fw_device *d = fw_device(world, "lab-7");

	for (int i = 0; i < 11; i++) {
		d->report.boot++;
		cr_assert_eq(fw_report(world, d), OTA_OK);
		fw_step(world);
	}
	expect_cohort("lab-7", "lab");
	d->report.boot++;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	expect_cohort("lab-7", "quarantine");
}

Test(quarantine, a_boot_now_and_then_is_none_of_its_business)
{
	struct fw_device *d = fw_device(world, "lab-7");

	for (int i = 0; i < 100; i++) {
		d->report.boot++;
		cr_assert_eq(fw_report(world, d), OTA_OK);
		world->now.utc_s += 600;
		fw_step(world);
	}
	expect_cohort("lab-7", "lab");
}

Test(quarantine, a_restart_after_every_call_forgets_nothing)
{
	world->restarts = true;
	flap();
	expect_cohort("lab-3", "quarantine");
	cr_expect_str_eq(fw_rule(world, "lab-3"), "QUARANTINE");
	fw_restart(world);
	cr_expect_str_eq(fw_rule(world, "lab-3"), "QUARANTINE");
}

Test(quarantine, no_cohort_of_a_fleet_file_may_have_its_name)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct ota_error err = { 0 };

	cr_assert_eq(ota_json_parse(ota_bytes_of("{\"fleet\":\"demo\",\"cohorts\":[{"
						 "\"name\":\"quarantine\"}]}"),
			     false, &tree, NULL),
		OTA_OK);
	cr_expect_eq(
		core_set_fleet(world->core, world->now, "ops", tree, &err), OTA_E_CONFIG);
	cr_expect(strstr(err.text, "set aside") != NULL, "%s", err.text);
}
