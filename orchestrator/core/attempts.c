#include "orchestrator/core/attempts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/opening.h"
#include "orchestrator/core/publish.h"
#include "orchestrator/core/quarantine.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/retries.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/survey.h"
#include "orchestrator/core/tree.h"

enum {
	ATTEMPTS_KEPT = 32, /* of a device */
	WAIT_MAX_S = 90000, /* 25 h: a daily window comes round */
	ROOM_LOOK_S = 5,    /* until room for one more is looked for again */
};

static bool runs_new(const struct device *device, const struct rollout *rollout)
{
	return ota_digest_equal(&device->report.running, &rollout->release->doc.image);
}

/* ---- outcomes */

static void count_good(struct rollout *rollout, struct attempt *attempt)
{
	if (attempt->counted_good)
		return;
	attempt->counted_good = true;
	rollout->llr_micro = gate_llr_pass(&rollout->spec.gates, rollout->llr_micro);
}

static void count_bad(struct rollout *rollout, struct attempt *attempt)
{
	if (attempt->counted_bad)
		return;
	attempt->counted_bad = true;
	rollout->llr_micro = gate_llr_fail(&rollout->spec.gates, rollout->llr_micro);
}

static void audit_attempt(
	struct core *core, const struct device *device, const struct attempt *attempt)
{
	cJSON *detail = tree_object();
	char who[OTA_NAME_CAP + sizeof "device:"], action[32];

	(void)snprintf(who, sizeof who, "device:%s", device->id);
	(void)snprintf(
		action, sizeof action, "device.%s", attempt_state_text(attempt->state));
	tree_text(detail, "rollout", attempt->rollout->spec.rollout);
	tree_text(detail, "class", failure_class_text(attempt->class));
	tree_text(detail, "error", ota_code_name(attempt->error));
	tree_text(detail, "error_text", attempt->error_text);
	store_audit(core, who, action, detail);
}

/* A failure is judged at once. A success can only let a stage pass, and the gate visits
 * every device: one look a second is enough for all that succeed in it. */
static void look_again(struct core *core, struct rollout *rollout, bool success)
{
	if (!success)
		rollout->dirty = true;
	else if (core->now.utc_s + 1 < rollout->due_s)
		rollout->due_s = core->now.utc_s + 1;
}

/* The one place that changes an attempt's state. False: the table has no such move. */
static bool moved(struct attempt *attempt, enum attempt_event event)
{
	unsigned to;

	if (ota_fsm_next(&attempt_fsm, attempt->state, event, &to, NULL) != OTA_OK)
		return false;
	attempt->state = (enum attempt_state)to;
	return true;
}

/* What an attempt has come to. */
static void finish(struct core *core, struct device *device, struct attempt *attempt)
{
	struct rollout *rollout = attempt->rollout;

	attempt->step_s = core->now.utc_s;
	if (attempt->state == ATTEMPT_CONFIRMED)
		count_good(rollout, attempt);
	if (attempt->class == FAILURE_SOFT || attempt->class == FAILURE_HARD)
		count_bad(rollout, attempt);
	store_attempt(core, device, attempt);
	audit_attempt(core, device, attempt);
	store_rollout(core, rollout);
	look_again(core, rollout, attempt->state == ATTEMPT_CONFIRMED);
}

static void clear_error(struct attempt *attempt)
{
	attempt->class = FAILURE_NONE;
	attempt->error = OTA_OK;
	attempt->error_text[0] = '\0';
}

static void succeed(struct core *core, struct device *device, struct attempt *attempt)
{
	if (!moved(attempt, ATTEMPT_EV_SUCCEED))
		return;
	clear_error(attempt);
	finish(core, device, attempt);
}

static bool has_ended_so(const struct attempt *attempt, enum ota_code code)
{
	return attempt->error == code &&
	       (attempt->state == ATTEMPT_FAILED || attempt->state == ATTEMPT_EXCUSED ||
		       attempt->state == ATTEMPT_RETRYING);
}

