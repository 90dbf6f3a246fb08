#include "agent/core/core.h"

#include <stdio.h>
#include <string.h>

#include "agent/core/inner.h"
#include "proto/base/own.h"

enum { CLOCK_FELL_S = 60 }; /* less is only a clock that is being set */

/* ---- what the other files of the core stand on ---- */

void agent_set_timer(struct agent *a, enum agent_timer timer, uint64_t after_ms)
{
	a->timer_ms[timer] = after_ms == 0 ? 0 : a->now.mono_ms + after_ms;
}

void agent_tell(struct agent *a, enum ipc_type type, const struct ota_digest *patch)
{
	struct ipc_message message = { .type = type, .digest = *patch };

	a->port.send(a->port.ctx, &message);
}

void agent_record_error(struct agent *a, enum ota_code code, const char *text)
{
	a->journal.error = code;
	memset(a->journal.error_text, 0, sizeof a->journal.error_text);
	ota_escape(text, a->journal.error_text, sizeof a->journal.error_text);
}

enum ota_code agent_store(struct agent *a, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	const struct ota_trust *trust = &a->papers.trust;
	enum ota_code rc;

	a->journal.fresh = trust->fresh;
	a->journal.catalog = trust->catalog;
	a->journal.assign = trust->assign;
	a->journal.order_seen = trust->order;
	rc = journal_encode(&a->journal, &bytes);
	if (rc == OTA_OK)
		rc = a->port.journal_store(a->port.ctx, ota_buf_bytes(&bytes), err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "store journal");
}

/* At rest on an image that never proved itself: the error says why, and stays. */
static void note_rescue(struct agent *a)
{
	char why[OTA_ERROR_TEXT_CAP];

	if (!judge_is_in_rescue(a) || a->journal.error == OTA_E_RESCUE)
		return;
	(void)snprintf(why, sizeof why, "nothing to go back to%s%.160s",
		a->journal.error == OTA_OK ? "" : ": ", a->journal.error_text);
	agent_record_error(a, OTA_E_RESCUE, why);
}

enum ota_code agent_move(struct agent *a, enum update_event event, struct ota_error *err)
{
	unsigned to;
	enum ota_code rc = ota_fsm_next(
		&update_fsm, (unsigned)a->journal.state, (unsigned)event, &to, err);

	if (rc != OTA_OK)
		return rc;
	work_stop(a);
	a->journal.state = (enum ota_update_state)to;
	note_rescue(a);
	rc = agent_store(a, err);
	return rc == OTA_OK ? work_enter(a, err) : rc;
}

/* Time by which documents are judged: the local clock, but never before what verified
 * documents say. Only the latter is remembered, so a clock that once jumped ahead does
 * not outlaw documents for ever. */
static void set_now(struct agent *a, const struct agent_now *now)
{
	a->now = *now;
	a->papers.trust.trusted_utc_s = a->journal.trusted_utc_s;
	(void)ota_trust_now(&a->papers.trust, now->utc_s);
}

/* A fresh that only the local clock calls expired still says that the orchestrator was
 * reached: an image does not fail for a clock that is ahead. */
static bool proves_contact(const struct agent *a, struct ota_bytes envelope)
{
	struct ota_trust by_documents = a->papers.trust;
	struct ota_fresh fresh;

	by_documents.trusted_utc_s = a->journal.trusted_utc_s;
	return ota_trust_fresh(&by_documents, envelope, &fresh, NULL) == OTA_OK;
}

static void learn_time(struct agent *a, enum ota_topic_kind kind)
{
	const struct papers *p = &a->papers;
	uint64_t issued_utc_s = 0;

	if (kind == OTA_TOPIC_FRESH)
		issued_utc_s = p->fresh.issued_utc_s;
	else if (kind == OTA_TOPIC_CATALOG)
		issued_utc_s = p->catalog.issued_utc_s;
	else if (kind == OTA_TOPIC_GRANT)
		issued_utc_s = p->grant.issued_utc_s;
	else if (kind == OTA_TOPIC_ROOT)
		issued_utc_s = p->trust.root.issued_utc_s;
	if (issued_utc_s > a->journal.trusted_utc_s)
		a->journal.trusted_utc_s = issued_utc_s;
}

/* ---- start ---- */

