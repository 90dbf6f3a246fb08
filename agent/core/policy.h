#ifndef AGENT_CORE_POLICY_H
#define AGENT_CORE_POLICY_H

/* What the owner of a device allows, whatever is ordered: agent.yaml says it, and it
 * holds offline too. An order's own window stays beside it: both have to be open.
 *
 * A window opens once at its beginning, and closes when the local clock first reaches its
 * end, but never stays open for longer than it says. One whose beginning a jump of the
 * clock passes over opens with the jump and is as long as always. So no jump of
 * daylight-saving time skips a window or opens it twice. */

#include "proto/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	POLICY_WINDOWS_MAX = 16,
	POLICY_WINDOW_TEXT_CAP = 16, /* "mon 01:00", with the NUL */
};

/** The local time zone as it is now, and its last jump. */
struct policy_zone {
	int32_t offset_s;      /* local time minus UTC */
	int32_t before_s;      /* the same before the jump */
	uint64_t jumped_utc_s; /* when; 0: not within the last two days */
};

struct policy_window {
	uint8_t days;      /* on which it begins; bit 0 is Monday */
	uint16_t from_min; /* of the local day, 0 .. 1439 */
	uint16_t len_min;  /* 1 .. 1440 */
};

/** `= { 0 }`: always open. */
struct policy_windows {
	struct policy_window at[POLICY_WINDOWS_MAX];
	uint32_t count;
};

/** `= { 0 }` allows everything. */
struct policy {
	struct policy_windows download, reboot;
	bool asks_metered;          /* the script `metered` before and while fetching */
	bool metered_security;      /* ... but not for releases of class security */
	bool asks_power, asks_lock; /* the scripts before installing, before a reboot */
	uint64_t budget_bytes;      /* received for a rollout at most; 0: no limit */
	uint64_t rate_min; /* bytes/s over ten minutes, or fetching rests; 0: no limit */
};

/** Parse "[DAYS ]HH:MM-HH:MM": DAYS are days or ranges of them with commas between, like
 *  "mon-fri,sun"; without them every day. A window that ends no later than it begins goes
 *  over midnight; 24:00 is an end. OTA_OK or OTA_E_CONFIG, with what is wrong. */
OTA_CHECKED enum ota_code policy_window_parse(
	const char *text, struct policy_window *out, struct ota_error *err);

/** True if one of the windows is open, or there are none. */
bool policy_windows_are_open(const struct policy_windows *windows, uint64_t utc_s,
	const struct policy_zone *zone);

/** When the next of the windows begins ("mon 01:00"), if the clock does not jump. */
void policy_windows_next(const struct policy_windows *windows, uint64_t utc_s,
	const struct policy_zone *zone, char out[static POLICY_WINDOW_TEXT_CAP]);

#endif
