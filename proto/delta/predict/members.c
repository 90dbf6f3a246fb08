#include "proto/delta/predict/members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/members_list.h"
#include "proto/delta/predict/partitions.h"

enum {
	NESTED_LEN_MIN = 512, /* bytes of a file that may hold files */
	WORK_MIN = 1 << 16,   /* steps, however short an image is */
};

struct reader {
	const char *container;
	bool (*find)(const struct ota_volume *volume);
};

/* In the order in which they are tried: what has a surer sign first. */
static const struct reader readers[] = {
	{ "ext4", ota_members_ext4 },
	{ "squashfs", ota_members_squashfs },
	{ "erofs", ota_members_erofs },
	{ "cpio", ota_members_cpio },
	{ "tar", ota_members_tar },
};

/* The container that a volume is; NULL if none that is known. */
static const char *find_in(const struct ota_volume *volume)
{
	enum ota_packing packing = ota_packing_of(volume->in);

	for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
		if (readers[i].find(volume))
			return readers[i].container;
	if (packing != OTA_PACKING_NONE)
		ota_finder_packed(volume->finder, packing, volume->in.len);
	return NULL;
}

/* The container that an image is, or what its partitions hold. */
static const char *find_outer(struct ota_finder *finder, struct ota_bytes image)
{
	struct ota_partition partitions[OTA_PARTITIONS_MAX];
	unsigned count = ota_partitions_find(image, partitions);
	struct ota_volume volume = { .finder = finder, .in = image, .prefix = "" };
	const char *container = count > 0 ? "disk" : find_in(&volume);

	for (unsigned i = 0; i < count; i++) {
		char prefix[16];

		(void)snprintf(prefix, sizeof prefix, "p%u/", partitions[i].number);
		volume.base = partitions[i].offset;
		volume.prefix = prefix;
		if (ota_within(image, volume.base, partitions[i].len, &volume.in))
			(void)find_in(&volume);
	}
	return container == NULL ? "raw" : container;
}

/* The members inside a member. True if it has any, which then stand for it. */
static bool find_nested(struct ota_finder *finder, struct ota_bytes image, uint32_t index)
{
	const struct ota_found outer = finder->members[index];
	const struct ota_extent extent = finder->extents[outer.extent_first];
	uint32_t before = finder->member_count;
	enum ota_packing packing = finder->packing;
	struct ota_volume volume = { .finder = finder, .base = extent.offset };
	char prefix[OTA_MEMBER_PATH_MAX + 1];
	size_t len = strlen((const char *)finder->paths.at + outer.path);

	if (outer.extent_count != 1 || extent.len < NESTED_LEN_MIN ||
		!ota_within(image, extent.offset, extent.len, &volume.in))
		return false;
	memcpy(prefix, finder->paths.at + outer.path, len);
	memcpy(prefix + len, "/", 2);
	volume.prefix = prefix;
	(void)find_in(&volume);
	finder->packing = packing;
	return finder->member_count > before;
}

/* Members share no bytes here, so all of them together are as long as the image. */
static void find_all_nested(struct ota_finder *finder, struct ota_bytes image)
{
	uint32_t count = finder->member_count, kept = 0;

	if (count == 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		if (!find_nested(finder, image, i))
			finder->members[kept++] = finder->members[i];
	memmove(finder->members + kept, finder->members + count,
		(finder->member_count - count) * sizeof *finder->members);
	finder->member_count -= count - kept;
}

/* Where a member begins in the image. */
struct beginning {
	uint64_t offset;
	uint32_t member;
};

static int beginning_order(const void *left, const void *right)
{
	const struct beginning *a = left, *b = right;

	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* By its first bytes that lie anywhere. */
static struct beginning begin_of(const struct ota_finder *finder, uint32_t index)
{
	const struct ota_extent *e =
		&finder->extents[finder->members[index].extent_first];

	return (struct beginning){ e->offset == OTA_HOLE ? e[1].offset : e->offset,
		index };
}

static void put(const struct ota_finder *finder, uint32_t index, struct ota_members *out)
{
	const struct ota_found *found = &finder->members[index];

	out->members[out->member_count++] = (struct ota_member){
		.path = out->paths + found->path,
		.extent_first = out->extent_count,
		.extent_count = found->extent_count,
		.len = found->len,
	};
	memcpy(out->extents + out->extent_count, finder->extents + found->extent_first,
		found->extent_count * sizeof *out->extents);
	out->extent_count += found->extent_count;
}

/* Hand the list over, in the order of the image. */
static OTA_CHECKED enum ota_code finish(
	struct ota_finder *finder, struct ota_members *out)
{
	uint32_t count = finder->member_count;
	ota_autofree struct beginning *order = calloc((size_t)count + 1, sizeof *order);
	OTA_AUTO(ota_members_fini)
	struct ota_members made = {
		.packing = finder->packing,
		.packed_len = finder->packed_len,
		.members = calloc((size_t)count + 1, sizeof *made.members),
		.extents = calloc((size_t)finder->extent_count + 1, sizeof *made.extents),
	};

	if (finder->nomem || order == NULL || made.members == NULL ||
		made.extents == NULL)
		return OTA_E_NOMEM;
	for (uint32_t i = 0; i < count; i++)
		order[i] = begin_of(finder, i);
	qsort(order, count, sizeof *order, beginning_order);
	made.paths = (char *)finder->paths.at;
	finder->paths = (struct ota_buf){ 0 };
	for (uint32_t i = 0; i < count; i++)
		put(finder, order[i].member, &made);
	*out = made;
	made = (struct ota_members){ 0 };
	return OTA_OK;
}

static OTA_CHECKED enum ota_code find(
	struct ota_bytes image, bool takes_holes, struct ota_members *out)
{
	OTA_AUTO(ota_finder_fini)
	struct ota_finder finder = { .work = image.len, .takes_holes = takes_holes };
	const char *container;
	enum ota_code rc;

	finder.work += WORK_MIN;
	if (finder.work > OTA_MEMBER_WORK_MAX)
		finder.work = OTA_MEMBER_WORK_MAX;
	container = find_outer(&finder, image);
	ota_finder_settle(&finder);
	find_all_nested(&finder, image);
	ota_finder_settle(&finder);
	if (finder.packed_len > image.len)
		finder.packed_len = image.len;
	rc = finish(&finder, out);
	if (rc == OTA_OK)
		out->container = container;
	return rc;
}

enum ota_code ota_members_find(struct ota_bytes image, struct ota_members *out)
{
	return find(image, false, out);
}

enum ota_code ota_members_find_sparse(struct ota_bytes image, struct ota_members *out)
{
	return find(image, true, out);
}

void ota_members_fini(struct ota_members *members)
{
	free(members->members);
	free(members->extents);
	free(members->paths);
	*members = (struct ota_members){ 0 };
}
