#include "orchestrator/core/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/core/claims.h"
#include "orchestrator/core/opening.h"
#include "orchestrator/core/patches.h"
#include "orchestrator/core/publish.h"
#include "orchestrator/core/quarantine.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/returning.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/tree.h"
#include "orchestrator/core/views.h"
#include "proto/wire/admit.h"

/* ---- who has to do what */

/* clang-format off */
static const struct {
	enum ota_code rule;
	const char *unblock;
} unblocks[] = {
	{ OTA_E_PENDING,   "compare the fingerprint with the device's, then sluice device accept or reject" },
	{ OTA_E_NOREPORT,  "start the agent on the device; it reports when it is up" },
	{ OTA_E_OFFLINE,   "it goes on by itself once the device is connected again" },
	{ OTA_E_NOCOHORT,  "give it labels that a cohort of the fleet file selects" },
	{ OTA_E_NOROLLOUT, "nothing to do; a rollout that names its cohort begins with apply" },
	{ OTA_E_CURRENT,   "nothing to do" },
	{ OTA_E_WORKING,   "nothing to do; it is under way" },
	{ OTA_E_PREPARING, "nothing to do; the rollout goes on when the patches are made" },
	{ OTA_E_STAGE,     "nothing to do; the earlier stages have to pass their gates" },
	{ OTA_E_NOGRANT,   "operators sign a grant: sluice approve" },
	{ OTA_E_APPROVAL,  "another operator signs the same grant: sluice approve ROLLOUT --add" },
	{ OTA_E_SHARE,     "operators sign a wider grant: sluice approve" },
	{ OTA_E_BUCKET,    "a later stage with a larger share, or one that names it" },
	{ OTA_E_WINDOW,    "nothing to do; it goes on when the window opens, in its local time" },
	{ OTA_E_PAUSED,    "sluice resume" },
	{ OTA_E_HALTED,    "look at the reason, then sluice resume, revert or abort" },
	{ OTA_E_ABORTED,   "begin another rollout" },
	{ OTA_E_QUARANTINE, "look at the device, then sluice device release" },
	{ OTA_E_SUPERSEDED, "nothing to do; the rollout that took over decides" },
	{ OTA_E_LATE,      "nothing to do; it begins by itself, under the same grant" },
	{ OTA_E_HARDWARE,  "a release that names its hardware" },
	{ OTA_E_PRODUCT,   "a release of its product" },
	{ OTA_E_FLOOR,     "a release not below its anti-rollback floor" },
	{ OTA_E_PRECURSOR, "a release or patch for the image it runs" },
	{ OTA_E_NOSPACE,   "free room on the device; it tries again by itself" },
	{ OTA_E_NORAM,     "raise the limit of the decoder on the device, or release full images" },
	{ OTA_E_UNLISTED,  "release people sign a catalog that lists the release" },
	{ OTA_E_EXPIRED,   "sign the expired document anew" },
	{ OTA_E_SEQUENCE,  "nothing to do if it goes away: the device waits for newer documents" },
	{ OTA_E_REVERTED,  "see why the device left the confirmed image" },
	{ OTA_E_SILENT,    "look at the device: it went quiet during the update" },
	{ OTA_E_POWER,     "nothing to do; it goes on when the device has power, by its own policy" },
	{ OTA_E_METERED,   "nothing to do; it goes on when the device's link is not metered" },
	{ OTA_E_BUDGET,    "raise policy.budget on the device, or order a smaller patch" },
	{ OTA_E_LOCKED,    "whoever holds the reboot lock on the device lets go of it" },
	{ OTA_E_SLOWLINK,  "look at the device's line and at the broker; it tries again by itself, keeping what came" },
	{ OTA_E_TRYAGAIN,  "nothing to do; it is asked again by itself, or by sluice resume" },
	{ OTA_E_PACE,      "nothing to do; it begins when others have finished" },
	{ OTA_E_SITE,      "nothing to do; it begins when others of its site have finished" },
	{ OTA_E_GROUP,     "look at the other devices of its group; one of them has to be in service" },
	{ OTA_E_UNHEARD,   "look at the devices and at the broker, then sluice resume" },
	{ OTA_E_UNSTABLE,  "look at the link between orchestrator and broker, then sluice resume" },
	{ OTA_E_SLOW,      "look at the disk of the orchestrator, then sluice resume" },
	{ OTA_E_CLOCK,     "set the orchestrator's clock right, then sluice resume" },
	{ OTA_E_FREEZE,    "nothing to do; it goes on when the freeze is over" },
	{ OTA_E_RESCUE,    "order another image that works: the device stays up and takes it" },
};
/* clang-format on */

