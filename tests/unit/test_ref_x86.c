#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/ref_kit.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct ota_bounds kernel = { -0x7f000000, -0x7e000000, -0x7f000000,
	-0x7ee00000 };
static const struct ota_bounds fixed = { 0x8048000, 0x8050000, 0x8048000, 0x8049000 };

static const struct kit_ref_case cases[] = {
	{ "branches", OTA_REGION_X64,
		"e800010000 ; call\n"
		"e900020000 ; jmp\n"
		"0f8500030000 ; jne\n"
		"666648e8fb000000 ; call, padded\n"
		"eb10 7510 ; short ones\n",
		0x2000, 0,
		{ { "x86 rel32", 1, 0x2105 }, { "x86 rel32", 6, 0x220a },
			{ "x86 rel32", 12, 0x2310 }, { "x86 rel32", 20, 0x2113 } } },
	{ "distances count from the end of the instruction", OTA_REGION_X64,
		"488d0500100000 ; lea rax, [rip + 0x1000]\n"
		"803d0010000007 ; cmp byte [rip + 0x1000], 7\n"
		"c7050010000007000000 ; mov dword [rip + 0x1000], 7\n"
		"66813d001000003412 ; cmp word [rip + 0x1000], 0x1234\n"
		"f6050010000003 ; test byte [rip + 0x1000], 3\n"
		"f71500100000 ; not dword [rip + 0x1000]\n"
		"f7050010000003000000 ; test dword [rip + 0x1000], 3\n",
		0x2000, 0,
		{ { "x86 rel32", 3, 0x3007 }, { "x86 rel32, imm8", 9, 0x300e },
			{ "x86 rel32, imm32", 16, 0x3018 },
			{ "x86 rel32, imm16", 27, 0x3021 },
			{ "x86 rel32, imm8", 35, 0x3028 }, { "x86 rel32", 42, 0x302e },
			{ "x86 rel32, imm32", 48, 0x3038 } } },
	{ "vectors", OTA_REGION_X64,
		"c5fd6f1d00100000 ; vmovdqa ymm3, [rip + 0x1000]\n"
		"c4e2710015 00100000 ; vpshufb xmm2, xmm1, [rip + 0x1000]\n"
		"c4e3710f15 0010000003 ; vpalignr xmm2, xmm1, [rip + 0x1000], 3\n"
		"62f37548251500100000 03 ; vpternlogd zmm2, zmm1, [rip + 0x1000], 3\n"
		"660f38000d00100000 ; pshufb xmm1, [rip + 0x1000]\n"
		"660f3a220d0010000003 ; pinsrd xmm1, [rip + 0x1000], 3\n",
		0x2000, 0,
		{ { "x86 rel32", 4, 0x3008 }, { "x86 rel32", 13, 0x3011 },
			{ "x86 rel32, imm8", 22, 0x301b },
			{ "x86 rel32, imm8", 33, 0x3026 }, { "x86 rel32", 43, 0x302f },
			{ "x86 rel32, imm8", 52, 0x3039 } } },
	{ "an opcode inside of a number is none", OTA_REGION_X64,
		"48b810000000e8000100 ; movabs rax, 0x100e800000010\n"
		"0000 ; add [rax], al\n"
		"48690d00100000e8000100 ; imul rcx, [rip + 0x1000], 0x100e8\n",
		0x2000, 0, { { "x86 rel32, imm32", 15, 0x3017 } } },
	{ "nothing that leaves the object", OTA_REGION_X64,
		"e800000300 ; call 0x32005: not code\n"
		"488d0500001000 ; lea rax, [rip + 0x100000]\n",
		0x2000, 0, { { NULL, 0, 0 } } },
	{ "nothing that the linker has still to fill in", OTA_REGION_X64,
		"e800000000 e8fcffffff 488d0500000000 488d05fcffffff", 0x2000, 0,
		{ { NULL, 0, 0 } } },
	{ "what is no opcode is stepped over", OTA_REGION_X64, "0606 06 e800010000",
		0x2000, 0, { { "x86 rel32", 4, 0x2108 } } },
	{ "an instruction cut off is none", OTA_REGION_X64, "e8000100", 0x2000, 0,
		{ { NULL, 0, 0 } } },
	{ "no number of code that lies from 0 on is an address", OTA_REGION_X64,
		"b800300000 ; mov eax, 0x3000\n", 0x2000, 0, { { NULL, 0, 0 } } },
};

