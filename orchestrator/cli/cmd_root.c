/* root show, renew, publish: who may sign what, and for how long. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/context.h"
#include "orchestrator/cli/document.h"
#include "orchestrator/cli/output.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

enum {
	DAY_S = 86400,
	LIFE_DAYS = 365,
	ROLE_TEXT_CAP = 16,
	ROOT_FILE_CAP = 32,
};

const struct cli_option root_renew_options[] = {
	{ "days", 'd', "N", "how long it shall be in force (default 365)" },
	{ "add", 'a', "ROLE=KEY", "a key of root, release, operator or online; repeat" },
	{ "remove", 'r', "ROLE=KEY", "a key that is one no more; repeat for more" },
	{ "threshold", 't', "ROLE=N", "how many keys of a role must sign; repeat" },
	{ "wide", 'w', "N", "how many operators must sign a grant of more than 1 %" },
	{ "key", 'k', "FILE", "root key (default: that of the fleet's keys)" },
	{ "out", 'o', "FILE", "only write it; for a second signature, say" },
	{ 0 },
};

/* ---- what changes */

/* Split "ROLE=REST". */
static OTA_CHECKED enum ota_code take_role(
	const char *text, enum ota_role *role, const char **rest, struct ota_error *err)
{
	const char *equals = strchr(text, '=');
	size_t len = equals == NULL ? 0 : (size_t)(equals - text);

	for (int i = 0; i < OTA_N_ROLES; i++) {
		const char *name = ota_role_text((enum ota_role)i);

		if (strlen(name) != len || strncmp(name, text, len) != 0)
			continue;
		*role = (enum ota_role)i;
		*rest = equals + 1;
		return OTA_OK;
	}
	return ota_fail(err, OTA_E_USAGE,
		"'%.80s' does not begin with root=, release=, operator= or online=",
		text);
}

/* A public key as 64 hex digits, or the public half of a secret key's file. */
static OTA_CHECKED enum ota_code take_key(
	const char *text, struct ota_public_key *out, struct ota_error *err)
{
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key secret = { 0 };
	enum ota_code rc;

	if (access(text, F_OK) != 0) {
		if (ota_hex_decode(text, out->at, sizeof out->at) == OTA_OK)
			return OTA_OK;
		return ota_fail(err, OTA_E_USAGE,
			"'%.80s' is no key: neither 64 hex digits (sluice key show) nor "
			"a "
			"file",
			text);
	}
	rc = key_file_read(text, &secret, err);
	if (rc == OTA_OK)
		*out = ota_secret_key_public(&secret);
	return rc;
}

static uint32_t place_of(const struct ota_keyset *set, const struct ota_public_key *key)
{
	uint32_t i = 0;

	while (i < set->count && memcmp(set->keys[i].at, key->at, sizeof key->at) != 0)
		i++;
	return i;
}

static OTA_CHECKED enum ota_code add_key(struct ota_root *root, enum ota_role role,
	const struct ota_public_key *key, struct ota_error *err)
{
	struct ota_keyset *set = &root->roles[role].set;

	if (place_of(set, key) < set->count)
		return ota_fail(
			err, OTA_E_CONFLICT, "%s has that key", ota_role_text(role));
	if (set->count == OTA_KEYS_MAX)
		return ota_fail(err, OTA_E_LIMIT, "%s has %d keys, which is the most",
			ota_role_text(role), OTA_KEYS_MAX);
	set->keys[set->count++] = *key;
	return OTA_OK;
}

/* The role begins a new epoch: sequences that the old key drove up count no more. */
static OTA_CHECKED enum ota_code remove_key(struct ota_root *root,
	const struct ota_root *old, enum ota_role role, const struct ota_public_key *key,
	struct ota_error *err)
{
	struct ota_keyset *set = &root->roles[role].set;
	uint32_t at = place_of(set, key);

