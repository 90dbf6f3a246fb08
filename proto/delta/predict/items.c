#include "proto/delta/predict/items.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

enum {
	/* An image without files of at most this length is one item, which lets code and
	 * data move freely inside; beyond, each executable in it is one. */
	WHOLE_MAX = 64 << 20,
	BLOCK_LEN = 4096, /* the rest is searched in such steps for what is not zero */
	PARTS_MAX = 1 << 16,
};

/* Extents that are collected, and later belong to the items. */
struct gathering {
	struct ota_extent *at; /* owned */
	size_t count, cap;
};

static enum ota_code gather(struct gathering *g, uint64_t offset, uint64_t len)
{
	if (g->count == g->cap) {
		size_t cap = g->cap == 0 ? 64 : 2 * g->cap;
		void *grown = realloc(g->at, cap * sizeof *g->at);

		if (grown == NULL)
			return OTA_E_NOMEM;
		g->at = grown;
		g->cap = cap;
	}
	g->at[g->count++] = (struct ota_extent){ offset, len };
	return OTA_OK;
}

/* The same, made longer if it ends where this begins. */
static enum ota_code gather_on(struct gathering *g, uint64_t offset, uint64_t len)
{
	struct ota_extent *last = g->count > 0 ? &g->at[g->count - 1] : NULL;

	if (last == NULL || last->offset + last->len != offset)
		return gather(g, offset, len);
	last->len += len;
	return OTA_OK;
}

static bool is_zero(const uint8_t *at, uint64_t len)
{
	return len == 0 || (at[0] == 0 && memcmp(at, at + 1, (size_t)len - 1) == 0);
}

/* What is not zero between two offsets. */
static enum ota_code gather_rest(
	struct gathering *g, struct ota_bytes image, uint64_t offset, uint64_t end)
{
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && offset < end) {
		uint64_t len = BLOCK_LEN - offset % BLOCK_LEN;

		len = len < end - offset ? len : end - offset;
		if (!is_zero(image.at + offset, len))
			rc = gather_on(g, offset, len);
		offset += len;
	}
	return rc;
}

static int by_offset(const void *a, const void *b)
{
	const struct ota_extent *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* What lies between extents that are taken. */
static enum ota_code gather_between(struct gathering *g, struct ota_bytes image,
	const struct ota_extent *taken, size_t count)
{
	ota_autofree struct ota_extent *sorted = malloc((count + 1) * sizeof *sorted);
	uint64_t end = 0;
	enum ota_code rc = OTA_OK;

	if (sorted == NULL)
		return OTA_E_NOMEM;
	if (count > 0)
		memcpy(sorted, taken, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_offset);
	for (size_t i = 0; i < count && rc == OTA_OK; i++) {
		uint64_t behind = sorted[i].offset + sorted[i].len;

		if (sorted[i].offset == OTA_HOLE)
			break;
		if (sorted[i].offset > end)
			rc = gather_rest(g, image, end, sorted[i].offset);
		end = behind > end ? behind : end;
	}
	return rc == OTA_OK ? gather_rest(g, image, end, image.len) : rc;
}

/* The executables of an image without files. */
static enum ota_code gather_objects(struct gathering *g, struct ota_bytes image)
{
	uint64_t start = 0, offset;
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && ota_object_find(image, start, &offset)) {
		struct ota_bytes left = { image.at + offset, image.len - (size_t)offset };
		OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };

		start = offset + 4;
		rc = ota_object_parse(left, &object);
		if (rc == OTA_OK && object.len > 4) {
			rc = gather(g, offset, object.len);
			start = offset + object.len;
		} else if (rc == OTA_E_NOTFOUND) {
			rc = OTA_OK;
		}
	}
	return rc;
}

static enum ota_code find_extents(
	const struct ota_items *items, struct gathering *g, size_t *objects)
{
	const struct ota_members *members = &items->members;
	struct ota_bytes image = items->image;
	enum ota_code rc;

	*objects = 0;
	if (members->member_count > 0)
		return gather_between(g, image, members->extents, members->extent_count);
	if (image.len <= WHOLE_MAX)
		return image.len > 0 ? gather(g, 0, image.len) : OTA_OK;
	rc = gather_objects(g, image);
	*objects = g->count;
	return rc == OTA_OK ? gather_between(g, image, g->at, g->count) : rc;
}

static uint64_t len_of(const struct ota_extent *extents, uint32_t count)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < count; i++)
		len += extents[i].len;
	return len;
}

