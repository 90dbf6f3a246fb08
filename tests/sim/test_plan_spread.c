#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* What a plan says of how its stages spread over the fleet. */

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

TestSuite(plan_spread, .init = open_world, .fini = close_world);

/* All warnings of a plan, in one text. */
static void plan(const char *stages, char *out, size_t cap)
{
	OTA_AUTO(ota_json_fini) cJSON *spec = NULL;
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	struct ota_error err = { .text = "" };
	char json[1024], hex[OTA_DIGEST_HEX_CAP];
	const cJSON *warning;

	ota_digest_hex(&release, hex);
	(void)snprintf(json, sizeof json,
		"{\"rollout\":\"r-1\",\"release\":\"%s\",\"stages\":[%s]}", hex, stages);
	cr_assert_eq(ota_json_parse(ota_bytes_of(json), false, &spec, &err), OTA_OK);
	cr_assert_eq(core_plan_json(world->core, world->now, spec, &answer, &err), OTA_OK,
		"%s", err.text);
	out[0] = '\0';
	cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(answer, "warnings"))
	{
		size_t used = strlen(out);

		(void)snprintf(
			out + used, cap - used, "%s\n", cJSON_GetStringValue(warning));
	}
}

#define LAST         "{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000}"
#define LAB_THEN_ALL "{\"name\":\"first\",\"cohort\":\"lab\",\"permille\":1000}," LAST
Test(plan_spread, a_site_and_a_group_wholly_in_an_early_stage_are_warned_of)
{
	char warnings[2048];

	world->label = "site=oslo";
	fw_add_devices(world, "lab", 2, FW_GOOD);
	world->label = "group=pair";
	fw_add_devices(world, "fleet", 2, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	plan(LAB_THEN_ALL, warnings, sizeof warnings);
	cr_expect_not_null(
		strstr(warnings, "stage first takes all devices of 1 site (oslo)"), "%s",
		warnings);
	cr_expect_null(strstr(warnings, "redundancy group"), "%s", warnings);
	cr_expect_not_null(strstr(warnings, "stage first does not soak"), "%s", warnings);
}

Test(plan_spread, a_group_wholly_in_an_early_stage_is_warned_of)
{
	char warnings[2048];

	world->label = "group=pair";
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 2, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	plan(LAB_THEN_ALL, warnings, sizeof warnings);
	cr_expect_null(strstr(warnings, "redundancy group"), "%s", warnings);
	world->label = "group=twins";
	fw_add_devices(world, "canary", 2, FW_GOOD);
	plan("{\"name\":\"first\",\"cohort\":\"canary\",\"permille\":1000}," LAST,
		warnings, sizeof warnings);
	cr_expect_not_null(
		strstr(warnings, "stage first takes all devices of 1 redundancy "
				 "group (twins)"),
		"%s", warnings);
}

/* Fifteen of sixty devices at thirty sites: some salts take two of one site. */
Test(plan_spread, without_a_grant_it_is_the_salt_that_approve_takes)
{
	char label[OTA_LABEL_CAP], ring[16], warnings[2048];

	for (unsigned i = 0; i < 60; i++) {
		(void)snprintf(label, sizeof label, "site=s-%u", i / 2);
		(void)snprintf(ring, sizeof ring, "n%u", i);
		world->label = label;
		fw_add_devices(world, ring, 1, FW_GOOD);
	}
	release = fw_release(world, "2.0", 2);
	plan("{\"name\":\"few\",\"cohort\":\"fleet\",\"count\":15}," LAST, warnings,
		sizeof warnings);
	cr_expect_null(strstr(warnings, "takes all devices"), "%s", warnings);
}
