#include "orchestrator/core/plan_time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/freeze.h"
#include "orchestrator/core/health.h"
#include "orchestrator/core/opening.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

enum {
	MINUTE_S = 60,
	DAY_S = 86400,
	MEASURED_MIN = 3,        /* updates that say more than an assumption */
	ASSUMED_SPEED = 100000,  /* bytes a second */
	ASSUMED_INSTALL_S = 180, /* to install, reboot and prove itself */
	MICRO = 1000000,
};

struct span {
	uint64_t least_s, most_s;
};

struct timing {
	const struct core *core;
	const struct rollout *rollout;
	struct span device; /* what one takes */
	uint32_t measured;
	uint32_t away; /* devices of its cohorts that are not connected */
};

/* ---- one device */

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* What the newest update of a device took that went well; 0: there is none. */
static uint64_t took_s(const struct device *device)
{
	for (const struct attempt *a = device->attempts; a != NULL; a = a->older)
		if (a->state == ATTEMPT_CONFIRMED && a->tries == 0 &&
			a->step_s > a->began_s)
			return a->step_s - a->began_s;
	return 0;
}

static void measure(struct timing *t, const struct plan_work *work)
{
	const struct core *core = t->core;
	ota_autofree uint64_t *took = core_alloc(core->device_count + 1, sizeof *took);

	for (size_t i = 0; i < core->device_count; i++) {
		took[t->measured] = took_s(core->devices[i]);
		t->measured += took[t->measured] != 0;
	}
	qsort(took, t->measured, sizeof *took, by_size);
	if (t->measured >= MEASURED_MIN) {
		t->device.least_s = t->device.most_s = took[t->measured / 2];
		return;
	}
	t->measured = 0;
	t->device.least_s = ASSUMED_INSTALL_S + work->bytes_least / ASSUMED_SPEED;
	t->device.most_s = ASSUMED_INSTALL_S + work->bytes_most / ASSUMED_SPEED;
}

/* ---- one stage */

/* Until the last one of a stage begins: so many are under way at once, and so many begin
 * within a minute. */
static uint64_t spread_s(
	const struct timing *t, uint32_t stage, uint32_t devices, uint64_t device_s)
{
	const struct rollout_limits *limits = &t->rollout->spec.limits;
	uint64_t at_once = opening_in_flight_max(t->core, limits);
	uint64_t by_rate, by_flight;

	if (devices == 0 || t->rollout->spec.stages[stage].kind == STAGE_DEVICES)
		return 0;
	by_rate = (uint64_t)(devices - 1) * MINUTE_S / limits->starts_per_minute;
	by_flight = (devices - 1) / at_once * device_s;
	return by_rate > by_flight ? by_rate : by_flight;
}

/* Seconds of a day that the window is open; the whole day if there is none. */
static uint64_t open_s(const struct ota_window *window)
{
	uint32_t day_min = DAY_S / MINUTE_S;
	uint32_t len_min = (window->to_min + day_min - window->from_min) % day_min;

	return len_min == 0 ? DAY_S : (uint64_t)len_min * MINUTE_S;
}

static uint64_t thawed_s(const struct rollout_spec *spec, uint64_t at_s)
{
	uint64_t until_s = at_s;

	return freeze_now(spec, at_s, &until_s) != NULL ? until_s : at_s;
}

/* At the earliest: it needs as many nights as its window takes. */
static uint64_t least_end_s(
	const struct timing *t, uint32_t stage, uint32_t devices, uint64_t from_s)
{
	const struct rollout_spec *spec = &t->rollout->spec;
	uint64_t open = open_s(&spec->window);
	uint64_t spread = spread_s(t, stage, devices, t->device.least_s);

	if (devices == 0)
		return thawed_s(spec, from_s) + spec->stages[stage].soak_s;
	return thawed_s(spec, from_s) + spread + spread / open * (DAY_S - open) +
	       t->device.least_s + spec->stages[stage].soak_s;
}

/* At the latest: the window has just closed, and those that are away are waited for. */
static uint64_t most_end_s(
	const struct timing *t, uint32_t stage, uint32_t devices, uint64_t from_s)
{
	const struct rollout_spec *spec = &t->rollout->spec;
	const struct rollout_offline *offline = &spec->offline;
	uint64_t open = open_s(&spec->window);
	uint64_t spread = spread_s(t, stage, devices, t->device.most_s);
	uint64_t end_s = thawed_s(spec, from_s) + spec->stages[stage].soak_s;

	if (devices == 0)
		return end_s;
	end_s += spread + (spread / open + 1) * (DAY_S - open) + spec->jitter_s +
		 t->device.most_s;
	if (t->away > 0)
		end_s += offline->after_s > 0 ? offline->after_s : spec->gates.silence_s;
	return end_s;
}

/* ---- all of them */

static void count_away(struct timing *t)
{
	for (size_t i = 0; i < t->core->device_count; i++) {
		const struct device *device = t->core->devices[i];

		t->away += !device->online && stage_concerns(t->rollout, device);
	}
}

void plan_time(const struct core *core, const struct rollout *rollout,
	const struct plan_work *work, cJSON *tree)
{
	struct timing t = { .core = core, .rollout = rollout };
	struct span at = { core->now.utc_s, core->now.utc_s };
	bool endless;
	uint32_t i = 0;
	cJSON *stage, *time;

	measure(&t, work);
	count_away(&t);
	endless = rollout->spec.offline.wait && t.away > 0;
	cJSON_ArrayForEach(stage, cJSON_GetObjectItemCaseSensitive(tree, "stages"))
	{
		struct span end = { least_end_s(&t, i, work->devices[i], at.least_s),
			most_end_s(&t, i, work->devices[i], at.most_s) };

		tree_u64(stage, "least_s", end.least_s - at.least_s);
		tree_u64(stage, "most_s", endless ? 0 : end.most_s - at.most_s);
		at = end;
		i++;
	}
	time = tree_add(tree, "time", tree_object());
	tree_u64(time, "least_s", at.least_s - core->now.utc_s);
	tree_u64(time, "most_s", endless ? 0 : at.most_s - core->now.utc_s);
	tree_u64(time, "device_s", t.device.most_s);
	tree_u64(time, "measured", t.measured);
	tree_u64(time, "speed", ASSUMED_SPEED);
}

/* ---- what the comparison with the others finds */

static uint64_t worse_s(const struct core *core, const struct rollout_gates *gates,
	const struct worse_risk *risk)
{
	double ratio = (double)gates->worse_permille / OTA_PERMILLE_ALL;
	double a_day = (double)health_rate_micro(core) / MICRO *
		       (ratio * (double)risk->updated + (double)risk->others);
	double incidents = worse_incidents(gates, risk);

	return incidents > 0 ? (uint64_t)llround(incidents / a_day * DAY_S) : 0;
}

void plan_worse(const struct core *core, const struct rollout *rollout,
	const struct plan_work *work, cJSON *tree)
{
	struct worse_risk risk = { 0 };
	uint32_t i = 0;
	cJSON *stage;

	for (size_t d = 0; d < core->device_count; d++)
		risk.others += stage_concerns(rollout, core->devices[d]);
	cJSON_ArrayForEach(stage, cJSON_GetObjectItemCaseSensitive(tree, "stages"))
	{
		uint64_t adds =
			work->devices[i] < risk.others ? work->devices[i] : risk.others;

		risk.updated += adds;
		risk.others -= adds;
		tree_u64(stage, "worse_s", worse_s(core, &rollout->spec.gates, &risk));
		i++;
	}
}
