#ifndef ORCHESTRATOR_CLI_KEYS_H
#define ORCHESTRATOR_CLI_KEYS_H

#include "proto/base/error.h"

/**
 * Make an API key `sluice_<id>_<43 base64url>` of 256 random bits.
 *
 * Appends its hash, for sluiced, to DIR/api-keys ("id scope blake2b-256-hex"), and writes
 * the key itself to DIR/api.key (for id "admin") or DIR/<id>.api.key, mode 0600.
 *
 * Returns OTA_OK, OTA_E_NAME, OTA_E_CONFLICT when the id is taken, or OTA_E_IO.
 */
OTA_CHECKED enum ota_code api_key_make(
	const char *dir, const char *id, const char *scope, struct ota_error *err);

#endif
