#include "orchestrator/core/reports.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/core/attempts.h"
#include "orchestrator/core/claims.h"
#include "orchestrator/core/fleet.h"
#include "orchestrator/core/health.h"
#include "orchestrator/core/patches.h"
#include "orchestrator/core/publish.h"
#include "orchestrator/core/quarantine.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"

/* A sequence further ahead of ours than this is no restored store but a broken device: it
 * must not push ours to the end of the numbers. */
#define JUMP_MAX UINT64_C(100000)

/* The reports of a device count up over its boots; the same one again is no replay, the
 * broker hands it out at each connection. */
static enum ota_code check_order(const struct device *device,
	const struct ota_report *report, const struct ota_digest *digest,
	struct ota_error *err)
{
	const struct ota_report *last = &device->report;

	if (!device->reported || ota_digest_equal(&device->report_digest, digest))
		return OTA_OK;
	if (report->counter > last->counter && report->boot >= last->boot)
		return OTA_OK;
	return ota_fail(err, OTA_E_SEQUENCE,
		"device %s: report %" PRIu64 " of boot %" PRIu64 " after %" PRIu64
		" of boot %" PRIu64,
		device->id, report->counter, report->boot, last->counter, last->boot);
}

/* ---- sequences: a device that has seen more than we remember shows that the store was
 * restored from an older copy */

static bool is_ahead(uint64_t seen, uint64_t ours)
{
	return seen > ours && seen - ours <= JUMP_MAX;
}

static void audit_jump(struct core *core, const char *what, uint64_t from, uint64_t to)
{
	cJSON *detail = tree_object();

	tree_text(detail, "sequence", what);
	tree_u64(detail, "from", from);
	tree_u64(detail, "to", to);
	store_audit(core, "core", "sequence.jump", detail);
}

static void catch_up_order(struct core *core, const struct ota_report *report)
{
	struct cohort *cohort;

	if (report->cohort[0] == '\0' ||
		fleet_spec_find(&core->spec, report->cohort) == NULL)
		return;
	cohort = cohort_of(core, report->cohort);
	if (!is_ahead(report->order_seq, cohort->seq))
		return;
	audit_jump(core, "order", cohort->seq, report->order_seq);
	cohort->seq = report->order_seq;
	cohort->again = true;
	store_cohort(core, cohort);
	core->orders_due = true;
}

/* A device that begins to refuse a sequence while it has seen our newest fresh holds
 * another one under that number: forged, or ours from before a store was restored. */
static bool is_ousted(
	const struct core *core, const struct ota_report *report, enum ota_code before)
{
	return report->error == OTA_E_SEQUENCE && before != OTA_E_SEQUENCE &&
	       report->fresh_seq == core->fresh_seq;
}

static void catch_up(struct core *core, struct device *device, enum ota_code before)
{
	const struct ota_report *report = &device->report;

	catch_up_order(core, report);
	if (is_ousted(core, report, before))
		core->fresh_due = true;
	if (is_ahead(report->fresh_seq, core->fresh_seq)) {
		audit_jump(core, "fresh", core->fresh_seq, report->fresh_seq);
		core->fresh_seq = report->fresh_seq;
		core->fresh_due = true;
	}
	if (is_ahead(report->assign_seq, device->assign_seq)) {
		audit_jump(core, "assign", device->assign_seq, report->assign_seq);
		device->assign_seq = report->assign_seq;
		publish_assign(core, device);
	}
}

/* ---- alarms */

static void note_alarm(struct core *core, struct device *device, bool before)
{
	cJSON *detail;
	char who[OTA_NAME_CAP + sizeof "device:"];

	if (device_has_alarm(device) == before)
		return;
	for (size_t i = 0; i < core->rollout_count; i++)
		core->rollouts[i]->dirty = true;
	if (before)
		return;
	health_incident(core, device);
	(void)snprintf(who, sizeof who, "device:%s", device->id);
	detail = tree_object();
	tree_text(
		detail, "error", ota_code_name(ota_code_of_number(device->report.error)));
	tree_text(detail, "error_text", device->report.error_text);
	store_audit(core, who, "device.alarm", detail);
}

/* An acknowledged refusal that has gone away counts again if it comes back. */
static void forget_acknowledged(struct device *device)
{
	if (device->report.error == 0)
		device->alarm_acked = OTA_OK;
}

/* ---- refusals */

/* What a report refuses; OTA_OK: nothing. An order without a grant is only waited on, and
 * yet none of ours is without. */
static enum ota_code refusal_of(const struct ota_report *report)
{
	enum ota_code error = ota_code_of_number(report->error);
	enum ota_code wait = ota_code_of_number(report->wait);

	if (report->error != 0)
		return failure_is_refusal(error) ? error : OTA_OK;
	if (report->wait != 0 && (wait == OTA_E_NOGRANT || failure_is_inability(wait)))
		return wait;
	return OTA_OK;
}

