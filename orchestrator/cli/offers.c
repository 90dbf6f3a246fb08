#include "orchestrator/cli/offers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/complete.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

enum { NAMES_MAX = 200, PATIENCE_S = 2 };

struct names {
	struct cli_call *call;
	const char *begin;  /* of the names that are wanted */
	const char *before; /* stands in front of each */
};

static bool is_begin_of_name(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

/* Names come in their order, so those that begin so come next after their beginning. */
static void print_names(
	const struct names *names, const char *list, const char *member, const char *path)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct ota_error err = { 0 };
	struct context context;
	const cJSON *one;

	if (!is_begin_of_name(names->begin) ||
		context_load(names->call, &context, &err) != OTA_OK)
		return;
	context.retry_s = 0;
	if (client_get(&context, path, &tree, &err) != OTA_OK)
		return;
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(tree, list))
	{
		const char *name = tree_text(one, member);

		if (strncmp(name, names->begin, strlen(names->begin)) == 0)
			(void)printf("%s%s\n", names->before, name);
	}
}

static void print_line(struct names *names, const char *line)
{
	char path[128];

	(void)snprintf(path, sizeof path, "/devices?limit=%d&after=%.60s", NAMES_MAX,
		names->begin);
	if (strncmp(line, COMPLETE_DEVICES, strlen(COMPLETE_DEVICES)) == 0) {
		names->before = line + strlen(COMPLETE_DEVICES);
		print_names(names, "devices", "id", path);
	} else if (strncmp(line, COMPLETE_ROLLOUTS, strlen(COMPLETE_ROLLOUTS)) == 0) {
		names->before = line + strlen(COMPLETE_ROLLOUTS);
		print_names(names, "rollouts", "rollout", "/rollouts");
	} else if (strncmp(line, COMPLETE_WEBHOOKS, strlen(COMPLETE_WEBHOOKS)) == 0) {
		names->before = line + strlen(COMPLETE_WEBHOOKS);
		print_names(names, "webhooks", "name", "/webhooks");
	} else {
		(void)puts(line);
	}
}

/* A call that is not whole yet is no good one, but its options say which server. */
static void read_so_far(int argc, char **argv, struct cli_call *call)
{
	struct ota_error err = { 0 };

	if (argc > 1 && cli_parse(cli_commands, argc, argv, call, &err) != OTA_OK)
		call->operand_count = 0;
}

void offers_print(int argc, char **argv)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf offers = { 0 };
	struct cli_call call = { 0 };
	struct names names = { .call = &call, .before = "" };
	char *rest = NULL;

	if (argc < 2)
		return;
	names.begin = argv[argc - 1];
	if (names.begin[0] == '-' && strchr(names.begin, '=') != NULL)
		names.begin = strchr(names.begin, '=') + 1;
	if (cli_complete(cli_commands, (const char *const *)argv + 1, (size_t)argc - 1,
		    &offers) != OTA_OK ||
		ota_buf_text(&offers) == NULL)
		return;
	(void)alarm(PATIENCE_S); /* who waits for a server has pressed Tab */
	read_so_far(argc - 1, argv, &call);
	for (char *line = strtok_r((char *)offers.at, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest))
		print_line(&names, line);
}
