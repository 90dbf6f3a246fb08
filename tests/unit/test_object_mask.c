#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/object.h"
#include "tests/unit/elf_kit.h"

enum {
	W = 1,
	A = 2,
	X = 4,
	PROGBITS = 1,
	STRTAB = 3,
	RELA = 4,
	DYNSYM = 11,
	GLOB_DAT = 1025,
	RELATIVE = 1027
};

/* Where the sections of a library lie, in one version and in the next. */
struct layout {
	uint32_t symbols, names, relocs, text, got;
};

static const struct layout layouts[] = {
	{ 0x200, 0x280, 0x300, 0x400, 0x800 },
	{ 0x240, 0x2c0, 0x380, 0x440, 0x1008 },
};

enum { N_LAYOUTS = sizeof layouts / sizeof layouts[0] };

static const char names[] = "\0first\0second";

/* Two functions: add x0, x0, 1; ret and add x1, x1, 2; ret. Filled up with nop. */
static const uint8_t text[0x40] = { 0x00, 0x04, 0x00, 0x91, 0xc0, 0x03, 0x5f,
	0xd6, [0x20] = 0x21, 0x08, 0x00, 0x91, 0xc0, 0x03, 0x5f, 0xd6 };

struct masked {
	struct ota_buf file, out;
};

static void set64(uint8_t *at, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* Relocations: two functions by address, two symbols by name. */
static void make_relocs(const struct layout *layout, uint8_t out[4 * 24])
{
	const uint64_t info[] = { RELATIVE, RELATIVE, GLOB_DAT | 1ull << 32,
		GLOB_DAT | 2ull << 32 };

	for (unsigned i = 0; i < 4; i++) {
		set64(out + 24 * i, layout->got + 8 * i);
		set64(out + 24 * i + 8, info[i]);
		set64(out + 24 * i + 16, i < 2 ? layout->text + 0x20 * i : 0);
	}
}

static struct ota_buf mask_of(const struct layout *layout)
{
	uint8_t relocs[4 * 24], symbols[3 * 24] = { [24] = 1, [48] = 7 };
	const struct elf_kit_section sections[] = {
		{ ".dynsym", DYNSYM, A, layout->symbols, 2, 1, symbols, sizeof symbols },
		{ ".dynstr", STRTAB, A, layout->names, 0, 0, names, sizeof names },
		{ ".rela.dyn", RELA, A, layout->relocs, 1, 0, relocs, sizeof relocs },
		{ ".text", PROGBITS, A | X, layout->text, 0, 0, text, sizeof text },
		{ ".got", PROGBITS, A | W, layout->got, 0, 0, NULL, 0x20 },
	};
	struct elf_kit_file with = { 3, ELF_KIT_A64, 0, sections, 5, false };
	OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf file = { 0 };
	struct ota_buf out = { 0 };

	make_relocs(layout, relocs);
	file = elf_kit_make(&with);
	cr_assert_eq(ota_object_parse(ota_buf_bytes(&file), &object), OTA_OK);
	cr_assert_eq(ota_buf_add(&out, ota_buf_bytes(&file)), OTA_OK);
	cr_assert_eq(ota_object_mask(&object, ota_buf_bytes(&file), out.at), OTA_OK);
	return out;
}

Test(object_mask, what_moved_looks_as_it_did)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf a = mask_of(&layouts[0]);
	OTA_AUTO(ota_buf_fini) struct ota_buf b = mask_of(&layouts[1]);

	cr_expect_arr_eq(a.at + layouts[0].got, b.at + layouts[1].got, 0x20);
	cr_expect_arr_eq(a.at + layouts[0].relocs, b.at + layouts[1].relocs, 4 * 24);
	cr_expect_arr_eq(a.at + layouts[0].symbols, b.at + layouts[1].symbols, 3 * 24);
	cr_expect_arr_eq(a.at + layouts[0].text, b.at + layouts[1].text, sizeof text);
}

ParameterizedTestParameters(object_mask, what_differs_looks_different)
{
	static size_t index[N_LAYOUTS] = { 0, 1 };

	return cr_make_param_array(size_t, index, N_LAYOUTS);
}

ParameterizedTest(size_t *index, object_mask, what_differs_looks_different)
{
	const struct layout *layout = &layouts[*index];
	OTA_AUTO(ota_buf_fini) struct ota_buf out = mask_of(layout);

	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < i; k++)
			cr_expect_arr_neq(out.at + layout->got + 8 * i,
				out.at + layout->got + 8 * k, 8, "slots %u, %u", i, k);
	cr_expect_arr_neq(out.at + layout->relocs + 16, out.at + layout->relocs + 40, 8);
	cr_expect_arr_neq(out.at + layout->relocs + 60, out.at + layout->relocs + 84, 4);
	cr_expect_arr_neq(
		out.at + layout->symbols + 24, out.at + layout->symbols + 48, 4);
}
