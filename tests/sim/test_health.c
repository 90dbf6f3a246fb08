#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* A release that confirms everywhere and is worse all the same: incidents of updated
 * devices against those of the others, through the whole core. */

enum {
	DEVICES = 60,
	UPDATED = 15,
	BEAT_S = 600, /* between two looks at the fleet */
};

static struct fw_world *world;
static unsigned sessions; /* to tell them apart */
static const char *label; /* of all devices; NULL: none */

static void close_world(void)
{
	fw_close(world);
}

TestSuite(health, .fini = close_world);

/* A quarter of the fleet runs the release, and soaks. */
static void open_soaking(const char *gates)
{
	struct ota_error err = { .text = "" };
	struct ota_digest release;
	char json[512];

	world = fw_open();
	world->label = label;
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "fleet", DEVICES, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	(void)snprintf(json, sizeof json,
		"{\"rollout\":\"r-1\",\"limits\":{\"in_flight\":60,\"per_site_permille\":"
		"1000},\"gates\":{%s},\"stages\":["
		"{\"name\":\"some\",\"cohort\":\"fleet\",\"count\":%d,\"soak_s\":7000000}"
		","
		"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000}]}",
		gates, UPDATED);
	cr_assert_eq(fw_apply(world, json, &release, &err), OTA_OK, "%s", err.text);
	cr_assert(fw_until(world, "r-1", "soaking", 60));
}

static bool is_updated(const struct fw_device *d)
{
	return d->installs > 0;
}

static void pass(unsigned seconds)
{
	world->now.utc_s += seconds;
	world->now.mono_ms += UINT64_C(1000) * seconds;
	(void)core_tick(world->core, world->now);
}

static void say_online(struct fw_device *d, bool online)
{
	struct ota_online o = { .online = online };

	(void)snprintf(o.nonce, sizeof o.nonce, "%032x", sessions);
	cr_assert_eq(core_presence(world->core, world->now, d->id, &o, NULL), OTA_OK);
}

/* The broker takes a new session of a device that has one: the old one was lost. */
static void lose_session(struct fw_device *d)
{
	sessions++;
	say_online(d, true);
}

static uint64_t number(const char *path)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	return fw_number(tree, path);
}

static struct fw_device *nth(bool updated, unsigned n)
{
	for (unsigned i = 0; i < world->device_count; i++)
		if (is_updated(&world->devices[i]) == updated && n-- == 0)
			return &world->devices[i];
	cr_assert_fail("there are not so many");
	return NULL;
}

/* ---- what an incident is */

Test(health, a_session_that_is_lost_is_one)
{
	open_soaking("\"worse_cap\":8");
	lose_session(nth(true, 0));
	pass(1);
	cr_expect_eq(number("worse.updated"), 1);
	lose_session(nth(false, 0));
	pass(1);
	cr_expect_eq(number("worse.others"), 1);
	cr_expect_gt(number("worse.ratio_milli"), 1000);
}

Test(health, a_device_shows_when_it_had_some)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct fw_device *d;
	uint64_t at_s;

	open_soaking("\"worse_cap\":8");
	d = nth(false, 3);
	at_s = world->now.utc_s;
	lose_session(d);
	pass(BEAT_S);
	lose_session(d);
	tree = core_device_json(world->core, world->now, d->id);
	cr_expect_eq(fw_number(tree, "incidents.0"), at_s);
	cr_expect_eq(fw_number(tree, "incidents.1"), at_s + BEAT_S);
}

Test(health, a_boot_outside_of_an_update_is_one_and_with_its_session_they_are_one)
{
	struct fw_device *d;

	open_soaking("\"worse_cap\":8");
	d = nth(true, 0);
	lose_session(d);
	pass(60);
	d->report.boot++;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	pass(1);
	cr_expect_eq(number("worse.updated"), 1);
	pass(BEAT_S);
	d->report.boot++;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	pass(1);
	cr_expect_eq(number("worse.updated"), 2);
}

Test(health, updating_is_none)
{
	open_soaking("\"worse_cap\":8");
	pass(1);
	cr_expect_eq(number("worse.updated"), 0, "each has booted once");
	cr_expect_eq(number("worse.others"), 0);
	for (size_t i = 0; i < world->row_count; i++)
		if (world->rows[i].table == CORE_STATUS)
			cr_expect_not_null(strstr(ota_buf_text(&world->rows[i].value),
						   "\"incidents\":[]"),
				"%s", world->rows[i].key);
}

Test(health, falling_back_later_is_one)
{
	struct fw_device *d;

	open_soaking("\"worse_cap\":8,\"success_permille\":500");
	d = nth(true, 0);
	d->report.boot++;
	d->report.running = d->old;
	memcpy(d->report.version, d->old_version, sizeof d->report.version);
	d->report.state = OTA_UPDATE_FAILED;
	d->report.error = OTA_E_REVERTED;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	pass(1);
	cr_expect_eq(number("worse.updated"), 1);
	pass(BEAT_S);
	lose_session(d);
	pass(1);
	cr_expect_eq(number("worse.updated"), 1, "it does not run the release any more");
	cr_expect_eq(number("worse.others"), 0);
}

