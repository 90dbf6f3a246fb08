#include "orchestrator/core/spec_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/freeze.h"
#include "orchestrator/core/spec_limits.h"
#include "proto/base/own.h"
#include "proto/wire/admit.h"

enum { MINUTES_OF_DAY = 1440, PPM_MAX = 500000 };

#define STAGE_KIND_TEXT(name, text) text,
static const char *const kind_texts[] = { STAGE_KINDS(STAGE_KIND_TEXT) };
#undef STAGE_KIND_TEXT

static const char *const on_halt_texts[] = { "pause", "revert" };

void rollout_spec_init(struct rollout_spec *spec)
{
	*spec = (struct rollout_spec){
		.gates = { .success_permille = 950,
			.terminal_permille = 950,
			.p0_ppm = 5000,
			.p1_ppm = 50000,
			.alpha_ppm = 1000,
			.beta_ppm = 1000,
			.silence_s = 600,
			.worse_permille = 3000,
			.worse_cap = 2 },
		.deadlines = { .fetch_s = 21600, .install_s = 1800, .prove_s = 600 },
		.limits = spec_limits_default(),
	};
	spec_policy_init(spec);
}

const char *stage_kind_text(enum stage_kind kind)
{
	return kind_texts[kind];
}

const char *rollout_on_halt_text(enum rollout_on_halt on_halt)
{
	return on_halt_texts[on_halt];
}

/* ---- checks */

struct range {
	const char *list, *key;
	uint64_t value, min, max;
};

static enum ota_code check_range(struct spec_check *c, const struct range *range)
{
	c->here.list = range->list;
	if (range->value >= range->min && range->value <= range->max)
		return OTA_OK;
	return spec_fail(c, OTA_E_CONFIG, range->key, "%llu is not in %llu .. %llu",
		(unsigned long long)range->value, (unsigned long long)range->min,
		(unsigned long long)range->max);
}

static enum ota_code check_numbers(struct spec_check *c, const struct rollout_spec *s)
{
	const struct rollout_gates *g = &s->gates;
	const struct rollout_deadlines *d = &s->deadlines;
	const struct range ranges[] = {
		{ "gates", "success_permille", g->success_permille, 1, OTA_PERMILLE_ALL },
		{ "gates", "terminal_permille", g->terminal_permille, 1,
			OTA_PERMILLE_ALL },
		{ "gates", "p0_ppm", g->p0_ppm, 1, PPM_MAX },
		{ "gates", "p1_ppm", g->p1_ppm, 1, PPM_MAX },
		{ "gates", "alpha_ppm", g->alpha_ppm, 1, PPM_MAX - 1 },
		{ "gates", "beta_ppm", g->beta_ppm, 1, PPM_MAX - 1 },
		{ "gates", "silence_s", g->silence_s, 1, SPEC_DURATION_MAX_S },
		{ "gates", "worse_cap", g->worse_cap, 1, SPEC_WORSE_CAP_MAX },
		{ "deadlines", "fetch_s", d->fetch_s, 1, SPEC_DURATION_MAX_S },
		{ "deadlines", "install_s", d->install_s, 1, SPEC_DURATION_MAX_S },
		{ "deadlines", "prove_s", d->prove_s, 1, SPEC_DURATION_MAX_S },
		{ "window", "from_min", s->window.from_min, 0, MINUTES_OF_DAY - 1 },
		{ "window", "to_min", s->window.to_min, 0, MINUTES_OF_DAY - 1 },
		{ "", "jitter_s", s->jitter_s, 0, SPEC_DURATION_MAX_S },
	};
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; rc == OTA_OK && i < sizeof ranges / sizeof ranges[0]; i++)
		rc = check_range(c, &ranges[i]);
	c->here.list = "gates";
	if (rc == OTA_OK && g->p0_ppm >= g->p1_ppm)
		rc = spec_fail(c, OTA_E_CONFIG, "p1_ppm", "must be greater than p0_ppm");
	if (rc == OTA_OK && g->worse_permille != 0)
		rc = check_range(
			c, &(struct range){ "gates", "worse_permille", g->worse_permille,
				   SPEC_WORSE_MIN, SPEC_WORSE_MAX });
	return rc;
}

static enum ota_code check_cohort(
	struct spec_check *c, const char *cohort, const struct fleet_spec *fleet)
{
	const char *names[OTA_COHORTS_MAX];
	const char *near;
	enum ota_code rc = spec_name(c, "cohort", cohort);

