/* plan, apply, pause, resume, abort, revert: rollout and fleet files against the server.
 */
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/plan_print.h"
#include "orchestrator/cli/simulate.h"
#include "orchestrator/cli/spec_yaml.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"

const struct cli_option plan_options[] = {
	{ "simulate", 0, NULL, "play the rollout through with the devices there are" },
	{ "fail", 0, "RATE[,RATE]", "failure rates to play it at (0.5%,2%,5%,100%)" },
	{ "brick", 0, "RATE", "share that is never heard of again (0%)" },
	{ "offline", 0, "RATE", "share that is out of reach all the time (0%)" },
	{ "runs", 0, "R", "times it is played at each rate (200)" },
	{ "seed", 0, "S", "of the first run (1)" },
	{ 0 },
};
const struct cli_option apply_options[] = {
	CLIENT_IF_OPTION,
	{ 0 },
};
const struct cli_option steer_options[] = {
	{ "reason", 'r', "TEXT", "why, for the audit log" },
	CLIENT_IF_OPTION,
	{ 0 },
};
const struct cli_option revert_options[] = {
	{ "reason", 'r', "TEXT", "why, for the audit log" },
	{ "at-once", 0, NULL, "all stages together, whatever the limits" },
	CLIENT_IF_OPTION,
	{ 0 },
};

/* ---- files to JSON --------------------------------------------------------------------
 */

/* What a file asks for, ready for the server. */
struct request {
	struct context context;
	enum spec_kind kind;
	char name[OTA_NAME_CAP]; /* of the rollout or the fleet */
	cJSON *body;             /* owned */
};

static void request_fini(struct request *request)
{
	cJSON_Delete(request->body);
}

static OTA_CHECKED enum ota_code find_release(void *ctx, const char *product,
	const char *version, struct ota_digest *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	const cJSON *one;
	enum ota_code rc = client_get(ctx, "/releases", &tree, err);

	if (rc != OTA_OK)
		return rc;
	cJSON_ArrayForEach(one, tree_item(tree, "releases"))
	{
		if (strcmp(tree_text(one, "product"), product) == 0 &&
			strcmp(tree_text(one, "version"), version) == 0)
			return ota_digest_parse(tree_text(one, "digest"), out, err);
	}
	return ota_fail(err, OTA_E_NOTFOUND,
		"no release '%s' of product '%s' is published (see sluice release list)",
		version, product);
}

static bool is_security(void *ctx, const struct ota_digest *release)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	char hex[OTA_DIGEST_HEX_CAP];
	const cJSON *one;

	ota_digest_hex(release, hex);
	if (client_get(ctx, "/releases", &tree, NULL) != OTA_OK)
		return false;
	cJSON_ArrayForEach(one, tree_item(tree, "releases"))
	{
		if (strcmp(tree_text(one, "digest"), hex) == 0)
			return strcmp(tree_text(one, "class"), "security") == 0;
	}
	return false;
}

static uint64_t count_devices(void *ctx, const char *cohort)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	const cJSON *one;

	if (client_get(ctx, "/fleet", &tree, NULL) != OTA_OK)
		return 0;
	cJSON_ArrayForEach(one, tree_item(tree, "cohorts"))
	{
		if (strcmp(tree_text(one, "name"), cohort) == 0)
			return tree_number(one, "devices");
	}
	return 0;
}

/* The cohorts of the server, for checks with line numbers. */
static OTA_CHECKED enum ota_code current_fleet(
	struct context *context, struct fleet_spec *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	cJSON *cohort;
	enum ota_code rc = client_get(context, "/fleet", &tree, err);

	if (rc != OTA_OK)
		return rc;
	cJSON_DeleteItemFromObjectCaseSensitive(tree, "unassigned");
	cJSON_DeleteItemFromObjectCaseSensitive(tree, "revision");
	cJSON_ArrayForEach(cohort, cJSON_GetObjectItemCaseSensitive(tree, "cohorts"))
		cJSON_DeleteItemFromObjectCaseSensitive(cohort, "devices");
	return fleet_spec_from_json(tree, out, err);
}

