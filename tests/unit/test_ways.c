#include <criterion/criterion.h>

#include "proto/delta/predict/ways.h"

Test(ways, a_way_taken_lately_has_a_number)
{
	struct ota_ways put = { 0 }, read = { 0 };
	static const uint64_t ways[] = { 0, 16, 0, 16, 5, UINT64_MAX, 0, 5 };
	static const uint32_t numbers[] = { 1, 0, 2, 2, 0, 0, 4, 3 };

	for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		int64_t step = 0;
		uint32_t number = ota_ways_put(&put, ways[i], &step);
		uint64_t way = 0;

		cr_expect_eq(number, numbers[i], "%u: %u", i, number);
		if (number > 0)
			cr_expect(ota_ways_take(&read, number - 1, &way), "%u", i);
		else
			cr_expect(ota_ways_add(&read, step, &way), "%u", i);
		cr_expect_eq(way, ways[i], "%u", i);
	}
}

Test(ways, a_way_that_has_a_number_is_not_added)
{
	struct ota_ways ways = { 0 };
	uint64_t way = 77;

	cr_expect_not(ota_ways_add(&ways, 0, &way), "0 is known from the start");
	cr_expect_not(ota_ways_take(&ways, 1, &way), "as number 0");
	cr_expect(ota_ways_add(&ways, -16, &way));
	cr_expect_eq(way, (uint64_t)-16);
	cr_expect_not(ota_ways_add(&ways, 16, &way));
	cr_expect_eq(way, (uint64_t)-16);
}

Test(ways, the_one_not_taken_for_longest_is_forgotten)
{
	struct ota_ways ways = { 0 };
	int64_t step;

	for (uint64_t i = 1; i <= OTA_WAYS; i++)
		cr_expect_eq(ota_ways_put(&ways, i, &step), 0);
	cr_expect_eq(ota_ways_put(&ways, 1, &step), OTA_WAYS);
	cr_expect_eq(ota_ways_put(&ways, OTA_WAYS + 1, &step), 0);
	cr_expect_eq(ota_ways_put(&ways, 2, &step), 0, "it was the oldest");
}

Test(ways, a_short_cover_that_moved_unlike_the_long_ones_does_not_tell)
{
	struct ota_cover covers[] = {
		{ 0, 1000, 500, false },
		{ 500, 90000, 20, true }, /* from somewhere else */
		{ 520, 1540, 20, false }, /* with the one before, nearly */
		{ 600, 1700, 128, false },
		{ 800, 50000, 200, false }, /* long enough to be right */
		{ 1000, 50180, 10, false },
	};
	static const bool maps[] = { true, false, true, true, true, true };

	ota_covers_doubt(covers, 6);
	for (unsigned i = 0; i < 6; i++)
		cr_expect_eq(covers[i].maps, maps[i], "%u", i);
}

Test(ways, where_all_is_short_all_tells)
{
	struct ota_cover covers[] = { { 0, 1000, 5, false }, { 9, 90000, 20, false } };

	ota_covers_doubt(covers, 2);
	cr_expect(covers[0].maps && covers[1].maps);
	ota_covers_doubt(covers, 0);
}
