#include "proto/base/week.h"

#include <stdbool.h>
#include <string.h>

enum { DAYS = 7, DAY_MIN = 1440, EVERY_DAY = (1 << DAYS) - 1 };

const char *const ota_week_days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

/* Each takes what it understands off *at, and says whether it did. */

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

static bool take_day(const char **at, unsigned *day)
{
	for (*day = 0; *day < DAYS; (*day)++)
		if (strncmp(*at, ota_week_days[*day], 3) == 0) {
			*at += 3;
			return true;
		}
	return false;
}

/* "mon" or "mon-fri"; "sat-mon" goes over the end of the week. */
static bool take_days(const char **at, uint8_t *days)
{
	unsigned first, last;

	if (!take_day(at, &first))
		return false;
	last = first;
	if (take_char(at, '-') && !take_day(at, &last))
		return false;
	for (unsigned day = first; day != last; day = (day + 1) % DAYS)
		*days |= (uint8_t)(1u << day);
	*days |= (uint8_t)(1u << last);
	return true;
}

static bool take_two_digits(const char **at, unsigned *value)
{
	*value = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (**at < '0' || **at > '9')
			return false;
		*value = *value * 10 + (unsigned)(*(*at)++ - '0');
	}
	return true;
}

static bool take_time(const char **at, unsigned max_min, unsigned *minute)
{
	unsigned hours, minutes;

	if (!take_two_digits(at, &hours) || !take_char(at, ':') ||
		!take_two_digits(at, &minutes) || minutes > 59)
		return false;
	*minute = hours * 60 + minutes;
	return *minute <= max_min;
}

static bool take_all_days(const char **at, uint8_t *days)
{
	*days = 0;
	do
		if (!take_days(at, days))
			return false;
	while (take_char(at, ','));
	return take_char(at, ' ');
}

enum ota_code ota_week_window_parse(
	const char *text, struct ota_week_window *out, struct ota_error *err)
{
	const char *at = text;
	uint8_t days = EVERY_DAY;
	unsigned from, to;

	if (*at >= 'a' && *at <= 'z' && !take_all_days(&at, &days))
		return ota_fail(err, OTA_E_CONFIG,
			"days must be like 'mon', 'mon-fri' or 'mon,wed,sat-sun', and a "
			"space");
	if (!take_time(&at, DAY_MIN - 1, &from) || !take_char(&at, '-') ||
		!take_time(&at, DAY_MIN, &to) || *at != '\0')
		return ota_fail(err, OTA_E_CONFIG,
			"a window must be like '22:00-05:00' or 'mon-fri 01:00-04:30'");
	*out = (struct ota_week_window){ .days = days,
		.from_min = (uint16_t)from,
		.len_min = (uint16_t)(to > from ? to - from : DAY_MIN - from + to) };
	return OTA_OK;
}
