/* device token, enrol, accept, reject: how a device that nobody registered comes in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/provision.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"

#define TOKEN_VARIABLE "SLUICE_TOKEN"

const struct cli_option device_token_options[] = {
	{ "label", 'l', "KEY=VALUE", "a label for whoever uses it; repeat for more" },
	{ "valid", 0, "TIME", "how long it is good: 90m, 24h, 7d (default 24h)" },
	{ 0 },
};

const struct cli_option device_enrol_options[] = {
	{ "token", 't', "TOKEN", "the claim token (or $" TOKEN_VARIABLE ")" },
	{ "public", 0, "HEX", "claim with this public key instead of making a new one" },
	{ "key", 'k', "FILE", "claim with the public half of this secret key" },
	{ "product", 'p', "NAME", "for agent.yaml (default gateway)" },
	{ "hardware", 'w', "NAME", "for agent.yaml (default generic)" },
	{ "broker", 'b', "URL", "for agent.yaml (default ssl://localhost:8883)" },
	{ 0 },
};

const struct cli_option device_accept_options[] = {
	{ "fingerprint", 'f', "HEX", "of its key, as the device or its bench shows it" },
	CLIENT_IF_OPTION,
	{ 0 },
};

/* ---- token */

/* "90m" as seconds. */
static OTA_CHECKED enum ota_code read_valid(
	const char *text, uint64_t *out, struct ota_error *err)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	unsigned count;
	char unit, end;

	if (sscanf(text, "%6u%c%c", &count, &unit, &end) == 2 && text[0] != '-' &&
		count > 0)
		for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
			if (units[i].unit == unit) {
				*out = count * units[i].seconds;
				return OTA_OK;
			}
	return ota_fail(err, OTA_E_USAGE,
		"--valid is a time like 90m, 24h or 7d, not '%s'", text);
}

enum ota_code cmd_device_token(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *body = cJSON_CreateObject();
	OTA_AUTO(ota_json_fini) cJSON *token = NULL;
	struct client_request post = { .method = "POST", .path = "/tokens" };
	struct context context;
	uint64_t valid_s = 0;
	char until[32];
	enum ota_code rc = read_valid(cli_value(call, "valid", "24h"), &valid_s, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = provision_check_labels(call, err);
	if (rc == OTA_OK)
		rc = context_load(call, &context, err);
	if (rc != OTA_OK)
		return rc;
	cJSON_AddItemToObject(body, "labels", provision_labels(call));
	ota_json_add_u64(body, "valid_s", valid_s);
	rc = client_put_json(&context, &post, body, &token, err);
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(token);
	else
		printf("%s\nIt is good for one device, until %s, and not shown again:\n"
		       "  sluice device enrol ID --token=TOKEN\n",
			tree_text(token, "token"),
			output_time(tree_number(token, "expires"), until));
	return OTA_OK;
}

/* ---- enrol */

static OTA_CHECKED enum ota_code find_token(
	const struct cli_call *call, const char **out, struct ota_error *err)
{
	*out = cli_value(call, "token", getenv(TOKEN_VARIABLE));
	if (*out == NULL || (*out)[0] == '\0')
		return ota_fail(err, OTA_E_USAGE,
			"sluice device enrol needs --token or $" TOKEN_VARIABLE
			"; 'sluice device token' makes one");
	return OTA_OK;
}

static void print_claim(
	const struct cli_call *call, const struct provisioning *p, const cJSON *answer)
{
	bool pending = strcmp(tree_text(answer, "state"), "pending") == 0;

	if (call->json) {
		output_json(answer);
		return;
	}
	printf("%s is %s, fingerprint %s\n", p->id, tree_text(answer, "state"),
		tree_text(answer, "fingerprint"));
	if (p->made)
		printf("%s holds what goes onto the device.\n", p->dir);
	if (pending)
		printf("An operator compares the fingerprint and runs\n"
		       "  sluice device accept %s --fingerprint=%s\n",
			p->id, tree_text(answer, "fingerprint"));
}

enum ota_code cmd_device_enrol(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *body = cJSON_CreateObject();
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	struct client_request post = { .method = "POST", .path = "/claims" };
	struct provisioning p = { 0 };
	const char *token = NULL;
	enum ota_code rc = find_token(call, &token, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = provision(call, &p, err);
	if (rc != OTA_OK)
		return rc;
	cJSON_AddStringToObject(body, "token", token);
	cJSON_AddStringToObject(body, "id", p.id);
	cJSON_AddStringToObject(body, "key", p.public_hex);
	rc = client_put_json(&p.context, &post, body, &answer, err);
	if (rc != OTA_OK && p.made)
		return ota_wrap(err, rc,
			"the key is made, and not claimed; try again with "
			"--key=%s/device.key",
			p.dir);
	if (rc == OTA_OK)
		print_claim(call, &p, answer);
	return rc;
}

/* ---- accept, reject */

enum ota_code cmd_device_accept(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *body = cJSON_CreateObject();
	OTA_AUTO(ota_json_fini) cJSON *device = NULL;
	const char *fingerprint;
	enum ota_code rc = cli_need(call, "fingerprint", &fingerprint, err);

	(void)exit_code;
	if (rc != OTA_OK)
		return rc;
	cJSON_AddStringToObject(body, "fingerprint", fingerprint);
	rc = client_device(call, "POST", "/accept", body, &device, err);
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(device);
	else
		printf("%s is in the fleet, in cohort '%s'.\n", tree_text(device, "id"),
			tree_text(device, "cohort"));
	return OTA_OK;
}

enum ota_code cmd_device_reject(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	enum ota_code rc = client_device(call, "POST", "/reject", NULL, &answer, err);

	(void)exit_code;
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(answer);
	else
		printf("%s is forgotten, and its token used up.\n",
			tree_text(answer, "id"));
	return OTA_OK;
}
