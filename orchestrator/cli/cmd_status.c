/* status [ROLLOUT] [--watch]: the fleet at a glance, or one rollout stage by stage. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"
#include "proto/delta/codec.h"

enum { PATIENCE = 60 }; /* looks in vain: a watch outlives a restart of sluiced */

const struct cli_option status_options[] = {
	{ "watch", 'w', NULL, "look again every second until the rollout moves no more" },
	{ 0 },
};

/* Documents that expire soon, each with what renews it. */
static void print_expiring(const cJSON *status)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, tree_item(status, "expiring"))
	{
		const char *type = tree_text(one, "type");
		bool is_grant = strcmp(type, "grant") == 0;
		char when[32];

		printf("WARNING: the %s%s%s expires %s: 'sluice %s%s'\n", type,
			is_grant ? " of " : "", tree_text(one, "rollout"),
			output_time(tree_number(one, "expires"), when),
			is_grant ? "approve " : type,
			is_grant ? tree_text(one, "rollout") : " renew");
	}
}

/* What somebody has to look at, whatever the rollouts do. */
static void print_people(const cJSON *status)
{
	uint64_t pending = tree_number(tree_item(status, "devices"), "pending");
	const cJSON *alarm;

	cJSON_ArrayForEach(alarm, tree_item(status, "alarms"))
		printf("ALARM %s: %s (%s)\n", tree_text(alarm, "device"),
			tree_text(alarm, "error_text"), tree_text(alarm, "error_name"));
	if (pending > 0)
		printf("%llu device%s to be accepted: sluice device list --pending\n",
			(unsigned long long)pending, pending == 1 ? " waits" : "s wait");
}

static void print_fleet(const cJSON *status)
{
	static const char *const headings[] = { "ROLLOUT", "STATE", "REASON", NULL };
	const cJSON *devices = tree_item(status, "devices"), *one;
	const cJSON *broker = tree_item(status, "broker");

	printf("Fleet %s: %llu devices, %llu online; broker %s %s\n",
		tree_text(status, "fleet"),
		(unsigned long long)tree_number(devices, "total"),
		(unsigned long long)tree_number(devices, "online"),
		tree_text(broker, "url"),
		tree_bool(broker, "connected") ? "connected" : "NOT CONNECTED");
	print_expiring(status);
	print_people(status);
	if (cJSON_GetArraySize(tree_item(status, "rollouts")) == 0) {
		printf("No rollout yet.\n");
		return;
	}
	struct table *table = table_new(headings);

	cJSON_ArrayForEach(one, tree_item(status, "rollouts"))
	{
		table_row(table);
		table_cell(table, "%s", tree_text(one, "rollout"));
		table_cell(table, "%s", tree_text(one, "state"));
		table_cell(table, "%s", tree_text(one, "reason"));
	}
	table_print(table);
}

static void print_stage(struct table *table, const cJSON *stage)
{
	static const char *const counts[] = { "pending", "working", "confirmed", "failed",
		"reverted" };
	uint64_t soak_s = tree_number(stage, "soak_left_s");
	char soak[32];

	table_row(table);
	table_cell(table, "%s", tree_text(stage, "name"));
	table_cell(table, "%s", tree_text(stage, "cohort"));
	table_cell(table, "%s", tree_text(stage, "state"));
	table_cell(table, "%llu", (unsigned long long)tree_number(stage, "devices"));
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		table_cell(table, "%llu",
			(unsigned long long)tree_number(
				tree_item(stage, "counts"), counts[i]));
	table_cell(table, "%s%s%s", tree_text(stage, "gate"), soak_s > 0 ? ", soak " : "",
		soak_s > 0 ? output_duration(soak_s, soak) : "");
}

/* What keeps the next devices of a stage from beginning. */
static void print_hold(const cJSON *stage)
{
	uint64_t opened = tree_number(stage, "opened");

	if (tree_text(stage, "hold_text")[0] == '\0')
		return;
	printf("Stage %s is open to %.1f %% of %s: %s\n", tree_text(stage, "name"),
		(double)opened / 10, tree_text(stage, "cohort"),
		tree_text(stage, "hold_text"));
}

static void print_patch(const cJSON *patch)
{
	const char *from = tree_text(patch, "from");
	bool is_from_any = from[strspn(from, "0")] == '\0';
	uint64_t codec = tree_number(patch, "codec");
	char bytes[24];

	if (strcmp(tree_text(patch, "state"), "made") != 0)
		return;
	printf("Patch from %s%.12s: %s, %s, for %llu devices\n",
		is_from_any ? "any image" : "image ", is_from_any ? "" : from,
		output_bytes(tree_number(patch, "bytes"), bytes),
		ota_codec_text(codec <= UINT8_MAX ? (uint8_t)codec : 0),
		(unsigned long long)tree_number(patch, "devices"));
}