	if (rc != OTA_OK || fleet == NULL || fleet_spec_find(fleet, cohort) != NULL)
		return rc;
	for (uint32_t i = 0; i < fleet->cohort_count; i++)
		names[i] = fleet->cohorts[i].name;
	near = ota_nearest(cohort, names, fleet->cohort_count);
	if (near != NULL)
		return spec_fail(c, OTA_E_CONFIG, "cohort",
			"unknown cohort '%s', did you mean '%s'?", cohort, near);
	return spec_fail(c, OTA_E_CONFIG, "cohort", "unknown cohort '%s'", cohort);
}

static bool names_device(const struct rollout_stage *stage, const char *device)
{
	return stage->kind == STAGE_DEVICES &&
	       ota_is_canary(stage->devices, stage->device_count, device);
}

/* Each device is named once in the whole rollout. */
static enum ota_code check_devices(
	struct spec_check *c, const struct rollout_spec *spec, uint32_t index)
{
	const struct rollout_stage *stage = &spec->stages[index];
	enum ota_code rc = OTA_OK;

	if (stage->device_count == 0 || stage->device_count > OTA_CANARIES_MAX)
		return spec_fail(c, OTA_E_CONFIG, "devices", "wants 1 to %d names",
			OTA_CANARIES_MAX);
	for (uint32_t i = 0; rc == OTA_OK && i < stage->device_count; i++) {
		const char *device = stage->devices[i];

		rc = spec_name(c, "devices", device);
		for (uint32_t j = 0; rc == OTA_OK && j < i; j++)
			if (strcmp(stage->devices[j], device) == 0)
				rc = spec_fail(c, OTA_E_CONFIG, "devices",
					"'%s' is named twice", device);
		for (uint32_t j = 0; rc == OTA_OK && j < index; j++)
			if (names_device(&spec->stages[j], device))
				rc = spec_fail(c, OTA_E_CONFIG, "devices",
					"'%s' is in stage '%s' already", device,
					spec->stages[j].name);
	}
	return rc;
}

static enum ota_code check_share(struct spec_check *c, const struct rollout_stage *stage)
{
	uint64_t value = stage->kind == STAGE_PERMILLE ? stage->permille : stage->count;
	uint64_t max = stage->kind == STAGE_PERMILLE ? OTA_PERMILLE_ALL : SPEC_COUNT_MAX;

	if (value >= 1 && value <= max)
		return OTA_OK;
	return spec_fail(c, OTA_E_CONFIG, stage_kind_text(stage->kind),
		"%llu is not in 1 .. %llu", (unsigned long long)value,
		(unsigned long long)max);
}

/* A later stage of the same cohort must take more than an earlier one. */
static enum ota_code check_growth(struct spec_check *c, const struct rollout_stage *stage,
	const struct rollout_stage *before)
{
	const char *key = stage_kind_text(stage->kind);

	if (before->kind == STAGE_PERMILLE && before->permille == OTA_PERMILLE_ALL)
		return spec_fail(c, OTA_E_CONFIG, "",
			"stage '%s' has taken the whole cohort '%s' already",
			before->name, stage->cohort);
	if (stage->kind == STAGE_DEVICES || stage->kind != before->kind)
		return OTA_OK;
	if (stage->kind == STAGE_PERMILLE ? stage->permille > before->permille
					  : stage->count > before->count)
		return OTA_OK;
	return spec_fail(c, OTA_E_CONFIG, key,
		"overlaps stage '%s': shares of a cohort are cumulative and must grow",
		before->name);
}

static enum ota_code check_stage(
	struct spec_check *c, const struct rollout_spec *spec, uint32_t index)
{
	const struct rollout_stage *stage = &spec->stages[index];
	enum ota_code rc = spec_name(c, "name", stage->name);

	if (rc == OTA_OK)
		rc = stage->kind == STAGE_DEVICES ? check_devices(c, spec, index)
						  : check_share(c, stage);
	if (rc == OTA_OK && stage->soak_s > SPEC_DURATION_MAX_S)
		rc = spec_fail(c, OTA_E_CONFIG, "soak_s", "over 90 days");
	for (uint32_t i = 0; rc == OTA_OK && i < index; i++) {
		const struct rollout_stage *before = &spec->stages[i];

		if (strcmp(before->name, stage->name) == 0)
			rc = spec_fail(c, OTA_E_CONFIG, "name", "a second stage '%s'",
				stage->name);
		else if (strcmp(before->cohort, stage->cohort) == 0)
			rc = check_growth(c, stage, before);
	}
	return rc;
}

