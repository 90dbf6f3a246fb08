#include "orchestrator/core/advance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/core/approvals.h"
#include "orchestrator/core/attempts.h"
#include "orchestrator/core/documents.h"
#include "orchestrator/core/opening.h"
#include "orchestrator/core/patches.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/revert.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"

static const struct cause by_itself = { .who = "core", .text = "" };

static void give_reason(struct rollout *rollout, enum ota_code code, const char *text)
{
	rollout->reason = code;
	(void)snprintf(rollout->reason_text, sizeof rollout->reason_text, "%s", text);
}

/* ---- moving */

static void audit_move(struct core *core, const struct rollout *rollout,
	enum rollout_event event, const struct cause *cause)
{
	cJSON *detail = tree_object();
	char action[48];

	(void)snprintf(action, sizeof action, "rollout.%s", rollout_fsm.events[event]);
	tree_text(detail, "rollout", rollout->spec.rollout);
	tree_text(detail, "state", rollout_state_text(rollout->state));
	tree_text(detail, "stage", rollout->spec.stages[rollout->stage].name);
	tree_text(detail, "reason", ota_code_name(cause->code));
	tree_text(detail, "text", rollout->reason_text);
	store_audit(core, cause->who, action, detail);
}

enum ota_code advance_move(struct core *core, struct rollout *rollout,
	enum rollout_event event, const struct cause *cause, struct ota_error *err)
{
	unsigned to;
	enum ota_code rc = ota_fsm_next(&rollout_fsm, rollout->state, event, &to, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", rollout->spec.rollout);
	rollout->state = (enum rollout_state)to;
	if (event != ROLLOUT_EV_RESTART) {
		give_reason(rollout, cause->code, cause->text);
		rollout->changed_s = core->now.utc_s;
	}
	rollout->dirty = true;
	core->orders_due = true;
	store_rollout(core, rollout);
	audit_move(core, rollout, event, cause);
	return OTA_OK;
}

/* A move the table has for every state it is made in. */
static bool moved(struct core *core, struct rollout *rollout, enum rollout_event event)
{
	return advance_move(core, rollout, event, &by_itself, NULL) == OTA_OK;
}

/* The one place that changes a stage's state. False: the table has no such move. */
static bool stage_moved(struct rollout *rollout, enum stage_event event)
{
	struct stage_run *run = &rollout->runs[rollout->stage];
	unsigned to;

	if (ota_fsm_next(&stage_fsm, run->state, event, &to, NULL) != OTA_OK)
		return false;
	run->state = (enum stage_state)to;
	return true;
}

enum ota_code advance_resume(struct core *core, struct rollout *rollout,
	const struct cause *cause, struct ota_error *err)
{
	enum ota_code rc = advance_move(core, rollout, ROLLOUT_EV_RESUME, cause, err);

	if (rc == OTA_OK && stage_moved(rollout, STAGE_EV_RESUME))
		store_rollout(core, rollout);
	return rc;
}

static bool has_started(const struct rollout *rollout)
{
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		if (rollout->runs[i].started_s != 0)
			return true;
	return false;
}

enum ota_code advance_revert(struct core *core, struct rollout *rollout, bool at_once,
	const struct cause *cause, struct ota_error *err)
{
	unsigned to;
	enum ota_code rc =
		ota_fsm_next(&rollout_fsm, rollout->state, ROLLOUT_EV_REVERT, &to, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", rollout->spec.rollout);
	revert_begin(core, rollout, at_once);
	return advance_move(core, rollout, ROLLOUT_EV_REVERT, cause, err);
}

static bool halted(
	struct core *core, struct rollout *rollout, enum ota_code code, const char *text)
{
	struct cause cause = { .who = "core", .code = code, .text = text };

	(void)stage_moved(rollout, STAGE_EV_HALT);
	rollout->runs[rollout->stage].llr_micro = rollout->llr_micro;
	if (advance_move(core, rollout, ROLLOUT_EV_HALT, &cause, NULL) != OTA_OK)
		return false;
	if (rollout->spec.on_halt == ON_HALT_REVERT && has_started(rollout))
		return advance_revert(core, rollout, false, &cause, NULL) == OTA_OK;
	return true;
}

/* ---- judging */

static struct gate_case case_of(const struct core *core, const struct rollout *rollout,
	const struct gate_counts *counts)
{
	struct attempts_sum sum = attempts_sum(core, rollout);

	return (struct gate_case){
		.gates = &rollout->spec.gates,
		.stage = rollout->spec.stages[rollout->stage].name,
		.counts = *counts,
		.rollout_hard = sum.hard,
		.rollout_soft = sum.soft,
		.rollout_confirmed = sum.confirmed,
		.rollout_aside = sum.aside,
		.llr_micro = rollout->llr_micro,
		.worse = rollout->worse,
	};
}

static struct gate_case look(const struct core *core, const struct rollout *rollout)
{
	struct gate_counts counts[SPEC_STAGES_MAX];

	stage_count(core, rollout, counts);
	return case_of(core, rollout, &counts[rollout->stage]);
}

struct gate_verdict advance_judge(const struct core *core, const struct rollout *rollout)
{
	const struct gate_case c = look(core, rollout);

	return gate_judge(&c);
}

/* True if the catalog no longer allows the release, and the rollout is halted. */
static bool is_withdrawn(struct core *core, struct rollout *rollout)
{
	struct ota_error why = { 0 };

	return documents_allow(core, rollout->release, core->now.utc_s, &why) ==
		       OTA_E_UNLISTED &&
	       halted(core, rollout, OTA_E_UNLISTED, why.text);
}

/* Before its stage begins: whether an earlier one brings the rollout down. */
static bool has_failed(struct core *core, struct rollout *rollout)
{
	const struct gate_case c = look(core, rollout);
	struct gate_verdict verdict;

	return gate_must_halt(&c, &verdict) &&
	       halted(core, rollout, verdict.code, verdict.text);
}

/* ---- one step in each state; true if it moved */

static bool prepare(struct core *core, struct rollout *rollout)
{
	const struct patch *failed;
	uint32_t waiting = patches_ask(core, rollout, &failed);

	if (failed != NULL)
		return halted(core, rollout, OTA_E_NOPATCH, failed->why);
	return waiting == 0 && moved(core, rollout, ROLLOUT_EV_PREPARED);
}

/* A stage that has started keeps its share; it only has to be granted still. */
static enum ota_code still_covered(
	const struct core *core, const struct rollout *rollout, struct ota_error *err)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	uint64_t permille = rollout->runs[rollout->stage].permille;

	if (grant != NULL && permille > grant->doc.max_permille)
		return ota_fail(err, OTA_E_SHARE,
			"stage %s has %" PRIu64 " permille, granted are %" PRIu64,
			rollout->spec.stages[rollout->stage].name, permille,
			grant->doc.max_permille);
	if (grant != NULL && core->now.utc_s >= grant->doc.expires_utc_s)
		return ota_fail(err, OTA_E_EXPIRED, "grant %" PRIu64, grant->doc.seq);
	return grant != NULL ? OTA_OK : OTA_E_NOGRANT;
}

/* Say what is missing; true never, it does not move. */
static bool wait_for(
	struct core *core, struct rollout *rollout, enum ota_code code, const char *text)
{
	if (rollout->reason == code && strcmp(rollout->reason_text, text) == 0)
		return false;
	give_reason(rollout, code, text);
	store_rollout(core, rollout);
	return false;
}

static void start_stage(struct core *core, struct rollout *rollout, uint64_t permille)
{
	struct stage_run *run = &rollout->runs[rollout->stage];

	*run = (struct stage_run){ .started_s = core->now.utc_s, .permille = permille };
	opening_begin(rollout);
}

static bool await_grant(struct core *core, struct rollout *rollout)
{
	bool started = rollout->runs[rollout->stage].started_s != 0;
	char frozen[CORE_TEXT_CAP];
	struct ota_error why = { 0 };
	uint64_t permille = 0;
	enum ota_code rc;

	if (is_withdrawn(core, rollout) || has_failed(core, rollout))
		return true;
	if (!started && opening_is_frozen(core, rollout, NULL, frozen))
		return wait_for(core, rollout, OTA_E_FREEZE, frozen);
	rc = started ? still_covered(core, rollout, &why)
		     : stage_cover(core, rollout, rollout->stage, &permille, &why);
	if (rc != OTA_OK) {
		rc = approvals_reason(core, &rollout->spec.release, rc, &why);
		return wait_for(core, rollout, rc, why.text);
	}
	if (!started)
		start_stage(core, rollout, permille);
	return stage_moved(rollout, STAGE_EV_GRANT) &&
	       moved(core, rollout, ROLLOUT_EV_GRANTED);
}

static bool run(struct core *core, struct rollout *rollout)
{
	struct gate_verdict verdict;

	if (is_withdrawn(core, rollout))
		return true;
	verdict = advance_judge(core, rollout);
	if (verdict.move == GATE_HALT)
		return halted(core, rollout, verdict.code, verdict.text);
	if (still_covered(core, rollout, NULL) != OTA_OK)
		return moved(core, rollout, ROLLOUT_EV_UNGRANTED);
	opening_step(core, rollout);
	if (verdict.move != GATE_PASS || !opening_is_whole(rollout))
		return false;
	rollout->runs[rollout->stage].soak_from_s = core->now.utc_s;
	return stage_moved(rollout, STAGE_EV_FINISH) &&
	       moved(core, rollout, ROLLOUT_EV_FINISHED);
}

static uint64_t soak_end_s(const struct rollout *rollout)
{
	return rollout->runs[rollout->stage].soak_from_s +
	       rollout->spec.stages[rollout->stage].soak_s;
}

static bool soak(struct core *core, struct rollout *rollout)
{
	struct stage_run *stage = &rollout->runs[rollout->stage];
	struct gate_verdict verdict;

	if (is_withdrawn(core, rollout))
		return true;
	verdict = advance_judge(core, rollout);
	if (verdict.move == GATE_HALT)
		return halted(core, rollout, verdict.code, verdict.text);
	if (core->now.utc_s < soak_end_s(rollout) || verdict.move != GATE_PASS ||
		!stage_moved(rollout, STAGE_EV_PASS))
		return false;
	stage->ended_s = core->now.utc_s;
	stage->llr_micro = rollout->llr_micro;
	if (rollout->stage + 1 == rollout->spec.stage_count)
		return moved(core, rollout, ROLLOUT_EV_DONE);
	rollout->stage++;
	return moved(core, rollout, ROLLOUT_EV_NEXT);
}

/* It ends as HALTED, for the reason it was begun for. */
static bool end_revert(struct core *core, struct rollout *rollout, const char *outcome)
{
	struct cause cause = { .who = "core", .code = rollout->reason };
	char text[CORE_TEXT_CAP + GATE_TEXT_CAP + 4];

	(void)snprintf(text, sizeof text, "%s%s%s", rollout->reason_text,
		rollout->reason_text[0] != '\0' && outcome[0] != '\0' ? "; " : "",
		outcome);
	cause.text = text;
	return advance_move(core, rollout, ROLLOUT_EV_REVERTED, &cause, NULL) == OTA_OK;
}

static bool revert(struct core *core, struct rollout *rollout)
{
	char text[GATE_TEXT_CAP];

	switch (revert_step(core, rollout, text)) {
	case REVERT_WAIT:
		return false;
	case REVERT_OPENED:
		core->orders_due = true;
		store_rollout(core, rollout);
		return true;
	case REVERT_STOPPED:
	case REVERT_DONE:
		break;
	}
	return end_revert(core, rollout, text);
}

static bool step(struct core *core, struct rollout *rollout)
{
	switch (rollout->state) {
	case ROLLOUT_PREPARING:
		return prepare(core, rollout);
	case ROLLOUT_WAITING_FOR_GRANT:
		return await_grant(core, rollout);
	case ROLLOUT_RUNNING:
		return run(core, rollout);
	case ROLLOUT_SOAKING:
		return soak(core, rollout);
	case ROLLOUT_REVERTING:
		return revert(core, rollout);
	case ROLLOUT_DRAFT:
	case ROLLOUT_PAUSED:
	case ROLLOUT_HALTED:
	case ROLLOUT_COMPLETED:
	case ROLLOUT_ABORTED:
	case ROLLOUT_SUPERSEDED:
	case N_ROLLOUT_STATES:
		break;
	}
	return false;
}

/* ---- when to look again */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When its next devices may begin. */
static uint64_t opening_due_s(const struct core *core, const struct rollout *rollout)
{
	char text[CORE_TEXT_CAP];
	uint64_t until_s;

	if (rollout->state == ROLLOUT_RUNNING && !opening_is_whole(rollout))
		return rollout->look_s;
	if (rollout->state == ROLLOUT_WAITING_FOR_GRANT &&
		opening_is_frozen(core, rollout, &until_s, text))
		return until_s;
	return UINT64_MAX;
}

static uint64_t due_s(struct core *core, const struct rollout *rollout, uint64_t sweep_s)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	uint64_t due = sweep_s;

