/* init: a directory that holds all a newcomer's fleet needs, one key per role. */
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/context.h"
#include "orchestrator/cli/document.h"
#include "orchestrator/cli/keys.h"
#include "orchestrator/cli/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

enum { ROOT_LIFE_S = 365 * 86400 };

const struct cli_option init_options[] = {
	{ "fleet", 'f', "NAME",
		"the fleet's name, part of every topic (default: default)" },
	{ "listen", 'l', "ADDR", "where the API shall listen (default 127.0.0.1:8470)" },
	{ "broker", 'b', "URL", "the MQTT broker (default ssl://localhost:8883)" },
	{ "operators", 0, "N",
		"operator keys (default 1); from 2 on, two of them sign wide grants" },
	{ 0 },
};

struct fleet_setup {
	const char *dir;
	char fleet[OTA_NAME_CAP];
	const char *listen, *broker;
	struct ota_secret_key keys[OTA_N_ROLES];
	unsigned long long operators;             /* keys, 1 .. OTA_KEYS_MAX */
	struct ota_public_key more[OTA_KEYS_MAX]; /* of the operators after the first */
};

static void setup_fini(struct fleet_setup *setup)
{
	for (int role = 0; role < OTA_N_ROLES; role++)
		ota_secret_key_fini(&setup->keys[role]);
}

/* A file of the directory, from text with %s for what differs. */
static OTA_CHECKED enum ota_code write_file(const struct fleet_setup *setup,
	const char *name, const struct ota_buf *text, struct ota_error *err)
{
	char path[CONTEXT_PATH_CAP];
	enum ota_code rc = ota_path_join(setup->dir, name, path, sizeof path, err);

	if (rc == OTA_OK)
		rc = ota_file_replace(path, ota_buf_bytes(text), 0644, err);
	return rc;
}

static OTA_CHECKED enum ota_code make_keys(
	struct fleet_setup *setup, struct ota_error *err)
{
	char path[CONTEXT_PATH_CAP], name[64];
	enum ota_code rc = ota_path_join(setup->dir, "keys", path, sizeof path, err);

	if (rc == OTA_OK)
		rc = ota_dir_make(path, 0700, err);
	for (int role = 0; rc == OTA_OK && role < OTA_N_ROLES; role++) {
		(void)snprintf(name, sizeof name, "keys/%s.key",
			ota_role_text((enum ota_role)role));
		rc = ota_path_join(setup->dir, name, path, sizeof path, err);
		if (rc == OTA_OK)
			rc = key_file_make(path, &setup->keys[role], err);
	}
	return rc;
}

/* keys/operator-2.key and so on. */
static OTA_CHECKED enum ota_code make_operators(
	struct fleet_setup *setup, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (unsigned i = 1; rc == OTA_OK && i < setup->operators; i++) {
		OTA_AUTO(ota_secret_key_fini) struct ota_secret_key key = { 0 };
		char path[CONTEXT_PATH_CAP], name[64];

		(void)snprintf(name, sizeof name, "keys/operator-%u.key", i + 1);
		rc = ota_path_join(setup->dir, name, path, sizeof path, err);
		if (rc == OTA_OK)
			rc = key_file_make(path, &key, err);
		if (rc == OTA_OK)
			setup->more[i] = ota_secret_key_public(&key);
	}
	return rc;
}

static void add_operators(const struct fleet_setup *setup, struct ota_role_keys *role)
{
	for (unsigned i = 1; i < setup->operators; i++)
		role->set.keys[role->set.count++] = setup->more[i];
	if (setup->operators > 1)
		role->wide = 2;
}

static OTA_CHECKED enum ota_code make_root(
	const struct fleet_setup *setup, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	struct ota_root root = { .version = 1 };
	enum ota_code rc;

	memcpy(root.fleet, setup->fleet, sizeof root.fleet);
	ota_random(root.fleet_id, sizeof root.fleet_id);
	root.issued_utc_s = ota_clock_utc_s();
	root.expires_utc_s = root.issued_utc_s + ROOT_LIFE_S;
	for (int role = 0; role < OTA_N_ROLES; role++) {
		root.roles[role].epoch = 1;
		root.roles[role].set = (struct ota_keyset){ .count = 1, .threshold = 1 };
		root.roles[role].set.keys[0] = ota_secret_key_public(&setup->keys[role]);
	}
	add_operators(setup, &root.roles[OTA_ROLE_OPERATOR]);
	rc = ota_root_encode(&root, &payload, err);
	if (rc == OTA_OK)
		rc = document_sign(OTA_DOC_ROOT, root.fleet_id, ota_buf_bytes(&payload),
			&setup->keys[OTA_ROLE_ROOT], &envelope, err);
	if (rc == OTA_OK)
		rc = write_file(setup, "root.doc", &envelope, err);
	return rc;
}