/* An order carries every device its cohort's stages name. */
static enum ota_code check_canaries(struct spec_check *c, const struct rollout_spec *spec)
{
	uint32_t named = 0;

	for (uint32_t i = 0; i < spec->stage_count; i++)
		if (spec->stages[i].kind == STAGE_DEVICES)
			named += spec->stages[i].device_count;
	if (named <= OTA_CANARIES_MAX)
		return OTA_OK;
	return spec_fail(c, OTA_E_CONFIG, "", "%u devices are named, at most %d can be",
		named, OTA_CANARIES_MAX);
}

enum ota_code rollout_spec_check(const struct rollout_spec *spec,
	const struct fleet_spec *fleet, struct spec_place *place, struct ota_error *err)
{
	struct spec_check c = { .here = { .list = "" }, .place = place, .err = err };
	enum ota_code rc = spec_name(&c, "rollout", spec->rollout);

	if (rc == OTA_OK && ota_digest_is_zero(&spec->release))
		rc = spec_fail(&c, OTA_E_CONFIG, "release", "no release is named");
	if (rc == OTA_OK &&
		(spec->stage_count == 0 || spec->stage_count > SPEC_STAGES_MAX))
		rc = spec_fail(&c, OTA_E_CONFIG, "stages", "wants 1 to %d stages",
			SPEC_STAGES_MAX);
	c.here.list = "stages";
	for (uint32_t i = 0; rc == OTA_OK && i < spec->stage_count; i++) {
		c.here.index = i;
		rc = check_stage(&c, spec, i);
		if (rc == OTA_OK)
			rc = check_cohort(&c, spec->stages[i].cohort, fleet);
	}
	if (rc == OTA_OK)
		rc = check_canaries(&c, spec);
	if (rc == OTA_OK)
		rc = check_numbers(&c, spec);
	if (rc == OTA_OK)
		rc = spec_limits_check(&c, &spec->limits);
	if (rc == OTA_OK)
		rc = spec_policy_check(&c, spec);
	return rc;
}

/* ---- to JSON */

static bool add(cJSON *object, const char *key, cJSON *item)
{
	return cJSON_AddItemToObject(object, key, item);
}

static bool add_text(cJSON *object, const char *key, const char *text)
{
	return cJSON_AddStringToObject(object, key, text) != NULL;
}

static bool add_u64(cJSON *object, const char *key, uint64_t value)
{
	return ota_json_add_u64(object, key, value) != NULL;
}

static cJSON *stage_to_json(const struct rollout_stage *stage)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();
	cJSON *devices;

	if (!add_text(object, "name", stage->name) ||
		!add_text(object, "cohort", stage->cohort))
		return NULL;
	switch (stage->kind) {
	case STAGE_PERMILLE:
		if (!add_u64(object, "permille", stage->permille))
			return NULL;
		break;
	case STAGE_COUNT:
		if (!add_u64(object, "count", stage->count))
			return NULL;
		break;
	case STAGE_DEVICES:
		devices = cJSON_AddArrayToObject(object, "devices");
		for (uint32_t i = 0; i < stage->device_count; i++)
			if (!cJSON_AddItemToArray(
				    devices, cJSON_CreateString(stage->devices[i])))
				return NULL;
		break;
	case N_STAGE_KINDS:
		return NULL;
	}
	return add_u64(object, "soak_s", stage->soak_s) ? ota_take(&object) : NULL;
}

static cJSON *gates_to_json(const struct rollout_gates *g)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();

	if (!add_u64(object, "success_permille", g->success_permille) ||
		!add_u64(object, "terminal_permille", g->terminal_permille) ||
		!add_u64(object, "p0_ppm", g->p0_ppm) ||
		!add_u64(object, "p1_ppm", g->p1_ppm) ||
		!add_u64(object, "alpha_ppm", g->alpha_ppm) ||
		!add_u64(object, "beta_ppm", g->beta_ppm) ||
		!add_u64(object, "silence_s", g->silence_s) ||
		!add_u64(object, "worse_permille", g->worse_permille) ||
		!add_u64(object, "worse_cap", g->worse_cap))
		return NULL;
	return ota_take(&object);
}

