#include <criterion/criterion.h>

#include <string.h>

#include "agent/port/boot_vars.h"
#include "tests/unit/temporary.h"

/* An environment in memory, which can fail. */
static struct boot_text stored;
static unsigned stores;
static bool broken, forgetful;

static char cmdline[512];
static struct boot_counter counter;
static struct boot_loader loader;
static struct ota_error err;

static enum ota_code load(void *ctx, struct boot_text *out, struct ota_error *e)
{
	(void)ctx;
	(void)e;
	*out = stored;
	return OTA_OK;
}

static enum ota_code store(void *ctx, const struct boot_text *text, struct ota_error *e)
{
	(void)ctx;
	stores++;
	if (broken)
		return ota_fail(e, OTA_E_IO, "broken");
	if (!forgetful)
		stored = *text;
	return OTA_OK;
}

static void run_slot(unsigned slot)
{
	temporary_write(
		"cmdline", slot == 0 ? "quiet sluice.slot=a\n" : "sluice.slot=b\n");
}

static void set_up(void)
{
	temporary_make();
	(void)snprintf(cmdline, sizeof cmdline, "%s/cmdline", temporary_dir);
	run_slot(0);
	counter = (struct boot_counter){ .store = { NULL, "BOOT_", load, store },
		.running = { .cmdline_file = cmdline, .root_dir = "/" } };
	loader = boot_counter_loader(&counter);
}

TestSuite(boot_vars, .init = set_up, .fini = temporary_remove);

static void put(const char *order, const char *a, const char *b)
{
	stored = (struct boot_text){ 0 };
	(void)snprintf(stored.value[BOOT_VAR_ORDER], BOOT_VALUE_CAP, "%s", order);
	(void)snprintf(stored.value[BOOT_VAR_A_STATE], BOOT_VALUE_CAP, "%s", a + 2);
	(void)snprintf(stored.value[BOOT_VAR_A_LEFT], BOOT_VALUE_CAP, "%c", a[0]);
	(void)snprintf(stored.value[BOOT_VAR_B_STATE], BOOT_VALUE_CAP, "%s", b + 2);
	(void)snprintf(stored.value[BOOT_VAR_B_LEFT], BOOT_VALUE_CAP, "%c", b[0]);
}

static enum slot_state state_of(unsigned slot)
{
	enum slot_state state = N_SLOT_STATES;

	cr_assert_eq(loader.get_state(loader.ctx, slot, &state, &err), OTA_OK);
	return state;
}

static unsigned primary(void)
{
	unsigned slot = SLOT_COUNT;

	cr_assert_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_OK, "%s", err.text);
	return slot;
}

/* What the scripts do at a boot; SLOT_COUNT: nothing can be booted. */
static unsigned script_boot(void)
{
	struct boot_vars vars;
	unsigned slot;

	cr_assert_eq(boot_vars_parse(&stored, "", &vars, &err), OTA_OK);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < SLOT_COUNT; i++) {
			slot = i == 0 ? vars.first : 1 - vars.first;
			if (vars.slots[slot].state == SLOT_BAD ||
				vars.slots[slot].left == 0)
				continue;
			vars.slots[slot].left--;
			boot_vars_format(&vars, &stored);
			return slot;
		}
		for (slot = 0; slot < SLOT_COUNT; slot++)
			if (vars.slots[slot].state ==
				(round == 0 ? SLOT_GOOD : SLOT_TRIAL))
				vars.slots[slot].left = BOOT_GOOD_LEFT;
	}
	return SLOT_COUNT;
}

