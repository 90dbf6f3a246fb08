#include "orchestrator/core/returning.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/core/opening.h"
#include "orchestrator/core/revert.h"
#include "orchestrator/core/store.h"

enum { MINUTE_S = 60 };

/* ---- what is open */

static bool is_paced(const struct rollout *rollout)
{
	return revert_is_unfinished(rollout) &&
	       rollout->spec.stages[rollout->revert_stage].kind != STAGE_DEVICES;
}

uint64_t returning_permille(const struct rollout *rollout, uint32_t stage)
{
	uint64_t permille = rollout->runs[stage].permille;

	if (stage == rollout->revert_stage && rollout->revert_opened < permille)
		return rollout->revert_opened;
	return permille;
}

void returning_begin(struct rollout *rollout)
{
	const struct rollout_stage *stages = rollout->spec.stages;

	rollout->revert_opened = 0;
	rollout->revert_opened_s = 0;
	rollout->hold = OTA_OK;
	rollout->hold_text[0] = '\0';
	rollout->look_s = 0;
	if (!is_paced(rollout))
		return;
	for (uint32_t i = 0; i < rollout->revert_stage; i++)
		if (strcmp(stages[i].cohort, stages[rollout->revert_stage].cohort) == 0 &&
			rollout->runs[i].started_s != 0 &&
			rollout->runs[i].permille > rollout->revert_opened)
			rollout->revert_opened = rollout->runs[i].permille;
}

bool returning_is_whole(const struct rollout *rollout)
{
	return !is_paced(rollout) ||
	       rollout->revert_opened >= rollout->runs[rollout->revert_stage].permille;
}

bool returning_is_told(const struct rollout *rollout, const struct standing *s)
{
	if (!revert_is_unfinished(rollout))
		return true;
	for (uint32_t i = 0; i <= rollout->revert_stage; i++) {
		if (rollout->runs[i].started_s == 0 || (s->stages >> i & 1) == 0)
			continue;
		if (s->named == i || s->bucket < returning_permille(rollout, i))
			return true;
	}
	return false;
}

/* ---- who stands how */

static bool is_at_rest(enum ota_update_state state)
{
	return state == OTA_UPDATE_IDLE || state == OTA_UPDATE_CONFIRMED ||
	       state == OTA_UPDATE_FAILED;
}

/* A device that has confirmed goes back once it is told; all others are at what they are
 * at for the pace of going forward, and none of them begins. */
static struct pace_device device_of(const struct core *core,
	const struct rollout *rollout, const struct standing *s, size_t index)
{
	enum ota_update_state state = core->devices[index]->report.state;
	struct pace_device d = opening_device(core, s);

	if (d.class == PACE_WAITING)
		d.class = PACE_DONE;
	d.mine = s->attempt != NULL;
	d.recent = s->attempt != NULL && s->attempt->told_s + MINUTE_S > core->now.utc_s;
	if (s->attempt == NULL || s->state != ATTEMPT_CONFIRMED)
		return d;
	d.class = PACE_WAITING;
	d.open = returning_is_told(rollout, s);
	if (d.open && !is_at_rest(state))
		d.class = pace_class_of_step(state);
	/* Of a stage whose turn is yet to come: nothing opens it here. */
	if (!d.open && (s->stages >> rollout->revert_stage & 1) == 0)
		d.mine = false;
	return d;
}

static struct pace_verdict judge(const struct core *core, const struct rollout *rollout)
{
	const struct survey *survey = survey_with_places(core, rollout);
	struct pace_case c = opening_case(core, rollout, survey);

	c.opened = (uint32_t)rollout->revert_opened;
	c.upto = (uint32_t)rollout->runs[rollout->revert_stage].permille;
	c.count = survey->count;
	for (size_t i = 0; i < survey->count; i++) {
		struct pace_device *d = &survey->paces[i];

		*d = device_of(core, rollout, &survey->at[i], i);
		d->site = survey->sites.of[i];
		d->group = survey->groups.of[i];
	}
	return pace_judge(&c);
}

/* ---- letting them go */

/* From now on their silence counts. */
static void tell(struct core *core, const struct rollout *rollout, uint64_t permille)
{
	const struct survey *survey = survey_of(core, rollout);

	for (size_t i = 0; i < survey->count; i++) {
		const struct standing *s = &survey->at[i];

		if (s->attempt == NULL || s->state != ATTEMPT_CONFIRMED ||
			(s->stages >> rollout->revert_stage & 1) == 0 ||
			s->bucket >= permille || returning_is_told(rollout, s))
			continue;
		s->attempt->told_s = core->now.utc_s;
		store_attempt(core, core->devices[i], s->attempt);
	}
}

bool returning_step(struct core *core, struct rollout *rollout)
{
	uint64_t now_s = core->now.utc_s, spacing;
	struct pace_verdict verdict;

	if (returning_is_whole(rollout)) {
		opening_note(rollout, OTA_OK, "");
		return false;
	}
	spacing = opening_spacing_s(core, rollout, rollout->revert_stage);
	if (now_s >= rollout->revert_opened_s &&
		now_s < rollout->revert_opened_s + spacing) {
		rollout->look_s = rollout->revert_opened_s + spacing;
		return false;
	}
	verdict = judge(core, rollout);
	opening_note(rollout, verdict.code, verdict.text);
	rollout->look_s = opening_look_s(core, spacing);
	if (verdict.permille <= rollout->revert_opened)
		return false;
	tell(core, rollout, verdict.permille);
	rollout->revert_opened = verdict.permille;
	rollout->revert_opened_s = now_s;
	return true;
}
