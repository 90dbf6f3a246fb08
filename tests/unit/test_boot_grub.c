#include <criterion/criterion.h>

#include <fcntl.h>
#include <string.h>

#include "agent/port/boot_grub.h"
#include "agent/port/command.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

static char path[512], second[512];
static struct boot_grub grub;
static struct boot_store store;
static struct ota_error err;

static const struct boot_text armed = { .value = { [BOOT_VAR_ORDER] = "B A",
						[BOOT_VAR_A_LEFT] = "3",
						[BOOT_VAR_A_STATE] = "good",
						[BOOT_VAR_B_LEFT] = "3",
						[BOOT_VAR_B_STATE] = "trial",
						[BOOT_VAR_SCRIPT] = "1" } };

static void set_up(void)
{
	temporary_make();
	(void)snprintf(path, sizeof path, "%s/grubenv", temporary_dir);
	(void)snprintf(second, sizeof second, "%s/grubenv.2", temporary_dir);
	cr_assert_eq(boot_grub_open(path, &grub, &err), OTA_OK);
	store = boot_grub_store(&grub);
}

TestSuite(boot_grub, .init = set_up, .fini = temporary_remove, .timeout = 30);

/* Call the real tool; what it said. */
static void editenv(const char *verb, const char *argument, struct ota_buf *said)
{
	const char *const argv[] = { "grub-editenv", path, verb, argument, NULL };
	const struct command command = { .argv = argv, .deadline_ms = 10000 };

	cr_assert_eq(command_run(&command, said, &err), OTA_OK, "%s", err.text);
}

static void expect_loads(const struct boot_text *text)
{
	struct boot_text found = { 0 };

	cr_assert_eq(store.load(store.ctx, &found, &err), OTA_OK, "%s", err.text);
	for (enum boot_var i = 0; i < BOOT_N_VARS; i++)
		cr_expect_str_eq(found.value[i], text->value[i], "%s", boot_var_name(i));
}

/* Overwrite bytes of a file in place. */
static void scribble(const char *file, off_t at, const char *bytes)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, bytes, strlen(bytes), at), (ssize_t)strlen(bytes));
	(void)close(fd);
}

Test(boot_grub, the_tool_of_grub_reads_what_we_write)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	struct stat st;

	cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK, "%s", err.text);
	editenv("list", NULL, &said);
	cr_expect_str_eq(ota_buf_text(&said), "ORDER=B A\nA_LEFT=3\nA_STATE=good\n"
					      "B_LEFT=3\nB_STATE=trial\nSCRIPT=1\n");
	cr_expect_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 1024);
	expect_loads(&armed);
}

Test(boot_grub, we_read_what_the_tool_of_grub_writes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	struct boot_text found = { 0 };

	editenv("create", NULL, &said);
	editenv("set", "saved_entry=gnulinux\\simple", &said);
	editenv("set", "ORDER=A B", &said);
	editenv("set", "B_LEFT=2", &said);
	cr_assert_eq(store.load(store.ctx, &found, &err), OTA_OK, "%s", err.text);
	cr_expect_str_eq(found.value[BOOT_VAR_ORDER], "A B");
	cr_expect_str_eq(found.value[BOOT_VAR_B_LEFT], "2");
	cr_expect_str_eq(found.value[BOOT_VAR_A_STATE], "");
	cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK);
	editenv("list", NULL, &said);
	cr_expect(strstr(ota_buf_text(&said), "saved_entry=gnulinux\\simple\n") != NULL,
		"variables of others stay: %s", ota_buf_text(&said));
	editenv("set", "B_LEFT=1", &said);
	cr_assert_eq(store.load(store.ctx, &found, &err), OTA_OK);
	cr_expect_str_eq(found.value[BOOT_VAR_B_LEFT], "1");
	cr_expect_str_eq(found.value[BOOT_VAR_B_STATE], "trial");
}

Test(boot_grub, the_file_stays_where_it_is)
{
	struct boot_text other = armed, found = { 0 };
	uint8_t block[BOOT_GRUB_LEN];
	ota_autoclose int fd = -1;

	cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	other.value[BOOT_VAR_B_LEFT][0] = '1';
	cr_assert_eq(store.store(store.ctx, &other, &err), OTA_OK);
	cr_assert_eq(pread(fd, block, sizeof block, 0), BOOT_GRUB_LEN);
	cr_assert_eq(
		boot_grub_parse((struct ota_bytes){ block, sizeof block }, &found, &err),
		OTA_OK);
	cr_expect_str_eq(found.value[BOOT_VAR_B_LEFT], "1", "the same file");
	expect_loads(&other);
}

