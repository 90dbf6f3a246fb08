#include <string.h>

#include "agent/core/inner.h"
#include "proto/base/seeded.h"

enum { MINUTE_MS = 60000 };

static const struct slot_info *running_slot(const struct agent *a)
{
	return &a->slots[a->current];
}

static struct ota_digest running_image(const struct agent *a)
{
	return ota_digest_is_zero(&a->running) ? running_slot(a)->image : a->running;
}

static OTA_CHECKED enum ota_code admit_as(struct agent *a,
	const struct ota_digest *running, struct ota_patch_ref *patch,
	struct ota_error *verdict)
{
	struct ota_case c = papers_case(&a->papers);
	struct ota_self self = {
		.device = a->id.device,
		.product = a->id.product,
		.hardware = a->id.hardware,
		.version = running_slot(a)->version,
		.running = *running,
		.floor = a->journal.floor,
		.counter = running_slot(a)->counter,
		.local_min = a->now.local_min,
	};

	return ota_admit(&self, &c, patch, verdict);
}

/* A patch from the image that the running slot was recorded with, if it holds another. */
static bool is_repairable(
	struct agent *a, const struct ota_digest *running, struct ota_patch_ref *patch)
{
	const struct ota_digest *claimed = &running_slot(a)->image;

	return !ota_digest_equal(claimed, running) &&
	       admit_as(a, claimed, patch, NULL) == OTA_OK &&
	       !ota_digest_is_zero(&patch->from) &&
	       !ota_digest_equal(&patch->patch, &a->repair.hopeless);
}

enum ota_code judge_admit(
	struct agent *a, struct ota_patch_ref *patch, struct ota_error *verdict)
{
	const struct ota_digest running = running_image(a);
	struct ota_patch_ref found = { 0 }, repaired;
	struct ota_error why = { 0 };
	enum ota_code rc = admit_as(a, &running, &found, &why);
	bool has_delta = rc == OTA_OK && !ota_digest_is_zero(&found.from);

	if ((rc == OTA_OK || rc == OTA_E_PRECURSOR) && !has_delta &&
		is_repairable(a, &running, &repaired)) {
		found = repaired;
		rc = OTA_OK;
	}
	if (rc != OTA_OK && verdict != NULL)
		*verdict = why;
	if (rc == OTA_OK && patch != NULL)
		*patch = found;
	return rc;
}

/* Documents come in any order: while one of them is missing or another than fresh names,
 * nobody is at fault. */
static bool is_incomplete(const struct agent *a, enum ota_code code)
{
	const struct papers *p = &a->papers;

	if (code == OTA_E_SEQUENCE || code == OTA_E_ROOTCHAIN || code == OTA_E_NOTFOUND)
		return true;
	return code == OTA_E_UNLISTED &&
	       (!p->has[OTA_TOPIC_CATALOG] ||
		       !ota_digest_equal(&p->trust.catalog.digest, &p->fresh.catalog));
}

bool judge_is_error(const struct agent *a, enum ota_code code)
{
	enum ota_remedy remedy = ota_code_remedy(code);

	if (is_incomplete(a, code))
		return false;
	return remedy == OTA_REJECT || remedy == OTA_REFETCH;
}

static bool concerns_update(const struct agent *a, const struct ota_order *order)
{
	return ota_digest_equal(&order->release, &a->journal.release) &&
	       strcmp(order->rollout, a->journal.rollout) == 0;
}

bool judge_is_at_rest(const struct agent *a)
{
	return a->journal.state == OTA_UPDATE_IDLE ||
	       a->journal.state == OTA_UPDATE_CONFIRMED ||
	       a->journal.state == OTA_UPDATE_FAILED;
}

bool judge_is_in_rescue(const struct agent *a)
{
	return judge_is_at_rest(a) && running_slot(a)->state != SLOT_GOOD;
}

void judge_block(struct agent *a)
{
	const struct ota_order *order = papers_order(&a->papers);

	a->journal.blocked_release = order != NULL ? order->release : a->journal.release;
	a->journal.blocked_seq = order != NULL ? order->seq : a->journal.order_seq;
	a->journal.blocked_assign = a->papers.trust.assign.seq;
}

bool judge_is_paused(const struct agent *a)
{
	const struct ota_order *order = papers_order(&a->papers);

	return order != NULL && !a->journal.reverting &&
	       order->state == OTA_ORDER_PAUSE && concerns_update(a, order);
}

/* A device at rest belongs to the rollout of its newest order. */
static OTA_CHECKED enum ota_code adopt(
	struct agent *a, const struct ota_order *order, struct ota_error *err)
{
	struct journal *j = &a->journal;

