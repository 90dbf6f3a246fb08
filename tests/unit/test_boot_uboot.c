#include <criterion/criterion.h>

#include <fcntl.h>
#include <string.h>

#include "agent/port/boot_uboot.h"
#include "agent/port/command.h"
#include "proto/base/own.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

enum { COPY_LEN = 0x2000 }; /* bytes */

static char config[512], medium[AGENT_PATH_CAP], cmdline[512];
static struct boot_uboot uboot;
static struct boot_counter counter;
static struct boot_loader loader;
static struct ota_error err;

/* A medium with two copies, provisioned as deploy/boot/README.md tells. */
static void set_up(void)
{
	char text[2 * AGENT_PATH_CAP + 64], initial[512];
	const char *const argv[] = { "fw_setenv", "-c", config, "-f", initial, "-s",
		initial, NULL };
	const struct command command = { .argv = argv, .deadline_ms = 10000 };
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };

	temporary_make();
	(void)snprintf(config, sizeof config, "%s/fw_env.config", temporary_dir);
	(void)snprintf(medium, sizeof medium, "%s/medium", temporary_dir);
	(void)snprintf(initial, sizeof initial, "%s/initial", temporary_dir);
	(void)snprintf(cmdline, sizeof cmdline, "%s/cmdline", temporary_dir);
	(void)snprintf(text, sizeof text, "# two copies\n%s 0x0 0x%x\n%s 0x%x 0x%x\n",
		medium, COPY_LEN, medium, COPY_LEN, COPY_LEN);
	temporary_write("fw_env.config", text);
	temporary_write("cmdline", "sluice.slot=a\n");
	temporary_write("medium", "");
	cr_assert_eq(truncate(medium, 2 * COPY_LEN), 0);
	temporary_write("initial",
		"bootcmd=run it\nBOOT_ORDER=A B\nBOOT_A_LEFT=3\n"
		"BOOT_A_STATE=good\nBOOT_B_LEFT=0\nBOOT_B_STATE=bad\n");
	cr_assert_eq(command_run(&command, &said, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(
		boot_uboot_open(config, 10000, &uboot, &err), OTA_OK, "%s", err.text);
	counter = (struct boot_counter){ .store = boot_uboot_store(&uboot),
		.running = { .cmdline_file = cmdline, .root_dir = "/" } };
	loader = boot_counter_loader(&counter);
}

TestSuite(boot_uboot, .init = set_up, .fini = temporary_remove, .timeout = 110);

static void print_env(struct ota_buf *said)
{
	const char *const argv[] = { "fw_printenv", "-c", config, NULL };
	const struct command command = { .argv = argv, .deadline_ms = 10000 };

	said->len = 0;
	cr_assert_eq(command_run(&command, said, &err), OTA_OK, "%s", err.text);
}

static void expect_env(const char *line)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };

	print_env(&said);
	cr_expect(strstr(ota_buf_text(&said), line) != NULL, "%s in\n%s", line,
		ota_buf_text(&said));
}

static enum slot_state state_of(unsigned slot)
{
	enum slot_state state = N_SLOT_STATES;

	cr_assert_eq(
		loader.get_state(loader.ctx, slot, &state, &err), OTA_OK, "%s", err.text);
	return state;
}

static void read_copies(uint8_t out[static 2 * COPY_LEN])
{
	int fd = open(medium, O_RDONLY | O_CLOEXEC);

	cr_assert_eq(pread(fd, out, 2 * COPY_LEN, 0), 2 * COPY_LEN);
	(void)close(fd);
}

static void write_copies(const uint8_t bytes[static 2 * COPY_LEN])
{
	int fd = open(medium, O_WRONLY | O_CLOEXEC);

	cr_assert_eq(pwrite(fd, bytes, 2 * COPY_LEN, 0), 2 * COPY_LEN);
	(void)close(fd);
}

Test(boot_uboot, an_update_from_a_to_b_with_the_real_tools)
{
	unsigned slot = 9;

	cr_expect_eq(state_of(0), SLOT_GOOD);
	cr_expect_eq(state_of(1), SLOT_BAD);
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK, "%s",
		err.text);
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_OK);
	cr_expect_eq(slot, 1);
	expect_env("BOOT_ORDER=B A\n");
	expect_env("BOOT_B_LEFT=3\n");
	expect_env("bootcmd=run it\n");
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_GOOD, &err), OTA_OK);
	expect_env("BOOT_B_STATE=good\n");
}

/* Every change is one write of the copy that is not in use: torn anywhere, the other one
 * is whole, and it holds all of the old. */
