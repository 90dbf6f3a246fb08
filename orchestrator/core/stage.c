#include "orchestrator/core/stage.h"

#include <inttypes.h>
#include <string.h>

#include "orchestrator/core/registry.h"
#include "proto/wire/admit.h"

static bool names(const char list[][OTA_NAME_CAP], uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

enum ota_code stage_fit(const struct device *device, const struct ota_release *release)
{
	const struct ota_report *r = &device->report;

	if (!device->reported)
		return OTA_OK;
	if (strcmp(r->product, release->product) != 0)
		return OTA_E_PRODUCT;
	if (!names(release->hardware, release->hardware_count, r->hardware))
		return OTA_E_HARDWARE;
	if (ota_digest_equal(&r->running, &release->image))
		return OTA_E_CURRENT;
	if (release->counter < r->floor)
		return OTA_E_FLOOR;
	if (release->needs_count > 0 &&
		!names(release->needs, release->needs_count, r->version))
		return OTA_E_PRECURSOR;
	return OTA_OK;
}

static bool has_cohort(const struct rollout *rollout, const char *cohort)
{
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		if (strcmp(rollout->spec.stages[i].cohort, cohort) == 0)
			return true;
	return false;
}

struct rollout *stage_rollout_of(const struct core *core, const char *cohort)
{
	for (size_t i = core->rollout_count; i-- > 0;)
		if (has_cohort(core->rollouts[i], cohort))
			return core->rollouts[i];
	return NULL;
}

bool stage_concerns(const struct rollout *rollout, const struct device *device)
{
	if (!has_cohort(rollout, device->cohort))
		return false;
	return attempt_find(device, rollout) != NULL ||
	       stage_fit(device, &rollout->release->doc) == OTA_OK;
}

/* ---- shares */

static bool is_of_cohort(const struct standing *standing, uint32_t stage)
{
	return (standing->stages >> stage & 1) != 0;
}

void stage_buckets(const struct core *core, const struct rollout *rollout, uint32_t stage,
	struct wave_buckets *out)
{
	const struct survey *survey = survey_of(core, rollout);

	*out = (struct wave_buckets){ 0 };
	for (size_t i = 0; i < survey->count; i++) {
		const struct standing *s = &survey->at[i];

		if (s->concerned && is_of_cohort(s, stage))
			out->count[s->bucket]++;
	}
}

static uint64_t planned_permille(const struct core *core, const struct rollout *rollout,
	uint32_t index, const struct ota_grant *grant)
{
	const struct rollout_stage *stage = &rollout->spec.stages[index];
	struct wave_buckets buckets;

	switch (stage->kind) {
	case STAGE_PERMILLE:
		return stage->permille;
	case STAGE_COUNT:
		if (grant == NULL)
			return 0;
		stage_buckets(core, rollout, index, &buckets);
		return wave_of_count(&buckets, stage->count).permille;
	case STAGE_DEVICES:
	case N_STAGE_KINDS:
		break;
	}
	return 0;
}

struct stage_shares stage_shares_anew(
	const struct core *core, const struct rollout *rollout)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	struct stage_shares shares = { .grant = grant != NULL ? &grant->doc : NULL,
		.count = rollout->spec.stage_count };

	for (uint32_t i = 0; i < shares.count; i++) {
		shares.started[i] = rollout->runs[i].started_s != 0;
		shares.by_name[i] = rollout->spec.stages[i].kind == STAGE_DEVICES;
		shares.permille[i] = shares.started[i] ? rollout->runs[i].permille
						       : planned_permille(core, rollout,
								 i, shares.grant);
	}
	return shares;
}

struct stage_shares stage_shares(const struct core *core, const struct rollout *rollout)
{
	return survey_with_tally(core, rollout)->tally.shares;
}

static uint32_t find_name(const struct rollout *rollout, const char *id)
{
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		if (ota_is_canary(rollout->spec.stages[i].devices,
			    rollout->spec.stages[i].device_count, id))
			return i;
	return STAGE_NONE;
}

/* Remembered; a rollout that is only planned has no number to remember it by. */
uint32_t stage_naming(const struct rollout *rollout, struct device *device)
{
	if (rollout->number == 0)
		return find_name(rollout, device->id);
	if (device->named_for != rollout->number) {
		device->named_for = rollout->number;
		device->named_by = find_name(rollout, device->id);
	}
	return device->named_by;
}

static bool takes(const struct stage_shares *shares, uint32_t stage, uint32_t bucket)
{
	uint64_t permille = shares->permille[stage];

	return permille == OTA_PERMILLE_ALL ||
	       (shares->grant != NULL && bucket < permille);
}

uint32_t stage_of_standing(const struct stage_shares *shares, const struct standing *s)
{
	for (uint32_t i = 0; i < shares->count; i++) {
		bool taken =
			shares->by_name[i] ? i == s->named : takes(shares, i, s->bucket);

		if (taken && is_of_cohort(s, i))
			return i;
	}
	return STAGE_NONE;
}

uint32_t stage_of_device(const struct stage_shares *shares, const struct rollout *rollout,
	struct device *device)
{
	struct standing s = { .named = stage_naming(rollout, device) };

