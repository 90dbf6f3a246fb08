#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/build_id.h"
#include "proto/delta/predict/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
	if (!holds)
		abort();
}

/* What object.h promises. */
static void check_object(const struct ota_object *object, size_t size)
{
	uint64_t end = 0;

	check(object->len <= size);
	for (uint32_t i = 0; i < object->region_count; i++) {
		const struct ota_region *region = &object->regions[i];

		check(region->offset >= end && region->len > 0 && region->len <= size);
		end = region->offset + region->len;
		check(end <= object->len && region->kind < OTA_REGION_KIND_COUNT);
	}
	end = 0;
	for (uint32_t i = 0; i < object->span_count; i++) {
		check(object->spans[i].offset >= end && object->spans[i].len > 0);
		end = object->spans[i].offset + object->spans[i].len;
		check(end <= object->len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };
	struct ota_bytes in = { data, size };
	ota_autofree uint8_t *out = NULL;
	uint8_t build_id[OTA_BUILD_ID_MAX];
	uint64_t at;

	(void)ota_object_find(in, 4, &at);
	check(ota_build_id_of(in, build_id) <= sizeof build_id);
	if (ota_object_parse(in, &object) != OTA_OK)
		return 0;
	check_object(&object, size);
	out = malloc(object.len + 1);
	in.len = (size_t)object.len;
	if (out != NULL)
		check(ota_object_mask(&object, in, out) == OTA_OK);
	return 0;
}
