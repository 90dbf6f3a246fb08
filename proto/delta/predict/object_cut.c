#include "proto/delta/predict/object_cut.h"

enum { RECORD_HEAD_LEN = 4 };

/* Lengths from here on say that the record has another form. */
static const uint32_t record_len_extended = 0xfffffff0;

/* The region of len bytes at `at` within another one. */
static struct ota_region part_of(
	const struct ota_region *whole, uint64_t at, uint64_t len)
{
	struct ota_region part = *whole;

	part.offset += at;
	part.address += (int64_t)at;
	part.len = len;
	return part;
}

enum ota_code ota_cut_eh_frame(struct ota_build *build, const struct ota_region *whole)
{
	const uint8_t *in = build->in.at + whole->offset;
	uint64_t begin = 0, end = 0;
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && whole->len - end >= RECORD_HEAD_LEN) {
		uint64_t len = (uint64_t)ota_le32(in + end) + RECORD_HEAD_LEN;
		struct ota_region part = part_of(whole, begin, end - begin);

		if (len > whole->len - end ||
			len - RECORD_HEAD_LEN >= record_len_extended)
			break;
		if (end + len - begin > OTA_REF_PAGE) {
			rc = ota_build_region(build, &part);
			begin = len > OTA_REF_PAGE ? end + len : end;
		}
		end += len;
	}
	if (rc != OTA_OK || end <= begin)
		return rc;
	return ota_build_region(build,
		&(struct ota_region){ whole->offset + begin, end - begin,
			whole->address + (int64_t)begin, whole->base, whole->kind });
}

/* Cut in runs of pages of which `kind` says the same. */
static enum ota_code cut_pages(struct ota_build *build, const struct ota_region *whole,
	uint8_t (*kind)(struct ota_bytes page))
{
	struct ota_region run = part_of(whole, 0, 0);
	enum ota_code rc = OTA_OK;

	for (uint64_t at = 0; rc == OTA_OK && at < whole->len; at += OTA_REF_PAGE) {
		uint64_t left = whole->len - at;
		struct ota_region page =
			part_of(whole, at, left < OTA_REF_PAGE ? left : OTA_REF_PAGE);

		page.kind = kind((struct ota_bytes){
			build->in.at + page.offset, (size_t)page.len });
		if (run.len > 0 && page.kind != run.kind) {
			rc = ota_build_region(build, &run);
			run.len = 0;
		}
		if (run.len == 0)
			run = page;
		else
			run.len += page.len;
	}
	return rc != OTA_OK ? rc : ota_build_region(build, &run);
}

/* Most ARM instructions are unconditional: 0xE in the top four bits. */
static uint8_t arm_kind(struct ota_bytes page)
{
	size_t count = 0, words = page.len / 4;

	for (size_t i = 0; i < words; i++)
		count += page.at[4 * i + 3] >> 4 == 0xe;
	return count * 2 > words ? OTA_REGION_A32 : OTA_REGION_T32;
}

enum ota_code ota_cut_arm(struct ota_build *build, const struct ota_region *whole)
{
	return cut_pages(build, whole, arm_kind);
}

/* The top bytes of frequent A64 instructions. */
static bool is_a64_top(uint8_t top)
{
	static const uint8_t tops[] = { 0x0b, 0x12, 0x14, 0x17, 0x2a, 0x34, 0x35, 0x36,
		0x37, 0x39, 0x52, 0x54, 0x6b, 0x71, 0x8b, 0x90, 0x91, 0x94, 0x97, 0xa8,
		0xa9, 0xaa, 0xb0, 0xb4, 0xb5, 0xb9, 0xd0, 0xd2, 0xd5, 0xd6, 0xeb, 0xf0,
		0xf1, 0xf9 };

	for (size_t i = 0; i < sizeof tops; i++)
		if (tops[i] == top)
			return true;
	return false;
}

static uint8_t a64_kernel_kind(struct ota_bytes page)
{
	size_t count = 0, words = page.len / 4;

	for (size_t i = 0; i < words; i++)
		count += is_a64_top(page.at[4 * i + 3]);
	return count * 10 > words * 6 ? OTA_REGION_A64 : OTA_REGION_KERNEL64;
}

/* Cut, and note where code was found. */
static enum ota_code cut_kernel(struct ota_build *build, const struct ota_region *whole,
	uint8_t (*kind)(struct ota_bytes page), uint8_t code)
{
	uint32_t first = build->object.region_count;
	enum ota_code rc = cut_pages(build, whole, kind);

	for (uint32_t i = first; rc == OTA_OK && i < build->object.region_count; i++)
		if (build->object.regions[i].kind == code)
			ota_build_text(build, build->object.regions[i].address,
				build->object.regions[i].len);
	return rc;
}

enum ota_code ota_cut_a64_kernel(struct ota_build *build, const struct ota_region *whole)
{
	return cut_kernel(build, whole, a64_kernel_kind, OTA_REGION_A64);
}

static uint8_t arm_kernel_kind(struct ota_bytes page)
{
	return arm_kind(page) == OTA_REGION_A32 ? OTA_REGION_A32 : OTA_REGION_PTR32;
}

enum ota_code ota_cut_arm_kernel(struct ota_build *build, const struct ota_region *whole)
{
	return cut_kernel(build, whole, arm_kernel_kind, OTA_REGION_A32);
}
