#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/port/config.h"
#include "proto/base/own.h"

/* A configuration that lacks nothing; rows below replace one line of it. */
static const char *const LINES[] = { "fleet: demo", "state_dir: state", "root: root.doc",
	"online_key: keys/online.key", "api_keys: /etc/keys",
	"broker:", "  url: tcp://127.0.0.1:1883" };
enum { LINE_COUNT = sizeof LINES / sizeof LINES[0] };

static char dir[] = "/tmp/sluiced-config.XXXXXX";
static char path[64];

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/sluiced.yaml", dir);
}

static void remove_dir(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

TestSuite(sluiced_config, .init = make_dir, .fini = remove_dir);

/* Write the file with line `at` (from 1; 0: none) replaced by text. */
static void write_with(size_t at, const char *text)
{
	FILE *file = fopen(path, "we");

	cr_assert_not_null(file);
	for (size_t i = 0; i < LINE_COUNT; i++)
		cr_assert_geq(fprintf(file, "%s\n", i + 1 == at ? text : LINES[i]), 0);
	cr_assert_eq(fclose(file), 0);
}

static void expect_in_dir(const char *got, const char *name)
{
	char want[CONFIG_PATH_CAP];

	(void)snprintf(want, sizeof want, "%s/%s", dir, name);
	cr_expect_str_eq(got, want);
}

Test(sluiced_config, what_is_not_said_has_a_default)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct sluiced_config c;

	write_with(0, NULL);
	cr_assert_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_OK, "%s",
		ota_buf_text(&messages));
	cr_expect_str_eq(c.fleet, "demo");
	expect_in_dir(c.state_dir, "state");
	expect_in_dir(c.database, "state/sluiced.db");
	expect_in_dir(c.images, "state/images");
	expect_in_dir(c.patches.dir, "state/patches");
	cr_expect_str_eq(c.api_keys, "/etc/keys");
	cr_expect_str_eq(c.broker.client_id, "sluiced");
	cr_expect_str_eq(c.http.host, "127.0.0.1");
	cr_expect_eq(c.http.port, 8470);
	cr_expect_eq(c.patches.workers, 1);
	cr_expect_eq(c.patches.codec, OTA_CODEC_PREDICT);
	cr_expect_eq(c.log, OTA_LOG_INFO);
}

static void expect_home_assistant(const char *text, const char *error)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct sluiced_config c;
	const char *found;

	write_with(1, text);
	cr_assert_eq(
		sluiced_config_load(path, NULL, &c, &messages), OTA_E_CONFIG, "%s", text);
	found = ota_buf_text(&messages);
	cr_expect_not_null(strstr(found, error), "%s: %s", error, found);
}

Test(sluiced_config, home_assistant_is_shown_nothing_unless_it_is_said_so)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct sluiced_config c;

	write_with(0, NULL);
	cr_assert_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_OK);
	cr_expect_not(c.home_assistant.there);
	write_with(1, "fleet: demo\nhome_assistant: {cohort: lab}");
	cr_assert_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_OK, "%s",
		ota_buf_text(&messages));
	cr_expect(c.home_assistant.there);
	cr_expect_not(c.home_assistant.enabled);
	cr_expect_str_eq(c.home_assistant.discovery_prefix, "homeassistant");
	cr_expect_str_eq(c.home_assistant.topic_prefix, "sluice-ha/demo");
	cr_expect_str_eq(c.home_assistant.cohort, "lab");
}

Test(sluiced_config, topics_for_home_assistant_are_plain_and_not_ours)
{
	expect_home_assistant("fleet: demo\nhome_assistant: {enabled: perhaps}",
		"sluiced.yaml:2:27: error: 'enabled'");
	expect_home_assistant("fleet: demo\nhome_assistant: {discovery_prefix: 'a/#'}",
		"sluiced.yaml:2:36: error: 'discovery_prefix' must be a topic of "
		"letters");
	expect_home_assistant(
		"fleet: demo\nhome_assistant: {topic_prefix: sluice/1/demo}",
		"sluiced.yaml:2:32: error: 'topic_prefix' must not be below sluice/");
	expect_home_assistant("fleet: a.b\nhome_assistant: {enabled: true}",
		"'topic_prefix' is needed");
	expect_home_assistant(
		"fleet: demo\nhome_assistant: {command_topic: x}", "command_topic");
}

