#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(rollout, .init = open_world, .fini = close_world);

#define STAGES                                                                     \
	"\"stages\":["                                                             \
	"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":60},"   \
	"{\"name\":\"few\",\"cohort\":\"fleet\",\"count\":3,\"soak_s\":60},"       \
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":0}]," \
	"\"gates\":{\"silence_s\":60},"                                            \
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60},"

static const char to_revert[] = "{\"rollout\":\"r-1\"," STAGES "\"on_halt\":\"revert\"}";
static const char to_pause[] = "{\"rollout\":\"r-1\"," STAGES "\"on_halt\":\"pause\"}";

/* Releases 1.0 and 2.0, and devices that run 1.0. */
static struct ota_digest prepare(enum fw_script lab, unsigned fleet)
{
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, lab);
	fw_add_devices(world, "fleet", fleet, FW_GOOD);
	return fw_release(world, "2.0", 2);
}

static void begin(const char *json, const struct ota_digest *release)
{
	struct ota_error err = { .text = "" };

	cr_assert_eq(fw_apply(world, json, release, &err), OTA_OK, "%s", err.text);
}

static void expect_state(const char *state, unsigned steps)
{
	cr_assert(fw_until(world, "r-1", state, steps), "%s instead of %s",
		fw_state(world, "r-1"), state);
}

static void expect_reason(enum ota_code code)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	cr_expect_eq(fw_number(tree, "reason_number"), (uint64_t)code, "%s: %s",
		fw_text(tree, "reason_name"), fw_text(tree, "reason"));
}

static uint64_t stage_number(unsigned stage, const char *member)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");
	char path[64];

	(void)snprintf(path, sizeof path, "stages.%u.%s", stage, member);
	return fw_number(tree, path);
}

/* ---- the good way */

Test(rollout, passes_all_stages_and_completes)
{
	struct ota_digest release = prepare(FW_GOOD, 10);

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("completed", 100);
	cr_expect_eq(fw_count_running(world, "2.0"), 12);
	for (unsigned i = 0; i < world->device_count; i++)
		cr_expect_eq(world->devices[i].installs, 1);
	cr_expect_eq(stage_number(1, "counts.confirmed"), 3);
	cr_expect_eq(stage_number(2, "counts.confirmed"), 7);
}

Test(rollout, a_stage_begins_only_after_the_one_before_has_soaked)
{
	struct ota_digest release = prepare(FW_GOOD, 10);
	struct ota_order order;

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("soaking", 20);
	cr_expect_not(fw_order(world, "fleet", &order), "no order before its stage");
	cr_expect_eq(fw_count_running(world, "2.0"), 2);
	cr_assert(fw_until(world, "r-1", "running", 20));
	cr_expect_geq(stage_number(1, "started_s"), stage_number(0, "started_s") + 60);
	cr_expect(fw_order(world, "fleet", &order));
}

Test(rollout, publishes_one_patch_for_a_fleet_of_one_image)
{
	struct ota_digest release = prepare(FW_GOOD, 10);
	struct ota_order order;

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("completed", 100);
	cr_assert(fw_order(world, "fleet", &order));
	cr_expect_eq(order.patch_count, 1);
	cr_expect_not(ota_digest_is_zero(&order.patches[0].from));
	cr_expect_eq(world->on_broker_count, 1);
}

Test(rollout, makes_a_full_patch_for_an_image_nobody_knows)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	struct fw_device *odd = fw_device(world, "lab-1");
	struct ota_order order;

	odd->report.running = ota_digest_of(ota_bytes_of("custom"));
	cr_assert_eq(fw_report(world, odd), OTA_OK);
	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("completed", 100);
	cr_assert(fw_order(world, "lab", &order));
	cr_expect_eq(order.patch_count, 2);
	cr_expect(ota_digest_is_zero(&order.patches[0].from), "the full one is first");
}

Test(rollout, issues_no_order_before_its_patches_are_made)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	struct ota_order order;

	world->keep_asked = true;
	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	for (int i = 0; i < 5; i++)
		fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "preparing");
	cr_expect_str_eq(fw_rule(world, "lab-1"), "PREPARING");
	cr_expect_not(fw_order(world, "lab", &order));
	world->keep_asked = false;
	expect_state("completed", 100);
}