Test(boot_uboot, a_change_torn_anywhere_leaves_old_or_new)
{
	static uint8_t old[2 * COPY_LEN], new[2 * COPY_LEN], torn[2 * COPY_LEN];
	unsigned slot, olds = 0, news = 0;

	cr_assert_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK);
	read_copies(old);
	cr_assert_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_OK);
	read_copies(new);
	cr_expect(memcmp(old, new, COPY_LEN) == 0 ||
			  memcmp(old + COPY_LEN, new + COPY_LEN, COPY_LEN) == 0,
		"one copy is not touched");
	for (size_t i = 0; i <= 2 * COPY_LEN; i += 512) {
		memcpy(torn, new, i);
		memcpy(torn + i, old + i, sizeof torn - i);
		write_copies(torn);
		cr_assert_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_OK,
			"%zu: %s", i, err.text);
		olds += slot == 0;
		news += slot == 1;
		cr_assert_eq(state_of(0), SLOT_GOOD);
		cr_assert_eq(state_of(1), SLOT_TRIAL);
	}
	cr_expect_gt(olds, 0);
	cr_expect_gt(news, 0);
}

Test(boot_uboot, an_environment_that_is_gone_is_told)
{
	static const uint8_t zero[2 * COPY_LEN] = { 0 };
	unsigned slot = 9;

	write_copies(zero);
	cr_expect_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_E_IO);
	cr_expect(strstr(err.text, "fw_printenv: exit status") != NULL, "%s", err.text);
	cr_expect_eq(slot, 9);
}

Test(boot_uboot, a_variable_that_is_not_set_is_named)
{
	const char *const argv[] = { "fw_setenv", "-c", config, "BOOT_A_STATE", NULL };
	const struct command command = { .argv = argv, .deadline_ms = 10000 };
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	enum slot_state state;

	cr_assert_eq(command_run(&command, &said, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(loader.get_state(loader.ctx, 0, &state, &err), OTA_E_NOTFOUND);
	cr_expect_str_eq(err.text, "BOOT_A_STATE is not set");
}

Test(boot_uboot, fw_env_config_is_parsed_strictly)
{
	static const struct {
		const char *text;
		enum ota_code code;
		unsigned count;
		const char *error;
	} rows[] = { { "/dev/mtd1 0x0 0x4000 0x4000\n", OTA_OK, 1, "" },
		{ "# c\n\n  /dev/a\t0 16384\n/dev/b -0x4000 0x4000 0x1000 4", OTA_OK, 2,
			"" },
		{ "", OTA_E_FORMAT, 0, "no line says where the environment is" },
		{ "/a 0 1\n/b 0 1\n/c 0 1\n", OTA_E_LIMIT, 0,
			"line 3: more than two copies" },
		{ "/a 0 0123 \t\n", OTA_OK, 1, "" },
		{ "/a 0 12345678901234567\n", OTA_E_FORMAT, 0,
			"line 1: field 3 is no number" },
		{ "/a 0 -\n", OTA_E_FORMAT, 0, "line 1: field 3 is no number" },
		{ "/a 0\n", OTA_E_FORMAT, 0, "line 1: 2 fields, not 3 to 5" },
		{ "/a 0 1 2 3 4\n", OTA_E_FORMAT, 0, "line 1: 6 fields, not 3 to 5" },
		{ "/a 0 x\n", OTA_E_FORMAT, 0, "line 1: field 3 is no number" },
		{ "/a 0x 1\n", OTA_E_FORMAT, 0, "line 1: field 2 is no number" },
		{ "a 0 1\n", OTA_E_FORMAT, 0,
			"line 1: field 1 is no path from the root" },
		{ "uboot:\n  size: 1\n", OTA_E_FORMAT, 0,
			"line 1: 1 fields, not 3 to 5" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct boot_uboot_config found = { .count = 7 };

		err = (struct ota_error){ 0 };
		cr_expect_eq(
			boot_uboot_config_parse(ota_bytes_of(rows[i].text), &found, &err),
			rows[i].code, "row %zu", i);
		cr_expect_str_eq(err.text, rows[i].error);
		cr_expect_eq(found.count, rows[i].code == OTA_OK ? rows[i].count : 7);
	}
}

Test(boot_uboot, a_path_is_text_and_has_a_length)
{
	static const uint8_t nul_in_path[] = "/a\0b 0 1", nul_in_number[] = "/a 0\0 1";
	char far[AGENT_PATH_CAP + 16] = "/";
	struct boot_uboot_config found = { .count = 7 };

	(void)memset(far + 1, 'u', AGENT_PATH_CAP - 1);
	(void)memcpy(far + AGENT_PATH_CAP, " 0 1", 5);
	cr_expect_eq(
		boot_uboot_config_parse(ota_bytes_of(far), &found, &err), OTA_E_FORMAT);
	cr_expect_eq(boot_uboot_config_parse(
			     (struct ota_bytes){ nul_in_path, sizeof nul_in_path - 1 },
			     &found, &err),
		OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "line 1: field 1 is no path from the root");
	cr_expect_eq(boot_uboot_config_parse((struct ota_bytes){ nul_in_number,
						     sizeof nul_in_number - 1 },
			     &found, &err),
		OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "line 1: field 2 is no number");
	cr_expect_eq(found.count, 7);
}

Test(boot_uboot, a_config_that_is_wrong_is_named)
{
	struct boot_uboot found = { .deadline_ms = 7 };

	temporary_write("fw_env.config", "nowhere\n");
	cr_expect_eq(boot_uboot_open(config, 10000, &found, &err), OTA_E_FORMAT);
	cr_expect_eq(strncmp(err.text, config, strlen(config)), 0, "%s", err.text);
	cr_expect_eq(found.deadline_ms, 7);
}

/* Raw flash has no cache to be settled; a block device has. */
Test(boot_uboot, what_has_no_cache_is_not_settled)
{
	(void)snprintf(uboot.config.paths[1], AGENT_PATH_CAP, "/dev/null");
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK, "%s",
		err.text);
	expect_env("BOOT_B_STATE=trial\n");
	(void)snprintf(uboot.config.paths[1], AGENT_PATH_CAP, "%s", temporary_dir);
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_BAD, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, ": Is a directory"), "%s", err.text);
}

