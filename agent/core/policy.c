#include "agent/core/policy.h"

#include <stdio.h>

#include "proto/base/week.h"

enum {
	DAYS = 7,
	DAY_MIN = 1440,
	WEEK_MIN = DAYS * DAY_MIN,
	DAY_S = 86400,
	MONDAY = 3, /* 1970-01-01 was a Thursday */
};

/* ---- text */

enum ota_code policy_window_parse(
	const char *text, struct policy_window *out, struct ota_error *err)
{
	struct ota_week_window read;
	enum ota_code rc = ota_week_window_parse(text, &read, err);

	if (rc == OTA_OK)
		*out = (struct policy_window){ .days = read.days,
			.from_min = read.from_min,
			.len_min = read.len_min };
	return rc;
}

/* ---- time */

/* When the local clock first shows a time, in UTC; with the jump if it never does. */
static int64_t utc_of(const struct policy_zone *zone, int64_t local_s, bool *skipped)
{
	int64_t before_s = local_s - zone->before_s, after_s = local_s - zone->offset_s;
	int64_t jumped_s = (int64_t)zone->jumped_utc_s;

	*skipped = false;
	if (zone->jumped_utc_s == 0)
		return after_s;
	if (before_s < jumped_s)
		return before_s;
	*skipped = after_s < jumped_s;
	return *skipped ? jumped_s : after_s;
}

/* True if a window that begins on that local day (from 1970-01-01) is open. */
static bool is_open(const struct policy_window *window, int64_t day, int64_t utc_s,
	const struct policy_zone *zone)
{
	int64_t from_s = day * DAY_S + window->from_min * 60,
		len_s = window->len_min * 60;
	bool skipped, ignored;
	int64_t opens_s = utc_of(zone, from_s, &skipped);
	int64_t closes_s = utc_of(zone, from_s + len_s, &ignored);

	if ((window->days >> ((day + MONDAY) % DAYS) & 1) == 0)
		return false;
	if (skipped || closes_s > opens_s + len_s)
		closes_s = opens_s + len_s;
	return utc_s >= opens_s && utc_s < closes_s;
}

static int64_t local_of(uint64_t utc_s, const struct policy_zone *zone)
{
	int64_t local_s = (int64_t)utc_s + zone->offset_s;

	return local_s < 0 ? 0 : local_s;
}

bool policy_windows_are_open(const struct policy_windows *windows, uint64_t utc_s,
	const struct policy_zone *zone)
{
	int64_t today = local_of(utc_s, zone) / DAY_S;

	for (uint32_t i = 0; i < windows->count; i++)
		for (int64_t day = today > 0 ? today - 1 : 0; day <= today; day++)
			if (is_open(&windows->at[i], day, (int64_t)utc_s, zone))
				return true;
	return windows->count == 0;
}

/* Minutes until a window begins on a day of the week. */
static unsigned minutes_until(
	const struct policy_window *window, unsigned day, unsigned now_min)
{
	return (day * DAY_MIN + window->from_min + WEEK_MIN - now_min) % WEEK_MIN;
}

void policy_windows_next(const struct policy_windows *windows, uint64_t utc_s,
	const struct policy_zone *zone, char out[static POLICY_WINDOW_TEXT_CAP])
{
	int64_t local_min = local_of(utc_s, zone) / 60;
	unsigned now_min = (unsigned)((local_min + MONDAY * DAY_MIN) % WEEK_MIN);
	unsigned best = WEEK_MIN;

	for (uint32_t i = 0; i < windows->count; i++)
		for (unsigned day = 0; day < DAYS; day++) {
			unsigned until = minutes_until(&windows->at[i], day, now_min);

			if ((windows->at[i].days >> day & 1) != 0 && until < best)
				best = until;
		}
	now_min = (now_min + best) % WEEK_MIN;
	(void)snprintf(out, POLICY_WINDOW_TEXT_CAP, "%s %02u:%02u",
		ota_week_days[now_min / DAY_MIN % DAYS], now_min % DAY_MIN / 60 % 24,
		now_min % 60);
}
