#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/core/advance.h"
#include "orchestrator/core/approvals.h"
#include "orchestrator/core/patches.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/revert.h"
#include "orchestrator/core/rollouts.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/survey.h"
#include "orchestrator/core/tree.h"
#include "orchestrator/core/views.h"

enum { MICRO_PER_MILLI = 1000 };

/* ---- stages */

static uint64_t soak_left_s(
	const struct core *core, const struct rollout *rollout, uint32_t index)
{
	uint64_t end_s =
		rollout->runs[index].soak_from_s + rollout->spec.stages[index].soak_s;

	if (rollout->state != ROLLOUT_SOAKING || index != rollout->stage ||
		end_s <= core->now.utc_s)
		return 0;
	return end_s - core->now.utc_s;
}

/* What the gate of the stage under way waits for. */
static void gate_text(const struct core *core, const struct rollout *rollout,
	char out[static GATE_TEXT_CAP])
{
	if (rollout->reason_text[0] != '\0') {
		(void)snprintf(out, GATE_TEXT_CAP, "%.*s", GATE_TEXT_CAP - 1,
			rollout->reason_text);
		return;
	}
	switch (rollout->state) {
	case ROLLOUT_PREPARING:
		(void)snprintf(out, GATE_TEXT_CAP, "patches are being made");
		break;
	case ROLLOUT_RUNNING:
		memcpy(out, advance_judge(core, rollout).text, GATE_TEXT_CAP);
		break;
	case ROLLOUT_SOAKING:
		(void)snprintf(out, GATE_TEXT_CAP, "soaking, %" PRIu64 " s are left",
			soak_left_s(core, rollout, rollout->stage));
		break;
	case ROLLOUT_DRAFT:
	case ROLLOUT_WAITING_FOR_GRANT:
	case ROLLOUT_PAUSED:
	case ROLLOUT_HALTED:
	case ROLLOUT_REVERTING:
	case ROLLOUT_COMPLETED:
	case ROLLOUT_ABORTED:
	case ROLLOUT_SUPERSEDED:
	case N_ROLLOUT_STATES:
		out[0] = '\0';
		break;
	}
}

static cJSON *counts_view(const struct gate_counts *n)
{
	cJSON *tree = tree_object();

	tree_u64(tree, "pending", n->pending);
	tree_u64(tree, "offline", n->offline);
	tree_u64(tree, "working", n->working);
	tree_u64(tree, "confirmed", n->confirmed);
	tree_u64(tree, "failed", n->soft + n->hard);
	tree_u64(tree, "hard", n->hard);
	tree_u64(tree, "reverted", n->reverted);
	tree_u64(tree, "excused", n->excused);
	return tree;
}

static cJSON *stage_view(const struct core *core, const struct rollout *rollout,
	uint32_t index, const char *gate)
{
	const struct rollout_stage *stage = &rollout->spec.stages[index];
	const struct stage_run *run = &rollout->runs[index];
	bool current = index == rollout->stage && run->state != STAGE_PASSED;
	bool held =
		revert_is_unfinished(rollout) ? index == rollout->revert_stage : current;
	int64_t llr_micro = current ? rollout->llr_micro : run->llr_micro;
	cJSON *tree = tree_object();

	tree_text(tree, "name", stage->name);
	tree_text(tree, "cohort", stage->cohort);
	tree_text(tree, "state", stage_state_text(run->state));
	tree_u64(tree, "started_s", run->started_s);
	tree_u64(tree, "ended_s", run->ended_s);
	tree_u64(tree, "permille", run->permille);
	tree_u64(tree, "opened", run->opened);
	tree_text(tree, "hold", held ? ota_code_name(rollout->hold) : "");
	tree_text(tree, "hold_text", held ? rollout->hold_text : "");
	tree_u64(tree, "soak_left_s", soak_left_s(core, rollout, index));
	tree_u64(tree, "llr_milli",
		(uint64_t)(llr_micro < 0 ? -llr_micro : llr_micro) / MICRO_PER_MILLI);
	tree_bool(tree, "llr_negative", llr_micro < 0);
	tree_text(tree, "gate", current ? gate : "");
	return tree;
}

static void count_stages(const struct core *core, const struct rollout *rollout,
	struct gate_counts counts[static SPEC_STAGES_MAX],
	uint32_t waves[static SPEC_STAGES_MAX])
{
	stage_count(core, rollout, counts);
	survey_rest(rollout);
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		waves[i] = gate_wave(&counts[i]);
}

/* Counting visits the whole fleet, and a fleet has many rollouts that are over: how many
 * devices their stages have is counted once. */
static void count_over(const struct core *core, const struct rollout *rollout,
	uint32_t waves[static SPEC_STAGES_MAX])
{
	struct survey *survey = rollout->survey;
	struct gate_counts counts[SPEC_STAGES_MAX];

	if (!survey->over.counted || survey->over.changed_s != rollout->changed_s) {
		count_stages(core, rollout, counts, survey->over.waves);
		survey->over.counted = true;
		survey->over.changed_s = rollout->changed_s;
	}
	memcpy(waves, survey->over.waves, sizeof survey->over.waves);
}

