#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/io/yaml.h"

enum { VALUE_CAP = 64, CHOICES_CAP = 200 };

static const char *kind_text(const struct ota_yaml_node *node)
{
	return node->kind == OTA_YAML_MAP ? "a map" : "a list";
}

/* Say that the value of key is not what it must be. */
static void refuse(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, const char *must)
{
	char shown[VALUE_CAP];

	if (node->kind != OTA_YAML_SCALAR) {
		ota_yaml_error(
			doc, node, "'%s' must be %s, not %s", key, must, kind_text(node));
		return;
	}
	ota_escape(node->text, shown, sizeof shown);
	if (*shown == '\0')
		ota_yaml_error(doc, node, "'%s' must be %s, but it is empty", key, must);
	else
		ota_yaml_error(doc, node, "'%s' must be %s, not '%s'%s", key, must, shown,
			node->quoted ? " in quotes" : "");
}

static size_t count_of(const char *const *words)
{
	size_t count = 0;

	while (words[count] != NULL)
		count++;
	return count;
}

static void check_known(struct ota_yaml *doc, const struct ota_yaml_node *at,
	const char *what, const char *const *keys)
{
	const char *nearest = ota_nearest(at->text, keys, count_of(keys));
	char shown[VALUE_CAP];

	if (nearest != NULL && strcmp(nearest, at->text) == 0)
		return;
	ota_escape(at->text, shown, sizeof shown);
	if (nearest == NULL)
		ota_yaml_error(doc, at, "unknown key '%s' in %s", shown, what);
	else
		ota_yaml_error(doc, at, "unknown key '%s' in %s; did you mean '%s'?",
			shown, what, nearest);
}

bool ota_yaml_map(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *what, const char *const *keys)
{
	if (node == NULL)
		return false;
	if (node->kind != OTA_YAML_MAP) {
		ota_yaml_error(doc, node,
			"%s must be a map of 'key: value' lines, not %s", what,
			node->kind == OTA_YAML_LIST ? "a list" : "a single value");
		return false;
	}
	for (size_t i = 0; i < node->count; i++)
		if (node->items[2 * i]->kind == OTA_YAML_SCALAR)
			check_known(doc, node->items[2 * i], what, keys);
	return true;
}

const struct ota_yaml_node *ota_yaml_get(const struct ota_yaml_node *map, const char *key)
{
	if (map == NULL || map->kind != OTA_YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->count; i++) {
		const struct ota_yaml_node *found = map->items[2 * i];

		if (found->kind == OTA_YAML_SCALAR && strcmp(found->text, key) == 0)
			return map->items[2 * i + 1];
	}
	return NULL;
}

const struct ota_yaml_node *ota_yaml_need(
	struct ota_yaml *doc, const struct ota_yaml_node *map, const char *key)
{
	const struct ota_yaml_node *value = ota_yaml_get(map, key);

	if (value == NULL && map != NULL)
		ota_yaml_error(doc, map, "'%s' is missing here", key);
	return value;
}

/* Digits at *text as a number of at most max; moves *text past them. */
static bool read_digits(const char **text, uint64_t max, uint64_t *out)
{
	const char *at = *text;
	uint64_t value = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (at == *text)
		return false;
	*text = at;
	*out = value;
	return true;
}

static bool is_plain(const struct ota_yaml_node *node)
{
	return node->kind == OTA_YAML_SCALAR && !node->quoted;
}

uint64_t ota_yaml_u64(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, uint64_t min, uint64_t max, uint64_t fallback)
{
	char must[80];
	uint64_t value;
	const char *at;

	if (node == NULL)
		return fallback;
	at = node->text;
	if (is_plain(node) && read_digits(&at, max, &value) && *at == '\0' &&
		value >= min)
		return value;
	(void)snprintf(must, sizeof must, "a whole number from %llu to %llu",
		(unsigned long long)min, (unsigned long long)max);
	refuse(doc, node, key, must);
	return fallback;
}

bool ota_yaml_bool(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, bool fallback)
{
	if (node == NULL)
		return fallback;
	if (is_plain(node) && strcmp(node->text, "true") == 0)
		return true;
	if (is_plain(node) && strcmp(node->text, "false") == 0)
		return false;
	refuse(doc, node, key, "true or false");
	return fallback;
}

