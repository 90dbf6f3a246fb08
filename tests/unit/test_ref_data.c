#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <string.h>

#include "tests/unit/ref_kit.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct kit_ref_case cases[] = {
	{ "relocations with addends", OTA_REGION_RELA64,
		"3040000000000000 03040000 00000000 4050000000000000 ; relative\n"
		"3840000000000000 01040000 02000000 0000000000000000 ; symbol 2\n"
		"4040000000000000 01040000 03000000 4050000000000000 ; symbol 3, addend\n"
		"ffffffffffffffff 08000000 00000000 ffffff7f00000000 ; not in the "
		"object\n",
		0x800, 0x500,
		{ { "abs64", 0, 0x4030 }, { "abs64", 16, 0x5040 },
			{ "abs64", 24, 0x4038 }, { "index32", 36, 0x530 },
			{ "abs64", 48, 0x4040 }, { "index32", 60, 0x548 } } },
	{ "relocations of 12 bytes", OTA_REGION_RELA32,
		"30400000 16 020000 40500000\n"
		"34400000 17 000000 40500000\n",
		0x800, 0x500,
		{ { "abs32", 0, 0x4030 }, { "index24", 5, 0x520 },
			{ "abs32", 12, 0x4034 } } },
	{ "relocations without addends", OTA_REGION_REL32,
		"30400000 17 000000\n"
		"34400000 16 010203\n",
		0x800, 0x500,
		{ { "abs32", 0, 0x4030 }, { "abs32", 8, 0x4034 },
			{ "index24", 13, 0x500 + 0x30201 * 16 } } },
	{ "symbols of 24 bytes", OTA_REGION_SYM64,
		"00000000 00 00 0000 0000000000000000 0000000000000000\n"
		"05000000 12 00 0000 0000000000000000 0000000000000000 ; undefined\n"
		"09000000 12 00 0c00 0130000000000000 1000000000000000 ; a function\n"
		"0c000000 16 00 1400 1000000000000000 0400000000000000 ; of a thread\n"
		"0f000000 11 00 f1ff 0020000000000000 0400000000000000 ; a number\n",
		0x800, 0x600,
		{ { "base32", 24, 0x605 }, { "base32", 48, 0x609 },
			{ "abs64", 56, 0x3001 }, { "len32", 64, 0x3010 },
			{ "base32", 72, 0x60c }, { "base32", 96, 0x60f } } },
	{ "a symbol's size of no 32 bits, and of none", OTA_REGION_SYM64,
		"00000000 12 00 0c00 0030000000000000 1000000001000000\n"
		"00000000 12 00 0c00 0030000000000000 0000000000000000\n"
		"00000000 12 00 0c00 0030000000000000 ffffff7f00000000 ; beyond all\n",
		0x800, 0x600,
		{ { "abs64", 8, 0x3000 }, { "abs64", 32, 0x3000 },
			{ "abs64", 56, 0x3000 } } },
	{ "symbols of 16 bytes", OTA_REGION_SYM32,
		"09000000 01300000 10000000 12 00 0c00 ; a Thumb function\n"
		"0c000000 05300000 10000000 11 00 0c00 ; an object\n",
		0x800, 0x600,
		{ { "base32", 0, 0x609 }, { "code32", 4, 0x3000 }, { "len32", 8, 0x300f },
			{ "base32", 16, 0x60c }, { "abs32", 20, 0x3005 },
			{ "len32", 24, 0x3014 } } },
	{ "pointers of 8 bytes", OTA_REGION_PTR64,
		"00000000 0030000000000000 ff03000000000000 0000100000000000 "
		"ffff0f0000000000",
		0x4004, 0, { { "abs64", 4, 0x3000 }, { "abs64", 28, 0xfffff } } },
	{ "pointers of 4 bytes", OTA_REGION_PTR32, "0130000003000900ff030000", 0x4000, 0,
		{ { "code32", 0, 0x3000 }, { "abs32", 4, 0x90003 } } },
	{ "unwind records", OTA_REGION_EH_FRAME,
		"0c000000 00000000 017a5200 01781e01 ; a CIE\n"
		"10000000 14000000 e80f0000 20000000 00000000 ; an FDE\n"
		"18000000 28000000 00080000 20000000 04 00100000 000000 00000000\n"
		"00000000\n",
		0x4000, 0,
		{ { "back32", 20, 0x4000 }, { "self32", 24, 0x5000 },
			{ "len32", 28, 0x501f }, { "back32", 40, 0x4000 },
			{ "self32", 44, 0x482c }, { "len32", 48, 0x484b },
			{ "self32", 53, 0x5035 } } },
	{ "an unwind record longer than the region", OTA_REGION_EH_FRAME,
		"10000000 14000000 e80f0000 20000000", 0x4000, 0, { { NULL, 0, 0 } } },
	{ "the table of unwind records", OTA_REGION_EH_HDR,
		"011b033b 00010000 02000000\n"
		"00f0ffff 20010000 00f8ffff 40010000\n",
		0x4000, 0x4000,
		{ { "self32", 4, 0x4104 }, { "base32", 12, 0x3000 },
			{ "base32", 16, 0x4120 }, { "base32", 20, 0x3800 },
			{ "base32", 24, 0x4140 } } },
	{ "symbol indices of a hash table", OTA_REGION_INDEX64,
		"02000000 00000000 ffffff7f 05000000", 0x30000, 0x20000,
		{ { "index32", 0, 0x20030 }, { "index32", 12, 0x20078 } } },
	{ "a jump table", OTA_REGION_JUMP32, "00f0ffff 00000200 10f0ffff", 0x30000,
		0x20000, { { "base32", 0, 0x1f000 }, { "base32", 8, 0x1f010 } } },
	{ "a kernel linked at 0", OTA_REGION_KERNEL64,
		"00300008 0080ffff ; a pointer\n"
		"00000008 0080ffff ; the base itself\n"
		"00100000 3f000000 ; a distance, a number\n"
		"00001008 0080ffff ; beyond the object\n",
		0x4000, (int64_t)0xffff800008000000,
		{ { "kernel64", 0, 0x3000 }, { "self32", 16, 0x5010 } } },
	{ "a kernel linked where it runs", OTA_REGION_KERNEL64,
		"0030000000000000 0000000000000000 00f0ffff 00000000", 0x4000, 0,
		{ { "abs64", 0, 0x3000 }, { "self32", 16, 0x3010 } } },
	{ "words of 4 bytes", OTA_REGION_ABS32, "00300000 00000080 ffff0f00", 0, 0,
		{ { "signed32", 0, 0x3000 }, { "signed32", 8, 0xfffff } } },
	{ "unwind tables of ARM", OTA_REGION_EXIDX,
		"00f0ff7f 01000000 ; no unwinding\n"
		"10f0ff7f b0b0a880 ; unwinding here\n"
		"20f0ff7f 00100000 ; unwinding there\n",
		0x4000, 0,
		{ { "self31", 0, 0x3000 }, { "self31", 8, 0x3018 },
			{ "self31", 16, 0x3030 }, { "self31", 20, 0x5014 } } },
};

