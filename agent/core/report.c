#include <stdio.h>
#include <string.h>

#include "agent/core/inner.h"
#include "proto/base/own.h"

enum {
	REPORTS_PER_STORE = 100, /* counters reserved by one write of the journal */
	PROGRESS_EVERY_MS = 1000,
	REPORT_FIRST_MS = 250,   /* of fetching; then when it took twice as long ... */
	REPORT_EVERY_MS = 60000, /* ... and this often at last */
	SETTLE_MS = 1000,
};

/* What stands in the way by somebody's fault, or OTA_OK. */
static const struct ota_error *error_of(
	const struct agent *a, struct ota_error *from_journal)
{
	static const struct ota_error none = { 0 };

	if (a->journal.error != OTA_OK) {
		(void)ota_fail(
			from_journal, a->journal.error, "%s", a->journal.error_text);
		return from_journal;
	}
	if (a->doc_fault.code != OTA_OK)
		return &a->doc_fault;
	return judge_is_error(a, a->verdict.code) ? &a->verdict : &none;
}

static enum ota_code wait_of(const struct agent *a)
{
	return judge_is_error(a, a->verdict.code) ? OTA_OK : a->verdict.code;
}

/* While documents come in, what the device waits for changes with each of them, and a
 * retry seems to wait for nothing: it is said only once it has stood for a moment. */
static bool is_wait_settled(const struct agent *a)
{
	return a->wait == wait_of(a) &&
	       ota_digest_equal(&a->wait_for, &a->papers.order.release);
}

static void watch_wait(struct agent *a)
{
	if (is_wait_settled(a))
		agent_set_timer(a, AGENT_TIMER_SETTLE, 0);
	else if (a->timer_ms[AGENT_TIMER_SETTLE] == 0)
		agent_set_timer(a, AGENT_TIMER_SETTLE, SETTLE_MS);
}

void report_settle(struct agent *a)
{
	a->wait = wait_of(a);
	a->wait_for = a->papers.order.release;
}

void agent_trouble(const struct agent *a, struct ota_error *out)
{
	struct ota_error from_journal;

	*out = *error_of(a, &from_journal);
	if (out->code == OTA_OK && is_wait_settled(a))
		*out = a->verdict;
}

/* A refusal's text is shown with the error, or else with what is waited for. */
static void fill_trouble(const struct agent *a, struct ota_report *r)
{
	struct ota_error from_journal, trouble = { 0 };

	agent_trouble(a, &trouble);
	r->error = (uint64_t)error_of(a, &from_journal)->code;
	r->wait = is_wait_settled(a) ? (uint64_t)a->wait : 0;
	ota_escape(trouble.text, r->error_text, sizeof r->error_text);
}

static struct ota_digest whole_image(const struct slot_info *slot)
{
	if (slot->state == SLOT_BAD)
		return (struct ota_digest){ 0 };
	return slot->image;
}

static void fill_slots(const struct agent *a, struct ota_report *r)
{
	const struct slot_info *current = &a->slots[a->current];
	const struct slot_info *other = &a->slots[1 - a->current];

	memcpy(r->version, current->version, sizeof r->version);
	if (!ota_digest_is_zero(&a->running) &&
		!ota_digest_equal(&a->running, &current->image))
		r->claims = current->image;
	r->running = ota_digest_is_zero(&a->running) ? current->image : a->running;
	r->other = whole_image(other);
	r->running_counter = current->counter;
	r->other_counter = ota_digest_is_zero(&r->other) ? 0 : other->counter;
	r->confirmed = current->state == SLOT_GOOD;
}

static void fill_progress(const struct agent *a, struct ota_report *r)
{
	const struct journal *j = &a->journal;

	r->state = j->state;
	memcpy(r->rollout, j->rollout, sizeof r->rollout);
	r->release = j->release;
	r->chunks = j->chunks;
	r->chunks_total = j->chunks_total;
	r->bytes = j->bytes;
	r->refetched = j->refetched;
}

static struct ota_report report_of(const struct agent *a)
{
	const struct ota_trust *trust = &a->papers.trust;
	struct ota_report r = {
		.boot = a->journal.boot,
		.counter = a->reports,
		.floor = a->journal.floor,
		.root = trust->root.version,
		.fresh_seq = trust->fresh.seq,
		.order_seq = trust->order.seq,
		.assign_seq = trust->assign.seq,
	};

