#ifndef PROTO_DELTA_PREDICT_PAGES_H
#define PROTO_DELTA_PREDICT_PAGES_H

/* The old image as ota_lay sees it: bytes, and pages of regions scanned for references.
 * A page is scanned once as long as few others are wanted in between. */

#include "proto/delta/predict/tables.h"
#include "proto/delta/source_cache.h"

/** Which page. */
struct ota_page_name {
	uint32_t pair, region; /* indices */
	uint64_t number;       /* of the page in its region */
};

struct ota_page;

struct ota_pages {
	const struct ota_tables *tables; /* borrowed */
	struct ota_heap *heap;           /* borrowed */
	struct ota_source_cache from;
	struct ota_page *pages; /* owned */
	uint8_t *bytes;         /* owned: a page with its margins */
	uint64_t clock;         /* pages asked for so far */
};

/** Begin. OTA_OK or OTA_E_NOMEM. On failure, too, ota_pages_fini() is right. */
OTA_CHECKED enum ota_code ota_pages_init(struct ota_pages *pages,
	const struct ota_tables *tables, const struct ota_source *from,
	struct ota_heap *heap);

/** Release. Accepts zeroed pages. */
void ota_pages_fini(struct ota_pages *pages);

/** Fill out with len old bytes from offset, which lie inside the old image. OTA_OK, or
 *  what the source returned. */
OTA_CHECKED enum ota_code ota_pages_read(
	struct ota_pages *pages, uint64_t offset, uint8_t *out, uint32_t len);

/**
 * The references of a page of a region whose kind has a scan.
 *
 * refs   borrowed until the next call
 *
 * Returns OTA_OK, or what the source returned.
 */
OTA_CHECKED enum ota_code ota_pages_refs(struct ota_pages *pages,
	const struct ota_page_name *name, const struct ota_refs **refs);

#endif
