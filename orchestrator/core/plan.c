#include "orchestrator/core/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/approvals.h"
#include "orchestrator/core/patches.h"
#include "orchestrator/core/plan_changes.h"
#include "orchestrator/core/plan_spread.h"
#include "orchestrator/core/plan_time.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/rollouts.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/survey.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"
#include "proto/wire/manifest.h"

struct planned {
	uint32_t devices;  /* that the stage adds */
	uint64_t permille; /* it opens */
	uint64_t needs;    /* permille a grant must have */
};

struct plan {
	const struct core *core;
	const struct grant *grant; /* NULL while there is none */
	struct rollout *rollout;   /* not one of the core's */
	struct planned stages[SPEC_STAGES_MAX];
	cJSON *warnings; /* borrowed from the answer */
};

static void warn(struct plan *plan, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void warn(struct plan *plan, const char *fmt, ...)
{
	char text[CORE_TEXT_CAP];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	tree_push_text(plan->warnings, text);
}

/* ---- stages */

static uint32_t concerned(const struct plan *plan, const char *cohort)
{
	uint32_t count = 0;

	for (size_t i = 0; i < plan->core->device_count; i++) {
		const struct device *device = plan->core->devices[i];

		count += strcmp(device->cohort, cohort) == 0 &&
			 stage_concerns(plan->rollout, device);
	}
	return count;
}

/* Without a salt nobody knows who, but how many. */
static void estimate(struct plan *plan, uint32_t index)
{
	const struct rollout_stage *stage = &plan->rollout->spec.stages[index];
	struct planned *out = &plan->stages[index];
	uint64_t all = concerned(plan, stage->cohort), taken = 0, share = 0;

	for (uint32_t i = 0; i < index; i++)
		if (strcmp(plan->rollout->spec.stages[i].cohort, stage->cohort) == 0)
			taken += plan->stages[i].devices;
	if (stage->kind == STAGE_PERMILLE) {
		out->permille = stage->permille;
		share = all * stage->permille / OTA_PERMILLE_ALL;
	} else if (stage->kind == STAGE_COUNT) {
		share = stage->count < all ? stage->count : all;
		out->permille = all == 0 ? 0 : (share * OTA_PERMILLE_ALL + all - 1) / all;
	} else {
		share = taken + stage->device_count;
	}
	out->needs = out->permille;
	out->devices = (uint32_t)(share > taken ? share - taken : 0);
}

static void compute(struct plan *plan, uint32_t index)
{
	const struct rollout_stage *stage = &plan->rollout->spec.stages[index];
	struct planned *out = &plan->stages[index];
	struct wave_buckets buckets;
	struct wave_share share;

	out->permille = out->needs = stage->kind == STAGE_PERMILLE ? stage->permille : 0;
	if (stage->kind == STAGE_COUNT) {
		stage_buckets(plan->core, plan->rollout, index, &buckets);
		share = wave_of_count(&buckets, stage->count);
		out->permille = share.permille;
		out->needs = share.least;
	}
}

static void compute_all(struct plan *plan)
{
	struct gate_counts counts[SPEC_STAGES_MAX];
	uint32_t count = plan->rollout->spec.stage_count;

	for (uint32_t i = 0; i < count; i++)
		if (plan->grant != NULL)
			compute(plan, i);
		else
			estimate(plan, i);
	if (plan->grant == NULL)
		return;
	stage_count(plan->core, plan->rollout, counts);
	for (uint32_t i = 0; i < count; i++)
		plan->stages[i].devices = gate_wave(&counts[i]);
}

static void add_stage(cJSON *list, struct plan *plan, uint32_t index)
{
	const struct rollout_stage *stage = &plan->rollout->spec.stages[index];
	const struct planned *planned = &plan->stages[index];
	uint32_t detects = gate_detects_permille(planned->devices);
	cJSON *tree = tree_push(list, tree_object());

	tree_text(tree, "name", stage->name);
	tree_text(tree, "cohort", stage->cohort);
	tree_u64(tree, "devices", planned->devices);
	tree_u64(tree, "permille", planned->permille);
	tree_u64(tree, "detects_permille", detects);
	tree_u64(tree, "soak_s", stage->soak_s);
	if (planned->devices == 0)
		warn(plan, "stage %s has no device: its gate proves nothing",
			stage->name);
	else if (detects > 100)
		warn(plan, "stage %s: %u devices find failure rates above %u.%u %%",
			stage->name, planned->devices, detects / 10, detects % 10);
	if (stage->soak_s == 0)
		warn(plan, "stage %s does not soak", stage->name);
}

/* ---- patches */

static cJSON *find_from(cJSON *list, const struct ota_digest *from)
{
	char hex[OTA_DIGEST_HEX_CAP];
	cJSON *entry;

	ota_digest_hex(from, hex);
	cJSON_ArrayForEach(entry, list)
	{
		const cJSON *key = cJSON_GetObjectItemCaseSensitive(entry, "from");

		if (strcmp(cJSON_GetStringValue(key), hex) == 0)
			return entry;
	}
	return NULL;
}

static cJSON *add_patch(cJSON *list, const struct plan *plan,
	const struct ota_digest *from, const char *version)
{
	const struct patch *patch =
		patch_find(plan->core, from, &plan->rollout->release->doc.image);
	bool made = patch != NULL && patch->state == PATCH_MADE;
	const char *kind = made ? "delta" : "unknown";
	cJSON *tree = tree_push(list, tree_object());

	if (ota_digest_is_zero(from) || (made && patch->made.codec == OTA_CODEC_FULL))
		kind = "full";
	tree_digest(tree, "from", from);
	tree_text(tree, "version", version);
	tree_u64(tree, "devices", 0);
	tree_text(tree, "kind", kind);
	tree_u64(tree, "bytes", made ? patch->made.patch_len : 0);
	return tree;
}

static void add_patches(cJSON *tree, const struct plan *plan)
{
	cJSON *list = tree_add(tree, "patches", tree_array());
	uint64_t full = plan->rollout->release->doc.image_len;

	for (size_t i = 0; i < plan->core->device_count; i++) {
		const struct device *device = plan->core->devices[i];
		struct ota_digest from;
		cJSON *entry, *count;

		if (!patches_source(plan->core, plan->rollout, device, &from))
			continue;
		entry = find_from(list, &from);
		if (entry == NULL)
			entry = add_patch(list, plan, &from, device->report.version);
		count = cJSON_GetObjectItemCaseSensitive(entry, "devices");
		cJSON_SetNumberValue(count, count->valuedouble + 1);
	}
	for (size_t i = 0; i < plan->core->patch_count; i++) {
		const struct patch *patch = plan->core->patches[i];

		if (patch->state == PATCH_MADE && patch->made.full_len > 0 &&
			ota_digest_equal(
				&patch->made.to, &plan->rollout->release->doc.image))
			full = patch->made.full_len;
	}
	tree_u64(tree, "full_bytes", full);
}

/* ---- grant and warnings */

/* Of a grant that has yet to be made, or that lacks signatures. */
static void warn_of_signatures(struct plan *plan, cJSON *grant, uint64_t needed)
{
	const struct core *core = plan->core;
	const struct approval *approval =
		approval_find(core, &plan->rollout->spec.release);
	uint64_t granted = plan->grant != NULL ? plan->grant->doc.max_permille : 0;
	uint32_t operators = ota_grant_threshold(&core->trust.root, needed);
	char text[CORE_TEXT_CAP];

	if (approval != NULL) {
		(void)tree_add(grant, "approval", approval_view(core, approval));
		approval_text(core, approval, text);
		warn(plan, "%s", text);
	} else if (granted < needed && operators > 1) {
		warn(plan,
			"a grant of %" PRIu64
			" permille has to be signed by %u operators",
			needed, operators);
	}
}

static void add_grant(cJSON *tree, struct plan *plan)
{
	const struct rollout_spec *spec = &plan->rollout->spec;
	uint64_t granted = plan->grant != NULL ? plan->grant->doc.max_permille : 0;
	uint64_t needed = 0;
	cJSON *grant = tree_add(tree, "grant", tree_object());
	cJSON *canaries = tree_array();

	for (uint32_t i = 0; i < spec->stage_count; i++) {
		if (plan->stages[i].needs > needed)
			needed = plan->stages[i].needs;
		for (uint32_t d = 0; d < spec->stages[i].device_count; d++)
			tree_push_text(canaries, spec->stages[i].devices[d]);
	}
	tree_u64(grant, "permille_needed", needed);
	tree_u64(grant, "permille_granted", granted);
	tree_u64(grant, "signatures",
		ota_grant_threshold(&plan->core->trust.root, needed));
	(void)tree_add(grant, "canaries", canaries);
	warn_of_signatures(plan, grant, needed);
	if (plan->grant == NULL)
		warn(plan, "no grant yet: shares are estimates, the rollout waits for "
			   "operators");
	else if (granted < needed)
		warn(plan, "granted are %" PRIu64 " of %" PRIu64 " permille", granted,
			needed);
}

static void warn_of_image(struct plan *plan)
{
	const struct image *image =
		image_find(plan->core, &plan->rollout->release->doc.image);

	if (image != NULL && image->advice[0] != '\0')
		tree_push_text(plan->warnings, image->advice);
}

static void warn_of_others(struct plan *plan)
{
	for (size_t i = 0; i < plan->core->rollout_count; i++) {
		const struct rollout *other = plan->core->rollouts[i];

		if (rollouts_takes_over(&plan->rollout->spec, other))
			warn(plan, "takes over from rollout %s, which is %s and ends",
				other->spec.rollout, rollout_state_text(other->state));
	}
}

static bool in_cohorts(const struct plan *plan, const struct device *device)
{
	for (uint32_t i = 0; i < plan->rollout->spec.stage_count; i++)
		if (strcmp(plan->rollout->spec.stages[i].cohort, device->cohort) == 0)
			return true;
	return false;
}

static void warn_of_devices(struct plan *plan)
{
	uint32_t silent = 0, offline = 0, unfit = 0, current = 0;

	for (size_t i = 0; i < plan->core->device_count; i++) {
		const struct device *device = plan->core->devices[i];
		enum ota_code fit = stage_fit(device, &plan->rollout->release->doc);

		if (!in_cohorts(plan, device))
			continue;
		silent += !device->reported;
		offline += device->reported && !device->online;
		current += fit == OTA_E_CURRENT;
		unfit += fit != OTA_OK && fit != OTA_E_CURRENT;
	}
	if (silent > 0)
		warn(plan, "%u devices have never reported", silent);
	if (offline > 0)
		warn(plan, "%u devices are offline", offline);
	if (unfit > 0)
		warn(plan, "%u devices cannot take the release", unfit);
	if (current > 0)
		warn(plan, "%u devices run the release already", current);
}

/* How large the patches are, as far as they are made. */
static void weigh_patches(const cJSON *tree, struct plan_work *work)
{
	uint64_t full = (uint64_t)cJSON_GetNumberValue(
		cJSON_GetObjectItemCaseSensitive(tree, "full_bytes"));
	const cJSON *patch;

	work->bytes_least = UINT64_MAX;
	cJSON_ArrayForEach(patch, cJSON_GetObjectItemCaseSensitive(tree, "patches"))
	{
		uint64_t bytes = (uint64_t)cJSON_GetNumberValue(
			cJSON_GetObjectItemCaseSensitive(patch, "bytes"));
		uint64_t most = bytes > 0 ? bytes : full;

		if (bytes < work->bytes_least)
			work->bytes_least = bytes;
		if (most > work->bytes_most)
			work->bytes_most = most;
	}
	if (work->bytes_least == UINT64_MAX)
		work->bytes_least = 0;
}

static void add_time(cJSON *tree, const struct plan *plan)
{
	uint32_t devices[SPEC_STAGES_MAX];
	struct plan_work work = { .devices = devices };

	for (uint32_t i = 0; i < plan->rollout->spec.stage_count; i++)
		devices[i] = plan->stages[i].devices;
	weigh_patches(tree, &work);
	plan_time(plan->core, plan->rollout, &work, tree);
	plan_worse(plan->core, plan->rollout, &work, tree);
}

static cJSON *plan_tree(const struct core *core, struct rollout *rollout)
{
	cJSON *tree = tree_object(), *stages;
	struct plan plan = {
		.core = core,
		.grant = grant_find(core, &rollout->spec.release),
		.rollout = rollout,
		.warnings = tree_array(),
	};

	compute_all(&plan);
	tree_text(tree, "rollout", rollout->spec.rollout);
	stages = tree_add(tree, "stages", tree_array());
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		add_stage(stages, &plan, i);
	add_patches(tree, &plan);
	add_time(tree, &plan);
	plan_changes(core, rollout, tree);
	add_grant(tree, &plan);
	warn_of_image(&plan);
	warn_of_others(&plan);
	warn_of_devices(&plan);
	plan_spread(core, rollout, plan.warnings);
	(void)tree_add(tree, "warnings", plan.warnings);
	return tree;
}

enum ota_code plan_json(
	const struct core *core, const cJSON *json, cJSON **out, struct ota_error *err)
{
	ota_autofree struct rollout *rollout = core_alloc(1, sizeof *rollout);
	enum ota_code rc = rollout_spec_from_json(json, &rollout->spec, err);

	if (rc == OTA_OK)
		rc = rollouts_check(core, &rollout->spec, &rollout->release, err);
	rollout->survey = survey_new();
	if (rc == OTA_OK)
		*out = plan_tree(core, rollout);
	survey_free(rollout->survey);
	return rc;
}
