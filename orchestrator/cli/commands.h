#ifndef ORCHESTRATOR_CLI_COMMANDS_H
#define ORCHESTRATOR_CLI_COMMANDS_H

/* The verbs: each a function of the form of cli_command.run, with its own options. */

#include "orchestrator/cli/command.h"

#define CLI_VERB(name)            \
	enum ota_code cmd_##name( \
		const struct cli_call *call, int *exit_code, struct ota_error *err)

/** init: a new fleet's directory, keys and root. */
CLI_VERB(init);
/** key new, key show, key api. */
CLI_VERB(key_new);
CLI_VERB(key_show);
CLI_VERB(key_api);
/** release create, publish, list. */
CLI_VERB(release_create);
CLI_VERB(release_publish);
CLI_VERB(release_list);
/** root show, renew, publish: who may sign what. */
CLI_VERB(root_show);
CLI_VERB(root_renew);
CLI_VERB(root_publish);
/** catalog show, renew, publish: what releases are allowed. */
CLI_VERB(catalog_show);
CLI_VERB(catalog_renew);
CLI_VERB(catalog_publish);
/** sign, inspect, verify: any document, offline. */
CLI_VERB(sign);
CLI_VERB(inspect);
CLI_VERB(verify);
/** diff, patch: the codec alone, on files. */
CLI_VERB(diff);
CLI_VERB(patch);
/** plan, apply, approve and the steering of rollouts. */
CLI_VERB(plan);
CLI_VERB(apply);
CLI_VERB(approve);
CLI_VERB(steer);
/** status [ROLLOUT] [--watch]. */
CLI_VERB(status);
/** device add, list, show, release; explain. */
CLI_VERB(device_add);
CLI_VERB(device_list);
CLI_VERB(device_show);
CLI_VERB(device_release);
CLI_VERB(explain);
/** device token, enrol, accept, reject. */
CLI_VERB(device_token);
CLI_VERB(device_enrol);
CLI_VERB(device_accept);
CLI_VERB(device_reject);
/** audit list, verify. */
CLI_VERB(audit_list);
CLI_VERB(audit_verify);
/** webhook list, test. */
CLI_VERB(webhook_list);
CLI_VERB(webhook_test);

#undef CLI_VERB

/** All verbs; ends with a row whose name is NULL. */
extern const struct cli_command cli_commands[];

extern const struct cli_option init_options[], root_renew_options[],
	catalog_renew_options[], key_new_options[], key_api_options[],
	release_create_options[], release_publish_options[], sign_options[],
	verify_options[], diff_options[], patch_options[], plan_options[],
	apply_options[], approve_options[], steer_options[], revert_options[],
	status_options[], device_add_options[], device_list_options[],
	device_if_options[], device_token_options[], device_enrol_options[],
	device_accept_options[], audit_list_options[];

#endif
