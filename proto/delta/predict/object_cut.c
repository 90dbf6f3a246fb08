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
		uint64_t len = (uint64_t)ota_object_u32(in + end) + RECORD_HEAD_LEN;
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
