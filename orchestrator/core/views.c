#include "orchestrator/core/views.h"

#include <string.h>

#include "orchestrator/core/claims.h"
#include "orchestrator/core/documents.h"
#include "orchestrator/core/expiry.h"
#include "orchestrator/core/quarantine.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/tree.h"

/* ---- bytes */

/* The same patch may stand under several sources: a full one does. */
static bool is_first(const struct core *core, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (core->patches[i]->state == PATCH_MADE &&
			ota_digest_equal(&core->patches[i]->made.patch,
				&core->patches[index]->made.patch))
			return false;
	return true;
}

static bool is_first_to(const struct core *core, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (core->patches[i]->state == PATCH_MADE &&
			ota_digest_equal(&core->patches[i]->made.to,
				&core->patches[index]->made.to))
			return false;
	return true;
}

struct views_bytes views_bytes_of(const struct core *core, const struct ota_digest *image)
{
	struct views_bytes bytes = { 0 };

	for (size_t i = 0; i < core->patch_count; i++) {
		const struct patch *patch = core->patches[i];

		if (patch->state != PATCH_MADE ||
			(image != NULL && !ota_digest_equal(&patch->made.to, image)))
			continue;
		if (is_first(core, i))
			bytes.published += patch->made.patch_len;
		if (is_first_to(core, i))
			bytes.full += patch->made.full_len;
	}
	return bytes;
}

cJSON *views_bytes_json(struct views_bytes bytes)
{
	cJSON *tree = tree_object();
	uint64_t saved = 0;

	if (bytes.published < bytes.full)
		saved = OTA_PERMILLE_ALL -
			bytes.published * OTA_PERMILLE_ALL / bytes.full;
	tree_u64(tree, "published", bytes.published);
	tree_u64(tree, "full", bytes.full);
	tree_u64(tree, "saved_permille", saved);
	return tree;
}

/* ---- devices */

static cJSON *attempt_view(const struct attempt *attempt)
{
	cJSON *tree = tree_object();

	tree_text(tree, "rollout", attempt->rollout->spec.rollout);
	tree_text(tree, "state", attempt_state_text(attempt->state));
	tree_text(tree, "class", failure_class_text(attempt->class));
	tree_u64(tree, "error", attempt->error);
	tree_text(tree, "error_name", ota_code_name(attempt->error));
	tree_text(tree, "error_text", attempt->error_text);
	tree_u64(tree, "at", attempt->step_s);
	tree_u64(tree, "tries", attempt->tries);
	tree_u64(tree, "retry_s", attempt->retry_s);
	return tree;
}

static const char *state_text(const struct device *device)
{
	return device->reported ? ota_update_state_text(device->report.state) : "unknown";
}

static void add_report(cJSON *tree, const struct device *device)
{
	const struct ota_report *r = &device->report;

	tree_u64(tree, "last_report_s", device->heard_s);
	tree_u64(tree, "boot", r->boot);
	tree_text(tree, "product", r->product);
	tree_text(tree, "hardware", r->hardware);
	tree_text(tree, "version", r->version);
	tree_digest(tree, "running", &r->running);
	tree_u64(tree, "running_counter", r->running_counter);
	tree_digest(tree, "other", &r->other);
	tree_u64(tree, "floor", r->floor);
	tree_text(tree, "state", state_text(device));
	tree_bool(tree, "confirmed", r->confirmed);
	tree_text(tree, "rollout", r->rollout);
	tree_u64(tree, "error", r->error);
	tree_text(tree, "error_name", ota_code_name(ota_code_of_number(r->error)));
	tree_text(tree, "error_text", r->error_text);
	tree_u64(tree, "wait", r->wait);
	tree_text(tree, "wait_name", ota_code_name(ota_code_of_number(r->wait)));
	tree_u64(tree, "chunks", r->chunks);
	tree_u64(tree, "chunks_total", r->chunks_total);
	tree_u64(tree, "bytes", r->bytes);
	tree_u64(tree, "refetched", r->refetched);
}

