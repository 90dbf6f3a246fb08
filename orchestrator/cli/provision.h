#ifndef ORCHESTRATOR_CLI_PROVISION_H
#define ORCHESTRATOR_CLI_PROVISION_H

/* What a device gets before it is in the fleet: a key, the root, its configuration. */

#include <cjson/cJSON.h>

#include "orchestrator/cli/context.h"

struct provisioning {
	struct context context;
	char id[OTA_NAME_CAP];
	char dir[CONTEXT_PATH_CAP]; /* devices/<id> */
	char public_hex[2 * OTA_PK_LEN + 1];
	bool made; /* dir holds what goes onto the device */
};

/** Take the public key of --public, or of the secret key --key, or make a directory with
 * a new key for the device that the first operand names. OTA_OK, OTA_E_CONFLICT if there
 * is a key already, or what was wrong. */
OTA_CHECKED enum ota_code provision(
	const struct cli_call *call, struct provisioning *out, struct ota_error *err);

/** OTA_OK if every --label is "key=value". */
OTA_CHECKED enum ota_code provision_check_labels(
	const struct cli_call *call, struct ota_error *err);

/** All --label values as an array; the caller's. */
cJSON *provision_labels(const struct cli_call *call);

#endif
