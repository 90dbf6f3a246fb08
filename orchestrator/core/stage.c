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

void stage_buckets(const struct core *core, const struct rollout *rollout,
	const char *cohort, const struct ota_grant *grant, struct wave_buckets *out)
{
	*out = (struct wave_buckets){ 0 };
	for (size_t i = 0; i < core->device_count; i++) {
		struct device *device = core->devices[i];

		if (strcmp(device->cohort, cohort) == 0 &&
			stage_concerns(rollout, device))
			out->count[device_bucket(device, grant->salt)]++;
	}
}

static uint64_t planned_permille(const struct core *core, const struct rollout *rollout,
	const struct rollout_stage *stage, const struct ota_grant *grant)
{
	struct wave_buckets buckets;

	switch (stage->kind) {
	case STAGE_PERMILLE:
		return stage->permille;
	case STAGE_COUNT:
		if (grant == NULL)
			return 0;
		stage_buckets(core, rollout, stage->cohort, grant, &buckets);
		return wave_of_count(&buckets, stage->count).permille;
	case STAGE_DEVICES:
	case N_STAGE_KINDS:
		break;
	}
	return 0;
}

struct stage_shares stage_shares(const struct core *core, const struct rollout *rollout)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	struct stage_shares shares = { .grant = grant != NULL ? &grant->doc : NULL };

	for (uint32_t i = 1; i < rollout->spec.stage_count; i++)
		shares.same_cohort[i] = strcmp(rollout->spec.stages[i].cohort,
						rollout->spec.stages[i - 1].cohort) == 0;
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		shares.permille[i] =
			rollout->runs[i].started_s != 0
				? rollout->runs[i].permille
				: planned_permille(core, rollout,
					  &rollout->spec.stages[i], shares.grant);
	return shares;
}

static uint32_t find_name(const struct rollout *rollout, const char *id)
{
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		if (ota_is_canary(rollout->spec.stages[i].devices,
			    rollout->spec.stages[i].device_count, id))
			return i;
	return STAGE_NONE;
}

/* The stage that names a device, remembered; a rollout that is only planned has no number
 * to remember it by. */
static uint32_t named_by(const struct rollout *rollout, struct device *device)
{
	if (rollout->number == 0)
		return find_name(rollout, device->id);
	if (device->named_for != rollout->number) {
		device->named_for = rollout->number;
		device->named_by = find_name(rollout, device->id);
	}
	return device->named_by;
}

static bool takes(
	const struct stage_shares *shares, uint64_t permille, struct device *device)
{
	if (permille == OTA_PERMILLE_ALL)
		return true;
	return shares->grant != NULL &&
	       device_bucket(device, shares->grant->salt) < permille;
}

uint32_t stage_of_device(const struct stage_shares *shares, const struct rollout *rollout,
	struct device *device)
{
	const struct rollout_stage *stages = rollout->spec.stages;
	uint32_t named = named_by(rollout, device);
	bool same = false;

	for (uint32_t i = 0; i < rollout->spec.stage_count; i++) {
		bool taken = stages[i].kind == STAGE_DEVICES
				     ? i == named
				     : takes(shares, shares->permille[i], device);

		if (!shares->same_cohort[i])
			same = strcmp(stages[i].cohort, device->cohort) == 0;
		if (same && taken)
			return i;
	}
	return STAGE_NONE;
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
		stage_buckets(core, rollout, stage->cohort, &grant->doc, &buckets);
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

static uint64_t away_s(
	const struct device *device, const struct rollout *rollout, uint32_t stage)
{
	uint64_t since = rollout->runs[stage].started_s;
	const struct rollout_offline *offline = &rollout->spec.offline;

	if (offline->wait)
		return UINT64_MAX;
	if (device->presence_s > since)
		since = device->presence_s;
	return since +
	       (offline->after_s > 0 ? offline->after_s : rollout->spec.gates.silence_s);
}

bool device_is_away(const struct device *device, const struct rollout *rollout,
	uint32_t stage, uint64_t now_utc_s)
{
	return !device->online && now_utc_s >= away_s(device, rollout, stage);
}

uint64_t stage_away_due_s(
	const struct core *core, const struct rollout *rollout, uint32_t stage)
{
	uint64_t due_s = UINT64_MAX;

	for (size_t i = 0; i < core->device_count; i++) {
		const struct device *device = core->devices[i];
		uint64_t at_s = away_s(device, rollout, stage);

		if (!device->online && at_s > core->now.utc_s && at_s < due_s &&
			attempt_find(device, rollout) == NULL)
			due_s = at_s;
	}
	return due_s;
}

static void count_failed(const struct attempt *attempt, struct gate_counts *n)
{
	if (attempt->acknowledged)
		n->excused++;
	else if (attempt->class == FAILURE_HARD)
		n->hard++;
	else
		n->soft++;
}

static void count_attempt(const struct attempt *attempt, struct gate_counts *n)
{
	switch (attempt->state) {
	case ATTEMPT_NEW:
	case ATTEMPT_WORKING:
		n->working++;
		break;
	case ATTEMPT_RETRYING:
		if (attempt->class == FAILURE_EXCUSED || attempt->acknowledged)
			n->excused++;
		else
			n->working++;
		break;
	case ATTEMPT_CONFIRMED:
		n->confirmed++;
		break;
	case ATTEMPT_FAILED:
		count_failed(attempt, n);
		break;
	case ATTEMPT_REVERTED:
		n->reverted++;
		break;
	case ATTEMPT_EXCUSED:
		n->excused++;
		break;
	case N_ATTEMPT_STATES:
		break;
	}
}

void stage_count(const struct core *core, const struct rollout *rollout,
	struct gate_counts *counts)
{
	const struct stage_shares shares = stage_shares(core, rollout);

	memset(counts, 0, SPEC_STAGES_MAX * sizeof *counts);
	for (size_t i = 0; i < core->device_count; i++) {
		struct device *device = core->devices[i];
		const struct attempt *attempt;
		uint32_t stage;

		if (!stage_concerns(rollout, device))
			continue;
		stage = stage_of_device(&shares, rollout, device);
		if (stage == STAGE_NONE)
			continue;
		attempt = attempt_find(device, rollout);
		if (attempt != NULL)
			count_attempt(attempt, &counts[stage]);
		else if (device_is_away(device, rollout, stage, core->now.utc_s))
			counts[stage].offline++;
		else
			counts[stage].pending++;
		if (device_has_alarm(device))
			counts[stage].alarms++;
	}
}