static enum attempt_event event_of(
	const struct device *device, const struct attempt *attempt, enum ota_code code)
{
	enum failure_class class = failure_class_of(code);

	if (code == OTA_E_REVERTED && attempt->state == ATTEMPT_CONFIRMED)
		return ATTEMPT_EV_RELAPSE;
	if (retries_is_left(device, attempt, class))
		return ATTEMPT_EV_PUT_OFF;
	return class == FAILURE_EXCUSED ? ATTEMPT_EV_EXCUSE : ATTEMPT_EV_FAIL;
}

static void fail(struct core *core, struct device *device, struct attempt *attempt,
	enum ota_code code, const char *text)
{
	if (has_ended_so(attempt, code) ||
		!moved(attempt, event_of(device, attempt, code)))
		return;
	attempt->class = failure_class_of(code);
	attempt->error = code;
	(void)snprintf(attempt->error_text, sizeof attempt->error_text, "%s", text);
	if (attempt->state == ATTEMPT_RETRYING)
		retries_put_off(core, attempt);
	finish(core, device, attempt);
	if (attempt->class == FAILURE_SOFT || attempt->class == FAILURE_HARD)
		quarantine_failure(core, device);
}

uint64_t attempt_deadline_s(const struct attempt *attempt)
{
	const struct rollout_spec *spec = &attempt->rollout->spec;
	uint64_t budget_s = 0;

	switch (attempt->step) {
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_OFFERED:
		budget_s = spec->jitter_s + spec->deadlines.fetch_s;
		break;
	case OTA_UPDATE_FETCHING:
		budget_s = spec->deadlines.fetch_s;
		break;
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_INSTALLING:
		budget_s = spec->deadlines.install_s;
		break;
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_REBOOTING:
	case OTA_UPDATE_PROVING:
	case OTA_UPDATE_ROLLING_BACK:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
		budget_s = spec->deadlines.prove_s;
		break;
	case OTA_N_UPDATE_STATES:
		break;
	}
	if (attempt->waiting)
		budget_s += WAIT_MAX_S;
	return attempt->step_s + budget_s + spec->gates.silence_s;
}

/* Beginning and going on pass no gate; they only have to be looked at in time. */
static void expect_by_deadline(struct attempt *attempt)
{
	uint64_t deadline_s = attempt_deadline_s(attempt);

	if (deadline_s < attempt->rollout->due_s)
		attempt->rollout->due_s = deadline_s;
}

/* Under way, at the step it reports. */
static void work(struct core *core, struct device *device, struct attempt *attempt)
{
	enum ota_update_state step = device->report.state;
	bool waiting = device->report.wait != 0, begins;

	if (attempt->state == ATTEMPT_WORKING && attempt->step == step &&
		attempt->waiting == waiting)
		return;
	begins = attempt->state != ATTEMPT_WORKING;
	if (!moved(attempt, ATTEMPT_EV_BEGIN))
		return;
	if (begins) {
		attempt->told_s = 0;
		clear_error(attempt);
		attempt->acknowledged = false;
	}
	if (step < OTA_UPDATE_REBOOTING) /* also when it tries again */
		attempt->offer_boot = device->report.boot;
	attempt->step = step;
	attempt->waiting = waiting;
	attempt->step_s = core->now.utc_s;
	expect_by_deadline(attempt);
	store_attempt(core, device, attempt);
}

/* ---- reading a report */

static void forget_old(struct core *core, struct device *device)
{
	struct attempt **at = &device->attempts;

	for (int kept = 1; *at != NULL && kept < ATTEMPTS_KEPT; kept++)
		at = &(*at)->older;
	while (*at != NULL) {
		struct attempt *old = *at;

		store_drop_attempt(core, device, old);
		*at = old->older;
		free(old);
	}
}

/* The attempt, begun if it is new: it began on an earlier boot than it ends on. */
static struct attempt *begun(struct core *core, struct device *device,
	struct rollout *rollout, uint64_t before)
{
	struct attempt *attempt = attempt_find(device, rollout);

