/* What holds whatever happens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/fsm.h"
#include "proto/base/own.h"
#include "tests/sim/laws_world.h"

static bool is_terminal(const struct lw_heard *heard)
{
	return heard->state == OTA_UPDATE_FAILED ||
	       (heard->state == OTA_UPDATE_CONFIRMED && heard->is_new);
}

/* The first stage that takes the device. */
static bool is_in_stage(
	const struct laws_world *w, const struct lw_device *d, uint32_t stage)
{
	if (d->cohort == 0)
		return stage == 0;
	return stage == (d->bucket < w->draft.permille[1] ? 1 : 2);
}

/* ---- no stage before its gate: whoever is within reach has finished, and it has soaked
 */

static void look_at_gate(struct laws_world *w, uint32_t stage)
{
	uint64_t soaked = w->now.utc_s - w->draft.soaks_since_s;

	for (uint32_t i = 0; i < w->device_count; i++) {
		const struct lw_device *d = &w->devices[i];

		if (is_in_stage(w, d, stage) && d->heard.online &&
			!is_terminal(&d->heard))
			lw_wrong(w, "gate: stage %u passed, %s is in state %d", stage,
				d->id, (int)d->heard.state);
	}
	if (w->draft.state != ROLLOUT_SOAKING || soaked < w->soak_s[stage])
		lw_wrong(w, "soak: stage %u passed after %llu s of %llu", stage,
			(unsigned long long)soaked, (unsigned long long)w->soak_s[stage]);
}

/* Who is within reach, may begin by an order, and has not come to an end. */
static uint64_t under_way(const struct laws_world *w, uint32_t cohort, uint64_t permille)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < w->device_count; i++) {
		const struct lw_device *d = &w->devices[i];

		count += d->cohort == cohort && d->bucket < permille && d->heard.online &&
			 !is_terminal(&d->heard);
	}
	return count;
}

