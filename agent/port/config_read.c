#include "agent/port/config_read.h"

#include <inttypes.h>
#include <string.h>

#define SIZE_MAX_VAL (UINT64_C(1) << 50)

const struct ota_yaml_node *config_value(const struct ota_yaml_node *map, const char *key)
{
	return map == NULL ? NULL : ota_yaml_get(map, key);
}

const struct ota_yaml_node *config_need(
	struct config_reading *r, const struct ota_yaml_node *map, const char *key)
{
	return map == NULL ? NULL : ota_yaml_need(r->doc, map, key);
}

void config_text(struct config_reading *r, const struct ota_yaml_node *node,
	const char *key, char *out, size_t cap)
{
	const char *text = ota_yaml_text(r->doc, node, key, "");

	if (strlen(text) < cap)
		memcpy(out, text, strlen(text) + 1);
	else
		ota_yaml_error(
			r->doc, node, "'%s' is longer than %zu bytes", key, cap - 1);
}

void config_path(struct config_reading *r, const struct ota_yaml_node *node,
	const char *key, char out[static AGENT_PATH_CAP])
{
	const char *text = ota_yaml_text(r->doc, node, key, "");
	const char *slash = strrchr(r->path, '/');
	size_t dir_len = slash == NULL ? 0 : (size_t)(slash - r->path) + 1;

	if (text[0] == '/')
		dir_len = 0;
	if (text[0] == '\0') {
		if (node != NULL && node->kind == OTA_YAML_SCALAR)
			ota_yaml_error(r->doc, node, "'%s' must not be empty", key);
		return;
	}
	if (dir_len + strlen(text) >= AGENT_PATH_CAP) {
		ota_yaml_error(r->doc, node, "'%s' is longer than %d bytes", key,
			AGENT_PATH_CAP - 1);
		return;
	}
	memcpy(out, r->path, dir_len);
	memcpy(out + dir_len, text, strlen(text) + 1);
}

/* The bytes that a unit stands for; 0: no unit of ours. */
static uint64_t unit_bytes(const char *unit)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} units[] = { { "", 1 }, { "K", UINT64_C(1) << 10 }, { "M", UINT64_C(1) << 20 },
		{ "G", UINT64_C(1) << 30 } };

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strcmp(unit, units[i].text) == 0)
			return units[i].bytes;
	return 0;
}

uint64_t config_size(struct config_reading *r, const struct ota_yaml_node *node,
	const char *key, uint64_t min, uint64_t fallback)
{
	const char *text = ota_yaml_text(r->doc, node, key, NULL);
	uint64_t value = 0, unit;
	size_t digits;

	if (text == NULL)
		return fallback;
	digits = strspn(text, "0123456789");
	unit = unit_bytes(text + digits);
	for (size_t i = 0; i < digits && value <= SIZE_MAX_VAL; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	if (digits > 0 && unit > 0 && value <= SIZE_MAX_VAL / unit && value * unit >= min)
		return value * unit;
	ota_yaml_error(r->doc, node,
		"'%s' must be a size like 512K, 64M or 1G of at least %" PRIu64 " bytes",
		key, min);
	return fallback;
}

const struct ota_yaml_node *config_section(struct config_reading *r,
	const struct ota_yaml_node *node, const char *what, const char *const *keys)
{
	if (node == NULL || !ota_yaml_map(r->doc, node, what, keys))
		return NULL;
	return node;
}