Test(rollout, a_newcomer_with_another_image_gets_a_patch_of_its_own)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	struct fw_device *late;

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("completed", 100);
	(void)fw_release(world, "0.9", 1);
	fw_add_devices(world, "late", 1, FW_GOOD);
	late = fw_device(world, "late-1");
	late->report.running = ota_digest_of(ota_bytes_of("0.9"));
	cr_assert_eq(fw_report(world, late), OTA_OK);
	for (int i = 0; i < 8; i++)
		fw_step(world);
	cr_expect_str_eq(late->report.version, "2.0");
}

static unsigned patches_to(const char *version)
{
	struct ota_digest image = ota_digest_of(ota_bytes_of(version));
	char hex[OTA_DIGEST_HEX_CAP];
	unsigned count = 0;

	ota_digest_hex(&image, hex);
	for (size_t i = 0; i < world->row_count; i++) {
		struct ota_buf *value = &world->rows[i].value;

		if (world->rows[i].table == CORE_PATCH && value->len > 0)
			count += strstr(strstr(ota_buf_text(value), "\"to\""), hex) !=
				 NULL;
	}
	return count;
}

Test(rollout, a_finished_one_sends_nothing_to_devices_that_a_newer_one_took)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	unsigned before;

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("completed", 100);
	before = patches_to("2.0");
	cr_assert_gt(before, 0);
	release = fw_release(world, "3.0", 3);
	fw_grant(world, &release, 1000, NULL);
	begin("{\"rollout\":\"r-2\",\"stages\":[{\"name\":\"lab\",\"cohort\":\"lab\","
	      "\"permille\":1000,\"soak_s\":0}]}",
		&release);
	cr_assert(fw_until(world, "r-2", "completed", 100), "%s", fw_state(world, "r-2"));
	cr_expect_gt(patches_to("3.0"), 0);
	cr_expect_eq(patches_to("2.0"), before);
}

/* ---- the bad ways */

Test(rollout, a_bad_release_stops_at_the_lab_and_goes_back)
{
	struct ota_digest release = prepare(FW_UNHEALTHY, 10);

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("halted", 60);
	expect_reason(OTA_E_SUCCESS);
	cr_expect_eq(fw_count_running(world, "2.0"), 0);
	for (unsigned i = 2; i < world->device_count; i++)
		cr_expect_eq(world->devices[i].installs, 0, "never saw it");
	cr_expect(strstr(world->actions, "rollout.halt rollout.revert") != NULL);
}

Test(rollout, confirmed_devices_flip_back_when_a_later_stage_fails)
{
	struct ota_digest release = prepare(FW_GOOD, 5);

	for (unsigned i = 2; i < world->device_count; i++)
		world->devices[i].script = FW_UNHEALTHY;
	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("reverting", 60);
	cr_expect_geq(fw_count_running(world, "2.0"), 1);
	expect_state("halted", 20);
	cr_expect_eq(fw_count_running(world, "2.0"), 0);
	cr_expect_eq(stage_number(0, "counts.reverted"), 2);
}

Test(rollout, one_hard_failure_halts_a_small_wave)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	fw_device(world, "lab-2")->script = FW_STUCK;
	fw_grant(world, &release, 1000, NULL);
	begin(to_pause, &release);
	expect_state("halted", 60);
	expect_reason(OTA_E_HARD);
	cr_expect_str_eq(fw_rule(world, "lab-2"), "ROLLBACK");
	cr_expect_str_eq(fw_rule(world, "fleet-1"), "HALTED");
}

Test(rollout, silence_after_taking_the_order_is_a_hard_failure)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	fw_device(world, "lab-1")->script = FW_BRICK;
	fw_grant(world, &release, 1000, NULL);
	begin(to_pause, &release);
	expect_state("halted", 60);
	expect_reason(OTA_E_HARD);
	cr_expect_eq(stage_number(0, "counts.hard"), 1);
	cr_expect_geq(world->now.utc_s, stage_number(0, "started_s") + 120,
		"not before its deadline");
}

Test(rollout, a_patch_that_cannot_be_made_halts_once_the_full_one_fails_too)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	struct ota_error why = { .text = "no space" };

	world->keep_asked = true;
	fw_grant(world, &release, 1000, NULL);
	begin(to_pause, &release);
	cr_assert_eq(world->asked_count, 1);
	core_patch_failed(world->core, world->now, &world->asked[0].from,
		&world->asked[0].to, &why);
	cr_expect_str_eq(fw_state(world, "r-1"), "preparing", "the full one is tried");
	cr_assert_eq(world->asked_count, 2);
	core_patch_failed(world->core, world->now, &world->asked[1].from,
		&world->asked[1].to, &why);
	cr_expect_str_eq(fw_state(world, "r-1"), "halted");
	expect_reason(OTA_E_NOPATCH);
}