const char *ota_yaml_text(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, const char *fallback)
{
	if (node == NULL)
		return fallback;
	if (node->kind == OTA_YAML_SCALAR && (node->quoted || *node->text != '\0'))
		return node->text;
	refuse(doc, node, key, "text");
	return fallback;
}

void ota_yaml_name(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, char out[static OTA_NAME_CAP])
{
	struct ota_error err = { 0 };

	*out = '\0';
	if (node == NULL)
		return;
	if (node->kind != OTA_YAML_SCALAR)
		refuse(doc, node, key, "a name");
	else if (ota_name_copy(node->text, key, out, &err) != OTA_OK)
		ota_yaml_error(doc, node, "%s", err.text);
}

/* Seconds in one of a unit of time, or 0. */
static uint64_t seconds_in(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 60 * 60;
	case 'd':
		return 24 * 60 * 60;
	}
	return 0;
}

/* seconds in the largest unit that holds them without a rest. */
static void write_duration(uint64_t seconds, char *out, size_t cap)
{
	static const char units[] = "dhms";
	size_t i = 0;

	while (seconds % seconds_in(units[i]) != 0)
		i++;
	(void)snprintf(out, cap, "%llu%c",
		(unsigned long long)(seconds / seconds_in(units[i])), units[i]);
}

uint64_t ota_yaml_duration_s(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, uint64_t max_s, uint64_t fallback_s)
{
	char must[80], longest[32];
	uint64_t value;
	const char *at;

	if (node == NULL)
		return fallback_s;
	at = node->text;
	if (is_plain(node) && read_digits(&at, max_s, &value) && *at != '\0' &&
		at[1] == '\0' && seconds_in(*at) != 0 && value <= max_s / seconds_in(*at))
		return value * seconds_in(*at);
	write_duration(max_s, longest, sizeof longest);
	(void)snprintf(must, sizeof must,
		"a duration like 90s, 15m, 4h or 2d, at most %s", longest);
	refuse(doc, node, key, must);
	return fallback_s;
}

/* "12.5%" as 125. */
static bool read_permille(const char *at, uint64_t *out)
{
	uint64_t whole, tenth = 0;

	if (!read_digits(&at, 100, &whole))
		return false;
	if (*at == '.') {
		at++;
		if (*at < '0' || *at > '9')
			return false;
		tenth = (uint64_t)(*at++ - '0');
	}
	if (strcmp(at, "%") != 0 || whole * 10 + tenth > 1000)
		return false;
	*out = whole * 10 + tenth;
	return true;
}

uint64_t ota_yaml_permille(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, uint64_t fallback)
{
	uint64_t value;

	if (node == NULL)
		return fallback;
	if (is_plain(node) && read_permille(node->text, &value))
		return value;
	refuse(doc, node, key, "a percentage from 0% to 100%, like 12.5%");
	return fallback;
}

/* "pause, revert or abort" */
static void write_choices(const char *const *words, char *out, size_t cap)
{
	size_t count = count_of(words), used = 0;

	*out = '\0';
	for (size_t i = 0; i < count && used < cap; i++)
		used += (size_t)snprintf(out + used, cap - used, "%s%s",
			i == 0           ? ""
			: i + 1 == count ? " or "
					 : ", ",
			words[i]);
}

size_t ota_yaml_choice(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, const char *const *words, size_t fallback)
{
	char choices[CHOICES_CAP], shown[VALUE_CAP];
	const char *nearest;

	if (node == NULL)
		return fallback;
	for (size_t i = 0; node->kind == OTA_YAML_SCALAR && words[i] != NULL; i++)
		if (strcmp(node->text, words[i]) == 0)
			return i;
	write_choices(words, choices, sizeof choices);
	nearest = node->kind == OTA_YAML_SCALAR
			  ? ota_nearest(node->text, words, count_of(words))
			  : NULL;
	if (nearest == NULL) {
		refuse(doc, node, key, choices);
		return fallback;
	}
	ota_escape(node->text, shown, sizeof shown);
	ota_yaml_error(doc, node, "'%s' must be %s, not '%s'; did you mean '%s'?", key,
		choices, shown, nearest);
	return fallback;
}