Test(boot_vars, text_is_parsed_strictly)
{
	static const struct {
		enum boot_var var;
		const char *value;
		enum ota_code code;
		const char *text;
	} rows[] = { { BOOT_VAR_ORDER, "", OTA_E_NOTFOUND, "BOOT_ORDER is not set" },
		{ BOOT_VAR_ORDER, "A", OTA_E_FORMAT, "BOOT_ORDER is 'A'" },
		{ BOOT_VAR_ORDER, "A A", OTA_E_FORMAT, "BOOT_ORDER is 'A A'" },
		{ BOOT_VAR_A_LEFT, "", OTA_E_NOTFOUND, "BOOT_A_LEFT is not set" },
		{ BOOT_VAR_A_LEFT, "-", OTA_E_FORMAT, "BOOT_A_LEFT is '-'" },
		{ BOOT_VAR_B_LEFT, "10", OTA_E_FORMAT, "BOOT_B_LEFT is '10'" },
		{ BOOT_VAR_B_STATE, "Good", OTA_E_FORMAT, "BOOT_B_STATE is 'Good'" },
		{ BOOT_VAR_A_STATE, "x\n", OTA_E_FORMAT, "BOOT_A_STATE is 'x\\x0a'" },
		{ BOOT_VAR_SCRIPT, "v", OTA_E_FORMAT, "BOOT_SCRIPT is 'v'" },
		{ BOOT_VAR_SCRIPT, "", OTA_OK, "" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct boot_vars vars = { .script = 77 };

		put("B A", "3 good", "2 trial");
		err = (struct ota_error){ 0 };
		(void)snprintf(
			stored.value[rows[i].var], BOOT_VALUE_CAP, "%s", rows[i].value);
		cr_expect_eq(boot_vars_parse(&stored, "BOOT_", &vars, &err), rows[i].code,
			"row %zu", i);
		cr_expect_str_eq(err.text, rows[i].text, "row %zu", i);
		cr_expect_eq(vars.script, rows[i].code == OTA_OK ? 0 : 77);
	}
}

Test(boot_vars, an_update_from_a_to_b)
{
	put("A B", "3 good", "3 good");
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_BAD, &err), OTA_OK);
	cr_expect_eq(state_of(1), SLOT_BAD);
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK);
	cr_expect_eq(state_of(1), SLOT_TRIAL);
	cr_expect_eq(primary(), 0, "trial alone boots nothing");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 2, &err), OTA_OK);
	cr_expect_eq(primary(), 1);
	cr_expect_eq(script_boot(), 1);
	cr_expect_eq(script_boot(), 1);
	run_slot(1);
	cr_expect_eq(state_of(1), SLOT_TRIAL, "the last try runs");
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_GOOD, &err), OTA_OK);
	cr_expect_eq(state_of(1), SLOT_GOOD);
	cr_expect_eq(primary(), 1);
	cr_expect_eq(state_of(0), SLOT_GOOD);
}

Test(boot_vars, a_trial_that_never_arrives_gives_way)
{
	put("A B", "3 good", "0 trial");
	cr_assert_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_OK);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(script_boot(), 1);
	cr_expect_eq(state_of(1), SLOT_BAD, "nobody runs it: used up");
	cr_expect_eq(primary(), 0);
	cr_expect_eq(script_boot(), 0);
}

Test(boot_vars, a_good_slot_that_rots_gives_way_and_nothing_ends_the_device)
{
	put("B A", "3 good", "3 good");
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(script_boot(), 1);
	cr_expect_eq(script_boot(), 0, "the agent was not reached three times");
	cr_expect_eq(state_of(1), SLOT_BAD);
	cr_expect_eq(script_boot(), 0);
	cr_expect_eq(script_boot(), 0);
	cr_expect_eq(primary(), 1, "both used up: from the start again");
	cr_expect_eq(script_boot(), 1);
	put("A B", "3 good", "0 good");
	cr_expect_eq(state_of(1), SLOT_BAD, "also behind another");
	put("A B", "0 trial", "0 good");
	cr_expect_eq(primary(), 1, "a good one before one on trial");
	cr_expect_eq(script_boot(), 1);
	put("A B", "0 bad", "0 trial");
	cr_expect_eq(primary(), 1, "one on trial before none");
	cr_expect_eq(script_boot(), 1);
}

/* Over all that can stand in the environment: no verb leaves a device that had something
 * to boot with nothing, says otherwise than it did, touches the other slot's state, or
 * changes anything when it is repeated. */
