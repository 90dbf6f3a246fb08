#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* One test for each rule that holds or moves a device. */

static struct fw_world *world;
static struct fw_device *device;
static struct ota_digest release;

/* A fleet of one device in cohort lab and five in cohort fleet. */
static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 1, FW_GOOD);
	fw_add_devices(world, "fleet", 5, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	device = fw_device(world, "lab-1");
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(explain, .init = open_world, .fini = close_world);

static void apply(void)
{
	static const char rollout[] =
		"{\"rollout\":\"r-1\",\"stages\":["
		"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":600},"
		"{\"name\":\"some\",\"cohort\":\"fleet\",\"count\":2,\"soak_s\":600}]}";
	struct ota_error err = { .text = "" };

	cr_assert_eq(fw_apply(world, rollout, &release, &err), OTA_OK, "%s", err.text);
}

static void begin(void)
{
	fw_grant(world, &release, 1000, NULL);
	apply();
}

static void report(void)
{
	cr_assert_eq(fw_report(world, device), OTA_OK);
}

/* The device has read the order it is under. */
static void has_read_its_order(void)
{
	struct ota_order order;

	cr_assert(fw_order(world, "lab", &order));
	device->report.order_seq = order.seq;
}

static void expect_rule(const char *rule)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_explain_json(world->core, world->now, device->id);

	cr_expect_str_eq(fw_text(tree, "rule"), rule, "%s: %s", fw_text(tree, "rule"),
		fw_text(tree, "detail"));
	cr_expect_str_neq(fw_text(tree, "text"), "");
	cr_expect_str_neq(fw_text(tree, "unblock"), "");
	cr_expect_neq(fw_number(tree, "number"), 0);
}

Test(explain, an_unknown_device_is_not_explained)
{
	cr_expect_null(core_explain_json(world->core, world->now, "nobody"));
}

Test(explain, noreport_while_it_has_never_reported)
{
	fw_add_devices(world, "new", 1, FW_AWAY);
	device = fw_device(world, "new-1");
	expect_rule("NOREPORT");
}

Test(explain, offline_while_it_is_away)
{
	device->dead = true;
	fw_connect(world, device);
	expect_rule("OFFLINE");
}

Test(explain, nocohort_while_nothing_selects_it)
{
	fw_add_devices(world, "new", 1, FW_GOOD);
	device = fw_device(world, "new-1");
	memcpy(device->report.hardware, "gw-999", 7);
	report();
	expect_rule("NOCOHORT");
}

Test(explain, norollout_while_there_is_none)
{
	expect_rule("NOROLLOUT");
}

Test(explain, preparing_while_patches_are_made)
{
	world->keep_asked = true;
	begin();
	expect_rule("PREPARING");
}

Test(explain, nogrant_while_operators_have_not_signed)
{
	apply();
	expect_rule("NOGRANT");
}

Test(explain, share_while_they_have_granted_too_little)
{
	fw_grant(world, &release, 100, NULL);
	apply();
	expect_rule("SHARE");
}

Test(explain, stage_while_an_earlier_one_is_under_way)
{
	unsigned in_stage = 0, in_none = 0;

	begin();
	for (unsigned i = 1; i < world->device_count; i++) {
		in_stage += strcmp(fw_rule(world, world->devices[i].id), "STAGE") == 0;
		in_none += strcmp(fw_rule(world, world->devices[i].id), "BUCKET") == 0;
	}
	cr_expect_eq(in_stage, 2, "as many as the count takes");
	cr_expect_eq(in_none, 3, "no stage takes the others");
}

Test(explain, working_while_it_may_begin_and_while_it_is_at_it)
{
	begin();
	expect_rule("WORKING");
	fw_step(world);
	cr_assert_eq(device->report.state, OTA_UPDATE_OFFERED);
	expect_rule("WORKING");
}

Test(explain, current_once_it_runs_the_release)
{
	begin();
	cr_assert(fw_until(world, "r-1", "soaking", 20));
	expect_rule("CURRENT");
}

Test(explain, window_when_the_device_says_it_is_closed)
{
	begin();
	has_read_its_order();
	device->report.wait = OTA_E_WINDOW;
	report();
	expect_rule("WINDOW");
}

Test(explain, nospace_when_the_device_says_so)
{
	begin();
	has_read_its_order();
	device->report.error = OTA_E_NOSPACE;
	report();
	expect_rule("NOSPACE");
}

