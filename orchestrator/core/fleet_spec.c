#include "orchestrator/core/spec_check.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

const char *const fleet_fact_keys[] = { "product", "hardware", "version", "agent" };
const uint32_t n_fleet_fact_keys = sizeof fleet_fact_keys / sizeof fleet_fact_keys[0];

struct fleet_quarantine fleet_quarantine_default(void)
{
	return (struct fleet_quarantine){
		.failures = 3, .within_s = 604800, .boots = 12
	};
}

void fleet_spec_fini(struct fleet_spec *fleet)
{
	free(fleet->cohorts);
	*fleet = (struct fleet_spec){ 0 };
}

const struct fleet_cohort *fleet_spec_find(
	const struct fleet_spec *fleet, const char *cohort)
{
	for (uint32_t i = 0; i < fleet->cohort_count; i++)
		if (strcmp(fleet->cohorts[i].name, cohort) == 0)
			return &fleet->cohorts[i];
	return NULL;
}

/* ---- checks */

static bool is_fact(const char *key)
{
	for (uint32_t i = 0; i < n_fleet_fact_keys; i++)
		if (strcmp(fleet_fact_keys[i], key) == 0)
			return true;
	return false;
}

static enum ota_code check_fact(struct spec_check *c, const char *key)
{
	const char *near;

	if (is_fact(key))
		return OTA_OK;
	near = ota_nearest(key, fleet_fact_keys, n_fleet_fact_keys);
	if (near != NULL)
		return spec_fail(c, OTA_E_CONFIG, "facts",
			"no fact '%s', did you mean '%s'?", key, near);
	return spec_fail(c, OTA_E_CONFIG, "facts",
		"no fact '%s'; there are product, hardware, version and agent", key);
}

static enum ota_code check_term(
	struct spec_check *c, const char *member, const struct fleet_term *term)
{
	enum ota_code rc = spec_name(c, member, term->key);

	if (rc == OTA_OK &&
		(term->value_count == 0 || term->value_count > SPEC_VALUES_MAX))
		rc = spec_fail(c, OTA_E_CONFIG, member, "'%s' wants 1 to %d values",
			term->key, SPEC_VALUES_MAX);
	for (uint32_t i = 0; rc == OTA_OK && i < term->value_count; i++)
		rc = spec_name(c, member, term->values[i]);
	return rc;
}

static enum ota_code check_cohort(struct spec_check *c, const struct fleet_cohort *cohort)
{
	enum ota_code rc = spec_name(c, "name", cohort->name);

	if (rc == OTA_OK && strcmp(cohort->name, FLEET_QUARANTINE_COHORT) == 0)
		rc = spec_fail(c, OTA_E_CONFIG, "name",
			"'%s' is the cohort of devices that are set aside", cohort->name);
	if (rc == OTA_OK && (cohort->label_count > SPEC_TERMS_MAX ||
				    cohort->fact_count > SPEC_TERMS_MAX))
		rc = spec_fail(
			c, OTA_E_CONFIG, "", "over %d labels or facts", SPEC_TERMS_MAX);
	for (uint32_t i = 0; rc == OTA_OK && i < cohort->label_count; i++)
		rc = check_term(c, "labels", &cohort->labels[i]);
	for (uint32_t i = 0; rc == OTA_OK && i < cohort->fact_count; i++) {
		rc = check_fact(c, cohort->facts[i].key);
		if (rc == OTA_OK)
			rc = check_term(c, "facts", &cohort->facts[i]);
	}
	return rc;
}

static enum ota_code check_quarantine(
	struct spec_check *c, const struct fleet_quarantine *q)
{
	c->here.list = "quarantine";
	if (q->failures > SPEC_STRIKES_MAX)
		return spec_fail(c, OTA_E_CONFIG, "failures", "is not in 0 .. %d",
			SPEC_STRIKES_MAX);
	if (q->boots > SPEC_BOOTS_MAX)
		return spec_fail(
			c, OTA_E_CONFIG, "boots", "is not in 0 .. %d", SPEC_BOOTS_MAX);
	if (q->within_s > SPEC_DURATION_MAX_S)
		return spec_fail(c, OTA_E_CONFIG, "within_s", "over 90 days");
	return OTA_OK;
}

enum ota_code fleet_spec_check(
	const struct fleet_spec *fleet, struct spec_place *place, struct ota_error *err)
{
	struct spec_check c = { .here = { .list = "" }, .place = place, .err = err };
	enum ota_code rc = spec_name(&c, "fleet", fleet->fleet);

	if (rc == OTA_OK && fleet->cohort_count > OTA_COHORTS_MAX)
		rc = spec_fail(
			&c, OTA_E_CONFIG, "cohorts", "over %d cohorts", OTA_COHORTS_MAX);
	c.here.list = "cohorts";
	for (uint32_t i = 0; rc == OTA_OK && i < fleet->cohort_count; i++) {
		const struct fleet_cohort *cohort = &fleet->cohorts[i];

		c.here.index = i;
		rc = check_cohort(&c, cohort);
		if (rc == OTA_OK && fleet_spec_find(fleet, cohort->name) != cohort)
			rc = spec_fail(&c, OTA_E_CONFIG, "name", "a second cohort '%s'",
				cohort->name);
	}
	return rc == OTA_OK ? check_quarantine(&c, &fleet->quarantine) : rc;
}

/* ---- JSON */

static cJSON *terms_to_json(const struct fleet_term *terms, uint32_t count)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();

	for (uint32_t i = 0; i < count; i++) {
		cJSON *values = cJSON_AddArrayToObject(object, terms[i].key);

		for (uint32_t j = 0; j < terms[i].value_count; j++)
			if (!cJSON_AddItemToArray(
				    values, cJSON_CreateString(terms[i].values[j])))
				return NULL;
	}
	return ota_take(&object);
}

