#ifndef ORCHESTRATOR_CORE_REGISTRY_H
#define ORCHESTRATOR_CORE_REGISTRY_H

/* Finding and adding records. Found: borrowed, NULL if there is none. Added: zeroed but
 * for what names them, owned by the core. */

#include "orchestrator/core/state.h"

/** The device of that id. */
struct device *device_find(const struct core *core, const char *id);

/** Index of the first device whose id is greater than after. */
size_t device_index_after(const struct core *core, const char *after);

/** A new device. */
struct device *device_add(struct core *core, const char *id);

/** Give a device these labels in place of those it has. */
void device_set_labels(
	struct core *core, struct device *device, const struct labels *labels);

/** The rollout of that name. */
struct rollout *rollout_find(const struct core *core, const char *name);

/** number is one more than the last; the spec is copied. */
struct rollout *rollout_add(struct core *core, const struct rollout_spec *spec);

/** The release whose document has that digest. */
struct release *release_find(const struct core *core, const struct ota_digest *digest);

/** A new release. */
struct release *release_add(struct core *core, const struct ota_digest *digest);

/** The grant for a release. */
struct grant *grant_find(const struct core *core, const struct ota_digest *release);

/** ... made if there is none. */
struct grant *grant_of(struct core *core, const struct ota_digest *release);

/** Forget the grant for a release, and its document. */
void grant_remove(struct core *core, const struct ota_digest *release);

/** The image of that digest. */
struct image *image_find(const struct core *core, const struct ota_digest *digest);

/** A new image. */
struct image *image_add(struct core *core, const struct core_image *image);

/** The patch between two images; from zero: the full one. */
struct patch *patch_find(const struct core *core, const struct ota_digest *from,
	const struct ota_digest *to);

/** A new patch, ASKED. */
struct patch *patch_add(
	struct core *core, const struct ota_digest *from, const struct ota_digest *to);

/** The order record of that cohort. */
struct cohort *cohort_find(const struct core *core, const char *name);

/** ... made if there is none. */
struct cohort *cohort_of(struct core *core, const char *name);

/** The document of that type and key. */
struct stored *stored_find(
	const struct core *core, enum ota_doc_type type, const char *key);

/** Keep an envelope under its key, replacing what was there. */
struct stored *stored_set(struct core *core, enum ota_doc_type type, const char *key,
	struct ota_bytes envelope);

/** The attempt of a rollout on a device. */
struct attempt *attempt_find(const struct device *device, const struct rollout *rollout);

/** ... made if there is none, NEW, as the newest. */
struct attempt *attempt_of(struct device *device, struct rollout *rollout);

/** The bucket of a device under a salt; remembered. */
uint32_t device_bucket(struct device *device, const uint8_t salt[static OTA_SALT_LEN]);

/** The value of the device's first label of that key; NULL if there is none. */
const char *device_label(const struct device *device, const char *key);

/** True if label "key=value" is among the device's. */
bool device_has_label(const struct device *device, const char *key, const char *value);

/** Release everything the core owns. */
void registry_fini(struct core *core);

#endif
