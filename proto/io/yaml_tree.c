#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "proto/base/own.h"
#include "proto/io/yaml_doc.h"

enum {
	DEPTH_MAX = 16,
	NODES_MAX = 100 * 1000,
	KEYS_MAX = 1000, /* of one map: duplicates are found by looking at all of them */
	KEY_CAP = 80     /* of an escaped key inside a message */
};

/* One run of libyaml over a document's text. */
struct source {
	struct ota_yaml *doc; /* borrowed */
	yaml_parser_t parser;
	yaml_event_t event;
	bool has_event;
};

static void error_at_mark(struct source *s, yaml_mark_t mark, const char *text)
{
	ota_yaml_error_at(
		s->doc, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1, text);
}

static void error_here(struct source *s, const char *text)
{
	error_at_mark(s, s->event.start_mark, text);
}

/* Where byte number `offset` stands. libyaml gives no mark for bytes it cannot decode. */
static yaml_mark_t mark_of_offset(const struct ota_yaml *doc, size_t offset)
{
	yaml_mark_t mark = { 0 };

	for (size_t i = 0; i < offset && i < doc->text.len; i++) {
		mark.column += (doc->text.at[i] & 0xc0) != 0x80;
		if (doc->text.at[i] == '\n') {
			mark.line++;
			mark.column = 0;
		}
	}
	return mark;
}

/* Say in our words what libyaml says in its own. */
static void error_of_parser(struct source *s)
{
	const yaml_parser_t *p = &s->parser;
	yaml_mark_t mark = p->error == YAML_READER_ERROR
				   ? mark_of_offset(s->doc, p->problem_offset)
				   : p->problem_mark;
	struct ota_bytes line = ota_yaml_line(s->doc, (uint32_t)mark.line + 1);
	char text[256];

	if (p->error == YAML_MEMORY_ERROR) {
		s->doc->no_memory = true;
		return;
	}
	if (p->error == YAML_SCANNER_ERROR && mark.column < line.len &&
		line.at[mark.column] == '\t')
		(void)snprintf(
			text, sizeof text, "a tab cannot indent a line, use spaces");
	else
		(void)snprintf(text, sizeof text, "%s%s%s",
			p->problem == NULL ? "cannot be read" : p->problem,
			p->context == NULL ? "" : " ",
			p->context == NULL ? "" : p->context);
	error_at_mark(s, mark, text);
}

/* Step to the next event. False at the end of all: an error has been added. */
static bool next(struct source *s)
{
	if (s->has_event)
		yaml_event_delete(&s->event);
	s->has_event = yaml_parser_parse(&s->parser, &s->event) == 1;
	if (!s->has_event)
		error_of_parser(s);
	return s->has_event;
}

static void source_fini(struct source *s)
{
	if (s->has_event)
		yaml_event_delete(&s->event);
	yaml_parser_delete(&s->parser);
}

void ota_yaml_node_free(struct ota_yaml_node *node)
{
	size_t slots;

	if (node == NULL)
		return;
	slots = node->kind == OTA_YAML_MAP ? 2 * node->count : node->count;
	for (size_t i = 0; i < slots; i++)
		ota_yaml_node_free(node->items[i]);
	free(node->items);
	free(node->text);
	free(node);
}

static void node_freep(struct ota_yaml_node **node)
{
	ota_yaml_node_free(*node);
}

/* A node at the current event, or NULL when memory or the allowance is used up. */
static struct ota_yaml_node *node_new(struct source *s, enum ota_yaml_kind kind)
{
	struct ota_yaml_node *node;

	if (s->doc->node_count == NODES_MAX) {
		error_here(s, "the file holds too much");
		return NULL;
	}
	node = calloc(1, sizeof *node);
	if (node == NULL) {
		s->doc->no_memory = true;
		return NULL;
	}
	s->doc->node_count++;
	node->kind = kind;
	node->line = (uint32_t)s->event.start_mark.line + 1;
	node->column = (uint32_t)s->event.start_mark.column + 1;
	return node;
}

static void refuse_extras(
	struct source *s, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL)
		error_here(s, "anchors ('&') are not allowed");
	if (tag != NULL)
		error_here(s, "tags ('!') are not allowed");
}

static struct ota_yaml_node *take_scalar(struct source *s)
{
	const char *value = (const char *)s->event.data.scalar.value;
	OTA_AUTO(node_freep) struct ota_yaml_node *node = node_new(s, OTA_YAML_SCALAR);

	if (node == NULL)
		return NULL;
	refuse_extras(s, s->event.data.scalar.anchor, s->event.data.scalar.tag);
	if (strlen(value) != s->event.data.scalar.length)
		error_here(s, "a NUL is not allowed");
	node->quoted = s->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->text = strdup(value);
	if (node->text == NULL) {
		s->doc->no_memory = true;
		return NULL;
	}
	return ota_take(&node);
}

/* An alias is an error; an empty scalar stands in so that reading can go on. */
static struct ota_yaml_node *take_alias(struct source *s)
{
	OTA_AUTO(node_freep) struct ota_yaml_node *node = node_new(s, OTA_YAML_SCALAR);

	if (node == NULL)
		return NULL;
	error_here(s, "aliases ('*') are not allowed");
	node->text = strdup("");
	if (node->text == NULL) {
		s->doc->no_memory = true;
		return NULL;
	}
	return ota_take(&node);
}

