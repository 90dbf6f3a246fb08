#include "orchestrator/core/opening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/freeze.h"
#include "orchestrator/core/pace.h"
#include "orchestrator/core/places.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"
#include "proto/wire/admit.h"

enum {
	MINUTE_S = 60,
	GONE_S = 86400,     /* away for so long, a device is not counted on */
	ORDERS_PER_S = 500, /* copies of orders that the broker hands out for us */
	LOOK_S = 5,         /* what is held back is looked at so often */
	FREEZE_TEXT_MAX = SPEC_FREEZE_CAP - 1,
};

/* ---- what is open */

static const struct rollout_stage *stage_of(const struct rollout *rollout)
{
	return &rollout->spec.stages[rollout->stage];
}

void opening_begin(struct rollout *rollout)
{
	struct stage_run *run = &rollout->runs[rollout->stage];

	run->opened = 0;
	for (uint32_t i = 0; i < rollout->stage; i++)
		if (strcmp(rollout->spec.stages[i].cohort, stage_of(rollout)->cohort) ==
				0 &&
			rollout->runs[i].opened > run->opened)
			run->opened = rollout->runs[i].opened;
	if (run->opened > run->permille)
		run->opened = run->permille;
	run->opened_s = 0;
	rollout->hold = OTA_OK;
	rollout->hold_text[0] = '\0';
	rollout->look_s = 0;
}

bool opening_is_whole(const struct rollout *rollout)
{
	const struct stage_run *run = &rollout->runs[rollout->stage];

	return run->started_s != 0 && run->opened >= run->permille;
}

/* Whether the rollout's order names the device or covers its bucket. */
static bool is_open(
	const struct rollout *rollout, const struct grant *grant, struct device *device)
{
	for (uint32_t i = 0; i <= rollout->stage; i++) {
		const struct rollout_stage *stage = &rollout->spec.stages[i];
		const struct stage_run *run = &rollout->runs[i];

		if (run->started_s == 0 || strcmp(stage->cohort, device->cohort) != 0)
			continue;
		if (run->opened > 0 &&
			device_bucket(device, grant->doc.salt) < run->opened)
			return true;
		if (ota_is_canary(stage->devices, stage->device_count, device->id))
			return true;
	}
	return false;
}

bool opening_holds(
	const struct core *core, const struct rollout *rollout, struct device *device)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);

	return grant != NULL && !opening_is_whole(rollout) &&
	       strcmp(stage_of(rollout)->cohort, device->cohort) == 0 &&
	       !is_open(rollout, grant, device);
}

/* ---- who stands how */

static enum pace_class class_of_step(enum ota_update_state step)
{
	switch (step) {
	case OTA_UPDATE_REBOOTING:
	case OTA_UPDATE_PROVING:
	case OTA_UPDATE_ROLLING_BACK:
		return PACE_REBOOTING;
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_OFFERED:
	case OTA_UPDATE_FETCHING:
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_INSTALLING:
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
	case OTA_N_UPDATE_STATES:
		break;
	}
	return PACE_WORKING;
}

static enum pace_class class_of_attempt(const struct attempt *attempt)
{
	switch (attempt->state) {
	case ATTEMPT_NEW:
		return PACE_WAITING;
	case ATTEMPT_WORKING:
		return class_of_step(attempt->step);
	case ATTEMPT_RETRYING: /* it failed, and will be asked again */
		return PACE_FAILED;
	case ATTEMPT_FAILED:
		return attempt->acknowledged ? PACE_DONE : PACE_FAILED;
	case ATTEMPT_CONFIRMED:
	case ATTEMPT_REVERTED:
	case ATTEMPT_EXCUSED:
	case N_ATTEMPT_STATES:
		break;
	}
	return PACE_DONE;
}

/* A device of another rollout, or of none that has anything to do for it. */
static enum pace_class class_of_other(const struct device *device)
{
	const struct attempt *newest = device->attempts;

	if (newest != NULL && newest->state == ATTEMPT_WORKING)
		return class_of_step(newest->step);
	return PACE_DONE;
}

/* Held back by its owner: by what other devices do not wait for. */
static bool is_held(const struct device *device)
{
	enum ota_code wait = ota_code_of_number(device->report.wait);

	return wait == OTA_E_POWER || wait == OTA_E_METERED || wait == OTA_E_LOCKED;
}

static struct pace_device device_of(const struct core *core,
	const struct rollout *rollout, const struct grant *grant, struct device *device)
{
	const struct attempt *attempt = attempt_find(device, rollout);
	uint64_t now_s = core->now.utc_s;
	struct pace_device d = {
		.class = PACE_WAITING,
		.mine = stage_concerns(rollout, device),
		.away = !device->online,
		.gone = !device->online && now_s >= device->presence_s + GONE_S,
		.held = is_held(device),
	};

	if (attempt != NULL)
		d.class = class_of_attempt(attempt);
	else if (!d.mine)
		d.class = class_of_other(device);
	d.recent = attempt != NULL && attempt->began_s + MINUTE_S > now_s;
	if (!d.mine || d.class != PACE_WAITING)
		return d;
	d.bucket = device_bucket(device, grant->doc.salt);
	d.open = is_open(rollout, grant, device);
	/* Of a stage that is not under way: nothing opens it here. */
	if (!d.open && strcmp(device->cohort, stage_of(rollout)->cohort) != 0)
		d.mine = false;
	return d;
}