static OTA_CHECKED enum ota_code read_fleet_file(
	struct ota_yaml *doc, struct request *request)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	enum ota_code rc = spec_yaml_fleet(doc, &fleet);

	if (rc != OTA_OK)
		return rc;
	memcpy(request->name, fleet.fleet, sizeof request->name);
	request->body = fleet_spec_to_json(&fleet);
	return request->body != NULL ? OTA_OK : OTA_E_NOMEM;
}

static OTA_CHECKED enum ota_code read_rollout_file(
	struct ota_yaml *doc, struct request *request, struct ota_error *err)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);
	struct release_finder finder = { .ctx = &request->context,
		.find = find_release,
		.is_security = is_security,
		.devices = count_devices };
	enum ota_code rc;

	if (spec == NULL)
		return ota_fail(err, OTA_E_NOMEM, "rollout file");
	rc = current_fleet(&request->context, &fleet, err);
	if (rc == OTA_OK)
		rc = spec_yaml_rollout(doc, &fleet, &finder, spec);
	if (rc != OTA_OK)
		return rc;
	memcpy(request->name, spec->rollout, sizeof request->name);
	request->body = rollout_spec_to_json(spec);
	return request->body != NULL ? OTA_OK : OTA_E_NOMEM;
}

static OTA_CHECKED enum ota_code request_init(
	struct request *request, const struct cli_call *call, struct ota_error *err)
{
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	const char *path = call->operands[0];
	enum ota_code rc = context_load(call, &request->context, err);

	if (rc != OTA_OK)
		return rc;
	rc = ota_yaml_load(path, &doc);
	if (rc == OTA_OK)
		rc = spec_yaml_kind(doc, &request->kind);
	if (rc == OTA_OK && request->kind == SPEC_FLEET)
		rc = read_fleet_file(doc, request);
	else if (rc == OTA_OK)
		rc = read_rollout_file(doc, request, err);
	if (doc != NULL && ota_yaml_error_count(doc) > 0) {
		fputs(ota_yaml_errors(doc), stderr);
		return ota_fail(err, OTA_E_CONFIG, "%s: %zu error%s, nothing was applied",
			path, ota_yaml_error_count(doc),
			ota_yaml_error_count(doc) == 1 ? "" : "s");
	}
	return rc;
}

/* ---- plan -----------------------------------------------------------------------------
 */

static void print_cohorts(const cJSON *fleet)
{
	static const char *const headings[] = { "COHORT", "DEVICES", NULL };
	struct table *table = table_new(headings);
	const cJSON *cohort;

	cJSON_ArrayForEach(cohort, tree_item(fleet, "cohorts"))
	{
		table_row(table);
		table_cell(table, "%s", tree_text(cohort, "name"));
		table_cell(table, "%llu",
			(unsigned long long)tree_number(cohort, "devices"));
	}
	table_print(table);
	if (tree_number(fleet, "unassigned") > 0)
		printf("%llu devices are in no cohort.\n",
			(unsigned long long)tree_number(fleet, "unassigned"));
}

/* The cohorts as they are, as far as the server has put devices into them. */
static OTA_CHECKED enum ota_code current_cohorts(struct context *context,
	struct twin_cohort *cohorts, uint32_t *count, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	const cJSON *cohort;
	enum ota_code rc = client_get(context, "/fleet", &tree, err);

	cJSON_ArrayForEach(cohort, tree_item(tree, "cohorts"))
	{
		if (*count == OTA_COHORTS_MAX)
			break;
		(void)snprintf(cohorts[*count].name, sizeof cohorts->name, "%s",
			tree_text(cohort, "name"));
		cohorts[(*count)++].devices = (uint32_t)tree_number(cohort, "devices");
	}
	return rc;
}

/* Here, not on the server: the twin is the server's own core, and its time is ours. */
static OTA_CHECKED enum ota_code add_simulation(const struct cli_call *call,
	struct request *request, cJSON *answer, struct ota_error *err)
{
	const struct simulate_words words = { cli_value(call, "fail", NULL),
		cli_value(call, "brick", NULL), cli_value(call, "offline", NULL),
		cli_value(call, "runs", NULL), cli_value(call, "seed", NULL) };
	struct twin_cohort cohorts[OTA_COHORTS_MAX] = { 0 };
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);
	struct twin_case c = { .spec = spec, .cohorts = cohorts };
	struct simulate_plan plan;
	cJSON *tree = NULL;
	enum ota_code rc = simulate_read(&words, &plan, err);

	if (rc == OTA_OK && spec == NULL)
		rc = ota_fail(err, OTA_E_NOMEM, "rollout");
	if (rc == OTA_OK)
		rc = rollout_spec_from_json(request->body, spec, err);
	if (rc == OTA_OK)
		rc = current_cohorts(&request->context, cohorts, &c.cohort_count, err);
	if (rc == OTA_OK)
		rc = simulate(&c, &plan, &tree, err);
	if (rc == OTA_OK)
		cJSON_AddItemToObject(answer, "simulation", tree);
	return rc;
}