	if (attempt != NULL)
		return attempt;
	forget_old(core, device);
	attempt = attempt_of(device, rollout);
	(void)moved(attempt, ATTEMPT_EV_BEGIN);
	attempt->step = OTA_UPDATE_IDLE;
	attempt->offer_boot = before;
	attempt->began_s = attempt->step_s = core->now.utc_s;
	expect_by_deadline(attempt);
	store_attempt(core, device, attempt);
	return attempt;
}

/* DESIGN 1: booted the new image, healthy, confirmed, and said so. */
static bool is_success(const struct device *device, const struct attempt *attempt)
{
	const struct ota_report *r = &device->report;

	return r->state == OTA_UPDATE_CONFIRMED && r->confirmed &&
	       runs_new(device, attempt->rollout) && r->boot > attempt->offer_boot;
}

static void read_end(struct core *core, struct device *device, struct attempt *attempt)
{
	const struct ota_report *r = &device->report;
	enum ota_code error = ota_code_of_number(r->error);

	if (r->state == OTA_UPDATE_FAILED)
		fail(core, device, attempt, r->error == 0 ? OTA_E_FELLBACK : error,
			r->error_text);
	else if (is_success(device, attempt))
		succeed(core, device, attempt);
}

/* Why the device cannot begin what it is ordered to; OTA_OK: nothing of the kind. */
static enum ota_code inability(const struct device *device)
{
	enum ota_code error = ota_code_of_number(device->report.error);
	enum ota_code wait = ota_code_of_number(device->report.wait);

	if (failure_is_inability(error))
		return error;
	return failure_is_inability(wait) ? wait : OTA_OK;
}

/* Under way, unless it is stuck before it began for want of room or the like. */
static void read_step(struct core *core, struct device *device, struct attempt *attempt)
{
	enum ota_code code = inability(device);

	if (code != OTA_OK && device->report.state <= OTA_UPDATE_FETCHING)
		fail(core, device, attempt, code, device->report.error_text);
	else
		work(core, device, attempt);
}

static void read_named(struct core *core, struct device *device, struct rollout *rollout,
	uint64_t before)
{
	struct attempt *attempt;

	switch (device->report.state) {
	case OTA_UPDATE_IDLE:
		break;
	case OTA_UPDATE_OFFERED:
	case OTA_UPDATE_FETCHING:
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_INSTALLING:
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_REBOOTING:
	case OTA_UPDATE_PROVING:
	case OTA_UPDATE_ROLLING_BACK:
		attempt = begun(core, device, rollout, before);
		read_step(core, device, attempt);
		break;
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
		attempt = begun(core, device, rollout, before);
		read_end(core, device, attempt);
		break;
	case OTA_N_UPDATE_STATES:
		break;
	}
}

/* A device that has not begun may tell that it cannot; that is no failure. */
static void read_inability(struct core *core, struct device *device,
	struct rollout *rollout, uint64_t before)
{
	const struct ota_report *r = &device->report;
	enum ota_code code = inability(device);
	struct attempt *attempt = attempt_find(device, rollout);

	if (code != OTA_OK)
		fail(core, device, begun(core, device, rollout, before), code,
			r->error_text);
	else if (attempt != NULL && attempt->state == ATTEMPT_EXCUSED)
		work(core, device, attempt);
}

/* The order the device has read and does not work on. */
static void read_order(struct core *core, struct device *device, uint64_t before)
{
	const struct ota_report *r = &device->report;
	const struct cohort *cohort = cohort_find(core, device->cohort);
	struct rollout *rollout = publish_rollout_of(core, device->cohort);

	if (cohort == NULL || rollout == NULL || r->order_seq != cohort->seq)
		return;
	if (r->state != OTA_UPDATE_IDLE && strcmp(r->rollout, rollout->spec.rollout) == 0)
		return;
	read_inability(core, device, rollout, before);
}