	(void)snprintf(r.device, sizeof r.device, "%s", a->id.device);
	(void)snprintf(r.product, sizeof r.product, "%s", a->id.product);
	(void)snprintf(r.hardware, sizeof r.hardware, "%s", a->id.hardware);
	(void)snprintf(r.agent, sizeof r.agent, "%s", SLUICE_VERSION);
	(void)snprintf(r.cohort, sizeof r.cohort, "%s", papers_cohort(&a->papers));
	memcpy(r.nonce, a->nonce, sizeof r.nonce);
	fill_slots(a, &r);
	fill_progress(a, &r);
	fill_trouble(a, &r);
	return r;
}

static struct agent_said said_of(const struct ota_report *r)
{
	struct agent_said said = {
		.any = true,
		.state = r->state,
		.error = (enum ota_code)r->error,
		.wait = (enum ota_code)r->wait,
		.running = r->running,
		.release = r->release,
		.assign_seq = r->assign_seq,
		.confirmed = r->confirmed,
	};

	memcpy(said.rollout, r->rollout, sizeof said.rollout);
	return said;
}

static bool says_the_same(const struct agent_said *a, const struct agent_said *b)
{
	return a->any == b->any && a->state == b->state && a->error == b->error &&
	       a->wait == b->wait && a->assign_seq == b->assign_seq &&
	       a->confirmed == b->confirmed &&
	       ota_digest_equal(&a->running, &b->running) &&
	       ota_digest_equal(&a->release, &b->release) &&
	       strcmp(a->rollout, b->rollout) == 0;
}

/* The next counter; the journal has reserved it before it is used. */
static OTA_CHECKED enum ota_code count_report(struct agent *a, struct ota_error *err)
{
	enum ota_code rc;

	if (a->reports + 1 >= a->journal.reports_reserved) {
		a->journal.reports_reserved = a->reports + 1 + REPORTS_PER_STORE;
		rc = agent_store(a, err);
		if (rc != OTA_OK)
			return rc;
	}
	a->reports++;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code seal_report(const struct agent *a,
	const struct ota_report *report, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 }, envelope = { 0 };
	enum ota_code rc = ota_report_encode(report, &payload, err);

	if (rc == OTA_OK)
		rc = ota_envelope_seal(OTA_DOC_REPORT, a->papers.trust.root.fleet_id,
			ota_buf_bytes(&payload), &envelope, err);
	if (rc == OTA_OK)
		rc = a->port.sign(a->port.ctx, ota_buf_bytes(&envelope), out, err);
	return rc;
}

enum ota_code report_send(struct agent *a, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf sealed = { 0 };
	struct ipc_message message = { .type = IPC_REPORT };
	struct ota_report report;
	enum ota_code rc;

	if (!a->up)
		return OTA_OK;
	rc = count_report(a, err);
	if (rc != OTA_OK)
		return rc;
	report = report_of(a);
	rc = seal_report(a, &report, &sealed, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "report");
	message.payload = ota_buf_bytes(&sealed);
	a->port.send(a->port.ctx, &message);
	a->said = said_of(&report);
	a->progress_new = false;
	return OTA_OK;
}

enum ota_code report_if_changed(struct agent *a, struct ota_error *err)
{
	struct ota_report report;
	struct agent_said now;

	watch_wait(a);
	report = report_of(a);
	now = said_of(&report);
	if (!is_wait_settled(a))
		now.wait = a->said.wait;
	return says_the_same(&now, &a->said) ? OTA_OK : report_send(a, err);
}

/* A short transfer tells of itself a few times, a long one every minute. */
static uint64_t report_after_ms(const struct agent *a)
{
	uint64_t took_ms = a->now.mono_ms - a->fetching_since_ms;

	if (took_ms < REPORT_FIRST_MS)
		return REPORT_FIRST_MS;
	return took_ms < REPORT_EVERY_MS ? took_ms : REPORT_EVERY_MS;
}

void report_progress(struct agent *a)
{
	char text[256];
	struct ipc_message message = { .type = IPC_PROGRESS };

	if (!a->progress_new) {
		a->progress_new = true;
		agent_set_timer(a, AGENT_TIMER_REPORT, report_after_ms(a));
	}
	if (!a->up || a->now.mono_ms - a->progress_ms < PROGRESS_EVERY_MS)
		return;
	a->progress_ms = a->now.mono_ms;
	(void)snprintf(text, sizeof text,
		"{\"state\":\"%s\",\"chunks\":%llu,\"chunks_total\":%llu,\"bytes\":%llu}",
		ota_update_state_text(a->journal.state),
		(unsigned long long)a->journal.chunks,
		(unsigned long long)a->journal.chunks_total,
		(unsigned long long)a->journal.bytes);
	message.payload = ota_bytes_of(text);
	a->port.send(a->port.ctx, &message);
}
