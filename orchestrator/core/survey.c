#include "orchestrator/core/survey.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/attempts.h"
#include "orchestrator/core/quarantine.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/tree.h"

struct survey *survey_new(void)
{
	return core_alloc(1, sizeof(struct survey));
}

static void drop_places(struct survey *survey)
{
	places_fini(&survey->sites);
	places_fini(&survey->groups);
	survey->placed = false;
}

static void drop(struct survey *survey)
{
	free(survey->at);
	survey->at = NULL;
	free(survey->paces);
	survey->paces = NULL;
	survey->count = 0;
	survey->tally.valid = false;
	drop_places(survey);
}

void survey_free(struct survey *survey)
{
	if (survey == NULL)
		return;
	drop(survey);
	free(survey);
}

void survey_rest(const struct rollout *rollout)
{
	if (!rollout_state_is_live(rollout->state) && rollout->state != ROLLOUT_REVERTING)
		drop(rollout->survey);
}

void survey_touch(struct core *core, struct device *device)
{
	struct changes *changes = core->changes;

	/* What a report changes is stored in several rows. */
	if (changes->count > changes->read &&
		changes->last[(changes->count - 1) % CHANGES_KEPT] == device)
		return;
	changes->last[changes->count++ % CHANGES_KEPT] = device;
}

/* ---- one device */

/* Held back by its owner: by what other devices do not wait for. */
static bool is_held(const struct device *device)
{
	enum ota_code wait = ota_code_of_number(device->report.wait);

	return wait == OTA_E_POWER || wait == OTA_E_METERED || wait == OTA_E_LOCKED;
}

static uint32_t stages_of(const struct rollout *rollout, const char *cohort)
{
	uint32_t stages = 0;

	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		if (strcmp(rollout->spec.stages[i].cohort, cohort) == 0)
			stages |= UINT32_C(1) << i;
	return stages;
}