static void print_bytes(const cJSON *rollout)
{
	const cJSON *bytes = tree_item(rollout, "bytes");
	uint64_t published = tree_number(bytes, "published"),
		 full = tree_number(bytes, "full");
	char a[24], b[24];

	if (full == 0)
		return;
	printf("Published once for all: %s; one full compressed image: %s (%.1f %%)\n",
		output_bytes(published, a), output_bytes(full, b),
		100 * (double)published / (double)full);
}

/* A grant that lacks signatures, if there is one. */
static void print_approval(const cJSON *approval)
{
	if (approval != NULL)
		printf("A grant of %.1f %% waits for the signature of %llu more "
		       "operator%s.\n",
			(double)tree_number(approval, "permille") / 10,
			(unsigned long long)tree_number(approval, "missing"),
			tree_number(approval, "missing") == 1 ? "" : "s");
}

/* Incidents of updated devices against those of the others. */
static void print_worse(const cJSON *rollout)
{
	const cJSON *worse = tree_item(rollout, "worse");
	uint64_t updated = tree_number(worse, "updated"),
		 others = tree_number(worse, "others"),
		 ratio = tree_number(worse, "ratio_milli");

	if (updated + others == 0)
		return;
	printf("Incidents: %llu on updated devices (%.1f to be expected), %llu on "
	       "others",
		(unsigned long long)updated,
		(double)tree_number(worse, "expected_milli") / 1000,
		(unsigned long long)others);
	if (ratio > 0)
		printf("; %.1f times as frequent", (double)ratio / 1000);
	printf("; the test is at %s%.1f and halts at %.1f\n",
		tree_bool(worse, "llr_negative") ? "-" : "",
		(double)tree_number(worse, "llr_milli") / 1000,
		(double)tree_number(worse, "halts_milli") / 1000);
}

static void print_rollout(const cJSON *rollout)
{
	static const char *const headings[] = { "STAGE", "COHORT", "STATE", "DEVICES",
		"PENDING", "WORKING", "CONFIRMED", "FAILED", "REVERTED", "GATE", NULL };
	struct table *table = table_new(headings);
	const cJSON *stage, *patch;

	printf("Rollout %s: %s\n", tree_text(rollout, "rollout"),
		tree_text(rollout, "state"));
	if (tree_text(rollout, "reason")[0] != '\0')
		printf("%s\n", tree_text(rollout, "reason"));
	print_approval(tree_item(rollout, "approval"));
	cJSON_ArrayForEach(stage, tree_item(rollout, "stages")) print_stage(table, stage);
	table_print(table);
	cJSON_ArrayForEach(stage, tree_item(rollout, "stages")) print_hold(stage);
	print_worse(rollout);
	cJSON_ArrayForEach(patch, tree_item(rollout, "patches")) print_patch(patch);
	print_bytes(rollout);
	printf("Revision %s\n", tree_text(rollout, "revision"));
}

/* True if nothing more will happen to it by itself; *exit_code says how it ended. */
static bool has_ended(const cJSON *rollout, int *exit_code)
{
	static const char *const stopped[] = { "halted", "paused", "aborted",
		"superseded" };
	const char *state = tree_text(rollout, "state");

	for (size_t i = 0; i < sizeof stopped / sizeof stopped[0]; i++)
		if (strcmp(state, stopped[i]) == 0) {
			*exit_code = CLI_STOPPED;
			return true;
		}
	return strcmp(state, "completed") == 0;
}

static void show(const struct cli_call *call, const cJSON *tree, bool again)
{
	if (again && !call->json && isatty(STDOUT_FILENO))
		printf("\033[H\033[J");
	if (call->json)
		output_json(tree);
	else if (call->operand_count > 0)
		print_rollout(tree);
	else
		print_fleet(tree);
	(void)fflush(stdout);
}

/* Look, and look again where that was asked for. */
static enum ota_code look(const struct cli_call *call, const struct context *context,
	const char *path, int *exit_code, struct ota_error *err)
{
	bool watch = cli_has(call, "watch"), seen = false, ended = false;

	for (unsigned in_vain = 0; !ended;) {
		OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
		enum ota_code rc = client_get(context, path, &tree, err);

		if (rc == OTA_OK) {
			in_vain = 0;
			show(call, tree, seen);
			seen = true;
			ended = call->operand_count > 0 && has_ended(tree, exit_code);
		} else if (rc != OTA_E_LINK || !seen || ++in_vain > PATIENCE) {
			return rc;
		}
		if (!watch)
			return OTA_OK;
		if (!ended)
			(void)nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	}
	return OTA_OK;
}

enum ota_code cmd_status(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	struct context context;
	char path[OTA_NAME_CAP + 16] = "/status", rollout[OTA_NAME_CAP];
	enum ota_code rc = context_load(call, &context, err);

	if (rc == OTA_OK && call->operand_count > 0) {
		rc = ota_name_copy(call->operands[0], "rollout", rollout, err);
		if (rc == OTA_OK)
			(void)snprintf(path, sizeof path, "/rollouts/%s", rollout);
	}
	if (cli_has(call, "watch"))
		context.retry_s = 0; /* it looks again by itself */
	if (rc == OTA_OK)
		rc = look(call, &context, path, exit_code, err);
	return rc;
}