/* Begin with the root that provisioning left, then with the newest one that followed. */
static OTA_CHECKED enum ota_code anchor(
	struct agent *a, struct ota_bytes root, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf kept = { 0 };
	struct ota_trust *trust = &a->papers.trust;
	struct ota_trust newer = { 0 };
	enum ota_code rc = ota_trust_anchor(trust, root, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "root");
	if (a->port.doc_load(a->port.ctx, OTA_TOPIC_ROOT, &kept, NULL) != OTA_OK)
		return OTA_OK;
	if (ota_trust_anchor(&newer, ota_buf_bytes(&kept), NULL) == OTA_OK &&
		newer.root.version > trust->root.version &&
		memcmp(newer.root.fleet_id, trust->root.fleet_id, OTA_FLEET_ID_LEN) == 0)
		*trust = newer;
	return OTA_OK;
}

/* Documents from the disk go through the same door as those from the broker; what does
 * not verify any more is simply not there until it comes again. */
static void load_document(struct agent *a, enum ota_topic_kind kind)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf kept = { 0 };
	bool changed;
	enum ota_code rc = a->port.doc_load(a->port.ctx, kind, &kept, NULL);

	if (rc == OTA_OK)
		rc = papers_take(&a->papers, a->id.device, kind, ota_buf_bytes(&kept),
			&changed, NULL);
}

static void load_documents(struct agent *a)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_FRESH, OTA_TOPIC_CATALOG,
		OTA_TOPIC_ASSIGN, OTA_TOPIC_ORDER, OTA_TOPIC_RELEASE, OTA_TOPIC_GRANT };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		load_document(a, kinds[i]);
}

static OTA_CHECKED enum ota_code load_slots(struct agent *a, struct ota_error *err)
{
	struct slot_port *slots = &a->port.slots;
	enum ota_code rc = slots->get_current(slots->ctx, &a->current, err);

	for (unsigned i = 0; rc == OTA_OK && i < SLOT_COUNT; i++)
		rc = slots->get_state(slots->ctx, i, &a->slots[i], err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "slots");
}

/* A journal that cannot be read is begun again from what the slots say. */
static void load_journal(struct agent *a, const struct agent_origin *origin)
{
	struct journal *j = &a->journal;
	const struct slot_info *other = &a->slots[1 - a->current];
	bool lost = origin->journal_lost;

	if (!lost && origin->journal.len == 0)
		return;
	if (!lost && journal_parse(origin->journal, j, NULL) == OTA_OK)
		return;
	*j = (struct journal){ .lost = true };
	if (a->slots[a->current].state == SLOT_GOOD)
		j->floor = a->slots[a->current].counter;
	if (other->state == SLOT_GOOD && other->counter < j->floor)
		j->floor = other->counter;
	agent_record_error(a, OTA_E_STATELOST, "the journal could not be read");
}

static bool runs_target(const struct agent *a)
{
	return !ota_digest_is_zero(&a->journal.target.image) &&
	       ota_digest_equal(&a->slots[a->current].image, &a->journal.target.image);
}

static bool is_switching(enum ota_update_state state)
{
	return state >= OTA_UPDATE_ARMED && state != OTA_UPDATE_CONFIRMED &&
	       state != OTA_UPDATE_FAILED;
}

static bool left_confirmed(const struct agent *a)
{
	return !ota_digest_is_zero(&a->journal.confirmed) &&
	       !ota_digest_equal(&a->slots[a->current].image, &a->journal.confirmed);
}

static enum update_event event_of_boot(const struct agent *a)
{
	bool switching = is_switching(a->journal.state);

	if (a->slots[a->current].state == SLOT_TRIAL)
		return UPDATE_ON_TRIAL;
	if (switching && runs_target(a))
		return UPDATE_ON_TRIAL;
	return !switching && left_confirmed(a) ? UPDATE_ON_LEFT : UPDATE_ON_BOOT;
}

