#include "orchestrator/cli/plan_print.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/output.h"
#include "orchestrator/cli/tree.h"

enum { SPAN_CAP = 80 };

/* "2h to 3h", "2h or more" */
static const char *span_text(const cJSON *tree, char out[static SPAN_CAP])
{
	uint64_t most_s = tree_number(tree, "most_s");
	char least[32], most[32];

	output_duration(tree_number(tree, "least_s"), least);
	output_duration(most_s, most);
	if (most_s == 0)
		(void)snprintf(out, SPAN_CAP, "%s or more", least);
	else if (strcmp(least, most) == 0)
		(void)snprintf(out, SPAN_CAP, "%s", least);
	else
		(void)snprintf(out, SPAN_CAP, "%s to %s", least, most);
	return out;
}

static void print_stages(const cJSON *plan)
{
	static const char *const headings[] = { "STAGE", "COHORT", "DEVICES", "SHARE",
		"DETECTS FAILURE RATES ABOVE", "SEES MORE INCIDENTS AFTER", "SOAK",
		"TAKES", NULL };
	struct table *table = table_new(headings);
	const cJSON *stage;

	cJSON_ArrayForEach(stage, tree_item(plan, "stages"))
	{
		uint64_t worse_s = tree_number(stage, "worse_s");
		char soak[32], worse[32], takes[SPAN_CAP];

		table_row(table);
		table_cell(table, "%s", tree_text(stage, "name"));
		table_cell(table, "%s", tree_text(stage, "cohort"));
		table_cell(
			table, "%llu", (unsigned long long)tree_number(stage, "devices"));
		table_cell(table, "%.1f %%", (double)tree_number(stage, "permille") / 10);
		table_cell(table, "%.1f %%",
			(double)tree_number(stage, "detects_permille") / 10);
		table_cell(table, "%s",
			worse_s > 0 ? output_duration(worse_s, worse) : "never");
		table_cell(
			table, "%s", output_duration(tree_number(stage, "soak_s"), soak));
		table_cell(table, "%s", span_text(stage, takes));
	}
	table_print(table);
}

static void print_patches(const cJSON *plan)
{
	static const char *const headings[] = { "FROM IMAGE", "VERSION", "DEVICES",
		"SENT AS", "BYTES", NULL };
	struct table *table = table_new(headings);
	const cJSON *patch;
	char size[24];

	cJSON_ArrayForEach(patch, tree_item(plan, "patches"))
	{
		uint64_t bytes = tree_number(patch, "bytes");

		table_row(table);
		table_cell(table, "%.16s", tree_text(patch, "from"));
		table_cell(table, "%s", tree_text(patch, "version"));
		table_cell(
			table, "%llu", (unsigned long long)tree_number(patch, "devices"));
		table_cell(table, "%s", tree_text(patch, "kind"));
		table_cell(table, "%s",
			bytes > 0 ? output_bytes(bytes, size) : "made on apply");
	}
	table_print(table);
}

static void print_time(const cJSON *time)
{
	uint64_t measured = tree_number(time, "measured");
	char span[SPAN_CAP], device[32], speed[24];

	printf("\nTime, from the grant on: %s.\n", span_text(time, span));
	output_duration(tree_number(time, "device_s"), device);
	if (measured > 0)
		printf("  A device takes %s, as %llu of them did before.\n", device,
			(unsigned long long)measured);
	else
		printf("  A device takes up to %s: assumed are %s/s, and 3 minutes to "
		       "install, reboot and prove itself.\n",
			device, output_bytes(tree_number(time, "speed"), speed));
}

static const char *value_of(const cJSON *difference, const char *key)
{
	const char *text = tree_text(difference, key);

	return text[0] != '\0' ? text : "nothing";
}

/* Against what there is. */
static void print_changes(const cJSON *plan)
{
	const cJSON *refused = tree_item(plan, "refused"), *one;
	const char *state = tree_text(plan, "exists");
	int differs = cJSON_GetArraySize(tree_item(plan, "differs"));

	if (state[0] != '\0')
		printf("\nRollout %s exists and is %s; this file is %s\n",
			tree_text(plan, "rollout"), state,
			differs == 0 ? "the same." : "different:");
	cJSON_ArrayForEach(one, tree_item(plan, "differs"))
		printf("  %s: %s instead of %s\n", tree_text(one, "member"),
			value_of(one, "then"), value_of(one, "now"));
	if (tree_number(refused, "number") != 0)
		printf("\n'sluice apply' would refuse it: %s\n",
			tree_text(refused, "text"));
}

void plan_print(const cJSON *plan)
{
	const cJSON *grant = tree_item(plan, "grant"), *warning;
	uint64_t needed = tree_number(grant, "permille_needed");
	uint64_t granted = tree_number(grant, "permille_granted");

	printf("Rollout %s\n\n", tree_text(plan, "rollout"));
	print_stages(plan);
	printf("\n");
	print_patches(plan);
	printf("\nGrant: needs %.1f %% of the fleet, operators have granted %.1f %%.\n",
		(double)needed / 10, (double)granted / 10);
	if (granted < needed)
		printf("  'sluice approve %s' after apply signs it.\n",
			tree_text(plan, "rollout"));
	print_time(tree_item(plan, "time"));
	print_changes(plan);
	cJSON_ArrayForEach(warning, tree_item(plan, "warnings"))
		printf("warning: %s\n", warning->valuestring);
}
