#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* What goes wrong around a rollout: restarts at every step, a restored store, replays,
 * people who ask for what cannot be; and what holds whatever happens. */

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(rollout_faults, .init = open_world, .fini = close_world);

#define STAGES                                                                     \
	"\"stages\":["                                                             \
	"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":60},"   \
	"{\"name\":\"few\",\"cohort\":\"fleet\",\"count\":3,\"soak_s\":60},"       \
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":0}]," \
	"\"gates\":{\"silence_s\":60},"                                            \
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60},"

static const char to_revert[] = "{\"rollout\":\"r-1\"," STAGES "\"on_halt\":\"revert\"}";
static const char again[] = "{\"rollout\":\"r-2\"," STAGES "\"on_halt\":\"revert\"}";

/* ---- restarts */

struct outcome {
	char actions[sizeof((struct fw_world *)0)->actions];
	char state[OTA_NAME_CAP];
	unsigned running;
	uint64_t seq;
};

/* A long story with every kind of call, told to an empty world. */
static void tell(bool restarts, enum fw_script lab, struct outcome *out)
{
	struct ota_digest release;
	struct ota_order order = { 0 };

	fw_close(world);
	world = fw_open();
	world->restarts = restarts;
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, lab);
	fw_add_devices(world, "fleet", 6, FW_GOOD);
	fw_device(world, "fleet-1")->script = FW_NO_ROOM;
	release = fw_release(world, "2.0", 2);
	cr_assert_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
	for (int i = 0; i < 3; i++)
		fw_step(world);
	fw_grant(world, &release, 500, NULL);
	fw_step(world);
	fw_grant(world, &release, 1000, NULL);
	for (int i = 0; i < 2; i++)
		fw_step(world);
	cr_assert_eq(fw_steer(world, "r-1", "pause"), OTA_OK);
	for (int i = 0; i < 8; i++)
		fw_step(world);
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	for (int i = 0; i < 60; i++)
		fw_step(world);

	memcpy(out->actions, world->actions, sizeof out->actions);
	(void)snprintf(out->state, sizeof out->state, "%s", fw_state(world, "r-1"));
	out->running = fw_count_running(world, "2.0");
	(void)fw_order(world, "lab", &order);
	out->seq = order.seq;
}

static void expect_same(enum fw_script lab)
{
	struct outcome whole = { 0 }, broken = { 0 };

	tell(false, lab, &whole);
	tell(true, lab, &broken);
	cr_assert_gt(world->restart_count, 100);
	cr_expect_str_eq(broken.actions, whole.actions);
	cr_expect_str_eq(broken.state, whole.state);
	cr_expect_eq(broken.running, whole.running);
	cr_expect_eq(broken.seq, whole.seq, "no order is doubled");
}

Test(rollout_faults, a_restart_after_every_call_changes_nothing_of_a_good_rollout)
{
	expect_same(FW_GOOD);
	cr_expect_str_eq(fw_state(world, "r-1"), "completed");
}

Test(rollout_faults, a_restart_after_every_call_changes_nothing_of_a_bad_one)
{
	expect_same(FW_UNHEALTHY);
	cr_expect_str_eq(fw_state(world, "r-1"), "halted");
}

Test(rollout_faults, a_restart_after_every_call_changes_nothing_of_a_silent_one)
{
	expect_same(FW_BRICK);
	cr_expect_str_eq(fw_state(world, "r-1"), "halted");
}

Test(rollout_faults, a_restart_while_patches_are_made_asks_for_them_again)
{
	struct ota_digest release;

	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 1, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	world->keep_asked = true;
	cr_assert_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
	cr_assert_eq(world->asked_count, 1);
	fw_restart(world);
	cr_expect_eq(world->asked_count, 1);
}

Test(rollout_faults, a_damaged_row_is_refused)
{
	struct core_port port = { 0 };
	struct core *core = core_new(&port, FW_FLEET);
	struct ota_error err = { 0 };

	cr_expect_eq(core_load(core, CORE_DEVICE, "x", ota_bytes_of("{\"id\":"), &err),
		OTA_E_FORMAT);
	cr_expect_eq(core_load(core, CORE_DEVICE, "x", ota_bytes_of("{}"), &err), OTA_OK);
	cr_expect_neq(
		core_start(core, world->now, ota_buf_bytes(&world->root), &err), OTA_OK);
	cr_expect(strstr(err.text, "stored device 'x'") != NULL, "%s", err.text);
	core_free(core);
}