static void expect_laws(const struct boot_vars *before, unsigned slot, unsigned verb)
{
	const char *const what[] = { "bad", "trial", "good", "primary" };
	struct boot_vars after;
	struct boot_text once;
	enum ota_code rc;

	boot_vars_format(before, &stored);
	stores = 0;
	rc = verb == 3 ? loader.set_primary(loader.ctx, slot, 2, &err)
		       : loader.set_state(loader.ctx, slot, (enum slot_state)verb, &err);
	cr_assert(rc == OTA_OK || rc == OTA_E_CONFLICT);
	cr_assert_leq(stores, 1, "one step");
	cr_assert_eq(boot_vars_parse(&stored, "", &after, &err), OTA_OK);
	cr_assert_eq(after.slots[1 - slot].state, before->slots[1 - slot].state);
	cr_assert_eq(after.slots[1 - slot].left, before->slots[1 - slot].left);
	once = stored;
	if (rc != OTA_OK) {
		cr_assert_eq(stores, 0, "a refusal changes nothing");
		return;
	}
	cr_assert_eq(verb == 3 ? primary() : state_of(slot), verb == 3 ? slot : verb,
		"slot %u %s", slot, what[verb]);
	rc = verb == 3 ? loader.set_primary(loader.ctx, slot, 2, &err)
		       : loader.set_state(loader.ctx, slot, (enum slot_state)verb, &err);
	cr_assert_eq(rc, OTA_OK);
	cr_assert_eq(memcmp(&once, &stored, sizeof once), 0, "again changes nothing");
}

static bool boots(const struct boot_vars *vars)
{
	struct boot_text kept = stored;
	bool found;

	boot_vars_format(vars, &stored);
	found = script_boot() != SLOT_COUNT;
	stored = kept;
	return found;
}

Test(boot_vars, laws_hold_wherever_a_device_stands)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < 2 * 3 * 3 * 3 * 3 * 2; i++) {
		struct boot_vars vars = { .first = i % 2, .script = 1 }, after;

		vars.slots[0].state = (enum slot_state)(i / 2 % 3);
		vars.slots[1].state = (enum slot_state)(i / 6 % 3);
		vars.slots[0].left = i / 18 % 3;
		vars.slots[1].left = i / 54 % 3;
		run_slot(i / 162);
		if (!boots(&vars))
			continue;
		for (unsigned j = 0; j < 8; j++, seen++) {
			expect_laws(&vars, j % 2, j / 2);
			cr_assert_eq(boot_vars_parse(&stored, "", &after, &err), OTA_OK);
			cr_assert(boots(&after), "slot %u verb %u from %s", j % 2, j / 2,
				stored.value[BOOT_VAR_ORDER]);
		}
	}
	cr_expect_gt(seen, 1000);
}

Test(boot_vars, what_is_there_is_not_written_and_what_is_written_is_read)
{
	put("A B", "3 good", "0 bad");
	stores = 0;
	cr_expect_eq(loader.set_state(loader.ctx, 0, SLOT_GOOD, &err), OTA_OK);
	cr_expect_eq(stores, 0);
	forgetful = true;
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_E_MEDIA);
	cr_expect_str_eq(err.text, "BOOT_B_STATE reads 'bad' after 'trial' was written");
	broken = true;
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_E_IO);
}

Test(boot_vars, the_last_slot_that_boots_stays)
{
	put("A B", "3 good", "0 bad");
	cr_expect_eq(loader.set_state(loader.ctx, 0, SLOT_BAD, &err), OTA_E_CONFLICT);
	cr_expect_str_eq(err.text, "slot a stays: slot b is bad, and one must boot");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_E_CONFLICT);
	cr_expect_str_eq(err.text, "slot b is bad: not to be booted");
	put("A B", "3 good", "1 trial");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 10, &err), OTA_E_LIMIT);
}

Test(boot_vars, with_nothing_left_one_on_trial_goes_before_a_bad_one)
{
	put("A B", "0 bad", "0 trial");
	cr_expect_eq(primary(), 1);
	put("A B", "0 trial", "0 bad");
	cr_expect_eq(primary(), 0);
}

Test(boot_vars, tries_have_limits)
{
	put("A B", "3 good", "0 trial");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 0, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "0 tries, not 1 to 9");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 10, &err), OTA_E_LIMIT);
	cr_expect_eq(stores, 0);
}