/* ---- who is counted */

Test(rollout, devices_that_are_away_or_full_do_not_block_the_gate)
{
	struct ota_digest release = prepare(FW_GOOD, 6);
	struct fw_device *away = fw_device(world, "fleet-6");

	away->dead = true;
	fw_connect(world, away);
	fw_device(world, "fleet-1")->script = FW_NO_ROOM;
	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("completed", 200);
	cr_expect_eq(fw_count_running(world, "2.0"), 6);
	cr_expect_str_eq(fw_rule(world, "fleet-6"), "OFFLINE");
	cr_expect_str_eq(fw_rule(world, "fleet-1"), "NOSPACE");
	cr_expect_eq(
		stage_number(2, "counts.offline") + stage_number(1, "counts.offline"), 1);
}

Test(rollout, a_stage_nobody_can_be_reached_in_does_not_pass)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	for (unsigned i = 0; i < 2; i++) {
		world->devices[i].dead = true;
		fw_connect(world, &world->devices[i]);
	}
	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	for (int i = 0; i < 60; i++)
		fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "running");
	cr_expect_eq(fw_count_running(world, "2.0"), 0);
}

Test(rollout, a_connected_device_that_does_not_begin_blocks_the_gate)
{
	struct ota_digest release = prepare(FW_MUTE, 3);

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	for (int i = 0; i < 100; i++)
		fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "running");
	cr_expect_eq(stage_number(0, "counts.pending"), 2);
}

/* Stands in a step before the write, and waits. */
static void park(const char *id, enum ota_code wait)
{
	struct fw_device *d = fw_device(world, id);

	d->script = FW_MUTE;
	memcpy(d->report.rollout, "r-1", 4);
	d->report.state = OTA_UPDATE_OFFERED;
	d->report.wait = wait;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	d->dead = true; /* says nothing more, and is online */
}

Test(rollout, a_device_that_waits_for_its_window_is_not_silent_for_a_day)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	fw_grant(world, &release, 1000, NULL);
	begin(to_pause, &release);
	park("lab-1", OTA_E_WINDOW);
	for (int i = 0; i < 60; i++)
		fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "running");
	cr_expect_str_eq(fw_rule(world, "lab-1"), "WINDOW");
	world->now.utc_s += 100000;
	world->now.mono_ms += 100000000;
	fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "halted");
}

Test(rollout, an_offer_that_finds_no_room_is_excused)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	fw_grant(world, &release, 1000, NULL);
	begin(to_pause, &release);
	park("lab-1", OTA_E_NOSPACE);
	expect_state("completed", 200);
	cr_expect_eq(stage_number(0, "counts.excused"), 1);
	cr_expect_str_eq(fw_rule(world, "lab-1"), "NOSPACE");
}

Test(rollout, a_device_that_is_connected_stays_so_over_a_restart)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	fw_device(world, "lab-2")->script = FW_MUTE;
	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	for (int i = 0; i < 60; i++)
		fw_step(world);
	fw_restart(world);
	fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "running");
}

Test(rollout, a_claim_without_a_reboot_is_no_success)
{
	struct ota_digest release = prepare(FW_MUTE, 3);
	struct fw_device *liar = fw_device(world, "lab-1");

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	fw_step(world);
	memcpy(liar->report.rollout, "r-1", 4);
	liar->report.state = OTA_UPDATE_OFFERED;
	cr_assert_eq(fw_report(world, liar), OTA_OK);
	liar->report.state = OTA_UPDATE_CONFIRMED;
	liar->report.running = ota_digest_of(ota_bytes_of("2.0"));
	cr_assert_eq(fw_report(world, liar), OTA_OK);
	cr_expect_eq(stage_number(0, "counts.confirmed"), 0);
	liar->report.boot++;
	cr_assert_eq(fw_report(world, liar), OTA_OK);
	cr_expect_eq(stage_number(0, "counts.confirmed"), 1);
}

Test(rollout, a_refused_forgery_holds_the_gate_until_somebody_looked)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	struct fw_device *target = fw_device(world, "lab-1");

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("soaking", 20);
	target->report.error = OTA_E_SIGNATURE;
	cr_assert_eq(fw_report(world, target), OTA_OK);
	for (int i = 0; i < 30; i++)
		fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "soaking");
	cr_expect_str_eq(fw_rule(world, "lab-1"), "SIGNATURE");
	cr_expect_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	expect_state("completed", 60);
}

