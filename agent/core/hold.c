#include <inttypes.h>
#include <string.h>

#include "agent/core/inner.h"

/* What the device's own policy holds back. Windows are looked at first, then the scripts
 * of the state are asked, one after the other; what holds back is asked again after a
 * while, and has its code in the report. */

enum {
	RECHECK_MS = 60000, /* of what may change while chunks come in */
	SLOW_MINUTES = 10,  /* over which the rate is measured */
	SLOW_RETRY_MS = SLOW_MINUTES * RECHECK_MS
};

static const struct {
	const char *hook;
	enum ota_code code;
} checks[AGENT_N_CHECKS] = {
	[AGENT_CHECK_METERED] = { "metered", OTA_E_METERED },
	[AGENT_CHECK_POWER] = { "power", OTA_E_POWER },
	[AGENT_CHECK_LOCK] = { "lock", OTA_E_LOCKED },
};

static bool is_security(const struct agent *a)
{
	return a->papers.has[OTA_TOPIC_RELEASE] &&
	       a->papers.release.class == OTA_CLASS_SECURITY;
}

static bool is_asked(const struct agent *a, enum agent_check check)
{
	const struct policy *p = &a->policy;
	enum ota_update_state state = a->journal.state;

	switch (check) {
	case AGENT_CHECK_METERED:
		return p->asks_metered && state == OTA_UPDATE_FETCHING &&
		       !(p->metered_security && is_security(a));
	case AGENT_CHECK_POWER:
		return p->asks_power &&
		       (state == OTA_UPDATE_INSTALLING || state == OTA_UPDATE_ARMED);
	case AGENT_CHECK_LOCK:
		return p->asks_lock && state == OTA_UPDATE_ARMED;
	case AGENT_N_CHECKS:
		break;
	}
	return false;
}

static bool is_closed(const struct agent *a, const struct policy_windows *windows,
	const char *what, struct ota_error *why)
{
	char next[POLICY_WINDOW_TEXT_CAP];

	if (policy_windows_are_open(windows, a->now.utc_s, &a->now.zone))
		return false;
	policy_windows_next(windows, a->now.utc_s, &a->now.zone, next);
	(void)ota_fail(why, OTA_E_WINDOW,
		"the device's own policy: %s from %s local time", what, next);
	return true;
}

bool hold_download(const struct agent *a, struct ota_error *why)
{
	return is_closed(a, &a->policy.download, "download", why);
}

static bool is_window_closed(const struct agent *a, struct ota_error *why)
{
	if (a->journal.state == OTA_UPDATE_FETCHING)
		return hold_download(a, why);
	return a->journal.state == OTA_UPDATE_ARMED &&
	       is_closed(a, &a->policy.reboot, "reboot", why);
}

/* Ask the next script. True if one was asked. */
static OTA_CHECKED enum ota_code ask(struct agent *a, bool *asked, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	while (a->check < AGENT_N_CHECKS) {
		enum agent_check check = a->check++;

		if (!is_asked(a, check))
			continue;
		rc = work_start_hook(a, checks[check].hook, err);
		a->asking = rc == OTA_OK;
		break;
	}
	*asked = a->asking;
	return rc;
}

enum ota_code hold_work(struct agent *a, bool *held, struct ota_error *err)
{
	struct ota_error why = { 0 };

	if (is_window_closed(a, &why)) {
		work_park(a, why.code, why.text, WORK_RETRY_MS);
		*held = true;
		return OTA_OK;
	}
	return ask(a, held, err);
}

enum ota_code hold_answered(
	struct agent *a, const struct ota_error *answer, struct ota_error *err)
{
	a->asking = false;
	if (answer->code == OTA_OK)
		return work_begin(a, err);
	work_park(a, checks[a->check - 1].code, answer->text, WORK_RETRY_MS);
	return OTA_OK;
}

static void look_in_a_minute(struct agent *a)
{
	const struct policy *p = &a->policy;

	if (p->download.count > 0 || p->asks_metered || p->rate_min > 0)
		agent_set_timer(a, AGENT_TIMER_MINUTE, RECHECK_MS);
}

static void begin_minutes(struct agent *a)
{
	a->slow_minutes = 0;
	a->slow_bytes = a->journal.bytes;
}

void hold_watch(struct agent *a)
{
	begin_minutes(a);
	look_in_a_minute(a);
}

/* One more minute of fetching. True if the last ten of them brought too little. Minutes
 * without a connection do not count: nobody serves a device badly who does not serve it.
 */
static bool is_too_slow(struct agent *a, struct ota_error *why)
{
	uint64_t bytes = a->journal.bytes - a->slow_bytes; /* they only grow */
	uint64_t wanted = a->policy.rate_min * SLOW_MINUTES * 60;

	if (!a->up || a->now.mono_ms < a->asked_ms || ++a->slow_minutes < SLOW_MINUTES)
		return false;
	begin_minutes(a);
	if (bytes >= wanted)
		return false;
	(void)ota_fail(why, OTA_E_SLOWLINK,
		"%" PRIu64 " bytes in %d minutes, wanted are %" PRIu64
		"; tries again in %d minutes",
		bytes, SLOW_MINUTES, wanted, SLOW_RETRY_MS / RECHECK_MS);
	return true;
}

enum ota_code hold_recheck(struct agent *a, struct ota_error *err)
{
	struct ota_error why = { 0 };
	bool held;

	if (a->journal.state != OTA_UPDATE_FETCHING || a->parked || a->asking)
		return OTA_OK;
	look_in_a_minute(a);
	if (a->working)
		return OTA_OK; /* a scan: next time */
	if (is_too_slow(a, &why)) {
		work_park(a, why.code, why.text, SLOW_RETRY_MS);
		return OTA_OK;
	}
	a->check = 0;
	return hold_work(a, &held, err);
}

/* ---- the byte budget of a rollout */

/* Bytes of the patch in the spool that were not received before. */
static uint64_t not_counted(const struct journal *j, uint64_t bytes)
{
	return bytes < j->counted ? bytes : bytes - j->counted;
}

enum ota_code hold_budget(
	const struct agent *a, uint64_t patch_len, struct ota_error *why)
{
	const struct journal *j = &a->journal;
	uint64_t more = not_counted(j, patch_len), max = a->policy.budget_bytes;

	if (max == 0 || (j->spent <= max && more <= max - j->spent))
		return OTA_OK;
	return ota_fail(why, OTA_E_BUDGET,
		"patch needs %" PRIu64 " bytes more, %" PRIu64
		" of the rollout's %" PRIu64 " are spent",
		more, j->spent, max);
}

void hold_count(struct agent *a, uint64_t bytes)
{
	struct journal *j = &a->journal;

	j->spent += not_counted(j, bytes);
	j->counted = bytes;
}

bool hold_is_overspent(const struct agent *a)
{
	return a->policy.budget_bytes != 0 && a->journal.spent > a->policy.budget_bytes;
}

void hold_forget_spool(struct agent *a, const struct ota_digest *but)
{
	if (ota_digest_equal(&a->journal.counted_patch, but))
		return;
	a->journal.counted_patch = *but;
	a->journal.counted = 0;
}
