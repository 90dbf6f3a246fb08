#include "orchestrator/core/rollouts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/advance.h"
#include "orchestrator/core/attempts.h"
#include "orchestrator/core/documents.h"
#include "orchestrator/core/patches.h"
#include "orchestrator/core/publish.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/revert.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/survey.h"
#include "proto/base/own.h"
#include "proto/wire/admit.h"

bool rollout_is_settled(const struct rollout *rollout)
{
	return rollout->state == ROLLOUT_COMPLETED || rollout->state == ROLLOUT_ABORTED ||
	       rollout->state == ROLLOUT_SUPERSEDED ||
	       (rollout->state == ROLLOUT_HALTED && rollout->reverted &&
		       !revert_is_unfinished(rollout));
}

/* ---- what is refused */

static bool shares_cohort(
	const struct rollout_spec *a, const struct rollout_spec *b, const char **cohort)
{
	for (uint32_t i = 0; i < a->stage_count; i++)
		for (uint32_t j = 0; j < b->stage_count; j++)
			if (strcmp(a->stages[i].cohort, b->stages[j].cohort) == 0) {
				*cohort = a->stages[i].cohort;
				return true;
			}
	return false;
}

bool rollouts_takes_over(const struct rollout_spec *spec, const struct rollout *other)
{
	const struct rollout_precedence *p = &spec->precedence;
	bool named = ota_is_canary(p->supersedes, p->count, other->spec.rollout);
	const char *cohort;

	if (rollout_is_settled(other) || other->state == ROLLOUT_REVERTING ||
		strcmp(other->spec.rollout, spec->rollout) == 0)
		return false;
	return shares_cohort(spec, &other->spec, &cohort) &&
	       (named || p->priority > other->spec.precedence.priority);
}

/* The same file applied twice begins one rollout. */
static bool is_same(const struct rollout *rollout, const struct rollout_spec *spec)
{
	OTA_AUTO(ota_json_fini) cJSON *a = rollout_spec_to_json(&rollout->spec);
	OTA_AUTO(ota_json_fini) cJSON *b = rollout_spec_to_json(spec);

	return cJSON_Compare(a, b, true);
}

enum ota_code rollouts_conflict(
	const struct core *core, const struct rollout_spec *spec, struct ota_error *err)
{
	const struct rollout *same = rollout_find(core, spec->rollout);
	const char *cohort = "";

	if (same != NULL && is_same(same, spec))
		return OTA_OK;
	for (size_t i = 0; i < core->rollout_count; i++) {
		const struct rollout *other = core->rollouts[i];

		if (strcmp(other->spec.rollout, spec->rollout) == 0)
			return ota_fail(err, OTA_E_CONFLICT,
				"there is a rollout %s already", spec->rollout);
		if (rollout_is_settled(other) || rollouts_takes_over(spec, other) ||
			!shares_cohort(spec, &other->spec, &cohort))
			continue;
		return ota_fail(err, OTA_E_CONFLICT, "rollout %s is %s in cohort %s%s",
			other->spec.rollout, rollout_state_text(other->state), cohort,
			other->state == ROLLOUT_REVERTING
				? ""
				: "; 'supersedes' or a higher priority takes over");
	}
	return OTA_OK;
}

static enum ota_code check_supersedes(
	const struct core *core, const struct rollout_spec *spec, struct ota_error *err)
{
	const struct rollout_precedence *p = &spec->precedence;

	for (uint32_t i = 0; i < p->count; i++)
		if (rollout_find(core, p->supersedes[i]) == NULL)
			return ota_fail(err, OTA_E_NOTFOUND,
				"supersedes: there is no rollout %s", p->supersedes[i]);
	return OTA_OK;
}

/* A cohort whose devices all are of other hardware is a mistake. */
static enum ota_code check_hardware(const struct core *core, const char *cohort,
	const struct ota_release *release, struct ota_error *err)
{
	enum ota_code why = OTA_OK;
	const char *id = "";

	for (size_t i = 0; i < core->device_count; i++) {
		const struct device *device = core->devices[i];
		enum ota_code fit = stage_fit(device, release);

		if (strcmp(device->cohort, cohort) != 0 || !device->reported)
			continue;
		if (fit != OTA_E_HARDWARE && fit != OTA_E_PRODUCT)
			return OTA_OK;
		why = fit;
		id = device->id;
	}
	if (why == OTA_OK)
		return OTA_OK;
	return ota_fail(err, why, "cohort %s: no device of it can run %s %s, %s is %s",
		cohort, release->product, release->version, id,
		device_find(core, id)->report.hardware);
}