	if (shares->grant != NULL)
		s.bucket = (uint16_t)device_bucket(device, shares->grant->salt);
	for (uint32_t i = 0; i < shares->count; i++)
		if (strcmp(rollout->spec.stages[i].cohort, device->cohort) == 0)
			s.stages |= UINT32_C(1) << i;
	return stage_of_standing(shares, &s);
}

/* ---- the grant */

static enum ota_code cover_devices(const struct rollout_stage *stage,
	const struct ota_grant *grant, struct ota_error *err)
{
	for (uint32_t i = 0; i < stage->device_count; i++)
		if (!ota_is_canary(
			    grant->canaries, grant->canary_count, stage->devices[i]))
			return ota_fail(err, OTA_E_SHARE,
				"stage %s names %s, which is no canary of the grant",
				stage->name, stage->devices[i]);
	return OTA_OK;
}

static enum ota_code cover_share(const struct rollout_stage *stage,
	const struct ota_grant *grant, const struct wave_share *share, uint64_t *permille,
	struct ota_error *err)
{
	if (share->least > grant->max_permille)
		return ota_fail(err, OTA_E_SHARE,
			"stage %s needs %u permille, granted are %" PRIu64, stage->name,
			share->least, grant->max_permille);
	*permille = share->permille < grant->max_permille ? share->permille
							  : grant->max_permille;
	return OTA_OK;
}

enum ota_code stage_cover(const struct core *core, const struct rollout *rollout,
	uint32_t index, uint64_t *permille, struct ota_error *err)
{
	const struct rollout_stage *stage = &rollout->spec.stages[index];
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	struct wave_share share = { 0 };
	struct wave_buckets buckets;
	enum ota_code rc;

	if (grant == NULL)
		return ota_fail(
			err, OTA_E_NOGRANT, "stage %s waits for operators", stage->name);
	if (core->now.utc_s >= grant->doc.expires_utc_s)
		return ota_fail(err, OTA_E_EXPIRED, "grant %" PRIu64, grant->doc.seq);
	switch (stage->kind) {
	case STAGE_PERMILLE:
		share.permille = share.least = (uint32_t)stage->permille;
		return cover_share(stage, &grant->doc, &share, permille, err);
	case STAGE_COUNT:
		stage_buckets(core, rollout, index, &buckets);
		share = wave_of_count(&buckets, stage->count);
		return cover_share(stage, &grant->doc, &share, permille, err);
	case STAGE_DEVICES:
	case N_STAGE_KINDS:
		break;
	}
	rc = cover_devices(stage, &grant->doc, err);
	if (rc == OTA_OK)
		*permille = 0;
	return rc;
}

/* ---- counting */

bool device_has_alarm(const struct device *device)
{
	enum ota_code error = ota_code_of_number(device->report.error);

	return device->reported && device->report.error != 0 &&
	       device->report.state != OTA_UPDATE_FAILED && failure_is_alarm(error) &&
	       device->alarm_acked != error;
}

static uint64_t away_s(uint64_t presence_s, const struct rollout *rollout, uint32_t stage)
{
	uint64_t since = rollout->runs[stage].started_s;
	const struct rollout_offline *offline = &rollout->spec.offline;

	if (offline->wait)
		return UINT64_MAX;
	if (presence_s > since)
		since = presence_s;
	return since +
	       (offline->after_s > 0 ? offline->after_s : rollout->spec.gates.silence_s);
}

bool device_is_away(const struct device *device, const struct rollout *rollout,
	uint32_t stage, uint64_t now_utc_s)
{
	return !device->online && now_utc_s >= away_s(device->presence_s, rollout, stage);
}

uint64_t stage_away_due_s(
	const struct core *core, const struct rollout *rollout, uint32_t stage)
{
	const struct survey *survey = survey_of(core, rollout);
	uint64_t due_s = UINT64_MAX;

	for (size_t i = 0; i < survey->count; i++) {
		const struct standing *s = &survey->at[i];
		uint64_t at_s;

		if (s->online || s->attempt != NULL)
			continue;
		at_s = away_s(s->presence_s, rollout, stage);
		if (at_s > core->now.utc_s && at_s < due_s)
			due_s = at_s;
	}
	return due_s;
}

/* Those that are away and have not begun: for long enough, or not yet. */
static void count_absent(const struct core *core, const struct rollout *rollout,
	const struct survey *survey, struct gate_counts *counts)
{
	for (size_t i = 0; i < survey->count; i++) {
		const struct standing *s = &survey->at[i];

		if (s->online || s->attempt != NULL || s->stage == STAGE_NONE)
			continue;
		if (core->now.utc_s >= away_s(s->presence_s, rollout, s->stage))
			counts[s->stage].offline++;
		else
			counts[s->stage].pending++;
	}
}

void stage_count(const struct core *core, const struct rollout *rollout,
	struct gate_counts *counts)
{
	const struct survey *survey = survey_with_tally(core, rollout);
	uint64_t absent = 0;

	memcpy(counts, survey->tally.counts, sizeof survey->tally.counts);
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		absent += survey->tally.absent[i];
	if (absent > 0)
		count_absent(core, rollout, survey, counts);
}
