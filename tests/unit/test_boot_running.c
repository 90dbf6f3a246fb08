#include <criterion/criterion.h>

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/port/boot_running.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

static char cmdline[512];
static struct boot_running where;
static struct ota_error err;

static void set_up(void)
{
	temporary_make();
	(void)snprintf(cmdline, sizeof cmdline, "%s/cmdline", temporary_dir);
	where = (struct boot_running){ .cmdline_file = cmdline, .root_dir = "/" };
}

TestSuite(boot_running, .init = set_up, .fini = temporary_remove);

Test(boot_running, the_kernel_command_line_names_the_slot)
{
	static const struct {
		const char *text;
		enum ota_code code;
		unsigned slot;
		const char *error;
	} rows[] = { { "root=/dev/sda2 sluice.slot=a quiet\n", OTA_OK, 0, "" },
		{ "sluice.slot=b", OTA_OK, 1, "" },
		{ "sluice.slot=b sluice.slot=b\n", OTA_OK, 1, "" },
		{ "sluice.slot=a sluice.slot=b\n", OTA_E_CONFLICT, 0,
			"sluice.slot=a and sluice.slot=b" },
		{ "sluice.slot=c\n", OTA_E_FORMAT, 0,
			"sluice.slot= names no slot; it must be a or b" },
		{ "sluice.slot=\n", OTA_E_FORMAT, 0,
			"sluice.slot= names no slot; it must be a or b" },
		{ "sluice.slot=ab\n", OTA_E_FORMAT, 0,
			"sluice.slot= names no slot; it must be a or b" },
		{ "xsluice.slot=a\n", OTA_E_NOTFOUND, 0, "" },
		{ "", OTA_E_NOTFOUND, 0, "" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned slot = 9;

		temporary_write("cmdline", rows[i].text);
		err = (struct ota_error){ 0 };
		cr_expect_eq(boot_running_find(&where, &slot, &err), rows[i].code,
			"row %zu: %s", i, err.text);
		cr_expect_eq(slot, rows[i].code == OTA_OK ? rows[i].slot : 9);
		if (rows[i].error[0] != '\0')
			cr_expect(
				strstr(err.text, rows[i].error) != NULL, "%s", err.text);
	}
}

/* UTF-16LE with attributes, as efivarfs gives it. */
static void write_entry(const char *name)
{
	char path[600], bytes[256] = { 6, 0, 0, 0 };
	size_t len = strlen(name);
	struct ota_bytes data = { (const uint8_t *)bytes, 4 + 2 * len + 2 };

	for (size_t i = 0; i < len; i++)
		bytes[4 + 2 * i] = name[i];
	(void)snprintf(path, sizeof path,
		"%s/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
		temporary_dir);
	cr_assert_eq(ota_file_replace(path, data, 0644, &err), OTA_OK);
}

Test(boot_running, systemd_boot_says_what_it_booted)
{
	unsigned slot = 9;

	where.efi_dir = temporary_dir;
	temporary_write("cmdline", "quiet\n");
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_NOTFOUND);
	write_entry("sluice-7-b+2-1.conf");
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(slot, 1);
	write_entry("debian.conf");
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_NOTFOUND);
}

Test(boot_running, who_disagrees_is_named)
{
	unsigned slot = 9;

	where.efi_dir = temporary_dir;
	temporary_write("cmdline", "sluice.slot=a\n");
	write_entry("sluice-7-b.conf");
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_CONFLICT);
	cr_expect_str_eq(err.text,
		"slot a runs by the kernel command line, but slot b by "
		"the entry that systemd-boot booted");
	cr_expect_eq(slot, 9);
}

Test(boot_running, an_efi_text_is_parsed_strictly)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum ota_code code;
	} rows[] = { { "\6\0\0\0a\0\0\0", 8, OTA_OK }, { "\6\0\0\0\0\0", 6, OTA_OK },
		{ "\6\0\0\0", 4, OTA_E_FORMAT }, { "", 0, OTA_E_FORMAT },
		{ "\6\0\0\0a\0\0", 7, OTA_E_FORMAT },
		{ "\6\0\0\0a\0b\0", 8, OTA_E_FORMAT },
		{ "\6\0\0\0a\1\0\0", 8, OTA_E_FORMAT },
		{ "\6\0\0\0\n\0\0\0", 8, OTA_E_FORMAT },
		{ "\6\0\0\0\x7f\0\0\0", 8, OTA_E_FORMAT },
		{ "\6\0\0\0a\0\0\1", 8, OTA_E_FORMAT },
		{ "\6\0\0\0a\0b\0c\0d\0\0\0", 14, OTA_E_LIMIT } };
	char out[4];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		cr_expect_eq(boot_efi_text_parse(
				     (struct ota_bytes){ (const uint8_t *)rows[i].bytes,
					     rows[i].len },
				     out, sizeof out, &err),
			rows[i].code, "row %zu", i);
}