ParameterizedTestParameters(ref_data, finds)
{
	static size_t indices[COUNT(cases)];

	for (size_t i = 0; i < COUNT(cases); i++)
		indices[i] = i;
	return cr_make_param_array(size_t, indices, COUNT(cases));
}

ParameterizedTest(size_t *i, ref_data, finds)
{
	cr_expect(kit_ref_case_holds(&kit_bounds, &cases[*i]), "%s", cases[*i].name);
}

/* References in the second of three pages of a region of equal records. */
static void scan_second(uint8_t kind, uint32_t len, struct ota_refs *refs)
{
	static uint8_t bytes[3 * OTA_REF_PAGE];
	const struct ota_ref_kind *k = ota_ref_kind(kind);
	struct ota_scan scan = { .at = bytes + OTA_REF_PAGE,
		.before = k->before,
		.len = OTA_REF_PAGE,
		.after = k->after,
		.offset = OTA_REF_PAGE,
		.address = 0x8000,
		.base = 0x500,
		.bounds = kit_bounds };

	memset(bytes, 0, sizeof bytes);
	for (uint32_t at = 0; at + len <= sizeof bytes; at += len)
		bytes[at + 1] = 0x40;
	refs->count = 0;
	k->scan(&scan, refs);
	cr_expect_null(kit_refs_breach(&scan, refs));
}

Test(ref_data, records_that_do_not_divide_a_page_are_found_in_each)
{
	static struct ota_refs refs;

	scan_second(OTA_REGION_RELA64, 24, &refs);
	cr_expect_eq(refs.count, 4096 / 24 + 1);
	cr_expect_eq(refs.at[0].at, 24 - 4096 % 24);
	scan_second(OTA_REGION_RELA32, 12, &refs);
	cr_expect_eq(refs.count, 4096 / 12);
	cr_expect_eq(refs.at[0].at, 12 - 4096 % 12);
	scan_second(OTA_REGION_REL32, 8, &refs);
	cr_expect_eq(refs.count, 512);
}

Test(ref_data, the_number_of_unwind_records_is_no_reference_on_the_first_page_only)
{
	static uint8_t bytes[16];
	static struct ota_refs refs;
	struct ota_scan scan = { .at = bytes,
		.len = sizeof bytes,
		.address = 0x8000,
		.base = 0x8000,
		.bounds = kit_bounds };

	ota_ref_kind(OTA_REGION_EH_HDR)->scan(&scan, &refs);
	cr_expect_eq(refs.count, 2);
	scan.offset = OTA_REF_PAGE;
	refs.count = 0;
	ota_ref_kind(OTA_REGION_EH_HDR)->scan(&scan, &refs);
	cr_expect_eq(refs.count, 4);
}