static OTA_CHECKED enum ota_code write_context(
	const struct fleet_setup *setup, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	enum ota_code rc = ota_buf_printf(&text,
		"# Read by 'sluice' when run in this directory.\n"
		"fleet: %s\n"
		"server: http://%s\n"
		"api_key: api.key\n"
		"keys: keys\n"
		"root: root.doc\n",
		setup->fleet, setup->listen);

	if (rc == OTA_OK)
		rc = write_file(setup, "sluice.yaml", &text, err);
	return rc;
}

static OTA_CHECKED enum ota_code write_server(
	const struct fleet_setup *setup, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	bool tls = strncmp(setup->broker, "ssl://", 6) == 0;
	enum ota_code rc = ota_buf_printf(&text,
		"# Read by 'sluiced'. Paths are relative to this file.\n"
		"fleet: %s\n"
		"state_dir: state\n"
		"root: root.doc\n"
		"online_key: keys/online.key\n"
		"api_keys: api-keys\n"
		"http:\n"
		"  listen: %s\n"
		"broker:\n"
		"  url: %s\n",
		setup->fleet, setup->listen, setup->broker);

	if (rc == OTA_OK && tls)
		rc = ota_buf_printf(&text,
			"  ca: certs/ca.pem\n  cert: certs/sluiced.pem\n"
			"  key: certs/sluiced.key\n");
	if (rc == OTA_OK)
		rc = write_file(setup, "sluiced.yaml", &text, err);
	return rc;
}

static OTA_CHECKED enum ota_code write_fleet(
	const struct fleet_setup *setup, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	enum ota_code rc = ota_buf_printf(&text,
		"# Which device is in which cohort: the first whose selector matches.\n"
		"# 'sluice plan fleet.yaml' shows it, 'sluice apply fleet.yaml' makes it "
		"so.\n"
		"fleet: %s\n"
		"cohorts:\n"
		"  - name: lab\n"
		"    labels: {ring: lab}\n"
		"  - name: canary\n"
		"    labels: {ring: canary}\n"
		"  - name: fleet\n",
		setup->fleet);

	if (rc == OTA_OK)
		rc = write_file(setup, "fleet.yaml", &text, err);
	return rc;
}

static OTA_CHECKED enum ota_code write_all(
	struct fleet_setup *setup, struct ota_error *err)
{
	enum ota_code rc = ota_dir_make(setup->dir, 0755, err);

	if (rc == OTA_OK)
		rc = make_keys(setup, err);
	if (rc == OTA_OK)
		rc = make_operators(setup, err);
	if (rc == OTA_OK)
		rc = make_root(setup, err);
	if (rc == OTA_OK)
		rc = api_key_make(setup->dir, "admin", "admin", err);
	if (rc == OTA_OK)
		rc = write_context(setup, err);
	if (rc == OTA_OK)
		rc = write_server(setup, err);
	if (rc == OTA_OK)
		rc = write_fleet(setup, err);
	return rc;
}

static void print_result(const struct cli_call *call, const struct fleet_setup *setup)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();

	cJSON_AddStringToObject(tree, "dir", setup->dir);
	cJSON_AddStringToObject(tree, "fleet", setup->fleet);
	if (call->json) {
		output_json(tree);
		return;
	}
	printf("Fleet '%s' is set up in %s:\n"
	       "  keys/          one secret key per role; take root, release and "
	       "operator offline\n"
	       "  root.doc       who may sign what; goes onto every device\n"
	       "  sluiced.yaml   configuration of the orchestrator\n"
	       "  sluice.yaml    this directory, as 'sluice' sees it\n"
	       "  fleet.yaml     cohorts\n\n"
	       "Next: start 'sluiced -c %s/sluiced.yaml', then here 'sluice apply "
	       "fleet.yaml'\n"
	       "and 'sluice device add ID'.\n",
		setup->fleet, setup->dir, setup->dir);
}

enum ota_code cmd_init(const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(setup_fini)
	struct fleet_setup setup = {
		.dir = call->operand_count > 0 ? call->operands[0] : ".",
		.listen = cli_value(call, "listen", "127.0.0.1:8470"),
		.broker = cli_value(call, "broker", "ssl://localhost:8883"),
	};
	char context[CONTEXT_PATH_CAP];
	enum ota_code rc;

	(void)exit_code;
	rc = ota_name_copy(
		cli_value(call, "fleet", "default"), "fleet", setup.fleet, err);
	if (rc == OTA_OK)
		rc = cli_number(call, "operators", 1, &setup.operators, err);
	if (rc == OTA_OK && (setup.operators < 1 || setup.operators > OTA_KEYS_MAX))
		rc = ota_fail(err, OTA_E_USAGE, "--operators is 1 to %d", OTA_KEYS_MAX);
	if (rc == OTA_OK)
		rc = ota_path_join(
			setup.dir, "sluice.yaml", context, sizeof context, err);
	if (rc != OTA_OK)
		return rc;
	if (access(context, F_OK) == 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"%s exists: a fleet is set up there already", context);
	rc = write_all(&setup, err);
	if (rc == OTA_OK)
		print_result(call, &setup);
	return rc;
}
