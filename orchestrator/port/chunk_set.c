#include "orchestrator/port/chunk_set.h"

#include <stdlib.h>
#include <string.h>

static size_t bitmap_len(uint32_t count)
{
	return (count + 7) / 8;
}

struct chunk_set *chunk_set_of(
	struct chunk_set **list, const struct ota_digest *patch, uint32_t count)
{
	unsigned others = 0;

	for (; *list; list = &(*list)->next, others++)
		if (ota_digest_equal(&(*list)->patch, patch))
			return (*list)->count == count ? *list : NULL;
	if (others == CHUNK_SETS_MAX)
		return NULL;
	*list = calloc(1, sizeof(**list) + bitmap_len(count));
	if (!*list)
		return NULL;
	(*list)->patch = *patch;
	(*list)->count = count;
	return *list;
}

void chunk_set_merge(struct chunk_set *set, const struct ota_need *need)
{
	if (need->chunk_count == 0)
		set->manifest = true;
	for (size_t i = 0; i < need->bitmap.len && i < bitmap_len(set->count); i++)
		set->bitmap[i] |= need->bitmap.at[i];
}

void chunk_set_fill(struct chunk_set *set)
{
	set->manifest = true;
	memset(set->bitmap, 0xff, bitmap_len(set->count));
}

bool chunk_set_take(struct chunk_set *set, uint32_t *index)
{
	while (set->cursor < set->count) {
		uint32_t i = set->cursor++;

		if (set->bitmap[i / 8] >> (i % 8) & 1) {
			*index = i;
			return true;
		}
	}
	return false;
}

void chunk_set_pop(struct chunk_set **list)
{
	struct chunk_set *set = *list;

	*list = set->next;
	free(set);
}

void chunk_set_drop(struct chunk_set **list, const struct ota_digest *patch)
{
	for (; *list; list = &(*list)->next)
		if (ota_digest_equal(&(*list)->patch, patch)) {
			chunk_set_pop(list);
			return;
		}
}

void chunk_set_clear(struct chunk_set **list)
{
	while (*list)
		chunk_set_pop(list);
}
