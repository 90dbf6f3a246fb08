#include "orchestrator/core/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/claims.h"
#include "orchestrator/core/publish.h"
#include "orchestrator/core/quarantine.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/rollouts.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

/* ---- selecting */

static const char *fact_of(const struct device *device, const char *key)
{
	const struct ota_report *r = &device->report;

	if (!device->reported)
		return "";
	if (strcmp(key, "product") == 0)
		return r->product;
	if (strcmp(key, "hardware") == 0)
		return r->hardware;
	if (strcmp(key, "version") == 0)
		return r->version;
	return r->agent;
}

static bool meets_label(const struct device *device, const struct fleet_term *term)
{
	for (uint32_t i = 0; i < term->value_count; i++)
		if (device_has_label(device, term->key, term->values[i]))
			return true;
	return false;
}

static bool meets_fact(const struct device *device, const struct fleet_term *term)
{
	const char *fact = fact_of(device, term->key);

	for (uint32_t i = 0; i < term->value_count; i++)
		if (strcmp(fact, term->values[i]) == 0)
			return true;
	return false;
}

static bool selects(const struct fleet_cohort *cohort, const struct device *device)
{
	for (uint32_t i = 0; i < cohort->label_count; i++)
		if (!meets_label(device, &cohort->labels[i]))
			return false;
	for (uint32_t i = 0; i < cohort->fact_count; i++)
		if (!meets_fact(device, &cohort->facts[i]))
			return false;
	return true;
}

const char *fleet_select(const struct fleet_spec *fleet, const struct device *device)
{
	for (uint32_t i = 0; i < fleet->cohort_count; i++)
		if (selects(&fleet->cohorts[i], device))
			return fleet->cohorts[i].name;
	return "";
}

/* ---- placing */

static void touch_rollouts(struct core *core)
{
	for (size_t i = 0; i < core->rollout_count; i++)
		core->rollouts[i]->dirty = true;
	core->patches_due = true;
}

static const char *place_of(const struct core *core, const struct device *device)
{
	if (device_is_set_aside(device))
		return FLEET_QUARANTINE_COHORT;
	return fleet_select(&core->spec, device);
}

void fleet_place(struct core *core, struct device *device)
{
	const char *cohort = place_of(core, device);

	if (strcmp(cohort, device->cohort) == 0)
		return;
	memcpy(device->cohort, cohort, strlen(cohort) + 1);
	touch_rollouts(core);
	publish_assign(core, device);
}

/* ---- the fleet file */

static bool stays_whole(const struct rollout *rollout, const struct fleet_spec *fleet,
	const char **missing)
{
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		if (fleet_spec_find(fleet, rollout->spec.stages[i].cohort) == NULL) {
			*missing = rollout->spec.stages[i].cohort;
			return false;
		}
	return true;
}

/* A rollout that may still move keeps its cohorts. */
static enum ota_code check_rollouts(
	const struct core *core, const struct fleet_spec *fleet, struct ota_error *err)
{
	const char *missing = "";

	for (size_t i = 0; i < core->rollout_count; i++) {
		const struct rollout *rollout = core->rollouts[i];

		if (!rollout_is_settled(rollout) &&
			!stays_whole(rollout, fleet, &missing))
			return ota_fail(err, OTA_E_CONFLICT,
				"rollout %s is under way and needs cohort %s",
				rollout->spec.rollout, missing);
	}
	return OTA_OK;
}

/* A fleet file that may take the place of the one in force. */
static OTA_CHECKED enum ota_code read_fleet(const struct core *core, const cJSON *json,
	struct fleet_spec *out, struct ota_error *err)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	enum ota_code rc = fleet_spec_from_json(json, &fleet, err);

	if (rc == OTA_OK && strcmp(fleet.fleet, core->fleet) != 0)
		rc = ota_fail(err, OTA_E_FLEET, "the file is for %s, this is %s",
			fleet.fleet, core->fleet);
	if (rc == OTA_OK)
		rc = check_rollouts(core, &fleet, err);
	if (rc != OTA_OK)
		return rc;
	*out = fleet;
	fleet = (struct fleet_spec){ 0 };
	return OTA_OK;
}

static uint64_t would_select(
	const struct core *core, const struct fleet_spec *fleet, const char *cohort)
{
	uint64_t count = 0;

	for (size_t i = 0; i < core->device_count; i++)
		count += strcmp(fleet_select(fleet, core->devices[i]), cohort) == 0;
	return count;
}

enum ota_code fleet_preview(
	const struct core *core, const cJSON *json, cJSON **out, struct ota_error *err)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	cJSON *tree, *cohort;
	uint32_t i = 0;
	enum ota_code rc = read_fleet(core, json, &fleet, err);

	if (rc != OTA_OK)
		return rc;
	tree = fleet_spec_to_json(&fleet);
	if (tree == NULL)
		return ota_fail(err, OTA_E_NOMEM, "fleet");
	cJSON_ArrayForEach(cohort, cJSON_GetObjectItemCaseSensitive(tree, "cohorts"))
		tree_u64(cohort, "devices",
			would_select(core, &fleet, fleet.cohorts[i++].name));
	tree_u64(tree, "unassigned", would_select(core, &fleet, ""));
	*out = tree;
	return OTA_OK;
}

