#ifndef ORCHESTRATOR_CORE_DOCUMENTS_H
#define ORCHESTRATOR_CORE_DOCUMENTS_H

/* The signed documents that people bring: root, catalog, release, grant. */

#include "orchestrator/core/state.h"

/** Believe again what is stored. It was verified when it came, and every device verifies
 *  it for itself, so keys that were rotated since do not matter here. */
OTA_CHECKED enum ota_code documents_restore(struct core *core, struct ota_error *err);

/** Verify, store and publish one. As core_document(). */
OTA_CHECKED enum ota_code documents_accept(struct core *core, const char *who,
	struct ota_bytes envelope, struct ota_envelope *out, struct ota_error *err);

/** Whether our online key is one of a root's: else we would sign what every device
 *  refuses. OTA_OK or a code of ota_trust_open(). */
OTA_CHECKED enum ota_code documents_check_voice(
	const struct core *core, const struct ota_trust *trust, struct ota_error *err);

/** Set the topic of each again. */
void documents_assert(struct core *core);

/** Whether the catalog in force allows a release: OTA_OK, OTA_E_UNLISTED or
 *  OTA_E_EXPIRED. */
OTA_CHECKED enum ota_code documents_allow(const struct core *core,
	const struct release *release, uint64_t now_utc_s, struct ota_error *err);

#endif