/* Why the boot loader left the slot of the confirmed image, as far as can be seen. */
static OTA_CHECKED enum ota_code note_left(struct agent *a, struct ota_error *err)
{
	const struct slot_info *other = &a->slots[1 - a->current];
	struct slot_port *slots = &a->port.slots;
	const char *why = "the boot loader passed it over";
	char text[OTA_ERROR_TEXT_CAP];
	unsigned primary;
	enum ota_code rc = slots->get_primary(slots->ctx, &primary, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "slots");
	if (!ota_digest_equal(&other->image, &a->journal.confirmed))
		why = "no slot holds it any more";
	else if (other->state == SLOT_BAD)
		why = "the boot loader gave it up";
	else if (primary == a->current)
		why = "somebody else made this slot the first";
	(void)snprintf(text, sizeof text,
		"booted %.40s in slot %u, not the confirmed %.40s: %s",
		a->slots[a->current].version, a->current, other->version, why);
	agent_record_error(a, OTA_E_REVERTED, text);
	judge_block(a);
	return OTA_OK;
}

/* Booted into the slot that was given up before: the boot loader does not go back. */
static bool is_vain_boot(const struct agent *a, enum update_event event)
{
	return event == UPDATE_ON_TRIAL && a->journal.state == OTA_UPDATE_ROLLING_BACK &&
	       a->slots[a->current].state == SLOT_BAD;
}

/* What a boot tells before the state moves on. */
static OTA_CHECKED enum ota_code note_boot(
	struct agent *a, enum update_event event, struct ota_error *err)
{
	struct journal *j = &a->journal;

	j->boot++;
	j->proving_since_ms = a->now.mono_ms;
	j->vain_boots += is_vain_boot(a, event);
	if (event == UPDATE_ON_BOOT)
		j->vain_boots = 0;
	if (event == UPDATE_ON_LEFT)
		return note_left(a, err);
	if (event == UPDATE_ON_TRIAL && !runs_target(a)) {
		j->target.image = a->slots[a->current].image;
		if (j->error != OTA_E_RESCUE)
			agent_record_error(
				a, OTA_E_STATELOST, "on trial, but nobody knows why");
	}
	if (event == UPDATE_ON_BOOT &&
		(j->state == OTA_UPDATE_REBOOTING || j->state == OTA_UPDATE_PROVING)) {
		agent_record_error(a, j->reverting ? OTA_E_ROLLBACK : OTA_E_FELLBACK,
			"the boot loader went back to the previous image");
		j->blocked_release = j->release;
		j->blocked_seq = j->order_seq;
		j->blocked_assign = a->papers.trust.assign.seq;
	}
	return OTA_OK;
}

/* A proved image that runs while nothing is switched is the one to stay with from now on.
 * An older agent did not write down which one it confirmed. */
static void note_confirmed(struct agent *a)
{
	struct journal *j = &a->journal;

	if (ota_digest_is_zero(&j->confirmed) && j->state == OTA_UPDATE_CONFIRMED)
		j->confirmed = j->target.image;
	else if (ota_digest_is_zero(&j->confirmed) && !is_switching(j->state) &&
		 a->slots[a->current].state == SLOT_GOOD)
		j->confirmed = a->slots[a->current].image;
}

/* Counters that nobody remembers go on from the time: they must not fall, or reports are
 * taken for replays. Reports count in its milliseconds: a device that restarts all the
 * time reserves more than one counter in a second. */
static void count_from_time(struct agent *a)
{
	struct journal *j = &a->journal;
	uint64_t utc_s = a->papers.trust.trusted_utc_s;

	if (j->reports_reserved == 0)
		j->reports_reserved = utc_s * 1000;
	if (j->lost && j->boot < utc_s)
		j->boot = utc_s;
}

static OTA_CHECKED enum ota_code wake(
	struct agent *a, const struct ota_digest *boot_id, struct ota_error *err)
{
	struct journal *j = &a->journal;
	enum update_event event = UPDATE_ON_RESTART;
	enum ota_code rc = OTA_OK;

	note_confirmed(a);
	if (!ota_digest_equal(boot_id, &j->boot_id)) {
		event = event_of_boot(a);
		rc = note_boot(a, event, err);
		j->boot_id = *boot_id;
	}
	if (rc != OTA_OK)
		return rc;
	if (event == UPDATE_ON_LEFT && a->slots[a->current].state == SLOT_GOOD)
		j->confirmed = a->slots[a->current].image;
	if (j->error == OTA_E_BUDGET) /* another policy may be in force now */
		j->blocked_release = (struct ota_digest){ 0 };
	count_from_time(a);
	a->reports = j->reports_reserved;
	rc = agent_move(a, event, err);
	return rc == OTA_OK ? judge(a, err) : rc;
}

