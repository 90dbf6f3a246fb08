#ifndef ORCHESTRATOR_CLI_SPEC_YAML_H
#define ORCHESTRATOR_CLI_SPEC_YAML_H

/* Fleet and rollout files: YAML on the fleet manager's machine, JSON on the wire. All
 * errors carry file:line:col; a file with any error is not used at all. */

#include "orchestrator/core/spec.h"
#include "proto/io/yaml.h"

enum spec_kind { SPEC_FLEET, SPEC_ROLLOUT };

/** What only the server knows. */
struct release_finder {
	void *ctx;
	/** OTA_OK, or an error whose text says why there is none. */
	enum ota_code (*find)(void *ctx, const char *product, const char *version,
		struct ota_digest *out, struct ota_error *err);
	/** True if a release is of class security; may be NULL: none is. */
	bool (*is_security)(void *ctx, const struct ota_digest *release);
	/** Devices in a cohort; may be NULL: none. */
	uint64_t (*devices)(void *ctx, const char *cohort);
};

/** Which kind of file it is, by its top-level keys. An error is added if it is neither.
 */
OTA_CHECKED enum ota_code spec_yaml_kind(struct ota_yaml *doc, enum spec_kind *out);

/** Read a fleet file. OTA_OK, or OTA_E_CONFIG with the errors in doc. out is filled on
 *  success only; release with fleet_spec_fini(). */
OTA_CHECKED enum ota_code spec_yaml_fleet(struct ota_yaml *doc, struct fleet_spec *out);

/** Read a rollout file. fleet: the cohorts there are. OTA_OK, or OTA_E_CONFIG with the
 *  errors in doc. */
OTA_CHECKED enum ota_code spec_yaml_rollout(struct ota_yaml *doc,
	const struct fleet_spec *fleet, const struct release_finder *finder,
	struct rollout_spec *out);

#endif