/* A medium writes a sector of 512 bytes whole or not at all. Whatever of the two sectors
 * of the first block was written, the variables are the old ones or the new ones. */
Test(boot_grub, a_cut_between_the_sectors_leaves_old_or_new)
{
	const uint8_t *none = NULL;
	uint8_t old[BOOT_GRUB_LEN], new[BOOT_GRUB_LEN], torn[BOOT_GRUB_LEN];
	struct boot_text before = armed, found;

	before.value[BOOT_VAR_ORDER][0] = 'A';
	before.value[BOOT_VAR_ORDER][2] = 'B';
	cr_assert_eq(boot_grub_encode(&before, (struct ota_bytes){ none, 0 }, old, &err),
		OTA_OK);
	cr_assert_eq(boot_grub_encode(
			     &armed, (struct ota_bytes){ old, sizeof old }, new, &err),
		OTA_OK);
	for (unsigned i = 0; i < 4; i++) {
		memcpy(torn, i & 1 ? new : old, 512);
		memcpy(torn + 512, (i & 2 ? new : old) + 512, 512);
		cr_assert_eq(boot_grub_parse((struct ota_bytes){ torn, sizeof torn },
				     &found, &err),
			OTA_OK);
		cr_expect_str_eq(
			found.value[BOOT_VAR_ORDER], i & 1 ? "B A" : "A B", "%u", i);
	}
}

Test(boot_grub, the_second_block_stands_in_for_a_damaged_first_one)
{
	bool mended = false;

	cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK);
	scribble(path, 0, "garbage");
	expect_loads(&armed);
	cr_expect_eq(boot_grub_mend(&grub, &mended, &err), OTA_OK);
	cr_expect(mended);
	cr_assert_eq(remove(second), 0);
	expect_loads(&armed);
	cr_expect_eq(boot_grub_mend(&grub, &mended, &err), OTA_OK);
	cr_expect(mended);
	cr_expect_eq(boot_grub_mend(&grub, &mended, &err), OTA_OK);
	cr_expect_not(mended);
	cr_assert_eq(truncate(path, 0), 0, "as grub-editenv leaves it in a cut");
	expect_loads(&armed);
}

Test(boot_grub, both_damaged_is_told_of_the_first_and_can_be_written)
{
	struct boot_text found;

	cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK);
	scribble(path, 0, "garbage");
	scribble(second, 0, "rubbish");
	cr_expect_eq(store.load(store.ctx, &found, &err), OTA_E_FORMAT);
	cr_expect(strstr(err.text, "grubenv: no environment block of GRUB") != NULL, "%s",
		err.text);
	cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK, "%s", err.text);
	expect_loads(&armed);
}

/* A block with this text behind the head. */
static enum ota_code parse(const char *text, struct boot_text *out)
{
	uint8_t block[BOOT_GRUB_LEN];
	size_t len = strlen(text);

	memset(block, '#', sizeof block);
	memcpy(block, "# GRUB Environment Block\n", 25);
	memcpy(block + 25, text, len);
	return boot_grub_parse((struct ota_bytes){ block, sizeof block }, out, &err);
}

Test(boot_grub, a_block_is_parsed_strictly)
{
	static const struct {
		const char *text;
		enum ota_code code;
	} rows[] = { { "", OTA_OK }, { "x=1\n", OTA_OK },
		{ "# a comment\nx=1\n", OTA_OK },
		{ "x=two\\\nlines\nORDER=A B\n", OTA_OK }, { "x\n", OTA_E_FORMAT },
		{ "x=1", OTA_E_FORMAT }, { "A_LEFT=1\nA_LEFT=1\n", OTA_E_FORMAT },
		{ "A_LEFT=0123456789abcdef\n", OTA_E_FORMAT }, { "\n", OTA_E_FORMAT } };
	uint8_t short_block[BOOT_GRUB_LEN - 1] = { 0 };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct boot_text found = { .value = { "kept" } };

		cr_expect_eq(parse(rows[i].text, &found), rows[i].code, "row %zu", i);
		if (rows[i].code != OTA_OK)
			cr_expect_str_eq(found.value[0], "kept");
	}
	cr_expect_eq(
		boot_grub_parse((struct ota_bytes){ short_block, sizeof short_block },
			&(struct boot_text){ 0 }, &err),
		OTA_E_FORMAT);
}