enum ota_code agent_start(struct agent *a, const struct agent_identity *id,
	const struct agent_port *port, const struct agent_origin *origin,
	const struct agent_now *now, struct ota_error *err)
{
	enum ota_code rc;

	*a = (struct agent){ .id = *id, .port = *port };
	if (id->policy != NULL)
		a->policy = *id->policy;
	rc = load_slots(a, err);
	if (rc != OTA_OK)
		return rc;
	load_journal(a, origin);
	rc = anchor(a, origin->root, err);
	if (rc != OTA_OK)
		return rc;
	a->papers.trust.fresh = a->journal.fresh;
	a->papers.trust.catalog = a->journal.catalog;
	a->papers.trust.assign = a->journal.assign;
	a->papers.trust.order = a->journal.order_seen;
	set_now(a, now);
	load_documents(a);
	return wake(a, &origin->boot_id, err);
}

/* ---- events ---- */

/* The subscriptions that follow from what is held. */
static void tell_wants(struct agent *a)
{
	const struct ota_order *order = papers_order(&a->papers);
	struct ipc_message want = { .type = IPC_WANT,
		.a = a->papers.trust.root.version + 1 };

	memcpy(want.name, papers_cohort(&a->papers),
		strlen(papers_cohort(&a->papers)) + 1);
	if (order != NULL)
		want.digest = order->release;
	a->port.send(a->port.ctx, &want);
}

static OTA_CHECKED enum ota_code keep_document(struct agent *a, enum ota_topic_kind kind,
	struct ota_bytes envelope, struct ota_error *err)
{
	enum ota_code rc = a->port.doc_store(a->port.ctx, kind, envelope, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "keep document");
	learn_time(a, kind);
	return agent_store(a, err);
}

/* What is genuine, but not in force by the clock, is kept and looked at again later. */
static OTA_CHECKED enum ota_code keep_for_later(struct agent *a, enum ota_topic_kind kind,
	struct ota_bytes envelope, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (!a->papers.has[kind])
		rc = a->port.doc_store(a->port.ctx, kind, envelope, err);
	return rc == OTA_OK ? judge(a, err) : ota_wrap(err, rc, "keep document");
}

static OTA_CHECKED enum ota_code take_expired(struct agent *a, enum ota_topic_kind kind,
	struct ota_bytes envelope, struct ota_error *err)
{
	enum ota_code rc = keep_for_later(a, kind, envelope, err);

	if (rc != OTA_OK || kind != OTA_TOPIC_FRESH || !proves_contact(a, envelope))
		return rc;
	a->fresh_here = true;
	return work_confirm_if_proved(a, err);
}

/* A clock that was ahead and is right again: what it made us refuse is looked at anew. */
static OTA_CHECKED enum ota_code look_again(struct agent *a, struct ota_error *err)
{
	a->doc_fault = (struct ota_error){ 0 };
	load_documents(a);
	tell_wants(a);
	return judge(a, err);
}

static OTA_CHECKED enum ota_code take_document(
	struct agent *a, const struct ipc_message *m, struct ota_error *err)
{
	enum ota_topic_kind kind = (enum ota_topic_kind)m->code;
	struct ota_error why = { 0 };
	bool changed = false;
	enum ota_code rc = m->code < OTA_N_TOPIC_KINDS
				   ? papers_take(&a->papers, a->id.device, kind,
					     m->payload, &changed, &why)
				   : OTA_E_STATE;

	if (rc == OTA_E_STATE)
		return OTA_OK; /* nobody needs it */
	if (rc == OTA_E_NOGRANT)
		return keep_for_later(a, kind, m->payload, err);
	if (rc != OTA_OK) {
		a->doc_fault = why;
		a->doc_kind = kind;
		return rc == OTA_E_EXPIRED ? take_expired(a, kind, m->payload, err)
					   : OTA_OK;
	}
	if (a->doc_kind == kind)
		a->doc_fault = (struct ota_error){ 0 };
	a->fresh_here |= kind == OTA_TOPIC_FRESH;
	if (changed) {
		rc = keep_document(a, kind, m->payload, err);
		if (rc != OTA_OK)
			return rc;
		if (kind == OTA_TOPIC_ROOT || kind == OTA_TOPIC_ASSIGN ||
			kind == OTA_TOPIC_ORDER)
			tell_wants(a);
	}
	rc = judge(a, err);
	return rc == OTA_OK ? work_confirm_if_proved(a, err) : rc;
}

