#include "agent/port/config_read.h"

#include <stdio.h>
#include <string.h>

enum { DEADLINE_MAX_S = 60, DEADLINE_S = 10 };

/* In the order of enum agent_boot_type. "": there is no usual place. */
static const char *const loaders[] = { "none", "uboot", "grub", "systemd-boot", "custom",
	NULL };
static const char *const usual_paths[] = { "", "/etc/fw_env.config", "/boot/grub/grubenv",
	"/efi/loader/entries", "" };

/* With a slash, so that a command is not looked for in PATH, and a file has a directory.
 */
static void read_path(struct config_reading *r, const struct ota_yaml_node *node)
{
	struct agent_boot_config *b = &r->out->boot;
	char path[AGENT_PATH_CAP] = "";

	config_path(r, node, "path", path);
	if (path[0] == '\0' || strchr(path, '/') != NULL)
		memcpy(b->path, path, sizeof path);
	else if (strlen(path) + 2 < sizeof b->path)
		(void)snprintf(b->path, sizeof b->path, "./%.*s",
			(int)(sizeof b->path - 3), path);
	else
		ota_yaml_error(r->doc, node, "'path' is too long");
}

static void read_place(struct config_reading *r, const struct ota_yaml_node *map)
{
	struct agent_boot_config *b = &r->out->boot;
	const struct ota_yaml_node *path = config_value(map, "path");

	if (b->type == AGENT_BOOT_NONE && path != NULL)
		ota_yaml_error(r->doc, path, "'path' means nothing without a 'loader'");
	else if (b->type == AGENT_BOOT_CUSTOM)
		read_path(r, config_need(r, map, "path"));
	else if (path != NULL)
		read_path(r, path);
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
