#include "proto/delta/predict/object.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/build_id.h"
#include "tests/unit/elf_kit.h"

enum {
	W = 1,
	A = 2,
	X = 4,
	PROGBITS = 1,
	SYMTAB = 2,
	STRTAB = 3,
	RELA = 4,
	NOTE = 7,
	NOBITS = 8,
	REL = 9,
	DYNSYM = 11,
	EXIDX = 0x70000001
};

/* A region as a test expects it. */
struct want {
	uint8_t kind;
	uint64_t offset, len;
	int64_t base;
};

static void expect_regions(
	const struct ota_object *object, const struct want *want, unsigned count)
{
	cr_assert_eq(object->region_count, count, "%u regions", object->region_count);
	for (unsigned i = 0; i < count; i++) {
		const struct ota_region *got = &object->regions[i];

		cr_expect_eq(
			got->kind, want[i].kind, "region %u has kind %u", i, got->kind);
		cr_expect_eq(got->offset, want[i].offset, "region %u at %#lx", i,
			(unsigned long)got->offset);
		cr_expect_eq(got->len, want[i].len, "region %u of %#lx bytes", i,
			(unsigned long)got->len);
		cr_expect_eq(got->base, want[i].base, "region %u has base %#lx", i,
			(unsigned long)got->base);
	}
}

static struct ota_object parsed(const struct ota_buf *file)
{
	struct ota_object object = { 0 };

	cr_assert_eq(ota_object_parse(ota_buf_bytes(file), &object), OTA_OK);
	return object;
}

/* Two records of call frame information: 0x14 bytes and 0x1ffc bytes. */
static const uint8_t frames[0x14 + 0x1ffc + 8] = { 0x10, [0x14] = 0xf8, 0x1f };

static const uint8_t id_note[] = { 4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0,
	1, 2, 3, 4 };

/* clang-format off */
static const struct elf_kit_section library[] = {
	/* name            type      flags  address   link  info  bytes    len           */
	{ ".note.id",      NOTE,     A,     0x0200,   0,    0,    id_note, sizeof id_note },
	{ ".dynsym",       DYNSYM,   A,     0x0240,   3,    1,    NULL,    0x60          },
	{ ".dynstr",       STRTAB,   A,     0x02a0,   0,    0,    NULL,    0x20          },
	{ ".rela.dyn",     RELA,     A,     0x0300,   2,    0,    NULL,    0x30          },
	{ ".rela.plt",     RELA,     A | 64, 0x0330,  2,    9,    NULL,    0x18          },
	{ ".plt",          PROGBITS, A | X, 0x0400,   0,    0,    NULL,    0x30          },
	{ ".text",         PROGBITS, A | X, 0x0440,   0,    0,    NULL,    0x100         },
	{ ".rodata",       PROGBITS, A,     0x0600,   0,    0,    NULL,    0x100         },
	{ ".eh_frame_hdr", PROGBITS, A,     0x0700,   0,    0,    NULL,    0x1c          },
	{ ".eh_frame",     PROGBITS, A,     0x0720,   0,    0,    frames,  sizeof frames },
	{ ".data.rel.ro",  PROGBITS, A | W, 0x3000,   0,    0,    NULL,    0x40          },
	{ ".got",          PROGBITS, A | W, 0x3040,   0,    0,    NULL,    0x20          },
	{ ".bss",          NOBITS,   A | W, 0x3060,   0,    0,    NULL,    0x500         },
	{ ".symtab",       SYMTAB,   0,     0x3100,   15,   1,    NULL,    0x48          },
	{ ".strtab",       STRTAB,   0,     0,        0,    0,    NULL,    0x10          },
	{ ".comment",      PROGBITS, 0,     0,        0,    0,    NULL,    0x10          },
};
/* clang-format on */

static const struct elf_kit_file library_file = { 3, ELF_KIT_A64, 0, library,
	sizeof library / sizeof library[0], false };

