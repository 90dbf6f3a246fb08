#ifndef ORCHESTRATOR_PORT_API_KEYS_H
#define ORCHESTRATOR_PORT_API_KEYS_H

/* API keys: who may ask for what. The file holds one key a line,
 *
 *   id scope blake2b-256-of-the-whole-key-in-hex
 *
 * and nothing secret; '#' begins a comment. A key is "sluice_<id>_<43 base64url>"; id is
 * a name without '_'. The file is read again when it changes, so a key that is taken out
 * is refused from the next request on. */

#include "proto/base/names.h"
#include "proto/wire/digest.h"

/** What a key may do; each allows reading, admin allows all. */
#define API_SCOPES(X)         \
	X(READ, "read")       \
	X(ROLLOUT, "rollout") \
	X(ENROL, "enrol")     \
	X(ADMIN, "admin")

#define API_SCOPE_ENUM(name, text) API_##name,
enum api_scope {
	API_SCOPES(API_SCOPE_ENUM) N_API_SCOPES,
	API_NOBODY = N_API_SCOPES, /* of a route: no key is looked at */
};
#undef API_SCOPE_ENUM

enum {
	API_KEYS_MAX = 1024, /* keys in the file */
};

struct api_keys;

/** Read the file. OTA_OK, OTA_E_NOTFOUND, OTA_E_IO, OTA_E_NOMEM, or OTA_E_CONFIG with
 *  "<path>:<line>: ...". */
OTA_CHECKED enum ota_code api_keys_open(
	const char *path, struct api_keys **out, struct ota_error *err);

/** Release it. NULL is allowed. */
void api_keys_free(struct api_keys *keys);

/** Read the file again if it changed since. OTA_OK also if it did not; on failure the
 * keys before stay in force. */
OTA_CHECKED enum ota_code api_keys_refresh(struct api_keys *keys, struct ota_error *err);

/** Whose key this is. False for any that is not in the file; the comparison takes the
 * same time whatever the key. id and scope are written on success only. */
bool api_keys_check(const struct api_keys *keys, const char *key,
	char id[static OTA_NAME_CAP], enum api_scope *scope);

/** True if a key that was known by api_keys_check() is still in the file: the digest of
 *  the whole key, under its id. *scope is what it may do now, written on success only. */
bool api_keys_has(const struct api_keys *keys, const char *id,
	const struct ota_digest *hash, enum api_scope *scope);

/** "read", "rollout", "enrol", "admin". */
const char *api_scope_text(enum api_scope scope);

/** True if a key of scope may do what needs the scope wanted. */
bool api_scope_allows(enum api_scope scope, enum api_scope wanted);

#endif
