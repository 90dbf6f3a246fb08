#include "proto/delta/predict/plan.h"

#include <criterion/criterion.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/compare.h"
#include "proto/delta/predict/couples.h"
#include "proto/delta/predict/judge.h"
#include "proto/delta/predict/place.h"
#include "proto/io/crew.h"
#include "tests/unit/elf_kit.h"
#include "tests/unit/plan_kit.h"

static void plan_of(const struct kit_patch *kit, struct ota_plan *plan)
{
	struct ota_plan_job job = { ota_buf_bytes(&kit->from), ota_buf_bytes(&kit->to),
		{ 0 }, { 0 } };
	struct ota_error err = { 0 };

	cr_assert_eq(ota_plan_make(&job, plan, &err), OTA_OK, "%s", err.text);
}

/* The laws of tables that every plan keeps. */
static void expect_order(const struct ota_plan *plan, const struct kit_patch *kit)
{
	const struct ota_tables *tables = &plan->tables;
	struct ota_ends ends = { kit->from.len, kit->to.len };
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	OTA_AUTO(ota_tables_fini) struct ota_tables again = { 0 };
	struct ota_error err = { 0 };
	uint64_t end = 0;

	for (uint32_t i = 0; i < tables->cover_count; i++) {
		const struct ota_cover *cover = &tables->covers[i];

		cr_assert(cover->len > 0 && cover->len <= OTA_COVER_MAX);
		cr_assert_geq(cover->to, end, "cover %u", i);
		end = cover->to + cover->len;
		cr_assert_leq(end, kit->to.len);
		cr_assert_leq(cover->from + cover->len, kit->from.len);
	}
	cr_assert(ota_tables_write(tables, &bytes) == OTA_OK);
	cr_assert_eq(ota_tables_read(ota_buf_bytes(&bytes), &ends, NULL, &again, &err),
		OTA_OK, "%s", err.text);
	cr_assert_eq(again.cover_count, tables->cover_count);
	cr_assert_eq(again.pair_count, tables->pair_count);
}

Test(predict_plan, covers_are_in_order_and_inside_both_images)
{
	for (unsigned i = 0; i < KIT_IMAGES; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };

		(void)kit_pair_of(&kit, i);
		plan_of(&kit, &plan);
		expect_order(&plan, &kit);
	}
}

Test(predict_plan, identical_images_are_one_cover_and_no_pair)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };

	kit_library(&kit.from, false);
	kit_library(&kit.to, false);
	plan_of(&kit, &plan);
	cr_assert_eq(plan.tables.cover_count, 1);
	cr_assert_eq(plan.tables.covers[0].len, kit.to.len);
	cr_assert_eq(plan.tables.pair_count, 0);
}

Test(predict_plan, without_an_old_image_or_a_new_one_nothing_is_covered)
{
	for (unsigned i = 0; i < 3; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };

		kit_images(&kit, i == 0 ? 5000 : 0, i == 1 ? 5000 : 0, false);
		plan_of(&kit, &plan);
		cr_expect_eq(plan.tables.cover_count, 0);
		cr_expect_eq(plan.tables.pair_count, 0);
	}
}

/* The cover that has this byte of the new image. */
static const struct ota_cover *cover_at(const struct ota_tables *tables, uint64_t to)
{
	uint32_t i = ota_tables_cover_at(tables, to);

	return i < tables->cover_count && tables->covers[i].to <= to ? &tables->covers[i]
								     : NULL;
}

Test(predict_plan, a_changed_library_is_a_pair_whose_covers_tell_and_whose_bss_is_pinned)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };
	const struct ota_pair *pair;

	kit_library(&kit.from, false);
	kit_library(&kit.to, true);
	plan_of(&kit, &plan);
	cr_assert_eq(plan.tables.pair_count, 1);
	pair = &plan.tables.pairs[0];
	cr_assert_gt(pair->region_count, 0);
	cr_assert_eq(pair->bounds.high, 0x3500);
	cr_assert_gt(pair->pin_count, 0);
	cr_expect_eq(pair->pins[pair->pin_count - 1].from, 0x3000);
	cr_expect_eq(pair->pins[pair->pin_count - 1].to, 0x3040);
	cr_expect_eq(pair->pins[pair->pin_count - 1].len, 0x4c0);
	cr_assert_not_null(cover_at(&plan.tables, 0x400 + 150 * 32));
	cr_expect(cover_at(&plan.tables, 0x400 + 150 * 32)->maps);
}

Test(predict_plan, a_library_in_an_archive_meets_its_older_self_under_another_version)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };
	const struct ota_pair *pair;

	kit_archives(&kit);
	plan_of(&kit, &plan);
	cr_assert_eq(plan.from.count, 3);
	cr_assert_eq(plan.tables.pair_count, 1);
	pair = &plan.tables.pairs[0];
	cr_expect_eq(pair->from[0].offset, 512);
	cr_expect_eq(pair->to[0].offset, 512 + 3072 + 512);
	cr_assert_not_null(cover_at(&plan.tables, 512));
	cr_expect_eq(cover_at(&plan.tables, 512)->len, 3000, "the file that moved");
}