/* It still runs what it should leave, and says that it tried. */
static bool could_not_go_back(const struct device *device, const struct attempt *attempt)
{
	const struct ota_report *r = &device->report;

	return r->state == OTA_UPDATE_FAILED && r->error == OTA_E_ROLLBACK &&
	       runs_new(device, attempt->rollout) &&
	       strcmp(r->rollout, attempt->rollout->spec.rollout) == 0;
}

/* Back on the image it came from, by order. */
static void read_revert(struct core *core, struct device *device, struct attempt *attempt)
{
	const struct ota_report *r = &device->report;
	bool rests = r->state == OTA_UPDATE_CONFIRMED || r->state == OTA_UPDATE_IDLE ||
		     r->state == OTA_UPDATE_FAILED;

	if (attempt->state != ATTEMPT_WORKING && attempt->state != ATTEMPT_CONFIRMED &&
		attempt->state != ATTEMPT_RETRYING)
		return;
	if (could_not_go_back(device, attempt))
		read_end(core, device, attempt);
	if (!rests || !r->confirmed || runs_new(device, attempt->rollout))
		return;
	if (r->state == OTA_UPDATE_FAILED)
		read_end(core, device, attempt);
	else if (moved(attempt, ATTEMPT_EV_GO_BACK))
		finish(core, device, attempt);
}

/* It had confirmed and runs something else: DESIGN 8, "re-opens the device". */
static void read_relapse(
	struct core *core, struct device *device, struct attempt *attempt)
{
	if (attempt->state != ATTEMPT_CONFIRMED || runs_new(device, attempt->rollout) ||
		!rollout_state_is_live(attempt->rollout->state))
		return;
	fail(core, device, attempt, OTA_E_REVERTED, device->report.error_text);
}

void attempts_report(struct core *core, struct device *device, uint64_t before)
{
	struct rollout *named = rollout_find(core, device->report.rollout);
	struct attempt *attempt;

	if (named != NULL && !named->reverted)
		read_named(core, device, named, before);
	read_order(core, device, before);
	for (attempt = device->attempts; attempt != NULL; attempt = attempt->older) {
		if (attempt->rollout->reverted)
			read_revert(core, device, attempt);
		else
			read_relapse(core, device, attempt);
	}
}

/* ---- deadlines */

static void overdue(struct core *core, struct device *device, struct attempt *attempt)
{
	uint64_t quiet_s = core->now.utc_s - device->heard_s;
	char text[OTA_ERROR_TEXT_CAP];

	(void)snprintf(text, sizeof text, "in step %s; last heard %llu s ago",
		ota_update_state_text(attempt->step), (unsigned long long)quiet_s);
	fail(core, device, attempt,
		quiet_s >= attempt->rollout->spec.gates.silence_s ? OTA_E_SILENT
								  : OTA_E_TIMEOUT,
		text);
}

/* It was asked to try again, and nothing was heard of it: what it failed with stands. */
static void give_up(struct core *core, struct device *device, struct attempt *attempt)
{
	bool excused = attempt->class == FAILURE_EXCUSED;

	if (moved(attempt, excused ? ATTEMPT_EV_EXCUSE : ATTEMPT_EV_FAIL))
		finish(core, device, attempt);
}

static bool is_under(const struct core *core, const struct device *device,
	const struct rollout *rollout)
{
	return publish_rollout_of(core, device->cohort) == rollout;
}

uint64_t attempt_due_s(const struct attempt *attempt)
{
	bool retrying = attempt->state == ATTEMPT_RETRYING;

	if (!retrying && attempt->state != ATTEMPT_WORKING)
		return UINT64_MAX;
	return retrying && attempt->retry_s != 0 ? attempt->retry_s
						 : attempt_deadline_s(attempt);
}

/* A look at all attempts of a rollout. */
struct look {
	struct core *core;
	struct rollout *rollout;
	bool counted;
	uint64_t room; /* devices that may be asked now, once it is counted */
};

/* One more may be under way. */
static bool has_room(struct look *look)
{
	if (!look->counted)
		look->room = opening_room(look->core, look->rollout);
	look->counted = true;
	return look->room > 0;
}