Test(rollout_faults, an_online_key_the_root_does_not_know_is_refused_at_the_start)
{
	struct ota_error err = { 0 };

	world->keys[OTA_ROLE_ONLINE] = world->keys[OTA_ROLE_OPERATOR];
	cr_expect_eq(fw_try_start(world, &err), OTA_E_SIGNATURE);
	cr_expect(strstr(err.text, "online key under root 1") != NULL, "%s", err.text);
}

/* ---- documents */

Test(rollout_faults, another_online_key_signs_all_that_is_in_force_again)
{
	struct ota_digest release;

	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 4, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
	fw_step(world);
	fw_rotate(world);
	cr_expect(fw_until(world, "r-1", "completed", 100)); /* devices verify it all */
	fw_restart(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "completed");
}

Test(rollout_faults, a_release_that_leaves_the_catalog_halts_its_rollout)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct ota_digest release;

	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 4, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
	fw_withdraw(world);
	cr_expect_str_eq(fw_state(world, "r-1"), "halted", "nobody had begun");
	tree = core_rollout_json(world->core, world->now, "r-1");
	cr_expect_str_eq(fw_text(tree, "reason_name"), "UNLISTED");
}

/* ---- what devices may send */

Test(rollout_faults, an_old_report_is_refused_and_the_same_again_is_not)
{
	struct fw_device *d;

	fw_add_devices(world, "lab", 1, FW_GOOD);
	d = fw_device(world, "lab-1");
	cr_assert_eq(fw_report(world, d), OTA_OK);
	d->report.counter -= 1; /* fw_report() counts up by one */
	cr_expect_eq(fw_report(world, d), OTA_OK, "the broker hands it out again");
	d->report.counter -= 2;
	cr_expect_eq(fw_report(world, d), OTA_E_SEQUENCE);
}

Test(rollout_faults, a_report_signed_by_another_device_is_refused)
{
	struct fw_device *d, *other;

	fw_add_devices(world, "lab", 2, FW_GOOD);
	d = fw_device(world, "lab-1");
	other = fw_device(world, "lab-2");
	d->key = other->key;
	cr_expect_eq(fw_report(world, d), OTA_E_SIGNATURE);
}

Test(rollout_faults, a_last_will_of_an_earlier_session_is_passed_over)
{
	struct ota_online will = { .online = false,
		.nonce = "ffffffffffffffffffffffffffffffff" };

	fw_add_devices(world, "lab", 1, FW_GOOD);
	cr_assert_eq(
		core_presence(world->core, world->now, "lab-1", &will, NULL), OTA_OK);
	cr_expect_str_neq(fw_rule(world, "lab-1"), "OFFLINE");
	memcpy(will.nonce, FW_NONCE, sizeof will.nonce);
	cr_assert_eq(
		core_presence(world->core, world->now, "lab-1", &will, NULL), OTA_OK);
	cr_expect_str_eq(fw_rule(world, "lab-1"), "OFFLINE");
}

Test(rollout_faults, a_restored_store_jumps_ahead_of_what_devices_have_seen)
{
	struct ota_digest release;
	struct ota_order before, now;
	struct fw_device *d;

	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 1, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
	cr_assert(fw_order(world, "lab", &before));
	d = fw_device(world, "lab-1");
	memcpy(d->report.cohort, "lab", 4);
	d->report.order_seq = before.seq + 40;
	d->report.fresh_seq = 500;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	cr_assert(fw_order(world, "lab", &now));
	cr_expect_eq(now.seq, before.seq + 41);
	d->report.order_seq = OTA_JSON_NUMBER_MAX;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	cr_assert(fw_order(world, "lab", &now));
	cr_expect_eq(now.seq, before.seq + 41, "a device cannot use the numbers up");
}

static uint64_t newest_fresh(void)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_FRESH };
	struct ota_envelope e;
	struct ota_fresh fresh;

	cr_assert_eq(
		ota_envelope_parse(fw_topic_payload(world, &topic), &e, NULL), OTA_OK);
	cr_assert_eq(ota_fresh_parse(e.payload, &fresh, NULL), OTA_OK);
	return fresh.seq;
}

