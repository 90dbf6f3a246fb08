/* sluice: what a fleet manager types. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/output.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

/* clang-format off */
static const struct cli_command commands[] = {
	{ "init", "[DIR]", 0, 1, "set up a new fleet: directory, keys, root, configuration",
		init_options, cmd_init },
	{ "key new", "FILE", 1, 1, "make a secret key (Ed25519)", key_new_options, cmd_key_new },
	{ "key show", "FILE", 1, 1, "print the public half of a secret key", NULL, cmd_key_show },
	{ "key api", "ID", 1, 1, "make a key for the HTTP API", key_api_options, cmd_key_api },
	{ "release create", "IMAGE", 1, 1, "sign an image as a release and publish it",
		release_create_options, cmd_release_create },
	{ "release publish", "RELEASE IMAGE", 2, 2, "publish a release signed elsewhere",
		release_publish_options, cmd_release_publish },
	{ "release list", "", 0, 0, "releases the orchestrator knows", NULL, cmd_release_list },
	{ "catalog show", "", 0, 0, "what releases are allowed, and how long", NULL,
		cmd_catalog_show },
	{ "catalog renew", "", 0, 0, "sign the next catalog: allow, revoke, 90 days more",
		catalog_renew_options, cmd_catalog_renew },
	{ "catalog publish", "FILE", 1, 1, "publish a catalog signed elsewhere", NULL,
		cmd_catalog_publish },
	{ "root show", "", 0, 0, "who may sign what", NULL, cmd_root_show },
	{ "root renew", "", 0, 0, "sign the next root: other keys, a year more",
		root_renew_options, cmd_root_renew },
	{ "root publish", "FILE", 1, 1, "publish a root signed elsewhere", NULL,
		cmd_root_publish },
	{ "sign", "FILE", 1, 1, "add a signature to a document", sign_options, cmd_sign },
	{ "inspect", "FILE", 1, 1, "show what a document or patch says", NULL, cmd_inspect },
	{ "verify", "FILE", 1, 1, "check a document against the root", verify_options, cmd_verify },
	{ "diff", "OLD NEW", 2, 2, "make a patch from two files", diff_options, cmd_diff },
	{ "patch", "OLD PATCH", 2, 2, "apply a patch to a file", patch_options, cmd_patch },
	{ "plan", "FILE", 1, 1, "what applying a fleet or rollout file would do",
		plan_options, cmd_plan },
	{ "apply", "FILE", 1, 1, "put a fleet or rollout file in force", NULL, cmd_apply },
	{ "approve", "ROLLOUT", 1, 1, "sign a grant for a rollout's release",
		approve_options, cmd_approve },
	{ "status", "[ROLLOUT]", 0, 1, "the fleet at a glance, or one rollout",
		status_options, cmd_status },
	{ "pause", "ROLLOUT", 1, 1, "stop a rollout where it stands", steer_options, cmd_steer },
	{ "resume", "ROLLOUT", 1, 1, "go on; failures seen so far are acknowledged",
		steer_options, cmd_steer },
	{ "abort", "ROLLOUT", 1, 1, "end a rollout; devices keep what they confirmed",
		steer_options, cmd_steer },
	{ "revert", "ROLLOUT", 1, 1, "take the devices back to the slot they still hold",
		revert_options, cmd_steer },
	{ "device add", "ID", 1, 1, "provision and register a device",
		device_add_options, cmd_device_add },
	{ "device token", "", 0, 0, "make a claim token, good for one device",
		device_token_options, cmd_device_token },
	{ "device enrol", "ID", 1, 1, "claim an id for a device with a token",
		device_enrol_options, cmd_device_enrol },
	{ "device accept", "ID", 1, 1, "let a device in whose fingerprint was compared",
		device_accept_options, cmd_device_accept },
	{ "device reject", "ID", 1, 1, "forget a device that waits to be let in", NULL,
		cmd_device_reject },
	{ "device list", "", 0, 0, "devices and what holds them",
		device_list_options, cmd_device_list },
	{ "device show", "DEVICE", 1, 1, "all about one device", NULL, cmd_device_show },
	{ "device release", "DEVICE", 1, 1, "take a device out of quarantine", NULL,
		cmd_device_release },
	{ "explain", "DEVICE", 1, 1, "the rule that holds or moves a device", NULL, cmd_explain },
	{ "audit list", "", 0, 0, "who did what", audit_list_options, cmd_audit_list },
	{ "audit verify", "", 0, 0, "check the audit chain", NULL, cmd_audit_verify },
	{ 0 },
};
/* clang-format on */

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
		cli_print_help(commands, call->command);
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
		cli_print_help(commands, NULL);
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
	if (cli_parse(commands, argc, argv, &call, &err) != OTA_OK) {
		print_error(&call, err.code, err.text);
		return CLI_ERROR;
	}
	return run(&call);
}
