#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/port/config.h"
#include "proto/base/own.h"

/* A configuration that lacks nothing; rows below change one line of it. */
static const char *const LINES[] = { "device: gw-1", "fleet: demo", "product: gateway",
	"hardware: rev-b", "root: root.1", "device_key: device.key",
	"broker:", "  url: tcp://127.0.0.1:1883", "state_dir: /var/lib/agent",
	"spool:", "  dir: spool", "slot:", "  dir: slots" };
enum { LINE_COUNT = sizeof LINES / sizeof LINES[0] };

static char dir[] = "/tmp/agent-config.XXXXXX";
static char path[64];

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/agent.yaml", dir);
}

static void remove_dir(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

TestSuite(agent_config, .init = make_dir, .fini = remove_dir);

/* Write the file with line `at` (from 1; 0: none) replaced by `text`. */
static void write_with(size_t at, const char *text)
{
	FILE *file = fopen(path, "we");

	cr_assert_not_null(file);
	for (size_t i = 0; i < LINE_COUNT; i++)
		cr_assert_geq(fprintf(file, "%s\n", i + 1 == at ? text : LINES[i]), 0);
	cr_assert_eq(fclose(file), 0);
}

Test(agent_config, what_is_not_said_has_a_default)
{
	struct agent_config c;
	struct ota_error err = { 0 };

	write_with(0, NULL);
	cr_assert_eq(agent_config_load(path, &c, NULL, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(c.spool_max_bytes, UINT64_C(512) << 20);
	cr_expect_eq(c.decoder_ram_bytes, UINT64_C(8) << 20);
	cr_expect_eq(c.chunks_outstanding, 16);
	cr_expect_eq(c.rate_bytes_per_s, 0);
	cr_expect_eq(c.hook_deadline_s, 60);
	cr_expect_eq(c.broker.keepalive_s, 30);
	cr_expect_eq(c.reboot_count, 0);
	cr_expect_eq(c.log_level, OTA_LOG_INFO);
	cr_expect_str_eq(c.hooks_dir, "");
}

Test(agent_config, a_relative_path_begins_where_the_file_lies)
{
	struct agent_config c;
	char expected[64];

	write_with(0, NULL);
	cr_assert_eq(agent_config_load(path, &c, NULL, NULL), OTA_OK);
	(void)snprintf(expected, sizeof expected, "%s/spool", dir);
	cr_expect_str_eq(c.spool_dir, expected);
	cr_expect_str_eq(c.state_dir, "/var/lib/agent");
}

Test(agent_config, each_key_reaches_its_field)
{
	struct agent_config c;
	struct ota_error err = { 0 };

	write_with(13, "  dir: slots\nreboot: [systemctl, reboot]\nlimits:\n"
		       "  decoder_ram: 16M\n  chunks_outstanding: 4\n  rate: 64K\n"
		       "deadlines: {hook: 5s}\nlog: debug\nuser: sluice\nhooks: /h");
	cr_assert_eq(agent_config_load(path, &c, NULL, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(c.reboot_count, 2);
	cr_expect_str_eq(c.reboot[1], "reboot");
	cr_expect_eq(c.decoder_ram_bytes, UINT64_C(16) << 20);
	cr_expect_eq(c.chunks_outstanding, 4);
	cr_expect_eq(c.rate_bytes_per_s, 65536);
	cr_expect_eq(c.hook_deadline_s, 5);
	cr_expect_eq(c.log_level, OTA_LOG_DEBUG);
	cr_expect_str_eq(c.user, "sluice");
	cr_expect_str_eq(c.hooks_dir, "/h");
}

Test(agent_config, slots_may_be_partitions)
{
	struct agent_config c;
	struct ota_error err = { 0 };

	write_with(13, "  type: block\n  a: /dev/disk/by-partlabel/a\n  b: b.part\n"
		       "  initial_size: 235M");
	cr_assert_eq(agent_config_load(path, &c, NULL, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(c.slot.type, AGENT_SLOT_BLOCK);
	cr_expect_str_eq(c.slot.devices[0], "/dev/disk/by-partlabel/a");
	cr_expect_not_null(strstr(c.slot.devices[1], "/b.part"), "beside the file");
	cr_expect_eq(c.slot.initial_len, UINT64_C(235) << 20);
}

static const struct {
	size_t line;
	const char *text, *error; /* error follows "FILE:" */
} faults[] = {
	{ 1, "device: gw/1", "1:9: error: " },
	{ 1, "device: GW", "1:9: error: " },
	{ 1, "devise: gw-1", "1:1: error: unknown key 'devise'" },
	{ 8, "  url: http://x", "8:8: error: 'url' must begin with ssl:// or tcp://" },
	{ 8, "  url: ssl://x:8883", "8:8: error: an ssl:// 'url' needs 'ca'" },
	{ 11, "  dir: spool\n  max: 3x", "12:8: error: 'max' must be a size like" },
	{ 11, "  dir: spool\n  max: 1K", "12:8: error: 'max' must be a size like" },
	{ 11, "  dir: ''", "11:8: error: 'dir' must not be empty" },
	{ 13, "  dir: slots\n  type: raid", "14:9: error: " },
	{ 13, "  dir: slots\nreboot: now",
		"14:9: error: 'reboot' must be self or a list" },
	{ 13, "  dir: slots\nlimits: {chunks_outstanding: 17}", "14:30: error: " },
	{ 13, "  dir: slots\nlimits: {rate: 100, rate_min: 60}",
		"14:31: error: 'rate_min' must be at most half of 'rate', that is 50" },
	{ 13, "  dir: slots\nlog: loud", "14:6: error: " },
	{ 13, "  dir: slots\n  a: /dev/sda1",
		"14:6: error: 'a' is not for slots of type" },
	{ 13, "  type: block\n  a: /dev/sda1", "13:3: error: " },
	{ 13, "  dir: x\n  special_files: true",
		"14:18: error: 'special_files' is not for slots of type file" },
	{ 13, "  type: directory\n  dir: x\n  special_files: 3", "15:18: error: " },
	{ 13, "  type: block\n  a: x\n  b: x", "15:6: error: 'a' and 'b' are the same" },
	{ 13, "  type: block\n  a: x\n  b: y\n  dir: z",
		"16:8: error: 'dir' is not for slots of type block" },
	{ 13, "  dyr: slots", "13:3: error: unknown key 'dyr'" },
};

Test(agent_config, a_mistake_is_told_with_its_place)
{
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		struct agent_config c = { .rate_bytes_per_s = 77 };
		struct ota_error err = { 0 };
		char expected[256];

		write_with(faults[i].line, faults[i].text);
		(void)snprintf(expected, sizeof expected, "%s:%s", path, faults[i].error);
		cr_expect_eq(agent_config_load(path, &c, NULL, &err), OTA_E_CONFIG,
			"row %zu", i);
		cr_expect_eq(strncmp(err.text, expected, strlen(expected)), 0,
			"row %zu: %s", i, err.text);
		cr_expect_eq(c.rate_bytes_per_s, 77, "out is written on success only");
	}
}

Test(agent_config, all_mistakes_are_told)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf errors = { 0 };
	struct agent_config c;

	write_with(8, "  url: ftp://x\n  colour: red");
	cr_assert_eq(agent_config_load(path, &c, &errors, NULL), OTA_E_CONFIG);
	cr_expect_not_null(strstr(ota_buf_text(&errors), "'url' must begin"));
	cr_expect_not_null(strstr(ota_buf_text(&errors), "unknown key 'colour'"));
}

Test(agent_config, a_file_that_is_not_there_is_told)
{
	struct agent_config c;
	struct ota_error err = { 0 };

	cr_expect_eq(agent_config_load(path, &c, NULL, &err), OTA_E_CONFIG);
	cr_expect_not_null(strstr(err.text, "agent.yaml"));
}

Test(agent_config, the_example_that_people_copy_is_valid)
{
	struct agent_config c;
	struct ota_error err = { 0 };

	cr_expect_eq(agent_config_load(SOURCE_ROOT "/config/agent.yaml", &c, NULL, &err),
		OTA_OK, "%s", err.text);
}

Test(agent_config, without_a_policy_everything_is_allowed)
{
	static const struct policy none = { .rate_min = 100 };
	struct agent_config c;

	write_with(0, NULL);
	cr_assert_eq(agent_config_load(path, &c, NULL, NULL), OTA_OK);
	cr_expect_eq(memcmp(&c.policy.rules, &none, sizeof none), 0);
}

Test(agent_config, each_key_of_the_policy_reaches_its_field)
{
	struct agent_config c;
	const struct policy *rules = &c.policy.rules;
	struct ota_error err = { 0 };
	char expected[64];

	write_with(13, "  dir: slots\npolicy:\n"
		       "  windows: [22:00-05:00, \"sat,sun 00:00-24:00\"]\n"
		       "  reboot_windows: [mon-fri 01:00-04:00]\n"
		       "  metered_command: bin/metered\n  metered_security: true\n"
		       "  budget: 200M\n  power_command: /usr/bin/power\n"
		       "  reboot_lock: /run/lock\n  reboot_lock_command: /usr/bin/lock");
	cr_assert_eq(agent_config_load(path, &c, NULL, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(rules->download.count, 2);
	cr_expect_eq(rules->download.at[0].from_min, 22 * 60);
	cr_expect_eq(rules->download.at[1].days, 0x60);
	cr_expect_eq(rules->reboot.count, 1);
	cr_expect_eq(rules->reboot.at[0].days, 0x1f);
	cr_expect(rules->asks_metered && rules->asks_power && rules->asks_lock);
	cr_expect(rules->metered_security);
	cr_expect_eq(rules->budget_bytes, UINT64_C(200) << 20);
	(void)snprintf(expected, sizeof expected, "%s/bin/metered", dir);
	cr_expect_str_eq(c.policy.metered_command, expected);
	cr_expect_str_eq(c.policy.power_command, "/usr/bin/power");
	cr_expect_str_eq(c.policy.lock_file, "/run/lock");
	cr_expect_str_eq(c.policy.lock_command, "/usr/bin/lock");
}

Test(agent_config, the_lower_limit_of_speed_is_below_the_upper_one)
{
	static const struct {
		const char *limits;
		uint64_t rate_min;
	} rows[] = { { "rate_min: 1K", 1024 }, { "rate_min: 0", 0 }, { "rate: 1M", 100 },
		{ "rate: 60", 30 }, { "rate: 2K, rate_min: 1K", 1024 } };
	struct agent_config c;
	char line[128];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		(void)snprintf(
			line, sizeof line, "  dir: slots\nlimits: {%s}", rows[i].limits);
		write_with(13, line);
		cr_assert_eq(agent_config_load(path, &c, NULL, NULL), OTA_OK);
		cr_expect_eq(
			c.policy.rules.rate_min, rows[i].rate_min, "%s", rows[i].limits);
	}
}

Test(agent_config, windows_are_for_both_unless_one_has_its_own)
{
	struct agent_config c;

	write_with(13, "  dir: slots\npolicy:\n  windows: [22:00-05:00]");
	cr_assert_eq(agent_config_load(path, &c, NULL, NULL), OTA_OK);
	cr_expect_eq(c.policy.rules.download.count, 1);
	cr_expect_eq(c.policy.rules.reboot.count, 1);
	write_with(13, "  dir: slots\npolicy:\n  reboot_lock: /run/lock\n"
		       "  download_windows: [22:00-05:00]");
	cr_assert_eq(agent_config_load(path, &c, NULL, NULL), OTA_OK);
	cr_expect_eq(c.policy.rules.download.count, 1);
	cr_expect_eq(c.policy.rules.reboot.count, 0);
	cr_expect(c.policy.rules.asks_lock && !c.policy.rules.asks_power);
}

Test(agent_config, a_wrong_policy_is_told_with_its_place)
{
	static const struct {
		const char *line, *text;
	} rows[] = { { "windows: 22:00-05:00",
			     ":15:12: error: 'windows' must be a list of" },
		{ "windows: []", "'windows' must be a list of 1 to 16 windows" },
		{ "windows: [22:00]", ":15:13: error: 'windows': a window must be like" },
		{ "reboot_windows: [monday 1:00-2:00]", "days must be like 'mon'" },
		{ "metered_security: maybe", "metered_security" },
		{ "budget: much", "'budget' must be a size" },
		{ "metred_command: /bin/x", "did you mean 'metered_command'" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf errors = { 0 };
		struct agent_config c;
		char text[128];

		(void)snprintf(
			text, sizeof text, "  dir: slots\npolicy:\n  %s", rows[i].line);
		write_with(13, text);
		cr_expect_eq(agent_config_load(path, &c, &errors, NULL), OTA_E_CONFIG);
		cr_expect_not_null(strstr(ota_buf_text(&errors), rows[i].text),
			"row %zu: %s", i, ota_buf_text(&errors));
	}
}
