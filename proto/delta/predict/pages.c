#include "proto/delta/predict/pages.h"

#include <string.h>

enum {
	PAGE_COUNT = 8,
	BLOCK_LEN = 16384, /* bytes of the old image read at once */
	BLOCK_COUNT = 16,
	BYTES_MAX = OTA_REF_MARGIN + OTA_REF_PAGE + OTA_REF_MARGIN,
};

struct ota_page {
	struct ota_page_name name;
	uint64_t asked; /* when, by the clock; 0: holds nothing */
	struct ota_refs refs;
};

enum ota_code ota_pages_init(struct ota_pages *pages, const struct ota_tables *tables,
	const struct ota_source *from, struct ota_heap *heap)
{
	enum ota_code rc;

	*pages = (struct ota_pages){ .tables = tables, .heap = heap };
	rc = ota_source_cache_init(&pages->from, heap, from, BLOCK_LEN, BLOCK_COUNT);
	if (rc != OTA_OK)
		return rc;
	pages->bytes = ota_heap_alloc(heap, BYTES_MAX);
	pages->pages = ota_heap_alloc(heap, PAGE_COUNT * sizeof *pages->pages);
	if (pages->bytes == NULL || pages->pages == NULL)
		return OTA_E_NOMEM;
	for (unsigned i = 0; i < PAGE_COUNT; i++)
		pages->pages[i].asked = 0;
	return OTA_OK;
}

void ota_pages_fini(struct ota_pages *pages)
{
	ota_source_cache_fini(&pages->from);
	ota_heap_free(pages->heap, pages->bytes);
	ota_heap_free(pages->heap, pages->pages);
	*pages = (struct ota_pages){ 0 };
}

enum ota_code ota_pages_read(
	struct ota_pages *pages, uint64_t offset, uint8_t *out, uint32_t len)
{
	while (len > 0) {
		uint32_t skip = (uint32_t)(offset % BLOCK_LEN), n;
		struct ota_bytes block;
		enum ota_code rc =
			ota_source_cache_block(&pages->from, offset / BLOCK_LEN, &block);

		if (rc != OTA_OK)
			return rc;
		n = (uint32_t)block.len - skip;
		n = n < len ? n : len;
		memcpy(out, block.at + skip, n);
		out += n;
		offset += n;
		len -= n;
	}
	return OTA_OK;
}

/* Find a page's references. What is beyond the region is not seen. */
static enum ota_code scan_page(struct ota_pages *pages, struct ota_page *page)
{
	const struct ota_pair *pair = &pages->tables->pairs[page->name.pair];
	const struct ota_region *region = &pair->regions[page->name.region];
	const struct ota_ref_kind *kind = ota_ref_kind(region->kind);
	uint64_t offset = page->name.number * OTA_REF_PAGE;
	uint64_t len = region->len - offset, after;
	uint32_t before = offset < kind->before ? (uint32_t)offset : kind->before;
	struct ota_scan scan = { .at = pages->bytes + before,
		.before = before,
		.offset = offset,
		.address = (int64_t)((uint64_t)region->address + offset),
		.base = region->base,
		.bounds = pair->bounds };
	enum ota_code rc;

	len = len < OTA_REF_PAGE ? len : OTA_REF_PAGE;
	after = region->len - offset - len;
	scan.len = (uint32_t)len;
	scan.after = after < kind->after ? (uint32_t)after : kind->after;
	rc = ota_pages_read(pages, region->offset + offset - before, pages->bytes,
		before + scan.len + scan.after);
	page->refs.count = 0;
	if (rc == OTA_OK)
		kind->scan(&scan, &page->refs);
	return rc;
}

static bool is_named(const struct ota_page *page, const struct ota_page_name *name)
{
	return page->asked != 0 && page->name.pair == name->pair &&
	       page->name.region == name->region && page->name.number == name->number;
}

enum ota_code ota_pages_refs(struct ota_pages *pages, const struct ota_page_name *name,
	const struct ota_refs **refs)
{
	struct ota_page *page = &pages->pages[0];
	enum ota_code rc = OTA_OK;

	/* The page itself, or else the one that was asked for least recently. */
	for (unsigned i = 0; i < PAGE_COUNT && !is_named(page, name); i++)
		if (is_named(&pages->pages[i], name) ||
			pages->pages[i].asked < page->asked)
			page = &pages->pages[i];
	if (!is_named(page, name)) {
		page->asked = 0; /* a failed scan leaves nothing behind */
		page->name = *name;
		rc = scan_page(pages, page);
	}
	if (rc != OTA_OK)
		return rc;
	page->asked = ++pages->clock;
	*refs = &page->refs;
	return OTA_OK;
}
