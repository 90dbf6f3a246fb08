#include "proto/delta/predict/map.h"

#include <criterion/criterion.h>

#include "proto/base/own.h"

/* One pair whose old object has two spans (offset 100 at address 1000, offset 300 at
 * address 5000) and whose new object has two (offset 200 at 2000, offset 500 at 9000),
 * each of 100 bytes. */
struct object {
	struct ota_cover covers[4];
	struct ota_pin pins[3];
	uint32_t cover_count, pin_count;
};

static void build(const struct object *object, struct ota_map *map)
{
	struct ota_span from[] = { { 100, 100, 1000 }, { 300, 100, 5000 } };
	struct ota_span to[] = { { 200, 100, 2000 }, { 500, 100, 9000 } };
	struct ota_cover covers[4];
	struct ota_pin pins[3];
	struct ota_pair pair = { .from = from,
		.to = to,
		.pins = pins,
		.from_count = 2,
		.to_count = 2,
		.pin_count = object->pin_count };
	struct ota_tables tables = { .covers = covers,
		.pairs = &pair,
		.cover_count = object->cover_count,
		.pair_count = 1 };

	for (unsigned i = 0; i < 4; i++)
		covers[i] = object->covers[i];
	for (unsigned i = 0; i < 3; i++)
		pins[i] = object->pins[i];
	cr_assert(ota_map_build(map, &tables, &pair) == OTA_OK);
}

static void expect_parts(
	const struct object *object, const struct ota_map_part *want, uint32_t count)
{
	OTA_AUTO(ota_map_fini) struct ota_map map = { 0 };

	build(object, &map);
	cr_assert_eq(map.count, count, "%u parts", map.count);
	for (uint32_t i = 0; i < count; i++) {
		cr_expect_eq(map.parts[i].from, want[i].from, "part %u", i);
		cr_expect_eq(map.parts[i].to, want[i].to, "part %u", i);
		cr_expect_eq(map.parts[i].len, want[i].len, "part %u", i);
	}
}

Test(predict_map, covers_are_cut_at_spans_on_both_sides)
{
	/* from 50 .. 450, to 150 .. 550 */
	const struct object object = { .covers = { { 150, 50, 400, true } },
		.cover_count = 1 };
	const struct ota_map_part want[] = { { 1000, 2000, 100 }, { 5100, 0, 0 } };

	expect_parts(&object, want, 1);
}

Test(predict_map, a_cover_that_reaches_two_spans_makes_two_parts)
{
	/* old 100..400 to new 210..510: the first 90 bytes, and old 390.. at new 500.. */
	const struct object object = { .covers = { { 210, 100, 300, true } },
		.cover_count = 1 };
	const struct ota_map_part want[] = { { 1000, 2010, 90 }, { 5090, 9000, 10 } };

	expect_parts(&object, want, 2);
}

Test(predict_map, covers_that_do_not_map_tell_nothing)
{
	const struct object object = { .covers = { { 200, 100, 100, false } },
		.cover_count = 1 };

	expect_parts(&object, NULL, 0);
}

Test(predict_map, of_two_claims_the_earlier_one_holds)
{
	const struct object object = { .covers = { { 200, 150, 30, true },
					       { 500, 140, 20, true } },
		.cover_count = 2 };
	const struct ota_map_part want[] = { { 1040, 9000, 20 }, { 1060, 2010, 20 } };

	expect_parts(&object, want, 2);
}

Test(predict_map, of_two_claims_that_begin_together_the_longer_one_holds)
{
	const struct object object = { .covers = { { 200, 150, 30, true },
					       { 500, 150, 40, true } },
		.cover_count = 2 };
	const struct ota_map_part want[] = { { 1050, 9000, 40 } };

	expect_parts(&object, want, 1);
}

Test(predict_map, pieces_that_continue_each_other_are_one)
{
	const struct object object = { .covers = { { 200, 100, 30, true },
					       { 230, 130, 40, true } },
		.cover_count = 2 };
	const struct ota_map_part want[] = { { 1000, 2000, 70 } };

	expect_parts(&object, want, 1);
}

