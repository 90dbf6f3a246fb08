#include <criterion/criterion.h>

#include <stdio.h>

#include "orchestrator/core/survey.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"
#include "tests/sim/fleet_device.h"

/* A survey is as large as the fleet: it is kept for rollouts that go on, and for no
 * other, whoever looks at them. */

enum { ROLLOUTS = 3 };

static struct fw_world *world;

static void close_world(void)
{
	fw_close(world);
}

TestSuite(survey, .fini = close_world);

static void complete(unsigned number)
{
	char json[256], name[8], version[8];
	struct ota_digest release;

	(void)snprintf(name, sizeof name, "r-%u", number);
	(void)snprintf(version, sizeof version, "%u.0", number);
	(void)snprintf(json, sizeof json,
		"{\"rollout\":\"%s\",\"stages\":[{\"name\":\"all\",\"cohort\":\"lab\","
		"\"permille\":1000,\"soak_s\":0}]}",
		name);
	release = fw_release(world, version, number);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, json, &release, NULL), OTA_OK);
	cr_assert(fw_until(world, name, "completed", 60));
}

static unsigned kept(void)
{
	unsigned count = 0;

	for (size_t i = 0; i < world->core->rollout_count; i++)
		count += world->core->rollouts[i]->survey->at != NULL;
	return count;
}

Test(survey, of_a_rollout_that_is_over_none_is_kept)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 3, FW_GOOD);
	for (unsigned n = 0; n < ROLLOUTS; n++)
		complete(2 + n);
	fw_step(world);
	cr_expect_eq(kept(), 0);
	cJSON_Delete(core_status_json(world->core, world->now));
	cr_expect_eq(kept(), 0, "%u after the status", kept());
	cJSON_Delete(core_rollout_json(world->core, world->now, "r-2"));
	cr_expect_eq(kept(), 0, "after one of them");
}

/* Devices of the first stage of a rollout, in the status. */
static unsigned devices_of(unsigned index)
{
	OTA_AUTO(ota_json_fini) cJSON *status = core_status_json(world->core, world->now);
	const cJSON *list = cJSON_GetObjectItem(status, "rollouts");
	const cJSON *rollout = cJSON_GetArrayItem(list, (int)index);
	const cJSON *stages = cJSON_GetObjectItem(rollout, "stages");

	return (unsigned)cJSON_GetNumberValue(
		cJSON_GetObjectItem(cJSON_GetArrayItem(stages, 0), "devices"));
}

/* Or each look at the status would visit the fleet once for each rollout it ever had. */
Test(survey, devices_of_a_rollout_that_is_over_are_counted_once)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 3, FW_GOOD);
	complete(2);
	cr_expect_eq(devices_of(0), 3);
	world->core->rollouts[0]->survey->over.waves[0]++;
	cr_expect_eq(devices_of(0), 4, "what was counted");
	fw_step(world);
	cr_assert_eq(fw_steer(world, "r-2", "revert"), OTA_OK);
	cr_expect_eq(devices_of(0), 3, "it goes on, and is counted anew");
	cr_assert(fw_until(world, "r-2", "halted", 60));
	cr_expect_eq(devices_of(0), 3, "it is over once more");
}
