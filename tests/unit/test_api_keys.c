#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/port/api_keys.h"
#include "proto/base/own.h"

#define SECRET  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_AAAAA0"
#define KEY(id) "sluice_" id "_" SECRET

static char path[] = "/tmp/api-keys.XXXXXX";
static struct api_keys *keys;

static void make_file(void)
{
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	(void)close(fd);
}

static void remove_file(void)
{
	api_keys_free(keys);
	(void)unlink(path);
}

TestSuite(api_keys, .init = make_file, .fini = remove_file);

static void write_text(const char *text)
{
	FILE *file = fopen(path, "we");

	cr_assert_not_null(file);
	cr_assert_geq(fputs(text, file), 0);
	cr_assert_eq(fclose(file), 0);
}

/* "id scope hash\n" of the key with that id. */
static const char *line_of(const char *id, const char *scope)
{
	static char line[256];
	char key[128], hex[OTA_DIGEST_HEX_CAP];
	struct ota_digest hash;

	(void)snprintf(key, sizeof key, "sluice_%s_%s", id, SECRET);
	hash = ota_digest_of(ota_bytes_of(key));
	ota_digest_hex(&hash, hex);
	(void)snprintf(line, sizeof line, "%s %s %s\n", id, scope, hex);
	return line;
}

Test(api_keys, a_key_is_known_whole_or_not_at_all)
{
	static const struct {
		const char *key;
		bool known;
	} rows[] = {
		{ KEY("ci"), true },
		{ KEY("my_ci"), false },
		{ KEY("admin"), false },
		{ KEY("ci") "x", false },
		{ "sluice_ci_" SECRET "\n", false },
		{ "Sluice_ci_" SECRET, false },
		{ "sluice_ci_", false },
		{ "sluice__" SECRET, false },
		{ SECRET, false },
		{ "", false },
	};
	char id[OTA_NAME_CAP];
	enum api_scope scope;

	write_text(line_of("ci", "rollout"));
	cr_assert_eq(api_keys_open(path, &keys, NULL), OTA_OK);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		cr_expect_eq(api_keys_check(keys, rows[i].key, id, &scope), rows[i].known,
			"%s", rows[i].key);
	cr_expect_str_eq(id, "ci");
	cr_expect_eq(scope, API_ROLLOUT);
}

Test(api_keys, an_id_may_hold_an_underscore)
{
	char id[OTA_NAME_CAP];
	enum api_scope scope;

	write_text(line_of("my_ci", "admin"));
	cr_assert_eq(api_keys_open(path, &keys, NULL), OTA_OK);
	cr_assert(api_keys_check(keys, KEY("my_ci"), id, &scope));
	cr_expect_str_eq(id, "my_ci");
}

Test(api_keys, a_key_taken_out_of_the_file_is_refused)
{
	char id[OTA_NAME_CAP];
	enum api_scope scope;

	write_text(line_of("ci", "admin"));
	cr_assert_eq(api_keys_open(path, &keys, NULL), OTA_OK);
	cr_assert(api_keys_check(keys, KEY("ci"), id, &scope));
	write_text("# revoked\n");
	cr_assert_eq(api_keys_refresh(keys, NULL), OTA_OK);
	cr_assert_not(api_keys_check(keys, KEY("ci"), id, &scope));
	write_text("nonsense\n");
	cr_assert_eq(api_keys_refresh(keys, NULL), OTA_E_CONFIG);
}

Test(api_keys, every_mistake_is_told_with_its_line)
{
	static const struct {
		const char *text, *told;
	} rows[] = {
		{ "\nci admin\n", ":2: must be" },
		{ "ci admin 00 more\n", ":1: must be" },
		{ "ci root 00\n", "scope must be" },
		{ "CI admin 00\n", "name" },
		{ "ci admin 00\n", ":1: " },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ota_error err = { 0 };

		write_text(rows[i].text);
		cr_expect_eq(api_keys_open(path, &keys, &err), OTA_E_CONFIG);
		cr_expect_not_null(
			strstr(err.text, rows[i].told), "%s: %s", rows[i].text, err.text);
	}
}

Test(api_keys, a_scope_allows_reading_and_itself)
{
	static const bool allowed[N_API_SCOPES][N_API_SCOPES] = {
		/* has \ wants      read  rollout enrol  admin */
		[API_READ] = { true, false, false, false },
		[API_ROLLOUT] = { true, true, false, false },
		[API_ENROL] = { true, false, true, false },
		[API_ADMIN] = { true, true, true, true },
	};

	for (unsigned has = 0; has < N_API_SCOPES; has++)
		for (unsigned wants = 0; wants < N_API_SCOPES; wants++)
			cr_expect_eq(api_scope_allows(
					     (enum api_scope)has, (enum api_scope)wants),
				allowed[has][wants], "%u %u", has, wants);
}
