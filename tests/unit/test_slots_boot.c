#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "agent/port/slots.h"
#include "proto/base/own.h"
#include "tests/unit/temporary.h"

/* Slots beside a boot loader that keeps what it was told, and whose power can be cut
 * before any of its calls. */

struct loader {
	unsigned current, primary, tries;
	enum slot_state states[SLOT_COUNT];
	unsigned calls, cut_at;  /* the change that fails, from 1 on; 0: none */
	unsigned asked, mute_at; /* the same of questions */
};

static struct loader loader;
static struct agent_slot_config config;

static enum ota_code change(struct loader *l, struct ota_error *err)
{
	return ++l->calls == l->cut_at ? ota_fail(err, OTA_E_IO, "power is cut") : OTA_OK;
}

static enum ota_code ask(struct loader *l, struct ota_error *err)
{
	return ++l->asked == l->mute_at ? ota_fail(err, OTA_E_IO, "no answer") : OTA_OK;
}

static enum ota_code get_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	*slot = ((struct loader *)ctx)->current;
	return ask(ctx, err);
}

static enum ota_code get_primary(void *ctx, unsigned *slot, struct ota_error *err)
{
	*slot = ((struct loader *)ctx)->primary;
	return ask(ctx, err);
}

static enum ota_code set_primary(
	void *ctx, unsigned slot, unsigned tries, struct ota_error *err)
{
	struct loader *l = ctx;

	if (change(l, err) != OTA_OK)
		return OTA_E_IO;
	l->primary = slot;
	l->tries = tries;
	return OTA_OK;
}

static enum ota_code get_state(
	void *ctx, unsigned slot, enum slot_state *out, struct ota_error *err)
{
	*out = ((struct loader *)ctx)->states[slot];
	return ask(ctx, err);
}

static enum ota_code set_state(
	void *ctx, unsigned slot, enum slot_state state, struct ota_error *err)
{
	struct loader *l = ctx;

	if (change(l, err) != OTA_OK)
		return OTA_E_IO;
	l->states[slot] = state;
	return OTA_OK;
}

static void set_up(void)
{
	temporary_make();
	config = (struct agent_slot_config){ .initial_version = "1.0",
		.initial_counter = 7,
		.initial_len = 9,
		.type = AGENT_SLOT_BLOCK };
	(void)snprintf(config.devices[0], AGENT_PATH_CAP, "%s/a", temporary_dir);
	(void)snprintf(config.devices[1], AGENT_PATH_CAP, "%s/b", temporary_dir);
	temporary_write("a", "image one and more");
	temporary_write("b", "image two and more");
	loader = (struct loader){ .states = { SLOT_GOOD, SLOT_BAD } };
}

TestSuite(slots_boot, .init = set_up, .fini = temporary_remove);

static enum ota_code try_open(struct slots *out, struct ota_error *err)
{
	const struct boot_loader boot = { .ctx = &loader,
		.get_current = get_current,
		.get_primary = get_primary,
		.set_primary = set_primary,
		.get_state = get_state,
		.set_state = set_state };
	const struct slots_origin origin = { .config = &config,
		.state_dir = temporary_dir,
		.boot = &boot,
		.boot_id = { { 1 } } };

	return slots_open(&origin, out, err);
}

static struct slots open_slots(void)
{
	struct slots slots = { .record = { .fd = -1 } };
	struct ota_error err = { 0 };

	cr_assert_eq(try_open(&slots, &err), OTA_OK, "%s", err.text);
	return slots;
}

static const struct slot_info *info(const struct slots *slots, unsigned slot)
{
	return &slots->table.slots[slot];
}

static struct slot_info image_two(enum slot_state state)
{
	return (struct slot_info){ .state = state,
		.image = ota_digest_of(ota_bytes_of("image two")),
		.image_len = 9 };
}

static enum ota_code arm(struct slots *slots)
{
	struct slot_port port = slots_port(slots);
	const struct slot_info trial = image_two(SLOT_TRIAL);
	enum ota_code rc = port.set_state(port.ctx, 1, &trial, NULL);

	return rc == OTA_OK ? port.set_primary(port.ctx, 1, NULL) : rc;
}

Test(slots_boot, what_runs_is_what_the_boot_loader_says)
{
	OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };

	loader.current = loader.primary = 1;
	loader.states[1] = SLOT_GOOD;
	slots = open_slots();
	cr_expect_eq(slots.table.current, 1);
	cr_expect_eq(slots.table.primary, 1);
	cr_expect_str_eq(info(&slots, 1)->version, "1.0");
	cr_expect_eq(info(&slots, 0)->state, SLOT_GOOD, "it said so too");
	cr_expect_eq(info(&slots, 0)->counter, 0, "but of another image");
}