Test(rollout_faults, a_fresh_of_the_same_number_elsewhere_is_outnumbered_once)
{
	struct fw_device *d;
	uint64_t seq;

	fw_add_devices(world, "lab", 1, FW_GOOD);
	d = fw_device(world, "lab-1");
	seq = newest_fresh();
	d->report.fresh_seq = seq;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	cr_expect_eq(newest_fresh(), seq, "all is well");
	d->report.error = OTA_E_SEQUENCE;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	cr_expect_eq(newest_fresh(), seq + 1);
	d->report.fresh_seq = seq + 1;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	cr_expect_eq(newest_fresh(), seq + 1, "a refusal that stands is answered once");
}

/* ---- what people may ask for */

Test(rollout_faults, applying_the_same_file_twice_begins_one_rollout)
{
	struct ota_digest release;

	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 1, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	cr_assert_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
	cr_expect_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
	cr_expect_eq(fw_apply(world, again, &release, NULL), OTA_E_CONFLICT);
	cr_assert_eq(fw_steer(world, "r-1", "abort"), OTA_OK);
	cr_expect_eq(fw_apply(world, again, &release, NULL), OTA_OK);
}

static enum ota_code apply_with(const char *stages, const struct ota_digest *release)
{
	char json[512];

	(void)snprintf(
		json, sizeof json, "{\"rollout\":\"r-1\",\"stages\":[%s]}", stages);
	return fw_apply(world, json, release, NULL);
}

Test(rollout_faults, a_rollout_that_cannot_be_is_refused_whole)
{
	static const char lab[] = "{\"name\":\"a\",\"cohort\":\"lab\",\"permille\":1000}";
	struct ota_digest none = { { 1 } }, release;
	struct fw_device *d;

	(void)fw_release(world, "1.0", 1);
	release = fw_release(world, "2.0", 2);
	cr_expect_eq(apply_with(lab, &none), OTA_E_NOTFOUND);
	cr_expect_eq(apply_with("{\"name\":\"a\",\"cohort\":\"lap\",\"permille\":1000}",
			     &release),
		OTA_E_CONFIG);
	cr_expect_eq(apply_with("{\"name\":\"a\",\"cohort\":\"lab\",\"devices\":[\"x\"]}",
			     &release),
		OTA_E_NOTFOUND);
	fw_add_devices(world, "lab", 1, FW_GOOD);
	d = fw_device(world, "lab-1");
	memcpy(d->report.hardware, "gw-999", 7);
	cr_assert_eq(fw_report(world, d), OTA_OK);
	cr_expect_eq(apply_with(lab, &release), OTA_E_HARDWARE);
	cr_expect_str_eq(fw_state(world, "r-1"), "", "nothing was begun");
}

Test(rollout_faults, another_key_for_a_registered_device_is_refused)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	struct fw_device other;

	fw_add_devices(world, "lab", 1, FW_GOOD);
	fw_device_init(world, &other, "lab", 2);
	memcpy(other.id, "lab-1", 6);
	fw_device_registration(&other, "lab", tree);
	cr_expect_eq(core_add_device(world->core, world->now, "enrol", tree, NULL),
		OTA_E_CONFLICT);
}

Test(rollout_faults, device_names_with_separators_are_refused)
{
	static const char *const names[] = { "a/b", "a+", "#", "..", "a..b", "", "A" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
		struct fw_device d;

		fw_device_init(world, &d, "lab", 1);
		(void)snprintf(d.id, sizeof d.id, "%s", names[i]);
		fw_device_registration(&d, "lab", tree);
		cr_expect_eq(core_add_device(world->core, world->now, "x", tree, NULL),
			OTA_E_NAME, "%s", names[i]);
	}
}

/* ---- time */

Test(rollout_faults, fresh_is_signed_anew_every_six_hours)
{
	unsigned before = world->fresh_count;

	world->now.utc_s += 21599;
	world->now.mono_ms += 21599000;
	(void)core_tick(world->core, world->now);
	cr_expect_eq(world->fresh_count, before);
	world->now.utc_s += 1;
	(void)core_tick(world->core, world->now);
	cr_expect_eq(world->fresh_count, before + 1);
}

