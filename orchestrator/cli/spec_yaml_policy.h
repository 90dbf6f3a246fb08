#ifndef ORCHESTRATOR_CLI_SPEC_YAML_POLICY_H
#define ORCHESTRATOR_CLI_SPEC_YAML_POLICY_H

/* What a rollout file says of failures, absence and other rollouts. */

#include "orchestrator/core/spec.h"
#include "proto/io/yaml.h"

/** Read "retry", "offline", "priority" and "supersedes" of the file's root into spec,
 *  which holds what is left out. Mistakes are left in doc. */
void spec_yaml_policy(struct ota_yaml *doc, const struct ota_yaml_node *root,
	struct rollout_spec *spec);

/** Read "quarantine" of a fleet file (NULL: it is left out) into what holds so far. */
void spec_yaml_quarantine(struct ota_yaml *doc, const struct ota_yaml_node *map,
	struct fleet_quarantine *out);

#endif
