#include <criterion/criterion.h>

#include <string.h>

#include "agent/core/policy.h"

enum { HOUR_S = 3600, DAY_S = 86400, MONDAY_UTC_S = 1790553600 /* 2026-09-28 00:00 */ };

static struct policy_window parsed(const char *text)
{
	struct policy_window window = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(policy_window_parse(text, &window, &err), OTA_OK, "%s: %s", text,
		err.text);
	return window;
}

Test(policy, windows_are_read_as_people_write_them)
{
	static const struct {
		const char *text;
		uint8_t days;
		uint16_t from_min, len_min;
	} rows[] = { { "22:00-05:00", 0x7f, 1320, 420 }, { "01:30-04:00", 0x7f, 90, 150 },
		{ "mon-fri 01:00-04:00", 0x1f, 60, 180 },
		{ "sat,sun 00:00-24:00", 0x60, 0, 1440 },
		{ "wed 12:00-12:00", 0x04, 720, 1440 },
		{ "sat-mon,thu 00:00-00:01", 0x69, 0, 1 } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct policy_window w = parsed(rows[i].text);

		cr_expect_eq(w.days, rows[i].days, "%s: %x", rows[i].text, w.days);
		cr_expect_eq(w.from_min, rows[i].from_min, "%s", rows[i].text);
		cr_expect_eq(w.len_min, rows[i].len_min, "%s", rows[i].text);
	}
}

Test(policy, what_is_no_window_is_refused)
{
	static const char *const rows[] = { "", "22:00", "22:00-", "22:00-5:00",
		"24:00-01:00", "22:60-23:00", "22:00-24:01", "22:00-23:00 ",
		"mon22:00-23:00", "mon- 22:00-23:00", "mon, 22:00-23:00",
		"mo 22:00-23:00", "Mon 22:00-23:00", "mon 22:00-23:00,", "-1:00-02:00",
		"2a:00-03:00", "~mon 01:00-02:00", "22.00-23:00", "22:0a-23:00" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct policy_window window = { .len_min = 7 };
		struct ota_error err = { 0 };

		cr_expect_eq(policy_window_parse(rows[i], &window, &err), OTA_E_CONFIG,
			"'%s'", rows[i]);
		cr_expect_neq(err.text[0], '\0');
		cr_expect_eq(window.len_min, 7);
	}
}

static struct policy_windows windows_of(const char *first, const char *second)
{
	struct policy_windows windows = { .at = { parsed(first) }, .count = 1 };

	if (second != NULL)
		windows.at[windows.count++] = parsed(second);
	return windows;
}

Test(policy, a_window_is_open_on_its_days_between_its_ends)
{
	static const struct {
		const char *window;
		unsigned day, hour, minute;
		bool open;
	} rows[] = { { "01:00-04:00", 0, 0, 59, false }, { "01:00-04:00", 0, 1, 0, true },
		{ "01:00-04:00", 6, 3, 59, true }, { "01:00-04:00", 0, 4, 0, false },
		{ "tue 01:00-04:00", 0, 2, 0, false },
		{ "tue 01:00-04:00", 1, 2, 0, true }, { "22:00-05:00", 2, 23, 0, true },
		{ "22:00-05:00", 3, 4, 59, true }, { "22:00-05:00", 3, 5, 0, false },
		{ "fri 22:00-05:00", 4, 21, 59, false },
		{ "fri 22:00-05:00", 5, 4, 59, true }, /* begun on Friday */
		{ "fri 22:00-05:00", 5, 22, 30, false },
		{ "sun 22:00-05:00", 0, 3, 0, true }, /* over the end of the week */
		{ "sat 00:00-24:00", 5, 23, 59, true },
		{ "sat 00:00-24:00", 6, 0, 0, false } };
	const struct policy_zone zone = { .offset_s = 2 * HOUR_S,
		.before_s = 2 * HOUR_S };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct policy_windows windows = windows_of(rows[i].window, NULL);
		uint64_t utc_s = MONDAY_UTC_S + rows[i].day * DAY_S +
				 rows[i].hour * HOUR_S + rows[i].minute * 60 - 2 * HOUR_S;

		cr_expect_eq(policy_windows_are_open(&windows, utc_s, &zone),
			rows[i].open, "row %zu: %s", i, rows[i].window);
	}
}

