#include "proto/delta/predict/members_list.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

enum { FIRST_CAP = 256 }; /* items */

bool ota_finder_spend(struct ota_finder *finder, uint64_t n)
{
	if (finder->nomem || n > finder->work) {
		finder->work = 0;
		return false;
	}
	finder->work -= n;
	return true;
}

void ota_finder_begin(struct ota_finder *finder)
{
	finder->extent_count = finder->file_first;
}

/* Room for one more item of a list that has as many as it can hold. */
static bool grow(struct ota_finder *finder, void **at, uint32_t *cap, size_t item)
{
	uint32_t wanted = *cap == 0 ? FIRST_CAP : *cap * 2;
	void *grown = wanted > SIZE_MAX / item ? NULL : realloc(*at, wanted * item);

	if (grown == NULL) {
		finder->nomem = true;
		return false;
	}
	*at = grown;
	*cap = wanted;
	return true;
}

static bool add_extent(struct ota_finder *finder, uint64_t offset, uint64_t len)
{
	void *at = finder->extents;

	if (finder->extent_count == OTA_MEMBER_EXTENTS_MAX)
		return false;
	if (finder->extent_count == finder->extent_cap &&
		!grow(finder, &at, &finder->extent_cap, sizeof *finder->extents))
		return false;
	finder->extents = at;
	finder->extents[finder->extent_count++] = (struct ota_extent){ offset, len };
	return true;
}

bool ota_finder_extent(const struct ota_volume *volume, uint64_t offset, uint64_t len)
{
	struct ota_finder *finder = volume->finder;
	struct ota_bytes part;

	if (!ota_finder_spend(finder, 1) || !ota_within(volume->in, offset, len, &part))
		return false;
	offset += volume->base;
	if (finder->extent_count > finder->file_first) {
		struct ota_extent *last = &finder->extents[finder->extent_count - 1];

		if (last->offset != OTA_HOLE && last->offset + last->len == offset) {
			last->len += len;
			return true;
		}
	}
	return len == 0 || add_extent(finder, offset, len);
}

bool ota_finder_hole(const struct ota_volume *volume, uint64_t len)
{
	struct ota_finder *finder = volume->finder;
	bool is_first = finder->extent_count == finder->file_first;
	struct ota_extent *last =
		is_first ? NULL : &finder->extents[finder->extent_count - 1];

	if (!finder->takes_holes || !ota_finder_spend(finder, 1) || len > volume->in.len)
		return false;
	if (last == NULL || last->offset != OTA_HOLE)
		return len == 0 || add_extent(finder, OTA_HOLE, len);
	last->len += len;
	return true;
}

struct ota_extent *ota_finder_take(struct ota_finder *finder, uint32_t *count)
{
	struct ota_extent *extents = NULL;
	size_t len;

	*count = finder->extent_count - finder->file_first;
	len = *count * sizeof *extents;
	if (*count > 0) {
		extents = malloc(len);
		finder->nomem |= extents == NULL;
	}
	if (extents != NULL)
		memcpy(extents, finder->extents + finder->file_first, len);
	ota_finder_begin(finder);
	return extents;
}

/* Leading "./" and "/" say nothing. */
static struct ota_name stripped(struct ota_name name)
{
	while (name.len > 0) {
		size_t n = name.at[0] == '/' ? 1 : 0;

		if (name.len >= 2 && memcmp(name.at, "./", 2) == 0)
			n = 2;
		if (n == 0)
			break;
		name.at += n;
		name.len -= n;
	}
	return name;
}

static bool add_path(
	const struct ota_volume *volume, struct ota_name folder, struct ota_name name)
{
	struct ota_buf *paths = &volume->finder->paths;
	size_t prefix_len = strlen(volume->prefix);
	size_t len = prefix_len + folder.len + (folder.len > 0) + name.len + 1;
	enum ota_code rc = OTA_OK;

	if (len > OTA_MEMBER_PATH_MAX || len > OTA_MEMBER_PATHS_MAX - paths->len ||
		memchr(name.at, '\0', name.len) != NULL)
		return false;
	rc = ota_buf_add(
		paths, (struct ota_bytes){ (const void *)volume->prefix, prefix_len });
	if (rc == OTA_OK)
		rc = ota_buf_add(
			paths, (struct ota_bytes){ (const void *)folder.at, folder.len });
	if (rc == OTA_OK && folder.len > 0)
		rc = ota_buf_add_u8(paths, '/');
	if (rc == OTA_OK)
		rc = ota_buf_add(
			paths, (struct ota_bytes){ (const void *)name.at, name.len });
	if (rc == OTA_OK)
		rc = ota_buf_add_u8(paths, '\0');
	volume->finder->nomem |= rc != OTA_OK;
	return rc == OTA_OK;
}

