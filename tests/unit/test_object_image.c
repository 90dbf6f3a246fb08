#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/object.h"

enum { IMAGE_LEN = 0x4000, HEAD = 0x80, SECTIONS = HEAD + 24 + 0x70 };

static void set16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void set32(uint8_t *at, uint32_t value)
{
	set16(at, (uint16_t)value);
	set16(at + 2, (uint16_t)(value >> 16));
}

static void set64(uint8_t *at, uint64_t value)
{
	set32(at, (uint32_t)value);
	set32(at + 4, (uint32_t)(value >> 32));
}

struct pe_section {
	const char *name;
	uint32_t memory_len, address, len, offset, flags;
};

/* An EFI program for arm64 with its image base at 1 MiB. */
static void make_pe(uint8_t *image, const struct pe_section *sections, unsigned count)
{
	memset(image, 0, IMAGE_LEN);
	memcpy(image, "MZ", 2);
	set32(image + 0x3c, HEAD);
	memcpy(image + HEAD, "PE", 2);
	set16(image + HEAD + 4, 0xaa64);
	set16(image + HEAD + 6, (uint16_t)count);
	set16(image + HEAD + 20, 0x70);
	set16(image + HEAD + 24, 0x20b);
	set64(image + HEAD + 24 + 24, 0x100000);
	for (unsigned i = 0; i < count; i++) {
		uint8_t *at = image + SECTIONS + 40 * i;

		memcpy(at, sections[i].name, strnlen(sections[i].name, 8));
		set32(at + 8, sections[i].memory_len);
		set32(at + 12, sections[i].address);
		set32(at + 16, sections[i].len);
		set32(at + 20, sections[i].offset);
		set32(at + 36, sections[i].flags);
	}
}

static const struct pe_section grub[] = {
	{ ".text", 0x1000, 0x1000, 0x1000, 0x400, 0x60000020 },
	{ ".data", 0x2000, 0x2000, 0x1000, 0x1400, 0xc0000040 },
	{ "mods", 0x1000, 0x4000, 0x1000, 0x2400, 0xc0000040 },
};

Test(object_image, an_efi_program_has_code_and_pointers_but_not_its_modules)
{
	ota_autofree uint8_t *image = malloc(IMAGE_LEN);
	OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };

	make_pe(image, grub, 3);
	cr_assert_eq(ota_object_parse((struct ota_bytes){ image, IMAGE_LEN }, &object),
		OTA_OK);
	cr_expect_str_eq(object.format, "pe");
	cr_expect_eq(object.len, 0x3400);
	cr_expect_eq(object.bounds.low, 0x101000);
	cr_expect_eq(object.bounds.high, 0x105000);
	cr_expect_eq(object.bounds.text_high, 0x102000);
	cr_assert_eq(object.span_count, 2);
	cr_assert_eq(object.region_count, 2);
	cr_expect_eq(object.regions[0].kind, OTA_REGION_A64);
	cr_expect_eq(object.regions[1].kind, OTA_REGION_PTR64);
	cr_expect_eq(object.regions[1].address, 0x102000);
}

Test(object_image, a_cut_efi_program_is_none)
{
	ota_autofree uint8_t *image = malloc(IMAGE_LEN);

	make_pe(image, grub, 3);
	for (size_t len = 0; len <= 0x3400; len++) {
		OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };
		ota_autofree uint8_t *copy = malloc(len + 1);

		memcpy(copy + 1, image, len);
		cr_assert_eq(
			ota_object_parse((struct ota_bytes){ copy + 1, len }, &object),
			len < 0x3400 ? OTA_E_NOTFOUND : OTA_OK, "%zu bytes", len);
	}
}

Test(object_image, a_program_is_found_by_its_header)
{
	ota_autofree uint8_t *image = malloc(IMAGE_LEN);
	uint64_t at = 0;

	make_pe(image, grub, 3);
	memmove(image + 12, image, IMAGE_LEN - 12);
	cr_assert(ota_object_find((struct ota_bytes){ image, IMAGE_LEN }, 4, &at));
	cr_expect_eq(at, 12);
}

/* Two pages of instructions, one of pointers, one of instructions. */
static void make_a64_kernel(uint8_t *image)
{
	for (unsigned i = 0; i < IMAGE_LEN; i += 8)
		if (i >> 12 == 2)
			set64(image + i, 0xffff800008000000 + i);
		else
			set64(image + i, 0xd503201f94000001);
	memset(image, 0, 64);
	set64(image + 16, IMAGE_LEN + 0x1000);
	memcpy(image + 56, "ARM\x64", 4);
}

Test(object_image, an_arm64_kernel_is_cut_in_code_and_data)
{
	static const uint8_t want[] = { OTA_REGION_A64, OTA_REGION_KERNEL64,
		OTA_REGION_A64 };
	ota_autofree uint8_t *image = malloc(IMAGE_LEN);
	OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };

	make_a64_kernel(image);
	cr_assert_eq(ota_object_parse((struct ota_bytes){ image, IMAGE_LEN }, &object),
		OTA_OK);
	cr_expect_str_eq(object.format, "kernel");
	cr_assert_eq(object.region_count, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(object.regions[i].kind, want[i], "region %u", i);
	cr_expect_eq(object.regions[1].offset, 0x2000);
	cr_expect_eq((uint64_t)object.regions[1].base, 0xffff800008000000);
	cr_expect_eq(object.bounds.high, IMAGE_LEN + 0x1000);
	cr_expect_eq(object.bounds.text_high, IMAGE_LEN);
}

Test(object_image, an_arm_kernel_is_known_by_its_first_instructions)
{
	ota_autofree uint8_t *image = malloc(IMAGE_LEN);
	OTA_AUTO(ota_object_fini) struct ota_object object = { 0 };

	for (unsigned i = 0; i < IMAGE_LEN; i += 4)
		set32(image + i, i < 0x2000 ? 0xe1a00000 : 0x80008000 + i);
	set32(image + 8, 0xe10f9000);
	set32(image + 12, 0xe229901a);
	cr_assert_eq(ota_object_parse((struct ota_bytes){ image, IMAGE_LEN }, &object),
		OTA_OK);
	cr_assert_eq(object.region_count, 2);
	cr_expect_eq(object.machine, 40);
	cr_expect_eq(object.regions[0].kind, OTA_REGION_A32);
	cr_expect_eq(object.regions[0].address, 0x80008000);
	cr_expect_eq(object.regions[1].kind, OTA_REGION_PTR32);
	cr_expect_eq(object.regions[1].len, 0x2000);
}