static enum ota_code check_named(
	const struct core *core, const struct rollout_stage *stage, struct ota_error *err)
{
	for (uint32_t i = 0; i < stage->device_count; i++) {
		const struct device *device = device_find(core, stage->devices[i]);

		if (device == NULL)
			return ota_fail(err, OTA_E_NOTFOUND,
				"stage %s: there is no device %s", stage->name,
				stage->devices[i]);
		if (strcmp(device->cohort, stage->cohort) != 0)
			return ota_fail(err, OTA_E_COHORT,
				"stage %s: %s is in cohort '%s', not %s", stage->name,
				device->id, device->cohort, stage->cohort);
	}
	return OTA_OK;
}

static enum ota_code check_release(const struct core *core,
	const struct rollout_spec *spec, const struct release **out,
	struct ota_error *err)
{
	char hex[OTA_DIGEST_HEX_CAP];
	const struct release *release = release_find(core, &spec->release);
	enum ota_code rc;

	ota_digest_hex(&spec->release, hex);
	if (release == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "release %s is not known", hex);
	rc = documents_allow(core, release, core->now.utc_s, err);
	if (rc != OTA_OK)
		return rc;
	ota_digest_hex(&release->doc.image, hex);
	if (image_find(core, &release->doc.image) == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "image %s of release %s is not here",
			hex, release->doc.version);
	*out = release;
	return OTA_OK;
}

enum ota_code rollouts_check(const struct core *core, const struct rollout_spec *spec,
	const struct release **release, struct ota_error *err)
{
	enum ota_code rc = rollout_spec_check(spec, &core->spec, NULL, err);
	const struct release *found = NULL;

	if (rc == OTA_OK)
		rc = check_release(core, spec, &found, err);
	for (uint32_t i = 0; rc == OTA_OK && i < spec->stage_count; i++) {
		rc = check_named(core, &spec->stages[i], err);
		if (rc == OTA_OK)
			rc = check_hardware(
				core, spec->stages[i].cohort, &found->doc, err);
	}
	if (rc == OTA_OK)
		rc = check_supersedes(core, spec, err);
	if (rc == OTA_OK)
		*release = found;
	return rc;
}

/* ---- apply */

/* Those that the new one takes over from end at once: devices that have not switched to
 * their image drop it, the others prove it and go on from there. */
static enum ota_code supersede(struct core *core, const char *who,
	const struct rollout_spec *spec, struct ota_error *err)
{
	char text[CORE_TEXT_CAP];
	struct cause cause = { .who = who, .code = OTA_E_SUPERSEDED, .text = text };
	enum ota_code rc = OTA_OK;

	(void)snprintf(text, sizeof text, "%s took over", spec->rollout);
	for (size_t i = 0; rc == OTA_OK && i < core->rollout_count; i++)
		if (rollouts_takes_over(spec, core->rollouts[i]))
			rc = advance_move(core, core->rollouts[i], ROLLOUT_EV_SUPERSEDE,
				&cause, err);
	return rc;
}

static enum ota_code apply_spec(struct core *core, const char *who,
	const struct rollout_spec *spec, struct ota_error *err)
{
	const struct rollout *same = rollout_find(core, spec->rollout);
	struct cause cause = { .who = who, .text = "" };
	const struct release *release = NULL;
	struct rollout *rollout;
	enum ota_code rc;

	if (same != NULL && is_same(same, spec))
		return OTA_OK;
	rc = rollouts_check(core, spec, &release, err);
	if (rc == OTA_OK)
		rc = rollouts_conflict(core, spec, err);
	if (rc == OTA_OK)
		rc = supersede(core, who, spec, err);
	if (rc != OTA_OK)
		return rc;
	rollout = rollout_add(core, spec);
	rollout->release = release;
	rollout->created_s = core->now.utc_s;
	return advance_move(core, rollout, ROLLOUT_EV_APPLY, &cause, err);
}

enum ota_code rollouts_apply(
	struct core *core, const char *who, const cJSON *json, struct ota_error *err)
{
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);
	enum ota_code rc;

	if (spec == NULL)
		return ota_fail(err, OTA_E_NOMEM, "rollout");
	rc = rollout_spec_from_json(json, spec, err);
	return rc == OTA_OK ? apply_spec(core, who, spec, err) : rc;
}

/* ---- steering */

