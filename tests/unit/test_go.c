#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/object.h"
#include "tests/unit/elf_kit.h"
#include "tests/unit/ref_kit.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Code at 0x1000, functions' data count from 0x5000. */
#define BASES (INT64_C(0x4000) << 32 | 0x1000)

static const struct kit_ref_case cases[] = {
	{ "a record of a function", OTA_REGION_GO_RECORDS,
		"00010000 05000000 08000000 20000000 30000000 00000000 40000000\n"
		"01000000 02000000 00000002 50000000 10000000 ffffffff\n",
		OTA_GO_RECORDS, BASES,
		{ { "base32", 0, 0x1100 }, { "go name", 4, OTA_GO_NAMES + 5 },
			{ "go table", 16, OTA_GO_TABLES + 0x30 },
			{ "go table", 24, OTA_GO_TABLES + 0x40 },
			{ "go files", 32, OTA_GO_FILES + 8 },
			{ "go table", 40, OTA_GO_TABLES + 0x50 },
			{ "base32", 44, 0x5010 } } },
	{ "zeros, a record that says a line", OTA_REGION_GO_RECORDS,
		"00000000\n"
		"00010000 05000000 00000000 00000000 30000000 00000000 00000000\n"
		"00000000 02000000 63000000 00000001 10000000\n",
		OTA_GO_RECORDS, BASES | OTA_GO_LINED,
		{ { "base32", 4, 0x1100 }, { "go name", 8, OTA_GO_NAMES + 5 },
			{ "go table", 20, OTA_GO_TABLES + 0x30 },
			{ "go files", 36, OTA_GO_FILES + 8 },
			{ "base32", 48, 0x5010 } } },
	{ "no record: not in the code", OTA_REGION_GO_RECORDS,
		"00000200 05000000 08000000 20000000 30000000 00000000 40000000\n"
		"00000000 02000000 00000000\n",
		OTA_GO_RECORDS, BASES, { { 0 } } },
	{ "no record: too many tables", OTA_REGION_GO_RECORDS,
		"00010000 05000000 08000000 20000000 30000000 00000000 40000000\n"
		"41000000 02000000 00000000\n",
		OTA_GO_RECORDS, BASES, { { 0 } } },
	{ "no record: cut short", OTA_REGION_GO_RECORDS,
		"00010000 05000000 08000000 20000000 30000000 00000000 40000000\n"
		"00000000 02000000 00000001\n",
		OTA_GO_RECORDS, BASES, { { 0 } } },
	{ "the table of functions", OTA_REGION_GO_TABLE,
		"00000000 18000000 40000000 40000000 00000200 80000000\n", OTA_GO_RECORDS,
		0x1000,
		{ { "base32", 0, 0x1000 }, { "go record", 4, OTA_GO_RECORDS + 0x18 },
			{ "base32", 8, 0x1040 },
			{ "go record", 12, OTA_GO_RECORDS + 0x40 } } },
	{ "links of types", OTA_REGION_GO_LINKS, "00010000 ffffffff 20010000\n", 0x800,
		0x500, { { "base32", 0, 0x600 }, { "base32", 8, 0x620 } } },
};

ParameterizedTestParameters(go, references_are_found)
{
	static size_t index[COUNT(cases)];

	for (size_t i = 0; i < COUNT(cases); i++)
		index[i] = i;
	return cr_make_param_array(size_t, index, COUNT(cases));
}

ParameterizedTest(size_t *index, go, references_are_found)
{
	cr_expect(kit_ref_case_holds(&kit_bounds, &cases[*index]), "%s",
		cases[*index].name);
}

enum { TABLE_AT = 0x3000, TABLE_LEN = 0xa0 + 104, MODULE_LEN = 41 * 8 };

struct program {
	uint8_t table[TABLE_LEN], module[MODULE_LEN];
};