/* ---- deciding */

uint64_t opening_in_flight_max(const struct core *core, const struct rollout_limits *l)
{
	uint64_t share = core->device_count * l->in_flight_permille / OTA_PERMILLE_ALL;

	if (l->in_flight > 0)
		return l->in_flight;
	return share > SPEC_IN_FLIGHT_MIN ? share : SPEC_IN_FLIGHT_MIN;
}

static struct pace_verdict judge(
	const struct core *core, const struct rollout *rollout, const struct grant *grant)
{
	const struct rollout_limits *limits = &rollout->spec.limits;
	const struct stage_run *run = &rollout->runs[rollout->stage];
	ota_autofree struct pace_device *devices =
		core_alloc(core->device_count + 1, sizeof *devices);
	OTA_AUTO(places_fini)
	struct places sites = places_of(core, limits->site_label);
	OTA_AUTO(places_fini)
	struct places groups = places_of(core, limits->group_label);
	struct pace_case c = {
		.limits = { .in_flight = opening_in_flight_max(core, limits),
			.rebooting = limits->rebooting,
			.starts = limits->starts_per_minute,
			.per_site_permille = limits->per_site_permille },
		.opened = (uint32_t)run->opened,
		.upto = (uint32_t)run->permille,
		.devices = devices,
		.count = core->device_count,
		.sites = sites.names,
		.site_count = sites.name_count,
		.groups = groups.names,
		.group_count = groups.name_count,
	};

	for (size_t i = 0; i < core->device_count; i++) {
		devices[i] = device_of(core, rollout, grant, core->devices[i]);
		devices[i].site = sites.of[i];
		devices[i].group = groups.of[i];
	}
	return pace_judge(&c);
}

/* Seconds between two orders of a cohort. */
static uint64_t spacing_s(const struct core *core, const struct rollout *rollout)
{
	uint64_t devices = 0;

	for (size_t i = 0; i < core->device_count; i++)
		devices +=
			strcmp(core->devices[i]->cohort, stage_of(rollout)->cohort) == 0;
	return 1 + devices / ORDERS_PER_S;
}

bool opening_is_frozen(const struct core *core, const struct rollout *rollout,
	uint64_t *until_s, char text[static CORE_TEXT_CAP])
{
	char when[FREEZE_TIME_CAP];
	uint64_t end_s;
	const struct rollout_freeze *freeze =
		freeze_now(&rollout->spec, core->now.utc_s, &end_s);

	if (freeze == NULL)
		return false;
	freeze_time_text(end_s, when);
	(void)snprintf(text, CORE_TEXT_CAP, "freeze %.*s, until %s", FREEZE_TEXT_MAX,
		freeze->text, when);
	if (until_s != NULL)
		*until_s = end_s;
	return true;
}

static void note(struct rollout *rollout, enum ota_code code, const char *text)
{
	rollout->hold = code;
	(void)snprintf(rollout->hold_text, sizeof rollout->hold_text, "%s", text);
}

static void open_to(struct core *core, struct rollout *rollout, uint32_t permille)
{
	struct stage_run *run = &rollout->runs[rollout->stage];

	if (permille <= run->opened)
		return;
	run->opened = permille;
	run->opened_s = core->now.utc_s;
	core->orders_due = true;
	store_rollout(core, rollout);
}

/* False: the order before this one is too young. */
static bool may_order(const struct core *core, struct rollout *rollout, uint64_t spacing)
{
	const struct stage_run *run = &rollout->runs[rollout->stage];

	rollout->look_s = run->opened_s + spacing;
	return core->now.utc_s >= rollout->look_s || core->now.utc_s < run->opened_s;
}

void opening_step(struct core *core, struct rollout *rollout)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	char text[CORE_TEXT_CAP];
	struct pace_verdict verdict;
	uint64_t spacing;

	if (grant == NULL || opening_is_whole(rollout)) {
		note(rollout, OTA_OK, "");
		return;
	}
	if (opening_is_frozen(core, rollout, &rollout->look_s, text)) {
		note(rollout, OTA_E_FREEZE, text);
		return;
	}
	spacing = spacing_s(core, rollout);
	if (!may_order(core, rollout, spacing))
		return;
	verdict = judge(core, rollout, grant);
	note(rollout, verdict.code, verdict.text);
	open_to(core, rollout, verdict.permille);
	rollout->look_s = core->now.utc_s + (spacing > LOOK_S ? spacing : LOOK_S);
}
