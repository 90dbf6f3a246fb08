#include "agent/core/core.h"

#include <string.h>

#include "agent/core/inner.h"
#include "proto/base/own.h"

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

enum ota_code agent_move(struct agent *a, enum update_event event, struct ota_error *err)
{
	unsigned to;
	enum ota_code rc = ota_fsm_next(
		&update_fsm, (unsigned)a->journal.state, (unsigned)event, &to, err);

	if (rc != OTA_OK)
		return rc;
	work_stop(a);
	a->journal.state = (enum ota_update_state)to;
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
	*j = (struct journal){ .lost = true, .floor = a->slots[a->current].counter };
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

static enum update_event event_of_boot(const struct agent *a)
{
	if (a->slots[a->current].state == SLOT_TRIAL)
		return UPDATE_ON_TRIAL;
	if (is_switching(a->journal.state) && runs_target(a))
		return UPDATE_ON_TRIAL;
	return UPDATE_ON_BOOT;
}

/* What a boot tells before the state moves on. */
static void note_boot(struct agent *a, enum update_event event)
{
	struct journal *j = &a->journal;

	j->boot++;
	j->proving_since_ms = a->now.mono_ms;
	if (event == UPDATE_ON_TRIAL && !runs_target(a)) {
		j->target.image = a->slots[a->current].image;
		agent_record_error(a, OTA_E_STATELOST, "on trial, but nobody knows why");
	}
	if (event == UPDATE_ON_BOOT &&
		(j->state == OTA_UPDATE_REBOOTING || j->state == OTA_UPDATE_PROVING)) {
		agent_record_error(a, j->reverting ? OTA_E_ROLLBACK : OTA_E_FELLBACK,
			"the boot loader went back to the previous image");
		j->blocked_release = j->release;
		j->blocked_seq = j->order_seq;
	}
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
	enum ota_code rc;

	if (!ota_digest_equal(boot_id, &j->boot_id)) {
		event = event_of_boot(a);
		note_boot(a, event);
		j->boot_id = *boot_id;
	}
	count_from_time(a);
	a->reports = j->reports_reserved;
	rc = agent_move(a, event, err);
	if (rc == OTA_OK && event == UPDATE_ON_BOOT && j->state == OTA_UPDATE_CONFIRMED &&
		!runs_target(a))
		rc = work_fail(a, OTA_E_REVERTED, "booted another image later", err);
	return rc == OTA_OK ? judge(a, err) : rc;
}

enum ota_code agent_start(struct agent *a, const struct agent_identity *id,
	const struct agent_port *port, const struct agent_origin *origin,
	const struct agent_now *now, struct ota_error *err)
{
	enum ota_code rc;

	*a = (struct agent){ .id = *id, .port = *port };
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

/* A grant that has not begun is genuine, so it is kept and looked at again later. */
static OTA_CHECKED enum ota_code keep_early_grant(
	struct agent *a, struct ota_bytes envelope, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (!a->papers.has[OTA_TOPIC_GRANT])
		rc = a->port.doc_store(a->port.ctx, OTA_TOPIC_GRANT, envelope, err);
	return rc == OTA_OK ? judge(a, err) : ota_wrap(err, rc, "keep grant");
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
		return keep_early_grant(a, m->payload, err);
	if (rc != OTA_OK) {
		a->doc_fault = why;
		a->doc_kind = kind;
		return OTA_OK;
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
	enum ota_code rc = OTA_OK;

	set_now(a, now);
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