static void fill(struct ota_items *items, size_t objects, size_t extents)
{
	const struct ota_members *members = &items->members;
	struct ota_item *item = items->at;

	for (uint32_t i = 0; i < members->member_count; i++) {
		const struct ota_member *member = &members->members[i];

		if (member->len > 0)
			*item++ = (struct ota_item){ member->path,
				members->extents + member->extent_first,
				member->extent_count, member->len };
	}
	for (size_t i = 0; i < objects; i++)
		*item++ = (struct ota_item){ "", items->extents + i, 1,
			items->extents[i].len };
	*item = (struct ota_item){ .path = "",
		.extent_count = (uint32_t)(extents - objects) };
	if (item->extent_count > 0)
		item->extents = items->extents + objects;
	item->len = len_of(item->extents, item->extent_count);
	items->count = (uint32_t)(item - items->at) + 1;
}

enum ota_code ota_items_find(struct ota_bytes image, struct ota_items *out)
{
	OTA_AUTO(ota_items_fini) struct ota_items items = { .image = image };
	struct gathering g = { 0 };
	size_t objects;
	enum ota_code rc = ota_members_find_sparse(image, &items.members);

	if (rc != OTA_OK)
		return rc;
	rc = find_extents(&items, &g, &objects);
	items.extents = g.at;
	if (rc != OTA_OK)
		return rc;
	items.at = calloc(items.members.member_count + objects + 1, sizeof *items.at);
	if (items.at == NULL)
		return OTA_E_NOMEM;
	fill(&items, objects, g.count);
	*out = items;
	items = (struct ota_items){ 0 };
	return OTA_OK;
}

void ota_items_fini(struct ota_items *items)
{
	ota_members_fini(&items->members);
	free(items->extents);
	free(items->at);
	*items = (struct ota_items){ 0 };
}

enum ota_code ota_item_load(const struct ota_items *items, const struct ota_item *item,
	struct ota_loaded *out)
{
	struct ota_loaded loaded = { .item = item };
	uint64_t filled = 0;

	if (item->extent_count == 1 && item->extents[0].offset != OTA_HOLE) {
		loaded.at = items->image.at + item->extents[0].offset;
		*out = loaded;
		return OTA_OK;
	}
	loaded.copy = malloc((size_t)item->len + 1);
	if (loaded.copy == NULL)
		return OTA_E_NOMEM;
	for (uint32_t i = 0; i < item->extent_count; i++) {
		const struct ota_extent *extent = &item->extents[i];

		if (extent->offset == OTA_HOLE)
			memset(loaded.copy + filled, 0, (size_t)extent->len);
		else
			memcpy(loaded.copy + filled, items->image.at + extent->offset,
				(size_t)extent->len);
		filled += extent->len;
	}
	loaded.at = loaded.copy;
	*out = loaded;
	return OTA_OK;
}

static enum ota_code add_part(struct ota_loaded *loaded, uint64_t offset)
{
	struct ota_bytes left = { loaded->at + offset,
		(size_t)(loaded->item->len - offset) };
	OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };
	enum ota_code rc = ota_object_parse(left, &object);
	void *grown;

	if (rc != OTA_OK)
		return rc == OTA_E_NOTFOUND ? OTA_OK : rc;
	grown = realloc(loaded->parts, (loaded->part_count + 1) * sizeof *loaded->parts);
	if (grown == NULL)
		return OTA_E_NOMEM;
	loaded->parts = grown;
	loaded->parts[loaded->part_count++] = (struct ota_part){ offset, object };
	object = (struct ota_object){ 0 };
	return OTA_OK;
}

enum ota_code ota_item_parse(struct ota_loaded *loaded)
{
	struct ota_bytes all = { loaded->at, (size_t)loaded->item->len };
	uint64_t start = 0, offset;
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && loaded->part_count < PARTS_MAX &&
		ota_object_find(all, start, &offset)) {
		rc = add_part(loaded, offset);
		start = offset + 4;
	}
	return rc;
}

enum ota_code ota_item_mask(const struct ota_loaded *loaded, uint8_t *out)
{
	enum ota_code rc = OTA_OK;

	memcpy(out, loaded->at, (size_t)loaded->item->len);
	for (uint32_t i = 0; i < loaded->part_count && rc == OTA_OK; i++) {
		const struct ota_part *part = &loaded->parts[i];
		struct ota_bytes in = { loaded->at + part->offset,
			(size_t)part->object.len };

		rc = ota_object_mask(&part->object, in, out + part->offset);
	}
	return rc;
}

void ota_loaded_fini(struct ota_loaded *loaded)
{
	for (uint32_t i = 0; i < loaded->part_count; i++)
		ota_object_fini(&loaded->parts[i].object);
	free(loaded->parts);
	free(loaded->copy);
	*loaded = (struct ota_loaded){ 0 };
}