static cJSON *cohort_to_json(const struct fleet_cohort *cohort)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();

	if (cJSON_AddStringToObject(object, "name", cohort->name) == NULL ||
		!cJSON_AddItemToObject(object, "labels",
			terms_to_json(cohort->labels, cohort->label_count)) ||
		!cJSON_AddItemToObject(object, "facts",
			terms_to_json(cohort->facts, cohort->fact_count)))
		return NULL;
	return ota_take(&object);
}

static bool add_quarantine(cJSON *object, const struct fleet_quarantine *q)
{
	cJSON *inner = cJSON_AddObjectToObject(object, "quarantine");

	return ota_json_add_u64(inner, "failures", q->failures) != NULL &&
	       ota_json_add_u64(inner, "within_s", q->within_s) != NULL &&
	       ota_json_add_u64(inner, "boots", q->boots) != NULL;
}

cJSON *fleet_spec_to_json(const struct fleet_spec *fleet)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();
	cJSON *cohorts;

	if (cJSON_AddStringToObject(object, "fleet", fleet->fleet) == NULL)
		return NULL;
	cohorts = cJSON_AddArrayToObject(object, "cohorts");
	for (uint32_t i = 0; i < fleet->cohort_count; i++)
		if (!cJSON_AddItemToArray(cohorts, cohort_to_json(&fleet->cohorts[i])))
			return NULL;
	if (cohorts == NULL || !add_quarantine(object, &fleet->quarantine))
		return NULL;
	return ota_take(&object);
}

static void read_values(
	struct ota_json_reader *r, const cJSON *values, struct fleet_term *term)
{
	const cJSON *value;

	if (!cJSON_IsArray(values) || cJSON_GetArraySize(values) > SPEC_VALUES_MAX) {
		ota_json_fail(r, OTA_E_FORMAT, "'%s' wants an array of at most %d names",
			term->key, SPEC_VALUES_MAX);
		return;
	}
	cJSON_ArrayForEach(value, values)
	{
		const char *text = cJSON_GetStringValue(value);
		struct ota_error why = { 0 };

		if (ota_name_copy(text != NULL ? text : "", term->key,
			    term->values[term->value_count], &why) != OTA_OK)
			ota_json_fail(r, OTA_E_NAME, "%s", why.text);
		term->value_count++;
	}
}

/* An object of arrays: {"ring": ["lab", "bench"]}. Missing: none. */
static uint32_t read_terms(
	struct ota_json_reader *r, const char *key, struct fleet_term *terms)
{
	const cJSON *object, *values;
	uint32_t count = 0;

	if (!ota_json_has(r, key))
		return 0;
	object = ota_json_object(r, key);
	cJSON_ArrayForEach(values, object)
	{
		struct ota_error why = { 0 };

		if (count == SPEC_TERMS_MAX) {
			ota_json_fail(r, OTA_E_LIMIT, "%s: over %d", key, SPEC_TERMS_MAX);
			return count;
		}
		if (ota_name_copy(values->string, "key", terms[count].key, &why) !=
			OTA_OK)
			ota_json_fail(r, OTA_E_NAME, "%s: %s", key, why.text);
		read_values(r, values, &terms[count++]);
	}
	return count;
}

static enum ota_code read_cohort(
	const cJSON *json, struct fleet_cohort *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);

	ota_json_name(&r, "name", out->name);
	out->label_count = read_terms(&r, "labels", out->labels);
	out->fact_count = read_terms(&r, "facts", out->facts);
	return ota_json_finish(&r);
}

static enum ota_code read_cohorts(
	const cJSON *array, struct fleet_spec *out, struct ota_error *err)
{
	uint32_t count = array != NULL ? (uint32_t)cJSON_GetArraySize(array) : 0;
	const cJSON *entry;

	out->cohorts = calloc(count + 1, sizeof *out->cohorts);
	if (out->cohorts == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%u cohorts", count);
	cJSON_ArrayForEach(entry, array)
	{
		uint32_t i = out->cohort_count++;
		enum ota_code rc = read_cohort(entry, &out->cohorts[i], err);

		if (rc != OTA_OK)
			return ota_wrap(err, rc, "cohorts[%u]", i);
	}
	return OTA_OK;
}

static enum ota_code read_quarantine(
	const cJSON *json, struct fleet_quarantine *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);

	if (ota_json_has(&r, "failures"))
		out->failures = ota_json_u64(&r, "failures");
	if (ota_json_has(&r, "within_s"))
		out->within_s = ota_json_u64(&r, "within_s");
	if (ota_json_has(&r, "boots"))
		out->boots = ota_json_u64(&r, "boots");
	return ota_json_finish(&r);
}

enum ota_code fleet_spec_from_json(
	const cJSON *json, struct fleet_spec *out, struct ota_error *err)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	struct ota_json_reader r = ota_json_read(json, err);
	const cJSON *cohorts;
	enum ota_code rc;

	ota_json_name(&r, "fleet", fleet.fleet);
	cohorts = ota_json_array(&r, "cohorts", OTA_COHORTS_MAX);
	fleet.quarantine = fleet_quarantine_default();
	rc = ota_json_has(&r, "quarantine")
		     ? read_quarantine(
			       ota_json_object(&r, "quarantine"), &fleet.quarantine, err)
		     : OTA_OK;
	if (rc == OTA_OK)
		rc = ota_json_finish(&r);
	if (rc == OTA_OK)
		rc = read_cohorts(cohorts, &fleet, err);
	if (rc == OTA_OK)
		rc = fleet_spec_check(&fleet, NULL, err);
	if (rc != OTA_OK)
		return rc;

	*out = fleet;
	fleet = (struct fleet_spec){ 0 };
	return OTA_OK;
}
