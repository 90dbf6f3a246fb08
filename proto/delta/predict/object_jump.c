#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/object_cut.h"

enum { LEA_LEN = 7, ENTRY_LEN = 4, ENTRIES_MIN = 2, ADDRESSES_MAX = 1 << 20 };

/* Addresses that code takes, of what may be tables. */
struct addresses {
	int64_t *at; /* owned */
	size_t count, cap;
};

static enum ota_code keep(struct addresses *list, int64_t address)
{
	size_t cap = list->cap == 0 ? 256 : list->cap * 2;
	int64_t *at;

	if (list->count == ADDRESSES_MAX)
		return OTA_OK;
	if (list->count == list->cap) {
		at = realloc(list->at, cap * sizeof *at);
		if (at == NULL)
			return OTA_E_NOMEM;
		list->at = at;
		list->cap = cap;
	}
	list->at[list->count++] = address;
	return OTA_OK;
}

/* lea reg, [rip + offset] of a 64 bit register: 48..4f 8d 00rrr101. */
static enum ota_code find_leas(const struct ota_build *build,
	const struct ota_region *code, const struct ota_bounds *wanted,
	struct addresses *list)
{
	const uint8_t *begin = build->in.at + code->offset, *at = begin + 1;
	const uint8_t *end = begin + code->len;
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && end - at >= LEA_LEN - 1) {
		int64_t target;

		at = memchr(at, 0x8d, (size_t)(end - at) - (LEA_LEN - 2));
		if (at == NULL)
			break;
		target = code->address + (at - begin) + LEA_LEN - 1 +
			 (int32_t)ota_le32(at + 2);
		if ((at[-1] & 0xf8) == 0x48 && (at[1] & 0xc7) == 0x05 &&
			target % ENTRY_LEN == 0 && target >= wanted->low &&
			target < wanted->high)
			rc = keep(list, target);
		at++;
	}
	return rc;
}

static int by_address(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* How many bytes at a table's address read like offsets into code. */
static uint64_t table_len(
	const struct ota_build *build, const struct ota_region *data, int64_t address)
{
	const struct ota_bounds *bounds = &build->object.bounds;
	uint64_t begin = (uint64_t)(address - data->address), at = begin;

	for (; data->len - at >= ENTRY_LEN; at += ENTRY_LEN) {
		int64_t target =
			address + (int32_t)ota_le32(build->in.at + data->offset + at);

		if (target < bounds->text_low || target >= bounds->text_high)
			break;
	}
	return at - begin;
}

/* Tables in one region; a table ends where the next one begins. */
static enum ota_code cut_tables(
	struct ota_build *build, struct ota_region data, const struct addresses *list)
{
	enum ota_code rc = OTA_OK;
	int64_t end = data.address + (int64_t)data.len;
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->at[middle] < data.address)
			low = middle + 1;
		else
			high = middle;
	}
	for (; rc == OTA_OK && low < list->count && list->at[low] < end; low++) {
		int64_t address = list->at[low];
		struct ota_region table = {
			.address = address, .base = address, .kind = OTA_REGION_JUMP32
		};

		if (low + 1 < list->count && list->at[low + 1] == address)
			continue;
		table.offset = data.offset + (uint64_t)(address - data.address);
		data.len = (uint64_t)(end - data.address);
		if (low + 1 < list->count && list->at[low + 1] < end)
			data.len = (uint64_t)(list->at[low + 1] - data.address);
		table.len = table_len(build, &data, address);
		if (table.len >= ENTRIES_MIN * ENTRY_LEN)
			rc = ota_build_region(build, &table);
	}
	return rc;
}

static void addresses_fini(struct addresses *list)
{
	free(list->at);
}

enum ota_code ota_cut_jump_tables(struct ota_build *build)
{
	OTA_AUTO(addresses_fini) struct addresses list = { 0 };
	const struct ota_object *object = &build->object;
	uint32_t count = object->region_count;
	struct ota_bounds wanted = { INT64_MAX, INT64_MIN, 0, 0 };
	enum ota_code rc = OTA_OK;

	for (uint32_t i = 0; i < count; i++) {
		const struct ota_region *region = &object->regions[i];
		int64_t end = region->address + (int64_t)region->len;

		if (region->kind != OTA_REGION_PLAIN)
			continue;
		wanted.low = region->address < wanted.low ? region->address : wanted.low;
		wanted.high = end > wanted.high ? end : wanted.high;
	}
	for (uint32_t i = 0; rc == OTA_OK && i < count; i++)
		if (object->regions[i].kind == OTA_REGION_X64)
			rc = find_leas(build, &object->regions[i], &wanted, &list);
	if (list.count > 1)
		qsort(list.at, list.count, sizeof *list.at, by_address);
	for (uint32_t i = 0; rc == OTA_OK && i < count; i++)
		if (object->regions[i].kind == OTA_REGION_PLAIN)
			rc = cut_tables(build, object->regions[i], &list);
	return rc;
}
