#ifndef ORCHESTRATOR_CLI_APPROVE_SALT_H
#define ORCHESTRATOR_CLI_APPROVE_SALT_H

/* The salt of a release's first grant. */

#include "orchestrator/cli/context.h"
#include "orchestrator/core/spec.h"

/** Ask the server for the devices of the rollout's cohorts and take the salt that spreads
 *  its early stages best (core/spread.h). It follows from the release's digest: a server
 *  that lies about its devices can only choose among few. spec: as the server tells it.
 *  OTA_OK, or why there is none. */
OTA_CHECKED enum ota_code approve_salt(const struct context *context, const cJSON *spec,
	uint8_t salt[static OTA_SALT_LEN], struct ota_error *err);

#endif