Test(predict_plan, a_short_cover_from_far_away_tells_nothing)
{
	struct ota_cover covers[] = {
		{ 0, 0, 4000, true },
		{ 4000, 200000, 20, true },
		{ 4020, 4020, 4000, true },
	};
	OTA_AUTO(ota_pairs_fini) struct ota_pairs pairs = { 0 };
	struct ota_tables tables = { .covers = covers, .cover_count = 3 };

	pairs.at = calloc(1, sizeof *pairs.at);
	pairs.renames = calloc(1, sizeof *pairs.renames);
	pairs.at[0].from = malloc(sizeof *pairs.at[0].from);
	pairs.at[0].to = malloc(sizeof *pairs.at[0].to);
	*pairs.at[0].from = (struct ota_span){ 0, 300000, 0x1000 };
	*pairs.at[0].to = (struct ota_span){ 0, 300000, 0x1000 };
	pairs.at[0].from_count = pairs.at[0].to_count = pairs.count = pairs.cap = 1;
	cr_assert(ota_pairs_settle(&pairs, &tables) == OTA_OK);
	cr_expect(covers[0].maps && covers[2].maps);
	cr_expect(!covers[1].maps, "a stray one");
	tables.covers = NULL;
	ota_tables_fini(&tables);
}

/* An old item of two pieces and a hole, a new one of two that are cut elsewhere. */
static const struct ota_extent old_extents[] = { { 1000, 100 }, { OTA_HOLE, 50 },
	{ 5000, 100 } };
static const struct ota_extent new_extents[] = { { 7000, 60 }, { 100, 190 } };
static const struct ota_item old_item = { "a", old_extents, 3, 250 };
static const struct ota_item new_item = { "a", new_extents, 2, 250 };

Test(predict_plan, runs_between_items_in_pieces_are_placed_and_holes_are_dropped)
{
	static const struct ota_run want[] = { { 7000, 1000, 60 }, { 100, 1060, 40 },
		{ 190, 5000, 100 } };
	OTA_AUTO(ota_runs_fini) struct ota_runs placed = { 0 };
	struct ota_run all = { 0, 0, 250 };

	cr_assert(ota_place_runs(&old_item, &new_item, &(struct ota_runs){ &all, 1, 1 },
			  &placed) == OTA_OK);
	cr_assert_eq(placed.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		cr_expect_eq(placed.at[i].to, want[i].to, "run %u", i);
		cr_expect_eq(placed.at[i].from, want[i].from, "run %u", i);
		cr_expect_eq(placed.at[i].len, want[i].len, "run %u", i);
	}
}

Test(predict_plan, a_walk_finds_every_offset_in_any_order)
{
	struct ota_cursor walk = { .item = &old_item };
	uint64_t left;

	cr_expect_eq(ota_cursor_to(&walk, 249, &left), 5099);
	cr_expect_eq(left, 1);
	cr_expect_eq(ota_cursor_to(&walk, 0, &left), 1000);
	cr_expect_eq(left, 100);
	cr_expect_eq(ota_cursor_to(&walk, 120, &left), OTA_HOLE);
	cr_expect_eq(left, 30);
	cr_expect_eq(ota_cursor_to(&walk, 99, &left), 1099);
	cr_expect_eq(left, 1);
}

Test(predict_plan, an_item_in_pieces_is_loaded_with_zeros_for_its_hole)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
	OTA_AUTO(ota_loaded_fini) struct ota_loaded loaded = { 0 };
	static const uint8_t zeros[50];
	struct ota_items items;

	kit_noise(&image, 6000, 3);
	items = (struct ota_items){ .image = ota_buf_bytes(&image) };
	cr_assert(ota_item_load(&items, &old_item, &loaded) == OTA_OK);
	cr_expect_arr_eq(loaded.at, image.at + 1000, 100);
	cr_expect_arr_eq(loaded.at + 100, zeros, 50);
	cr_expect_arr_eq(loaded.at + 150, image.at + 5000, 100);
}

/* Each byte of an image belongs to one item at most, and what is not zero to one. */
Test(predict_plan, every_byte_of_an_archive_belongs_to_one_item)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(ota_items_fini) struct ota_items items = { 0 };
	uint8_t seen[65536] = { 0 };

	kit_archives(&kit);
	cr_assert_leq(kit.from.len, sizeof seen);
	cr_assert(ota_items_find(ota_buf_bytes(&kit.from), &items) == OTA_OK);
	for (uint32_t i = 0; i < items.count; i++)
		for (uint32_t k = 0; k < items.at[i].extent_count; k++) {
			const struct ota_extent *e = &items.at[i].extents[k];

			cr_assert_leq(e->offset + e->len, kit.from.len);
			for (uint64_t at = e->offset; at < e->offset + e->len; at++)
				cr_assert_eq(seen[at]++, 0, "byte %zu", (size_t)at);
		}
	for (size_t at = 0; at < kit.from.len; at++)
		cr_assert(seen[at] == 1 || kit.from.at[at] == 0, "byte %zu", at);
}