static cJSON *deadlines_to_json(const struct rollout_deadlines *d)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();

	if (!add_u64(object, "fetch_s", d->fetch_s) ||
		!add_u64(object, "install_s", d->install_s) ||
		!add_u64(object, "prove_s", d->prove_s))
		return NULL;
	return ota_take(&object);
}

static cJSON *window_to_json(const struct ota_window *window)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();

	if (!add_u64(object, "from_min", window->from_min) ||
		!add_u64(object, "to_min", window->to_min))
		return NULL;
	return ota_take(&object);
}

cJSON *rollout_spec_to_json(const struct rollout_spec *spec)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();
	cJSON *stages;

	if (!add_text(object, "rollout", spec->rollout) ||
		ota_json_add_digest(object, "release", &spec->release) == NULL)
		return NULL;
	stages = cJSON_AddArrayToObject(object, "stages");
	for (uint32_t i = 0; i < spec->stage_count; i++)
		if (!cJSON_AddItemToArray(stages, stage_to_json(&spec->stages[i])))
			return NULL;
	if (!add(object, "gates", gates_to_json(&spec->gates)) ||
		!add(object, "deadlines", deadlines_to_json(&spec->deadlines)) ||
		!add(object, "window", window_to_json(&spec->window)) ||
		!add_u64(object, "jitter_s", spec->jitter_s) ||
		!add_text(object, "on_halt", rollout_on_halt_text(spec->on_halt)) ||
		!add(object, "limits", spec_limits_to_json(&spec->limits)) ||
		!add(object, "freeze", freezes_to_json(spec)) ||
		!spec_policy_add(object, spec))
		return NULL;
	return ota_take(&object);
}

/* ---- from JSON */

static void read_devices(struct ota_json_reader *r, struct rollout_stage *stage)
{
	const cJSON *array = ota_json_array(r, "devices", OTA_CANARIES_MAX);
	const cJSON *entry;

	cJSON_ArrayForEach(entry, array)
	{
		const char *text = cJSON_GetStringValue(entry);
		struct ota_error why = { 0 };

		if (ota_name_copy(text != NULL ? text : "", "device",
			    stage->devices[stage->device_count++], &why) != OTA_OK)
			ota_json_fail(r, OTA_E_NAME, "%s", why.text);
	}
}

static void read_share(struct ota_json_reader *r, struct rollout_stage *stage)
{
	unsigned given = 0;

	for (unsigned kind = 0; kind < N_STAGE_KINDS; kind++)
		if (ota_json_has(r, kind_texts[kind])) {
			stage->kind = (enum stage_kind)kind;
			given++;
		}
	if (given != 1)
		ota_json_fail(r, OTA_E_CONFIG,
			"wants exactly one of permille, count and devices");
	else if (stage->kind == STAGE_PERMILLE)
		stage->permille = ota_json_u64(r, "permille");
	else if (stage->kind == STAGE_COUNT)
		stage->count = ota_json_u64(r, "count");
	else
		read_devices(r, stage);
}

static enum ota_code read_stage(
	const cJSON *json, struct rollout_stage *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);

	ota_json_name(&r, "name", out->name);
	ota_json_name(&r, "cohort", out->cohort);
	read_share(&r, out);
	if (ota_json_has(&r, "soak_s"))
		out->soak_s = ota_json_u64(&r, "soak_s");
	return ota_json_finish(&r);
}

static enum ota_code read_stages(
	const cJSON *array, struct rollout_spec *out, struct ota_error *err)
{
	const cJSON *entry;

	cJSON_ArrayForEach(entry, array)
	{
		uint32_t i = out->stage_count++;
		enum ota_code rc = read_stage(entry, &out->stages[i], err);

		if (rc != OTA_OK)
			return ota_wrap(err, rc, "stages[%u]", i);
	}
	return OTA_OK;
}

/* A member that may be missing: then it stays what it was. */
static void maybe_u64(struct ota_json_reader *r, const char *key, uint64_t *value)
{
	if (ota_json_has(r, key))
		*value = ota_json_u64(r, key);
}

