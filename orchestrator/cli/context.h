#ifndef ORCHESTRATOR_CLI_CONTEXT_H
#define ORCHESTRATOR_CLI_CONTEXT_H

/* A fleet's directory on the fleet manager's machine, and the keys in it.
 *
 *   sluice.yaml       this context: fleet, server, where the rest lies
 *   root.doc          the signed root documents are checked against
 *   api.key           the API key, unless the environment has API_KEY
 *   keys/ROLE.key     secret keys at hand: 64 hex digits, a newline, mode 0600 */

#include "orchestrator/cli/command.h"
#include "proto/wire/trust.h"

enum { CONTEXT_PATH_CAP = 1024, CONTEXT_URL_CAP = 256, CONTEXT_API_KEY_CAP = 128 };

struct context {
	char dir[CONTEXT_PATH_CAP];
	char fleet[OTA_NAME_CAP];
	char server[CONTEXT_URL_CAP];      /* "http://127.0.0.1:8470" */
	char api_key[CONTEXT_API_KEY_CAP]; /* "" if there is none */
	unsigned retry_s; /* how long to ask again where no answer comes; 0: not at all */
	char keys_dir[CONTEXT_PATH_CAP];
	char root_path[CONTEXT_PATH_CAP];
};

/**
 * Find the fleet's directory (--dir, $SLUICE_DIR, the working directory) and read it.
 *
 * Returns OTA_OK, OTA_E_CONFIG (with the errors of sluice.yaml printed), OTA_E_NOTFOUND
 * with what to do, or OTA_E_IO.
 */
OTA_CHECKED enum ota_code context_load(
	const struct cli_call *call, struct context *out, struct ota_error *err);

/** The root of the directory, anchored: what signatures are checked against. */
OTA_CHECKED enum ota_code context_trust(
	const struct context *context, struct ota_trust *out, struct ota_error *err);

/** Read the secret key of a role, or of --key when given. OTA_E_NOTFOUND says which file
 *  was looked for. Wipe with ota_secret_key_fini(). */
OTA_CHECKED enum ota_code context_key(const struct context *context,
	const struct cli_call *call, enum ota_role role, struct ota_secret_key *out,
	struct ota_error *err);

/** Read a secret key file. */
OTA_CHECKED enum ota_code key_file_read(
	const char *path, struct ota_secret_key *out, struct ota_error *err);

/** Make a new key and write it durably to a file that must not exist yet, mode 0600. */
OTA_CHECKED enum ota_code key_file_make(
	const char *path, struct ota_secret_key *out, struct ota_error *err);

#endif