static const char *unblock_of(enum ota_code rule)
{
	for (size_t i = 0; i < sizeof unblocks / sizeof unblocks[0]; i++)
		if (unblocks[i].rule == rule)
			return unblocks[i].unblock;
	if (failure_is_alarm(rule))
		return "find out who sent it; then sluice resume to acknowledge";
	return "see the error; sluice resume, or another rollout, makes the device try "
	       "again";
}

static void say(struct explanation *out, enum ota_code rule, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct explanation *out, enum ota_code rule, const char *fmt, ...)
{
	va_list ap;

	out->rule = rule;
	out->unblock = unblock_of(rule);
	va_start(ap, fmt);
	(void)vsnprintf(out->detail, sizeof out->detail, fmt, ap);
	va_end(ap);
}

/* ---- the rules, each true if it holds the device */

static bool is_out_of_reach(
	const struct core *core, const struct device *device, struct explanation *out)
{
	const struct ota_report *r = &device->report;

	if (!device->reported) {
		say(out, OTA_E_NOREPORT, "%s",
			device->online ? "it is connected, but has not reported" : "");
		return true;
	}
	if (device_is_set_aside(device)) {
		say(out, OTA_E_QUARANTINE, "since %" PRIu64 " s: %s",
			core->now.utc_s - device->quarantine.since_s,
			device->quarantine.text);
		return true;
	}
	if (!device->online) {
		say(out, OTA_E_OFFLINE, "last heard %" PRIu64 " s ago, in state %s",
			core->now.utc_s - device->heard_s,
			ota_update_state_text(r->state));
		return true;
	}
	if (device->cohort[0] == '\0') {
		say(out, OTA_E_NOCOHORT, "%u labels, hardware %s", device->label_count,
			r->hardware);
		return true;
	}
	if (device_has_alarm(device) || r->error == OTA_E_EXPIRED) {
		say(out, ota_code_of_number(r->error), "%s", r->error_text);
		return true;
	}
	return false;
}

/* What the device says it waits for, in its own words. */
static bool waits(const struct ota_report *report, struct explanation *out)
{
	if (report->wait == 0)
		return false;
	say(out, ota_code_of_number(report->wait), "%s",
		report->error_text[0] != '\0' ? report->error_text
					      : "the device says so");
	return true;
}

static void say_retry(
	const struct core *core, const struct attempt *attempt, struct explanation *out)
{
	uint64_t now_s = core->now.utc_s;
	uint64_t left_s = attempt->retry_s > now_s ? attempt->retry_s - now_s : 0;

	if (attempt->retry_s == 0)
		say(out, OTA_E_TRYAGAIN,
			"asked to try again %" PRIu64 " s ago after %s: %s",
			now_s - attempt->step_s, ota_code_name(attempt->error),
			attempt->error_text);
	else
		say(out, OTA_E_TRYAGAIN, "try %" PRIu64 " in %" PRIu64 " s after %s: %s",
			attempt->tries + 1, left_s, ota_code_name(attempt->error),
			attempt->error_text);
}

static bool has_result(const struct core *core, const struct device *device,
	const struct rollout *rollout, struct explanation *out)
{
	const struct attempt *attempt = attempt_find(device, rollout);
	const struct ota_report *r = &device->report;

	if (ota_digest_equal(&r->running, &rollout->release->doc.image) && r->confirmed &&
		!rollout->reverted) {
		say(out, OTA_E_CURRENT, "it runs %s", rollout->release->doc.version);
		return true;
	}
	if (attempt == NULL || attempt->acknowledged)
		return false;
	if (attempt->state == ATTEMPT_RETRYING) {
		say_retry(core, attempt, out);
		return true;
	}
	if (attempt->state == ATTEMPT_FAILED || attempt->state == ATTEMPT_EXCUSED) {
		say(out, attempt->error, "%s", attempt->error_text);
		return true;
	}
	if (attempt->state == ATTEMPT_WORKING && attempt->step != OTA_UPDATE_IDLE &&
		rollout_state_is_live(rollout->state)) {
		if (waits(r, out))
			return true;
		say(out, OTA_E_WORKING, "%s, %" PRIu64 " of %" PRIu64 " chunks",
			ota_update_state_text(r->state), r->chunks, r->chunks_total);
		return true;
	}
	return false;
}

static bool cannot(const struct device *device, const struct rollout *rollout,
	struct explanation *out)
{
	const struct ota_release *release = &rollout->release->doc;
	enum ota_code fit = stage_fit(device, release);

	if (fit == OTA_OK || fit == OTA_E_CURRENT)
		return false;
	say(out, fit, "it is %s %s at floor %" PRIu64 ", release %s is for %s %s%s",
		device->report.product, device->report.hardware, device->report.floor,
		release->version, release->product, release->hardware[0],
		release->hardware_count > 1 ? " and others" : "");
	return true;
}

