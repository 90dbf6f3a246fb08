#include "proto/delta/predict/squashfs_meta.h"

#include <stdlib.h>
#include <string.h>

#include "proto/delta/predict/unpack.h"

enum {
	HEAD_LEN = 2,      /* bytes before each block */
	IS_PLAIN = 0x8000, /* in the head: not compressed */
	STEP_LEN = 16,     /* bytes that cost one step */
	FIRST_CAP = 4,     /* blocks */
};

/* Room for one more block. */
static bool reserve(struct ota_finder *finder, struct ota_squashfs_meta *meta)
{
	uint32_t cap = meta->cap == 0 ? FIRST_CAP : meta->cap * 2;
	uint8_t *at;
	uint64_t *starts;

	if (meta->count < meta->cap)
		return true;
	at = realloc(meta->at, (size_t)cap * OTA_SQUASHFS_META_LEN);
	if (at != NULL)
		meta->at = at;
	starts = realloc(meta->starts, cap * sizeof *starts);
	if (starts != NULL)
		meta->starts = starts;
	finder->nomem |= at == NULL || starts == NULL;
	if (finder->nomem)
		return false;
	meta->cap = cap;
	return true;
}

/* The content of a block; all but the last give 8 KiB. */
static bool add_block(struct ota_squashfs_meta *meta, enum ota_packing packing,
	struct ota_bytes block, uint64_t start, bool is_plain)
{
	uint8_t *out = meta->at + meta->len;
	size_t len = block.len;

	if (meta->len != (size_t)meta->count * OTA_SQUASHFS_META_LEN ||
		block.len > OTA_SQUASHFS_META_LEN || block.len == 0)
		return false;
	if (is_plain)
		memcpy(out, block.at, block.len);
	else if (!ota_unpack(packing, block, out, OTA_SQUASHFS_META_LEN, &len))
		return false;
	meta->starts[meta->count++] = start;
	meta->len += len;
	return true;
}

void ota_squashfs_meta_read(const struct ota_volume *volume, enum ota_packing packing,
	uint64_t begin, uint64_t end, struct ota_squashfs_meta *out)
{
	struct ota_bytes head, block;
	uint64_t at = begin;

	while (at < end && ota_within(volume->in, at, HEAD_LEN, &head)) {
		uint32_t word = ota_le16(head.at);

		if (!ota_within(volume->in, at + HEAD_LEN, word & ~(uint32_t)IS_PLAIN,
			    &block) ||
			!ota_finder_spend(
				volume->finder, OTA_SQUASHFS_META_LEN / STEP_LEN) ||
			!reserve(volume->finder, out) ||
			!add_block(
				out, packing, block, at - begin, (word & IS_PLAIN) != 0))
			return;
		at += HEAD_LEN + block.len;
	}
}

bool ota_squashfs_meta_find(const struct ota_squashfs_meta *meta, uint64_t start,
	uint32_t offset, uint64_t *at)
{
	uint32_t low = 0, high = meta->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (meta->starts[middle] < start)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == meta->count || meta->starts[low] != start)
		return false;
	*at = (uint64_t)low * OTA_SQUASHFS_META_LEN + offset;
	return *at < meta->len;
}

struct ota_bytes ota_squashfs_meta_bytes(const struct ota_squashfs_meta *meta)
{
	return (struct ota_bytes){ meta->at, meta->len };
}

void ota_squashfs_meta_fini(struct ota_squashfs_meta *meta)
{
	free(meta->at);
	free(meta->starts);
	*meta = (struct ota_squashfs_meta){ 0 };
}
