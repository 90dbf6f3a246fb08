#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "tests/unit/ref_kit.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct kit_ref_case cases[] = {
	{ "branches", OTA_REGION_A64,
		"07000094 ; bl 0x201c\n"
		"c1000054 ; b.ne 0x201c\n"
		"a30000b4 ; cbz x3, 0x201c\n"
		"85003837 ; tbnz w5, 7, 0x201c\n"
		"62000010 ; adr x2, 0x201c\n"
		"49000058 ; ldr x9, 0x201c\n"
		"1f2003d5 ; nop\n"
		"f9ffff17 ; b 0x2000\n",
		0x2000, 0,
		{ { "a64 b", 0, 0x201c }, { "a64 b.cond", 4, 0x201c },
			{ "a64 b.cond", 8, 0x201c }, { "a64 tbz", 12, 0x201c },
			{ "a64 adr", 16, 0x201c }, { "a64 b.cond", 20, 0x201c },
			{ "a64 b", 28, 0x2000 } } },
	{ "a page and its users", OTA_REGION_A64,
		"200000b0 ; adrp x0, 0x7000\n"
		"018c0491 ; add x1, x0, 0x123\n"
		"011c41f9 ; ldr x1, [x0, 0x238]\n"
		"01c44839 ; ldrb w1, [x0, 0x231]\n"
		"018cc03d ; ldr q1, [x0, 0x230]\n"
		"02008052 ; mov w2, 0\n"
		"000040f9 ; ldr x0, [x0]\n"
		"011c41f9 ; ldr x1, [x0, 0x238]: another x0\n",
		0x2000, 0,
		{ { "a64 adrp", 0, 0x7123 }, { "a64 lo12", 4, 0x7123 },
			{ "a64 lo12 / 8", 8, 0x7238 }, { "a64 lo12", 12, 0x7231 },
			{ "a64 lo12 / 16", 16, 0x7230 }, { "a64 lo12 / 8", 24, 0x7000 },
			{ "a64 field / 8", 28, 0x238 } } },
	{ "a call leaves no page in x0", OTA_REGION_A64,
		"200000b0 ; adrp x0, 0x7000\n"
		"ffffff97 ; bl 0x2000\n"
		"018c0491 ; add x1, x0, 0x123\n",
		0x2000, 0,
		{ { "a64 adrp", 0, 0x7000 }, { "a64 b", 4, 0x2000 },
			{ "a64 field / 1", 8, 0x123 } } },
	{ "a call leaves the page in x19", OTA_REGION_A64,
		"330000b0 ; adrp x19, 0x7000\n"
		"ffffff97 ; bl 0x2000\n"
		"618e0491 ; add x1, x19, 0x123\n",
		0x2000, 0,
		{ { "a64 adrp", 0, 0x7123 }, { "a64 b", 4, 0x2000 },
			{ "a64 lo12", 8, 0x7123 } } },
	{ "nothing that leaves the object", OTA_REGION_A64,
		"ffff0194 ; bl 0x81ffc: not code\n"
		"00900090 ; adrp x0, 0x1200000\n"
		"018c0491 ; add x1, x0, 0x123\n"
		"0000805a ; neither\n",
		0x2000, 0, { { "a64 field / 1", 8, 0x123 } } },
	{ "nothing that the linker has still to fill in", OTA_REGION_A64,
		"00000094 ; bl 0x2000\n"
		"00000090 ; adrp x0, 0x2000\n"
		"00000091 ; add x0, x0, 0\n"
		"01000054 ; b.ne 0x200c\n",
		0x2000, 0, { { NULL, 0, 0 } } },
	{ "an offset beyond the page is no half of an address", OTA_REGION_A64,
		"200000b0 ; adrp x0, 0x7000\n"
		"010060f9 ; ldr x1, [x0, 0x4000]\n",
		0x2000, 0, { { "a64 adrp", 0, 0x7000 } } },
	{ "members of structures, each apart from those of other registers",
		OTA_REGION_A64,
		"011c41f9 ; ldr x1, [x0, 0x238]\n"
		"61fe4839 ; ldrb w1, [x19, 0x23f]\n"
		"000040f9 ; ldr x0, [x0]: the first member stays\n",
		0x2000, 0,
		{ { "a64 field / 8", 0, 0x238 },
			{ "a64 field / 1", 4, INT64_C(0x130000023f) } } },
	{ "offsets from the stack pointer", OTA_REGION_A64,
		"fd030091 ; mov x29, sp\n"
		"f35301a9 ; stp x19, x20, [sp, 16]\n"
		"e01b00f9 ; str x0, [sp, 48]\n"
		"e1430091 ; add x1, sp, 16\n"
		"e2c35fb8 ; ldur w2, [sp, -4]\n"
		"e0073dad ; stp q0, q1, [sp, -96]\n",
		0x2000, 0,
		{ { "a64 [sp]", 0, 0 }, { "a64 pair [sp] / 8", 4, 16 },
			{ "a64 [sp] / 8", 8, 48 }, { "a64 [sp]", 12, 16 },
			{ "a64 unscaled [sp]", 16, -4 },
			{ "a64 pair [sp] / 16", 20, -96 } } },
	{ "sizes of frames, apart from offsets", OTA_REGION_A64,
		"fd7bb3a9 ; stp x29, x30, [sp, -208]!\n"
		"fd7bcda8 ; ldp x29, x30, [sp], 208\n"
		"ff4303d1 ; sub sp, sp, 208\n"
		"ff430391 ; add sp, sp, 208\n",
		0x2000, 0,
		{ { "a64 pair [sp] -", 0, 0x10000d0 },
			{ "a64 pair [sp] +", 4, 0x10000d0 }, { "a64 sp -", 8, 0x10000d0 },
			{ "a64 sp +", 12, 0x10000d0 } } },
	{ "instructions are aligned", OTA_REGION_A64, "0000 07000094 0000", 0x2002, 0,
		{ { "a64 b", 2, 0x2020 } } },
};