static enum ota_code resume(struct core *core, struct rollout *rollout,
	const struct cause *cause, struct ota_error *err)
{
	struct cause none = { .who = cause->who, .text = "" };
	enum ota_code rc;

	if (rollout->reverted)
		return ota_fail(err, OTA_E_CONFLICT,
			"%s was reverted; begin another rollout", rollout->spec.rollout);
	rc = advance_resume(core, rollout, &none, err);
	if (rc != OTA_OK)
		return rc;
	attempts_acknowledge(core, rollout);
	patches_retry(core, rollout);
	store_rollout(core, rollout);
	return OTA_OK;
}

static enum ota_code revert(struct core *core, struct rollout *rollout, bool at_once,
	const struct cause *cause, struct ota_error *err)
{
	if (rollout->reverted && !revert_is_unfinished(rollout))
		return ota_fail(err, OTA_E_CONFLICT, "%s was reverted already",
			rollout->spec.rollout);
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++) {
		const char *cohort = rollout->spec.stages[i].cohort;
		const struct rollout *newest = publish_rollout_of(core, cohort);

		if (rollout->runs[i].started_s != 0 && newest != rollout)
			return ota_fail(err, OTA_E_CONFLICT,
				"cohort %s is under the newer rollout %s", cohort,
				newest->spec.rollout);
	}
	if (rollout->state == ROLLOUT_REVERTING && !at_once)
		return ota_fail(err, OTA_E_CONFLICT, "%s is reverting already",
			rollout->spec.rollout);
	return advance_revert(core, rollout, at_once, cause, err);
}

enum ota_code rollouts_command(struct core *core, const char *who,
	struct rollout *rollout, const struct core_steer *steer, struct ota_error *err)
{
	const char *verb = steer->verb;
	char safe[CORE_TEXT_CAP];
	struct cause cause = { .who = who, .code = OTA_OK, .text = safe };

	ota_escape(steer->reason, safe, sizeof safe);
	if (strcmp(verb, "pause") == 0) {
		cause.code = OTA_E_PAUSED;
		return advance_move(core, rollout, ROLLOUT_EV_PAUSE, &cause, err);
	}
	if (strcmp(verb, "abort") == 0) {
		cause.code = OTA_E_ABORTED;
		return advance_move(core, rollout, ROLLOUT_EV_ABORT, &cause, err);
	}
	if (strcmp(verb, "resume") == 0)
		return resume(core, rollout, &cause, err);
	if (strcmp(verb, "revert") == 0)
		return revert(core, rollout, steer->at_once, &cause, err);
	return ota_fail(
		err, OTA_E_USAGE, "'%s' is none of pause, resume, abort, revert", verb);
}

/* ---- settling */

/* Devices may turn up with a new image while a rollout is open to them. */
static void ask_patches(struct core *core)
{
	const struct patch *failed;

	for (size_t i = 0; i < core->rollout_count; i++) {
		struct rollout *rollout = core->rollouts[i];

		if (!rollout_state_is_live(rollout->state) &&
			(rollout->state != ROLLOUT_COMPLETED || rollout->reverted))
			continue;
		(void)patches_ask(core, rollout, &failed);
	}
	core->patches_due = false;
}

void rollouts_settle(struct core *core, bool all)
{
	if (core->patches_due)
		ask_patches(core);
	for (size_t i = 0; i < core->rollout_count; i++) {
		struct rollout *rollout = core->rollouts[i];

		if (all || rollout->dirty || core->now.utc_s >= rollout->due_s)
			advance(core, rollout);
	}
}

void rollouts_rest(struct core *core)
{
	for (size_t i = 0; i < core->rollout_count; i++)
		survey_rest(core->rollouts[i]);
}

void rollouts_restart(struct core *core)
{
	struct cause cause = { .who = "core", .text = "" };

	for (size_t i = 0; i < core->rollout_count; i++) {
		struct rollout *rollout = core->rollouts[i];

		if (!rollout_is_settled(rollout) &&
			advance_move(core, rollout, ROLLOUT_EV_RESTART, &cause, NULL) !=
				OTA_OK)
			rollout->dirty = true; /* the table has a row for every state */
	}
	core->patches_due = true;
}

uint64_t rollouts_due_s(const struct core *core)
{
	uint64_t due_s = UINT64_MAX;

	for (size_t i = 0; i < core->rollout_count; i++)
		if (core->rollouts[i]->due_s < due_s)
			due_s = core->rollouts[i]->due_s;
	return due_s;
}