/* Room for slot number `slot`; they double whenever a power of two is full. */
static bool reserve(struct source *s, struct ota_yaml_node *node, size_t slot)
{
	struct ota_yaml_node **items = node->items;

	if ((slot & (slot - 1)) != 0)
		return true;
	items = realloc(items, (slot == 0 ? 1 : 2 * slot) * sizeof(*items));
	if (items == NULL) {
		s->doc->no_memory = true;
		return false;
	}
	node->items = items;
	return true;
}

static void check_key(struct source *s, const struct ota_yaml_node *map, size_t index)
{
	const struct ota_yaml_node *key = map->items[2 * index];
	char shown[KEY_CAP];

	if (key->kind != OTA_YAML_SCALAR) {
		ota_yaml_error(s->doc, key, "a key must be a word, not a list or a map");
		return;
	}
	ota_escape(key->text, shown, sizeof shown);
	for (size_t i = 0; i < index; i++) {
		const struct ota_yaml_node *other = map->items[2 * i];

		if (other->kind == OTA_YAML_SCALAR &&
			strcmp(other->text, key->text) == 0) {
			ota_yaml_error(s->doc, key,
				"duplicate key '%s' (first at line %u)", shown,
				other->line);
			return;
		}
	}
}

static struct ota_yaml_node *take_node(struct source *s, unsigned depth);

static bool take_items(struct source *s, struct ota_yaml_node *list, unsigned depth)
{
	while (next(s) && s->event.type != YAML_SEQUENCE_END_EVENT) {
		struct ota_yaml_node *item = take_node(s, depth + 1);

		if (item == NULL)
			return false;
		if (!reserve(s, list, list->count)) {
			ota_yaml_node_free(item);
			return false;
		}
		list->items[list->count++] = item;
	}
	return s->has_event;
}

static bool take_pair(struct source *s, struct ota_yaml_node *map, unsigned depth)
{
	OTA_AUTO(node_freep) struct ota_yaml_node *key = take_node(s, depth + 1);
	OTA_AUTO(node_freep) struct ota_yaml_node *value = NULL;
	size_t slot = 2 * map->count;

	if (key == NULL || !next(s))
		return false;
	value = take_node(s, depth + 1);
	if (value == NULL || !reserve(s, map, slot) || !reserve(s, map, slot + 1))
		return false;
	map->items[slot] = ota_take(&key);
	map->items[slot + 1] = ota_take(&value);
	map->count++;
	check_key(s, map, map->count - 1);
	return true;
}

static bool take_pairs(struct source *s, struct ota_yaml_node *map, unsigned depth)
{
	while (next(s) && s->event.type != YAML_MAPPING_END_EVENT) {
		if (map->count == KEYS_MAX) {
			error_here(s, "too many keys in one map");
			return false;
		}
		if (!take_pair(s, map, depth))
			return false;
	}
	return s->has_event;
}

static struct ota_yaml_node *take_children(
	struct source *s, enum ota_yaml_kind kind, unsigned depth)
{
	OTA_AUTO(node_freep) struct ota_yaml_node *node = node_new(s, kind);
	bool whole;

	if (node == NULL)
		return NULL;
	if (depth >= DEPTH_MAX) {
		error_here(s, "nested more than 16 levels deep");
		return NULL;
	}
	whole = kind == OTA_YAML_MAP ? take_pairs(s, node, depth)
				     : take_items(s, node, depth);
	return whole ? ota_take(&node) : NULL;
}

/* The node that begins at the current event; NULL after an error that ends reading. */
static struct ota_yaml_node *take_node(struct source *s, unsigned depth)
{
	const yaml_event_t *e = &s->event;

	if (e->type == YAML_SCALAR_EVENT)
		return take_scalar(s);
	if (e->type == YAML_ALIAS_EVENT)
		return take_alias(s);
	if (e->type == YAML_SEQUENCE_START_EVENT) {
		refuse_extras(
			s, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		return take_children(s, OTA_YAML_LIST, depth);
	}
	refuse_extras(s, e->data.mapping_start.anchor, e->data.mapping_start.tag);
	return take_children(s, OTA_YAML_MAP, depth);
}

static void take_document(struct source *s)
{
	if (!next(s) || !next(s)) /* the stream begins, then the document or the end */
		return;
	if (s->event.type == YAML_STREAM_END_EVENT) {
		error_here(s, "the file is empty");
		return;
	}
	if (s->event.data.document_start.version_directive != NULL ||
		s->event.data.document_start.tag_directives.start !=
			s->event.data.document_start.tag_directives.end)
		error_here(s, "directives ('%') are not allowed");
	if (!next(s))
		return;
	s->doc->root = take_node(s, 0);
	if (s->doc->root == NULL || !next(s) || !next(s))
		return;
	if (s->event.type != YAML_STREAM_END_EVENT)
		error_here(s, "a file holds one document only");
}

void ota_yaml_build(struct ota_yaml *doc)
{
	OTA_AUTO(source_fini) struct source s = { .doc = doc };

	if (yaml_parser_initialize(&s.parser) != 1) {
		doc->no_memory = true;
		return;
	}
	yaml_parser_set_encoding(&s.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&s.parser, doc->text.at, doc->text.len);
	take_document(&s);
}