Test(object, a_library_has_a_region_for_each_kind_of_section)
{
	static const struct want want[] = {
		{ OTA_REGION_SYM64, 0x240, 0x60, 0x2a0 },
		{ OTA_REGION_RELA64, 0x300, 0x30, 0x240 },
		{ OTA_REGION_RELA64, 0x330, 0x18, 0x240 },
		{ OTA_REGION_A64, 0x400, 0x140, 0 },
		{ OTA_REGION_EH_HDR, 0x700, 0x1c, 0x700 },
		{ OTA_REGION_EH_FRAME, 0x720, 0x14, 0 },
		{ OTA_REGION_EH_FRAME, 0x2730, 8, 0 },
		{ OTA_REGION_PTR64, 0x3000, 0x60, 0 },
		{ OTA_REGION_SYM64, 0x3100, 0x48, 0x203148 },
	};
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&library_file);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&file);

	expect_regions(&object, want, sizeof want / sizeof want[0]);
	cr_expect_str_eq(object.format, "elf");
	cr_expect_eq(object.machine, ELF_KIT_A64);
	cr_expect_eq(object.len, file.len);
}

Test(object, the_build_id_is_found_and_what_is_cut_off_is_not_read)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&library_file);
	struct ota_bytes in = ota_buf_bytes(&file);
	uint8_t id[OTA_BUILD_ID_MAX] = { 0 };

	cr_assert_eq(ota_build_id_of(in, id), 4);
	cr_expect_arr_eq(id, "\1\2\3\4", 4);
	for (size_t len = 0; len < in.len; len++) {
		size_t found = ota_build_id_of((struct ota_bytes){ in.at, len }, id);

		cr_expect(found == 0 || found == 4, "%zu of %zu bytes", len, in.len);
	}
}

Test(object, bounds_and_spans_are_what_is_loaded_and_symbols_lie_aside)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&library_file);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&file);

	cr_expect_eq(object.bounds.low, 0);
	cr_expect_eq(object.bounds.high, 0x3560);
	cr_expect_eq(object.bounds.text_low, 0x400);
	cr_expect_eq(object.bounds.text_high, 0x540);
	cr_assert_eq(object.span_count, 3);
	cr_expect_eq(object.spans[0].len, 0x3060);
	cr_expect_eq(object.spans[1].address, 0x203100);
	cr_expect_eq(object.spans[2].offset, 0x3148);
}

Test(object, sections_are_named_with_those_that_have_no_bytes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&library_file);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&file);

	cr_assert_eq(object.section_count, 13);
	cr_expect_str_eq(object.sections[12].name, ".bss");
	cr_expect_eq(object.sections[12].address, 0x3060);
	cr_expect_eq(object.sections[12].len, 0x500);
	cr_expect_eq(object.sections[12].offset, UINT64_MAX);
	cr_expect_eq(object.sections[6].offset, 0x440);
}

Test(object, without_sections_the_segments_serve)
{
	static const struct want want[] = { { OTA_REGION_A64, 0, 0x3060, 0 } };
	struct elf_kit_file stripped = library_file;

	stripped.is_stripped = true;
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&stripped);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&file);

	expect_regions(&object, want, 1);
	cr_expect_str_eq(object.sections[0].name, "segment 0");
	cr_expect_eq(object.bounds.text_high, 0x3560);
}

/* Each length in memory of its own, so that a sanitizer sees a read behind it. */
Test(object, a_cut_file_parses_or_is_none)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&library_file);
	bool was_ok = false;

	for (size_t len = 0; len <= file.len; len++) {
		OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };
		ota_autofree uint8_t *copy = malloc(len + 1);
		enum ota_code rc;

		memcpy(copy + 1, file.at, len);
		rc = ota_object_parse((struct ota_bytes){ copy + 1, len }, &object);
		cr_assert(rc == (was_ok ? OTA_OK : OTA_E_NOTFOUND) || len == 0x3060,
			"%zu bytes: %s", len, ota_code_name(rc));
		was_ok = rc == OTA_OK;
	}
	cr_assert(was_ok);
}

/* lea rax, [rip + 0x1f9]: the table at 0x600; and one at 0x5f0 that is none. */
static const uint8_t x64_code[0x40] = { 0x48, 0x8d, 0x05, 0xf9, 0x01, 0, 0, 0x4c, 0x8d,
	0x0d, 0xe2, 0x01, 0, 0 };
static const uint8_t x64_data[0x40] = { [0x10] = 0,
	0xfe,
	0xff,
	0xff,
	0x10,
	0xfe,
	0xff,
	0xff,
	0x3f,
	0xfe,
	0xff,
	0xff,
	0x40,
	0xfe,
	0xff,
	0xff };

static const struct elf_kit_section x64_sections[] = {
	{ ".text", PROGBITS, A | X, 0x400, 0, 0, x64_code, sizeof x64_code },
	{ ".rodata", PROGBITS, A, 0x5f0, 0, 0, x64_data, sizeof x64_data },
};