static enum pace_class class_of(const struct attempt *attempt, bool online)
{
	switch (attempt->state) {
	case ATTEMPT_NEW:
		return PACE_WAITING;
	case ATTEMPT_WORKING:
		return pace_class_of_step(attempt->step);
	case ATTEMPT_RETRYING: /* it failed, and will be asked again, or was */
		if (attempt->retry_s == 0 && online)
			return PACE_WORKING;
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

/* What a device of another rollout is at, or of none that has anything to do for it. */
static enum pace_class elsewhere(const struct device *device)
{
	const struct attempt *newest = device->attempts;

	if (newest != NULL && newest->state == ATTEMPT_WORKING)
		return pace_class_of_step(newest->step);
	return PACE_DONE;
}

static void fill_attempt(struct standing *s, struct attempt *attempt)
{
	s->attempt = attempt;
	s->due_s = UINT64_MAX;
	if (attempt == NULL)
		return;
	s->pace = class_of(attempt, s->online);
	s->began_s = attempt->began_s;
	s->due_s = attempt_due_s(attempt);
	s->state = attempt->state;
	s->step = attempt->step;
	s->class = attempt->class;
	s->acknowledged = attempt->acknowledged;
	s->waiting = attempt->waiting;
}

static uint16_t bucket_of(const struct survey *survey, struct device *device)
{
	return survey->salted ? (uint16_t)device_bucket(device, survey->salt) : 0;
}

static void fill(const struct rollout *rollout, const struct survey *survey,
	struct device *device, struct standing *s)
{
	*s = (struct standing){
		.presence_s = device->presence_s,
		.heard_s = device->heard_s,
		.stages = stages_of(rollout, device->cohort),
		.named = stage_naming(rollout, device),
		.bucket = bucket_of(survey, device),
		.concerned = stage_concerns(rollout, device),
		.online = device->online,
		.alarm = device_has_alarm(device),
		.held = is_held(device),
		.aside = device_is_set_aside(device),
	};
	if (!s->concerned)
		s->pace = elsewhere(device);
	fill_attempt(s, attempt_find(device, rollout));
}

/* ---- all of them */

static void build(
	const struct core *core, const struct rollout *rollout, struct survey *survey)
{
	drop(survey);
	survey->at = core_alloc(core->device_count + 1, sizeof *survey->at);
	survey->paces = core_alloc(core->device_count + 1, sizeof *survey->paces);
	survey->count = core->device_count;
	for (size_t i = 0; i < core->device_count; i++) {
		core->devices[i]->index = i;
		fill(rollout, survey, core->devices[i], &survey->at[i]);
	}
}

/* Where it belongs to another stage than before, shares by count are others. */
static void refill(
	const struct rollout *rollout, struct survey *survey, struct device *device)
{
	struct standing *s = &survey->at[device->index];
	const struct standing before = *s;

	fill(rollout, survey, device, s);
	if (!survey->tally.valid)
		return;
	if (s->concerned != before.concerned || s->stages != before.stages) {
		survey->tally.valid = false;
		return;
	}
	tally_leave(&survey->tally, &before);
	tally_enter(&survey->tally, s);
}

static void follow(
	const struct core *core, const struct rollout *rollout, struct survey *survey)
{
	const struct changes *changes = core->changes;

	for (uint64_t i = survey->seen; i < changes->count; i++) {
		struct device *device = changes->last[i % CHANGES_KEPT];

		refill(rollout, survey, device);
	}
}

/* False: what it knows of buckets is of another grant. */
static bool is_of_grant(const struct survey *survey, const struct grant *grant)
{
	if (grant == NULL)
		return !survey->salted;
	return survey->salted && memcmp(survey->salt, grant->doc.salt, OTA_SALT_LEN) == 0;
}

const struct survey *survey_of(const struct core *core, const struct rollout *rollout)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	struct survey *survey = rollout->survey;
	bool same = is_of_grant(survey, grant);

	survey->salted = grant != NULL;
	if (grant != NULL)
		memcpy(survey->salt, grant->doc.salt, OTA_SALT_LEN);
	if (!same || survey->at == NULL || survey->count != core->device_count ||
		core->changes->count - survey->seen > CHANGES_KEPT)
		build(core, rollout, survey);
	else
		follow(core, rollout, survey);
	survey->seen = core->changes->read = core->changes->count;
	return survey;
}

/* The shares of stages that began are in force, the others are as planned. */
static bool is_current(
	const struct core *core, const struct tally *tally, const struct rollout *rollout)
{
	const struct stage_shares *shares = &tally->shares;
	const struct grant *grant = grant_find(core, &rollout->spec.release);

	if (!tally->valid || shares->grant != (grant != NULL ? &grant->doc : NULL))
		return false;
	for (uint32_t i = 0; i < shares->count; i++) {
		bool started = rollout->runs[i].started_s != 0;

		if (started != shares->started[i] ||
			(started && rollout->runs[i].permille != shares->permille[i]))
			return false;
	}
	return true;
}

const struct survey *survey_with_tally(
	const struct core *core, const struct rollout *rollout)
{
	struct survey *survey = rollout->survey;
	struct stage_shares shares;

	(void)survey_of(core, rollout);
	if (is_current(core, &survey->tally, rollout))
		return survey;
	shares = stage_shares_anew(core, rollout);
	tally_reset(&survey->tally, &shares);
	for (size_t i = 0; i < survey->count; i++)
		tally_enter(&survey->tally, &survey->at[i]);
	return survey;
}

const struct survey *survey_with_places(
	const struct core *core, const struct rollout *rollout)
{
	const struct rollout_limits *limits = &rollout->spec.limits;
	struct survey *survey = rollout->survey;

	if (survey->count != core->device_count || survey->relabelled != core->relabelled)
		drop_places(survey);
	(void)survey_of(core, rollout);
	if (!survey->placed) {
		survey->sites = places_of(core, limits->site_label);
		survey->groups = places_of(core, limits->group_label);
		survey->relabelled = core->relabelled;
		survey->placed = true;
	}
	return survey;
}

/* ---- for tests */

static bool is_same(const struct standing *a, const struct standing *b)
{
	return a->attempt == b->attempt && a->presence_s == b->presence_s &&
	       a->heard_s == b->heard_s && a->began_s == b->began_s &&
	       a->due_s == b->due_s && a->stages == b->stages && a->named == b->named &&
	       a->stage == b->stage && a->bucket == b->bucket && a->state == b->state &&
	       a->step == b->step && a->class == b->class && a->pace == b->pace &&
	       a->acknowledged == b->acknowledged && a->waiting == b->waiting &&
	       a->concerned == b->concerned && a->online == b->online &&
	       a->alarm == b->alarm && a->held == b->held && a->aside == b->aside;
}

static bool is_true_of(const struct core *core, struct rollout *rollout)
{
	const struct survey *ours = survey_with_tally(core, rollout), *anew;
	struct survey *kept = rollout->survey;
	bool same;

	rollout->survey = survey_new();
	anew = survey_with_tally(core, rollout);
	same = ours->count == anew->count && ours->tally.soft == anew->tally.soft &&
	       ours->tally.hard == anew->tally.hard &&
	       memcmp(ours->tally.counts, anew->tally.counts,
		       sizeof ours->tally.counts) == 0 &&
	       memcmp(ours->tally.absent, anew->tally.absent,
		       sizeof ours->tally.absent) == 0;
	for (size_t i = 0; same && i < ours->count; i++)
		same = is_same(&ours->at[i], &anew->at[i]);
	survey_free(rollout->survey);
	rollout->survey = kept;
	return same;
}

bool survey_is_true(const struct core *core)
{
	for (size_t i = 0; i < core->rollout_count; i++)
		if (rollout_state_is_live(core->rollouts[i]->state) &&
			!is_true_of(core, core->rollouts[i]))
			return false;
	return true;
}