static const struct kit_ref_case kernels[] = {
	{ "numbers and displacements of a kernel", OTA_REGION_X64,
		"48c7c700200081 ; mov rdi, 0xffffffff81002000\n"
		"488b04c500300081 ; mov rax, [rax * 8 + 0xffffffff81003000]\n"
		"48c7050010000000400081 ; mov qword [rip + 0x1000], 0xffffffff81004000\n"
		"8b8300500081 ; mov eax, [rbx + 0xffffffff81005000]\n"
		"6800600081 ; push 0xffffffff81006000\n"
		"b800010000 ; mov eax, 0x100\n",
		-0x7f000000, 0,
		{ { "signed32", 3, -0x7effe000 }, { "signed32", 11, -0x7effd000 },
			{ "x86 rel32, imm32", 18, -0x7effefe6 },
			{ "signed32", 22, -0x7effc000 }, { "signed32", 28, -0x7effb000 },
			{ "signed32", 33, -0x7effa000 } } },
};

static const struct kit_ref_case fixed_cases[] = {
	{ "32-bit code that knows where it is", OTA_REGION_X86,
		"40 ; inc eax\n"
		"a110a00408 ; mov eax, [0x804a010]\n"
		"6820a00408 ; push 0x804a020\n"
		"e8fb000000 ; call 0x804810b\n"
		"8b148d30a00408 ; mov edx, [ecx * 4 + 0x804a030]\n"
		"c518 6203 ; lds ebx, [eax]; bound eax, [ebx]\n"
		"668100 2211 ; add word [eax], 0x1122\n"
		"e8f4000000 ; call\n",
		0x8048000, 0,
		{ { "abs32", 2, 0x804a010 }, { "abs32", 7, 0x804a020 },
			{ "x86 rel32", 12, 0x804810b }, { "abs32", 19, 0x804a030 },
			{ "x86 rel32", 33, 0x8048119 } } },
	{ "32-bit code counts from nowhere else", OTA_REGION_X86,
		"8b0530a00408 ; mov eax, [0x804a030]\n", 0x8048000, 0,
		{ { "abs32", 2, 0x804a030 } } },
};

#define CASES(table, bounds)                                                 \
	ParameterizedTestParameters(ref_x86, table)                          \
	{                                                                    \
		static size_t indices[COUNT(table)];                         \
                                                                             \
		for (size_t i = 0; i < COUNT(table); i++)                    \
			indices[i] = i;                                      \
		return cr_make_param_array(size_t, indices, COUNT(table));   \
	}                                                                    \
                                                                             \
	ParameterizedTest(size_t *i, ref_x86, table)                         \
	{                                                                    \
		cr_expect(kit_ref_case_holds(&(bounds), &(table)[*i]), "%s", \
			(table)[*i].name);                                   \
	}

CASES(cases, kit_bounds)
CASES(kernels, kernel)
CASES(fixed_cases, fixed)

/* Real code: what this machine runs of us. */
#if defined __x86_64__
extern const uint8_t __executable_start[], etext[];

Test(ref_x86, compiled_code_has_a_reference_in_every_few_instructions)
{
	static struct ota_refs refs;
	const uint8_t *at = (const uint8_t *)(uintptr_t)kit_ref_case_holds;
	struct ota_scan scan = { .at = at, .len = OTA_REF_PAGE / 8 };
	uint32_t branches = 0;

	scan.address = at - __executable_start;
	scan.bounds.text_high = scan.bounds.high = etext - __executable_start;
	ota_ref_kind(OTA_REGION_X64)->scan(&scan, &refs);
	for (uint32_t i = 0; i < refs.count; i++)
		branches += strcmp(ota_ref_form(refs.at[i].form)->name, "x86 rel32") == 0;
	cr_expect_geq(branches, scan.len / 128);
	cr_expect_leq(refs.count, scan.len / 4, "counters of coverage are references");
}
#endif

/* How far behind its start a sweep through code is in step. */
Test(ref_x86, a_sweep_that_begins_inside_of_an_instruction_gets_into_step)
{
	static const uint8_t code[] = { 0x48, 0x8d, 0x05, 0x00, 0x10, 0x00, 0x00, 0xe8,
		0x00, 0x01, 0x00, 0x00, 0x48, 0x83, 0xc4, 0x08, 0xc3, 0x90 };
	static uint8_t bytes[64 * sizeof code];
	static struct ota_refs refs;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = code[i % sizeof code];
	for (uint32_t skip = 0; skip < sizeof code; skip++) {
		struct ota_scan scan = { .at = bytes + 64 + skip,
			.before = 64,
			.len = 10 * sizeof code,
			.after = sizeof code,
			.address = 0x2000,
			.bounds = kit_bounds };

		refs.count = 0;
		ota_ref_kind(OTA_REGION_X64)->scan(&scan, &refs);
		cr_expect_eq(refs.count, 20, "%u bytes in: %u", skip, refs.count);
	}
}
