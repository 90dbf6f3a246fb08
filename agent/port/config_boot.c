#include "agent/port/config_read.h"

#include <string.h>

enum { DEADLINE_MAX_S = 60, DEADLINE_S = 10 };

/* In the order of enum agent_boot_type. "": there is no usual place. */
static const char *const loaders[] = { "none", "uboot", "grub", "systemd-boot", "custom",
	NULL };
static const char *const usual_paths[] = { "", "/etc/fw_env.config", "/boot/grub/grubenv",
	"/efi/loader/entries", "" };

static void read_place(struct config_reading *r, const struct ota_yaml_node *map)
{
	struct agent_boot_config *b = &r->out->boot;
	const struct ota_yaml_node *path = config_value(map, "path");

	if (b->type == AGENT_BOOT_NONE && path != NULL)
		ota_yaml_error(r->doc, path, "'path' means nothing without a 'loader'");
	else if (b->type == AGENT_BOOT_CUSTOM)
		config_path(r, config_need(r, map, "path"), "path", b->path);
	else if (path != NULL)
		config_path(r, path, "path", b->path);
	else
		memcpy(b->path, usual_paths[b->type], strlen(usual_paths[b->type]) + 1);
}

void config_boot(struct config_reading *r, const struct ota_yaml_node *node)
{
	static const char *const keys[] = { "loader", "path", "deadline", NULL };
	struct agent_boot_config *b = &r->out->boot;
	const struct ota_yaml_node *map =
		config_section(r, node, "the boot loader", keys);
	const struct ota_yaml_node *deadline = config_value(map, "deadline");

	b->type = (enum agent_boot_type)ota_yaml_choice(r->doc,
		config_need(r, map, "loader"), "loader", loaders, AGENT_BOOT_NONE);
	read_place(r, map);
	b->deadline_s = (uint32_t)ota_yaml_duration_s(
		r->doc, deadline, "deadline", DEADLINE_MAX_S, DEADLINE_S);
	if (b->deadline_s == 0)
		ota_yaml_error(r->doc, deadline, "'deadline' must be at least 1s");
}