ParameterizedTestParameters(ref_a64, finds)
{
	static size_t indices[COUNT(cases)];

	for (size_t i = 0; i < COUNT(cases); i++)
		indices[i] = i;
	return cr_make_param_array(size_t, indices, COUNT(cases));
}

ParameterizedTest(size_t *i, ref_a64, finds)
{
	cr_expect(kit_ref_case_holds(&kit_bounds, &cases[*i]), "%s", cases[*i].name);
}

/* Is the user of an ADRP known that stands so far before the page? */
static bool is_known_after(uint32_t insns)
{
	static uint8_t bytes[OTA_REF_PAGE];
	static struct ota_refs refs;
	static const uint8_t adrp[] = { 0x20, 0x00, 0x00, 0xb0 },
			     add[] = { 0x01, 0x8c, 0x04, 0x91 },
			     nop[] = { 0x1f, 0x20, 0x03, 0xd5 };
	struct ota_scan scan = { .at = bytes + 4 * insns,
		.before = 4 * insns,
		.len = sizeof add,
		.address = 0x2000,
		.bounds = kit_bounds };

	for (uint32_t i = 0; i <= insns; i++)
		for (int k = 0; k < 4; k++)
			bytes[4 * i + (uint32_t)k] = i == 0       ? adrp[k]
						     : i == insns ? add[k]
								  : nop[k];
	refs.count = 0;
	ota_ref_kind(OTA_REGION_A64)->scan(&scan, &refs);
	return refs.count > 0 && ota_ref_form(refs.at[0].form)->scope == OTA_SCOPE_OBJECT;
}

Test(ref_a64, a_page_is_known_for_256_instructions)
{
	cr_expect(is_known_after(1));
	cr_expect(is_known_after(255));
	cr_expect_not(is_known_after(256));
	cr_expect_eq(ota_ref_kind(OTA_REGION_A64)->before, 256 * 4);
}

/* Instructions that are a reference wherever they stand alone: the first row that fits
 * tells (Arm ARM, C4.1). */
