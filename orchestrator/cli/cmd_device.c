/* device add, list, show, release; explain: the gateways, one by one. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/provision.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"

const struct cli_option device_add_options[] = {
	{ "label", 'l', "KEY=VALUE",
		"a label for the cohorts' selectors; repeat for more" },
	{ "public", 0, "HEX", "register this public key instead of making a new one" },
	{ "product", 'p', "NAME", "for agent.yaml (default gateway)" },
	{ "hardware", 'w', "NAME", "for agent.yaml (default generic)" },
	{ "broker", 'b', "URL", "for agent.yaml (default ssl://localhost:8883)" },
	{ 0 },
};

const struct cli_option device_if_options[] = {
	CLIENT_IF_OPTION,
	{ 0 },
};

const struct cli_option device_list_options[] = {
	{ "cohort", 'c', "NAME", "only the devices of this cohort" },
	{ "pending", 0, NULL, "those that wait to be accepted, instead" },
	{ 0 },
};

/* ---- add ------------------------------------------------------------------------------
 */

static OTA_CHECKED enum ota_code register_device(const struct provisioning *p,
	const struct cli_call *call, cJSON **answer, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *body = cJSON_CreateObject();
	struct client_request post = { .method = "POST", .path = "/devices" };

	cJSON_AddStringToObject(body, "id", p->id);
	cJSON_AddStringToObject(body, "key", p->public_hex);
	cJSON_AddItemToObject(body, "labels", provision_labels(call));
	return client_put_json(&p->context, &post, body, answer, err);
}

