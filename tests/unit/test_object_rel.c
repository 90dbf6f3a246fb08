#include <criterion/criterion.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/object.h"
#include "tests/unit/elf_kit.h"

enum {
	W = 1,
	A = 2,
	X = 4,
	PROGBITS = 1,
	SYMTAB = 2,
	STRTAB = 3,
	RELA = 4,
	SLOT = 1 << 24,
	CALL26 = 283,
	ABS64 = 257
};

/* Symbols: none, .text, .data, "f" in .text at 8. */
static const uint8_t symbols[4 * 24] = { [24 + 4] = 3,
	[24 + 6] = 1,
	[48 + 4] = 3,
	[48 + 6] = 3,
	[72] = 1,
	[72 + 4] = 2,
	[72 + 6] = 1,
	[72 + 8] = 8 };

/* A call of f at 4, and the address of .data + 0x10 at 0x20. */
static const uint8_t relocs[2 * 24] = { 4, [8] = CALL26 & 255,
	CALL26 >> 8, [12] = 3, [24] = 0x20, [32] = ABS64 & 255,
	ABS64 >> 8, [36] = 2, [40] = 0x10 };

/* bl 0, to be linked; b.ne .+8, linked. */
static const uint8_t text[0x40] = { 0, 0, 0, 0x94, 0x41, 0, 0, 0x54 };

static const struct elf_kit_section sections[] = {
	{ ".text", PROGBITS, A | X, 0, 0, 0, text, sizeof text },
	{ ".rela.text", RELA, 64, 0, 4, 1, relocs, sizeof relocs },
	{ ".data", PROGBITS, A | W, 0, 0, 0, NULL, 0x40 },
	{ ".symtab", SYMTAB, 0, 0, 5, 3, symbols, sizeof symbols },
	{ ".strtab", STRTAB, 0, 0, 0, 0, "\0f", 3 },
	{ ".comment", PROGBITS, 0, 0, 0, 0, NULL, 0x10 },
};

static const struct elf_kit_file module = { 1, ELF_KIT_A64, 0, sections, 6, false };

/* Scan the region with that kind as one page. */
static struct ota_refs scanned(uint8_t kind)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&module);
	OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };
	struct ota_refs refs = { 0 };

	cr_assert_eq(ota_object_parse(ota_buf_bytes(&file), &object), OTA_OK);
	for (uint32_t i = 0; i < object.region_count; i++) {
		const struct ota_region *region = &object.regions[i];
		struct ota_scan scan = { .at = file.at + region->offset,
			.len = (uint32_t)region->len,
			.address = region->address,
			.base = region->base,
			.bounds = object.bounds };

		if (region->kind == kind)
			ota_ref_kind(kind)->scan(&scan, &refs);
	}
	return refs;
}

struct want {
	const char *form;
	uint32_t at;
	int64_t target;
};

static void expect_refs(uint8_t kind, const struct want *want, uint32_t count)
{
	struct ota_refs refs = scanned(kind);

	cr_assert_eq(refs.count, count, "%u references", refs.count);
	for (uint32_t i = 0; i < count; i++) {
		cr_expect_str_eq(ota_ref_form(refs.at[i].form)->name, want[i].form);
		cr_expect_eq(refs.at[i].at, want[i].at, "%u at %u", i, refs.at[i].at);
		cr_expect_eq(refs.at[i].target, want[i].target, "%u names %#lx", i,
			(unsigned long)refs.at[i].target);
	}
}

Test(object_rel, relocations_name_places_symbols_and_addends_in_sections)
{
	static const struct want want[] = {
		{ "rel offset", 0, SLOT + 4 },
		{ "rel symbol", 12, 72 },
		{ "rel offset", 24, SLOT + 0x20 },
		{ "rel symbol", 36, 48 },
		{ "rel addend", 40, 3 * SLOT + 0x10 },
	};

	expect_refs(OTA_REGION_REL_RELA64, want, 5);
}

Test(object_rel, symbols_name_their_place_and_their_text)
{
	static const struct want want[] = {
		{ "rel place", 24 + 6, SLOT },
		{ "rel place", 48 + 6, 3 * SLOT },
		{ "base32", 72, 5 * SLOT + 1 },
		{ "rel place", 72 + 6, SLOT + 8 },
	};

	expect_refs(OTA_REGION_REL_SYM64, want, 4);
}

Test(object_rel, code_that_is_still_to_be_linked_names_nothing)
{
	struct ota_refs refs = scanned(OTA_REGION_A64);

	cr_assert_eq(refs.count, 1);
	cr_expect_eq(refs.at[0].at, 4);
	cr_expect_eq(refs.at[0].target, SLOT + 12);
}

Test(object_rel, what_was_read_is_written_elsewhere)
{
	struct ota_refs refs = scanned(OTA_REGION_REL_RELA64);
	struct ota_spot spot = { 4 * SLOT + SLOT / 2 + 24, 0 };
	const struct ota_ref_form *offset = ota_ref_form(refs.at[0].form);
	const struct ota_ref_form *addend = ota_ref_form(refs.at[4].form);
	uint8_t field[8] = { 0 };

	cr_assert(offset->write(field, &spot, 4 * SLOT + 0x1234));
	cr_expect_arr_eq(field, "\x34\x12\0\0\0\0\0", 8);
	cr_assert(addend->write(field, &spot, 3 * SLOT + 0x18));
	cr_expect_arr_eq(field, "\x18\0\0\0\0\0\0", 8);
	cr_expect_eq(addend->read(field, &spot, 3 * SLOT), 3 * SLOT + 0x18);
}

Test(object_rel, a_cut_module_is_none)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&module);

	for (size_t len = 0; len < file.len; len++) {
		OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };
		ota_autofree uint8_t *copy = malloc(len + 1);

		memcpy(copy + 1, file.at, len);
		cr_assert_eq(
			ota_object_parse((struct ota_bytes){ copy + 1, len }, &object),
			OTA_E_NOTFOUND, "%zu bytes", len);
	}
}