/* Paused by the orchestrator, for want of trust in itself. */
static bool is_by_deadman(enum ota_code reason)
{
	return reason == OTA_E_UNHEARD || reason == OTA_E_UNSTABLE ||
	       reason == OTA_E_SLOW || reason == OTA_E_CLOCK;
}

static bool stands(const struct rollout *rollout, struct explanation *out)
{
	enum ota_code rule = OTA_OK;

	switch (rollout->state) {
	case ROLLOUT_HALTED:
	case ROLLOUT_REVERTING:
		rule = OTA_E_HALTED;
		break;
	case ROLLOUT_PAUSED:
		rule = is_by_deadman(rollout->reason) ? rollout->reason : OTA_E_PAUSED;
		break;
	case ROLLOUT_ABORTED:
		rule = OTA_E_ABORTED;
		break;
	case ROLLOUT_SUPERSEDED:
		rule = OTA_E_SUPERSEDED;
		break;
	case ROLLOUT_DRAFT:
	case ROLLOUT_PREPARING:
	case ROLLOUT_WAITING_FOR_GRANT:
	case ROLLOUT_RUNNING:
	case ROLLOUT_SOAKING:
	case ROLLOUT_COMPLETED:
	case N_ROLLOUT_STATES:
		return false;
	}
	say(out, rule, "%s", rollout->reason_text);
	return true;
}

/* It will be let go, and is not yet. */
static bool awaits_return(const struct core *core, const struct rollout *rollout,
	struct device *device, struct explanation *out)
{
	const struct attempt *attempt = attempt_find(device, rollout);
	const struct survey *survey;

	if (rollout->state != ROLLOUT_REVERTING || attempt == NULL ||
		attempt->state != ATTEMPT_CONFIRMED)
		return false;
	survey = survey_of(core, rollout);
	if (returning_is_told(rollout, &survey->at[device->index]))
		return false;
	if (rollout->hold == OTA_OK)
		say(out, OTA_E_PACE, "the next devices go back in a moment");
	else
		say(out, rollout->hold, "before it goes back: %s", rollout->hold_text);
	return true;
}

/* Its stage is under way, and opened by and by. */
static bool awaits_opening(const struct core *core, const struct rollout *rollout,
	struct device *device, struct explanation *out)
{
	if (!opening_holds(core, rollout, device))
		return false;
	if (rollout->hold == OTA_OK)
		say(out, OTA_E_PACE, "the next devices are let in in a moment");
	else
		say(out, rollout->hold, "%s", rollout->hold_text);
	return true;
}

static bool awaits_stage(const struct core *core, const struct rollout *rollout,
	struct device *device, struct explanation *out)
{
	const struct stage_shares shares = stage_shares(core, rollout);
	uint32_t stage = stage_of_device(&shares, rollout, device);
	const struct rollout_stage *under_way = &rollout->spec.stages[rollout->stage];
	const char *now = under_way->name;

	if (stage != STAGE_NONE && rollout->runs[stage].started_s != 0)
		return awaits_opening(core, rollout, device, out);
	if (rollout->state == ROLLOUT_PREPARING) {
		say(out, OTA_E_PREPARING, "for stage %s", now);
		return true;
	}
	if (rollout->state == ROLLOUT_WAITING_FOR_GRANT &&
		(stage == rollout->stage || stage == STAGE_NONE ||
			shares.grant == NULL)) {
		say(out, rollout->reason, "%s", rollout->reason_text);
		return true;
	}
	if (stage == STAGE_NONE)
		say(out, OTA_E_BUCKET, "no stage of the rollout takes it");
	else if (strcmp(under_way->cohort, device->cohort) == 0)
		say(out, OTA_E_BUCKET,
			"stage %s takes a smaller share; it is in stage %s", now,
			rollout->spec.stages[stage].name);
	else
		say(out, OTA_E_STAGE, "it is in stage %s, under way is %s",
			rollout->spec.stages[stage].name, now);
	return true;
}

/* What the device itself says of the order it holds. */
static bool says(
	const struct core *core, const struct device *device, struct explanation *out)
{
	const struct ota_report *r = &device->report;
	const struct cohort *cohort = cohort_find(core, device->cohort);

	if (cohort == NULL || r->order_seq != cohort->seq)
		return false;
	if (r->error != 0 && r->state == OTA_UPDATE_IDLE) {
		say(out, ota_code_of_number(r->error), "%s", r->error_text);
		return true;
	}
	return waits(r, out);
}