Test(slots_boot, a_slot_on_trial_gets_its_tries_and_is_then_current)
{
	OTA_AUTO(slots_fini) struct slots slots = open_slots();

	cr_assert_eq(arm(&slots), OTA_OK);
	cr_expect_eq(loader.states[1], SLOT_TRIAL);
	cr_expect_eq(loader.tries, SLOT_TRIES);
	slots_fini(&slots);
	loader.current = 1;
	slots = open_slots();
	cr_expect_eq(slots.table.current, 1);
	cr_expect_eq(info(&slots, 1)->state, SLOT_TRIAL);
}

Test(slots_boot, a_slot_that_was_given_up_keeps_its_image_and_is_bad)
{
	OTA_AUTO(slots_fini) struct slots slots = open_slots();
	const struct slot_info two = image_two(SLOT_BAD);

	cr_assert_eq(arm(&slots), OTA_OK);
	slots_fini(&slots);
	loader.states[1] = SLOT_BAD;
	loader.primary = 0;
	slots = open_slots();
	cr_expect_eq(slots.table.primary, 0);
	cr_expect_eq(info(&slots, 1)->state, SLOT_BAD);
	cr_expect(ota_digest_equal(&info(&slots, 1)->image, &two.image));
}

/* X(boot loader before, recorded, boot loader after, recorded after) of the other slot */
static const enum slot_state disagreements[][4] = {
	{ SLOT_BAD, SLOT_TRIAL, SLOT_BAD, SLOT_BAD },
	{ SLOT_BAD, SLOT_GOOD, SLOT_BAD, SLOT_BAD },
	{ SLOT_TRIAL, SLOT_BAD, SLOT_BAD, SLOT_BAD },
	{ SLOT_GOOD, SLOT_BAD, SLOT_BAD, SLOT_BAD },
	{ SLOT_TRIAL, SLOT_GOOD, SLOT_GOOD, SLOT_GOOD },
	{ SLOT_GOOD, SLOT_TRIAL, SLOT_GOOD, SLOT_TRIAL },
	{ SLOT_TRIAL, SLOT_TRIAL, SLOT_TRIAL, SLOT_TRIAL },
};

Test(slots_boot, where_both_disagree_a_start_mends_it)
{
	for (size_t i = 0; i < sizeof disagreements / sizeof disagreements[0]; i++) {
		const enum slot_state *row = disagreements[i];
		OTA_AUTO(slots_fini) struct slots slots = open_slots();
		struct slot_port port = slots_port(&slots);
		const struct slot_info two = image_two(row[1]);

		cr_assert_eq(port.set_state(port.ctx, 1, &two, NULL), OTA_OK);
		slots_fini(&slots);
		loader.states[1] = row[0];
		slots = open_slots();
		cr_expect_eq(loader.states[1], row[2], "row %zu", i);
		cr_expect_eq(info(&slots, 1)->state, row[3], "row %zu", i);
	}
}

Test(slots_boot, what_runs_is_never_called_bad_to_the_boot_loader)
{
	OTA_AUTO(slots_fini) struct slots slots = open_slots();
	struct slot_port port = slots_port(&slots);
	const struct slot_info bad = image_two(SLOT_BAD);

	cr_assert_eq(port.set_state(port.ctx, 1, &bad, NULL), OTA_OK);
	slots_fini(&slots);
	loader.current = 1;
	loader.states[1] = SLOT_GOOD;
	slots = open_slots();
	cr_expect_eq(loader.states[1], SLOT_GOOD);
}

/* The boot loader hears first: what it does not know is not recorded. */
Test(slots_boot, a_cut_before_any_call_leaves_a_device_that_arms_again)
{
	for (unsigned cut = 1; cut <= 2; cut++) {
		OTA_AUTO(slots_fini) struct slots slots = open_slots();

		loader.calls = 0;
		loader.cut_at = cut;
		cr_expect_eq(arm(&slots), OTA_E_IO);
		cr_expect_eq(loader.calls, cut, "the cut came");
		slots_fini(&slots);
		loader.cut_at = 0;
		slots = open_slots();
		cr_expect_eq(slots.table.primary, 0);
		cr_expect_eq(arm(&slots), OTA_OK);
		cr_expect_eq(loader.primary, 1);
		loader.primary = 0;
	}
}

static int remove_record(void)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s/slots", temporary_dir);
	return remove(path);
}

