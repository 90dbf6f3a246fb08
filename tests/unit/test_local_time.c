#include <criterion/criterion.h>

#include <stdlib.h>

#include "agent/port/local_time.h"

enum { HOUR_S = 3600, DAY_S = 86400 };

/* Central Europe, by its rule: no database of zones is needed. */
static void in_berlin(void)
{
	cr_assert_eq(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
}

TestSuite(local_time, .init = in_berlin);

enum { SPRING_UTC_S = 1774746000 /* 2026-03-29 01:00 */, AUTUMN_UTC_S = 1792890000 };

Test(local_time, away_from_jumps_there_is_only_an_offset)
{
	struct policy_zone zone = local_time_zone(SPRING_UTC_S - 10 * DAY_S);

	cr_expect_eq(zone.offset_s, HOUR_S);
	cr_expect_eq(zone.jumped_utc_s, 0);
	zone = local_time_zone(SPRING_UTC_S + 10 * DAY_S);
	cr_expect_eq(zone.offset_s, 2 * HOUR_S);
	cr_expect_eq(zone.jumped_utc_s, 0);
}

Test(local_time, a_jump_is_found_to_the_second)
{
	static const uint64_t after_s[] = { 0, 1, 59, HOUR_S, DAY_S, 2 * DAY_S - 1 };

	for (size_t i = 0; i < sizeof after_s / sizeof after_s[0]; i++) {
		struct policy_zone spring = local_time_zone(SPRING_UTC_S + after_s[i]);
		struct policy_zone autumn = local_time_zone(AUTUMN_UTC_S + after_s[i]);

		cr_expect_eq(spring.jumped_utc_s, SPRING_UTC_S, "row %zu", i);
		cr_expect_eq(spring.before_s, HOUR_S);
		cr_expect_eq(spring.offset_s, 2 * HOUR_S);
		cr_expect_eq(autumn.jumped_utc_s, AUTUMN_UTC_S, "row %zu", i);
		cr_expect_eq(autumn.before_s, 2 * HOUR_S);
		cr_expect_eq(autumn.offset_s, HOUR_S);
	}
	cr_expect_eq(local_time_zone(SPRING_UTC_S - 1).jumped_utc_s, 0, "not before");
}

Test(local_time, a_clock_at_the_beginning_of_time_is_no_trouble)
{
	cr_expect_eq(local_time_zone(0).offset_s, HOUR_S);
	cr_expect_eq(local_time_zone(5).jumped_utc_s, 0);
}