enum ota_code fleet_set(
	struct core *core, const char *who, const cJSON *json, struct ota_error *err)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	cJSON *detail;
	enum ota_code rc = read_fleet(core, json, &fleet, err);

	if (rc != OTA_OK)
		return rc;

	fleet_spec_fini(&core->spec);
	core->spec = fleet;
	fleet = (struct fleet_spec){ 0 };
	store_fleet(core);
	for (size_t i = 0; i < core->device_count; i++)
		fleet_place(core, core->devices[i]);
	core->orders_due = true;
	detail = tree_object();
	tree_u64(detail, "cohorts", core->spec.cohort_count);
	store_audit(core, who, "fleet.set", detail);
	return OTA_OK;
}

/* ---- registering */

struct registration {
	char id[OTA_NAME_CAP];
	struct ota_public_key key;
	struct labels labels;
};

void fleet_read_labels(struct ota_json_reader *r, struct labels *out)
{
	const cJSON *labels = NULL, *label;

	if (ota_json_has(r, "labels"))
		labels = ota_json_array(r, "labels", OTA_LABELS_MAX);
	cJSON_ArrayForEach(label, labels)
	{
		const char *text = cJSON_GetStringValue(label);
		struct ota_error why = { .text = "a label is not a string" };

		if (text == NULL || ota_label_check(text, &why) != OTA_OK) {
			ota_json_fail(r, OTA_E_NAME, "%s", why.text);
			return;
		}
		memcpy(out->at[out->count++], text, strlen(text) + 1);
	}
}

static enum ota_code read_registration(
	const cJSON *json, struct registration *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);

	ota_json_name(&r, "id", out->id);
	ota_json_hex(&r, "key", out->key.at, OTA_PK_LEN);
	fleet_read_labels(&r, &out->labels);
	return ota_json_finish(&r);
}

static bool same_labels(const struct device *device, const struct labels *labels)
{
	if (device->label_count != labels->count)
		return false;
	for (uint32_t i = 0; i < labels->count; i++)
		if (strcmp(device->labels[i], labels->at[i]) != 0)
			return false;
	return true;
}

void fleet_enrol(struct core *core, const char *who, const char *id,
	const struct ota_public_key *key, const struct labels *given)
{
	struct device *device = device_find(core, id);
	struct claim *claim = claim_find(core, id);
	cJSON *detail = tree_object(), *labels;
	const char *cohort;

	if (device == NULL)
		device = device_add(core, id);
	device_set_labels(core, device, given);
	device->key = *key;

	cohort = place_of(core, device);
	memcpy(device->cohort, cohort, strlen(cohort) + 1);
	touch_rollouts(core);
	publish_assign(core, device); /* labels are in it, so also in the same cohort */

	tree_text(detail, "id", device->id);
	labels = tree_add(detail, "labels", tree_array());
	for (uint32_t i = 0; i < device->label_count; i++)
		tree_push_text(labels, device->labels[i]);
	store_audit(core, who, "device.add", detail);
	if (claim != NULL)
		claim_hand_over(core, claim);
}

/* Another key than the one the id has. */
static enum ota_code refuse_key(struct core *core, const char *who,
	const struct registration *reg, struct ota_error *err)
{
	struct device *device = device_find(core, reg->id);
	struct claim *claim = claim_find(core, reg->id);
	struct key_clash clash = { .id = reg->id, .presented = &reg->key };
	enum ota_code rc;

	clash.held = device != NULL ? &device->key : &claim->key;
	clash.second = device != NULL ? &device->second : &claim->second;
	rc = claims_second_key(core, who, &clash, err);
	if (device != NULL)
		store_device(core, device);
	else
		store_claim(core, claim);
	return rc;
}

enum ota_code fleet_register(
	struct core *core, const char *who, const cJSON *json, struct ota_error *err)
{
	struct registration reg = { 0 };
	const struct device *device;
	const struct claim *claim;
	enum ota_code rc = read_registration(json, &reg, err);

	if (rc != OTA_OK)
		return rc;
	device = device_find(core, reg.id);
	claim = claim_find(core, reg.id);
	if ((device != NULL && !ota_public_key_equal(&device->key, &reg.key)) ||
		(claim != NULL && !ota_public_key_equal(&claim->key, &reg.key)))
		return refuse_key(core, who, &reg, err);
	if (device != NULL && same_labels(device, &reg.labels))
		return OTA_OK;
	fleet_enrol(core, who, reg.id, &reg.key, &reg.labels);
	return OTA_OK;
}