static void print_answer(
	const struct cli_call *call, const struct request *request, const cJSON *answer)
{
	const cJSON *simulation = tree_item(answer, "simulation");

	if (request->kind == SPEC_FLEET)
		print_cohorts(answer);
	else
		plan_print(answer);
	printf("\nRevision %s: 'sluice apply %s --if=%s' is refused if anything it goes "
	       "by "
	       "has changed.\n",
		tree_text(answer, "revision"), call->operands[0],
		tree_text(answer, "revision"));
	if (simulation == NULL)
		return;
	printf("\n");
	simulate_print(simulation);
}

enum ota_code cmd_plan(const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(request_fini) struct request request = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	struct client_request post = { .method = "POST" };
	enum ota_code rc = request_init(&request, call, err);

	if (rc != OTA_OK)
		return rc;
	post.path = request.kind == SPEC_FLEET ? "/plan/fleet" : "/plan";
	if (cli_has(call, "simulate") && request.kind == SPEC_FLEET)
		return ota_fail(err, OTA_E_USAGE, "--simulate is for a rollout file");
	rc = client_put_json(&request.context, &post, request.body, &answer, err);
	if (rc == OTA_OK && cli_has(call, "simulate"))
		rc = add_simulation(call, &request, answer, err);
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(answer);
	else
		print_answer(call, &request, answer);
	if (tree_number(tree_item(answer, "refused"), "number") != 0)
		*exit_code = CLI_ERROR;
	return OTA_OK;
}

/* ---- apply ----------------------------------------------------------------------------
 */

static void print_applied(const struct request *request, const cJSON *answer)
{
	if (request->kind == SPEC_FLEET) {
		printf("Fleet '%s' is in force.\n", request->name);
		print_cohorts(answer);
		return;
	}
	printf("Rollout '%s' is %s.\n", request->name, tree_text(answer, "state"));
	if (tree_text(answer, "reason")[0] != '\0')
		printf("%s\n", tree_text(answer, "reason"));
}

enum ota_code cmd_apply(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(request_fini) struct request request = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	struct client_request put = { .method = "PUT", .path = "/fleet" };
	enum ota_code rc = request_init(&request, call, err);

	(void)exit_code;
	if (rc != OTA_OK)
		return rc;
	if (request.kind == SPEC_ROLLOUT)
		put = (struct client_request){ .method = "POST", .path = "/rollouts" };
	rc = client_if(call, &put.if_match, err);
	if (rc == OTA_OK)
		rc = client_put_json(&request.context, &put, request.body, &answer, err);
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(answer);
	else
		print_applied(&request, answer);
	return OTA_OK;
}

/* ---- pause, resume, abort, revert -----------------------------------------------------
 */

enum ota_code cmd_steer(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *body = cJSON_CreateObject();
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	struct context context;
	char rollout[OTA_NAME_CAP], path[OTA_NAME_CAP + 32];
	struct client_request post = { .method = "POST", .path = path };
	enum ota_code rc = context_load(call, &context, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = ota_name_copy(call->operands[0], "rollout", rollout, err);
	if (rc == OTA_OK)
		rc = client_if(call, &post.if_match, err);
	if (rc != OTA_OK)
		return rc;
	(void)snprintf(
		path, sizeof path, "/rollouts/%s/%s", rollout, call->command->name);
	cJSON_AddStringToObject(body, "reason", cli_value(call, "reason", ""));
	if (cli_has(call, "at-once"))
		cJSON_AddTrueToObject(body, "at_once");
	rc = client_put_json(&context, &post, body, &answer, err);
	if (rc != OTA_OK)
		return rc;
	if (call->json)
		output_json(answer);
	else
		printf("Rollout '%s' is %s.\n", rollout, tree_text(answer, "state"));
	return OTA_OK;
}
