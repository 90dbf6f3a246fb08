#include <string.h>

#include "agent/port/config_read.h"

static void read_window(struct config_reading *r, const struct ota_yaml_node *node,
	const char *key, struct policy_windows *out)
{
	const char *text = ota_yaml_text(r->doc, node, key, "");
	struct ota_error why = { 0 };

	if (policy_window_parse(text, &out->at[out->count], &why) == OTA_OK)
		out->count++;
	else
		ota_yaml_error(r->doc, node, "'%s': %s", key, why.text);
}

static void read_windows(struct config_reading *r, const struct ota_yaml_node *node,
	const char *key, struct policy_windows *out)
{
	if (node == NULL)
		return;
	if (node->kind != OTA_YAML_LIST || node->count == 0 ||
		node->count > POLICY_WINDOWS_MAX) {
		ota_yaml_error(r->doc, node,
			"'%s' must be a list of 1 to %d windows, like "
			"[mon-fri 01:00-04:00, sat 22:00-08:00]",
			key, POLICY_WINDOWS_MAX);
		return;
	}
	*out = (struct policy_windows){ 0 };
	for (size_t i = 0; i < node->count; i++)
		read_window(r, node->items[i], key, out);
}

void config_policy(struct config_reading *r, const struct ota_yaml_node *node)
{
	static const char *const keys[] = { "windows", "download_windows",
		"reboot_windows", "metered_command", "metered_security", "budget",
		"power_command", "reboot_lock", "reboot_lock_command", NULL };
	const struct ota_yaml_node *map = config_section(r, node, "the policy", keys);
	struct agent_policy_config *p = &r->out->policy;
	struct policy *rules = &p->rules;

	read_windows(r, config_value(map, "windows"), "windows", &rules->download);
	rules->reboot = rules->download;
	read_windows(r, config_value(map, "download_windows"), "download_windows",
		&rules->download);
	read_windows(
		r, config_value(map, "reboot_windows"), "reboot_windows", &rules->reboot);
	config_path(r, config_value(map, "metered_command"), "metered_command",
		p->metered_command);
	config_path(
		r, config_value(map, "power_command"), "power_command", p->power_command);
	config_path(r, config_value(map, "reboot_lock"), "reboot_lock", p->lock_file);
	config_path(r, config_value(map, "reboot_lock_command"), "reboot_lock_command",
		p->lock_command);
	rules->metered_security = ota_yaml_bool(
		r->doc, config_value(map, "metered_security"), "metered_security", false);
	rules->budget_bytes = config_size(r, config_value(map, "budget"), "budget", 0, 0);
	rules->asks_metered = p->metered_command[0] != '\0';
	rules->asks_power = p->power_command[0] != '\0';
	rules->asks_lock = p->lock_command[0] != '\0' || p->lock_file[0] != '\0';
}
