#ifndef PROTO_DELTA_PREDICT_OBJECT_BUILD_H
#define PROTO_DELTA_PREDICT_OBJECT_BUILD_H

/* How the parsers of the several formats put an object together: they add what they find
 * in any order, and ota_build_end() makes an object of it that keeps its promises. */

#include "proto/base/le.h"
#include "proto/delta/predict/object.h"

enum {
	OTA_OBJECT_LEN_MIN = 64,        /* bytes that any object has */
	OTA_SECTIONS_MAX = 4096,        /* of one object */
	OTA_OBJECT_PARTS_MAX = 1 << 18, /* spans, regions, sections of one object, each */
	OTA_OBJECT_HOLE_MAX = 64,       /* bytes between regions that become one */
};

/** Addresses lie within -2^62 .. 2^62, so that no sum of a few can overflow. */
#define OTA_OBJECT_ADDRESS_MAX ((int64_t)1 << 62)

/** e_machine of the ones that are known. */
enum ota_machine {
	OTA_MACHINE_X86 = 3,
	OTA_MACHINE_ARM = 40,
	OTA_MACHINE_X64 = 62,
	OTA_MACHINE_A64 = 183,
};

struct ota_build {
	struct ota_bytes in;      /* borrowed: from the object's first byte */
	struct ota_object object; /* owned parts, unordered until the end */
	uint32_t span_cap, region_cap, section_cap;
};

/** Release. Accepts what was handed over. */
void ota_build_fini(struct ota_build *build);

/** Add a span; an empty one is dropped. OTA_OK or OTA_E_NOMEM, which stands for
 *  OTA_OBJECT_PARTS_MAX as well. */
OTA_CHECKED enum ota_code ota_build_span(
	struct ota_build *build, const struct ota_span *span);

/** Add a region; an empty one is dropped. OTA_OK or OTA_E_NOMEM, as above. */
OTA_CHECKED enum ota_code ota_build_region(
	struct ota_build *build, const struct ota_region *region);

/** Add a section; an empty one is dropped. OTA_OK or OTA_E_NOMEM, as above. */
OTA_CHECKED enum ota_code ota_build_section(
	struct ota_build *build, const struct ota_section *section);

/** Widen the bounds of the object to hold len bytes at address. Bounds that are { 0 }
 *  hold nothing yet. */
void ota_build_bounds(struct ota_build *build, int64_t address, uint64_t len);

/** Widen the bounds of the object's code likewise. */
void ota_build_text(struct ota_build *build, int64_t address, uint64_t len);

/** Put all in order, drop PLAIN regions, cut or drop what overlaps, join regions that go
 *  on, and hand the object over. */
void ota_build_end(struct ota_build *build, struct ota_object *out);

/** True if len bytes at offset lie within total. */
static inline bool ota_is_within(uint64_t offset, uint64_t len, uint64_t total)
{
	return offset <= total && len <= total - offset;
}

#endif