	if (concerns_update(a, order))
		return OTA_OK;
	if (strcmp(order->rollout, j->rollout) != 0)
		j->spent = 0;
	memcpy(j->rollout, order->rollout, sizeof j->rollout);
	j->release = order->release;
	j->reverting = false;
	j->target = (struct journal_target){ 0 };
	j->chunks = j->chunks_total = j->bytes = j->refetched = 0;
	/* Alarms stay until the next update is begun. */
	if (j->error != OTA_E_STATELOST && j->error != OTA_E_RESCUE)
		agent_record_error(a, OTA_OK, "");
	if (j->state == OTA_UPDATE_IDLE)
		return agent_store(a, err);
	return agent_move(a, UPDATE_ON_CANCEL, err);
}

/* What the image itself has done, whatever patch it came by. */
static bool is_of_image(enum ota_code code)
{
	return code == OTA_E_HEALTH || code == OTA_E_FELLBACK || code == OTA_E_ROLLBACK ||
	       code == OTA_E_REVERTED || code == OTA_E_RESCUE;
}

/* Orders are for a cohort, and a rollout writes many: one that is only newer makes no
 * device try again what it failed with. A newer assign does, for it is for this device;
 * so does an order with another patch, unless the image itself is at fault. What was
 * refused before it began is looked at anew with each order. */
static bool is_blocked(const struct agent *a, const struct ota_order *order,
	const struct ota_patch_ref *patch)
{
	const struct journal *j = &a->journal;

	if (!ota_digest_equal(&j->blocked_release, &order->release))
		return false;
	if (j->blocked_assign != 0 && j->blocked_assign != a->papers.trust.assign.seq)
		return false;
	if (j->blocked_seq == order->seq)
		return true;
	if (j->state != OTA_UPDATE_FAILED || j->blocked_assign == 0)
		return false;
	return is_of_image(j->error) || ota_digest_equal(&patch->patch, &j->patch);
}

static OTA_CHECKED enum ota_code offer(
	struct agent *a, const struct ota_order *order, struct ota_error *err)
{
	const struct ota_release *release = &a->papers.release;
	struct journal *j = &a->journal;

	j->order = a->papers.trust.order.digest;
	j->order_seq = order->seq;
	j->install_s = order->install_s;
	j->prove_s = order->prove_s;
	j->target = (struct journal_target){
		.image = release->image,
		.image_len = release->image_len,
		.counter = release->counter,
		.floor = release->floor,
	};
	memcpy(j->target.version, release->version, sizeof j->target.version);
	j->reverting = false;
	j->vain_boots = 0;
	j->blocked_seq = j->blocked_assign = 0;
	j->blocked_release = (struct ota_digest){ 0 };
	j->chunks = j->chunks_total = j->bytes = j->refetched = 0;
	a->refetches = 0;
	if (OTA_SEEDED(EARLY_FLOOR))
		j->floor = release->floor;
	agent_record_error(a, OTA_OK, "");
	return agent_move(a, UPDATE_ON_OFFER, err);
}

/* Go back to what the other slot still holds. */
static OTA_CHECKED enum ota_code revert(
	struct agent *a, const struct ota_order *order, struct ota_error *err)
{
	const struct slot_info *other = &a->slots[1 - a->current];
	struct journal *j = &a->journal;

	if (other->state != SLOT_GOOD) {
		(void)ota_fail(&a->verdict, OTA_E_ROLLBACK,
			"the other slot holds no image to go back to");
		return OTA_OK;
	}
	j->order = a->papers.trust.order.digest;
	j->order_seq = order->seq;
	j->target = (struct journal_target){
		.image = other->image,
		.image_len = other->image_len,
		.counter = other->counter,
	};
	memcpy(j->target.version, other->version, sizeof j->target.version);
	j->prove_s = order->prove_s;
	j->reverting = true;
	return agent_move(a, UPDATE_ON_REVERT, err);
}

/* An order to go back is for a share as well. Without its grant nobody can tell for
 * which: the orchestrator opens it to all in the end. */
static bool is_in_share(const struct agent *a, const struct ota_order *order)
{
	const struct ota_grant *grant = &a->papers.grant;

	if (order->permille == OTA_PERMILLE_ALL ||
		ota_is_canary(order->canaries, order->canary_count, a->id.device))
		return true;
	return a->papers.has[OTA_TOPIC_GRANT] &&
	       ota_digest_equal(&grant->release, &order->release) &&
	       ota_bucket(grant->salt, a->id.device) < order->permille;
}

static bool is_to_revert(const struct agent *a, const struct ota_order *order)
{
	return a->journal.state == OTA_UPDATE_CONFIRMED &&
	       order->state == OTA_ORDER_REVERT && papers_order_is_listed(&a->papers) &&
	       is_in_share(a, order) &&
	       ota_digest_equal(&running_slot(a)->image, &order->image);
}

