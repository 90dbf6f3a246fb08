/* webhook list, webhook test: who is told what happens, and whether he listens. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"

enum {
	LOOK_MS = 200,
	LOOKS_MAX = 130 * 1000 / LOOK_MS, /* an event may be under way before the test */
};

/* ---- list */

/* "200 thank you", or why there was no answer. */
static void answer_cell(struct table *table, const cJSON *answer)
{
	uint64_t status = tree_number(answer, "status");

	if (status != 0)
		table_cell(table, "%llu %.60s", (unsigned long long)status,
			tree_text(answer, "text"));
	else
		table_cell(table, "%.80s", tree_text(answer, "text"));
}

static void print_list(const cJSON *tree)
{
	static const char *const headings[] = { "NAME", "STATE", "WAITING", "TAKEN",
		"FAILED", "GIVEN UP", "LAST ANSWER", NULL };
	static const char *const numbers[] = { "waiting", "delivered", "failed",
		"given_up" };
	struct table *table = table_new(headings);
	const cJSON *hook;

	cJSON_ArrayForEach(hook, tree_item(tree, "webhooks"))
	{
		table_row(table);
		table_cell(table, "%s", tree_text(hook, "name"));
		table_cell(table, "%s", tree_text(hook, "state"));
		for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
			table_cell(table, "%llu",
				(unsigned long long)tree_number(hook, numbers[i]));
		answer_cell(table, tree_item(hook, "last"));
	}
	table_print(table);
}

enum ota_code cmd_webhook_list(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct context context;
	enum ota_code rc = context_load(call, &context, err);

	if (rc == OTA_OK)
		rc = client_get(&context, "/webhooks", &tree, err);
	if (rc != OTA_OK)
		return rc;
	if (cJSON_GetArraySize(tree_item(tree, "webhooks")) == 0)
		*exit_code = CLI_NOTHING;
	if (call->json)
		output_json(tree);
	else if (*exit_code == CLI_NOTHING)
		printf("There are no webhooks; sluiced.yaml names them.\n");
	else
		print_list(tree);
	return OTA_OK;
}

/* ---- test */

static const cJSON *test_of(const cJSON *tree, const char *id)
{
	const cJSON *hook;

	cJSON_ArrayForEach(hook, tree_item(tree, "webhooks"))
	{
		const cJSON *test = tree_item(hook, "test");

		if (strcmp(tree_text(test, "id"), id) == 0)
			return test;
	}
	return NULL;
}

/* Look until the test has ended. *out: what came of it, the caller's. */
static enum ota_code wait_for(
	const struct context *context, const char *id, cJSON **out, struct ota_error *err)
{
	for (unsigned i = 0; i < LOOKS_MAX; i++) {
		OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
		enum ota_code rc = client_get(context, "/webhooks", &tree, err);
		const cJSON *test = test_of(tree, id);

		if (rc != OTA_OK)
			return rc;
		if (test == NULL)
			return ota_fail(err, OTA_E_STATE,
				"the test is not known any more: sluiced has started "
				"again, or somebody else has begun another");
		if (!tree_bool(test, "under_way")) {
			*out = cJSON_Duplicate(test, true);
			return *out != NULL ? OTA_OK
					    : ota_fail(err, OTA_E_NOMEM, "answer");
		}
		(void)nanosleep(
			&(struct timespec){ .tv_nsec = LOOK_MS * 1000000L }, NULL);
	}
	return ota_fail(err, OTA_E_LINK,
		"there is no answer yet; 'sluice webhook list' "
		"shows it");
}

static void print_test(const char *name, const cJSON *test)
{
	uint64_t status = tree_number(test, "status");
	const char *text = tree_text(test, "text");

	if (status == 0)
		printf("%s was not reached: %s\n", name, text);
	else
		printf("%s answered %llu in %llu ms%s%s\n", name,
			(unsigned long long)status,
			(unsigned long long)tree_number(test, "took_ms"),
			text[0] != '\0' ? ": " : "", text);
}

enum ota_code cmd_webhook_test(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *sent = NULL;
	OTA_AUTO(ota_json_fini) cJSON *test = NULL;
	char name[OTA_NAME_CAP], path[OTA_NAME_CAP + 32];
	struct client_request post = { .method = "POST", .path = path };
	struct context context;
	uint64_t status;
	enum ota_code rc = context_load(call, &context, err);

	if (rc == OTA_OK)
		rc = ota_name_copy(call->operands[0], "webhook", name, err);
	if (rc != OTA_OK)
		return rc;
	(void)snprintf(path, sizeof path, "/webhooks/%s/test", name);
	rc = client_put_json(&context, &post, NULL, &sent, err);
	if (rc == OTA_OK)
		rc = wait_for(&context, tree_text(sent, "id"), &test, err);
	if (rc != OTA_OK)
		return rc;
	status = tree_number(test, "status");
	*exit_code = status >= 200 && status < 300 ? CLI_OK : CLI_ERROR;
	if (call->json)
		output_json(test);
	else
		print_test(name, test);
	return OTA_OK;
}
