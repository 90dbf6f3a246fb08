#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/port/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a block says is written to a block that says the same, and others' variables that
 * fit stay. */
static void grub(struct ota_bytes in)
{
	uint8_t block[BOOT_GRUB_LEN], padded[BOOT_GRUB_LEN];
	struct boot_text text, again;

	memset(padded, '#', sizeof padded);
	memcpy(padded, "# GRUB Environment Block\n", 25);
	memcpy(padded + 25, in.at, in.len < 999 ? in.len : 999);
	in = (struct ota_bytes){ padded, sizeof padded };
	if (boot_grub_parse(in, &text, NULL) != OTA_OK ||
		boot_grub_encode(&text, in, block, NULL) != OTA_OK)
		return;
	if (boot_grub_parse((struct ota_bytes){ block, sizeof block }, &again, NULL) !=
			OTA_OK ||
		memcmp(&text, &again, sizeof text) != 0)
		abort();
}

static void variables(const struct boot_text *text)
{
	struct boot_text again;
	struct boot_vars vars;

	if (boot_vars_parse(text, "", &vars, NULL) != OTA_OK)
		return;
	boot_vars_format(&vars, &again);
	if (vars.script != 0 && memcmp(text, &again, sizeof again) != 0)
		abort();
}

static void entry(const char *name)
{
	char again[BOOT_ENTRY_NAME_CAP];
	struct boot_entry one, two;

	if (!boot_entry_parse(name, &one))
		return;
	boot_entry_name(&one, again);
	if (!boot_entry_parse(again, &two) || memcmp(&one, &two, sizeof one) != 0)
		abort();
}

/* The first byte chooses what the rest is: everything of a boot loader's that is read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const words[] = { "a", "b" };
	struct ota_bytes in = { data + 1, size - 1 };
	struct boot_uboot_config config;
	struct boot_text text = { 0 };
	char name[BOOT_ENTRY_NAME_CAP] = "";
	unsigned slot;
	bool known;

	if (size < 1)
		return 0;
	memcpy(name, in.at, in.len < sizeof name - 1 ? in.len : sizeof name - 1);
	if (data[0] == 'g')
		grub(in);
	else if (data[0] == 'c')
		(void)!boot_uboot_config_parse(in, &config, NULL);
	else if (data[0] == 'u' && boot_uboot_answer_parse(in, &text, NULL) == OTA_OK)
		variables(&text);
	else if (data[0] == 'e')
		entry(name);
	else if (data[0] == 'k')
		(void)!boot_cmdline_parse(in, &known, &slot, NULL);
	else if (data[0] == 'w')
		(void)!boot_custom_answer_parse(in, words, 2, &slot, NULL);
	else if (data[0] == 'f')
		(void)!boot_efi_text_parse(in, name, sizeof name, NULL);
	return 0;
}
