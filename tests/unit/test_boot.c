#include <criterion/criterion.h>

#include <string.h>

#include "agent/port/boot.h"
#include "agent/port/slots.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

static struct agent_config config = { .boot = { .type = AGENT_BOOT_GRUB,
					      .deadline_s = 10 } };
static char cmdline[512];
static struct boot boot;
static struct ota_error err;

static void set_up(void)
{
	temporary_make();
	(void)snprintf(
		config.boot.path, sizeof config.boot.path, "%s/grubenv", temporary_dir);
	(void)snprintf(cmdline, sizeof cmdline, "%s/cmdline", temporary_dir);
	temporary_write("cmdline", "sluice.slot=b\n");
	cr_assert_eq(boot_open(&config, &boot, &err), OTA_OK, "%s", err.text);
	boot.counter.running.cmdline_file = cmdline;
}

TestSuite(boot, .init = set_up, .fini = temporary_remove);

static void put(const char *order, const char *a_left, const char *b_left)
{
	struct boot_text text = { .value = { [BOOT_VAR_A_STATE] = "good",
					  [BOOT_VAR_B_STATE] = "good",
					  [BOOT_VAR_SCRIPT] = "1" } };

	(void)snprintf(text.value[BOOT_VAR_ORDER], BOOT_VALUE_CAP, "%s", order);
	(void)snprintf(text.value[BOOT_VAR_A_LEFT], BOOT_VALUE_CAP, "%s", a_left);
	(void)snprintf(text.value[BOOT_VAR_B_LEFT], BOOT_VALUE_CAP, "%s", b_left);
	cr_assert_eq(
		boot.counter.store.store(boot.counter.store.ctx, &text, &err), OTA_OK);
}

Test(boot, a_good_slot_gets_its_boots_back_at_a_start)
{
	const char *mended = "";
	struct boot_vars vars;

	put("B A", "2", "0");
	cr_assert_eq(boot_begin(&boot, &mended, &err), OTA_OK, "%s", err.text);
	cr_expect_null(mended);
	cr_assert_eq(boot_counter_load(&boot.counter, &vars, &err), OTA_OK);
	cr_expect_eq(vars.slots[1].left, BOOT_GOOD_LEFT);
	cr_expect_eq(vars.slots[0].left, 2, "of the other one nothing is known");
}

