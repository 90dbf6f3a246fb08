#include "orchestrator/core/opening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/freeze.h"
#include "orchestrator/core/pace.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/survey.h"
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

/* How far each cohort is open to a rollout, by the first stage of the cohort. */
struct extent {
	uint64_t opened[SPEC_STAGES_MAX + 1]; /* the last is of no cohort: 0 */
};

static uint32_t first_of(uint32_t stages)
{
	return stages != 0 ? (uint32_t)__builtin_ctz(stages) : SPEC_STAGES_MAX;
}

static struct extent extent_of(const struct rollout *rollout)
{
	struct extent extent = { 0 };

	for (uint32_t i = 0; i <= rollout->stage; i++) {
		uint32_t first = 0;

		while (strcmp(rollout->spec.stages[first].cohort,
			       rollout->spec.stages[i].cohort) != 0)
			first++;
		if (rollout->runs[i].started_s != 0 &&
			rollout->runs[i].opened > extent.opened[first])
			extent.opened[first] = rollout->runs[i].opened;
	}
	return extent;
}

/* Whether the order of the rollout names it. */
static bool is_let_in_by_name(const struct rollout *rollout, const struct standing *s)
{
	return s->named <= rollout->stage && (s->stages >> s->named & 1) != 0 &&
	       rollout->runs[s->named].started_s != 0;
}

struct pace_device opening_device(const struct core *core, const struct standing *s)
{
	uint64_t now_s = core->now.utc_s;

	return (struct pace_device){
		.class = s->pace,
		.bucket = s->bucket,
		.mine = s->concerned,
		.away = !s->online,
		.gone = !s->online && now_s >= s->presence_s + GONE_S,
		.held = s->held,
		.recent = s->began_s + MINUTE_S > now_s,
	};
}

static struct pace_device device_of(const struct core *core,
	const struct rollout *rollout, const struct extent *extent,
	const struct standing *s)
{
	struct pace_device d = opening_device(core, s);

	if (!d.mine || d.class != PACE_WAITING)
		return d;
	d.open = s->bucket < extent->opened[first_of(s->stages)] ||
		 is_let_in_by_name(rollout, s);
	/* Of a stage that is not under way: nothing opens it here. */
	if (!d.open && (s->stages >> rollout->stage & 1) == 0)
		d.mine = false;
	return d;
}

/* Counts for nothing, unless it stands at a site or in a group: it has done its part. */
static bool is_through(const struct core *core, const struct standing *s)
{
	return s->pace == PACE_DONE && s->began_s + MINUTE_S <= core->now.utc_s;
}

static size_t fill_devices(const struct core *core, const struct rollout *rollout,
	const struct survey *survey, struct pace_device *devices)
{
	const struct extent extent = extent_of(rollout);
	size_t count = 0;

	for (size_t i = 0; i < survey->count; i++) {
		uint32_t site = survey->sites.of[i], group = survey->groups.of[i];
		struct pace_device *d = &devices[count];

		if (site == PACE_NOWHERE && group == PACE_NOWHERE &&
			is_through(core, &survey->at[i]))
			continue;
		*d = device_of(core, rollout, &extent, &survey->at[i]);
		d->site = site;
		d->group = group;
		count++;
	}
	return count;
}

/* ---- deciding */

uint64_t opening_in_flight_max(const struct core *core, const struct rollout_limits *l)
{
	uint64_t share = core->device_count * l->in_flight_permille / OTA_PERMILLE_ALL;

	if (l->in_flight > 0)
		return l->in_flight;
	return share > SPEC_IN_FLIGHT_MIN ? share : SPEC_IN_FLIGHT_MIN;
}

struct pace_case opening_case(const struct core *core, const struct rollout *rollout,
	const struct survey *survey)
{
	const struct rollout_limits *limits = &rollout->spec.limits;

	return (struct pace_case){
		.limits = { .in_flight = opening_in_flight_max(core, limits),
			.rebooting = limits->rebooting,
			.starts = limits->starts_per_minute,
			.per_site_permille = limits->per_site_permille },
		.devices = survey->paces,
		.sites = survey->sites.names,
		.site_count = survey->sites.name_count,
		.groups = survey->groups.names,
		.group_count = survey->groups.name_count,
	};
}

static struct pace_verdict judge(const struct core *core, const struct rollout *rollout)
{
	const struct survey *survey = survey_with_places(core, rollout);
	const struct stage_run *run = &rollout->runs[rollout->stage];
	struct pace_case c = opening_case(core, rollout, survey);

	c.opened = (uint32_t)run->opened;
	c.upto = (uint32_t)run->permille;
	c.count = fill_devices(core, rollout, survey, survey->paces);
	return pace_judge(&c);
}

uint64_t opening_room(const struct core *core, const struct rollout *rollout)
{
	const struct survey *survey = survey_with_places(core, rollout);
	struct pace_case c = opening_case(core, rollout, survey);
	uint64_t in_flight;

	c.count = fill_devices(core, rollout, survey, survey->paces);
	in_flight = pace_in_flight(&c);
	return in_flight < c.limits.in_flight ? c.limits.in_flight - in_flight : 0;
}

uint64_t opening_spacing_s(
	const struct core *core, const struct rollout *rollout, uint32_t stage)
{
	const struct survey *survey = survey_of(core, rollout);
	uint64_t devices = 0;

	for (size_t i = 0; i < survey->count; i++)
		devices += survey->at[i].stages >> stage & 1;
	return 1 + devices / ORDERS_PER_S;
}

uint64_t opening_look_s(const struct core *core, uint64_t spacing)
{
	return core->now.utc_s + (spacing > LOOK_S ? spacing : LOOK_S);
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

void opening_note(struct rollout *rollout, enum ota_code code, const char *text)
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
		opening_note(rollout, OTA_OK, "");
		return;
	}
	if (opening_is_frozen(core, rollout, &rollout->look_s, text)) {
		opening_note(rollout, OTA_E_FREEZE, text);
		return;
	}
	spacing = opening_spacing_s(core, rollout, rollout->stage);
	if (!may_order(core, rollout, spacing))
		return;
	verdict = judge(core, rollout);
	opening_note(rollout, verdict.code, verdict.text);
	open_to(core, rollout, verdict.permille);
	rollout->look_s = opening_look_s(core, spacing);
}