Test(object, a_jump_table_is_what_code_names_and_leads_into_code)
{
	static const struct want want[] = {
		{ OTA_REGION_X64, 0x400, 0x40, 0 },
		{ OTA_REGION_JUMP32, 0x600, 12, 0x600 },
	};
	struct elf_kit_file with = { 3, ELF_KIT_X64, 0, x64_sections, 2, false };
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&with);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&file);

	expect_regions(&object, want, 2);
}

Test(object, a_program_with_fixed_addresses_has_pointers_in_constants)
{
	static const struct want want[] = {
		{ OTA_REGION_X64, 0x400, 0x40, 0 },
		{ OTA_REGION_PTR64, 0x5f0, 0x40, 0 },
	};
	struct elf_kit_file with = { 2, ELF_KIT_X64, 0x400000, x64_sections, 2, false };
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&with);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&file);

	expect_regions(&object, want, 2);
	cr_expect_eq(object.regions[0].address, 0x400400);
}

/* A page of ARM instructions (push, bl) before Thumb. */
static const uint8_t *arm_code(void)
{
	static uint8_t code[0x1800];

	for (unsigned i = 0; i < 0x1000; i++)
		code[i] = i % 4 == 3 ? 0xeb : 4;
	return code;
}

Test(object, arm_code_is_cut_by_instruction_set)
{
	const struct elf_kit_section sections[] = {
		{ ".rel.plt", REL, A, 0x200, 0, 0, NULL, 0x20 },
		{ ".plt", PROGBITS, A | X, 0x240, 0, 0, NULL, 0x20 },
		{ ".text", PROGBITS, A | X, 0x400, 0, 0, arm_code(), 0x1800 },
		{ ".ARM.exidx", EXIDX, A, 0x1c00, 3, 0, NULL, 0x10 },
		{ ".data", PROGBITS, A | W, 0x2000, 0, 0, NULL, 0x10 },
	};
	static const struct want want[] = {
		{ OTA_REGION_REL32, 0x200, 0x20, 0 },
		{ OTA_REGION_ARM_PLT, 0x240, 0x20, 0 },
		{ OTA_REGION_A32, 0x400, 0x1000, 0 },
		{ OTA_REGION_T32, 0x1400, 0x800, 0 },
		{ OTA_REGION_EXIDX, 0x1c00, 0x10, 0 },
		{ OTA_REGION_PTR32, 0x2000, 0x10, 0 },
	};
	struct elf_kit_file with = { 3, ELF_KIT_ARM, 0, sections, 5, false };
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&with);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&file);

	expect_regions(&object, want, 6);
}

Test(object, a_kernel_is_known_by_its_addresses_and_has_relocations_behind_it)
{
	static const struct want want[] = {
		{ OTA_REGION_X64, 0x400, 0x40, 0 },
		{ OTA_REGION_KERNEL64, 0x5f0, 0x40, 0 },
		{ OTA_REGION_ABS32, 0x750, 0x190, 0 },
	};
	struct elf_kit_file with = { 2, ELF_KIT_X64, -0x7f000000, x64_sections, 2,
		false };
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&with);

	for (uint32_t i = 0; i < 100; i++)
		cr_assert_eq(
			ota_buf_add_le32(&file, i == 0 ? 0 : 0x81000000 + 4 * i), OTA_OK);
	cr_assert_eq(ota_buf_add_le32(&file, 5), OTA_OK);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&file);

	expect_regions(&object, want, 3);
	cr_expect_eq(object.len, file.len - 4);
}

Test(object, an_object_is_found_within_something)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = elf_kit_make(&library_file);
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
	uint64_t at = 7;

	for (uint32_t i = 0; i < 5; i++)
		cr_assert_eq(ota_buf_add_le32(&image, i == 0 ? 0x464c457f : i), OTA_OK);
	cr_assert_eq(ota_buf_add(&image, ota_buf_bytes(&file)), OTA_OK);
	cr_assert(ota_object_find(ota_buf_bytes(&image), 0, &at));
	cr_expect_eq(at, 20);
	cr_expect(ota_object_find(ota_buf_bytes(&image), 20, &at));
	cr_expect_not(ota_object_find(ota_buf_bytes(&image), 21, &at));
	cr_expect_not(ota_object_find(ota_buf_bytes(&image), UINT64_MAX, &at));
	cr_expect_eq(at, 20);
}
