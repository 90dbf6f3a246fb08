/* audit list, audit verify: who did what, in a chain that shows tampering. */
#include <stdio.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"

const struct cli_option audit_list_options[] = {
	{ "after", 'a', "SEQ", "only entries after this one" },
	{ "limit", 'n', "N", "at most this many (default 100)" },
	{ 0 },
};

static void print_entries(const cJSON *page)
{
	static const char *const headings[] = { "SEQ", "WHEN", "WHO", "ACTION", "DETAIL",
		NULL };
	struct table *table = table_new(headings);
	const cJSON *entry;

	cJSON_ArrayForEach(entry, tree_item(page, "entries"))
	{
		char *detail = cJSON_PrintUnformatted(tree_item(entry, "detail"));
		char at[32];

		table_row(table);
		table_cell(table, "%llu", (unsigned long long)tree_number(entry, "seq"));
		table_cell(table, "%s", output_time(tree_number(entry, "at"), at));
		table_cell(table, "%s", tree_text(entry, "who"));
		table_cell(table, "%s", tree_text(entry, "action"));
		table_cell(table, "%s", detail != NULL ? detail : "");
		cJSON_free(detail);
	}
	table_print(table);
}

enum ota_code cmd_audit_list(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *page = NULL;
	unsigned long long after, limit;
	struct context context;
	char path[96];
	enum ota_code rc = context_load(call, &context, err);

	if (rc == OTA_OK)
		rc = cli_number(call, "after", 0, &after, err);
	if (rc == OTA_OK)
		rc = cli_number(call, "limit", 100, &limit, err);
	if (rc != OTA_OK)
		return rc;
	(void)snprintf(path, sizeof path, "/audit?after=%llu&limit=%llu", after, limit);
	rc = client_get(&context, path, &page, err);
	if (rc != OTA_OK)
		return rc;
	*exit_code = cJSON_GetArraySize(tree_item(page, "entries")) == 0 ? CLI_NOTHING
									 : CLI_OK;
	if (call->json)
		output_json(page);
	else
		print_entries(page);
	return OTA_OK;
}

enum ota_code cmd_audit_verify(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct context context;
	enum ota_code rc = context_load(call, &context, err);

	if (rc == OTA_OK)
		rc = client_get(&context, "/audit/verify", &tree, err);
	if (rc != OTA_OK)
		return rc;
	*exit_code = tree_bool(tree, "ok") ? CLI_OK : CLI_ERROR;
	if (call->json)
		output_json(tree);
	else if (tree_bool(tree, "ok"))
		printf("The audit chain is whole: %llu entries, head %s\n",
			(unsigned long long)tree_number(tree, "entries"),
			tree_text(tree, "head"));
	else
		printf("THE AUDIT CHAIN IS BROKEN at entry %llu\n",
			(unsigned long long)tree_number(tree, "broken_at"));
	return OTA_OK;
}