void views_refusal(cJSON *tree, const struct refusal *refused)
{
	cJSON *of;

	if (refused->code == OTA_OK)
		return;
	of = tree_add(tree, "refused", tree_object());
	tree_u64(of, "number", refused->code);
	tree_text(of, "name", ota_code_name(refused->code));
	tree_foreign(of, "text", refused->text);
	tree_u64(of, "at", refused->at_s);
}

static cJSON *quarantine_view(const struct device *device)
{
	cJSON *tree = tree_object();

	tree_u64(tree, "since_s", device->quarantine.since_s);
	tree_text(tree, "text", device->quarantine.text);
	return tree;
}

cJSON *views_device(const struct device *device, bool attempts)
{
	cJSON *tree = tree_object(), *list;
	char key[2 * OTA_PK_LEN + 1];

	ota_hex_encode((struct ota_bytes){ device->key.at, OTA_PK_LEN }, key);
	tree_text(tree, "id", device->id);
	tree_text(tree, "key", key);
	key_fingerprint(&device->key, key);
	tree_text(tree, "fingerprint", key);
	list = tree_add(tree, "labels", tree_array());
	for (uint32_t i = 0; i < device->label_count; i++)
		tree_push_text(list, device->labels[i]);
	tree_text(tree, "cohort", device->cohort);
	tree_bool(tree, "online", device->online);
	tree_bool(tree, "alarm", device_has_alarm(device));
	add_report(tree, device);
	views_refusal(tree, &device->refused);
	if (device_is_set_aside(device))
		(void)tree_add(tree, "quarantine", quarantine_view(device));
	claims_view_second(tree, &device->second);
	if (!attempts)
		return tree;
	list = tree_add(tree, "incidents", tree_array());
	for (uint32_t i = 0; i < device->health.count; i++)
		(void)tree_push(
			list, cJSON_CreateNumber((double)device->health.incidents[i]));
	list = tree_add(tree, "attempts", tree_array());
	for (const struct attempt *a = device->attempts; a != NULL; a = a->older)
		(void)tree_push(list, attempt_view(a));
	return tree;
}

cJSON *views_devices(
	const struct core *core, const char *cohort, const char *after, uint32_t limit)
{
	cJSON *tree = tree_object();
	cJSON *list = tree_add(tree, "devices", tree_array());
	const char *last = "";
	uint32_t count = 0;
	size_t i = device_index_after(core, after);

	for (; i < core->device_count && count < limit; i++) {
		const struct device *device = core->devices[i];

		last = device->id;
		if (cohort != NULL && strcmp(device->cohort, cohort) != 0)
			continue;
		(void)tree_push(list, views_device(device, false));
		count++;
	}
	tree_text(tree, "next", i < core->device_count ? last : "");
	return tree;
}

/* ---- fleet */

static uint32_t members_of(const struct core *core, const char *cohort)
{
	uint32_t count = 0;

	for (size_t i = 0; i < core->device_count; i++)
		count += strcmp(core->devices[i]->cohort, cohort) == 0;
	return count;
}

cJSON *views_fleet(const struct core *core)
{
	cJSON *tree = fleet_spec_to_json(&core->spec);
	cJSON *cohort;
	uint32_t i = 0;

	if (tree == NULL)
		core_out_of_memory();
	cJSON_ArrayForEach(cohort, cJSON_GetObjectItemCaseSensitive(tree, "cohorts"))
		tree_u64(cohort, "devices",
			members_of(core, core->spec.cohorts[i++].name));
	tree_u64(tree, "unassigned", members_of(core, ""));
	return tree;
}

/* ---- releases */