Test(policy, without_windows_it_is_always_open_and_with_two_either_opens)
{
	const struct policy_zone utc = { 0 };
	const struct policy_windows none = { 0 },
				    two = windows_of("01:00-02:00", "mon 10:00-11:00");

	cr_expect(policy_windows_are_open(&none, 5, &utc));
	cr_expect(policy_windows_are_open(&two, MONDAY_UTC_S + HOUR_S, &utc));
	cr_expect(policy_windows_are_open(&two, MONDAY_UTC_S + 10 * HOUR_S, &utc));
	cr_expect_not(policy_windows_are_open(&two, MONDAY_UTC_S + 12 * HOUR_S, &utc));
}

/* A clock at 1970 in a zone west of Greenwich. */
Test(policy, no_time_is_before_all_time)
{
	const struct policy_zone west = { .offset_s = -5 * HOUR_S };
	const struct policy_windows windows = windows_of("thu 00:00-01:00", NULL);

	cr_expect_not(policy_windows_are_open(&windows, 0, &west));
	cr_expect(policy_windows_are_open(&windows, 5 * HOUR_S + 60, &west));
}

/* Minutes that a window was open, and how often it opened, from one Saturday 12:00 to
 * Sunday 12:00 around a jump of the clock on Sunday at 01:00 UTC, as in Berlin. */
static void count_open(const char *text, int32_t before_s, int32_t after_s,
	unsigned *minutes, unsigned *times)
{
	const struct policy_windows windows = windows_of(text, NULL);
	uint64_t jump_utc_s = MONDAY_UTC_S - DAY_S + HOUR_S;
	bool was_open = false;

	*minutes = *times = 0;
	for (uint64_t utc_s = jump_utc_s - 14 * HOUR_S; utc_s < jump_utc_s + 11 * HOUR_S;
		utc_s += 60) {
		struct policy_zone zone = { before_s, before_s, 0 };
		bool open;

		if (utc_s >= jump_utc_s)
			zone = (struct policy_zone){ after_s, before_s, jump_utc_s };
		open = policy_windows_are_open(&windows, utc_s, &zone);
		*minutes += open;
		*times += open && !was_open;
		was_open = open;
	}
}

Test(policy, a_jump_of_the_clock_neither_skips_nor_doubles_a_window)
{
	static const struct {
		const char *window;
		unsigned spring_min, autumn_min;
	} rows[] = { { "02:00-03:00", 60, 60 }, /* skipped, and there twice */
		{ "02:15-02:45", 30, 30 }, { "01:00-04:00", 120, 180 },
		{ "23:00-05:00", 300, 360 }, { "01:00-02:30", 60, 90 },
		{ "02:30-04:00", 90, 90 }, { "04:00-05:00", 60, 60 },
		{ "01:00-02:00", 60, 60 }, { "sun 02:30-03:30", 60, 60 } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned minutes, times;

		count_open(rows[i].window, HOUR_S, 2 * HOUR_S, &minutes, &times);
		cr_expect_eq(minutes, rows[i].spring_min, "%s in spring: %u",
			rows[i].window, minutes);
		cr_expect_eq(times, 1, "%s in spring", rows[i].window);
		count_open(rows[i].window, 2 * HOUR_S, HOUR_S, &minutes, &times);
		cr_expect_eq(minutes, rows[i].autumn_min, "%s in autumn: %u",
			rows[i].window, minutes);
		cr_expect_eq(times, 1, "%s in autumn", rows[i].window);
	}
}

Test(policy, when_the_next_window_begins_is_said)
{
	const struct policy_zone zone = { .offset_s = HOUR_S, .before_s = HOUR_S };
	const struct policy_windows windows =
		windows_of("mon-fri 01:00-04:00", "sun 12:30-13:00");
	char text[POLICY_WINDOW_TEXT_CAP];

	policy_windows_next(&windows, MONDAY_UTC_S + 5 * HOUR_S, &zone, text);
	cr_expect_str_eq(text, "tue 01:00");
	policy_windows_next(&windows, MONDAY_UTC_S + 4 * DAY_S + 5 * HOUR_S, &zone, text);
	cr_expect_str_eq(text, "sun 12:30");
	policy_windows_next(
		&windows, MONDAY_UTC_S + 6 * DAY_S + 20 * HOUR_S, &zone, text);
	cr_expect_str_eq(text, "mon 01:00");
}
