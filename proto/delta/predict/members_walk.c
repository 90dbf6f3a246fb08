#include "proto/delta/predict/members_walk.h"

#include <stdlib.h>
#include <string.h>

enum {
	FOLDERS_FIRST_CAP = 64,
	FOLDERS_MAX = OTA_MEMBERS_MAX,
	FOLDER_PATHS_MAX = OTA_MEMBER_PATHS_MAX, /* bytes */
};

bool ota_walk_begin(
	struct ota_walk *walk, const struct ota_volume *volume, uint64_t number_end)
{
	walk->volume = volume;
	walk->number_end = number_end;
	walk->seen = calloc(1, (size_t)(number_end / 8) + 1);
	volume->finder->nomem |= walk->seen == NULL;
	return walk->seen != NULL;
}

bool ota_walk_meets(struct ota_walk *walk, uint64_t number)
{
	uint8_t bit = (uint8_t)(1 << (number & 7));

	if (number >= walk->number_end || (walk->seen[number / 8] & bit) != 0)
		return false;
	walk->seen[number / 8] |= bit;
	return true;
}

static void push(struct ota_walk *walk, const struct ota_folder *folder)
{
	uint32_t cap = walk->cap == 0 ? FOLDERS_FIRST_CAP : walk->cap * 2;
	struct ota_folder *grown;

	if (walk->count == FOLDERS_MAX)
		return;
	if (walk->count == walk->cap) {
		grown = realloc(walk->folders, cap * sizeof *grown);
		walk->volume->finder->nomem |= grown == NULL;
		if (grown == NULL)
			return;
		walk->folders = grown;
		walk->cap = cap;
	}
	walk->folders[walk->count++] = *folder;
}

void ota_walk_root(struct ota_walk *walk, uint64_t id)
{
	push(walk, &(struct ota_folder){ .id = id });
}

/* Copies through a local, as the path of a folder lies in the buffer that grows. */
void ota_walk_folder(struct ota_walk *walk, const struct ota_folder *in,
	struct ota_name name, uint64_t id)
{
	struct ota_folder folder = {
		.id = id, .path = walk->paths.len, .depth = in->depth + 1
	};
	char path[OTA_MEMBER_PATH_MAX];

	if (folder.depth > OTA_MEMBER_DEPTH_MAX || in->len + name.len + 1 > sizeof path ||
		walk->paths.len > FOLDER_PATHS_MAX)
		return;
	if (in->len > 0) {
		memcpy(path, walk->paths.at + in->path, in->len);
		path[in->len] = '/';
		folder.len = in->len + 1;
	}
	memcpy(path + folder.len, name.at, name.len);
	folder.len += name.len;
	if (ota_buf_add(&walk->paths,
		    (struct ota_bytes){ (uint8_t *)path, folder.len }) != OTA_OK)
		walk->volume->finder->nomem = true;
	else
		push(walk, &folder);
}

bool ota_walk_next(struct ota_walk *walk, struct ota_folder *folder)
{
	if (walk->volume->finder->nomem || walk->next == walk->count)
		return false;
	*folder = walk->folders[walk->next++];
	return true;
}

struct ota_name ota_walk_path(
	const struct ota_walk *walk, const struct ota_folder *folder)
{
	if (folder->len == 0)
		return (struct ota_name){ "", 0 };
	return (struct ota_name){ (const char *)walk->paths.at + folder->path,
		folder->len };
}

bool ota_walk_is_name(struct ota_name name)
{
	if (name.len == 0 || memchr(name.at, '/', name.len) != NULL ||
		memchr(name.at, '\0', name.len) != NULL)
		return false;
	return !(name.at[0] == '.' &&
		 (name.len == 1 || (name.len == 2 && name.at[1] == '.')));
}

void ota_walk_fini(struct ota_walk *walk)
{
	free(walk->folders);
	free(walk->seen);
	ota_buf_fini(&walk->paths);
	*walk = (struct ota_walk){ 0 };
}

bool ota_walk_block(const struct ota_walk *walk, const struct ota_extent *extent,
	uint64_t done, uint64_t cap, struct ota_bytes *block)
{
	uint64_t left = extent->len - done;

	return left > 0 &&
	       ota_within(walk->volume->in, extent->offset - walk->volume->base + done,
		       left < cap ? left : cap, block);
}