Test(health, one_device_that_flaps_does_not_halt_a_rollout)
{
	open_soaking("\"alpha_ppm\":50000,\"beta_ppm\":50000");
	for (int i = 0; i < 100; i++) {
		lose_session(nth(true, 0));
		pass(BEAT_S);
	}
	cr_expect_eq(number("worse.updated"), 2);
	cr_expect_str_eq(fw_state(world, "r-1"), "soaking");
}

static void cut_the_line_of_the_updated(void)
{
	open_soaking("\"worse_cap\":8,\"alpha_ppm\":50000,\"beta_ppm\":50000");
	for (unsigned i = 0; i < UPDATED; i++)
		lose_session(nth(true, i));
	pass(1);
}

Test(health, a_line_that_a_whole_site_hangs_on_counts_once)
{
	label = "site=berlin";
	cut_the_line_of_the_updated();
	cr_expect_eq(number("worse.updated"), 1);
	cr_expect_str_eq(fw_state(world, "r-1"), "soaking");
	fw_close(world);
	label = NULL;
	cut_the_line_of_the_updated();
	cr_expect_str_eq(fw_state(world, "r-1"), "halted", "nobody said it was one site");
}

/* ---- what it promises, over seeds */

/* SplitMix64 */
static double roll(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* Beats until it halts; 0: not within so many. Odds of an incident in a beat. */
static unsigned live(uint64_t seed, double ratio, unsigned beats)
{
	uint64_t dice = seed;

	for (unsigned beat = 1; beat <= beats; beat++) {
		for (unsigned i = 0; i < world->device_count; i++) {
			struct fw_device *d = &world->devices[i];

			if (roll(&dice) < 0.01 * (is_updated(d) ? ratio : 1))
				lose_session(d);
		}
		pass(BEAT_S);
		if (strcmp(fw_state(world, "r-1"), "halted") == 0)
			return beat;
	}
	return 0;
}

#define TWO_PERCENT "\"alpha_ppm\":20000,\"beta_ppm\":20000,\"worse_cap\":8"

Test(health, a_release_that_changes_nothing_is_hardly_ever_halted)
{
	unsigned halts = 0;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		open_soaking(TWO_PERCENT);
		halts += live(seed, 1, 200) > 0;
		if (seed < 40)
			fw_close(world);
	}
	cr_expect_leq(halts, 1, "%u of 40", halts);
}

Test(health, a_release_five_times_worse_is_halted_soon_and_says_why)
{
	for (uint64_t seed = 1; seed <= 8; seed++) {
		OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
		unsigned beats;

		open_soaking(TWO_PERCENT);
		beats = live(seed, 5, 200);
		cr_expect(beats > 0 && beats < 72, "half a day: %u", beats);
		tree = core_rollout_json(world->core, world->now, "r-1");
		cr_expect_str_eq(fw_text(tree, "reason_name"), "WORSE");
		cr_expect_gt(fw_number(tree, "worse.ratio_milli"), 1500);
		cr_expect_geq(fw_number(tree, "worse.llr_milli") + 1,
			fw_number(tree, "worse.halts_milli"));
		if (seed < 8)
			fw_close(world);
	}
}

Test(health, an_outage_that_hits_all_alike_does_not_halt)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		uint64_t dice = seed;

		open_soaking(TWO_PERCENT);
		for (unsigned beat = 0; beat < 12; beat++) {
			for (unsigned i = 0; i < world->device_count; i++)
				if (roll(&dice) < 0.8)
					lose_session(&world->devices[i]);
			pass(BEAT_S);
		}
		cr_expect_str_eq(
			fw_state(world, "r-1"), "soaking", "seed %u", (unsigned)seed);
		cr_expect_gt(number("worse.others"), 60);
		if (seed < 10)
			fw_close(world);
	}
}

Test(health, whoever_is_away_has_none)
{
	open_soaking("\"worse_cap\":8");
	sessions++;
	for (unsigned i = 0; i < world->device_count; i++)
		if (!is_updated(&world->devices[i])) {
			lose_session(&world->devices[i]);
			say_online(&world->devices[i], false);
		}
	pass(1);
	pass(BEAT_S);
	cr_assert_eq(number("worse.others"), DEVICES - UPDATED);
	lose_session(nth(true, 0));
	pass(1);
	cr_expect_eq(number("worse.updated"), 0, "there is nobody to compare it with");
}

/* ---- what is kept */

Test(health, a_restart_after_every_call_forgets_nothing)
{
	open_soaking(TWO_PERCENT);
	for (int i = 0; i < 3; i++) {
		lose_session(nth(true, 0));
		pass(BEAT_S);
	}
	fw_restart(world);
	cr_expect_eq(number("worse.updated"), 3);
	fw_restart(world);
	lose_session(nth(true, 1));
	pass(1);
	cr_expect_eq(number("worse.updated"), 4);
}

Test(health, a_person_who_resumes_begins_the_count_anew)
{
	open_soaking(TWO_PERCENT);
	cr_assert_gt(live(3, 8, 200), 0);
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	cr_expect_eq(number("worse.updated"), 0);
	cr_expect_eq(number("worse.llr_milli"), 0);
	cr_expect_str_eq(fw_state(world, "r-1"), "soaking");
}

Test(health, a_file_may_turn_it_off)
{
	open_soaking("\"worse_permille\":0");
	cr_expect_eq(live(3, 20, 100), 0);
	cr_expect_eq(number("worse.updated"), 0);
}
