#include <string.h>

#include "agent/core/inner.h"
#include "proto/base/seeded.h"

enum {
	RETRY_HEALTH_MS = 5000, /* a health hook that said "later" is run again */
	REFETCHES_MAX = 3,
	VAIN_BOOTS_MAX = 3, /* of a boot loader that does not go back */
};

static unsigned other_slot(const struct agent *a)
{
	return 1 - a->current;
}

void work_stop(struct agent *a)
{
	if (a->working)
		a->port.job_stop(a->port.ctx);
	a->working = a->asking = false;
	if (a->net_began)
		agent_tell(a, IPC_STOP, &a->patch);
	a->net_began = false;
	a->parked = false;
	agent_set_timer(a, AGENT_TIMER_RETRY, 0);
	agent_set_timer(a, AGENT_TIMER_DEADLINE, 0);
	agent_set_timer(a, AGENT_TIMER_REPORT, 0);
}

void work_park(struct agent *a, enum ota_code code, const char *text, uint64_t retry_ms)
{
	work_stop(a);
	a->parked = true;
	agent_set_timer(a, AGENT_TIMER_RETRY, retry_ms);
	(void)ota_fail(&a->verdict, code, "%s", text);
}

/* What failed is not tried again before judge.c says so. */
static void block(struct agent *a)
{
	a->journal.blocked_release = a->journal.release;
	a->journal.blocked_seq = a->journal.order_seq;
	a->journal.blocked_assign = a->papers.trust.assign.seq;
}

enum ota_code work_fail(
	struct agent *a, enum ota_code code, const char *text, struct ota_error *err)
{
	agent_record_error(a, code, text);
	block(a);
	return agent_move(a, UPDATE_ON_FAIL, err);
}

/* A hook that ran out of time refused as well. */
enum ota_code work_hook_failed(
	struct agent *a, const struct ota_error *why, struct ota_error *err)
{
	if (why->code != OTA_E_BUSY)
		return work_fail(a, OTA_E_HOOK, why->text, err);
	work_park(a, OTA_E_HOOK, why->text, WORK_RETRY_MS);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code start_job(
	struct agent *a, struct agent_job job, struct ota_error *err)
{
	enum ota_code rc;

