#include "agent/port/local_time.h"

#include <time.h>

enum { LOOK_BACK_S = 2 * 86400 };

static int32_t offset_at(uint64_t utc_s)
{
	time_t at = (time_t)utc_s;
	struct tm local = { 0 };

	(void)localtime_r(&at, &local);
	return (int32_t)local.tm_gmtoff;
}

/* The first second, after one with another offset, that has the offset of the last. */
static uint64_t find_jump(uint64_t before_utc_s, uint64_t after_utc_s, int32_t after_s)
{
	while (after_utc_s - before_utc_s > 1) {
		uint64_t middle_utc_s = before_utc_s + (after_utc_s - before_utc_s) / 2;

		if (offset_at(middle_utc_s) == after_s)
			after_utc_s = middle_utc_s;
		else
			before_utc_s = middle_utc_s;
	}
	return after_utc_s;
}

struct policy_zone local_time_zone(uint64_t utc_s)
{
	uint64_t back_utc_s = utc_s > LOOK_BACK_S ? utc_s - LOOK_BACK_S : 0;
	struct policy_zone zone;

	tzset(); /* localtime_r() alone keeps the zone of the first call */
	zone = (struct policy_zone){ .offset_s = offset_at(utc_s),
		.before_s = offset_at(back_utc_s) };
	if (zone.before_s != zone.offset_s)
		zone.jumped_utc_s = find_jump(back_utc_s, utc_s, zone.offset_s);
	return zone;
}
