/* The section "home_assistant" of sluiced.yaml. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/core/home_assistant.h"
#include "orchestrator/port/config_read.h"

_Static_assert(
	(int)CONFIG_PREFIX_CAP == (int)HOME_ASSISTANT_PREFIX_CAP, "one and the same");

static void read_prefix(struct config_read *r, const struct ota_yaml_node *node,
	const char *key, char out[static CONFIG_PREFIX_CAP])
{
	const char *text;

	if (!node)
		return;
	text = config_text(r, node, key, CONFIG_PREFIX_CAP);
	if (!text[0])
		return;
	if (!home_assistant_prefix_ok(text))
		ota_yaml_error(r->doc, node,
			"'%s' must be a topic of letters, digits, '_' and '-', with '/' "
			"between its levels",
			key);
	else if (strncmp(text, "sluice/", 7) == 0 || strcmp(text, "sluice") == 0)
		ota_yaml_error(r->doc, node,
			"'%s' must not be below sluice/, where the fleet's own topics "
			"are",
			key);
	else
		(void)snprintf(out, CONFIG_PREFIX_CAP, "%s", text);
}

/* A fleet's name may hold what a prefix may not. */
static void default_prefix(struct config_read *r, const struct ota_yaml_node *at)
{
	struct sluiced_config *c = r->out;
	char *out = c->home_assistant.topic_prefix;
	int len = snprintf(out, CONFIG_PREFIX_CAP, "sluice-ha/%s", c->fleet);

	if (len >= CONFIG_PREFIX_CAP || !home_assistant_prefix_ok(out))
		ota_yaml_error(r->doc, at,
			"'topic_prefix' is needed: the fleet's name makes no topic of "
			"letters, digits, '_' and '-', shorter than %d bytes",
			CONFIG_PREFIX_CAP);
}

void config_home_assistant(struct config_read *r, const struct ota_yaml_node *node)
{
	static const char *const keys[] = { "enabled", "discovery_prefix", "topic_prefix",
		"cohort", NULL };
	const struct ota_yaml_node *map = config_section(r, node, "home_assistant", keys);
	const struct ota_yaml_node *topic_prefix = config_value(map, "topic_prefix");
	struct sluiced_config *c = r->out;

	if (!map)
		return;
	c->home_assistant.there = true;
	c->home_assistant.enabled =
		ota_yaml_bool(r->doc, config_value(map, "enabled"), "enabled", false);
	(void)snprintf(
		c->home_assistant.discovery_prefix, CONFIG_PREFIX_CAP, "homeassistant");
	read_prefix(r, config_value(map, "discovery_prefix"), "discovery_prefix",
		c->home_assistant.discovery_prefix);
	read_prefix(r, topic_prefix, "topic_prefix", c->home_assistant.topic_prefix);
	if (!topic_prefix)
		default_prefix(r, map);
	if (config_value(map, "cohort"))
		ota_yaml_name(r->doc, config_value(map, "cohort"), "cohort",
			c->home_assistant.cohort);
}
