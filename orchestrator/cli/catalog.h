#ifndef ORCHESTRATOR_CLI_CATALOG_H
#define ORCHESTRATOR_CLI_CATALOG_H

/* The catalog, which says what releases are allowed: the one in force, and its successor.
 */

#include "orchestrator/cli/context.h"

enum { CATALOG_LIFE_S = 90 * 86400 };

/** The catalog in force at the server, checked; an empty one (seq 0) if there is none. */
OTA_CHECKED enum ota_code catalog_current(const struct context *context,
	const struct ota_trust *trust, struct ota_catalog *out, struct ota_error *err);

/** True if it lists a release, and does not revoke it. */
bool catalog_allows(const struct ota_catalog *catalog, const struct ota_digest *release);

/** List a release. OTA_OK, OTA_E_LIMIT when it is full, OTA_E_CONFLICT for a release that
 *  was revoked: that is for ever. */
OTA_CHECKED enum ota_code catalog_allow(struct ota_catalog *catalog,
	const struct ota_digest *release, struct ota_error *err);

/** Revoke a release, and list it no more. OTA_OK (also if it is revoked already) or
 *  OTA_E_LIMIT. */
OTA_CHECKED enum ota_code catalog_revoke(struct ota_catalog *catalog,
	const struct ota_digest *release, struct ota_error *err);

/** Make it the next one, in force from now for CATALOG_LIFE_S, and sign it; the envelope
 *  is appended to out. */
OTA_CHECKED enum ota_code catalog_sign(const struct ota_trust *trust,
	struct ota_catalog *catalog, const struct ota_secret_key *key,
	struct ota_buf *out, struct ota_error *err);

#endif