/* Ask it to try again; false if too many are under way. */
static bool asked(struct look *look, struct device *device, struct attempt *attempt)
{
	if (!has_room(look))
		return false;
	look->room--;
	retries_ask(look->core, device, attempt);
	return true;
}

/* What is to be done about an attempt now. Returns when to look at it again. */
static uint64_t sweep(struct look *look, struct device *device, struct attempt *attempt)
{
	struct core *core = look->core;
	uint64_t at_s = attempt_due_s(attempt);

	if (core->now.utc_s < at_s)
		return at_s;
	if (attempt->state == ATTEMPT_WORKING)
		overdue(core, device, attempt);
	else if (attempt->retry_s == 0 || !is_under(core, device, attempt->rollout))
		give_up(core, device, attempt);
	else if (!asked(look, device, attempt))
		return core->now.utc_s + ROOM_LOOK_S;
	return attempt->state == ATTEMPT_RETRYING ? attempt_deadline_s(attempt)
						  : UINT64_MAX;
}

/* Those of a rollout that is over are few, and no survey is kept for them. */
static uint64_t sweep_all(struct core *core, struct rollout *rollout)
{
	struct look look = { .core = core, .rollout = rollout };
	uint64_t due_s = UINT64_MAX;

	for (size_t i = 0; i < core->device_count; i++) {
		struct device *device = core->devices[i];
		struct attempt *attempt = attempt_find(device, rollout);
		uint64_t at_s =
			attempt != NULL ? sweep(&look, device, attempt) : UINT64_MAX;

		if (at_s < due_s)
			due_s = at_s;
	}
	return due_s;
}

uint64_t attempts_sweep(struct core *core, struct rollout *rollout)
{
	struct look look = { .core = core, .rollout = rollout };
	const struct survey *survey;
	uint64_t due_s = UINT64_MAX;

	if (!rollout_state_is_live(rollout->state))
		return sweep_all(core, rollout);
	survey = survey_of(core, rollout);
	for (size_t i = 0; i < survey->count; i++) {
		const struct standing *s = &survey->at[i];
		uint64_t at_s = s->due_s;

		if (core->now.utc_s >= at_s)
			at_s = sweep(&look, core->devices[i], s->attempt);
		if (at_s < due_s)
			due_s = at_s;
	}
	return due_s;
}

/* ---- people */

static void acknowledge(struct core *core, struct device *device, struct attempt *attempt)
{
	if (attempt->state == ATTEMPT_WORKING) {
		attempt->step_s = core->now.utc_s;
		store_attempt(core, device, attempt);
		return;
	}
	if (attempt->state != ATTEMPT_FAILED && attempt->state != ATTEMPT_RETRYING)
		return;
	attempt->acknowledged = true;
	attempt->counted_bad = false;
	if (moved(attempt, ATTEMPT_EV_ASK))
		retries_ask(core, device, attempt);
	else
		store_attempt(core, device, attempt);
}

void attempts_acknowledge(struct core *core, struct rollout *rollout)
{
	for (size_t i = 0; i < core->device_count; i++) {
		struct device *device = core->devices[i];
		struct attempt *attempt = attempt_find(device, rollout);
		enum ota_code error = ota_code_of_number(device->report.error);

		if (attempt != NULL)
			acknowledge(core, device, attempt);
		if (stage_concerns(rollout, device) && device->reported &&
			device->alarm_acked != error) {
			device->alarm_acked = error;
			store_status(core, device);
		}
	}
	rollout->llr_micro = 0;
	rollout->worse = (struct worse_test){ 0 };
}

struct attempts_sum attempts_sum(const struct core *core, const struct rollout *rollout)
{
	const struct tally *tally = &survey_with_tally(core, rollout)->tally;

	return (struct attempts_sum){ .soft = tally->soft,
		.hard = tally->hard,
		.confirmed = tally->confirmed,
		.aside = tally->aside };
}