Test(rollout_faults, an_idle_tick_writes_nothing)
{
	struct ota_digest release;
	size_t actions;

	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	cr_assert_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
	actions = strlen(world->actions);
	for (int i = 0; i < 100; i++) {
		world->now.utc_s++;
		world->now.mono_ms += 1000;
		cr_expect_gt(
			core_tick(world->core, world->now), world->now.mono_ms + 1000);
	}
	cr_expect_eq(strlen(world->actions), actions);
}

/* ---- what holds whatever happens, over seeds */

struct dice {
	uint64_t state;
};

static unsigned roll(struct dice *dice, unsigned sides)
{
	dice->state = dice->state * UINT64_C(6364136223846793005) +
		      UINT64_C(1442695040888963407);
	return (unsigned)(dice->state >> 33) % sides;
}

static uint64_t granted; /* the widest so far */

static void expect_within_grant(unsigned seed)
{
	static const char *const cohorts[] = { "lab", "fleet" };
	struct ota_order order;

	for (size_t i = 0; i < 2; i++)
		if (fw_order(world, cohorts[i], &order))
			cr_assert_leq(order.permille, granted, "seed %u", seed);
	for (unsigned i = 0; i < world->device_count; i++) {
		const struct fw_device *d = &world->devices[i];
		const uint8_t salt[OTA_SALT_LEN] = { 1, 2, 3, 4 };

		if (d->installs > 0)
			cr_assert_lt(ota_bucket(salt, d->id), granted, "seed %u", seed);
	}
}

static void expect_stages_in_turn(unsigned seed)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	for (unsigned i = 1; i < 3; i++) {
		char started[32], ended[32], before[32];

		(void)snprintf(started, sizeof started, "stages.%u.started_s", i);
		(void)snprintf(ended, sizeof ended, "stages.%u.ended_s", i - 1);
		(void)snprintf(before, sizeof before, "stages.%u.started_s", i - 1);
		if (fw_number(tree, started) == 0)
			continue;
		cr_assert_neq(fw_number(tree, ended), 0, "seed %u stage %u", seed, i);
		cr_assert_geq(fw_number(tree, started), fw_number(tree, before) + 60,
			"seed %u stage %u has not soaked", seed, i);
	}
}

static void live(struct dice *dice, const struct ota_digest *release, unsigned seed)
{
	static const char *const verbs[] = { "pause", "resume", "resume", "revert" };

	for (int i = 0; i < 80; i++) {
		unsigned chance = roll(dice, 40);

		if (chance < 2) {
			granted += roll(dice, 400);
			granted = granted > 1000 ? 1000 : granted;
			fw_grant(world, release, granted, NULL);
		} else if (chance < 5) {
			(void)fw_steer(world, "r-1", verbs[roll(dice, 4)]);
		} else if (chance < 7) {
			fw_restart(world);
		}
		fw_step(world);
		expect_within_grant(seed);
		expect_stages_in_turn(seed);
	}
}

Test(rollout_faults, no_stage_before_its_gate_and_never_beyond_the_grant)
{
	static const enum fw_script scripts[] = { FW_GOOD, FW_GOOD, FW_GOOD, FW_GOOD,
		FW_GOOD, FW_GOOD, FW_NO_ROOM, FW_UNHEALTHY, FW_BRICK, FW_STUCK };

	for (unsigned seed = 1; seed <= 25; seed++) {
		struct dice dice = { seed };
		struct ota_digest release;

		fw_close(world);
		world = fw_open();
		(void)fw_release(world, "1.0", 1);
		fw_add_devices(world, "lab", 2, FW_GOOD);
		fw_add_devices(world, "fleet", 8, FW_GOOD);
		for (unsigned i = 0; i < world->device_count; i++)
			world->devices[i].script = scripts[roll(&dice, 10)];
		release = fw_release(world, "2.0", 2);
		granted = roll(&dice, 2) * 1000;
		if (granted > 0)
			fw_grant(world, &release, granted, NULL);
		cr_assert_eq(fw_apply(world, to_revert, &release, NULL), OTA_OK);
		live(&dice, &release, seed);
	}
}
