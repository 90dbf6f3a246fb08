/* Makes the seeds of fuzz_predict and fuzz_tables: predict_seeds CORPUS, the folder that
 * holds predict/ and tables/. */

#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/predict.h"

static const struct seed {
	const char *name;
	uint8_t cut, in_place;
	uint32_t segment_len; /* bytes; 0: one segment */
	uint32_t flip;        /* offset of a byte that is not as predicted */
	bool cuts;            /* covers that cut references */
	uint8_t kind;         /* of the region, instead of code; 0: as it is */
} seeds[] = {
	{ "one-segment", 0, 0, 0, 300, false, 0 },
	{ "segments", 7, 0, 1000, 201, false, 0 },
	{ "resumed", 200, 31, 700, 500, false, 0 },
	{ "cuts", 3, 9, 1500, 4000, true, 0 },
};

/* Short covers in place of the last one. */
static void cut_covers(struct kit_tables *tables)
{
	struct ota_cover tail = tables->covers[--tables->tables.cover_count];

	for (uint32_t len = 1, at = 0; at + len < tail.len; at += len + len % 3, len++)
		kit_cover_add(tables, tail.to + at, tail.from + at, len);
}

static void write_file(const char *folder, const char *name, struct ota_bytes bytes)
{
	char path[4096];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "wbe");
	if (file == NULL || fwrite(bytes.at, 1, bytes.len, file) != bytes.len ||
		fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

static void write_seed(const char *corpus, const struct seed *seed)
{
	struct kit_patch kit = { 0 };
	struct kit_tables tables = { 0 };
	struct kit_making making = { .segment_len = seed->segment_len, .lay_max = 200 };
	struct ota_buf file = { 0 };
	char folder[4000];

	kit_program_add(&kit, &tables, &fuzz_program);
	kit.to.at[seed->flip] ^= 1;
	if (seed->cuts)
		cut_covers(&tables);
	if (seed->kind != 0)
		tables.regions[0].kind = seed->kind;
	if (kit_predict(&kit, &tables, &making, NULL) != OTA_OK ||
		ota_buf_add_u8(&file, seed->cut) != OTA_OK ||
		ota_buf_add_u8(&file, seed->in_place) != OTA_OK ||
		ota_buf_add(&file, ota_buf_bytes(&making.raw)) != OTA_OK)
		exit(1);
	(void)snprintf(folder, sizeof folder, "%s/predict", corpus);
	write_file(folder, seed->name, ota_buf_bytes(&file));
	ota_buf_fini(&file);
	kit_making_fini(&making);
	kit_patch_fini(&kit);
}

/* The same bytes taken for each other kind of region, for a mutation seldom makes one of
 * another that reads. */
static void write_kinds(const char *corpus)
{
	char name[32];
	struct seed seed = { .name = name, .segment_len = 2000, .flip = 300 };

	for (seed.kind = OTA_REGION_PLAIN + 1; seed.kind < OTA_REGION_KIND_COUNT;
		seed.kind++) {
		if (seed.kind == OTA_REGION_A64)
			continue;
		(void)snprintf(name, sizeof name, "kind-%u", seed.kind);
		write_seed(corpus, &seed);
	}
}

/* Two pairs with pins, and covers that map and that do not. */
static void write_tables(const char *corpus)
{
	struct ota_pin pins[] = { { -8, INT64_MAX, 8 }, { 0x10010, 5, 16 },
		{ INT64_MAX - 9, 0, 9 } };
	struct kit_patch kit = { 0 };
	struct kit_tables tables = { 0 };
	struct ota_buf file = { 0 };
	char folder[4000];

	kit_program_add(&kit, &tables, &fuzz_program);
	kit_program_add(&kit, &tables, &fuzz_program);
	cut_covers(&tables);
	tables.covers[0].maps = false;
	tables.covers[4].maps = false;
	tables.pairs[0].pins = pins;
	tables.pairs[0].pin_count = sizeof pins / sizeof pins[0];
	tables.regions[1].kind = OTA_REGION_JUMP32;
	tables.regions[1].base = 0x10000;
	if (ota_tables_write(&tables.tables, &file) != OTA_OK)
		exit(1);
	(void)snprintf(folder, sizeof folder, "%s/tables", corpus);
	write_file(folder, "pairs", ota_buf_bytes(&file));
	ota_buf_fini(&file);
	kit_patch_fini(&kit);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++)
		write_seed(argv[1], &seeds[i]);
	write_kinds(argv[1]);
	write_tables(argv[1]);
	return 0;
}
