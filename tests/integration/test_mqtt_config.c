#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/io/mqtt.h"
#include "tests/integration/broker.h"

/* What is refused at the door: configurations of a link, and names of devices and fleets.
 */

static char dir[] = "/tmp/sluice-certs-XXXXXX";

/* Run a script of deploy/mosquitto in the temporary folder. */
static int run(const char *script, const char *arguments)
{
	char command[BROKER_PATH_CAP * 2];

	(void)snprintf(command, sizeof command,
		"cd %s && " SOURCE_ROOT "/deploy/mosquitto/%s %s 2>error", dir, script,
		arguments);
	return system(command);
}

static void start(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(run("make-certs", ". dev-1 dev-2"), 0);
}

static void stop(void)
{
	char command[64];

	(void)snprintf(command, sizeof command, "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(mqtt_config, .init = start, .fini = stop);

static const struct config_row {
	const char *url, *client_id, *ca_file, *cert_file, *key_file, *text;
} rows[] = {
	{ "ssl://localhost:1", NULL, "ca.pem", NULL, NULL, "no client id" },
	{ "ssl://localhost:1", "", "ca.pem", NULL, NULL, "no client id" },
	{ NULL, "dev-1", NULL, NULL, NULL, "broker '' must begin with ssl:// or tcp://" },
	{ "ws://localhost:1", "dev-1", NULL, NULL, NULL,
		"broker 'ws://localhost:1' must begin with ssl:// or tcp://" },
	{ "ssl://localhost:1", "dev-1", NULL, NULL, NULL,
		"ca_file is needed for ssl://localhost:1" },
	{ "ssl://localhost:1", "dev-1", "none.pem", NULL, NULL,
		"ca_file none.pem: No such file or directory" },
	{ "ssl://localhost:1", "dev-1", "ca.key", NULL, NULL,
		"ca_file ca.key: no certificate or crl found" },
	{ "ssl://localhost:1", "dev-1", "ca.pem", NULL, "dev-1.key",
		"key_file without cert_file" },
	{ "ssl://localhost:1", "dev-1", "ca.pem", "dev-1.key", "dev-1.key",
		"cert_file dev-1.key: no start line" },
	{ "ssl://localhost:1", "dev-1", "ca.pem", "dev-1.pem", "none.key",
		"key_file none.key: No such file or directory" },
	{ "ssl://localhost:1", "dev-1", "ca.pem", "dev-1.pem", "dev-2.key",
		"key_file dev-2.key: key values mismatch" },
};

Test(mqtt_config, a_broken_configuration_is_named_once_at_the_start)
{
	static const struct ota_mqtt_events events = { 0 };
	uv_loop_t loop;

	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(uv_loop_init(&loop), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct config_row *row = &rows[i];
		const struct ota_mqtt_config config = { .url = row->url,
			.client_id = row->client_id,
			.ca_file = row->ca_file,
			.cert_file = row->cert_file,
			.key_file = row->key_file };
		struct ota_error err = { 0 };
		struct ota_mqtt *link = NULL;

		cr_expect_eq(ota_mqtt_new(&loop, &config, &events, NULL, &link, &err),
			OTA_E_CONFIG, "row %zu", i);
		cr_expect_str_eq(err.text, row->text, "row %zu said '%s'", i, err.text);
		cr_expect_null(link);
	}
	cr_expect_eq(uv_loop_close(&loop), 0);
	cr_assert_eq(chdir("/"), 0);
}

Test(mqtt_config, no_certificate_is_made_for_what_is_no_device_name)
{
	static const char *const names[] = { "dev+1", "'#'", "a/b", "a..b", "Dev", "-x",
		"''", "ca", "server", "'a b'" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char arguments[64];

		(void)snprintf(arguments, sizeof arguments, ". %s", names[i]);
		cr_expect_neq(run("make-certs", arguments), 0, "%s", names[i]);
	}
	cr_expect_neq(run("make-profile", "p 'a/b' 1883"), 0);
	cr_expect_neq(run("make-profile", "p '+' 1883"), 0);
	cr_expect_neq(run("make-profile", "p fleet"), 0);
	cr_expect_eq(run("make-profile", "p fleet 1883"), 0);
}