enum ota_code cmd_device_add(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	struct provisioning p = { 0 };
	enum ota_code rc = provision_check_labels(call, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = provision(call, &p, err);
	if (rc == OTA_OK)
		rc = register_device(&p, call, &answer, err);
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(answer);
	else if (!p.made)
		printf("%s is registered.\n", p.id);
	else
		printf("%s is registered; %s holds what goes onto the device.\n", p.id,
			p.dir);
	return OTA_OK;
}

/* ---- list -----------------------------------------------------------------------------
 */

static void print_device_row(struct table *table, const cJSON *device)
{
	const char *held = tree_text(device, "error_name");

	if (held[0] == '\0' || strcmp(held, "OK") == 0)
		held = tree_text(device, "wait_name");
	table_row(table);
	table_cell(table, "%s", tree_text(device, "id"));
	table_cell(table, "%s", tree_text(device, "cohort"));
	table_cell(table, "%s", tree_bool(device, "online") ? "online" : "offline");
	table_cell(table, "%s", tree_text(device, "version"));
	table_cell(table, "%s", tree_text(device, "state"));
	table_cell(table, "%s", strcmp(held, "OK") == 0 ? "" : held);
}

/* Those that claimed an id and wait. */
static enum ota_code list_pending(const struct cli_call *call,
	const struct context *context, int *exit_code, struct ota_error *err)
{
	static const char *const headings[] = { "DEVICE", "FINGERPRINT", "TOKEN", "SINCE",
		NULL };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	const cJSON *claims, *claim;
	struct table *table;
	enum ota_code rc = client_get(context, "/claims", &tree, err);

	if (rc != OTA_OK)
		return rc;
	claims = tree_item(tree, "claims");
	*exit_code = cJSON_GetArraySize(claims) == 0 ? CLI_NOTHING : CLI_OK;
	if (call->json) {
		output_json(claims);
		return OTA_OK;
	}
	table = table_new(headings);
	cJSON_ArrayForEach(claim, claims)
	{
		char at[32];

		table_row(table);
		table_cell(table, "%s", tree_text(claim, "id"));
		table_cell(table, "%s", tree_text(claim, "fingerprint"));
		table_cell(table, "%s", tree_text(claim, "token"));
		table_cell(table, "%s", output_time(tree_number(claim, "claimed_s"), at));
	}
	table_print(table);
	return OTA_OK;
}

enum ota_code cmd_device_list(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	static const char *const headings[] = { "DEVICE", "COHORT", "LINK", "VERSION",
		"STATE", "HELD BY", NULL };
	OTA_AUTO(ota_json_fini) cJSON *all = cJSON_CreateArray();
	struct context context;
	const cJSON *device;
	char cohort[OTA_NAME_CAP] = "";
	enum ota_code rc = context_load(call, &context, err);

	if (rc == OTA_OK && cli_has(call, "pending"))
		return list_pending(call, &context, exit_code, err);
	if (rc == OTA_OK && cli_has(call, "cohort"))
		rc = ota_name_copy(cli_value(call, "cohort", ""), "cohort", cohort, err);
	if (rc == OTA_OK)
		rc = client_devices(&context, cohort, all, err);
	if (rc != OTA_OK)
		return rc;
	*exit_code = cJSON_GetArraySize(all) == 0 ? CLI_NOTHING : CLI_OK;
	if (call->json) {
		output_json(all);
		return OTA_OK;
	}
	struct table *table = table_new(headings);

	cJSON_ArrayForEach(device, all) print_device_row(table, device);
	table_print(table);
	return OTA_OK;
}

/* ---- show, explain --------------------------------------------------------------------
 */

static void print_attempts(const cJSON *device)
{
	static const char *const headings[] = { "ROLLOUT", "OUTCOME", "WHY", "WHEN",
		NULL };
	const cJSON *attempt;
	struct table *table;

	if (cJSON_GetArraySize(tree_item(device, "attempts")) == 0)
		return;
	printf("\n");
	table = table_new(headings);
	cJSON_ArrayForEach(attempt, tree_item(device, "attempts"))
	{
		char at[32];

		table_row(table);
		table_cell(table, "%s", tree_text(attempt, "rollout"));
		table_cell(table, "%s", tree_text(attempt, "state"));
		table_cell(table, "%s", tree_text(attempt, "error_text"));
		table_cell(table, "%s", output_time(tree_number(attempt, "at"), at));
	}
	table_print(table);
}

/* What the device refused last, which may be over. */
static void print_refusal(const cJSON *tree)
{
	const cJSON *refused = tree_item(tree, "refused");
	char at[32];

	if (refused == NULL)
		return;
	printf("  Refused last, %s: %s (%s, %llu)\n",
		output_time(tree_number(refused, "at"), at), tree_text(refused, "text"),
		tree_text(refused, "name"),
		(unsigned long long)tree_number(refused, "number"));
}

/* One that claimed its id. */
static void print_pending(const cJSON *claim)
{
	char at[32];

	printf("device       %s, pending: its key waits to be accepted\n"
	       "fingerprint  %s\n"
	       "claimed      %s, with token %s\n"
	       "revision     %s\n",
		tree_text(claim, "id"), tree_text(claim, "fingerprint"),
		output_time(tree_number(claim, "claimed_s"), at),
		tree_text(claim, "token"), tree_text(claim, "revision"));
}

static void print_device(const cJSON *device)
{
	static const char *const keys[] = { "fingerprint", "cohort", "product",
		"hardware", "version", "state", "running", "other", "rollout",
		"error_name", "error_text", "wait_name", "revision" };
	int incidents = cJSON_GetArraySize(tree_item(device, "incidents"));
	char at[32];

	printf("%-12s %s, %s, last report %s\n", "device", tree_text(device, "id"),
		tree_bool(device, "online") ? "online" : "offline",
		output_time(tree_number(device, "last_report_s"), at));
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (tree_text(device, keys[i])[0] != '\0')
			printf("%-12s %s\n", keys[i], tree_text(device, keys[i]));
	printf("%-12s %llu of %llu chunks, %llu bytes, %llu fetched twice\n", "transfer",
		(unsigned long long)tree_number(device, "chunks"),
		(unsigned long long)tree_number(device, "chunks_total"),
		(unsigned long long)tree_number(device, "bytes"),
		(unsigned long long)tree_number(device, "refetched"));
	if (incidents > 0)
		printf("%-12s %d, the last %s\n", "incidents", incidents,
			output_time(
				(uint64_t)cJSON_GetNumberValue(cJSON_GetArrayItem(
					tree_item(device, "incidents"), incidents - 1)),
				at));
	print_refusal(device);
	print_attempts(device);
}

enum ota_code cmd_device_show(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *device = NULL;
	enum ota_code rc = client_device(call, "GET", "", NULL, &device, err);

	(void)exit_code;
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(device);
	else if (tree_bool(device, "pending"))
		print_pending(device);
	else
		print_device(device);
	return OTA_OK;
}

enum ota_code cmd_device_release(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *device = NULL;
	enum ota_code rc = client_device(call, "POST", "/release", NULL, &device, err);

	(void)exit_code;
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(device);
	else
		printf("Device '%s' is in cohort '%s' again.\n", call->operands[0],
			tree_text(device, "cohort"));
	return OTA_OK;
}

enum ota_code cmd_explain(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	enum ota_code rc = client_device(call, "GET", "/explain", NULL, &tree, err);

	(void)exit_code;
	if (rc != OTA_OK)
		return rc;
	if (call->json) {
		output_json(tree);
		return OTA_OK;
	}
	printf("%s: %s (%s, %llu)\n", tree_text(tree, "device"), tree_text(tree, "text"),
		tree_text(tree, "rule"), (unsigned long long)tree_number(tree, "number"));
	if (tree_text(tree, "detail")[0] != '\0')
		printf("  %s\n", tree_text(tree, "detail"));
	if (tree_text(tree, "unblock")[0] != '\0')
		printf("  What helps: %s\n", tree_text(tree, "unblock"));
	print_refusal(tree);
	return OTA_OK;
}