static void note_refusal(struct core *core, struct device *device, enum ota_code before)
{
	enum ota_code code = refusal_of(&device->report);
	struct refusal *refused = &device->refused;

	if (code == OTA_OK || code == before)
		return;
	refused->code = code;
	refused->at_s = core->now.utc_s;
	(void)snprintf(
		refused->text, sizeof refused->text, "%s", device->report.error_text);
}

/* ---- taking one */

/* True if another patch than before may suit the device. */
static bool has_moved(const struct device *device, const struct ota_report *report)
{
	const struct ota_report *last = &device->report;

	return !device->reported || !ota_digest_equal(&last->running, &report->running) ||
	       !ota_digest_equal(&last->claims, &report->claims) ||
	       last->error != report->error;
}

static void take(struct core *core, struct device *device,
	const struct ota_report *report, const struct ota_digest *digest)
{
	bool alarm = device_has_alarm(device);
	bool other = has_moved(device, report);
	bool moved = device_is_moved(device);
	uint64_t before = device->report.boot;
	bool known = device->reported;
	enum ota_code refused = refusal_of(&device->report);

	device->report = *report;
	device->report_digest = *digest;
	device->reported = true;
	device->heard_s = core->now.utc_s;
	forget_acknowledged(device);
	note_refusal(core, device, refused);
	store_status(core, device);
	fleet_place(core, device);
	if (other && patches_lack(core, device))
		core->patches_due = true;
	note_alarm(core, device, alarm);
	attempts_report(core, device, before);
	if (known && report->boot > before && !moved)
		health_incident(core, device);
	if (known)
		quarantine_boots(core, device, before);
	catch_up(core, device, refused);
}

enum ota_code reports_accept(struct core *core, const char *id,
	const struct ota_report *report, const struct ota_digest *digest,
	struct ota_error *err)
{
	struct device *device = device_find(core, id);
	enum ota_code rc;

	if (device == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "device %s is not registered", id);
	rc = check_order(device, report, digest, err);
	if (rc != OTA_OK)
		return rc;
	if (!device->reported || !ota_digest_equal(digest, &device->report_digest))
		take(core, device, report, digest);
	return OTA_OK;
}

enum ota_code reports_seal(const struct core *core, const char *id, struct core_seal *out,
	struct ota_error *err)
{
	const struct device *device = device_find(core, id);
	const struct claim *claim = device == NULL ? claim_find(core, id) : NULL;

	if (device == NULL && claim == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "device %s is not registered", id);
	memcpy(out->fleet_id, core->trust.root.fleet_id, sizeof out->fleet_id);
	out->key = device != NULL ? device->key : claim->key;
	return OTA_OK;
}

enum ota_code reports_verified(
	struct core *core, const struct core_verified *v, struct ota_error *err)
{
	const char *id = v->report->device;
	struct core_seal seal;
	enum ota_code rc = reports_seal(core, id, &seal, err);

	if (rc != OTA_OK)
		return rc;
	if (!ota_public_key_equal(&seal.key, &v->seal->key) ||
		memcmp(seal.fleet_id, v->seal->fleet_id, sizeof seal.fleet_id) != 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"report of %s: verified with a key that is not its own any more",
			id);
	if (device_find(core, id) != NULL)
		return reports_accept(core, id, v->report, v->digest, err);
	claim_report(claim_find(core, id), v->envelope);
	return OTA_OK;
}

enum ota_code reports_take(struct core *core, const char *id, struct ota_bytes envelope,
	struct ota_error *err)
{
	struct ota_report report;
	struct ota_digest digest;
	struct core_seal seal;
	struct ota_envelope e;
	enum ota_code rc = reports_seal(core, id, &seal, err);

	if (rc != OTA_OK)
		return rc;
	rc = ota_report_open(envelope, seal.fleet_id, &seal.key, id, &report, err);
	if (rc == OTA_OK)
		rc = ota_envelope_parse(envelope, &e, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "report of %s", id);
	digest = ota_digest_of(e.payload);
	return reports_verified(
		core, &(struct core_verified){ &seal, envelope, &report, &digest }, err);
}

/* ---- presence */

enum ota_code reports_presence(struct core *core, const char *id,
	const struct ota_online *online, struct ota_error *err)
{
	struct device *device = device_find(core, id);
	struct claim *claim = claim_find(core, id);

	if (device == NULL && claim != NULL) {
		claim_presence(claim, online);
		return OTA_OK;
	}
	if (device == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "device %s is not registered", id);
	if (!online->online && device->online &&
		strcmp(online->nonce, device->nonce) != 0)
		return OTA_OK; /* the last will of an earlier session */
	if (online->online == device->online && strcmp(online->nonce, device->nonce) == 0)
		return OTA_OK;
	if (device->online)
		health_incident(core, device);
	if (online->online != device->online)
		device->presence_s = core->now.utc_s;
	device->online = online->online;
	memcpy(device->nonce, online->nonce, sizeof device->nonce);
	store_status(core, device);
	core->presence_due = true;
	return OTA_OK;
}