static bool waits_for_the_clock(enum ota_code code)
{
	return code == OTA_E_WINDOW || code == OTA_E_NOGRANT || code == OTA_E_EXPIRED;
}

static OTA_CHECKED enum ota_code judge_at_rest(
	struct agent *a, const struct ota_order *order, struct ota_error *err)
{
	struct ota_patch_ref patch = { 0 };
	enum ota_code rc;

	if (a->working)
		return OTA_OK; /* the rescue hook runs: decided when it has ended */
	rc = adopt(a, order, err);
	if (rc != OTA_OK)
		return rc;
	a->verdict = (struct ota_error){ 0 };
	if (is_to_revert(a, order))
		return revert(a, order, err);
	rc = judge_admit(a, &patch, &a->verdict);
	agent_set_timer(a, AGENT_TIMER_MINUTE, waits_for_the_clock(rc) ? MINUTE_MS : 0);
	if (rc == OTA_OK && !is_blocked(a, order, &patch)) {
		if (!hold_download(a, &a->verdict))
			return offer(a, order, err);
		agent_set_timer(a, AGENT_TIMER_MINUTE, MINUTE_MS);
	}
	if (rc == OTA_E_CURRENT && a->journal.state == OTA_UPDATE_CONFIRMED)
		a->verdict = (struct ota_error){ 0 };
	return OTA_OK;
}

/* True if the patch that is being fetched is still one of the order. */
static bool is_patch_ordered(const struct agent *a, const struct ota_order *order)
{
	for (uint32_t i = 0; i < order->patch_count; i++)
		if (ota_digest_equal(&order->patches[i].patch, &a->journal.patch))
			return true;
	return false;
}

/* True if what was admitted is not to be installed after all. Documents that expired, a
 * window that closed or a share that shrank do not stop what has begun. */
static bool is_withdrawn(
	struct agent *a, const struct ota_order *order, struct ota_error *why)
{
	enum ota_code rc;

	if (!concerns_update(a, order) || order->state == OTA_ORDER_ABORT ||
		order->state == OTA_ORDER_REVERT) {
		(void)ota_fail(why, OTA_E_ABORTED, "the order was withdrawn");
		return true;
	}
	if (a->journal.state == OTA_UPDATE_FETCHING && !is_patch_ordered(a, order)) {
		(void)ota_fail(why, OTA_E_ABORTED, "the order has other patches now");
		return true;
	}
	rc = judge_admit(a, NULL, why);
	return judge_is_error(a, rc) && rc != OTA_E_EXPIRED && rc != OTA_E_PRECURSOR;
}

static OTA_CHECKED enum ota_code judge_at_work(
	struct agent *a, const struct ota_order *order, struct ota_error *err)
{
	struct ota_error why = { 0 };
	enum ota_code rc;

	if (a->journal.reverting)
		return OTA_OK; /* what holds it back is looked at by the clock */
	if (is_withdrawn(a, order, &why)) {
		if (a->journal.state >= OTA_UPDATE_ARMED)
			agent_record_error(a, why.code, why.text);
		rc = agent_move(a, UPDATE_ON_CANCEL, err);
		return rc == OTA_OK ? judge(a, err) : rc;
	}
	if (judge_is_paused(a)) {
		work_park(a, OTA_E_PAUSED, "", 0);
		return OTA_OK;
	}
	if (a->parked && a->timer_ms[AGENT_TIMER_RETRY] == 0)
		return work_enter(a, err);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code judge_proving(
	struct agent *a, const struct ota_order *order, struct ota_error *err)
{
	if (a->journal.reverting || order->state != OTA_ORDER_REVERT ||
		!concerns_update(a, order) || !papers_order_is_listed(&a->papers))
		return OTA_OK;
	agent_record_error(a, OTA_E_ABORTED, "reverted before it was confirmed");
	return agent_move(a, UPDATE_ON_CANCEL, err);
}

enum ota_code judge(struct agent *a, struct ota_error *err)
{
	const struct ota_order *order = papers_order(&a->papers);

	if (order == NULL) {
		if (a->journal.state == OTA_UPDATE_IDLE)
			(void)ota_fail(&a->verdict, OTA_E_NOROLLOUT, "%s",
				a->papers.has[OTA_TOPIC_ASSIGN] ? "no order yet"
								: "no cohort yet");
		return OTA_OK;
	}
	switch (a->journal.state) {
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
		return judge_at_rest(a, order, err);
	case OTA_UPDATE_OFFERED:
	case OTA_UPDATE_FETCHING:
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_INSTALLING:
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_REBOOTING:
		return judge_at_work(a, order, err);
	case OTA_UPDATE_PROVING:
		return judge_proving(a, order, err);
	case OTA_UPDATE_ROLLING_BACK:
	case OTA_N_UPDATE_STATES:
		break;
	}
	return OTA_OK;
}