/* net has started: it knows nothing yet. */
static void greet(struct agent *a)
{
	a->up = false;
	tell_wants(a);
	if (a->net_began)
		offer_ask_manifest(a, &a->patch);
}

static OTA_CHECKED enum ota_code take_ipc(
	struct agent *a, const struct ipc_message *m, struct ota_error *err)
{
	switch (m->type) {
	case IPC_HELLO:
		greet(a);
		return OTA_OK;
	case IPC_UP:
		a->up = m->payload.len == OTA_NONCE_LEN;
		if (a->up)
			memcpy(a->nonce, m->payload.at, OTA_NONCE_LEN);
		a->said.any = false;
		return OTA_OK;
	case IPC_DOWN:
		a->up = false;
		return OTA_OK;
	case IPC_DOC:
		return take_document(a, m, err);
	case IPC_SPOOLED:
	case IPC_CHUNKS:
	case IPC_FETCHED:
	case IPC_FAILED:
		return offer_from_net(a, m, err);
	case IPC_WANT:
	case IPC_MANIFEST:
	case IPC_FETCH:
	case IPC_STOP:
	case IPC_PURGE:
	case IPC_REPORT:
	case IPC_PROGRESS:
	case N_IPC_TYPES:
		break;
	}
	return OTA_OK; /* not what net has to say */
}

static bool is_due(struct agent *a, enum agent_timer timer)
{
	if (a->timer_ms[timer] == 0 || a->timer_ms[timer] > a->now.mono_ms)
		return false;
	a->timer_ms[timer] = 0;
	return true;
}

static OTA_CHECKED enum ota_code take_timers(struct agent *a, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (is_due(a, AGENT_TIMER_DEADLINE))
		rc = work_deadline(a, err);
	if (rc == OTA_OK && is_due(a, AGENT_TIMER_RETRY))
		rc = work_retry(a, err);
	if (rc == OTA_OK && is_due(a, AGENT_TIMER_MINUTE)) {
		if (!a->papers.has[OTA_TOPIC_GRANT])
			load_document(a, OTA_TOPIC_GRANT);
		rc = hold_recheck(a, err);
		if (rc == OTA_OK)
			rc = judge(a, err);
	}
	if (rc == OTA_OK && is_due(a, AGENT_TIMER_REPORT))
		rc = report_send(a, err);
	if (is_due(a, AGENT_TIMER_SETTLE))
		report_settle(a);
	return rc;
}

enum ota_code agent_step(struct agent *a, const struct agent_now *now,
	const struct agent_event *event, struct ota_error *err)
{
	enum ota_update_state before = a->journal.state;
	uint64_t before_utc_s = a->papers.trust.trusted_utc_s;
	enum ota_code rc = OTA_OK;

	set_now(a, now);
	if (a->papers.trust.trusted_utc_s + CLOCK_FELL_S < before_utc_s)
		rc = look_again(a, err);
	if (rc != OTA_OK)
		return rc;
	switch (event->kind) {
	case AGENT_ON_IPC:
		rc = take_ipc(a, &event->ipc, err);
		break;
	case AGENT_ON_RESULT:
		rc = work_result(a, &event->result, err);
		break;
	case AGENT_ON_TIMER:
		rc = take_timers(a, err);
		break;
	}
	/* At rest after work: what was put off meanwhile is decided now. */
	if (rc == OTA_OK && a->journal.state != before && judge_is_at_rest(a))
		rc = judge(a, err);
	return rc == OTA_OK ? report_if_changed(a, err) : rc;
}

uint64_t agent_wake_ms(const struct agent *a)
{
	uint64_t wake_ms = UINT64_MAX;

	for (unsigned i = 0; i < AGENT_N_TIMERS; i++)
		if (a->timer_ms[i] != 0 && a->timer_ms[i] < wake_ms)
			wake_ms = a->timer_ms[i];
	return wake_ms;
}
