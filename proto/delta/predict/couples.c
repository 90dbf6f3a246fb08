#include "proto/delta/predict/couples.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

static int by_path(const void *a, const void *b)
{
	const struct ota_item *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

/* The items of an image that have a path, by path. */
struct paths {
	const struct ota_item **at; /* owned */
	size_t count;
};

static enum ota_code paths_init(struct paths *paths, const struct ota_items *items)
{
	paths->at = malloc((items->count + 1) * sizeof *paths->at);
	if (paths->at == NULL)
		return OTA_E_NOMEM;
	for (uint32_t i = 0; i < items->count; i++)
		if (items->at[i].path[0] != '\0')
			paths->at[paths->count++] = &items->at[i];
	qsort(paths->at, paths->count, sizeof *paths->at, by_path);
	return OTA_OK;
}

static void paths_fini(struct paths *paths)
{
	free(paths->at);
}

static bool paths_have(const struct paths *paths, const struct ota_item *item)
{
	return item->path[0] != '\0' && bsearch(&item, paths->at, paths->count,
						sizeof *paths->at, by_path) != NULL;
}

/* What is known of an item for finding its partner. Content is looked at only where the
 * path does not tell. */
static enum ota_code describe(const struct ota_items *items, const struct ota_item *item,
	bool path_tells, struct ota_candidate *out)
{
	OTA_AUTO(ota_loaded_fini) struct ota_loaded loaded = { 0 };
	struct ota_bytes content;
	enum ota_code rc;

	*out = (struct ota_candidate){ .path = item->path, .len = item->len };
	if (path_tells)
		return OTA_OK;
	rc = ota_item_load(items, item, &loaded);
	if (rc != OTA_OK)
		return rc;
	content = (struct ota_bytes){ loaded.at, (size_t)item->len };
	out->sketch = ota_sketch_of(content);
	out->build_id_len = ota_build_id_of(content, out->build_id);
	return OTA_OK;
}

/* One candidate for each item but the rest, which is the last. */
static enum ota_code describe_all(const struct ota_items *items,
	const struct paths *others, struct ota_candidate **out)
{
	ota_autofree struct ota_candidate *all = calloc(items->count, sizeof *all);
	enum ota_code rc = OTA_OK;

	if (all == NULL)
		return OTA_E_NOMEM;
	for (uint32_t i = 0; i + 1 < items->count && rc == OTA_OK; i++)
		rc = describe(
			items, &items->at[i], paths_have(others, &items->at[i]), &all[i]);
	if (rc == OTA_OK)
		*out = ota_take(&all);
	return rc;
}

enum ota_code ota_couples_find(const struct ota_items *from_image,
	const struct ota_items *to_image, int32_t *partner)
{
	OTA_AUTO(paths_fini) struct paths from_paths = { 0 };
	OTA_AUTO(paths_fini) struct paths to_paths = { 0 };
	ota_autofree struct ota_candidate *from = NULL;
	ota_autofree struct ota_candidate *to = NULL;
	enum ota_code rc = paths_init(&from_paths, from_image);

	if (rc == OTA_OK)
		rc = paths_init(&to_paths, to_image);
	if (rc == OTA_OK)
		rc = describe_all(from_image, &to_paths, &from);
	if (rc == OTA_OK)
		rc = describe_all(to_image, &from_paths, &to);
	if (rc == OTA_OK)
		rc = ota_partners(
			from, from_image->count - 1, to, to_image->count - 1, partner);
	if (rc == OTA_OK)
		partner[to_image->count - 1] = (int32_t)from_image->count - 1;
	return rc;
}
