/* A copy of an object in which each reference says, instead of where something is, what
 * is there: a hash of the bytes at the address, with their own references blank. So a
 * call of a function looks the same wherever the function went, and differs from a call
 * of another one. Were references only blank, code that happens to look alike would be
 * taken for the same code, and tables of pointers would be all alike. */

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/object_build.h"

enum {
	LOOK_LEN = 32, /* bytes at an address that tell what is there */
	PLTS_MAX = 4,  /* sections .plt, .plt.sec, .plt.got */
	PLT_ENTRY_LEN = 16,
	RELA64_LEN = 24,
	REL32_LEN = 8,
	SYM64_LEN = 24,
	SYM32_LEN = 16,
	OPCODE_PUSH = 0x68,
	CODE_SHOWN = 0xff00, /* bits of a hash; each code's fields have the second byte */
};

struct masker {
	const struct ota_object *object; /* borrowed */
	const uint8_t *in;               /* borrowed: the object */
	uint8_t *blank;                  /* owned: the object with blank references */
	uint8_t *out;                    /* borrowed: what is being made */
	struct ota_span *spans;          /* owned: the object's, by address */
	struct ota_refs *refs;           /* owned: of one page */
};

static void masker_fini(struct masker *m)
{
	free(m->blank);
	free(m->spans);
	free(m->refs);
}

static int by_address(const void *a, const void *b)
{
	const struct ota_span *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static enum ota_code masker_init(struct masker *m, const struct ota_object *object,
	const uint8_t *in, uint8_t *out)
{
	size_t spans_len = object->span_count * sizeof *m->spans;

	*m = (struct masker){ object, in, malloc(object->len + 1), out,
		malloc(spans_len + 1), malloc(sizeof *m->refs) };
	if (m->blank == NULL || m->spans == NULL || m->refs == NULL)
		return OTA_E_NOMEM;
	memcpy(m->blank, in, object->len);
	if (object->span_count > 0) {
		memcpy(m->spans, object->spans, spans_len);
		qsort(m->spans, object->span_count, sizeof *m->spans, by_address);
	}
	return OTA_OK;
}

/* Where in the object an address lies, and how many bytes are there. 0 if it has none. */
static uint64_t place_of(const struct masker *m, int64_t address, uint64_t *offset)
{
	size_t low = 0, high = m->object->span_count;
	const struct ota_span *span;
	uint64_t in_span;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->spans[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return 0;
	span = &m->spans[low - 1];
	in_span = (uint64_t)address - (uint64_t)span->address;
	if (in_span >= span->len)
		return 0;
	*offset = span->offset + in_span;
	return span->len - in_span;
}

/* FNV-1a, and a step that spreads its last bytes over all bits. Never 0. */
static uint64_t hash_of(const uint8_t *at, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	hash ^= hash >> 29;
	hash *= 0xbf58476d1ce4e5b9u;
	return (hash ^ hash >> 32) | 1;
}

/* How many bytes tell what is there: a text ends with its NUL. */
static size_t look_len(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] == 0 && i > 0)
			return i;
		if (at[i] < ' ')
			break;
	}
	return len;
}

/* What is at an address; 0 if the object has no bytes there. */
static uint64_t look(const struct masker *m, int64_t address)
{
	uint64_t offset = 0, len = place_of(m, address, &offset);

	if (len == 0)
		return 0;
	len = len < LOOK_LEN ? len : LOOK_LEN;
	return hash_of(m->blank + offset, look_len(m->blank + offset, (size_t)len));
}

static void put(uint8_t *at, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(value >> 8 * (i & 7));
}

/* Put a value in the bits of a field that hold its address. */
static void put_field(uint8_t *at, uint64_t value, const struct ota_ref_form *form)
{
	for (size_t i = 0; i < form->len; i++)
		at[i] = (uint8_t)((at[i] & ~form->mask[i]) |
				  (form->mask[i] & value >> 8 * (i & 7)));
}