static void damage_record(void)
{
	char path[256], noise[8192];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/slots", temporary_dir);
	memset(noise, 'x', sizeof noise);
	file = fopen(path, "we");
	cr_assert_not_null(file);
	cr_assert_eq(fwrite(noise, 1, sizeof noise, file), sizeof noise);
	cr_assert_eq(fclose(file), 0);
}

Test(slots_boot, a_lost_record_is_made_again_of_both_slots)
{
	OTA_AUTO(slots_fini) struct slots slots = open_slots();
	const struct slot_info two = image_two(SLOT_GOOD);

	slots_fini(&slots);
	damage_record();
	loader.states[1] = SLOT_GOOD;
	slots = open_slots();
	cr_expect(slots.record.lost);
	cr_expect_eq(info(&slots, 0)->state, SLOT_GOOD);
	cr_expect_eq(info(&slots, 0)->counter, 0, "nobody knows any more");
	cr_expect_eq(info(&slots, 1)->state, SLOT_GOOD);
	cr_expect(ota_digest_equal(&info(&slots, 1)->image, &two.image));
}

static enum ota_code no_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	(void)ctx;
	(void)slot;
	return ota_fail(err, OTA_E_NOTFOUND, "neither slot runs");
}

Test(slots_boot, a_boot_loader_that_cannot_tell_is_an_error_with_its_words)
{
	const struct boot_loader boot = { .ctx = &loader, .get_current = no_current };
	const struct slots_origin origin = {
		.config = &config, .state_dir = temporary_dir, .boot = &boot
	};
	struct slots slots;
	struct ota_error err = { 0 };

	cr_expect_eq(slots_open(&origin, &slots, &err), OTA_E_NOTFOUND);
	cr_expect_not_null(strstr(err.text, "neither slot runs"), "%s", err.text);
}

/* What it says of a slot that is not needed is missed by nobody. */
Test(slots_boot, a_boot_loader_that_does_not_answer_is_an_error_and_then_is_asked_again)
{
	unsigned refused = 0;

	loader.states[1] = SLOT_GOOD;
	for (unsigned n = 1; loader.mute_at != 0 || n == 1; n++) {
		OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };
		struct ota_error err = { 0 };
		enum ota_code rc;
		bool mute;

		loader.asked = 0;
		loader.mute_at = n;
		rc = try_open(&slots, &err);
		mute = loader.asked >= n;
		cr_expect(rc == OTA_OK || mute, "%u: %s", n, err.text);
		cr_expect(rc == OTA_OK || strstr(err.text, "no answer") != NULL, "%s",
			err.text);
		refused += rc != OTA_OK;
		loader.mute_at = mute ? n : 0;
		slots_fini(&slots);
		(void)remove_record();
	}
	cr_expect_eq(refused, 5, "current, twice; primary; the state of each");
}

Test(slots_boot, which_slot_is_primary_the_boot_loader_says)
{
	OTA_AUTO(slots_fini) struct slots slots = open_slots();
	struct slot_port port = slots_port(&slots);
	unsigned primary = 9;

	loader.primary = 1;
	cr_expect_eq(port.get_primary(port.ctx, &primary, NULL), OTA_OK);
	cr_expect_eq(primary, 1);
}

/* It is called good, and holds less than an image. */
Test(slots_boot, a_slot_that_cannot_be_read_is_not_good)
{
	OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };

	loader.states[1] = SLOT_GOOD;
	temporary_write("b", "two");
	slots = open_slots();
	cr_expect_eq(info(&slots, 0)->state, SLOT_GOOD);
	cr_expect_eq(info(&slots, 1)->state, SLOT_BAD);
	slots_fini(&slots);
	temporary_write("a", "one");
	cr_assert_eq(remove_record(), 0);
	{
		struct ota_error err = { 0 };

		cr_expect_eq(try_open(&slots, &err), OTA_E_LIMIT);
		cr_expect_not_null(strstr(err.text, "/a: holds 3 bytes, its image has 9"),
			"%s", err.text);
	}
}

Test(slots_boot, a_first_slot_that_was_given_up_is_bad_as_well)
{
	OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };

	loader = (struct loader){ .current = 1, .primary = 1 };
	loader.states[0] = loader.states[1] = SLOT_GOOD;
	slots = open_slots();
	cr_expect_eq(info(&slots, 0)->state, SLOT_GOOD);
	slots_fini(&slots);
	loader.states[0] = SLOT_BAD;
	slots = open_slots();
	cr_expect_eq(info(&slots, 0)->state, SLOT_BAD);
	slots_fini(&slots);
	loader.states[0] = SLOT_TRIAL;
	slots = open_slots();
	cr_expect_eq(info(&slots, 0)->state, SLOT_BAD, "it was written down");
}
