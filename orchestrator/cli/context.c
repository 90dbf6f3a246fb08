#include "orchestrator/cli/context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "proto/io/yaml.h"

enum { KEY_FILE_LEN_MAX = 256, SEED_LEN = 32, RETRY_S = 15, RETRY_S_MAX = 86400 };

#define DEFAULT_SERVER "http://127.0.0.1:8470"

static const char *const context_keys[] = { "fleet", "server", "api_key", "keys", "root",
	NULL };

/* A path of the file, relative to the directory unless absolute. */
static OTA_CHECKED enum ota_code resolve(const char *dir, const char *path,
	char out[static CONTEXT_PATH_CAP], struct ota_error *err)
{
	int n = path[0] == '/' ? snprintf(out, CONTEXT_PATH_CAP, "%s", path)
			       : snprintf(out, CONTEXT_PATH_CAP, "%s/%s", dir, path);

	if (n < 0 || n >= CONTEXT_PATH_CAP)
		return ota_fail(err, OTA_E_LIMIT, "path '%s' is too long", path);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_server(
	struct context *context, const char *server, struct ota_error *err)
{
	size_t len = strlen(server);

	while (len > 0 && server[len - 1] == '/')
		len--;
	if (len >= sizeof context->server)
		return ota_fail(err, OTA_E_LIMIT, "server '%s' is too long", server);
	memcpy(context->server, server, len);
	context->server[len] = '\0';
	return OTA_OK;
}

/* The API key: the environment goes before the file; none at all is found out later. */
static OTA_CHECKED enum ota_code load_api_key(
	struct context *context, const char *path, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	const char *key = getenv("API_KEY");
	enum ota_code rc;

	if (key == NULL || key[0] == '\0') {
		rc = ota_file_read(path, KEY_FILE_LEN_MAX, &text, NULL);
		if (rc == OTA_E_NOTFOUND)
			return OTA_OK;
		if (rc != OTA_OK || (key = ota_buf_text(&text)) == NULL)
			return ota_fail(
				err, OTA_E_IO, "cannot read the API key in %s", path);
	}
	if (strcspn(key, "\r\n") >= sizeof context->api_key)
		return ota_fail(err, OTA_E_LIMIT, "the API key is too long");
	memcpy(context->api_key, key, strcspn(key, "\r\n"));
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_map(struct context *context,
	const struct cli_call *call, struct ota_yaml *doc, struct ota_error *err)
{
	const struct ota_yaml_node *map = ota_yaml_root(doc);
	const char *server, *api_key, *keys, *root;
	unsigned long long retry_s = 0;
	enum ota_code rc;

	if (!ota_yaml_map(doc, map, "a context", context_keys))
		return OTA_E_CONFIG;
	ota_yaml_name(doc, ota_yaml_need(doc, map, "fleet"), "fleet", context->fleet);
	server =
		ota_yaml_text(doc, ota_yaml_get(map, "server"), "server", DEFAULT_SERVER);
	api_key = ota_yaml_text(doc, ota_yaml_get(map, "api_key"), "api_key", "api.key");
	keys = ota_yaml_text(doc, ota_yaml_get(map, "keys"), "keys", "keys");
	root = ota_yaml_text(doc, ota_yaml_get(map, "root"), "root", "root.doc");
	if (ota_yaml_error_count(doc) > 0)
		return OTA_E_CONFIG;
	rc = cli_number(call, "retry", RETRY_S, &retry_s, err);
	if (rc == OTA_OK && retry_s > RETRY_S_MAX)
		rc = ota_fail(
			err, OTA_E_USAGE, "--retry takes up to %d seconds", RETRY_S_MAX);
	context->retry_s = (unsigned)retry_s;
	if (rc == OTA_OK)
		rc = take_server(context, cli_value(call, "server", server), err);
	if (rc == OTA_OK)
		rc = resolve(context->dir, keys, context->keys_dir, err);
	if (rc == OTA_OK)
		rc = resolve(context->dir, root, context->root_path, err);
	if (rc == OTA_OK) {
		char path[CONTEXT_PATH_CAP];

		rc = resolve(context->dir, api_key, path, err);
		if (rc == OTA_OK)
			rc = load_api_key(context, path, err);
	}
	return rc;
}

static const char *dir_of(const struct cli_call *call)
{
	const char *env = getenv("SLUICE_DIR");

	return cli_value(call, "dir", env != NULL && env[0] != '\0' ? env : ".");
}

enum ota_code context_load(
	const struct cli_call *call, struct context *out, struct ota_error *err)
{
	struct context context = { 0 };
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	char path[CONTEXT_PATH_CAP];
	enum ota_code rc = resolve(".", dir_of(call), context.dir, err);

	if (rc == OTA_OK)
		rc = resolve(context.dir, "sluice.yaml", path, err);
	if (rc != OTA_OK)
		return rc;
	if (access(path, R_OK) != 0)
		return ota_fail(err, OTA_E_NOTFOUND,
			"no sluice.yaml in '%s': run this in a fleet's directory, or "
			"give --dir "
			"(sluice init makes one)",
			dir_of(call));
	rc = ota_yaml_load(path, &doc);
	if (rc == OTA_OK)
		rc = read_map(&context, call, doc, err);
	if (doc != NULL && ota_yaml_error_count(doc) > 0) {
		fputs(ota_yaml_errors(doc), stderr);
		return ota_fail(err, OTA_E_CONFIG, "%s is not a context", path);
	}
	if (rc != OTA_OK)
		return rc;
	*out = context;
	return OTA_OK;
}

enum ota_code context_trust(
	const struct context *context, struct ota_trust *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf root = { 0 };
	struct ota_trust trust = { 0 };
	enum ota_code rc;

	rc = ota_file_read(context->root_path, OTA_ENVELOPE_LEN_MAX, &root, err);
	if (rc == OTA_OK)
		rc = ota_trust_anchor(&trust, ota_buf_bytes(&root), err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "root %s", context->root_path);
	(void)ota_trust_now(&trust, ota_clock_utc_s());
	*out = trust;
	return OTA_OK;
}

enum ota_code key_file_read(
	const char *path, struct ota_secret_key *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	uint8_t seed[SEED_LEN];
	enum ota_code rc = ota_file_read(path, KEY_FILE_LEN_MAX, &text, err);

	if (rc != OTA_OK)
		return rc;
	if (text.len > 0 && text.at[text.len - 1] == '\n')
		text.len--;
	if (ota_buf_text(&text) == NULL ||
		ota_hex_decode((const char *)text.at, seed, sizeof seed) != OTA_OK)
		return ota_fail(
			err, OTA_E_FORMAT, "%s is not a key file (64 hex digits)", path);
	*out = ota_secret_key_from_seed(seed);
	explicit_bzero(seed, sizeof seed);
	explicit_bzero(text.at, text.cap);
	return OTA_OK;
}

enum ota_code key_file_make(
	const char *path, struct ota_secret_key *out, struct ota_error *err)
{
	uint8_t seed[SEED_LEN];
	char line[2 * SEED_LEN + 2];
	enum ota_code rc;

	if (access(path, F_OK) == 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"%s exists; a key is never overwritten", path);
	ota_random(seed, sizeof seed);
	ota_hex_encode((struct ota_bytes){ seed, sizeof seed }, line);
	line[2 * SEED_LEN] = '\n';
	line[2 * SEED_LEN + 1] = '\0';
	rc = ota_file_replace(path, ota_bytes_of(line), 0600, err);
	explicit_bzero(line, sizeof line);
	if (rc == OTA_OK && out != NULL)
		*out = ota_secret_key_from_seed(seed);
	explicit_bzero(seed, sizeof seed);
	return rc;
}

enum ota_code context_key(const struct context *context, const struct cli_call *call,
	enum ota_role role, struct ota_secret_key *out, struct ota_error *err)
{
	const char *given = cli_value(call, "key", NULL);
	char path[CONTEXT_PATH_CAP], name[32];
	enum ota_code rc;

	if (given != NULL)
		return key_file_read(given, out, err);
	(void)snprintf(name, sizeof name, "%s.key", ota_role_text(role));
	rc = resolve(context->keys_dir, name, path, err);
	if (rc == OTA_OK)
		rc = key_file_read(path, out, err);
	if (rc == OTA_E_NOTFOUND)
		return ota_fail(err, rc, "no %s key at hand: %s is not there; give --key",
			ota_role_text(role), path);
	return rc;
}