static void add_stages(
	cJSON *tree, const struct core *core, const struct rollout *rollout, bool whole)
{
	struct gate_counts counts[SPEC_STAGES_MAX];
	uint32_t waves[SPEC_STAGES_MAX];
	char gate[GATE_TEXT_CAP];
	cJSON *list = tree_add(tree, "stages", tree_array());

	gate_text(core, rollout, gate);
	if (!whole && rollout_is_settled(rollout))
		count_over(core, rollout, waves);
	else
		count_stages(core, rollout, counts, waves);
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++) {
		cJSON *stage = tree_push(list, stage_view(core, rollout, i, gate));

		tree_u64(stage, "devices", waves[i]);
		if (whole)
			(void)tree_add(stage, "counts", counts_view(&counts[i]));
	}
}

/* ---- patches */

static uint32_t devices_from(const struct core *core, const struct rollout *rollout,
	const struct ota_digest *from)
{
	uint32_t count = 0;

	for (size_t i = 0; i < core->device_count; i++) {
		struct ota_digest source;

		count += patches_source(core, rollout, core->devices[i], &source) &&
			 ota_digest_equal(&source, from);
	}
	return count;
}

static cJSON *patch_view(
	const struct core *core, const struct rollout *rollout, const struct patch *patch)
{
	static const char *const states[] = {
		[PATCH_ASKED] = "asked", [PATCH_MADE] = "made", [PATCH_FAILED] = "failed"
	};
	cJSON *tree = tree_object();

	tree_digest(tree, "from", &patch->made.from);
	tree_digest(tree, "to", &patch->made.to);
	tree_digest(tree, "patch", &patch->made.patch);
	tree_text(tree, "state", states[patch->state]);
	tree_u64(tree, "codec", patch->made.codec);
	tree_u64(tree, "bytes", patch->made.patch_len);
	tree_u64(tree, "devices", devices_from(core, rollout, &patch->made.from));
	tree_text(tree, "why", patch->why);
	return tree;
}

static void add_patches(
	cJSON *tree, const struct core *core, const struct rollout *rollout)
{
	cJSON *list = tree_add(tree, "patches", tree_array());

	for (size_t i = 0; i < core->patch_count; i++)
		if (ota_digest_equal(
			    &core->patches[i]->made.to, &rollout->release->doc.image))
			(void)tree_push(
				list, patch_view(core, rollout, core->patches[i]));
}

/* ---- the rollout */

static cJSON *grant_view(const struct core *core, const struct rollout *rollout)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	cJSON *tree = tree_object();
	cJSON *list;

	tree_u64(tree, "permille", grant != NULL ? grant->doc.max_permille : 0);
	list = tree_add(tree, "canaries", tree_array());
	for (uint32_t i = 0; grant != NULL && i < grant->doc.canary_count; i++)
		tree_push_text(list, grant->doc.canaries[i]);
	tree_u64(tree, "expires", grant != NULL ? grant->doc.expires_utc_s : 0);
	return tree;
}

/* Incidents of updated devices against those of the others. */
static cJSON *worse_view(const struct rollout *rollout)
{
	const struct worse_test *worse = &rollout->worse;
	int64_t llr_micro = worse->llr_micro;
	cJSON *tree = tree_object();

	tree_u64(tree, "updated", worse->updated);
	tree_u64(tree, "others", worse->others);
	tree_u64(tree, "expected_milli", worse->expected_milli);
	tree_u64(tree, "ratio_milli", worse_ratio_milli(worse));
	tree_u64(tree, "llr_milli",
		(uint64_t)(llr_micro < 0 ? -llr_micro : llr_micro) / MICRO_PER_MILLI);
	tree_bool(tree, "llr_negative", llr_micro < 0);
	tree_u64(tree, "halts_milli",
		(uint64_t)gate_llr_halt(&rollout->spec.gates) / MICRO_PER_MILLI);
	return tree;
}

cJSON *views_rollout(const struct core *core, const struct rollout *rollout, bool whole)
{
	const struct approval *approval = approval_find(core, &rollout->spec.release);
	cJSON *tree = tree_object();

	tree_text(tree, "rollout", rollout->spec.rollout);
	tree_text(tree, "state", rollout_state_text(rollout->state));
	tree_u64(tree, "stage", rollout->stage);
	tree_text(tree, "reason", rollout->reason_text);
	tree_u64(tree, "reason_number", rollout->reason);
	tree_text(tree, "reason_name", ota_code_name(rollout->reason));
	(void)tree_add(tree, "release", views_release(core, rollout->release));
	(void)tree_add(tree, "grant", grant_view(core, rollout));
	if (approval != NULL)
		(void)tree_add(tree, "approval", approval_view(core, approval));
	tree_u64(tree, "created_s", rollout->created_s);
	tree_u64(tree, "changed_s", rollout->changed_s);
	tree_bool(tree, "reverted", rollout->reverted);
	(void)tree_add(tree, "worse", worse_view(rollout));
	if (revert_is_unfinished(rollout))
		tree_text(tree, "revert_stage",
			rollout->spec.stages[rollout->revert_stage].name);
	add_stages(tree, core, rollout, whole);
	(void)tree_add(tree, "bytes",
		views_bytes_json(views_bytes_of(core, &rollout->release->doc.image)));
	if (!whole)
		return tree;
	(void)tree_add(tree, "spec", rollout_spec_to_json(&rollout->spec));
	add_patches(tree, core, rollout);
	return tree;
}