Test(predict_plan, masked_copies_of_a_library_that_moved_are_alike)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };
	OTA_AUTO(ota_loaded_fini) struct ota_loaded old = { 0 };
	OTA_AUTO(ota_loaded_fini) struct ota_loaded new = { 0 };
	static uint8_t a[65536], b[65536];

	kit_library(&kit.from, false);
	kit_library(&kit.to, true);
	plan_of(&kit, &plan);
	cr_assert(ota_item_load(&plan.from, plan.from.at, &old) == OTA_OK);
	cr_assert(ota_item_load(&plan.to, plan.to.at, &new) == OTA_OK);
	cr_assert(ota_item_parse(&old) == OTA_OK && ota_item_parse(&new) == OTA_OK);
	cr_assert_eq(old.part_count, 1);
	cr_assert(ota_item_mask(&old, a) == OTA_OK && ota_item_mask(&new, b) == OTA_OK);
	cr_assert_neq(memcmp(kit.from.at + 0x400, kit.to.at + 0x400, 80 * 32), 0);
	cr_assert_eq(memcmp(a + 0x400, b + 0x400, 80 * 32), 0);
	cr_assert_eq(memcmp(a + 0x400 + 80 * 32, b + 0x400 + 85 * 32, 120 * 32), 0);
}

Test(predict_plan, couples_are_found_by_path_and_the_rest_meets_the_rest)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(ota_items_fini) struct ota_items from = { 0 };
	OTA_AUTO(ota_items_fini) struct ota_items to = { 0 };
	int32_t partner[3];

	kit_archives(&kit);
	cr_assert(ota_items_find(ota_buf_bytes(&kit.from), &from) == OTA_OK);
	cr_assert(ota_items_find(ota_buf_bytes(&kit.to), &to) == OTA_OK);
	cr_assert_eq(to.count, 3);
	cr_assert(ota_couples_find(&from, &to, partner) == OTA_OK);
	cr_expect_eq(partner[0], 1, "the notes, by content");
	cr_expect_eq(partner[1], 0, "the library, by its path without a version");
	cr_expect_eq(partner[2], 2);
}

/* Append a library to an archive: a build-id, and a word over and over. */
static void add_build(struct ota_buf *tar, const char *path, char id, char word)
{
	const uint8_t note[] = { 4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0,
		(uint8_t)id };
	uint8_t words[512];
	const struct elf_kit_section sections[] = {
		{ ".note.id", 7, 2, 0x200, 0, 0, note, sizeof note },
		{ ".rodata", 1, 2, 0x300, 0, 0, words, sizeof words },
	};
	const struct elf_kit_file file = {
		.type = 3, .machine = ELF_KIT_A64, .sections = sections, .count = 2
	};
	OTA_AUTO(ota_buf_fini) struct ota_buf elf = { 0 };

	memset(words, word, sizeof words);
	elf = elf_kit_make(&file);
	kit_tar_add(tar, path, &elf);
}

Test(predict_plan, a_build_that_moved_is_a_couple_whatever_its_name)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(ota_items_fini) struct ota_items from = { 0 };
	OTA_AUTO(ota_items_fini) struct ota_items to = { 0 };
	int32_t partner[2];

	add_build(&kit.from, "lib/two", 1, 'a');
	add_build(&kit.from, "lib/one", 2, 'b');
	kit_tar_end(&kit.from);
	add_build(&kit.to, "usr/lib/one", 1, 'c');
	kit_tar_end(&kit.to);
	cr_assert(ota_items_find(ota_buf_bytes(&kit.from), &from) == OTA_OK);
	cr_assert(ota_items_find(ota_buf_bytes(&kit.to), &to) == OTA_OK);
	cr_assert_eq(to.count, 2);
	cr_assert(ota_couples_find(&from, &to, partner) == OTA_OK);
	cr_expect_str_eq(from.at[partner[0]].path, "lib/two");
}

/* What a progress has seen, and when it cancels. */
struct watch {
	uint64_t done;
	unsigned calls, cancel_at;
	bool fell;
};

static bool watch_tick(void *ctx, uint64_t done, uint64_t total)
{
	struct watch *watch = ctx;

	watch->fell |= done < watch->done || done > total;
	watch->done = done;
	return ++watch->calls != watch->cancel_at;
}

Test(predict_plan, it_can_be_cancelled_at_every_tick_with_any_crew)
{
	for (uint32_t workers = 1; workers <= 2; workers++) {
		enum ota_code rc = OTA_E_CANCELLED;
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		unsigned at = 0;

		kit_archives(&kit);
		while (rc == OTA_E_CANCELLED) {
			OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };
			struct watch watch = { .cancel_at = ++at };
			struct ota_plan_job job = { ota_buf_bytes(&kit.from),
				ota_buf_bytes(&kit.to), { &watch, watch_tick },
				{ &workers, ota_crew_run } };

			rc = ota_plan_make(&job, &plan, NULL);
			cr_assert(!watch.fell);
			cr_assert(rc == OTA_OK || rc == OTA_E_CANCELLED);
			cr_assert(workers > 1 || (rc == OTA_OK) == (watch.calls < at));
		}
		cr_assert(workers > 1 || at > 3, "with more, the others may do it all");
	}
}
