#ifndef ORCHESTRATOR_CORE_QUARANTINE_H
#define ORCHESTRATOR_CORE_QUARANTINE_H

/* Devices that fail or boot too often are set aside: they are in a cohort of their own
 * that no rollout can name, so no order reaches them and no gate counts them, until an
 * operator releases them. What they failed with before still counts against a release. */

#include "orchestrator/core/state.h"

/** True if the device is set aside. */
bool device_is_set_aside(const struct device *device);

/** The device failed an update; sets it aside if that was once too often. */
void quarantine_failure(struct core *core, struct device *device);

/** The device has booted since the report before, at which it had booted `before` times;
 *  sets it aside if that was once too often. */
void quarantine_boots(struct core *core, struct device *device, uint64_t before);

/** Put it back where it belongs, with a clean slate. OTA_OK, OTA_E_NOTFOUND, or
 *  OTA_E_STATE if it is not set aside. */
OTA_CHECKED enum ota_code quarantine_release(
	struct core *core, const char *who, const char *device, struct ota_error *err);

#endif
