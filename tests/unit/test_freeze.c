#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/freeze.h"
#include "proto/base/own.h"

#define MONDAY UINT64_C(1799625600) /* 2027-01-11T00:00Z, a Monday */
#define DAY    UINT64_C(86400)
#define HOUR   UINT64_C(3600)

static struct rollout_spec *spec;

static void make(void)
{
	spec = calloc(1, sizeof *spec);
}

static void end(void)
{
	free(spec);
}

TestSuite(freeze, .init = make, .fini = end);

static void add(const char *text)
{
	struct ota_error err = { .text = "" };

	cr_assert_eq(freeze_parse(text, &spec->freezes[spec->freeze_count++], &err),
		OTA_OK, "%s", err.text);
}

/* Hours from now until the freeze has passed; 0: there is none. */
static uint64_t hours_left(uint64_t utc_s)
{
	uint64_t until_s = utc_s;

	return freeze_now(spec, utc_s, &until_s) != NULL ? (until_s - utc_s) / HOUR : 0;
}

Test(freeze, days_are_whole_and_moments_exact)
{
	add("2027-01-11..2027-01-12");
	cr_expect_eq(hours_left(MONDAY - 1), 0);
	cr_expect_eq(hours_left(MONDAY), 48);
	cr_expect_eq(hours_left(MONDAY + 2 * DAY - HOUR), 1);
	cr_expect_eq(hours_left(MONDAY + 2 * DAY), 0);
	add("2027-01-20T06:30..2027-01-20T08:30");
	cr_expect_eq(hours_left(MONDAY + 9 * DAY + 6 * HOUR), 0);
	cr_expect_eq(hours_left(MONDAY + 9 * DAY + 6 * HOUR + 1800), 2);
}

Test(freeze, hours_of_the_week_go_over_midnight)
{
	add("mon-tue 22:00-06:00");
	cr_expect_eq(hours_left(MONDAY + 21 * HOUR), 0);
	cr_expect_eq(hours_left(MONDAY + 22 * HOUR), 8);
	cr_expect_eq(hours_left(MONDAY + 2 * DAY + 5 * HOUR), 1, "it began on Tuesday");
	cr_expect_eq(hours_left(MONDAY + 5 * HOUR), 0, "it did not begin on Sunday");
}

Test(freeze, what_follows_at_once_is_one_freeze)
{
	add("fri 16:00-24:00");
	add("sat,sun 00:00-24:00");
	cr_expect_eq(hours_left(MONDAY + 4 * DAY + 16 * HOUR), 8 + 48);
	add("00:00-24:00");
	cr_expect_gt(hours_left(MONDAY), 24, "for ever, told as far as one looks");
}

Test(freeze, refuses_what_is_no_time)
{
	static const char *const texts[] = { "", "..", "2027-01-12..2027-01-11",
		"2027-02-29..2027-03-01", "2027-01-11T24:00..2027-01-12",
		"2027-1-11..2027-01-12", "1969-12-31..2027-01-12", "mon", "25:00-26:00",
		"2027-01-11..2027-01-12..2027-01-13", "2027-01-11.. 027-01-12",
		"0123456789012345678901234567890123456789012345678901234567890123" };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct ota_error err = { .text = "" };

		cr_expect_eq(freeze_parse(texts[i], &spec->freezes[0], &err),
			OTA_E_CONFIG, "%s", texts[i]);
		cr_expect_str_neq(err.text, "");
	}
	cr_expect_str_eq(spec->freezes[0].text, "", "nothing is written on failure");
}

Test(freeze, times_are_told_as_they_are_written)
{
	char text[FREEZE_TIME_CAP];

	freeze_time_text(MONDAY, text);
	cr_expect_str_eq(text, "2027-01-11T00:00Z");
	freeze_time_text(1835395200 + DAY - 60, text);
	cr_expect_str_eq(text, "2028-02-29T23:59Z");
	freeze_time_text(1861919999, text);
	cr_expect_str_eq(text, "2028-12-31T23:59Z");
	freeze_time_text(0, text);
	cr_expect_str_eq(text, "1970-01-01T00:00Z");
}

Test(freeze, leap_days_are_days)
{
	add("2028-02-29..2028-02-29");
	cr_expect_eq(spec->freezes[0].from_s, 1835395200);
	cr_expect_eq(spec->freezes[0].to_s, 1835395200 + DAY);
}