/* Find the references of a region's page. False if the kind has none. */
static bool scan_page(
	const struct masker *m, const struct ota_region *region, uint64_t at)
{
	const struct ota_ref_kind *kind = ota_ref_kind(region->kind);
	uint64_t left = region->len - at, len = left < OTA_REF_PAGE ? left : OTA_REF_PAGE;
	struct ota_scan scan = {
		.at = m->in + region->offset + at,
		.len = (uint32_t)len,
		.offset = at,
		.address = region->address + (int64_t)at,
		.base = region->base,
		.bounds = m->object->bounds,
	};

	m->refs->count = 0;
	if (kind == NULL || kind->scan == NULL)
		return false;
	scan.before = at < kind->before ? (uint32_t)at : kind->before;
	scan.after = left - len < kind->after ? (uint32_t)(left - len) : kind->after;
	kind->scan(&scan, m->refs);
	return true;
}

static void blank_region(struct masker *m, const struct ota_region *region)
{
	for (uint64_t at = 0; at < region->len; at += OTA_REF_PAGE)
		if (scan_page(m, region, at))
			ota_refs_mask(m->refs, m->blank + region->offset + at);
}

static bool is_code(uint8_t kind)
{
	return kind <= OTA_REGION_ARM_PLT;
}

/* Say at each reference what is at its target; in code in one byte of the field, so that
 * code that has changed little still looks alike. */
static void tell_region(struct masker *m, const struct ota_region *region)
{
	uint64_t shown = is_code(region->kind) ? CODE_SHOWN : UINT64_MAX;

	for (uint64_t at = 0; at < region->len; at += OTA_REF_PAGE) {
		if (!scan_page(m, region, at))
			return;
		for (uint32_t i = 0; i < m->refs->count; i++) {
			const struct ota_ref *ref = &m->refs->at[i];
			const struct ota_ref_form *form = ota_ref_form(ref->form);

			if (form->scope == OTA_SCOPE_OBJECT)
				put_field(m->out + region->offset + at + ref->at,
					look(m, ref->target) & shown, form);
		}
	}
}

/* The base of a region of symbols that begins at that address: where their names are. */
static int64_t names_of(const struct masker *m, int64_t symbols)
{
	for (uint32_t i = 0; i < m->object->region_count; i++) {
		const struct ota_region *region = &m->object->regions[i];

		if (region->address == symbols &&
			(region->kind == OTA_REGION_SYM64 ||
				region->kind == OTA_REGION_SYM32))
			return region->base;
	}
	return 0;
}

/* Symbols of the relocations of one region. */
struct symbols {
	int64_t at, names; /* addresses; names is 0 if there are none */
	bool is_64;
};

/* A hash of the name of a symbol; 0 if it has none. */
static uint64_t name_of(
	const struct masker *m, const struct symbols *symbols, uint32_t index)
{
	int64_t len = symbols->is_64 ? SYM64_LEN : SYM32_LEN;
	uint64_t offset = 0;

	if (index == 0 || symbols->names == 0 ||
		place_of(m, symbols->at + len * index, &offset) < 4)
		return 0;
	return look(m, symbols->names + ota_le32(m->in + offset));
}

/* What a relocation will put into memory, put there now: the linker left zeros. */
static void fill_slot(struct masker *m, int64_t address, uint64_t value, size_t len)
{
	uint64_t offset = 0;

	if (value != 0 && place_of(m, address, &offset) >= len)
		put(m->out + offset, value, len);
}

static void tell_rela64(struct masker *m, const struct ota_region *region)
{
	struct symbols symbols = { region->base, names_of(m, region->base), true };

	for (uint64_t at = 0; at + RELA64_LEN <= region->len; at += RELA64_LEN) {
		const uint8_t *record = m->in + region->offset + at;
		uint8_t *out = m->out + region->offset + at;
		uint64_t name = name_of(m, &symbols, ota_le32(record + 12));
		int64_t slot = (int64_t)ota_le64(record);

		if (name == 0) {
			fill_slot(m, slot, look(m, (int64_t)ota_le64(record + 16)), 8);
			continue;
		}
		put(out + 12, name, 4);
		fill_slot(m, slot, name, 8);
	}
}

