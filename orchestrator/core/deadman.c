#include "orchestrator/core/deadman.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "orchestrator/core/advance.h"
#include "orchestrator/core/survey.h"

enum {
	MS_PER_S = 1000,
	WATCH_S = 900,         /* how far back it looks */
	LOOK_S = 60,           /* how often it counts */
	EXPECTED_MIN = 3,      /* devices */
	STORE_MAX_MS = 5000,   /* of one commit */
	CLOCK_STEP_MAX_S = 60, /* between two calls */
};

static void pause_all(struct core *core, enum ota_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void pause_one(
	struct core *core, struct rollout *rollout, enum ota_code code, const char *text)
{
	const struct cause cause = { .who = "core", .code = code, .text = text };

	if (rollout_state_is_live(rollout->state) &&
		advance_move(core, rollout, ROLLOUT_EV_PAUSE, &cause, NULL) != OTA_OK)
		rollout->dirty = true; /* the table has a row for each of these states */
}

static void pause_all(struct core *core, enum ota_code code, const char *fmt, ...)
{
	char text[CORE_TEXT_CAP];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < core->rollout_count; i++)
		pause_one(core, core->rollouts[i], code, text);
}

/* ---- our own clock, session and store */

void deadman_clock(struct core *core, struct core_now now)
{
	const struct core_now before = core->deadman.before;
	int64_t mono_s = (int64_t)((now.mono_ms - before.mono_ms) / MS_PER_S);
	int64_t step_s = (int64_t)(now.utc_s - before.utc_s) - mono_s;

	core->deadman.before = now;
	if (before.utc_s == 0 ||
		(step_s <= CLOCK_STEP_MAX_S && step_s >= -CLOCK_STEP_MAX_S))
		return;
	pause_all(core, OTA_E_CLOCK,
		"the wall clock jumped %" PRId64 " s %s; set it right, then resume",
		step_s < 0 ? -step_s : step_s, step_s < 0 ? "back" : "ahead");
}

void deadman_session_lost(struct core *core)
{
	struct deadman *d = &core->deadman;
	uint64_t now_ms = core->now.mono_ms;
	uint64_t oldest_ms = d->lost_ms[d->losses % DEADMAN_LOSSES];
	bool often = d->losses >= DEADMAN_LOSSES &&
		     now_ms - oldest_ms <= (uint64_t)WATCH_S * MS_PER_S;

	d->lost_ms[d->losses++ % DEADMAN_LOSSES] = now_ms;
	if (often)
		pause_all(core, OTA_E_UNSTABLE,
			"the session with the broker was lost %d times within %" PRIu64
			" s, at most %d times in %d s are allowed",
			DEADMAN_LOSSES + 1, (now_ms - oldest_ms) / MS_PER_S,
			DEADMAN_LOSSES, WATCH_S);
}

void deadman_stored(struct core *core, uint64_t took_ms)
{
	if (took_ms > STORE_MAX_MS)
		pause_all(core, OTA_E_SLOW,
			"storing a decision took %" PRIu64 " ms, at most %d are allowed; "
			"look at the disk of the orchestrator",
			took_ms, STORE_MAX_MS);
}

/* ---- devices */

struct hearing {
	uint32_t expected, heard;
};

/* One that reboots or proves itself is judged by its deadline, and one that failed has
 * been. All others count, done or not: those left over are no fair sample of a wave. */
static bool is_expected(const struct standing *s, uint64_t now_s)
{
	if (s->attempt == NULL || s->state == ATTEMPT_FAILED ||
		s->began_s + WATCH_S > now_s)
		return false;
	return s->state != ATTEMPT_WORKING || s->step < OTA_UPDATE_REBOOTING;
}

/* Who fetches tells of it every minute; of others it is enough that they are there. */
static bool is_heard(const struct standing *s, uint64_t now_s)
{
	bool fetches = s->state == ATTEMPT_WORKING && !s->waiting &&
		       s->step == OTA_UPDATE_FETCHING;

	return s->heard_s + WATCH_S > now_s || (s->online && !fetches);
}

static struct hearing listen(const struct core *core, const struct rollout *rollout)
{
	const struct survey *survey = survey_of(core, rollout);
	struct hearing hearing = { 0 };
	uint64_t now_s = core->now.utc_s;

	for (size_t i = 0; i < survey->count; i++) {
		const struct standing *s = &survey->at[i];

		if (!is_expected(s, now_s))
			continue;
		hearing.expected++;
		hearing.heard += is_heard(s, now_s);
	}
	return hearing;
}

static void listen_for(struct core *core, struct rollout *rollout)
{
	struct hearing hearing = listen(core, rollout);
	char text[CORE_TEXT_CAP];

	if (hearing.expected < EXPECTED_MIN || 2 * hearing.heard >= hearing.expected)
		return;
	(void)snprintf(text, sizeof text,
		"of %u devices that began the update, %u were heard of within %d s; look "
		"at them and at the broker, then resume",
		hearing.expected, hearing.heard, WATCH_S);
	pause_one(core, rollout, OTA_E_UNHEARD, text);
}

void deadman_tick(struct core *core)
{
	struct deadman *d = &core->deadman;

	if (core->now.mono_ms < d->look_ms)
		return;
	d->look_ms = core->now.mono_ms + (uint64_t)LOOK_S * MS_PER_S;
	for (size_t i = 0; i < core->rollout_count; i++)
		if (core->rollouts[i]->state == ROLLOUT_RUNNING)
			listen_for(core, core->rollouts[i]);
}
