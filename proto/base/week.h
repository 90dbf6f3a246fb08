#ifndef PROTO_BASE_WEEK_H
#define PROTO_BASE_WEEK_H

/* Hours of the week as people write them: "22:00-05:00", "mon-fri 01:00-04:30",
 * "sat,sun 00:00-24:00". */

#include "proto/base/error.h"

/** A window opens at from_min on each of its days and is open for len_min. */
struct ota_week_window {
	uint8_t days;      /* bit 0: Monday ... bit 6: Sunday; the days it begins on */
	uint16_t from_min; /* minute of the day, 0 .. 1439 */
	uint16_t len_min;  /* 1 .. 1440; may go over midnight */
};

/** "mon" ... "sun" */
extern const char *const ota_week_days[7];

/** Read one. Without days it is every day; to not after from: over midnight.
 *  OTA_OK, or OTA_E_CONFIG with what it must be like; out is written on success only. */
OTA_CHECKED enum ota_code ota_week_window_parse(
	const char *text, struct ota_week_window *out, struct ota_error *err);

#endif
