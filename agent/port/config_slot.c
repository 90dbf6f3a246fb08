#include <string.h>

#include "agent/port/config_read.h"

#define COUNTER_MAX ((UINT64_C(1) << 53) - 1)

static const char *const type_names[] = { "file", "directory", "block", NULL };

/* A key that says nothing to this type of slot is a mistake. */
static void refuse_keys(struct config_reading *r, const struct ota_yaml_node *map,
	const char *const *keys)
{
	for (; *keys != NULL; keys++)
		if (config_value(map, *keys) != NULL)
			ota_yaml_error(r->doc, config_value(map, *keys),
				"'%s' is not for slots of type %s", *keys,
				type_names[r->out->slot.type]);
}

static void read_files(struct config_reading *r, const struct ota_yaml_node *map)
{
	static const char *const others[] = { "a", "b", "initial_size", NULL };
	static const char *const other[] = { "special_files", NULL };
	struct agent_slot_config *s = &r->out->slot;

	refuse_keys(r, map, others);
	if (s->type == AGENT_SLOT_FILE)
		refuse_keys(r, map, other);
	s->special_files = ota_yaml_bool(
		r->doc, config_value(map, "special_files"), "special_files", false);
	config_path(r, config_need(r, map, "dir"), "dir", s->dir);
	config_path(r, config_value(map, "initial"), "initial", s->initial);
}

static void read_devices(struct config_reading *r, const struct ota_yaml_node *map)
{
	static const char *const others[] = { "dir", "initial", "special_files", NULL };
	struct agent_slot_config *s = &r->out->slot;

	refuse_keys(r, map, others);
	config_path(r, config_need(r, map, "a"), "a", s->devices[0]);
	config_path(r, config_need(r, map, "b"), "b", s->devices[1]);
	if (config_value(map, "b") != NULL && strcmp(s->devices[0], s->devices[1]) == 0)
		ota_yaml_error(
			r->doc, config_value(map, "b"), "'a' and 'b' are the same");
	s->initial_len =
		config_size(r, config_value(map, "initial_size"), "initial_size", 1, 0);
}

void config_slot(struct config_reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "type", "backend", "dir", "a", "b", "initial",
		"initial_size", "initial_version", "initial_counter", "special_files",
		NULL };
	struct agent_slot_config *s = &r->out->slot;
	const struct ota_yaml_node *map =
		config_section(r, config_need(r, root, "slot"), "the slot", keys);
	/* `backend` is how `type` was called first. */
	const char *name = config_value(map, "type") != NULL ? "type" : "backend";

	s->type = (enum agent_slot_type)ota_yaml_choice(
		r->doc, config_value(map, name), name, type_names, AGENT_SLOT_FILE);
	if (s->type == AGENT_SLOT_BLOCK)
		read_devices(r, map);
	else
		read_files(r, map);
	if (config_value(map, "initial_version") != NULL)
		ota_yaml_name(r->doc, config_value(map, "initial_version"),
			"initial_version", s->initial_version);
	s->initial_counter = ota_yaml_u64(r->doc, config_value(map, "initial_counter"),
		"initial_counter", 0, COUNTER_MAX, 0);
}
