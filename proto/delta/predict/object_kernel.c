/* Linux for ARM as it lies in memory (Documentation/arch/arm64/booting.rst;
 * arch/arm/kernel/ head.S): code, tables and data without a word about where one ends. */

#include <string.h>

#include "proto/delta/predict/object_cut.h"
#include "proto/delta/predict/object_elf.h"

enum {
	A64_MAGIC_AT = 56, /* "ARM\x64" */
	A64_PE_AT = 60,    /* offset of a PE header, if there is one */
	A64_TEXT_OFFSET_AT = 8,
	A64_IMAGE_LEN_AT = 16,
	A64_WINDOW_BITS = 27, /* the kernel begins at a multiple of 128 MiB .. */
	COFF_LEN = 24,        /* of the PE header before its optional part */
	PE_SECTION_LEN = 40,
	PE_SECTIONS_MAX = 8,

	ARM_HEAD_WORDS = 16, /* of which two tell the kernel */
	ARM_TEXT_OFFSET = 0x8000,
	ARM_IMAGE_MAX = 1 << 26, /* bytes */
	ARM_BSS_MAX = 1 << 22,   /* bytes of .bss, about */
};

static const uint32_t arm_mrs_r9_cpsr = 0xe10f9000, arm_eor_r9_hyp = 0xe229901a;

/* The window that most of the kernel's pointers are in, by majority vote. */
static int64_t a64_base(struct ota_bytes in)
{
	uint64_t winner = 0;
	size_t votes = 0;

	for (size_t at = 0; at + 8 <= in.len; at += 8) {
		uint64_t word = ota_le64(in.at + at), window = word >> A64_WINDOW_BITS;

		if (word >> 48 != 0xffff || word >> 32 == 0xffffffff)
			continue;
		if (votes == 0)
			winner = window;
		votes += window == winner ? 1 : (size_t)-1;
	}
	return (int64_t)(winner << A64_WINDOW_BITS);
}

/* Where the file ends; a kernel without a PE header does not say so. */
static uint64_t a64_len(struct ota_bytes in)
{
	uint64_t head = ota_le32(in.at + A64_PE_AT), sections, len = 0;
	uint32_t count;

	if (!ota_is_within(head, COFF_LEN, in.len) ||
		memcmp(in.at + head, "PE\0\0", 4) != 0)
		return in.len;
	count = ota_le16(in.at + head + 6);
	sections = head + COFF_LEN + ota_le16(in.at + head + 20);
	if (count > PE_SECTIONS_MAX ||
		!ota_is_within(sections, count * PE_SECTION_LEN, in.len))
		return in.len;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = in.at + sections + i * PE_SECTION_LEN;
		uint64_t end = (uint64_t)ota_le32(at + 16) + ota_le32(at + 20);

		len = end > len ? end : len;
	}
	return len > 0 && len < in.len ? len : in.len;
}

/* One section, one span: all of it. */
static enum ota_code add_image(
	struct ota_build *build, int64_t address, uint64_t memory_len)
{
	struct ota_section named = { .name = "image", .address = address };
	struct ota_span span = { 0, build->object.len, address };
	enum ota_code rc;

	named.len = memory_len;
	build->object.format = "kernel";
	ota_build_bounds(build, address, memory_len);
	rc = ota_build_section(build, &named);
	return rc != OTA_OK ? rc : ota_build_span(build, &span);
}

static enum ota_code add_a64(struct ota_build *build)
{
	const uint8_t *in = build->in.at;
	uint64_t text_offset = ota_le64(in + A64_TEXT_OFFSET_AT);
	uint64_t memory_len = ota_le64(in + A64_IMAGE_LEN_AT);
	struct ota_region whole = { 0 };
	enum ota_code rc;

	build->object.machine = OTA_MACHINE_A64;
	build->object.is_64 = true;
	build->object.len = a64_len(build->in);
	if (text_offset >> A64_WINDOW_BITS != 0)
		text_offset = 0;
	if (memory_len >> A64_WINDOW_BITS != 0)
		return OTA_E_NOTFOUND;
	if (memory_len < build->object.len && memory_len > 0)
		build->object.len = memory_len;
	if (memory_len == 0)
		memory_len = build->object.len;
	rc = add_image(build, (int64_t)text_offset, memory_len);
	if (rc != OTA_OK)
		return rc;
	whole.len = build->object.len;
	whole.address = (int64_t)text_offset;
	whole.base = a64_base((struct ota_bytes){ in, (size_t)whole.len });
	return ota_cut_a64_kernel(build, &whole);
}

/* The kernel's part of memory begins at a gigabyte of three; most pointers tell which. */
static uint32_t arm_page_offset(struct ota_bytes in)
{
	size_t count[4] = { 0 }, best = 3;

	for (size_t at = 0; at + 4 <= in.len; at += 4) {
		uint32_t word = ota_le32(in.at + at), low = word & 0x3fffffff;

		if (low >= ARM_TEXT_OFFSET && low - ARM_TEXT_OFFSET < in.len)
			count[word >> 30]++;
	}
	for (size_t i = 1; i < 3; i++)
		best = count[i] > count[best] ? i : best;
	return (uint32_t)best << 30;
}

static bool begins_arm(struct ota_bytes in)
{
	for (size_t i = 0; i < ARM_HEAD_WORDS - 1; i++)
		if (ota_le32(in.at + 4 * i) == arm_mrs_r9_cpsr &&
			ota_le32(in.at + 4 * i + 4) == arm_eor_r9_hyp)
			return true;
	return false;
}

static enum ota_code add_arm(struct ota_build *build)
{
	struct ota_region whole = { 0 };
	enum ota_code rc;

	build->object.machine = OTA_MACHINE_ARM;
	build->object.len = build->in.len & ~(size_t)3;
	if (build->object.len > ARM_IMAGE_MAX)
		return OTA_E_NOTFOUND;
	whole.len = build->object.len;
	whole.address = (int64_t)arm_page_offset(build->in) + ARM_TEXT_OFFSET;
	rc = add_image(build, whole.address, whole.len + ARM_BSS_MAX);
	return rc != OTA_OK ? rc : ota_cut_arm_kernel(build, &whole);
}

enum ota_code ota_object_kernel(struct ota_build *build)
{
	if (memcmp(build->in.at + A64_MAGIC_AT, "ARM\x64", 4) == 0)
		return add_a64(build);
	return begins_arm(build->in) ? add_arm(build) : OTA_E_NOTFOUND;
}