static void tell_rel32(struct masker *m, const struct ota_region *region)
{
	struct symbols symbols = { region->base, names_of(m, region->base), false };

	for (uint64_t at = 0; at + REL32_LEN <= region->len; at += REL32_LEN) {
		const uint8_t *record = m->in + region->offset + at;
		uint64_t name = name_of(m, &symbols, ota_le32(record + 4) >> 8);

		if (name == 0)
			continue;
		put(m->out + region->offset + at + 5, name, 3);
		fill_slot(m, ota_le32(record), name, 4);
	}
}

/* Entries of x86 push the index of their relocation. */
static void blank_pushes(struct masker *m, const struct ota_section *plt)
{
	for (uint64_t at = 0; at + PLT_ENTRY_LEN <= plt->len; at += PLT_ENTRY_LEN) {
		uint8_t *out = m->out + plt->offset + at;

		if (out[6] == OPCODE_PUSH)
			memset(out + 7, 0, 4);
		else if (out[4] == OPCODE_PUSH)
			memset(out + 5, 0, 4);
	}
}

/* Code that only jumps to where a slot says: let it show what the slot shows. */
static void tell_plt(
	struct masker *m, const struct ota_section *plt, const struct ota_region *region)
{
	uint64_t begin = plt->offset > region->offset ? plt->offset - region->offset : 0;
	uint64_t end = plt->offset + plt->len;

	if (!is_code(region->kind) || end <= region->offset || begin >= region->len)
		return;
	end = end - region->offset < region->len ? end - region->offset : region->len;
	for (uint64_t at = begin / OTA_REF_PAGE * OTA_REF_PAGE; at < end;
		at += OTA_REF_PAGE) {
		(void)scan_page(m, region, at);
		for (uint32_t i = 0; i < m->refs->count; i++) {
			const struct ota_ref *ref = &m->refs->at[i];
			uint64_t slot = 0;

			if (at + ref->at >= begin && at + ref->at < end &&
				place_of(m, ref->target, &slot) >= 8)
				put_field(m->out + region->offset + at + ref->at,
					hash_of(m->out + slot, m->object->is_64 ? 8 : 4),
					ota_ref_form(ref->form));
		}
	}
}

static void tell_plts(struct masker *m)
{
	const struct ota_object *object = m->object;
	unsigned seen = 0;

	for (uint32_t i = 0; i < object->section_count && seen < PLTS_MAX; i++) {
		const struct ota_section *plt = &object->sections[i];

		if (strncmp(plt->name, ".plt", 4) != 0 ||
			!ota_is_within(plt->offset, plt->len, object->len))
			continue;
		seen++;
		for (uint32_t k = 0; k < object->region_count; k++)
			tell_plt(m, plt, &object->regions[k]);
		if (object->machine == OTA_MACHINE_X64)
			blank_pushes(m, plt);
	}
}

enum ota_code ota_object_mask(
	const struct ota_object *object, struct ota_bytes in, uint8_t *out)
{
	OTA_AUTO(masker_fini) struct masker m = { 0 };
	enum ota_code rc = masker_init(&m, object, in.at, out);

	if (rc != OTA_OK)
		return rc;
	for (uint32_t i = 0; i < object->region_count; i++)
		blank_region(&m, &object->regions[i]);
	memcpy(out, m.blank, object->len);
	for (uint32_t i = 0; i < object->region_count; i++)
		tell_region(&m, &object->regions[i]);
	for (uint32_t i = 0; i < object->region_count; i++) {
		if (object->regions[i].kind == OTA_REGION_RELA64)
			tell_rela64(&m, &object->regions[i]);
		if (object->regions[i].kind == OTA_REGION_REL32)
			tell_rel32(&m, &object->regions[i]);
	}
	tell_plts(&m);
	return OTA_OK;
}
