/* sluice: what a fleet manager types. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/offers.h"
#include "orchestrator/cli/output.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

static void print_error(const struct cli_call *call, enum ota_code code, const char *text)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	cJSON *error;

	fprintf(stderr, "sluice: %s\n", text[0] != '\0' ? text : ota_code_text(code));
	if (!call->json)
		return;
	tree = cJSON_CreateObject();
	error = cJSON_AddObjectToObject(tree, "error");
	cJSON_AddStringToObject(error, "name", ota_code_name(code));
	ota_json_add_u64(error, "number", (uint64_t)code);
	cJSON_AddStringToObject(error, "text", text);
	output_json(tree);
}

static int run(struct cli_call *call)
{
	struct ota_error err = { 0 };
	int exit_code = CLI_OK;
	enum ota_code rc;

	if (cli_has(call, "help")) {
		cli_print_help(cli_commands, call->command);
		return CLI_OK;
	}
	rc = call->command->run(call, &exit_code, &err);
	if (rc == OTA_OK)
		return exit_code;
	print_error(call, rc, err.text);
	return rc == OTA_E_NOTFOUND ? CLI_NOTHING : CLI_ERROR;
}

int main(int argc, char **argv)
{
	struct cli_call call = { 0 };
	struct ota_error err = { 0 };

	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		cli_print_help(cli_commands, NULL);
		return argc < 2 ? CLI_ERROR : CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("sluice %s\n", SLUICE_VERSION);
		return CLI_OK;
	}
	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		fprintf(stderr, "sluice: libsodium or libcurl does not start\n");
		return CLI_ERROR;
	}
	if (strcmp(argv[1], "__complete") == 0) {
		offers_print(argc - 1, argv + 1);
		return CLI_OK;
	}
	if (cli_parse(cli_commands, argc, argv, &call, &err) != OTA_OK) {
		print_error(&call, err.code, err.text);
		return CLI_ERROR;
	}
	return run(&call);
}