Test(boot_running, who_agrees_may_both_speak)
{
	unsigned slot = 9;

	where.efi_dir = temporary_dir;
	temporary_write("cmdline", "sluice.slot=b\n");
	write_entry("sluice-7-b.conf");
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(slot, 1);
}

Test(boot_running, an_efi_variable_that_cannot_be_read_is_an_error)
{
	char far[AGENT_PATH_CAP] = "/", path[600];
	unsigned slot = 9;

	temporary_write("cmdline", "sluice.slot=b\n");
	(void)memset(far + 1, 'd', sizeof far - 2);
	where.efi_dir = far;
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_LIMIT);
	where.efi_dir = temporary_dir;
	(void)snprintf(path, sizeof path,
		"%s/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
		temporary_dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_IO);
	cr_assert_eq(rmdir(path), 0);
	cr_assert_eq(ota_file_replace(path, ota_bytes_of("odd"), 0600, NULL), OTA_OK);
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_FORMAT);
	cr_expect_not_null(strstr(err.text, ": no UTF-16 text"), "%s", err.text);
	cr_expect_eq(slot, 9);
}

/* ---- the root device ---- */

enum { MAJOR = 7, MINOR = 250 }; /* of a device below the root's */

/* As /sys has it of a root that lies on that device, and on what is none. */
static void make_sys(char out[static 256])
{
	char command[1024];
	struct stat root;

	cr_assert_eq(stat(temporary_dir, &root), 0);
	(void)snprintf(out, 256, "%s/sys", temporary_dir);
	(void)snprintf(command, sizeof command,
		"d=%s/%u:%u/slaves && mkdir -p $d/none $d/odd $d/loop250 && "
		"echo nonsense >$d/odd/dev && echo %d:%d >$d/loop250/dev",
		out, major(root.st_dev), minor(root.st_dev), MAJOR, MINOR);
	cr_assert_eq(system(command), 0);
}

Test(boot_running, a_root_on_no_slot_says_nothing)
{
	char sys[256];
	unsigned slot = 9;

	make_sys(sys);
	where = (struct boot_running){ .cmdline_file = cmdline,
		.root_dir = temporary_dir,
		.sys_dir = sys,
		.devices = { cmdline, "/no/such/device" } };
	temporary_write("cmdline", "quiet\n");
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_NOTFOUND);
	where.sys_dir = "/no/such/directory";
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_NOTFOUND);
	where.root_dir = "/no/such/directory";
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_IO);
	where = (struct boot_running){
		.cmdline_file = cmdline, .root_dir = "/", .devices = { "", "" }
	};
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_E_NOTFOUND);
	cr_expect_eq(slot, 9);
}

Test(boot_running, a_root_on_a_slot_or_on_what_lies_on_it_names_the_slot)
{
	char sys[256], below[256], other[256];
	unsigned slot = 9;
	struct stat root;

	if (geteuid() != 0)
		cr_skip_test("SKIPPED, not root: devices by mknod");
	make_sys(sys);
	cr_assert_eq(stat(temporary_dir, &root), 0);
	(void)snprintf(below, sizeof below, "%s/below", temporary_dir);
	(void)snprintf(other, sizeof other, "%s/other", temporary_dir);
	cr_assert_eq(mknod(below, S_IFBLK | 0600, makedev(MAJOR, MINOR)), 0);
	cr_assert_eq(mknod(other, S_IFBLK | 0600, makedev(MAJOR, MINOR + 1)), 0);
	temporary_write("cmdline", "quiet\n");
	where = (struct boot_running){ .cmdline_file = cmdline,
		.root_dir = temporary_dir,
		.sys_dir = sys,
		.devices = { other, below } };
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(slot, 1);
	cr_assert_eq(unlink(other), 0);
	cr_assert_eq(mknod(other, S_IFBLK | 0600, root.st_dev), 0);
	where.devices[1] = NULL;
	cr_expect_eq(boot_running_find(&where, &slot, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(slot, 0);
}

Test(boot_running, any_call_may_fail)
{
	struct faults walk = { .wants_each = true };
	unsigned refused = 0;

	where.efi_dir = temporary_dir;
	temporary_write("cmdline", "sluice.slot=b\n");
	write_entry("sluice-7-b.conf");
	while (faults_next(&walk)) {
		unsigned slot = 9;
		enum ota_code rc;

		faults_arm(&walk);
		rc = boot_running_find(&where, &slot, &err);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_expect_eq(slot, rc == OTA_OK ? 1 : 9, "%s: %s", faults_text(&walk),
			err.text);
	}
	cr_expect_gt(refused, 4);
}
