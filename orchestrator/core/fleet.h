#ifndef ORCHESTRATOR_CORE_FLEET_H
#define ORCHESTRATOR_CORE_FLEET_H

/* Who is in the fleet, and in which cohort. */

#include "orchestrator/core/state.h"

/** The name of the first cohort that selects the device by its labels and the facts it
 *  reported; "" if none does. A fact that was never reported meets no term. */
const char *fleet_select(const struct fleet_spec *fleet, const struct device *device);

/** Put the device where it belongs; if that changed, store and assign it. */
void fleet_place(struct core *core, struct device *device);

/** As core_set_fleet(). */
OTA_CHECKED enum ota_code fleet_set(
	struct core *core, const char *who, const cJSON *json, struct ota_error *err);

/** As core_plan_fleet_json(). */
OTA_CHECKED enum ota_code fleet_preview(
	const struct core *core, const cJSON *json, cJSON **out, struct ota_error *err);

/** Read the optional member "labels", a list of "key=value". */
void fleet_read_labels(struct ota_json_reader *r, struct labels *out);

/** Put a device with that key in the fleet, or give one other labels. A claim to its id
 * is over with that. */
void fleet_enrol(struct core *core, const char *who, const char *id,
	const struct ota_public_key *key, const struct labels *labels);

/** As core_add_device(). */
OTA_CHECKED enum ota_code fleet_register(
	struct core *core, const char *who, const cJSON *json, struct ota_error *err);

#endif