Test(predict_map, pins_win_over_covers)
{
	const struct object object = { .covers = { { 200, 100, 100, true } },
		.pins = { { 500, 0, 501 }, { 1010, 7, 10 }, { 1090, 8, 100 } },
		.cover_count = 1,
		.pin_count = 3 };
	const struct ota_map_part want[] = { { 500, 0, 501 }, { 1001, 2001, 9 },
		{ 1010, 7, 10 }, { 1020, 2020, 70 }, { 1090, 8, 100 } };

	expect_parts(&object, want, 5);
}

Test(predict_map, pins_alone_make_a_map)
{
	const struct object object = { .pins = { { INT64_MIN, 1, 10 },
					       { 20, 30, INT64_MAX - 20 } },
		.pin_count = 2 };
	const struct ota_map_part want[] = { { INT64_MIN, 1, 10 },
		{ 20, 30, INT64_MAX - 20 } };

	expect_parts(&object, want, 2);
}

Test(predict_map, an_address_goes_with_the_part_before_it)
{
	static const int64_t from[] = { 0, 999, 1000, 1089, 1090, 5089, 5090, 9999 };
	static const int64_t want[] = { 1010, 2009, 2010, 2099, 2100, 6099, 9000, 13909 };
	const struct object object = { .covers = { { 210, 100, 300, true } },
		.cover_count = 1 };
	OTA_AUTO(ota_map_fini) struct ota_map map = { 0 };

	build(&object, &map);
	for (unsigned i = 0; i < sizeof from / sizeof from[0]; i++) {
		int64_t to = -1;

		cr_expect(ota_map_get(&map, from[i], &to));
		cr_expect_eq(to, want[i], "%lld", (long long)to);
	}
}

Test(predict_map, where_the_last_one_was_found_does_not_matter)
{
	const struct object object = {
		.pins = { { 10, 1000, 5 }, { 30, 500, 9 }, { 90, 70, 1 } }, .pin_count = 3
	};
	OTA_AUTO(ota_map_fini) struct ota_map map = { 0 };

	build(&object, &map);
	for (uint32_t tried = 0; tried < map.count + 2; tried++)
		for (int64_t from = 0; from < 110; from++) {
			uint32_t part = tried;
			int64_t to = -1, want = -2;

			cr_expect(ota_map_get(&map, from, &want));
			cr_expect(ota_map_get_next(&map, &part, from, &to));
			cr_expect_eq(to, want, "%lld", (long long)from);
		}
}

Test(predict_map, results_wrap)
{
	const struct object object = { .pins = { { 0, INT64_MAX, 2 } }, .pin_count = 1 };
	OTA_AUTO(ota_map_fini) struct ota_map map = { 0 };
	int64_t to = 0;

	build(&object, &map);
	cr_expect(ota_map_get(&map, 1, &to));
	cr_expect_eq(to, INT64_MIN);
	cr_expect(ota_map_get(&map, INT64_MIN, &to));
	cr_expect_eq(to, -1);
}

Test(predict_map, an_empty_map_says_nothing)
{
	OTA_AUTO(ota_map_fini) struct ota_map map = { 0 };
	int64_t to = 5;

	build(&(struct object){ 0 }, &map);
	cr_expect(!ota_map_get(&map, 1, &to));
	cr_expect_eq(to, 5);
}

Test(predict_map, a_map_is_built_again_in_its_own_memory)
{
	const struct object more = { .covers = { { 200, 150, 30, true },
					     { 500, 140, 20, true } },
		.cover_count = 2 };
	const struct object less = { .covers = { { 200, 100, 9, true } },
		.cover_count = 1 };
	struct ota_heap heap = { .max = 10000 };
	struct ota_map map = { .heap = &heap };
	uint64_t peak;

	build(&more, &map);
	peak = heap.peak;
	build(&less, &map);
	cr_expect_eq(map.count, 1);
	cr_expect_eq(heap.peak, peak);
	ota_map_fini(&map);
	cr_expect_eq(heap.held, 0);
}
