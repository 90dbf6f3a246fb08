#ifndef ORCHESTRATOR_PORT_CONFIG_READ_H
#define ORCHESTRATOR_PORT_CONFIG_READ_H

/* What the files that read sluiced.yaml share. Nodes may be NULL where a section or key
 * is not there; mistakes are added to the document. */

#include "orchestrator/port/config.h"
#include "proto/io/yaml.h"

/** One file being read. */
struct config_read {
	struct ota_yaml *doc;       /* borrowed */
	const char *path;           /* of the file, borrowed */
	struct sluiced_config *out; /* borrowed */
};

/** The value of a key. */
const struct ota_yaml_node *config_value(
	const struct ota_yaml_node *map, const char *key);

/** As config_value(), but the key must be there if the map is. */
const struct ota_yaml_node *config_need(
	struct config_read *r, const struct ota_yaml_node *map, const char *key);

/** The node if it is a map of these keys alone; else NULL. */
const struct ota_yaml_node *config_section(struct config_read *r,
	const struct ota_yaml_node *node, const char *what, const char *const *keys);

/** A text that must not be empty if it is there. */
const char *config_text(struct config_read *r, const struct ota_yaml_node *node,
	const char *key, size_t cap);

/** A path; a relative one begins where the file lies. out stays if it is not there. */
void config_path(struct config_read *r, const struct ota_yaml_node *node, const char *key,
	char out[static CONFIG_PATH_CAP]);

/** The list "webhooks". */
void config_webhooks(struct config_read *r, const struct ota_yaml_node *node);

/** The section "home_assistant"; the fleet's name is read before. */
void config_home_assistant(struct config_read *r, const struct ota_yaml_node *node);

#endif
