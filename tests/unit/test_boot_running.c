#include <criterion/criterion.h>

#include <string.h>

#include "agent/port/boot_running.h"
#include "proto/io/files.h"
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
		{ "\6\0\0\0a\0b\0c\0d\0\0\0", 14, OTA_E_LIMIT } };
	char out[4];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		cr_expect_eq(boot_efi_text_parse(
				     (struct ota_bytes){ (const uint8_t *)rows[i].bytes,
					     rows[i].len },
				     out, sizeof out, &err),
			rows[i].code, "row %zu", i);
}
