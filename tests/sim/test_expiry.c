#include <criterion/criterion.h>

#include <stdio.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* Documents that soon bind nobody any more are told of before they expire. */

enum { DAY_S = 86400 };

static struct fw_world *world;
static struct ota_digest release;

/* A fleet whose root lives a year, whose catalog 90 days, and one rollout under a grant
 * of 14 days. */
static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 1, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world,
			     "{\"rollout\":\"r-1\",\"stages\":[{\"name\":\"lab\","
			     "\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":600}]}",
			     &release, NULL),
		OTA_OK);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(expiry, .init = open_world, .fini = close_world);

/* What the status tells of, as "type type ...", so many days after the beginning. */
static const char *told(unsigned days)
{
	static char text[128];
	struct core_now now = { world->now.mono_ms, FW_UTC_S + (uint64_t)days * DAY_S };
	OTA_AUTO(ota_json_fini) cJSON *tree = core_status_json(world->core, now);
	const cJSON *row;
	size_t len = 0;

	text[0] = '\0';
	cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(tree, "expiring")) len +=
		(size_t)snprintf(text + len, sizeof text - len, "%s%s",
			len > 0 ? " " : "", fw_text(row, "type"));
	return text;
}

Test(expiry, each_document_is_told_of_in_time_and_not_before)
{
	cr_expect_str_eq(told(0), "");
	cr_expect_str_eq(told(11), "");
	cr_expect_str_eq(told(13), "grant");
	cr_expect_str_eq(told(68), "grant");
	cr_expect_str_eq(told(70), "catalog grant");
	cr_expect_str_eq(told(304), "catalog grant");
	cr_expect_str_eq(told(306), "root catalog grant");
	cr_expect_str_eq(told(400), "root catalog grant", "also once it has expired");
}

Test(expiry, a_grant_that_no_rollout_needs_any_more_may_expire)
{
	cr_assert_eq(fw_steer(world, "r-1", "abort"), OTA_OK);
	cr_expect_str_eq(told(13), "");
}