Test(boot, an_environment_that_is_lost_is_made_again_around_what_runs)
{
	const char *mended = NULL;
	struct boot_vars vars;

	cr_assert_eq(boot_begin(&boot, &mended, &err), OTA_OK, "%s", err.text);
	cr_expect_str_eq(mended, "variables were missing or senseless");
	cr_assert_eq(
		boot_counter_load(&boot.counter, &vars, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(vars.first, 1);
	cr_expect_eq(vars.slots[1].left, SLOT_TRIES);
	cr_expect_eq(vars.slots[1].state, SLOT_TRIAL);
	cr_expect_eq(vars.slots[0].left, 0);
	cr_expect_eq(vars.slots[0].state, SLOT_TRIAL);
	cr_assert_eq(boot_begin(&boot, &mended, &err), OTA_OK);
	cr_expect_null(mended);
}

Test(boot, nothing_is_made_up_when_the_slot_that_runs_is_not_known)
{
	const char *mended = NULL;

	temporary_write("cmdline", "quiet\n");
	cr_expect_eq(boot_begin(&boot, &mended, &err), OTA_E_NOTFOUND);
	cr_expect_null(mended);
	cr_expect_neq(access(config.boot.path, F_OK), 0);
}

Test(boot, one_damaged_block_is_mended)
{
	const char *mended = NULL;

	put("B A", "3", "3");
	temporary_write("grubenv", "garbage");
	cr_assert_eq(boot_begin(&boot, &mended, &err), OTA_OK, "%s", err.text);
	cr_expect_str_eq(mended, "a block was damaged or missing");
}

Test(boot, variables_that_are_senseless_are_made_again)
{
	const char *mended = NULL;
	struct boot_vars vars;

	put("B A", "x", "0");
	cr_assert_eq(boot_begin(&boot, &mended, &err), OTA_OK, "%s", err.text);
	cr_expect_str_eq(mended, "variables were missing or senseless");
	cr_assert_eq(boot_counter_load(&boot.counter, &vars, &err), OTA_OK);
	cr_expect_eq(vars.first, 1);
}

Test(boot, a_block_that_cannot_be_mended_or_read_is_an_error)
{
	struct faults walk = { .only = "pread64 pwrite64 open64 ", .wants_each = true };
	unsigned refused = 0;

	while (faults_next(&walk)) {
		const char *mended = NULL;
		enum ota_code rc;

		err = (struct ota_error){ 0 };
		put("B A", "3", "3");
		temporary_write("grubenv", "garbage");
		faults_arm(&walk);
		rc = boot_begin(&boot, &mended, &err);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_expect_eq(rc != OTA_OK, strncmp(err.text, "boot loader: ", 13) == 0,
			"%s: %s", faults_text(&walk), err.text);
	}
	cr_expect_gt(refused, 5);
}

Test(boot, an_environment_that_cannot_be_read_is_not_made_again)
{
	const char *mended = NULL;

	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(mkdir(boot.grub.paths[i], 0700), 0);
	cr_expect_eq(boot_begin(&boot, &mended, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "Is a directory"), "%s", err.text);
	cr_expect_null(mended);
}

Test(boot, u_boot_gives_a_good_slot_its_boots_back_as_well)
{
	static struct agent_config other = { .boot = { .type = AGENT_BOOT_UBOOT,
						     .deadline_s = 10 } };
	char command[1024];
	const char *mended = "";
	struct boot_vars vars;
	struct boot found;

	(void)snprintf(command, sizeof command,
		"cd %s && truncate -s 8192 medium && "
		"echo $PWD/medium 0 0x2000 >fw_env.config && "
		"printf 'BOOT_ORDER=B A\\nBOOT_A_LEFT=3\\nBOOT_A_STATE=good\\n"
		"BOOT_B_LEFT=1\\nBOOT_B_STATE=good\\n' >initial && "
		"fw_setenv -c fw_env.config -f initial -s initial",
		temporary_dir);
	cr_assert_eq(system(command), 0);
	(void)snprintf(other.boot.path, sizeof other.boot.path, "%s/fw_env.config",
		temporary_dir);
	cr_assert_eq(boot_open(&other, &found, &err), OTA_OK, "%s", err.text);
	found.counter.running.cmdline_file = cmdline;
	cr_assert_eq(boot_begin(&found, &mended, &err), OTA_OK, "%s", err.text);
	cr_expect_null(mended);
	cr_assert_eq(boot_counter_load(&found.counter, &vars, &err), OTA_OK);
	cr_expect_eq(vars.slots[1].left, BOOT_GOOD_LEFT);
}

Test(boot, each_type_is_opened)
{
	static struct agent_config other = { .boot = { .type = AGENT_BOOT_UBOOT,
						     .deadline_s = 1 } };
	const char *mended = "";
	struct boot found;

	(void)snprintf(other.boot.path, sizeof other.boot.path, "%s/no", temporary_dir);
	cr_expect_eq(boot_open(&other, &found, &err), OTA_E_NOTFOUND);
	other.boot.type = AGENT_BOOT_SYSTEMD;
	cr_assert_eq(boot_open(&other, &found, &err), OTA_OK);
	cr_expect_not_null(found.loader.get_current);
	(void)snprintf(found.entries.dir, AGENT_PATH_CAP, "%s", other.boot.path);
	found.entries.running.cmdline_file = cmdline;
	cr_expect_eq(boot_begin(&found, &mended, &err), OTA_E_NOTFOUND);
	other.boot.type = AGENT_BOOT_CUSTOM;
	cr_assert_eq(boot_open(&other, &found, &err), OTA_OK);
	cr_expect_neq(boot_begin(&found, &mended, &err), OTA_OK);
	cr_expect_eq(
		strncmp(err.text, "boot loader: get-current: ", 26), 0, "%s", err.text);
	other.boot.type = AGENT_BOOT_NONE;
	cr_assert_eq(boot_open(&other, &found, &err), OTA_OK);
	cr_expect_null(found.loader.get_current);
	cr_expect_eq(boot_begin(&found, &mended, &err), OTA_OK);
	cr_expect_null(mended);
}

/* Slots whose table knows more than the environment that was lost. */
static struct slots open_slots(void)
{
	const struct slots_origin origin = { .config = &config.slot,
		.state_dir = temporary_dir,
		.boot = &boot.loader,
		.boot_id = { { 1 } } };
	struct slots slots = { .record = { .fd = -1 } };
	const char *mended;

	cr_assert_eq(boot_begin(&boot, &mended, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(slots_open(&origin, &slots, &err), OTA_OK, "%s", err.text);
	return slots;
}

Test(boot, what_the_slot_table_knows_is_told_to_an_environment_made_again)
{
	struct slots slots;
	struct boot_vars vars;

	config.slot.type = AGENT_SLOT_BLOCK;
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		temporary_write(i == 0 ? "slot-a" : "slot-b", "image");
		(void)snprintf(config.slot.devices[i], AGENT_PATH_CAP, "%s/slot-%c",
			temporary_dir, "ab"[i]);
	}
	put("B A", "3", "3");
	slots = open_slots();
	slots_fini(&slots);
	cr_assert_eq(remove(boot.grub.paths[0]), 0);
	cr_assert_eq(remove(boot.grub.paths[1]), 0);
	slots = open_slots();
	cr_expect_eq(slots.table.current, 1);
	slots_fini(&slots);
	cr_assert_eq(
		boot_counter_load(&boot.counter, &vars, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(vars.first, 1);
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		cr_expect_eq(vars.slots[i].state, SLOT_GOOD, "slot %u", i);
		cr_expect_eq(vars.slots[i].left, BOOT_GOOD_LEFT, "slot %u", i);
	}
}

/* ---- each call that fails ---- */

static enum ota_code start_with_grub(void)
{
	const char *mended = NULL;
	enum ota_code rc = boot_open(&config, &boot, &err);

	boot.counter.running.cmdline_file = cmdline;
	return rc == OTA_OK ? boot_begin(&boot, &mended, &err) : rc;
}

Test(boot, any_call_of_a_start_may_fail)
{
	struct faults walk = { 0 };
	unsigned refused = 0;

	temporary_remove();
	temporary_in_memory = true;
	set_up();
	while (faults_next(&walk)) {
		put("B A", "2", "1");
		faults_arm(&walk);
		refused += start_with_grub() != OTA_OK;
		(void)faults_disarm(&walk);
		cr_expect_eq(start_with_grub(), OTA_OK, "after %s: %s",
			faults_text(&walk), err.text);
	}
	cr_expect_gt(refused, 5);
}
