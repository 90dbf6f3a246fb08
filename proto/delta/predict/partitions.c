#include "proto/delta/predict/partitions.h"

#include <stdlib.h>
#include <string.h>

#include "proto/delta/predict/members_read.h"

enum {
	SECTOR = 512,          /* bytes, of an MBR */
	MBR_ENTRIES = 446,     /* offset */
	MBR_ENTRY_LEN = 16,    /* bytes */
	MBR_PRIMARY = 4,       /* entries */
	MBR_LOGICAL_FIRST = 5, /* number */
	MBR_MAGIC = 510,       /* offset */
	MBR_GPT = 0xee,        /* type: all of the disk, for those that know no GPT */
	GPT_HEADER_LEN = 92,   /* bytes */
	GPT_ENTRY_LEN_MIN = 128,
	GPT_ENTRY_LEN_MAX = 4096,
};

struct table {
	struct ota_bytes image;
	struct ota_partition *at; /* OTA_PARTITIONS_MAX */
	unsigned count;
};

static void add(struct table *table, unsigned number, uint64_t offset, uint64_t len)
{
	if (offset == 0 || offset >= table->image.len || len == 0 ||
		table->count == OTA_PARTITIONS_MAX)
		return;
	if (len > table->image.len - offset)
		len = table->image.len - offset;
	table->at[table->count++] = (struct ota_partition){ offset, len, number };
}

/* One row of a GPT: type at 0, first sector at 32, last sector at 40. */
static void add_gpt(
	struct table *table, unsigned number, const uint8_t *row, uint32_t sector)
{
	static const uint8_t unused[16];
	uint64_t first = ota_le64(row + 32), last = ota_le64(row + 40);

	if (memcmp(row, unused, sizeof unused) == 0 || last < first ||
		first > table->image.len / sector)
		return;
	if (last > table->image.len / sector)
		last = table->image.len / sector;
	add(table, number, first * sector, (last - first + 1) * sector);
}

static void read_gpt(struct table *table, uint32_t sector)
{
	struct ota_bytes header, row;
	uint64_t rows;
	uint32_t count, len;

	if (!ota_stands_at(table->image, sector, "EFI PART") ||
		!ota_within(table->image, sector, GPT_HEADER_LEN, &header))
		return;
	rows = ota_le64(header.at + 72);
	count = ota_le32(header.at + 80);
	len = ota_le32(header.at + 84);
	if (rows > table->image.len / sector || count > OTA_PARTITIONS_MAX ||
		len < GPT_ENTRY_LEN_MIN || len > GPT_ENTRY_LEN_MAX)
		return;
	for (uint32_t i = 0; i < count; i++)
		if (ota_within(
			    table->image, rows * sector + (uint64_t)i * len, len, &row))
			add_gpt(table, i + 1, row.at, sector);
}

/* The boot record at an offset, or NULL. */
static const uint8_t *boot_record(struct ota_bytes image, uint64_t offset)
{
	struct ota_bytes record;

	if (!ota_within(image, offset, SECTOR, &record) || record.at[MBR_MAGIC] != 0x55 ||
		record.at[MBR_MAGIC + 1] != 0xaa)
		return NULL;
	return record.at;
}

/* Kinds of extended partition: a chain of boot records lies in it. */
static bool is_chain(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* Each record names a logical partition, counted from itself, and the next record,
 * counted from the chain's first. */
static void read_chain(struct table *table, uint64_t first)
{
	uint64_t here = first;

	for (unsigned number = MBR_LOGICAL_FIRST; number < OTA_PARTITIONS_MAX; number++) {
		const uint8_t *record = boot_record(table->image, here);
		const uint8_t *row = record == NULL ? NULL : record + MBR_ENTRIES;

		if (record == NULL)
			return;
		add(table, number, here + (uint64_t)ota_le32(row + 8) * SECTOR,
			(uint64_t)ota_le32(row + 12) * SECTOR);
		row += MBR_ENTRY_LEN;
		if (!is_chain(row[4]))
			return;
		here = first + (uint64_t)ota_le32(row + 8) * SECTOR;
	}
}

/* A boot sector of a file system has the same magic: its code seldom looks like rows. */
static bool is_mbr(const uint8_t *record)
{
	for (unsigned i = 0; i < MBR_PRIMARY; i++) {
		const uint8_t *row = record + MBR_ENTRIES + i * MBR_ENTRY_LEN;
		bool used = row[4] != 0;

		if ((row[0] & 0x7f) != 0 || row[4] == MBR_GPT ||
			used != (ota_le32(row + 8) != 0))
			return false;
	}
	return true;
}

static void read_mbr(struct table *table)
{
	const uint8_t *record = boot_record(table->image, 0);

	if (record == NULL || !is_mbr(record))
		return;
	for (unsigned i = 0; i < MBR_PRIMARY; i++) {
		const uint8_t *row = record + MBR_ENTRIES + i * MBR_ENTRY_LEN;
		uint64_t offset = (uint64_t)ota_le32(row + 8) * SECTOR;

		if (is_chain(row[4]))
			read_chain(table, offset);
		else if (row[4] != 0)
			add(table, i + 1, offset, (uint64_t)ota_le32(row + 12) * SECTOR);
	}
}

static int offset_order(const void *left, const void *right)
{
	const struct ota_partition *a = left, *b = right;

	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return (a->number > b->number) - (a->number < b->number);
}

unsigned ota_partitions_find(
	struct ota_bytes image, struct ota_partition out[static OTA_PARTITIONS_MAX])
{
	struct table table = { .image = image, .at = out };
	uint64_t end = 0;
	unsigned kept = 0;

	read_gpt(&table, SECTOR);
	if (table.count == 0)
		read_gpt(&table, 4096);
	if (table.count == 0)
		read_mbr(&table);
	qsort(out, table.count, sizeof *out, offset_order);
	for (unsigned i = 0; i < table.count; i++)
		if (out[i].offset >= end) {
			end = out[i].offset + out[i].len;
			out[kept++] = out[i];
		}
	return kept;
}
