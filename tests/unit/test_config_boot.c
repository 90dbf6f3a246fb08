#include <criterion/criterion.h>

#include <string.h>

#include "agent/port/config.h"
#include "proto/base/own.h"
#include "tests/unit/temporary.h"

static struct agent_config config;
static struct ota_error err;

TestSuite(config_boot, .init = temporary_make, .fini = temporary_remove);

/* Read a configuration that lacks nothing but this section. */
static enum ota_code load(const char *section)
{
	char text[1024], path[512];

	(void)snprintf(text, sizeof text,
		"device: gw-1\nfleet: demo\nproduct: gateway\nhardware: rev-b\n"
		"root: root.1\ndevice_key: device.key\n"
		"broker: { url: tcp://127.0.0.1:1883 }\nstate_dir: /var/lib/agent\n"
		"spool: { dir: spool }\nslot: { dir: slots }\n%s",
		section);
	temporary_write("agent.yaml", text);
	(void)snprintf(path, sizeof path, "%s/agent.yaml", temporary_dir);
	err = (struct ota_error){ 0 };
	return agent_config_load(path, &config, NULL, &err);
}

Test(config_boot, each_loader_has_its_usual_place)
{
	static const struct {
		const char *section;
		enum agent_boot_type type;
		const char *path;
	} rows[] = { { "", AGENT_BOOT_NONE, "" },
		{ "boot: { loader: none }\n", AGENT_BOOT_NONE, "" },
		{ "boot: { loader: uboot }\n", AGENT_BOOT_UBOOT, "/etc/fw_env.config" },
		{ "boot: { loader: grub }\n", AGENT_BOOT_GRUB, "/boot/grub/grubenv" },
		{ "boot: { loader: systemd-boot }\n", AGENT_BOOT_SYSTEMD,
			"/efi/loader/entries" },
		{ "boot: { loader: grub, path: /esp/grubenv }\n", AGENT_BOOT_GRUB,
			"/esp/grubenv" },
		{ "boot: { loader: custom, path: /usr/bin/boot }\n", AGENT_BOOT_CUSTOM,
			"/usr/bin/boot" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		cr_assert_eq(load(rows[i].section), OTA_OK, "%s", err.text);
		cr_expect_eq(config.boot.type, rows[i].type, "row %zu", i);
		cr_expect_str_eq(config.boot.path, rows[i].path);
		cr_expect_eq(config.boot.deadline_s, 10);
	}
}

Test(config_boot, mistakes_are_told)
{
	static const struct {
		const char *section, *text;
	} rows[] = { { "boot: { path: /x }\n", "'loader'" },
		{ "boot: { loader: uboots }\n", "uboot" },
		{ "boot: { loader: custom }\n", "'path'" },
		{ "boot: { loader: none, path: /x }\n",
			"'path' means nothing without a 'loader'" },
		{ "boot: { loader: grub, deadline: 0s }\n",
			"'deadline' must be at least 1s" },
		{ "boot: { loader: grub, deadline: 2m }\n", "deadline" },
		{ "boot: { loader: grub, tries: 3 }\n", "tries" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		cr_expect_eq(load(rows[i].section), OTA_E_CONFIG, "row %zu", i);
		cr_expect(strstr(err.text, rows[i].text) != NULL, "%s", err.text);
	}
}

/* From the directory of the file, as `-c agent.yaml` has it. */
Test(config_boot, a_bare_name_is_a_file_beside_the_configuration)
{
	cr_assert_eq(load("boot: { loader: custom, path: boot }\n"), OTA_OK);
	cr_assert_eq(chdir(temporary_dir), 0);
	cr_assert_eq(agent_config_load("agent.yaml", &config, NULL, &err), OTA_OK, "%s",
		err.text);
	cr_expect_str_eq(config.boot.path, "./boot");
}