	job.serial = ++a->serial;
	job.version = a->journal.target.version;
	rc = a->port.job_start(a->port.ctx, &job, err);
	if (rc == OTA_OK)
		a->working = true;
	return rc;
}

enum ota_code work_start_hook(struct agent *a, const char *hook, struct ota_error *err)
{
	return start_job(
		a, (struct agent_job){ .kind = AGENT_JOB_HOOK, .hook = hook }, err);
}

enum ota_code work_start_scan(struct agent *a, struct ota_error *err)
{
	return start_job(a,
		(struct agent_job){
			.kind = AGENT_JOB_SCAN, .slot = a->current, .patch = a->patch },
		err);
}

static OTA_CHECKED enum ota_code set_slot(struct agent *a, unsigned slot,
	const struct slot_info *info, struct ota_error *err)
{
	struct slot_port *slots = &a->port.slots;
	enum ota_code rc = slots->set_state(slots->ctx, slot, info, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "slot %u", slot);
	a->slots[slot] = *info;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code set_primary(
	struct agent *a, unsigned slot, struct ota_error *err)
{
	struct slot_port *slots = &a->port.slots;
	enum ota_code rc = slots->set_primary(slots->ctx, slot, err);

	return rc == OTA_OK ? rc : ota_wrap(err, rc, "make slot %u primary", slot);
}

/* ---- what each state begins with ---- */

static OTA_CHECKED enum ota_code enter_offered(struct agent *a, struct ota_error *err)
{
	a->offer = AGENT_OFFER_HASH;
	return start_job(
		a, (struct agent_job){ .kind = AGENT_JOB_HASH, .slot = a->current }, err);
}

/* The other slot holds the target: let it be tried. */
static OTA_CHECKED enum ota_code switch_to_target(struct agent *a, struct ota_error *err)
{
	const struct journal_target *target = &a->journal.target;
	struct slot_info info = { .state = SLOT_TRIAL,
		.image = target->image,
		.image_len = target->image_len,
		.counter = target->counter };
	enum ota_code rc;

	memcpy(info.version, target->version, sizeof info.version);
	rc = set_slot(a, other_slot(a), &info, err);
	return rc == OTA_OK ? set_primary(a, other_slot(a), err) : rc;
}

static OTA_CHECKED enum ota_code enter_installing(struct agent *a, struct ota_error *err)
{
	struct slot_info empty = { .state = SLOT_BAD };
	enum ota_code rc = set_slot(a, other_slot(a), &empty, err);

	if (rc == OTA_OK && OTA_SEEDED(EARLY_SWITCH))
		rc = switch_to_target(a, err);
	if (rc != OTA_OK)
		return rc;
	agent_set_timer(a, AGENT_TIMER_DEADLINE, a->journal.install_s * 1000);
	return start_job(a,
		(struct agent_job){ .kind = AGENT_JOB_INSTALL,
			.slot = other_slot(a),
			.patch = a->journal.patch,
			.repairs = a->journal.repairs },
		err);
}

/* The slot was given up by the boot loader, after a cut at the wrong moment. */
static bool is_given_up(const struct agent *a)
{
	const struct slot_info *slot = &a->slots[other_slot(a)];

	return slot->state == SLOT_BAD &&
	       ota_digest_equal(&slot->image, &a->journal.target.image);
}

static bool is_window_closed(const struct agent *a)
{
	const struct ota_order *order = papers_order(&a->papers);

	return order != NULL && !a->journal.reverting &&
	       !ota_window_is_open(&order->window, a->now.local_min);
}

static OTA_CHECKED enum ota_code enter_armed(struct agent *a, struct ota_error *err)
{
	enum ota_code rc;

	if (is_given_up(a))
		return work_fail(a, OTA_E_FELLBACK, "gave up before it was proved", err);
	if (is_window_closed(a)) {
		work_park(
			a, OTA_E_WINDOW, "installed, waits for the window to reboot", 0);
		agent_set_timer(a, AGENT_TIMER_MINUTE, WORK_RETRY_MS);
		return OTA_OK;
	}
	rc = switch_to_target(a, err);
	return rc == OTA_OK ? agent_move(a, UPDATE_ON_DONE, err) : rc;
}

static OTA_CHECKED enum ota_code enter_proving(struct agent *a, struct ota_error *err)
{
	a->healthy = false;
	a->timer_ms[AGENT_TIMER_DEADLINE] =
		a->journal.proving_since_ms + a->journal.prove_s * 1000;
	return work_start_hook(a, "health", err);
}

/* Which slot is to be left: the one that holds the target, wherever it is. */
static unsigned slot_to_leave(const struct agent *a)
{
	return ota_digest_equal(&a->slots[a->current].image, &a->journal.target.image)
		       ? a->current
		       : other_slot(a);
}

/* Nothing to go back to: what runs is all there is, so the boot loader is asked to go on
 * booting it, however often, also when it gave it up. */
static OTA_CHECKED enum ota_code keep_booting(struct agent *a, struct ota_error *err)
{
	struct slot_info info = a->slots[a->current];
	enum ota_code rc = OTA_OK;

	if (info.state == SLOT_BAD) {
		info.state = SLOT_TRIAL;
		rc = set_slot(a, a->current, &info, err);
	}
	return rc == OTA_OK ? set_primary(a, a->current, err) : rc;
}

/* Once per boot, also if it brings this process down. */
static OTA_CHECKED enum ota_code enter_rest(struct agent *a, struct ota_error *err)
{
	enum ota_code rc;

	if (a->journal.state != OTA_UPDATE_FAILED)
		work_purge(a);
	if (!judge_is_in_rescue(a) || a->journal.rescue_boot == a->journal.boot)
		return OTA_OK;
	rc = keep_booting(a, err);
	if (rc != OTA_OK)
		return rc;
	a->journal.rescue_boot = a->journal.boot;
	rc = agent_store(a, err);
	return rc == OTA_OK ? work_start_hook(a, "rescue", err) : rc;
}

static OTA_CHECKED enum ota_code enter_rolling_back(
	struct agent *a, struct ota_error *err)
{
	unsigned leave = slot_to_leave(a);
	struct slot_info info = a->slots[leave];
	enum ota_code rc;

	if (leave == a->current && a->slots[1 - leave].state != SLOT_GOOD)
		return agent_move(a, UPDATE_ON_DONE, err);
	if (a->journal.vain_boots >= VAIN_BOOTS_MAX) {
		agent_record_error(a, a->journal.error,
			"the boot loader does not boot the other slot");
		return agent_move(a, UPDATE_ON_DONE, err);
	}
	/* Bad first: no boot loader boots that, so what failed is never tried again, also
	 * if the power goes before the other one is primary. What we did not boot on the
	 * way back is as whole as before. */
	info.state = a->journal.reverting && leave != a->current ? SLOT_GOOD : SLOT_BAD;
	rc = set_slot(a, leave, &info, err);
	if (rc == OTA_OK)
		rc = set_primary(a, 1 - leave, err);
	if (rc != OTA_OK)
		return rc;
	if (leave != a->current)
		return agent_move(a, UPDATE_ON_DONE, err);
	a->port.reboot(a->port.ctx);
	return OTA_OK;
}

void work_purge(struct agent *a)
{
	static const struct ota_digest none = { { 0 } };

	a->repair.scanned = a->repair.spooled = false;
	hold_forget_spool(a, &none);
	agent_tell(a, IPC_PURGE, &none);
}

static bool may_be_paused(enum ota_update_state state)
{
	return state >= OTA_UPDATE_OFFERED && state <= OTA_UPDATE_REBOOTING;
}

/* Chunks that already come in go on coming. */
static void enter_fetching(struct agent *a)
{
	if (a->net_began)
		return;
	hold_watch(a);
	offer_ask_manifest(a, &a->journal.patch);
}

enum ota_code work_begin(struct agent *a, struct ota_error *err)
{
	bool held;
	enum ota_code rc = hold_work(a, &held, err);

	if (rc != OTA_OK || held)
		return rc;
	switch (a->journal.state) {
	case OTA_UPDATE_OFFERED:
		return enter_offered(a, err);
	case OTA_UPDATE_FETCHING:
		enter_fetching(a);
		return OTA_OK;
	case OTA_UPDATE_VERIFYING:
		return start_job(a,
			(struct agent_job){ .kind = AGENT_JOB_VERIFY,
				.slot = other_slot(a),
				.patch = a->journal.patch,
				.repairs = a->journal.repairs },
			err);
	case OTA_UPDATE_INSTALLING:
		return enter_installing(a, err);
	case OTA_UPDATE_ARMED:
		return enter_armed(a, err);
	case OTA_UPDATE_REBOOTING:
		return work_start_hook(a, "before-reboot", err);
	case OTA_UPDATE_PROVING:
		return enter_proving(a, err);
	case OTA_UPDATE_ROLLING_BACK:
		return enter_rolling_back(a, err);
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
		return enter_rest(a, err);
	case OTA_N_UPDATE_STATES:
		break;
	}
	return OTA_OK;
}

enum ota_code work_enter(struct agent *a, struct ota_error *err)
{
	work_stop(a);
	if (may_be_paused(a->journal.state)) {
		if (judge_is_paused(a)) {
			work_park(a, OTA_E_PAUSED, "", 0);
			return OTA_OK;
		}
		a->verdict = (struct ota_error){ 0 };
	}
	a->check = 0;
	return work_begin(a, err);
}

/* ---- PROVING ---- */

/* The floor rises only now, and never above what the other slot could still boot. */
static void raise_floor(struct agent *a)
{
	const struct slot_info *other = &a->slots[other_slot(a)];
	uint64_t floor = a->journal.target.floor;

	if (other->state == SLOT_GOOD && other->counter < floor)
		floor = other->counter;
	if (floor > a->journal.floor)
		a->journal.floor = floor;
}

enum ota_code work_confirm_if_proved(struct agent *a, struct ota_error *err)
{
	struct slot_info info = a->slots[a->current];
	enum ota_code rc;

	if (a->journal.state != OTA_UPDATE_PROVING || !a->healthy || !a->fresh_here)
		return OTA_OK;
	info.state = SLOT_GOOD;
	rc = set_slot(a, a->current, &info, err);
	if (rc != OTA_OK)
		return rc;
	if (!a->journal.reverting)
		raise_floor(a);
	a->journal.confirmed = info.image;
	a->journal.vain_boots = 0;
	agent_record_error(a, OTA_OK, "");
	return agent_move(a, UPDATE_ON_DONE, err);
}

static OTA_CHECKED enum ota_code unproved(
	struct agent *a, const char *text, struct ota_error *err)
{
	return work_fail(
		a, a->journal.reverting ? OTA_E_ROLLBACK : OTA_E_HEALTH, text, err);
}

static OTA_CHECKED enum ota_code proving_result(
	struct agent *a, const struct agent_result *result, struct ota_error *err)
{
	if (result->error.code == OTA_E_BUSY) {
		agent_set_timer(a, AGENT_TIMER_RETRY, RETRY_HEALTH_MS);
		return OTA_OK;
	}
	if (result->error.code != OTA_OK)
		return unproved(a, result->error.text, err);
	a->healthy = true;
	return work_confirm_if_proved(a, err);
}

enum ota_code work_deadline(struct agent *a, struct ota_error *err)
{
	if (a->journal.state == OTA_UPDATE_INSTALLING)
		return work_fail(a, OTA_E_TIMEOUT, "not installed within its time", err);
	return unproved(a,
		a->healthy ? "no word from the orchestrator within its time"
			   : "not healthy within its time",
		err);
}

enum ota_code work_retry(struct agent *a, struct ota_error *err)
{
	if (a->journal.state == OTA_UPDATE_PROVING)
		return work_start_hook(a, "health", err);
	return work_enter(a, err);
}

/* ---- answers of jobs ---- */

static OTA_CHECKED enum ota_code verified(
	struct agent *a, const struct ota_error *why, struct ota_error *err)
{
	if (why->code == OTA_OK)
		return agent_move(a, UPDATE_ON_DONE, err);
	if (why->code != OTA_E_DIGEST || a->refetches == REFETCHES_MAX)
		return work_fail(a, why->code, why->text, err);
	a->refetches++;
	work_purge(a);
	return agent_move(a, UPDATE_ON_REFETCH, err);
}

static OTA_CHECKED enum ota_code rebooting_result(
	struct agent *a, const struct ota_error *why, struct ota_error *err)
{
	if (why->code != OTA_OK)
		return work_hook_failed(a, why, err);
	a->port.reboot(a->port.ctx);
	return OTA_OK;
}

enum ota_code work_result(
	struct agent *a, const struct agent_result *result, struct ota_error *err)
{
	if (!a->working || result->serial != a->serial)
		return OTA_OK; /* of a job that was stopped */
	a->working = false;
	if (a->asking)
		return hold_answered(a, &result->error, err);
	switch (a->journal.state) {
	case OTA_UPDATE_OFFERED:
		return offer_result(a, result, err);
	case OTA_UPDATE_VERIFYING:
		return verified(a, &result->error, err);
	case OTA_UPDATE_INSTALLING:
		if (result->error.code != OTA_OK)
			return work_fail(a, result->error.code, result->error.text, err);
		return agent_move(a, UPDATE_ON_DONE, err);
	case OTA_UPDATE_REBOOTING:
		return rebooting_result(a, &result->error, err);
	case OTA_UPDATE_PROVING:
		return proving_result(a, result, err);
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
		return judge(a, err); /* the rescue hook; what it says changes nothing */
	case OTA_UPDATE_FETCHING:
		return repair_scanned(a, result, err);
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_ROLLING_BACK:
	case OTA_N_UPDATE_STATES:
		break;
	}
	return OTA_OK;
}