static enum ota_code read_gates(
	const cJSON *json, struct rollout_gates *g, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);

	maybe_u64(&r, "success_permille", &g->success_permille);
	maybe_u64(&r, "terminal_permille", &g->terminal_permille);
	maybe_u64(&r, "p0_ppm", &g->p0_ppm);
	maybe_u64(&r, "p1_ppm", &g->p1_ppm);
	maybe_u64(&r, "alpha_ppm", &g->alpha_ppm);
	maybe_u64(&r, "beta_ppm", &g->beta_ppm);
	maybe_u64(&r, "silence_s", &g->silence_s);
	maybe_u64(&r, "worse_permille", &g->worse_permille);
	maybe_u64(&r, "worse_cap", &g->worse_cap);
	return ota_json_finish(&r);
}

static enum ota_code read_deadlines(
	const cJSON *json, struct rollout_deadlines *d, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);

	maybe_u64(&r, "fetch_s", &d->fetch_s);
	maybe_u64(&r, "install_s", &d->install_s);
	maybe_u64(&r, "prove_s", &d->prove_s);
	return ota_json_finish(&r);
}

static enum ota_code read_window(
	const cJSON *json, struct ota_window *window, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);
	uint64_t from_min = window->from_min, to_min = window->to_min;

	maybe_u64(&r, "from_min", &from_min);
	maybe_u64(&r, "to_min", &to_min);
	if (from_min >= MINUTES_OF_DAY || to_min >= MINUTES_OF_DAY)
		ota_json_fail(&r, OTA_E_CONFIG, "a minute is not in 0 .. 1439");
	window->from_min = (uint32_t)from_min;
	window->to_min = (uint32_t)to_min;
	return ota_json_finish(&r);
}

/* The inner objects; each may be missing. */
static enum ota_code read_inner(
	struct ota_json_reader *r, struct rollout_spec *out, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (ota_json_has(r, "gates"))
		rc = read_gates(ota_json_object(r, "gates"), &out->gates, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "gates");
	if (ota_json_has(r, "deadlines"))
		rc = read_deadlines(
			ota_json_object(r, "deadlines"), &out->deadlines, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "deadlines");
	if (ota_json_has(r, "window"))
		rc = read_window(ota_json_object(r, "window"), &out->window, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "window");
	if (ota_json_has(r, "limits"))
		rc = spec_limits_from_json(
			ota_json_object(r, "limits"), &out->limits, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "limits");
	if (ota_json_has(r, "freeze"))
		rc = freezes_from_json(
			ota_json_array(r, "freeze", SPEC_FREEZES_MAX), out, err);
	return rc;
}

static void read_on_halt(struct ota_json_reader *r, struct rollout_spec *out)
{
	const char *text;

	if (!ota_json_has(r, "on_halt"))
		return;
	text = ota_json_text(r, "on_halt");
	if (strcmp(text, on_halt_texts[ON_HALT_PAUSE]) == 0)
		out->on_halt = ON_HALT_PAUSE;
	else if (strcmp(text, on_halt_texts[ON_HALT_REVERT]) == 0)
		out->on_halt = ON_HALT_REVERT;
	else
		ota_json_fail(r, OTA_E_CONFIG, "on_halt is \"pause\" or \"revert\"");
}

enum ota_code rollout_spec_from_json(
	const cJSON *json, struct rollout_spec *out, struct ota_error *err)
{
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);
	struct ota_json_reader r = ota_json_read(json, err);
	const cJSON *stages;
	enum ota_code rc;

	if (spec == NULL)
		return ota_fail(err, OTA_E_NOMEM, "rollout");
	rollout_spec_init(spec);
	ota_json_name(&r, "rollout", spec->rollout);
	ota_json_digest(&r, "release", &spec->release);
	stages = ota_json_array(&r, "stages", SPEC_STAGES_MAX);
	maybe_u64(&r, "jitter_s", &spec->jitter_s);
	read_on_halt(&r, spec);
	rc = r.rc == OTA_OK ? read_inner(&r, spec, err) : r.rc;
	if (rc == OTA_OK)
		rc = spec_policy_read(&r, spec, err);
	if (rc == OTA_OK)
		rc = ota_json_finish(&r);
	if (rc == OTA_OK)
		rc = read_stages(stages, spec, err);
	if (rc == OTA_OK)
		rc = rollout_spec_check(spec, NULL, NULL, err);
	if (rc == OTA_OK)
		*out = *spec;
	return rc;
}