/* The length of a file. False if more of it is holes than bytes. */
static bool measure(const struct ota_finder *finder, struct ota_found *found)
{
	uint64_t holes = 0;

	for (uint32_t i = 0; i < found->extent_count; i++) {
		const struct ota_extent *e = &finder->extents[found->extent_first + i];

		found->len += e->len;
		holes += e->offset == OTA_HOLE ? e->len : 0;
	}
	return holes <= found->len / 2;
}

void ota_finder_keep(
	const struct ota_volume *volume, struct ota_name folder, struct ota_name name)
{
	struct ota_finder *finder = volume->finder;
	struct ota_found found = { .path = finder->paths.len,
		.extent_first = finder->file_first,
		.extent_count = finder->extent_count - finder->file_first };
	void *at = finder->members;

	name = stripped(name);
	if (found.extent_count == 0 || name.len == 0 ||
		finder->member_count == OTA_MEMBERS_MAX)
		return;
	if (finder->member_count == finder->member_cap &&
		!grow(finder, &at, &finder->member_cap, sizeof *finder->members))
		return;
	finder->members = at;
	if (!measure(finder, &found) || !add_path(volume, folder, name))
		return;
	finder->members[finder->member_count++] = found;
	finder->file_first = finder->extent_count;
}

void ota_finder_packed(struct ota_finder *finder, enum ota_packing packing, uint64_t len)
{
	if (finder->packing == OTA_PACKING_NONE && len > 0)
		finder->packing = packing;
	finder->packed_len += len;
}

/* Whose bytes lie where, to see what is claimed twice. */
struct claim {
	uint64_t offset, end;
	uint32_t member;
};

static int claim_order(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;

	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return (a->member > b->member) - (a->member < b->member);
}

/* Members with their claims, the earlier found first; `lost` has one flag a member. */
static void mark_lost(const struct claim *claims, uint32_t count, uint8_t *lost)
{
	const struct claim *held = NULL; /* which reaches farthest */

	for (uint32_t i = 0; i < count; i++) {
		const struct claim *c = &claims[i];

		if (lost[c->member])
			continue;
		if (held != NULL && c->offset < held->end && !lost[held->member]) {
			lost[c->member > held->member ? c->member : held->member] = 1;
			if (lost[c->member])
				continue;
		}
		if (held == NULL || c->end >= held->end || lost[held->member])
			held = c;
	}
}

static uint32_t claims_of(const struct ota_finder *finder, struct claim *claims)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < finder->member_count; i++) {
		const struct ota_found *m = &finder->members[i];

		for (uint32_t k = 0; k < m->extent_count; k++) {
			const struct ota_extent *e =
				&finder->extents[m->extent_first + k];

			if (e->offset != OTA_HOLE)
				claims[count++] = (struct claim){ e->offset,
					e->offset + e->len, i };
		}
	}
	return count;
}

void ota_finder_settle(struct ota_finder *finder)
{
	ota_autofree struct claim *claims =
		calloc((size_t)finder->extent_count + 1, sizeof *claims);
	ota_autofree uint8_t *lost = calloc((size_t)finder->member_count + 1, 1);
	uint32_t count, kept = 0;

	ota_finder_begin(finder);
	if (claims == NULL || lost == NULL) {
		finder->nomem = true;
		return;
	}
	count = claims_of(finder, claims);
	qsort(claims, count, sizeof *claims, claim_order);
	mark_lost(claims, count, lost);
	for (uint32_t i = 0; i < finder->member_count; i++)
		if (!lost[i])
			finder->members[kept++] = finder->members[i];
	finder->member_count = kept;
}

void ota_finder_fini(struct ota_finder *finder)
{
	free(finder->members);
	free(finder->extents);
	ota_buf_fini(&finder->paths);
	*finder = (struct ota_finder){ 0 };
}