/* clang-format off */
static const struct {
	uint32_t mask, value;
	const char *form;
} insns[] = {
	{ 0x7c000000, 0x14000000, "a64 b" },
	{ 0xff000010, 0x54000000, "a64 b.cond" },
	{ 0x7e000000, 0x34000000, "a64 b.cond" },
	{ 0x7e000000, 0x36000000, "a64 tbz" },
	{ 0x3b000000, 0x18000000, "a64 b.cond" },
	{ 0x9f000000, 0x10000000, "a64 adr" },
	{ 0x9f000000, 0x90000000, "a64 adrp" },
	{ 0xffc003ff, 0xd10003ff, "a64 sp -" },
	{ 0xffc003ff, 0x910003ff, "a64 sp +" },
	{ 0xffc003e0, 0x910003e0, "a64 [sp]" },
	{ 0xffe003e0, 0xa9a003e0, "a64 pair [sp] -" },
	{ 0xffc003e0, 0xa8c003e0, "a64 pair [sp] +" },
	{ 0xbf8003e0, 0x290003e0, "a64 pair [sp] / 4" },
	{ 0xff8003e0, 0x2d0003e0, "a64 pair [sp] / 4" },
	{ 0xff8003e0, 0xa90003e0, "a64 pair [sp] / 8" },
	{ 0xff8003e0, 0x6d0003e0, "a64 pair [sp] / 8" },
	{ 0xff8003e0, 0xad0003e0, "a64 pair [sp] / 16" },
	{ 0xff8003e0, 0x3d8003e0, "a64 [sp] / 16" },
	{ 0xfb0003e0, 0x390003e0, "a64 [sp]" },
	{ 0xfb0003e0, 0x790003e0, "a64 [sp] / 2" },
	{ 0xfb0003e0, 0xb90003e0, "a64 [sp] / 4" },
	{ 0xfb0003e0, 0xf90003e0, "a64 [sp] / 8" },
	{ 0x3b200fe0, 0x380003e0, "a64 unscaled [sp]" },
	{ 0xffc00000, 0x91000000, "a64 field / 1" },
	{ 0xffbc0000, 0x3d800000, "a64 field / 16" },
	{ 0xff800000, 0x3d800000, NULL }, /* beyond a page, and so on */
	{ 0xfb000000, 0x39000000, "a64 field / 1" },
	{ 0xfb200000, 0x79000000, "a64 field / 2" },
	{ 0xfb300000, 0xb9000000, "a64 field / 4" },
	{ 0xfb380000, 0xf9000000, "a64 field / 8" },
	{ 0x00000000, 0x00000000, NULL },
};
/* clang-format on */

/* The name of the form that the scan of one instruction finds, or NULL. */
static const char *form_found(uint32_t insn)
{
	static struct ota_refs refs;
	uint8_t bytes[] = { (uint8_t)insn, (uint8_t)(insn >> 8), (uint8_t)(insn >> 16),
		(uint8_t)(insn >> 24) };
	int64_t far = INT64_C(1) << 40;
	struct ota_scan scan = {
		.at = bytes, .len = sizeof bytes, .bounds = { -far, far, -far, far }
	};

	refs.count = 0;
	ota_ref_kind(OTA_REGION_A64)->scan(&scan, &refs);
	cr_assert_leq(refs.count, 1);
	return refs.count == 1 ? ota_ref_form(refs.at[0].form)->name : NULL;
}

static const char *form_of(uint32_t insn)
{
	size_t i = 0;

	while ((insn & insns[i].mask) != insns[i].value)
		i++;
	return insns[i].form;
}

static bool is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

Test(ref_a64, knows_an_instruction_by_its_upper_half_and_registers)
{
	/* a number that is not 0, and registers: any, SP as source, as both, and neither
	 */
	static const uint32_t low[] = { 0x0401, 0x0411, 0x1021, 0x07e1, 0x13e1, 0x13ff,
		0x0400 | 31 };

	for (uint32_t high = 0; high <= UINT16_MAX; high++)
		for (size_t i = 0; i < COUNT(low); i++) {
			uint32_t insn = high << 16 | low[i];
			const char *found = form_found(insn), *want = form_of(insn);

			cr_assert(is_same(found, want), "%08x: %s, not %s", insn,
				found != NULL ? found : "nothing",
				want != NULL ? want : "nothing");
		}
}
