#include "orchestrator/cli/patch_explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "orchestrator/cli/output.h"
#include "proto/base/names.h"
#include "proto/delta/codec.h"
#include "proto/wire/json.h"

enum {
	SHOWN_MAX = 20, /* items, for people */
	NAME_CAP = 48,  /* bytes of a name that we make */
	SAFE_CAP = 1024,
};

static enum ota_code keep_item(void *ctx, const struct ota_explain_item *item)
{
	struct patch_explain *explain = ctx;
	char *path;

	if (explain->count == explain->cap) {
		size_t cap = explain->cap == 0 ? 64 : 2 * explain->cap;
		void *grown = realloc(explain->items, cap * sizeof *explain->items);

		if (grown == NULL)
			return OTA_E_NOMEM;
		explain->items = grown;
		explain->cap = cap;
	}
	path = strdup(item->path);
	if (path == NULL)
		return OTA_E_NOMEM;
	explain->items[explain->count] = *item;
	explain->items[explain->count++].path = path;
	return OTA_OK;
}

static void keep_parts(void *ctx, const struct ota_explain_parts *parts)
{
	struct patch_explain *explain = ctx;

	explain->parts = *parts;
}

struct ota_explain patch_explain_port(struct patch_explain *explain)
{
	return (struct ota_explain){ explain, keep_item, keep_parts };
}

void patch_explain_fini(struct patch_explain *explain)
{
	for (size_t i = 0; i < explain->count; i++)
		free((char *)(uintptr_t)explain->items[i].path);
	free(explain->items);
	*explain = (struct patch_explain){ 0 };
}

/* By falling cost, then as they lie in the image. */
static int by_cost(const void *a, const void *b)
{
	const struct ota_explain_item *x = a, *y = b;

	if (x->patch_len != y->patch_len)
		return x->patch_len < y->patch_len ? 1 : -1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static void sort(struct patch_explain *explain)
{
	if (explain->count > 1)
		qsort(explain->items, explain->count, sizeof *explain->items, by_cost);
}

/* The most memory that this process has had, in bytes. */
static uint64_t peak_memory(void)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_maxrss * 1024;
}

/* What to call an item, in the bytes of its path. */
static const char *name_of(const struct ota_explain_item *item, char out[static NAME_CAP])
{
	switch (item->kind) {
	case OTA_EXPLAIN_FILE:
		return item->path;
	case OTA_EXPLAIN_EXECUTABLE:
		(void)snprintf(
			out, NAME_CAP, "(executable at 0x%" PRIx64 ")", item->offset);
		return out;
	case OTA_EXPLAIN_REST:
		return "(what belongs to no file)";
	case OTA_EXPLAIN_IMAGE:
		break;
	}
	return "(the image)";
}

static void print_items(const struct patch_explain *explain)
{
	static const char *const headings[] = { "IN PATCH", "BYTES", "AS PREDICTED",
		"WRONG", "NEW", "FIXES", "COVERS", "ITEM", NULL };
	struct table *table = table_new(headings);
	char name[NAME_CAP];

	for (size_t i = 0; i < explain->count && i < SHOWN_MAX; i++) {
		const struct ota_explain_item *item = &explain->items[i];
		const uint64_t cells[] = { item->patch_len, item->len, item->right_len,
			item->wrong_len, item->extra_len, item->fixes, item->covers };

		table_row(table);
		for (size_t k = 0; k < sizeof cells / sizeof cells[0]; k++)
			table_cell(table, "%" PRIu64, cells[k]);
		table_cell(table, "%s", name_of(item, name));
	}
	table_print(table);
	if (explain->count > SHOWN_MAX)
		printf("... and %zu more\n", explain->count - SHOWN_MAX);
}

static void print_parts(const struct ota_explain_parts *parts)
{
	char tables[24], fixes[24], differences[24], extra[24];

	printf("of the predict patch, %s say what comes from where, %s correct "
	       "references,\n%s correct bytes, and %s are bytes without a source\n",
		output_bytes(parts->tables_len, tables),
		output_bytes(parts->fixes_len, fixes),
		output_bytes(parts->differences_len, differences),
		output_bytes(parts->extra_len, extra));
}

void patch_explain_print(struct patch_explain *explain)
{
	const char *before = "";
	char text[24];

	sort(explain);
	if (explain->count > 0) {
		printf("\n");
		print_items(explain);
		printf("\n");
		print_parts(&explain->parts);
	}
	printf("codecs would take: ");
	for (uint8_t i = OTA_CODEC_PREDICT; i >= OTA_CODEC_FULL; i--) {
		printf("%s%s %s", before, ota_codec_text(i),
			explain->patch_len[i] > 0
				? output_bytes(explain->patch_len[i], text)
				: "no patch");
		before = ", ";
	}
	printf("\npeak memory: %s\n", output_bytes(peak_memory(), text));
}

static cJSON *parts_tree(const struct ota_explain_parts *parts)
{
	cJSON *tree = cJSON_CreateObject();

	ota_json_add_u64(tree, "tables_len", parts->tables_len);
	ota_json_add_u64(tree, "fixes_len", parts->fixes_len);
	ota_json_add_u64(tree, "differences_len", parts->differences_len);
	ota_json_add_u64(tree, "extra_len", parts->extra_len);
	return tree;
}

static cJSON *item_tree(const struct ota_explain_item *item)
{
	cJSON *tree = cJSON_CreateObject();
	char name[NAME_CAP], safe[SAFE_CAP];

	ota_escape(name_of(item, name), safe, sizeof safe);
	cJSON_AddStringToObject(tree, "item", safe);
	ota_json_add_u64(tree, "offset", item->offset);
	ota_json_add_u64(tree, "patch_len", item->patch_len);
	ota_json_add_u64(tree, "len", item->len);
	ota_json_add_u64(tree, "right_len", item->right_len);
	ota_json_add_u64(tree, "wrong_len", item->wrong_len);
	ota_json_add_u64(tree, "extra_len", item->extra_len);
	ota_json_add_u64(tree, "fixes", item->fixes);
	ota_json_add_u64(tree, "covers", item->covers);
	return tree;
}

cJSON *patch_explain_tree(struct patch_explain *explain)
{
	cJSON *tree = cJSON_CreateObject();
	cJSON *codecs = cJSON_AddObjectToObject(tree, "codecs");
	cJSON *items;

	sort(explain);
	for (uint8_t i = OTA_CODEC_PREDICT; i >= OTA_CODEC_FULL; i--)
		if (explain->patch_len[i] > 0)
			ota_json_add_u64(
				codecs, ota_codec_text(i), explain->patch_len[i]);
	cJSON_AddItemToObject(tree, "parts", parts_tree(&explain->parts));
	items = cJSON_AddArrayToObject(tree, "items");
	for (size_t i = 0; i < explain->count; i++)
		cJSON_AddItemToArray(items, item_tree(&explain->items[i]));
	ota_json_add_u64(tree, "peak_memory", peak_memory());
	return tree;
}
