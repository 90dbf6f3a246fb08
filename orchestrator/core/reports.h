#ifndef ORCHESTRATOR_CORE_REPORTS_H
#define ORCHESTRATOR_CORE_REPORTS_H

/* What devices say. */

#include "orchestrator/core/state.h"

/** As core_report(). */
OTA_CHECKED enum ota_code reports_take(struct core *core, const char *id,
	struct ota_bytes envelope, struct ota_error *err);

/** As core_seal_of(). */
OTA_CHECKED enum ota_code reports_seal(const struct core *core, const char *id,
	struct core_seal *out, struct ota_error *err);

/** As core_verified_report(). */
OTA_CHECKED enum ota_code reports_verified(
	struct core *core, const struct core_verified *v, struct ota_error *err);

/** As core_opened_report(), for the device of that id. */
OTA_CHECKED enum ota_code reports_accept(struct core *core, const char *id,
	const struct ota_report *report, const struct ota_digest *digest,
	struct ota_error *err);

/** As core_presence(). */
OTA_CHECKED enum ota_code reports_presence(struct core *core, const char *id,
	const struct ota_online *online, struct ota_error *err);

#endif
