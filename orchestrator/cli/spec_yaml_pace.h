#ifndef ORCHESTRATOR_CLI_SPEC_YAML_PACE_H
#define ORCHESTRATOR_CLI_SPEC_YAML_PACE_H

/* The parts of a rollout file that say how fast it goes: limits, freeze and ramp.
 * Mistakes become errors of the document. node may be NULL: then what holds so far stays.
 */

#include "orchestrator/cli/spec_yaml.h"

/** `limits:` */
void spec_yaml_limits(struct ota_yaml *doc, const struct ota_yaml_node *node,
	struct rollout_limits *limits);

/** `freeze:` */
void spec_yaml_freezes(struct ota_yaml *doc, const struct ota_yaml_node *node,
	struct rollout_spec *spec);

/**
 * `ramp:` in place of `stages:`; writes ordinary stages.
 *
 *   lab, canary   cohorts of these names come first, whole
 *   x5            waves of 5, 25, 125 ... devices, through the other cohorts in their
 * order, each to its end careful       the same with soaks of 7 d for the first wave and
 * 24 h for the others [1%, 100%]    these shares of all other cohorts
 *
 * Soaks: 4 h in the lab, 24 h for canaries and the first two waves, then 4 h; 1 h each
 * for a release of class security. spec->release must be filled.
 */
void spec_yaml_ramp(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const struct fleet_spec *fleet, const struct release_finder *finder,
	struct rollout_spec *spec);

#endif