/* ---- grants */

Test(rollout, waits_for_a_grant)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	begin(to_revert, &release);
	for (int i = 0; i < 10; i++)
		fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "waiting-for-grant");
	cr_expect_str_eq(fw_rule(world, "lab-1"), "NOGRANT");
	cr_expect_eq(fw_count_running(world, "2.0"), 0);
	fw_grant(world, &release, 1000, NULL);
	expect_state("completed", 100);
}

Test(rollout, waits_where_the_grant_is_narrower_than_the_stage)
{
	struct ota_digest release = prepare(FW_GOOD, 10);
	struct ota_order order;

	world->devices[1].script = FW_GOOD;
	fw_grant(world, &release, 999, NULL);
	begin(to_revert, &release);
	for (int i = 0; i < 10; i++)
		fw_step(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "waiting-for-grant");
	expect_reason(OTA_E_SHARE);
	cr_expect_not(fw_order(world, "lab", &order));
	fw_grant(world, &release, 1000, NULL);
	expect_state("completed", 100);
}

Test(rollout, a_grant_made_narrower_narrows_the_order_and_waits)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	struct ota_order order;

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	fw_grant(world, &release, 10, NULL);
	cr_expect_str_eq(fw_state(world, "r-1"), "waiting-for-grant");
	cr_assert(fw_order(world, "lab", &order));
	cr_expect_eq(order.permille, 10);
	fw_grant(world, &release, 1000, NULL);
	expect_state("completed", 100);
}

Test(rollout, named_canaries_need_to_be_canaries_of_the_grant)
{
	static const char named[] =
		"{\"rollout\":\"r-1\",\"stages\":[{\"name\":\"one\",\"cohort\":\"fleet\","
		"\"devices\":[\"fleet-2\"],\"soak_s\":0}]}";
	struct ota_digest release = prepare(FW_GOOD, 3);

	fw_grant(world, &release, 1000, NULL);
	begin(named, &release);
	cr_expect_str_eq(fw_state(world, "r-1"), "waiting-for-grant");
	fw_grant(world, &release, 0, "fleet-2");
	expect_state("completed", 20);
	cr_expect_eq(fw_count_running(world, "2.0"), 1);
	cr_expect_str_eq(fw_device(world, "fleet-2")->report.version, "2.0");
}

/* ---- people */

Test(rollout, pausing_stops_it_and_resuming_goes_on)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	struct ota_order order;

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	cr_assert_eq(fw_steer(world, "r-1", "pause"), OTA_OK);
	cr_assert(fw_order(world, "lab", &order));
	cr_expect_eq(order.state, OTA_ORDER_PAUSE);
	for (int i = 0; i < 60; i++)
		fw_step(world);
	cr_expect_eq(fw_count_running(world, "2.0"), 0);
	cr_expect_str_eq(fw_rule(world, "lab-1"), "PAUSED");
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	expect_state("completed", 100);
}

Test(rollout, aborting_ends_it_and_frees_its_cohorts)
{
	struct ota_digest release = prepare(FW_GOOD, 3);
	struct ota_order order;

	begin(to_revert, &release);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_steer(world, "r-1", "abort"), OTA_OK);
	cr_assert(fw_order(world, "lab", &order));
	cr_expect_eq(order.state, OTA_ORDER_ABORT);
	cr_expect_eq(fw_steer(world, "r-1", "resume"), OTA_E_STATE);
	cr_expect_eq(world->on_broker_count, 0, "its patches are released");
}

Test(rollout, a_completed_rollout_can_be_reverted)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	fw_grant(world, &release, 1000, NULL);
	begin(to_revert, &release);
	expect_state("completed", 100);
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	expect_state("halted", 20);
	cr_expect_eq(fw_count_running(world, "1.0"), 5);
	cr_expect_eq(fw_steer(world, "r-1", "resume"), OTA_E_CONFLICT);
}

Test(rollout, resuming_after_a_halt_acknowledges_the_failures)
{
	struct ota_digest release = prepare(FW_GOOD, 3);

	fw_device(world, "lab-2")->script = FW_UNHEALTHY;
	fw_grant(world, &release, 1000, NULL);
	begin(to_pause, &release);
	expect_state("halted", 60);
	fw_device(world, "lab-2")->script = FW_GOOD;
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	expect_state("completed", 100);
	cr_expect_eq(fw_count_running(world, "2.0"), 5);
}
