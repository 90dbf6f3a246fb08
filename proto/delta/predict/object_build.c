#include "proto/delta/predict/object_build.h"

#include <stdlib.h>
#include <string.h>

void ota_build_fini(struct ota_build *build)
{
	ota_object_fini(&build->object);
	*build = (struct ota_build){ 0 };
}

/* Room for one more; the array moves to a larger place when it is full. */
static void *grown(void *at, uint32_t count, uint32_t *cap, size_t len)
{
	uint32_t more = *cap == 0 ? 16 : *cap * 2;

	if (count < *cap)
		return at;
	if (more > OTA_OBJECT_PARTS_MAX)
		return NULL;
	at = realloc(at, more * len);
	if (at != NULL)
		*cap = more;
	return at;
}

enum ota_code ota_build_span(struct ota_build *build, const struct ota_span *span)
{
	struct ota_object *object = &build->object;
	void *at =
		grown(object->spans, object->span_count, &build->span_cap, sizeof *span);

	if (at == NULL)
		return OTA_E_NOMEM;
	object->spans = at;
	if (span->len > 0)
		object->spans[object->span_count++] = *span;
	return OTA_OK;
}

enum ota_code ota_build_region(struct ota_build *build, const struct ota_region *region)
{
	struct ota_object *object = &build->object;
	void *at = grown(object->regions, object->region_count, &build->region_cap,
		sizeof *region);

	if (at == NULL)
		return OTA_E_NOMEM;
	object->regions = at;
	if (region->len > 0)
		object->regions[object->region_count++] = *region;
	return OTA_OK;
}

enum ota_code ota_build_section(
	struct ota_build *build, const struct ota_section *section)
{
	struct ota_object *object = &build->object;
	void *at = grown(object->sections, object->section_count, &build->section_cap,
		sizeof *section);

	if (at == NULL)
		return OTA_E_NOMEM;
	object->sections = at;
	if (section->len > 0)
		object->sections[object->section_count++] = *section;
	return OTA_OK;
}

static void widen(int64_t *low, int64_t *high, int64_t address, uint64_t len)
{
	int64_t end = address + (int64_t)len;
	bool is_empty = *low == *high;

	if (len == 0)
		return;
	if (is_empty || address < *low)
		*low = address;
	if (is_empty || end > *high)
		*high = end;
}

void ota_build_bounds(struct ota_build *build, int64_t address, uint64_t len)
{
	widen(&build->object.bounds.low, &build->object.bounds.high, address, len);
}

void ota_build_text(struct ota_build *build, int64_t address, uint64_t len)
{
	widen(&build->object.bounds.text_low, &build->object.bounds.text_high, address,
		len);
}

static int by_span_offset(const void *a, const void *b)
{
	const struct ota_span *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->len > y->len ? -1 : x->len < y->len;
}

static int by_region_offset(const void *a, const void *b)
{
	const struct ota_region *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->len > y->len ? -1 : x->len < y->len;
}

static int by_section_address(const void *a, const void *b)
{
	const struct ota_section *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->len < y->len ? -1 : x->len > y->len;
}

/* A span that begins within the one before loses its beginning. */
static void settle_spans(struct ota_object *object)
{
	uint64_t end = 0;
	uint32_t kept = 0;

	if (object->span_count > 1)
		qsort(object->spans, object->span_count, sizeof *object->spans,
			by_span_offset);
	for (uint32_t i = 0; i < object->span_count; i++) {
		struct ota_span span = object->spans[i];
		uint64_t cut = span.offset < end ? end - span.offset : 0;

		if (cut >= span.len)
			continue;
		span.offset += cut;
		span.address += (int64_t)cut;
		span.len -= cut;
		end = span.offset + span.len;
		object->spans[kept++] = span;
	}
	object->span_count = kept;
}

/* True if a region's references do not depend on where the region begins. */
static bool joins(const struct ota_region *a, const struct ota_region *b)
{
	uint64_t hole = b->offset - a->offset - a->len;

	if (a->kind != b->kind || a->base != b->base || hole > OTA_OBJECT_HOLE_MAX)
		return false;
	if (b->address - a->address != (int64_t)(b->offset - a->offset))
		return false;
	return a->kind <= OTA_REGION_ARM_PLT || a->kind == OTA_REGION_PTR64 ||
	       a->kind == OTA_REGION_PTR32 || a->kind == OTA_REGION_KERNEL64;
}

/* A region may begin with a record, so one that begins within another is dropped. */
static void settle_regions(struct ota_object *object)
{
	struct ota_region *at = object->regions;
	uint32_t kept = 0;

	if (object->region_count > 1)
		qsort(at, object->region_count, sizeof *at, by_region_offset);
	for (uint32_t i = 0; i < object->region_count; i++) {
		struct ota_region *last = kept == 0 ? NULL : &at[kept - 1];

		if (at[i].kind == OTA_REGION_PLAIN ||
			(last != NULL && at[i].offset < last->offset + last->len))
			continue;
		if (last != NULL && joins(last, &at[i]))
			last->len = at[i].offset + at[i].len - last->offset;
		else
			at[kept++] = at[i];
	}
	object->region_count = kept;
}

void ota_build_end(struct ota_build *build, struct ota_object *out)
{
	struct ota_object *object = &build->object;

	settle_spans(object);
	settle_regions(object);
	if (object->section_count > 1)
		qsort(object->sections, object->section_count, sizeof *object->sections,
			by_section_address);
	*out = *object;
	*object = (struct ota_object){ 0 };
}
