#ifndef AGENT_PORT_CONFIG_READ_H
#define AGENT_PORT_CONFIG_READ_H

/* How the sections of agent.yaml are read: each in a file of its own, all with these.
 * Mistakes go to the document (proto/io/yaml.h), which is refused for them at the end. */

#include "agent/port/config.h"
#include "proto/io/yaml.h"

/** One file being read. */
struct config_reading {
	struct ota_yaml *doc;     /* borrowed */
	const char *path;         /* of the file, borrowed */
	struct agent_config *out; /* borrowed */
};

/** The value of a key in a map that may itself be missing (NULL); NULL: not there. */
const struct ota_yaml_node *config_value(
	const struct ota_yaml_node *map, const char *key);

/** As config_value(), but the key must be there if the map is. */
const struct ota_yaml_node *config_need(
	struct config_reading *r, const struct ota_yaml_node *map, const char *key);

/** A text of less than cap bytes; without a node out is not touched but for its NUL. */
void config_text(struct config_reading *r, const struct ota_yaml_node *node,
	const char *key, char *out, size_t cap);

/** A path, not empty; a relative one begins where the file lies. Without a node out is
 *  not touched. */
void config_path(struct config_reading *r, const struct ota_yaml_node *node,
	const char *key, char out[static AGENT_PATH_CAP]);

/** A size of at least min bytes: a whole number, and K, M or G (powers of 1024) or
 *  nothing. */
uint64_t config_size(struct config_reading *r, const struct ota_yaml_node *node,
	const char *key, uint64_t min, uint64_t fallback);

/** A map with some of these keys (NULL-terminated list); NULL if it is none. what: "the
 *  spool". */
const struct ota_yaml_node *config_section(struct config_reading *r,
	const struct ota_yaml_node *node, const char *what, const char *const *keys);

/** The section `slot`, which must be there. */
void config_slot(struct config_reading *r, const struct ota_yaml_node *root);

/** The section `boot:`; node may be NULL: there is no boot loader. */
void config_boot(struct config_reading *r, const struct ota_yaml_node *node);

/** The section `policy:` (config_policy.c); node may be NULL: everything is allowed. */
void config_policy(struct config_reading *r, const struct ota_yaml_node *node);

#endif