Test(explain, hardware_and_product_and_floor_when_it_cannot_take_the_release)
{
	begin();
	memcpy(device->report.hardware, "gw-200", 7);
	report();
	expect_rule("HARDWARE");
	memcpy(device->report.product, "router", 7);
	report();
	expect_rule("PRODUCT");
	memcpy(device->report.product, "gateway", 8);
	memcpy(device->report.hardware, "gw-100", 7);
	device->report.floor = 3;
	report();
	expect_rule("FLOOR");
}

Test(explain, paused_aborted_and_halted_as_the_rollout_stands)
{
	begin();
	cr_assert_eq(fw_steer(world, "r-1", "pause"), OTA_OK);
	expect_rule("PAUSED");
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	expect_rule("HALTED");
	cr_assert_eq(fw_steer(world, "r-1", "abort"), OTA_OK);
	device = fw_device(world, "fleet-1");
	expect_rule("ABORTED");
}

Test(explain, the_failure_of_its_update)
{
	device->script = FW_UNHEALTHY;
	begin();
	cr_assert(fw_until(world, "r-1", "halted", 20));
	expect_rule("HEALTH");
}

Test(explain, what_it_refused_as_forged)
{
	static const enum ota_code codes[] = { OTA_E_SIGNATURE, OTA_E_THRESHOLD,
		OTA_E_DUPKEY, OTA_E_SEQUENCE, OTA_E_FORMAT, OTA_E_AGREEMENT,
		OTA_E_SHARE };

	begin();
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		device->report.error = codes[i];
		report();
		expect_rule(ota_code_name(codes[i]));
	}
}

Test(explain, an_expired_document_also_without_a_rollout)
{
	device->report.error = OTA_E_EXPIRED;
	report();
	expect_rule("EXPIRED");
}

/* A newer order takes the place of a forged one at once; what the forged one met with
 * stays to be read, over a restart as well. */
static void expect_refused(enum ota_code code, const char *text)
{
	for (int i = 0; i < 2; i++) {
		OTA_AUTO(ota_json_fini)
		cJSON *shown = core_device_json(world->core, world->now, "lab-1");
		OTA_AUTO(ota_json_fini)
		cJSON *explained = core_explain_json(world->core, world->now, "lab-1");

		cr_expect_eq(fw_number(shown, "refused.number"), (uint64_t)code);
		cr_expect_eq(fw_number(explained, "refused.number"), (uint64_t)code);
		cr_expect_str_eq(fw_text(explained, "refused.name"), ota_code_name(code));
		cr_expect_str_eq(fw_text(explained, "refused.text"), text);
		cr_expect_neq(fw_number(explained, "refused.at"), 0);
		fw_restart(world);
		device = fw_device(world, "lab-1");
	}
}

static void say_trouble(enum ota_code error, enum ota_code wait, const char *text)
{
	device->report.error = error;
	device->report.wait = wait;
	(void)snprintf(
		device->report.error_text, sizeof device->report.error_text, "%s", text);
	report();
}

Test(explain, the_last_refusal_after_it_has_gone)
{
	OTA_AUTO(ota_json_fini)
	cJSON *before = core_explain_json(world->core, world->now, device->id);

	cr_expect_str_eq(fw_text(before, "refused.name"), "", "nothing yet");
	say_trouble(OTA_E_SHARE, OTA_OK, "order opens all");
	say_trouble(OTA_OK, OTA_E_WINDOW, "closed");
	expect_refused(OTA_E_SHARE, "order opens all");
	say_trouble(OTA_OK, OTA_E_NOGRANT, "no grant");
	say_trouble(OTA_OK, OTA_OK, "");
	expect_refused(OTA_E_NOGRANT, "no grant");
	say_trouble(OTA_E_HEALTH, OTA_OK, "sick");
	expect_refused(OTA_E_NOGRANT, "no grant");
}

Test(explain, alarms_stand_in_the_status)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;

	device->report.error = OTA_E_DUPKEY;
	report();
	tree = core_status_json(world->core, world->now);
	cr_expect_str_eq(fw_text(tree, "alarms.0.device"), "lab-1");
	cr_expect_str_eq(fw_text(tree, "alarms.0.error_name"), "DUPKEY");
	cr_expect_eq(fw_number(tree, "devices.total"), 6);
	cr_expect_eq(fw_number(tree, "devices.online"), 6);
}