/* Devices of one bucket begin together, whatever the limit; few worlds have such. */
static bool shares_bucket(const struct laws_world *w)
{
	for (uint32_t i = 0; i < w->device_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (w->devices[i].bucket == w->devices[j].bucket)
				return true;
	return false;
}

/* A stage that is opened further leaves no more devices under way than the file allows.
 * Who is away is not counted, and begins when it is back. */
static void look_at_pace(struct laws_world *w, const char *row)
{
	uint64_t *most = w->draft.opened_most;
	const char *at = strstr(row, "\"runs\":");

	for (uint32_t s = 0; s < LW_STAGES && at != NULL; s++) {
		uint32_t cohort = s == 0 ? 0 : 1;
		char text[LW_ROLLOUT_STATE_CAP];
		uint64_t opened, count;

		at = strstr(at + 1, "\"started_s\":");
		if (at == NULL)
			break;
		lw_member(at, "opened", text, sizeof text);
		opened = strtoull(text, NULL, 10);
		if (opened <= most[cohort])
			continue;
		most[cohort] = opened;
		count = under_way(w, cohort, opened);
		if (count > w->in_flight && !shares_bucket(w))
			lw_wrong(w,
				"caps: %llu devices under way at %llu permille, the "
				"limit is %llu",
				(unsigned long long)count, (unsigned long long)opened,
				(unsigned long long)w->in_flight);
	}
}

struct shown {
	uint32_t stage;
	enum rollout_state state;
};

static struct shown shown_in(const char *row)
{
	char text[LW_ROLLOUT_STATE_CAP];
	struct shown shown = { 0 };

	lw_member(row, "stage", text, sizeof text);
	shown.stage = (uint32_t)strtoul(text, NULL, 10);
	lw_member(row, "state", text, sizeof text);
	(void)rollout_state_of(text, &shown.state);
	return shown;
}

static void look_at_rollout(struct laws_world *w, const char *row)
{
	struct shown shown = shown_in(row);

	look_at_pace(w, row);
	if (shown.stage > w->draft.stage)
		look_at_gate(w, w->draft.stage);
	if (shown.stage > w->draft.stage + 1)
		lw_wrong(w, "gate: from stage %u to %u", w->draft.stage, shown.stage);
	if (shown.state == ROLLOUT_COMPLETED && w->draft.state != ROLLOUT_COMPLETED)
		look_at_gate(w, LW_STAGES - 1);
}

/* ---- no success without a confirmed report of the new image */

static void look_at_attempt(struct laws_world *w, const struct lw_op *op)
{
	char state[LW_ROLLOUT_STATE_CAP], id[OTA_NAME_CAP];

	lw_member(op->text, "state", state, sizeof state);
	lw_member(op->text, "device", id, sizeof id);
	if (strcmp(state, "confirmed") != 0)
		return;
	for (uint32_t i = 0; i < w->device_count; i++)
		if (strcmp(w->devices[i].id, id) == 0 &&
			(!w->devices[i].told_success ||
				!is_terminal(&w->devices[i].heard)))
			lw_wrong(w, "success: %s has never said so", id);
}

/* ---- never beyond the grant, never backwards */

static void look_at_order(struct laws_world *w, const struct lw_op *op)
{
	uint32_t cohort = strcmp(op->key, "lab") == 0 ? 0 : 1;

	if (op->order.permille > w->granted)
		lw_wrong(w, "grant: %llu permille of %llu",
			(unsigned long long)op->order.permille,
			(unsigned long long)w->granted);
	if (op->order.canary_count > 0)
		lw_wrong(w, "grant: canaries that nobody granted");
	if (op->order.seq == w->draft.seq[cohort] &&
		(op->order.permille != w->draft.opened[cohort] ||
			op->order.state != w->draft.order[cohort]))
		lw_wrong(w, "order: two of sequence %llu",
			(unsigned long long)op->order.seq);
	if (op->order.seq < w->draft.seq[cohort])
		lw_wrong(w, "order: sequence %llu after %llu",
			(unsigned long long)op->order.seq,
			(unsigned long long)w->draft.seq[cohort]);
}

/* ---- the audit log is whole, and tells every move of the rollout */

static enum rollout_event event_of(const char *action)
{
	for (unsigned e = 0; e < N_ROLLOUT_EVENTS; e++)
		if (strcmp(rollout_fsm.events[e], action + strlen("rollout.")) == 0)
			return (enum rollout_event)e;
	return N_ROLLOUT_EVENTS;
}

static void keep_move(struct laws_world *w, const struct lw_op *op)
{
	char text[LW_ROLLOUT_STATE_CAP];
	enum rollout_state told = ROLLOUT_DRAFT;
	enum rollout_event event = event_of(op->key);
	unsigned to = N_ROLLOUT_STATES;

	if (event == N_ROLLOUT_EVENTS)
		return;
	lw_member(op->text, "state", text, sizeof text);
	(void)rollout_state_of(text, &told);
	if (ota_fsm_next(&rollout_fsm, w->draft.audited, event, &to, NULL) != OTA_OK ||
		to != told)
		lw_wrong(w, "audit: %s from %s to %s", op->key,
			rollout_state_text(w->draft.audited), text);
	w->draft.audited = told;
}

static void keep_audit(struct laws_world *w, const struct lw_op *op)
{
	struct audit_entry entry = { .seq = w->draft.audit_seq + 1,
		.at_utc_s = w->now.utc_s,
		.who = "",
		.action = op->key,
		.detail = op->text,
		.prev = w->draft.audit_head };

	entry.hash = audit_entry_hash(&entry);
	w->draft.audit_seq = entry.seq;
	w->draft.audit_head = entry.hash;
	if (!audit_walk_take(&w->draft.chain, &entry))
		lw_wrong(w, "audit: the chain is broken");
	if (strncmp(op->key, "rollout.", 8) == 0)
		keep_move(w, op);
}

static void keep_permille(struct laws_world *w, const char *row)
{
	const char *at = strstr(row, "\"runs\":");

	for (uint32_t s = 0; s < LW_STAGES && at != NULL; s++) {
		char text[LW_ROLLOUT_STATE_CAP];

		at = strstr(at + 1, "\"started_s\":");
		if (at == NULL)
			break;
		lw_member(at, "permille", text, sizeof text);
		w->draft.permille[s] = strtoull(text, NULL, 10);
	}
}

static void keep_rollout(struct laws_world *w, const char *row)
{
	struct shown shown = shown_in(row);

	if (shown.state == ROLLOUT_SOAKING &&
		(w->draft.state != ROLLOUT_SOAKING || shown.stage != w->draft.stage))
		w->draft.soaks_since_s = w->now.utc_s;
	w->draft.stage = shown.stage;
	w->draft.state = shown.state;
	keep_permille(w, row);
}

static void keep(struct laws_world *w, const struct lw_op *op)
{
	uint32_t cohort = op->key != NULL && strcmp(op->key, "lab") == 0 ? 0 : 1;

	switch (op->kind) {
	case LW_AUDIT:
		keep_audit(w, op);
		break;
	case LW_PUT:
		if (op->table == CORE_ROLLOUT)
			keep_rollout(w, op->text);
		break;
	case LW_RETAIN:
		w->draft.seq[cohort] = op->order.seq;
		w->draft.opened[cohort] = op->order.permille;
		w->draft.order[cohort] = op->order.state;
		break;
	case LW_DROP:
		break;
	}
}

void laws_look(struct laws_world *w, const struct lw_op *op)
{
	if (op->kind == LW_PUT && op->table == CORE_ROLLOUT)
		look_at_rollout(w, op->text);
	else if (op->kind == LW_PUT && op->table == CORE_ATTEMPT)
		look_at_attempt(w, op);
	else if (op->kind == LW_RETAIN)
		look_at_order(w, op);
	keep(w, op);
}

void laws_commit(struct laws_world *w)
{
	if (w->draft.state != w->draft.audited)
		lw_wrong(w, "audit: the rollout is %s, the log says %s",
			rollout_state_text(w->draft.state),
			rollout_state_text(w->draft.audited));
	w->ledger = w->draft;
}

/* ---- at the end */

static bool has_failed(const struct laws_world *w)
{
	for (uint32_t i = 0; i < w->device_count; i++)
		if (w->devices[i].fate == LW_BRICK || w->devices[i].fate == LW_UNHEALTHY)
			return true;
	return false;
}

/* Nobody of the stage under way is there, which it waits for. */
static bool has_nobody(const struct laws_world *w)
{
	for (uint32_t i = 0; i < w->device_count; i++)
		if (is_in_stage(w, &w->devices[i], w->ledger.stage) &&
			w->devices[i].fate != LW_AWAY)
			return false;
	return true;
}

/* No device is skipped: a good rollout that nobody stopped has reached everybody who is
 * there. */
static void check_reach(struct laws_world *w)
{
	if (w->people || w->clock_steps || has_failed(w) || w->granted < OTA_PERMILLE_ALL)
		return;
	if (w->ledger.state == ROLLOUT_RUNNING && has_nobody(w))
		return;
	if (w->ledger.state != ROLLOUT_COMPLETED)
		lw_wrong(w, "skipped: the rollout came to rest in %s, stage %u",
			rollout_state_text(w->ledger.state), w->ledger.stage);
	for (uint32_t i = 0; i < w->device_count; i++) {
		const struct lw_device *d = &w->devices[i];

		if (d->fate == LW_GOOD &&
			!ota_digest_equal(&d->report.running, &w->image))
			lw_wrong(w, "skipped: %s does not run the new image", d->id);
	}
}

/* Silence is failure: a device that is gone for good halts the rollout. */
static void check_silence(struct laws_world *w)
{
	bool gone = false;

	for (uint32_t i = 0; i < w->device_count; i++)
		gone = gone || (w->devices[i].dead &&
				       w->devices[i].heard.state >= OTA_UPDATE_OFFERED);
	if (gone && !w->people && w->ledger.state != ROLLOUT_HALTED &&
		w->ledger.state != ROLLOUT_PAUSED) /* by the core, after a clock step */
		lw_wrong(w, "silence: a device is gone and the rollout is %s",
			rollout_state_text(w->ledger.state));
}

void laws_end(struct laws_world *w)
{
	check_reach(w);
	check_silence(w);
}
