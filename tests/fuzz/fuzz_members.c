#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/members.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int extent_order(const void *left, const void *right)
{
	const struct ota_extent *a = left, *b = right;

	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Members lie inside the image, in order, and share no byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };
	uint64_t end = 0, first = 0;

	enum ota_code rc = (size & 1 ? ota_members_find : ota_members_find_sparse)(
		(struct ota_bytes){ data, size }, &found);

	if (rc != OTA_OK || found.packed_len > size)
		abort();
	for (uint32_t i = 0; i < found.member_count; i++) {
		const struct ota_member *m = &found.members[i];
		const struct ota_extent *e = found.extents + m->extent_first;
		uint64_t len = 0;

		uint64_t begin = e->offset == OTA_HOLE ? e[1].offset : e->offset;

		if (m->extent_count == 0 || begin < first || strlen(m->path) == 0)
			abort();
		first = begin;
		for (uint32_t k = 0; k < m->extent_count; k++)
			len += e[k].len;
		if (len != m->len)
			abort();
	}
	qsort(found.extents, found.extent_count, sizeof *found.extents, extent_order);
	for (uint32_t i = 0; i < found.extent_count; i++) {
		const struct ota_extent *e = &found.extents[i];

		if (e->offset == OTA_HOLE && (size & 1) == 0)
			break;
		if (e->offset < end || e->len == 0 || e->len > size - e->offset)
			abort();
		end = e->offset + e->len;
	}
	return 0;
}