cJSON *views_release(const struct core *core, const struct release *release)
{
	const struct ota_release *doc = &release->doc;
	const struct grant *grant = grant_find(core, &release->digest);
	cJSON *tree = tree_object(), *list;

	tree_digest(tree, "digest", &release->digest);
	tree_text(tree, "product", doc->product);
	tree_text(tree, "version", doc->version);
	tree_u64(tree, "counter", doc->counter);
	tree_u64(tree, "floor", doc->floor);
	list = tree_add(tree, "hardware", tree_array());
	for (uint32_t i = 0; i < doc->hardware_count; i++)
		tree_push_text(list, doc->hardware[i]);
	tree_digest(tree, "image", &doc->image);
	tree_u64(tree, "image_len", doc->image_len);
	tree_text(
		tree, "class", doc->class == OTA_CLASS_SECURITY ? "security" : "feature");
	tree_text(tree, "notes", doc->notes);
	tree_bool(tree, "allowed",
		documents_allow(core, release, core->now.utc_s, NULL) == OTA_OK);
	tree_bool(tree, "image_here", image_find(core, &doc->image) != NULL);
	tree_u64(tree, "granted_permille", grant != NULL ? grant->doc.max_permille : 0);
	return tree;
}

cJSON *views_releases(const struct core *core)
{
	cJSON *tree = tree_object();
	cJSON *list = tree_add(tree, "releases", tree_array());

	for (size_t i = 0; i < core->release_count; i++)
		(void)tree_push(list, views_release(core, core->releases[i]));
	return tree;
}

/* ---- status */

static cJSON *alarm_view(const struct device *device)
{
	cJSON *tree = tree_object();

	tree_text(tree, "device", device->id);
	tree_u64(tree, "error", device->report.error);
	tree_text(tree, "error_name",
		ota_code_name(ota_code_of_number(device->report.error)));
	tree_text(tree, "error_text", device->report.error_text);
	return tree;
}

static cJSON *devices_view(const struct core *core)
{
	cJSON *tree = tree_object(), *by_state = tree_object();
	uint64_t online = 0, unknown = 0, in_state[OTA_N_UPDATE_STATES] = { 0 };

	for (size_t i = 0; i < core->device_count; i++) {
		const struct device *device = core->devices[i];

		online += device->online;
		if (device->reported)
			in_state[device->report.state]++;
		else
			unknown++;
	}
	for (unsigned s = 0; s < OTA_N_UPDATE_STATES; s++)
		if (in_state[s] > 0)
			tree_u64(by_state,
				ota_update_state_text((enum ota_update_state)s),
				in_state[s]);
	if (unknown > 0)
		tree_u64(by_state, "unknown", unknown);
	tree_u64(tree, "total", core->device_count);
	tree_u64(tree, "online", online);
	tree_u64(tree, "pending", core->claim_count);
	(void)tree_add(tree, "by_state", by_state);
	return tree;
}

cJSON *views_rollouts(const struct core *core)
{
	cJSON *list = tree_array();

	for (size_t i = core->rollout_count; i-- > 0;)
		(void)tree_push(list, views_rollout(core, core->rollouts[i], false));
	return list;
}

static cJSON *quarantine_alarm(const struct device *device)
{
	cJSON *tree = tree_object();

	tree_text(tree, "device", device->id);
	tree_u64(tree, "error", OTA_E_QUARANTINE);
	tree_text(tree, "error_name", ota_code_name(OTA_E_QUARANTINE));
	tree_text(tree, "error_text", device->quarantine.text);
	return tree;
}

cJSON *views_status(const struct core *core)
{
	cJSON *tree = tree_object(), *alarms;

	tree_text(tree, "fleet", core->fleet);
	tree_u64(tree, "now", core->now.utc_s);
	(void)tree_add(tree, "devices", devices_view(core));
	(void)tree_add(tree, "rollouts", views_rollouts(core));
	(void)tree_add(tree, "bytes", views_bytes_json(views_bytes_of(core, NULL)));
	(void)tree_add(tree, "expiring", expiry_view(core));
	alarms = tree_add(tree, "alarms", tree_array());
	for (size_t i = 0; i < core->device_count; i++)
		if (device_has_alarm(core->devices[i]))
			(void)tree_push(alarms, alarm_view(core->devices[i]));
	for (size_t i = 0; i < core->device_count; i++)
		if (device_is_set_aside(core->devices[i]))
			(void)tree_push(alarms, quarantine_alarm(core->devices[i]));
	claims_add_alarms(core, alarms);
	return tree;
}