Test(sluiced_config, the_environment_goes_before_the_file)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct sluiced_config c;

	write_with(1, "fleet: demo\ndatabase: sqlite:/a/one.db");
	cr_assert_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_OK);
	cr_expect_str_eq(c.database, "/a/one.db");
	cr_assert_eq(
		sluiced_config_load(path, "sqlite:/b/two.db", &c, &messages), OTA_OK);
	cr_expect_str_eq(c.database, "/b/two.db");
}

Test(sluiced_config, an_address_is_numeric_and_may_be_ipv6)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct sluiced_config c;

	write_with(1, "fleet: demo\nhttp: {listen: '[::1]:0'}");
	cr_assert_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_OK, "%s",
		ota_buf_text(&messages));
	cr_expect_str_eq(c.http.host, "::1");
	cr_expect_eq(c.http.port, 0);
	write_with(1, "fleet: demo\n"
		      "http: {listen: 0.0.0.0:80, insecure_plain_http: true}");
	cr_assert_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_OK);
	cr_expect_str_eq(c.http.host, "0.0.0.0");
}

Test(sluiced_config, deltas_are_of_the_codec_that_is_asked_for)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct sluiced_config c;

	write_with(1, "fleet: demo\npatches: {codec: vcdiff}");
	cr_assert_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_OK);
	cr_expect_eq(c.patches.codec, OTA_CODEC_VCDIFF);
}

Test(sluiced_config, every_mistake_is_told)
{
	static const struct {
		size_t line;
		const char *text, *told;
	} rows[] = {
		{ 1, "fleet: Demo", "fleet" },
		{ 1, "fleets: demo", "did you mean 'fleet'" },
		{ 2, "log: info", "state_dir" },
		{ 5, "api_keys: ''", "must not be empty" },
		{ 7, "  url: http://x", "must begin with ssl:// or tcp://" },
		{ 7, "  url: ssl://x:8883", "needs 'ca'" },
		{ 7, "  url: tcp://x:1\n  cert: c.pem", "go together" },
		{ 7, "  url: tcp://x:1\n  client_id: 'a b'", "client_id" },
		{ 1, "fleet: d\nhttp: {listen: 0.0.0.0:80}", "not a loopback" },
		{ 1, "fleet: d\nhttp: {listen: localhost:80}", "numeric address" },
		{ 1, "fleet: d\nhttp: {listen: 127.0.0.1:70000}", "numeric address" },
		{ 1, "fleet: d\nhttp: {listen: '127.0.0.1:'}", "numeric address" },
		{ 1, "fleet: d\npatches: {workers: 0}", "workers" },
		{ 1, "fleet: d\npatches: {level: 20}", "level" },
		{ 1, "fleet: d\npatches: {codec: full}", "'codec'" },
		{ 1, "fleet: d\nlog: loud", "log" },
		{ 1, "fleet: d\ndatabase: postgresql:h/d", "not 'postgresql...'" },
		{ 1, "fleet: d\ndatabase: mysql:x", "must be sqlite:PATH" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
		struct sluiced_config c;

		write_with(rows[i].line, rows[i].text);
		cr_expect_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_E_CONFIG,
			"%s", rows[i].text);
		cr_expect_not_null(strstr(ota_buf_text(&messages), rows[i].told),
			"%s: %s", rows[i].text, ota_buf_text(&messages));
	}
}

Test(sluiced_config, postgresql_is_named_by_its_url)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct sluiced_config c;

	write_with(1, "fleet: demo\ndatabase: postgres://u@h/d?sslmode=verify-full");
	cr_assert_eq(sluiced_config_load(path, NULL, &c, &messages), OTA_OK);
	cr_expect_str_eq(c.database, "postgres://u@h/d?sslmode=verify-full");
	cr_assert_eq(sluiced_config_load(path, "postgresql:///d", &c, &messages), OTA_OK);
	cr_expect_str_eq(c.database, "postgresql:///d");
}

Test(sluiced_config, a_password_in_a_wrong_url_is_not_shown)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct sluiced_config c;

	write_with(0, NULL);
	cr_assert_eq(sluiced_config_load(path, "postgre://u:secret@h/d", &c, &messages),
		OTA_E_CONFIG);
	cr_expect_not_null(strstr(ota_buf_text(&messages), "DATABASE_URL must be"));
	cr_expect_null(strstr(ota_buf_text(&messages), "secret"));
}