static void put(uint8_t *at, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* Two functions, 0x40 bytes each, and the module that tells where all is. */
static struct program program_of(uint32_t magic)
{
	static const uint64_t header[] = { 2, 1, 0x1000, 0x60, 0x70, 0x80, 0x90, 0xa0 };
	static const uint32_t table[] = { 0, 24, 0x40, 64, 0x80 };
	unsigned types = magic == 0xfffffff0 ? 35 : 37;
	struct program made = { 0 };

	put(made.table, magic, 4);
	made.table[7] = 8;
	for (unsigned i = 0; i < COUNT(header); i++)
		put(made.table + 8 + 8 * i, header[i], 8);
	for (unsigned i = 0; i < COUNT(table); i++)
		put(made.table + 0xa0 + 4 * i, table[i], 4);
	put(made.module, TABLE_AT, 8);
	put(made.module + 8, TABLE_AT + 0x60, 8);
	put(made.module + 8 * types, 0x2000, 8);
	put(made.module + 8 * (types + 3), 0x2040, 8);
	return made;
}

static struct ota_object parsed(const struct program *program)
{
	enum { PROGBITS = 1, W = 1, A = 2, X = 4 };
	const struct elf_kit_section sections[] = {
		{ ".text", PROGBITS, A | X, 0x1000, 0, 0, NULL, 0x100 },
		{ ".typelink", PROGBITS, A, 0x2000, 0, 0, NULL, 0x20 },
		{ ".gopclntab", PROGBITS, A, TABLE_AT, 0, 0, program->table, TABLE_LEN },
		{ ".data", PROGBITS, A | W, 0x4000, 0, 0, program->module, MODULE_LEN },
	};
	OTA_AUTO(ota_buf_fini)
	struct ota_buf file = elf_kit_make(&(struct elf_kit_file){
		2, ELF_KIT_A64, 0, sections, COUNT(sections), false });
	struct ota_object object = { 0 };

	cr_assert_eq(ota_object_parse(ota_buf_bytes(&file), &object), OTA_OK);
	return object;
}

/* The region of a kind; none has length 0. */
static struct ota_region region_of(const struct ota_object *object, uint8_t kind)
{
	for (uint32_t i = 0; i < object->region_count; i++)
		if (object->regions[i].kind == kind)
			return object->regions[i];
	return (struct ota_region){ 0 };
}

static void expect_program(uint32_t magic, int64_t bases)
{
	struct program program = program_of(magic);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&program);
	struct ota_region table = region_of(&object, OTA_REGION_GO_TABLE);
	struct ota_region records = region_of(&object, OTA_REGION_GO_RECORDS);

	cr_expect_eq(table.offset, TABLE_AT + 0xa0);
	cr_expect_eq(table.len, 16);
	cr_expect_eq(table.base, 0x1000);
	cr_expect_eq(records.offset, TABLE_AT + 0xa0 + 64);
	cr_expect_eq(records.address, OTA_GO_RECORDS + 64);
	cr_expect_eq(records.len, 40);
	cr_expect_eq(records.base, bases);
	cr_expect_eq(region_of(&object, OTA_REGION_GO_LINKS).base, 0x2000);
}

Test(go, the_records_behind_the_first_are_a_region)
{
	expect_program(0xfffffff0, INT64_C(0x1040) << 32 | 0x1000);
	expect_program(0xfffffff1, INT64_C(0x1040) << 32 | 0x1000 | OTA_GO_LINED);
}

Test(go, tables_are_seen_at_addresses_of_their_own)
{
	struct program program = program_of(0xfffffff0);
	OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&program);
	const struct ota_span want[] = {
		{ TABLE_AT + 0x60, 0x10, OTA_GO_NAMES },
		{ TABLE_AT + 0x70, 0x10, OTA_GO_FILES },
		{ TABLE_AT + 0x80, 0x10, TABLE_AT + 0x80 },
		{ TABLE_AT + 0x90, 0x10, OTA_GO_TABLES },
		{ TABLE_AT + 0xa0, 104, OTA_GO_RECORDS },
	};

	cr_assert_eq(object.span_count, COUNT(want) + 2);
	for (unsigned i = 0; i < COUNT(want); i++) {
		cr_expect_eq(object.spans[i + 1].offset, want[i].offset);
		cr_expect_eq(object.spans[i + 1].len, want[i].len);
		cr_expect_eq(object.spans[i + 1].address, want[i].address);
	}
}

Test(go, a_table_that_leaves_its_section_is_none)
{
	struct program program = program_of(0xfffffff0);

	for (unsigned word = 3; word < 8; word++) {
		struct program broken = program;

		put(broken.table + 8 + 8 * word, TABLE_LEN, 8);
		{
			OTA_AUTO(ota_object_fini)
			struct ota_object object = parsed(&broken);

			cr_expect_eq(region_of(&object, OTA_REGION_GO_TABLE).len, 0);
		}
	}
}

Test(go, a_table_that_no_module_names_is_left_alone)
{
	struct program program = program_of(0xfffffff0);

	put(program.module, TABLE_AT + 8, 8);
	{
		OTA_AUTO(ota_object_fini) struct ota_object object = parsed(&program);

		cr_expect_eq(object.span_count, 1);
		cr_expect_eq(region_of(&object, OTA_REGION_GO_TABLE).len, 0);
	}
}