/* The name of the stage it is in, if that has passed; else NULL. */
static const char *passed_stage(
	const struct core *core, const struct rollout *rollout, struct device *device)
{
	const struct stage_shares shares = stage_shares(core, rollout);
	uint32_t stage = stage_of_device(&shares, rollout, device);

	if (stage == STAGE_NONE || rollout->runs[stage].state != STAGE_PASSED)
		return NULL;
	return rollout->spec.stages[stage].name;
}

/* The same decision the device takes, on the documents in force. */
static void admit(const struct core *core, struct device *device,
	const struct rollout *rollout, struct explanation *out)
{
	const struct ota_report *r = &device->report;
	const char *stage = passed_stage(core, rollout, device);
	const struct cohort *cohort = cohort_find(core, device->cohort);
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	struct ota_error why = { 0 };
	struct ota_self self = {
		.device = device->id,
		.product = r->product,
		.hardware = r->hardware,
		.version = r->version,
		.running = patches_repairs(core, device) ? r->claims : r->running,
		.floor = r->floor,
		.counter = r->running_counter,
		.local_min = rollout->spec.window.from_min,
	};
	struct ota_case c = {
		.trusted_utc_s = core->now.utc_s,
		.root = &core->trust.root,
		.fresh = core->fresh,
		.catalog = core->catalog,
		.release = &rollout->release->doc,
		.grant = grant != NULL ? &grant->doc : NULL,
		.release_digest = rollout->release->digest,
		.catalog_digest = core->trust.catalog.digest,
	};
	enum ota_code rc;

	if (cohort != NULL && cohort->ordered) {
		c.order = &cohort->order;
		c.order_digest = cohort->digest;
	}
	rc = ota_admit(&self, &c, NULL, &why);
	if (rc == OTA_OK && stage != NULL)
		say(out, OTA_E_LATE, "stage %s has passed without it", stage);
	else if (rc == OTA_OK)
		say(out, OTA_E_WORKING, "it may begin; nothing holds it");
	else
		say(out, rc, "%s", why.text);
}

void explain_device(
	const struct core *core, struct device *device, struct explanation *out)
{
	struct rollout *rollout = stage_rollout_of(core, device->cohort);

	*out = (struct explanation){ .rollout = "" };
	if (is_out_of_reach(core, device, out))
		return;
	if (rollout == NULL) {
		say(out, OTA_E_NOROLLOUT, "of cohort %s", device->cohort);
		return;
	}
	out->rollout = rollout->spec.rollout;
	if (has_result(core, device, rollout, out) || cannot(device, rollout, out) ||
		awaits_return(core, rollout, device, out) || stands(rollout, out) ||
		awaits_stage(core, rollout, device, out) || says(core, device, out))
		return;
	admit(core, device, rollout, out);
}

static void add_repair(
	const struct core *core, const struct device *device, struct explanation *e)
{
	const struct rollout *rollout = stage_rollout_of(core, device->cohort);
	size_t used = strlen(e->detail);
	char claims[OTA_DIGEST_HEX_CAP];

	if (rollout == NULL || e->rule == OTA_E_CURRENT || !patches_repairs(core, device))
		return;
	ota_digest_hex(&device->report.claims, claims);
	(void)snprintf(e->detail + used, sizeof e->detail - used,
		"%sits image was written to: it repairs it as %.12s for the patch",
		used > 0 ? "; " : "", claims);
}

static cJSON *view(const char *device, const struct explanation *e)
{
	cJSON *tree = tree_object();

	tree_text(tree, "device", device);
	tree_text(tree, "rule", ota_code_name(e->rule));
	tree_u64(tree, "number", e->rule);
	tree_text(tree, "text", ota_code_text(e->rule));
	tree_text(tree, "unblock", e->unblock);
	tree_text(tree, "rollout", e->rollout);
	tree_foreign(tree, "detail", e->detail);
	return tree;
}

cJSON *explain_json(const struct core *core, struct device *device)
{
	struct explanation e;
	cJSON *tree;

	explain_device(core, device, &e);
	add_repair(core, device, &e);
	tree = view(device->id, &e);
	views_refusal(tree, &device->refused);
	return tree;
}

cJSON *explain_claim_json(const struct core *core, const struct claim *claim)
{
	struct explanation e = { .rollout = "" };
	char fingerprint[FINGERPRINT_CAP];

	key_fingerprint(&claim->key, fingerprint);
	say(&e, OTA_E_PENDING,
		"fingerprint %s, claimed %" PRIu64 " s ago with token %s%s", fingerprint,
		core->now.utc_s - claim->claimed_s, claim->token,
		claim->second.at_s != 0 ? "; another key was presented as well" : "");
	return view(claim->id, &e);
}
