#include "orchestrator/core/freeze.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/json.h"

enum {
	DAY_S = 86400,
	DAY_MIN = 1440,
	DAYS = 7,
	MONDAY = 3, /* 1970-01-01 was a Thursday */
	YEAR_MIN = 1970,
	YEAR_MAX = 2199,
	CHAIN_MAX = 2 * SPEC_FREEZES_MAX, /* freezes that follow on one another */
};

/* ---- text */

static unsigned month_days(unsigned year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

static uint64_t days_before(unsigned year, unsigned month)
{
	uint64_t days = 0;

	for (unsigned y = YEAR_MIN; y < year; y++)
		days += month_days(y, 2) == 29 ? 366 : 365;
	for (unsigned m = 1; m < month; m++)
		days += month_days(year, m);
	return days;
}

void freeze_time_text(uint64_t utc_s, char out[static FREEZE_TIME_CAP])
{
	uint64_t days = utc_s / DAY_S;
	unsigned minute = (unsigned)(utc_s % DAY_S / 60), year = YEAR_MIN, month = 1;

	while (year < YEAR_MAX && days >= days_before(year + 1, 1))
		year++;
	days -= days_before(year, 1);
	while (month < 12 && days >= month_days(year, month))
		days -= month_days(year, month++);
	(void)snprintf(out, FREEZE_TIME_CAP, "%04u-%02u-%02uT%02u:%02uZ", year, month,
		(unsigned)days + 1, minute / 60, minute % 60);
}

/* "2026-12-20" or "2026-12-20T12:00", to its end; whole: it was a day. */
static bool read_moment(const char *text, uint64_t *utc_s, bool *whole)
{
	unsigned year, month, day, hour = 0, minute = 0;
	char end;
	int n = sscanf(
		text, "%4u-%2u-%2uT%2u:%2u%c", &year, &month, &day, &hour, &minute, &end);

	*whole = strlen(text) == 10 && n == 3;
	if (!*whole && (n != 5 || strlen(text) != 16))
		return false;
	if (year < YEAR_MIN || year > YEAR_MAX || month < 1 || month > 12 || day < 1 ||
		day > month_days(year, month) || hour > 23 || minute > 59)
		return false;
	*utc_s = (days_before(year, month) + day - 1) * DAY_S + hour * 3600 + minute * 60;
	return true;
}

static bool read_dates(const char *text, const char *dots, struct rollout_freeze *out)
{
	char first[SPEC_FREEZE_CAP];
	bool whole;

	(void)snprintf(first, sizeof first, "%.*s", (int)(dots - text), text);
	if (!read_moment(first, &out->from_s, &whole) ||
		!read_moment(dots + 2, &out->to_s, &whole))
		return false;
	if (whole)
		out->to_s += DAY_S;
	return out->from_s < out->to_s;
}

enum ota_code freeze_parse(
	const char *text, struct rollout_freeze *out, struct ota_error *err)
{
	struct rollout_freeze read = { .text = "" };
	const char *dots = strstr(text, "..");
	char shown[SPEC_FREEZE_CAP];

	ota_escape(text, shown, sizeof shown);
	if (strlen(text) >= sizeof read.text)
		return ota_fail(err, OTA_E_CONFIG, "'%s' is too long", shown);
	memcpy(read.text, text, strlen(text));
	if (dots != NULL && !read_dates(text, dots, &read))
		return ota_fail(err, OTA_E_CONFIG,
			"'%s' is no time like 2026-12-20..2027-01-05 or "
			"2026-12-20T12:00..2026-12-20T18:00 (UTC)",
			shown);
	if (dots == NULL && ota_week_window_parse(text, &read.week, NULL) != OTA_OK)
		return ota_fail(err, OTA_E_CONFIG,
			"'%s' is no time like 2026-12-20..2027-01-05 or fri-sun "
			"16:00-24:00 (UTC)",
			shown);
	*out = read;
	return OTA_OK;
}

/* ---- time */

/* The end of the weekly window that is open; 0: none is. */
static uint64_t week_end_s(const struct ota_week_window *week, uint64_t utc_s)
{
	uint64_t today = utc_s / DAY_S, end_s = 0;

	for (uint64_t day = today > 0 ? today - 1 : 0; day <= today; day++) {
		uint64_t from_s = day * DAY_S + week->from_min * 60;
		uint64_t to_s = from_s + week->len_min * 60;

		if ((week->days >> ((day + MONDAY) % DAYS) & 1) != 0 && utc_s >= from_s &&
			utc_s < to_s)
			end_s = to_s;
	}
	return end_s;
}

static uint64_t end_s(const struct rollout_freeze *freeze, uint64_t utc_s)
{
	if (freeze->to_s == 0)
		return week_end_s(&freeze->week, utc_s);
	return utc_s >= freeze->from_s && utc_s < freeze->to_s ? freeze->to_s : 0;
}

/* The one that holds, and lasts longest. */
static const struct rollout_freeze *longest(
	const struct rollout_spec *spec, uint64_t utc_s, uint64_t *until_s)
{
	const struct rollout_freeze *found = NULL;

	for (uint32_t i = 0; i < spec->freeze_count; i++) {
		uint64_t at_s = end_s(&spec->freezes[i], utc_s);

		if (at_s > 0 && (found == NULL || at_s > *until_s)) {
			found = &spec->freezes[i];
			*until_s = at_s;
		}
	}
	return found;
}

const struct rollout_freeze *freeze_now(
	const struct rollout_spec *spec, uint64_t utc_s, uint64_t *until_s)
{
	uint64_t end = utc_s;
	const struct rollout_freeze *found = longest(spec, utc_s, &end);

	for (int i = 0; found != NULL && i < CHAIN_MAX; i++)
		if (longest(spec, end, &end) == NULL)
			break;
	if (found != NULL && until_s != NULL)
		*until_s = end;
	return found;
}

/* ---- JSON */

cJSON *freezes_to_json(const struct rollout_spec *spec)
{
	OTA_AUTO(ota_json_fini) cJSON *array = cJSON_CreateArray();

	for (uint32_t i = 0; i < spec->freeze_count; i++)
		if (!cJSON_AddItemToArray(
			    array, cJSON_CreateString(spec->freezes[i].text)))
			return NULL;
	return ota_take(&array);
}

enum ota_code freezes_from_json(
	const cJSON *array, struct rollout_spec *out, struct ota_error *err)
{
	const cJSON *entry;

	cJSON_ArrayForEach(entry, array)
	{
		const char *text = cJSON_GetStringValue(entry);
		uint32_t i = out->freeze_count++;
		enum ota_code rc =
			freeze_parse(text != NULL ? text : "", &out->freezes[i], err);

		if (rc != OTA_OK)
			return ota_wrap(err, rc, "freeze[%u]", i);
	}
	return OTA_OK;
}
