#include "orchestrator/core/quarantine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/core/fleet.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"

enum { HOUR_S = 3600 };

bool device_is_set_aside(const struct device *device)
{
	return device->quarantine.since_s != 0;
}

static void set_aside(struct core *core, struct device *device, const char *why)
{
	struct quarantine *q = &device->quarantine;
	cJSON *detail = tree_object();

	q->since_s = core->now.utc_s;
	(void)snprintf(q->text, sizeof q->text, "%s", why);
	tree_text(detail, "device", device->id);
	tree_text(detail, "text", q->text);
	store_audit(core, "core", "device.quarantine", detail);
	fleet_place(core, device);
}

/* ---- failures */

static uint64_t failures_since(const struct quarantine *q, uint64_t from_s)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < q->failure_count; i++)
		count += q->failures[i] >= from_s;
	return count;
}

static void remember_failure(struct quarantine *q, uint64_t at_s)
{
	if (q->failure_count == QUARANTINE_FAILURES_MAX) {
		memmove(q->failures, q->failures + 1,
			(QUARANTINE_FAILURES_MAX - 1) * sizeof *q->failures);
		q->failure_count--;
	}
	q->failures[q->failure_count++] = at_s;
}

void quarantine_failure(struct core *core, struct device *device)
{
	const struct fleet_quarantine *limits = &core->spec.quarantine;
	struct quarantine *q = &device->quarantine;
	uint64_t now_s = core->now.utc_s, count;
	char why[QUARANTINE_TEXT_CAP];

	remember_failure(q, now_s);
	count = failures_since(
		q, now_s > limits->within_s ? now_s - limits->within_s : 0);
	(void)snprintf(why, sizeof why, "%" PRIu64 " updates failed in %" PRIu64 " h",
		count, limits->within_s / HOUR_S);
	if (limits->failures > 0 && count >= limits->failures &&
		!device_is_set_aside(device))
		set_aside(core, device, why);
	else
		store_device(core, device);
}

/* ---- boots */

void quarantine_boots(struct core *core, struct device *device, uint64_t before)
{
	const struct fleet_quarantine *limits = &core->spec.quarantine;
	struct quarantine *q = &device->quarantine;
	uint64_t now_s = core->now.utc_s, boot = device->report.boot;
	char why[QUARANTINE_TEXT_CAP];

	if (boot <= before)
		return;
	if (q->boots_from_s == 0 || now_s >= q->boots_from_s + HOUR_S) {
		q->boots_from_s = now_s;
		q->boots_from = before;
	}
	(void)snprintf(
		why, sizeof why, "%" PRIu64 " boots in an hour", boot - q->boots_from);
	if (limits->boots > 0 && boot - q->boots_from >= limits->boots &&
		!device_is_set_aside(device))
		set_aside(core, device, why);
	else
		store_device(core, device);
}

/* ---- people */

enum ota_code quarantine_release(
	struct core *core, const char *who, const char *id, struct ota_error *err)
{
	struct device *device = device_find(core, id);
	cJSON *detail;

	if (device == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "there is no device %s", id);
	if (!device_is_set_aside(device))
		return ota_fail(err, OTA_E_STATE, "device %s is not set aside", id);
	device->quarantine = (struct quarantine){ 0 };
	detail = tree_object();
	tree_text(detail, "device", id);
	store_audit(core, who, "device.release", detail);
	fleet_place(core, device);
	return OTA_OK;
}