Test(boot_grub, a_block_full_of_others_refuses_and_keeps_what_it_held)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	char value[960];

	editenv("create", NULL, &said);
	(void)snprintf(value, sizeof value, "x=%0400d", 7);
	editenv("set", value, &said);
	value[0] = 'y';
	editenv("set", value, &said);
	value[0] = 'z';
	value[100] = '\0';
	editenv("set", value, &said);
	cr_expect_eq(store.store(store.ctx, &armed, &err), OTA_E_NOSPACE);
	editenv("list", NULL, &said);
	cr_expect_eq(said.len, 2 * 403 + 101);
}

/* A block that ends with bytes behind a text, which fills the rest. */
static enum ota_code parse_full(const char *end, struct boot_text *out)
{
	uint8_t block[BOOT_GRUB_LEN];

	memset(block, 'x', sizeof block);
	memcpy(block, "# GRUB Environment Block\nx=", 27);
	memcpy(block + sizeof block - strlen(end), end, strlen(end));
	return boot_grub_parse((struct ota_bytes){ block, sizeof block }, out, &err);
}

Test(boot_grub, a_block_may_be_full_to_its_last_byte)
{
	uint8_t block[BOOT_GRUB_LEN];
	struct boot_text found;

	cr_expect_eq(parse_full("\nORDER=B A\n", &found), OTA_OK, "%s", err.text);
	cr_expect_str_eq(found.value[BOOT_VAR_ORDER], "B A");
	cr_expect_eq(parse_full("\\", &found), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "a line without end");
	memset(block, '#', sizeof block);
	memcpy(block, "# GRUB Environment Block\nx=\0\n", 29);
	cr_expect_eq(
		boot_grub_parse((struct ota_bytes){ block, sizeof block }, &found, &err),
		OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "a NUL in a line");
	cr_expect_eq(boot_grub_encode(&armed, (struct ota_bytes){ block, sizeof block },
			     block, &err),
		OTA_E_FORMAT, "what it would be made of is none");
	cr_expect_eq(
		boot_grub_encode(&armed, (struct ota_bytes){ block, 7 }, block, &err),
		OTA_E_FORMAT);
}

Test(boot_grub, a_path_has_room_for_the_second)
{
	char far[AGENT_PATH_CAP] = "/";
	struct boot_grub kept = grub;

	(void)memset(far + 1, 'g', sizeof far - 3);
	cr_expect_eq(boot_grub_open(far, &grub, &err), OTA_E_LIMIT);
	cr_expect_eq(memcmp(&grub, &kept, sizeof grub), 0);
}

Test(boot_grub, a_file_system_without_direct_reading_is_read_through_its_cache)
{
	uint8_t block[BOOT_GRUB_LEN];

	cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK);
	cr_assert(faults_arm_text("open64,22,0"));
	cr_expect_eq(boot_grub_read(path, block, &err), OTA_OK, "%s", err.text);
	cr_expect(faults_fired());
}

Test(boot_grub, a_file_that_is_too_long_is_cut_or_that_is_told)
{
	struct stat st;

	cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK);
	cr_assert_eq(truncate(path, 5000), 0);
	cr_assert(faults_arm_text("ftruncate64,5,0"));
	cr_expect_eq(store.store(store.ctx, &armed, &err), OTA_E_IO);
	cr_expect(faults_fired());
	cr_expect_eq(store.store(store.ctx, &armed, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, BOOT_GRUB_LEN);
	expect_loads(&armed);
}

/* ---- each call that fails ---- */

Test(boot_grub, any_call_may_fail)
{
	struct boot_text found = { 0 };
	struct faults walk = { 0 };
	unsigned refused = 0;

	temporary_in_memory = true;
	while (faults_next(&walk)) {
		struct boot_text other = armed;
		enum ota_code rc;

		temporary_remove();
		set_up();
		cr_assert_eq(store.store(store.ctx, &armed, &err), OTA_OK);
		(void)snprintf(other.value[BOOT_VAR_A_LEFT], BOOT_VALUE_CAP, "2");
		faults_arm(&walk);
		rc = store.store(store.ctx, &other, &err);
		if (rc == OTA_OK)
			rc = store.load(store.ctx, &found, &err);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_assert_eq(store.load(store.ctx, &found, &err), OTA_OK, "after %s: %s",
			faults_text(&walk), err.text);
		cr_expect_str_eq(found.value[BOOT_VAR_B_LEFT], "3");
	}
	cr_expect_gt(refused, 8);
}
