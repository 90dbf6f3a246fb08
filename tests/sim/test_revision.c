#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "orchestrator/core/revision.h"
#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* A revision changes with what people decide, and with nothing else. */

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 4, FW_GOOD);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(revision, .init = open_world, .fini = close_world);

static const char one_stage[] =
	"{\"rollout\":\"r-1\",\"stages\":[{\"name\":\"lab\",\"cohort\":\"lab\","
	"\"permille\":1000,\"soak_s\":600}],\"gates\":{\"silence_s\":60},"
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60}}";

static struct core_revision of_rollout(void)
{
	struct core_revision out = { .text = "" };

	cr_assert(core_rollout_revision(world->core, "r-1", &out));
	cr_assert_eq(strlen(out.text), CORE_REVISION_CAP - 1);
	return out;
}

static struct core_revision of_device(const char *id)
{
	struct core_revision out = { .text = "" };

	cr_assert(core_device_revision(world->core, id, &out), "%s", id);
	return out;
}

static struct core_revision of_all(void)
{
	struct core_revision out = { .text = "" };

	core_rollouts_revision(world->core, &out);
	return out;
}

#define expect_same(a, b)  cr_expect_str_eq((a).text, (b).text)
#define expect_other(a, b) cr_expect_str_neq((a).text, (b).text)

static struct ota_digest begin(void)
{
	struct ota_digest release = fw_release(world, "2.0", 2);

	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, one_stage, &release, NULL), OTA_OK);
	return release;
}

Test(revision, of_a_rollout_stays_while_devices_update)
{
	struct core_revision began, all;

	(void)begin();
	cr_assert(fw_until(world, "r-1", "running", 20));
	began = of_rollout();
	all = of_all();
	while (fw_count_running(world, "2.0") < 4)
		fw_step(world);
	cr_assert(fw_until(world, "r-1", "soaking", 20));
	expect_same(began, of_rollout());
	expect_same(all, of_all());
	fw_restart(world);
	expect_same(began, of_rollout());
	expect_same(all, of_all());
	cr_assert(fw_until(world, "r-1", "completed", 80));
	expect_other(began, of_rollout());
	expect_other(all, of_all());
	cr_expect_str_eq(of_rollout().now, "rollout 'r-1' is completed");
}

Test(revision, of_a_rollout_changes_with_every_decision)
{
	struct core_revision began, paused, again;

	(void)begin();
	cr_assert(fw_until(world, "r-1", "running", 20));
	began = of_rollout();
	cr_assert_eq(fw_steer(world, "r-1", "pause"), OTA_OK);
	paused = of_rollout();
	expect_other(began, paused);
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	expect_other(paused, of_rollout());
	fw_step(world);
	cr_assert_eq(fw_steer(world, "r-1", "pause"), OTA_OK);
	again = of_rollout();
	expect_other(paused, again);
	cr_assert_eq(fw_steer(world, "r-1", "abort"), OTA_OK);
	expect_other(again, of_rollout());
}

Test(revision, of_a_rollout_changes_with_its_grant)
{
	struct ota_digest release = begin();
	struct core_revision before;

	cr_assert(fw_until(world, "r-1", "running", 20));
	before = of_rollout();
	fw_grant(world, &release, 500, NULL);
	expect_other(before, of_rollout());
}

Test(revision, of_a_rollout_that_does_not_exist_is_none)
{
	struct core_revision out = { .text = "as it was" };

	cr_expect_not(core_rollout_revision(world->core, "r-2", &out));
	cr_expect_not(core_device_revision(world->core, "r-2", &out));
	cr_expect_str_eq(out.text, "as it was");
}

Test(revision, of_a_device_stays_while_it_updates_and_changes_when_it_is_set_aside)
{
	struct core_revision before = of_device("lab-1"), aside;

	(void)begin();
	while (fw_count_running(world, "2.0") < 4)
		fw_step(world);
	expect_same(before, of_device("lab-1"));
	for (int i = 0; i < 40; i++) {
		fw_device(world, "lab-1")->report.boot++;
		(void)fw_report(world, fw_device(world, "lab-1"));
	}
	aside = of_device("lab-1");
	expect_other(before, aside);
	cr_expect_str_eq(aside.now, "device 'lab-1' is set aside");
	cr_assert_eq(core_release_device(world->core, world->now, "ops", "lab-1", NULL),
		OTA_OK);
	expect_same(before, of_device("lab-1"));
}

Test(revision, of_a_device_changes_when_another_key_is_presented)
{
	struct core_revision before = of_device("lab-1");
	OTA_AUTO(ota_json_fini) cJSON *body = NULL;
	char text[2 * OTA_PK_LEN + 64], hex[2 * OTA_PK_LEN + 1];

	ota_hex_encode((struct ota_bytes){ world->root.at, OTA_PK_LEN }, hex);
	(void)snprintf(text, sizeof text,
		"{\"id\":\"lab-1\",\"key\":\"%s\",\"labels\":[]}", hex);
	cr_assert_eq(ota_json_parse(ota_bytes_of(text), false, &body, NULL), OTA_OK);
	cr_assert_eq(core_add_device(world->core, world->now, "ops", body, NULL),
		OTA_E_CONFLICT);
	expect_other(before, of_device("lab-1"));
}

Test(revision, of_the_fleet_file_is_that_of_its_content)
{
	static const char *const files[] = {
		"{\"fleet\":\"demo\",\"cohorts\":[{\"name\":\"all\"}]}",
		"{\"fleet\":\"demo\",\"cohorts\":[{\"name\":\"every\"}]}",
		"{\"fleet\":\"demo\",\"cohorts\":[{\"name\":\"all\"}]}",
	};
	struct core_revision seen[3], all[3];

	for (int i = 0; i < 3; i++) {
		OTA_AUTO(ota_json_fini) cJSON *fleet = cJSON_Parse(files[i]);

		cr_assert_eq(core_set_fleet(world->core, world->now, "ops", fleet, NULL),
			OTA_OK);
		core_fleet_revision(world->core, &seen[i]);
		all[i] = of_all();
	}
	expect_other(seen[0], seen[1]);
	expect_same(seen[0], seen[2]);
	expect_other(all[0], all[1]);
}