	if (rollout->state == ROLLOUT_REVERTING)
		return revert_due_s(rollout);
	if (!rollout_state_is_live(rollout->state))
		return sweep_s;
	if (grant != NULL && core->now.utc_s < grant->doc.expires_utc_s)
		due = sooner(due, grant->doc.expires_utc_s);
	if (rollout->state == ROLLOUT_SOAKING && core->now.utc_s < soak_end_s(rollout))
		due = sooner(due, soak_end_s(rollout));
	if (rollout->runs[rollout->stage].started_s != 0)
		due = sooner(due, stage_away_due_s(core, rollout, rollout->stage));
	return sooner(due, opening_due_s(core, rollout));
}

/* Its devices have deadlines, and tries ahead of them: those that come late, too. */
static bool is_watched(const struct rollout *rollout)
{
	return rollout_state_is_live(rollout->state) ||
	       (rollout->state == ROLLOUT_COMPLETED && !rollout->reverted);
}

void advance(struct core *core, struct rollout *rollout)
{
	uint64_t sweep_s = UINT64_MAX;

	do {
		rollout->dirty = false;
		sweep_s =
			is_watched(rollout) ? attempts_sweep(core, rollout) : UINT64_MAX;
	} while (step(core, rollout));
	rollout->dirty = false;
	rollout->due_s = due_s(core, rollout, sweep_s);
}