	if (at == set->count)
		return ota_fail(
			err, OTA_E_NOTFOUND, "%s has no such key", ota_role_text(role));
	memmove(&set->keys[at], &set->keys[at + 1],
		(set->count - at - 1) * sizeof set->keys[0]);
	set->count--;
	root->roles[role].epoch = old->roles[role].epoch + 1;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code change_one(struct ota_root *root,
	const struct ota_root *old, const struct cli_value *value, struct ota_error *err)
{
	struct ota_public_key key;
	enum ota_role role = OTA_N_ROLES;
	const char *rest = "";
	enum ota_code rc = take_role(value->value, &role, &rest, err);

	if (rc != OTA_OK)
		return rc;
	if (strcmp(value->name, "threshold") == 0) {
		char *end;
		unsigned long n = strtoul(rest, &end, 10);

		if (rest[0] < '0' || rest[0] > '9' || *end != '\0' || n > OTA_KEYS_MAX)
			return ota_fail(err, OTA_E_USAGE, "--threshold=%.80s: no number",
				value->value);
		root->roles[role].set.threshold = (uint32_t)n;
		return OTA_OK;
	}
	rc = take_key(rest, &key, err);
	if (rc != OTA_OK)
		return rc;
	return strcmp(value->name, "add") == 0 ? add_key(root, role, &key, err)
					       : remove_key(root, old, role, &key, err);
}

static OTA_CHECKED enum ota_code check_thresholds(
	const struct cli_call *call, struct ota_root *root, struct ota_error *err)
{
	struct ota_role_keys *operators = &root->roles[OTA_ROLE_OPERATOR];
	unsigned long long wide;
	enum ota_code rc = cli_number(call, "wide", operators->wide, &wide, err);

	for (int role = 0; rc == OTA_OK && role < OTA_N_ROLES; role++) {
		const struct ota_keyset *set = &root->roles[role].set;

		if (set->threshold < 1 || set->threshold > set->count)
			return ota_fail(err, OTA_E_USAGE,
				"%s would have %u keys of which %u must sign",
				ota_role_text((enum ota_role)role), set->count,
				set->threshold);
	}
	if (rc != OTA_OK)
		return rc;
	if (wide > operators->set.count || (cli_has(call, "wide") && wide < 1))
		return ota_fail(err, OTA_E_USAGE,
			"%llu operators would have to sign a wide grant, and there are "
			"%u (--wide)",
			wide, operators->set.count);
	operators->wide = wide > operators->set.threshold ? (uint32_t)wide : 0;
	return OTA_OK;
}

/* The root after old, as the options say. */
static OTA_CHECKED enum ota_code next_root(const struct cli_call *call,
	const struct ota_root *old, struct ota_root *out, struct ota_error *err)
{
	static const char *const changes[] = { "add", "remove", "threshold" };
	unsigned long long days;
	enum ota_code rc = cli_number(call, "days", LIFE_DAYS, &days, err);

	*out = *old;
	out->version++;
	out->issued_utc_s = ota_clock_utc_s();
	if (rc == OTA_OK && (days < 1 || days > 10 * LIFE_DAYS))
		return ota_fail(err, OTA_E_USAGE, "--days is 1 to %d", 10 * LIFE_DAYS);
	if (rc == OTA_OK)
		out->expires_utc_s = out->issued_utc_s + days * DAY_S;
	/* all that is added before what is removed: a role is never empty in between */
	for (size_t c = 0; c < sizeof changes / sizeof changes[0]; c++)
		for (size_t i = 0; rc == OTA_OK && i < call->value_count; i++)
			if (strcmp(call->values[i].name, changes[c]) == 0)
				rc = change_one(out, old, &call->values[i], err);
	return rc == OTA_OK ? check_thresholds(call, out, err) : rc;
}

/* ---- what is told */

static void print_root(const struct cli_call *call, const struct ota_root *root,
	const struct ota_envelope *envelope)
{
	static const char *const headings[] = { "ROLE", "MUST SIGN", "EPOCH", "KEY",
		NULL };
	char expires[32], hex[2 * OTA_PK_LEN + 1];
	struct table *table;

	if (call->json) {
		OTA_AUTO(ota_json_fini) cJSON *tree = document_tree(envelope);

		output_json(tree);
		return;
	}
	printf("Root %llu of fleet %s, until %s\n", (unsigned long long)root->version,
		root->fleet, output_time(root->expires_utc_s, expires));
	table = table_new(headings);
	for (int role = 0; role < OTA_N_ROLES; role++) {
		const struct ota_role_keys *keys = &root->roles[role];

		for (uint32_t i = 0; i < keys->set.count; i++) {
			ota_hex_encode(
				(struct ota_bytes){ keys->set.keys[i].at, OTA_PK_LEN },
				hex);
			table_row(table);
			table_cell(table, "%s", ota_role_text((enum ota_role)role));
			table_cell(
				table, "%u of %u", keys->set.threshold, keys->set.count);
			table_cell(table, "%llu", (unsigned long long)keys->epoch);
			table_cell(table, "%s", hex);
		}
	}
	table_print(table);
	if (root->roles[OTA_ROLE_OPERATOR].wide > 0)
		printf("A grant of more than 1 %% needs %u operators\n",
			root->roles[OTA_ROLE_OPERATOR].wide);
}

/* What people have to do besides, now that keys are gone. */
static void advise(const struct ota_root *old, const struct ota_root *root)
{
	static const char *const advice[OTA_N_ROLES] = {
		[OTA_ROLE_RELEASE] =
			"devices take the catalog and releases that the keys "
			"gone have signed no more: 'sluice catalog renew', "
			"and sign what shall still be installed anew",
		[OTA_ROLE_OPERATOR] =
			"devices take the grants that the keys gone have signed "
			"no more: 'sluice approve' again what still runs",
	};

	for (int role = 0; role < OTA_N_ROLES; role++)
		if (advice[role] != NULL &&
			root->roles[role].epoch > old->roles[role].epoch)
			fprintf(stderr, "sluice: %s: %s\n",
				ota_role_text((enum ota_role)role), advice[role]);
}

/* ---- the verbs */

/* Bring a root to the server, then keep it as the one documents are checked against. */
static OTA_CHECKED enum ota_code publish(const struct cli_call *call,
	const struct context *context, struct ota_trust *trust, struct ota_bytes bytes,
	struct ota_error *err)
{
	ota_autofree struct ota_root *old = malloc(sizeof *old);
	struct ota_envelope envelope;
	enum ota_code rc;

