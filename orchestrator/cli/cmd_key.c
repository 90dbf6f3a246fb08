/* key new, key show, key api: the secrets of a fleet. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/context.h"
#include "orchestrator/cli/keys.h"
#include "orchestrator/cli/output.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

enum {
	API_SECRET_LEN = 32,
	API_SECRET_TEXT_CAP = 44, /* 43 base64url characters and the NUL */
	API_KEYS_LEN_MAX = 1 << 16,
};

const struct cli_option key_new_options[] = { { 0 } };
const struct cli_option key_api_options[] = {
	{ "scope", 0, "read|rollout|enrol|admin", "what it may do (default admin)" },
	{ 0 },
};

static const char *const scopes[] = { "read", "rollout", "enrol", "admin" };

static void print_key(const struct cli_call *call, const char *path,
	const struct ota_secret_key *secret)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	struct ota_public_key key = ota_secret_key_public(secret);
	char hex[2 * OTA_PK_LEN + 1];

	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, hex);
	cJSON_AddStringToObject(tree, "file", path);
	cJSON_AddStringToObject(tree, "public", hex);
	if (call->json)
		output_json(tree);
	else
		printf("%s  %s\n", hex, path);
}

enum ota_code cmd_key_new(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key secret = { 0 };
	enum ota_code rc = key_file_make(call->operands[0], &secret, err);

	(void)exit_code;
	if (rc == OTA_OK)
		print_key(call, call->operands[0], &secret);
	return rc;
}

enum ota_code cmd_key_show(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key secret = { 0 };
	enum ota_code rc = key_file_read(call->operands[0], &secret, err);

	(void)exit_code;
	if (rc == OTA_OK)
		print_key(call, call->operands[0], &secret);
	return rc;
}

/* The keys file with one line more, unless the id is there already. */
static OTA_CHECKED enum ota_code add_line(
	const char *path, const char *id, const char *line, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	char want[OTA_NAME_CAP + 2];
	enum ota_code rc = ota_file_read(path, API_KEYS_LEN_MAX, &text, err);

	if (rc != OTA_OK && rc != OTA_E_NOTFOUND)
		return rc;
	(void)snprintf(want, sizeof want, "%s ", id);
	for (const char *at = ota_buf_text(&text); at != NULL && *at != '\0';) {
		if (strncmp(at, want, strlen(want)) == 0)
			return ota_fail(err, OTA_E_CONFLICT, "%s has a key '%s' already",
				path, id);
		at = strchr(at, '\n');
		at = at != NULL ? at + 1 : NULL;
	}
	rc = ota_buf_add(&text, ota_bytes_of(line));
	if (rc == OTA_OK)
		rc = ota_file_replace(path, ota_buf_bytes(&text), 0600, err);
	return rc;
}

static OTA_CHECKED enum ota_code store_api_key(const char *dir, const char *id,
	const char *scope, const char *key, struct ota_error *err)
{
	struct ota_digest digest = ota_digest_of(ota_bytes_of(key));
	char path[CONTEXT_PATH_CAP], name[OTA_NAME_CAP + 16], hex[OTA_DIGEST_HEX_CAP];
	char line[OTA_NAME_CAP + 128];
	enum ota_code rc;

	ota_digest_hex(&digest, hex);
	(void)snprintf(line, sizeof line, "%s %s %s\n", id, scope, hex);
	rc = ota_path_join(dir, "api-keys", path, sizeof path, err);
	if (rc == OTA_OK)
		rc = add_line(path, id, line, err);
	if (rc != OTA_OK)
		return rc;
	(void)snprintf(name, sizeof name,
		strcmp(id, "admin") == 0 ? "%sapi.key" : "%s.api.key",
		strcmp(id, "admin") == 0 ? "" : id);
	rc = ota_path_join(dir, name, path, sizeof path, err);
	if (rc == OTA_OK)
		rc = ota_file_replace(path, ota_bytes_of(key), 0600, err);
	return rc;
}

enum ota_code api_key_make(
	const char *dir, const char *id, const char *scope, struct ota_error *err)
{
	uint8_t secret[API_SECRET_LEN];
	char text[API_SECRET_TEXT_CAP], key[CONTEXT_API_KEY_CAP], name[OTA_NAME_CAP];
	enum ota_code rc = ota_name_copy(id, "API key", name, err);

	if (rc != OTA_OK)
		return rc;
	ota_random(secret, sizeof secret);
	sodium_bin2base64(text, sizeof text, secret, sizeof secret,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)snprintf(key, sizeof key, "sluice_%s_%s", name, text);
	rc = store_api_key(dir, name, scope, key, err);
	explicit_bzero(secret, sizeof secret);
	explicit_bzero(text, sizeof text);
	explicit_bzero(key, sizeof key);
	return rc;
}

static void print_api_key(
	const struct cli_call *call, const struct context *context, const char *scope)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	char file[CONTEXT_PATH_CAP + OTA_NAME_CAP + 16];

	(void)snprintf(
		file, sizeof file, "%s/%s.api.key", context->dir, call->operands[0]);
	cJSON_AddStringToObject(tree, "id", call->operands[0]);
	cJSON_AddStringToObject(tree, "scope", scope);
	cJSON_AddStringToObject(tree, "file", file);
	if (call->json)
		output_json(tree);
	else
		printf("%s holds the key; it is good from now on\n", file);
}

enum ota_code cmd_key_api(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	const char *scope = cli_value(call, "scope", "admin");
	struct context context;
	enum ota_code rc;

	(void)exit_code;
	for (size_t i = 0; strcmp(scope, scopes[i]) != 0;)
		if (++i == sizeof scopes / sizeof scopes[0])
			return ota_fail(err, OTA_E_USAGE,
				"--scope is read, rollout, enrol or admin, not '%s'",
				scope);
	rc = context_load(call, &context, err);
	if (rc == OTA_OK)
		rc = api_key_make(context.dir, call->operands[0], scope, err);
	if (rc == OTA_OK)
		print_api_key(call, &context, scope);
	return rc;
}
