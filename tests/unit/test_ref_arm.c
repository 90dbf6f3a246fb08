#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <string.h>

#include "tests/unit/ref_kit.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct ota_bounds program = { 0x10000, 0x100000, 0x10000, 0x20000 };
static const struct ota_bounds kernel = { 0xc0008000, 0xc1000000, 0xc0008000,
	0xc0800000 };

static const struct case_in {
	const struct ota_bounds *bounds;
	struct kit_ref_case test;
} cases[] = {
	{ &kit_bounds,
		{ "Thumb code that can be loaded anywhere", OTA_REGION_T32,
			"00f07ef8 ; bl\n"
			"00f0bee8 ; blx\n"
			"00f07eb9 ; b.w\n"
			"40f0fe81 ; bne.w\n"
			"00bf 00bf 0448 ; nop, nop, ldr r0, 0x2028\n"
			"7844 ; add r0, pc\n"
			"dff81080 ; ldr r8, 0x202c\n"
			"f844 ; add r8, pc\n"
			"044b ; ldr r3, 0x2030\n"
			"c258 ; ldr r2, [r0, r3]\n"
			"7047 00bf 00bf\n"
			"00100000 00200000 34000000\n",
			0x2000, 0,
			{ { "t32 bl", 0, 0x2100 }, { "t32 blx", 4, 0x2184 },
				{ "t32 bl", 8, 0x2308 }, { "t32 b.cond", 12, 0x240c },
				{ "base32", 0x28, 0x301a }, { "base32", 0x2c, 0x4020 },
				{ "base32", 0x30, 0x304e } } } },
	{ &kit_bounds, { "a branch in a pool is a number", OTA_REGION_T32,
			       "0048 7047 00f07ef8 00f07ef8", 0x2000, 0,
			       { { "t32 bl", 8, 0x2108 } } } },
	{ &kit_bounds, { "system instructions are no branches", OTA_REGION_T32,
			       "aff30080 bff35f8f f7f7feff ; nop.w, dmb, no bl\n", 0x2000,
			       0, { { NULL, 0, 0 } } } },
	{ &kit_bounds,
		{ "what the linker has still to fill in", OTA_REGION_T32,
			"fff7feff fff7feef fff7feff", 0x2000, 0, { { NULL, 0, 0 } } } },
	{ &kit_bounds, { "no MOVW in what can be loaded anywhere", OTA_REGION_T32,
			       "44f26750 c0f20200", 0x2000, 0, { { NULL, 0, 0 } } } },
	{ &program,
		{ "Thumb code that knows where it is", OTA_REGION_T32,
			"0148 0249 7047 00bf ; ldr r0, 0x10008; ldr r1, 0x1000c\n"
			"67450200 01010100\n"
			"44f26750 00bf ; movw r0, 0x4567\n"
			"48f20001 ; movw r1, 0x8000\n"
			"c0f20200 ; movt r0, 2\n"
			"c0f20401 ; movt r1, 4\n"
			"c0f20401 ; movt r1, 4: without its MOVW\n",
			0x10000, 0,
			{ { "abs32", 8, 0x24567 }, { "code32", 12, 0x10100 },
				{ "t32 movw", 16, 0x24567 }, { "t32 movw", 22, 0x48000 },
				{ "t32 movt", 26, 0x24567 },
				{ "t32 movt", 30, 0x48000 } } } },
	{ &kernel, { "ARM code that knows where it is", OTA_REGION_A32,
			   "3e0000eb ; bl\n"
			   "1e00000a ; beq\n"
			   "783605e3 ; movw r3, 0x5678\n"
			   "0000a0e1 ; nop\n"
			   "01304ce3 ; movt r3, 0xc001\n"
			   "08001fe5 452301c0 ; ldr, a word\n"
			   "100000fa feffffea ; blx, b to itself\n"
			   "01304ce3 ; movt r3: without its MOVW\n",
			   0xc0010000, 0,
			   { { "a32 b", 0, 0xc0010100 }, { "a32 b", 4, 0xc0010084 },
				   { "a32 movw", 8, 0xc0015678 },
				   { "a32 movt", 16, 0xc0015678 },
				   { "abs32", 24, 0xc0012345 } } } },
	{ &kit_bounds, { "ARM code that can be loaded anywhere", OTA_REGION_A32,
			       "3e0000eb 783605e3 003040e3 45230100", 0x2000, 0,
			       { { "a32 b", 0, 0x2100 } } } },
	{ &kit_bounds,
		{ "entries of a PLT", OTA_REGION_ARM_PLT,
			"00c68fe2 23ca8ce2 56f4bce5\n"
			"7847c046 ; bx pc; nop: from Thumb\n"
			"00c68fe2 23ca8ce2 57f4bce5\n"
			"01c68fe2 23ca8ce2 57f4bce5 ; not in the object\n"
			"00c68fe2 23ca8ce2 ; cut off\n",
			0x2000, 0,
			{ { "arm plt", 0, 0x2545e }, { "arm plt", 16, 0x2546f } } } },
};

ParameterizedTestParameters(ref_arm, finds)
{
	static size_t indices[COUNT(cases)];

	for (size_t i = 0; i < COUNT(cases); i++)
		indices[i] = i;
	return cr_make_param_array(size_t, indices, COUNT(cases));
}

ParameterizedTest(size_t *i, ref_arm, finds)
{
	cr_expect(kit_ref_case_holds(cases[*i].bounds, &cases[*i].test), "%s",
		cases[*i].test.name);
}

/* A page after code that says what is in it. */
static void scan_after(struct ota_bytes code, const struct ota_bounds *bounds,
	uint32_t before, struct ota_refs *refs)
{
	static uint8_t bytes[OTA_REF_MARGIN + 64];
	struct ota_scan scan = { .at = bytes + before,
		.before = before,
		.len = 64,
		.address = 0x13000,
		.bounds = *bounds };

	for (size_t i = 0; i < sizeof bytes; i += 2)
		memcpy(bytes + i, "\x00\xbf", 2);
	memcpy(bytes, code.at, code.len);
	refs->count = 0;
	ota_ref_kind(OTA_REGION_T32)->scan(&scan, refs);
	cr_expect_null(kit_refs_breach(&scan, refs));
}

Test(ref_arm, a_word_is_understood_from_code_4_kib_before)
{
	/* ldr r0, [pc, 4092]; add r0, pc */
	static const uint8_t code[] = { 0xdf, 0xf8, 0xfc, 0x0f, 0x78, 0x44 };
	static struct ota_refs refs;

	scan_after((struct ota_bytes){ code, sizeof code },
		&(struct ota_bounds){ INT32_MIN, INT32_MAX, 0, 0 }, OTA_REF_MARGIN,
		&refs);
	cr_assert_eq(refs.count, 1);
	cr_expect_eq(refs.at[0].at, 0);
	cr_expect_eq(refs.at[0].base, 0x12008);
	cr_expect_eq(refs.at[0].target, 0x12008 + ((int64_t)0xbf00bf00 - (1ll << 32)));
}

Test(ref_arm, a_movw_before_the_page_is_remembered)
{
	/* movw r0, 0x4567; movt r0, 2 */
	static const uint8_t code[] = { 0x44, 0xf2, 0x67, 0x50, 0xc0, 0xf2, 0x02, 0x00 };
	static struct ota_refs refs;

	scan_after((struct ota_bytes){ code, sizeof code }, &program, 4, &refs);
	cr_assert_eq(refs.count, 1);
	cr_expect_eq(refs.at[0].target, 0x24567);
}