	if (old == NULL)
		return ota_fail(err, OTA_E_NOMEM, "root");
	*old = trust->root;
	rc = ota_trust_root(trust, bytes, err);
	if (rc == OTA_OK)
		rc = client_post_document(context, bytes, NULL, err);
	if (rc == OTA_OK)
		rc = ota_file_replace(context->root_path, bytes, 0644, err);
	if (rc == OTA_OK)
		rc = ota_envelope_parse(bytes, &envelope, err);
	if (rc != OTA_OK)
		return rc;
	print_root(call, &trust->root, &envelope);
	advise(old, &trust->root);
	return OTA_OK;
}

/* Keep for more signatures what is not to be published, or cannot be yet. */
static OTA_CHECKED enum ota_code keep(
	const char *path, struct ota_bytes bytes, const char *why, struct ota_error *err)
{
	enum ota_code rc = ota_file_replace(path, bytes, 0644, err);

	if (rc == OTA_OK)
		fprintf(stderr,
			"sluice: not published%s%s: %s is written; 'sluice sign %s "
			"--key=FILE' "
			"adds a signature, 'sluice root publish %s' publishes it\n",
			why[0] != '\0' ? ", " : "", why, path, path, path);
	return rc;
}

/* True if the chain would follow it as it is signed now. */
static bool is_complete(
	const struct ota_trust *trust, struct ota_bytes bytes, struct ota_error *why)
{
	ota_autofree struct ota_trust *copy = malloc(sizeof *copy);

	if (copy == NULL)
		return false;
	*copy = *trust;
	return ota_trust_root(copy, bytes, why) == OTA_OK;
}

static OTA_CHECKED enum ota_code renew(const struct cli_call *call,
	const struct context *context, struct ota_trust *trust, struct ota_error *err)
{
	ota_autofree struct ota_root *root = malloc(sizeof *root);
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key key = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	struct ota_error why = { 0 };
	char name[ROOT_FILE_CAP], path[CONTEXT_PATH_CAP];
	enum ota_code rc;

	if (root == NULL)
		return ota_fail(err, OTA_E_NOMEM, "root");
	rc = next_root(call, &trust->root, root, err);
	if (rc == OTA_OK)
		rc = context_key(context, call, OTA_ROLE_ROOT, &key, err);
	if (rc == OTA_OK)
		rc = ota_root_encode(root, &payload, err);
	if (rc == OTA_OK)
		rc = document_sign(OTA_DOC_ROOT, root->fleet_id, ota_buf_bytes(&payload),
			&key, &envelope, err);
	if (rc != OTA_OK)
		return rc;
	if (!cli_has(call, "out") && is_complete(trust, ota_buf_bytes(&envelope), &why))
		return publish(call, context, trust, ota_buf_bytes(&envelope), err);
	(void)snprintf(
		name, sizeof name, "root-%llu.doc", (unsigned long long)root->version);
	rc = ota_path_join(context->dir, name, path, sizeof path, err);
	if (rc != OTA_OK)
		return rc;
	return keep(
		cli_value(call, "out", path), ota_buf_bytes(&envelope), why.text, err);
}

/* The fleet's directory, and what its root says. */
struct place {
	struct context context;
	struct ota_trust *trust; /* owned */
};

static void place_fini(struct place *place)
{
	free(place->trust);
}

static OTA_CHECKED enum ota_code place_open(
	const struct cli_call *call, struct place *place, struct ota_error *err)
{
	enum ota_code rc = context_load(call, &place->context, err);

	if (rc != OTA_OK)
		return rc;
	place->trust = calloc(1, sizeof *place->trust);
	if (place->trust == NULL)
		return ota_fail(err, OTA_E_NOMEM, "root");
	return context_trust(&place->context, place->trust, err);
}

enum ota_code cmd_root_renew(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(place_fini) struct place place = { 0 };
	enum ota_code rc = place_open(call, &place, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = renew(call, &place.context, place.trust, err);
	return rc;
}

enum ota_code cmd_root_publish(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(place_fini) struct place place = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_envelope envelope;
	enum ota_code rc = place_open(call, &place, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = document_read(call->operands[0], &bytes, &envelope, err);
	if (rc == OTA_OK)
		rc = publish(
			call, &place.context, place.trust, ota_buf_bytes(&bytes), err);
	return rc;
}

enum ota_code cmd_root_show(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(place_fini) struct place place = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_envelope envelope;
	enum ota_code rc = place_open(call, &place, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = document_read(place.context.root_path, &bytes, &envelope, err);
	if (rc == OTA_OK)
		print_root(call, &place.trust->root, &envelope);
	return rc;
}