Test(boot_uboot, an_environment_on_a_block_device)
{
	struct install_kit kit = { 0 };
	char text[2 * AGENT_PATH_CAP + 64];

	if (!install_kit_is_root("block devices by losetup"))
		return;
	(void)snprintf(kit.dir, sizeof kit.dir, "%s", temporary_dir);
	install_kit_loop(&kit, "medium", 2 * COPY_LEN, medium);
	(void)snprintf(text, sizeof text, "%s 0x0 0x%x\n%s 0x%x 0x%x\n", medium, COPY_LEN,
		medium, COPY_LEN, COPY_LEN);
	temporary_write("fw_env.config", text);
	cr_expect_eq(boot_uboot_open(config, 10000, &uboot, &err), OTA_OK);
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK, "%s",
		err.text);
	expect_env("BOOT_B_STATE=trial\n");
	install_kit_unloop(medium);
}

Test(boot_uboot, an_answer_is_our_lines_and_no_others)
{
	static const char whole[] = "BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_A_STATE=good\n"
				    "BOOT_B_LEFT=0\nBOOT_B_STATE=bad\nBOOT_SCRIPT=\n";
	struct boot_text found = { 0 };
	char more[256];

	cr_assert_eq(boot_uboot_answer_parse(ota_bytes_of(whole), &found, &err), OTA_OK,
		"%s", err.text);
	cr_expect_str_eq(found.value[BOOT_VAR_B_STATE], "bad");
	for (size_t len = 0; len + 1 < sizeof whole - 1; len++)
		cr_expect_eq(boot_uboot_answer_parse(
				     (struct ota_bytes){ (const uint8_t *)whole, len },
				     &found, &err),
			OTA_E_FORMAT, "%zu bytes", len);
	memcpy(more, whole, sizeof whole);
	more[5] = 'X';
	cr_expect_eq(
		boot_uboot_answer_parse(ota_bytes_of(more), &found, &err), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "no line BOOT_ORDER=");
	memcpy(more, whole, sizeof whole);
	more[12] = '\0';
	cr_expect_eq(boot_uboot_answer_parse((struct ota_bytes){ (const uint8_t *)more,
						     sizeof whole - 1 },
			     &found, &err),
		OTA_E_FORMAT);
	(void)snprintf(more, sizeof more, "BOOT_ORDER=%0100d\n", 1);
	cr_expect_eq(
		boot_uboot_answer_parse(ota_bytes_of(more), &found, &err), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "BOOT_ORDER= is too long");
	(void)snprintf(more, sizeof more, "%sx=1\n", whole);
	cr_expect_eq(
		boot_uboot_answer_parse(ota_bytes_of(more), &found, &err), OTA_E_FORMAT);
}

/* ---- each call that fails ---- */

static enum ota_code update_to_b(void)
{
	enum slot_state state;
	unsigned slot;
	enum ota_code rc = boot_uboot_open(config, 10000, &uboot, &err);

	if (rc == OTA_OK)
		rc = loader.get_current(loader.ctx, &slot, &err);
	if (rc == OTA_OK)
		rc = loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err);
	if (rc == OTA_OK)
		rc = loader.set_primary(loader.ctx, 1, 3, &err);
	if (rc == OTA_OK)
		rc = loader.get_state(loader.ctx, 1, &state, &err);
	if (rc == OTA_OK)
		rc = loader.set_state(loader.ctx, 1, SLOT_BAD, &err);
	return rc;
}

Test(boot_uboot, any_call_may_fail)
{
	struct faults walk = { 0 };
	unsigned refused = 0;

	temporary_remove();
	temporary_in_memory = true;
	set_up();
	while (faults_next(&walk)) {
		faults_arm(&walk);
		refused += update_to_b() != OTA_OK;
		(void)faults_disarm(&walk);
		cr_expect_eq(state_of(0), SLOT_GOOD, "after %s", faults_text(&walk));
	}
	cr_expect_gt(refused, 8);
	cr_expect_eq(update_to_b(), OTA_OK, "%s", err.text);
}
