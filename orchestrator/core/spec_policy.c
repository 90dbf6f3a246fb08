#include "orchestrator/core/spec_policy.h"

#include <string.h>

void spec_policy_init(struct rollout_spec *spec)
{
	spec->retry = (struct rollout_retry){
		.soft_backoff_s = 3600,
		.excused = 5,
		.excused_backoff_s = 900,
		.factor = 2,
	};
	spec->offline = (struct rollout_offline){ 0 };
	spec->precedence = (struct rollout_precedence){ 0 };
}

/* ---- checks */

struct range {
	const char *list, *key;
	uint64_t value, min, max;
};

static enum ota_code check_ranges(struct spec_check *c, const struct rollout_spec *s)
{
	const struct range ranges[] = {
		{ "retry", "soft", s->retry.soft, 0, SPEC_RETRIES_MAX },
		{ "retry", "soft_backoff_s", s->retry.soft_backoff_s, 1,
			SPEC_DURATION_MAX_S },
		{ "retry", "excused", s->retry.excused, 0, SPEC_RETRIES_MAX },
		{ "retry", "excused_backoff_s", s->retry.excused_backoff_s, 1,
			SPEC_DURATION_MAX_S },
		{ "retry", "factor", s->retry.factor, 1, SPEC_FACTOR_MAX },
		{ "offline", "after_s", s->offline.after_s, 0, SPEC_DURATION_MAX_S },
		{ "", "priority", s->precedence.priority, 0, SPEC_PRIORITY_MAX },
	};

	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
		const struct range *range = &ranges[i];

		c->here.list = range->list;
		if (range->value < range->min || range->value > range->max)
			return spec_fail(c, OTA_E_CONFIG, range->key,
				"%llu is not in %llu .. %llu",
				(unsigned long long)range->value,
				(unsigned long long)range->min,
				(unsigned long long)range->max);
	}
	return OTA_OK;
}

static enum ota_code check_supersedes(
	struct spec_check *c, const struct rollout_spec *spec)
{
	const struct rollout_precedence *p = &spec->precedence;
	enum ota_code rc = OTA_OK;

	c->here.list = "";
	for (uint32_t i = 0; rc == OTA_OK && i < p->count; i++) {
		rc = spec_name(c, "supersedes", p->supersedes[i]);
		if (rc == OTA_OK && strcmp(p->supersedes[i], spec->rollout) == 0)
			rc = spec_fail(c, OTA_E_CONFIG, "supersedes",
				"a rollout cannot take over from itself");
	}
	return rc;
}

enum ota_code spec_policy_check(struct spec_check *c, const struct rollout_spec *spec)
{
	enum ota_code rc = check_ranges(c, spec);

	return rc == OTA_OK ? check_supersedes(c, spec) : rc;
}

/* ---- JSON */

static bool add_u64(cJSON *object, const char *key, uint64_t value)
{
	return ota_json_add_u64(object, key, value) != NULL;
}

static bool add_supersedes(cJSON *object, const struct rollout_precedence *p)
{
	cJSON *list = cJSON_AddArrayToObject(object, "supersedes");

	for (uint32_t i = 0; i < p->count; i++)
		if (!cJSON_AddItemToArray(list, cJSON_CreateString(p->supersedes[i])))
			return false;
	return list != NULL;
}

bool spec_policy_add(cJSON *object, const struct rollout_spec *spec)
{
	const struct rollout_retry *r = &spec->retry;
	cJSON *retry = cJSON_AddObjectToObject(object, "retry");
	cJSON *offline = cJSON_AddObjectToObject(object, "offline");

	return add_u64(retry, "soft", r->soft) &&
	       add_u64(retry, "soft_backoff_s", r->soft_backoff_s) &&
	       add_u64(retry, "excused", r->excused) &&
	       add_u64(retry, "excused_backoff_s", r->excused_backoff_s) &&
	       add_u64(retry, "factor", r->factor) &&
	       cJSON_AddBoolToObject(offline, "wait", spec->offline.wait) != NULL &&
	       add_u64(offline, "after_s", spec->offline.after_s) &&
	       add_u64(object, "priority", spec->precedence.priority) &&
	       add_supersedes(object, &spec->precedence);
}

static void maybe_u64(struct ota_json_reader *r, const char *key, uint64_t *out)
{
	if (ota_json_has(r, key))
		*out = ota_json_u64(r, key);
}

static enum ota_code read_retry(
	const cJSON *json, struct rollout_retry *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);

	maybe_u64(&r, "soft", &out->soft);
	maybe_u64(&r, "soft_backoff_s", &out->soft_backoff_s);
	maybe_u64(&r, "excused", &out->excused);
	maybe_u64(&r, "excused_backoff_s", &out->excused_backoff_s);
	maybe_u64(&r, "factor", &out->factor);
	return ota_json_finish(&r);
}

static enum ota_code read_offline(
	const cJSON *json, struct rollout_offline *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);

	if (ota_json_has(&r, "wait"))
		out->wait = ota_json_bool(&r, "wait");
	maybe_u64(&r, "after_s", &out->after_s);
	return ota_json_finish(&r);
}

static void read_supersedes(struct ota_json_reader *r, struct rollout_precedence *out)
{
	const cJSON *list = ota_json_array(r, "supersedes", SPEC_SUPERSEDES_MAX);
	const cJSON *entry;

	cJSON_ArrayForEach(entry, list)
	{
		const char *text = cJSON_GetStringValue(entry);
		struct ota_error why = { 0 };

		if (ota_name_copy(text != NULL ? text : "", "rollout",
			    out->supersedes[out->count++], &why) != OTA_OK)
			ota_json_fail(r, OTA_E_NAME, "%s", why.text);
	}
}

enum ota_code spec_policy_read(
	struct ota_json_reader *r, struct rollout_spec *out, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (ota_json_has(r, "retry"))
		rc = read_retry(ota_json_object(r, "retry"), &out->retry, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "retry");
	if (ota_json_has(r, "offline"))
		rc = read_offline(ota_json_object(r, "offline"), &out->offline, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "offline");
	maybe_u64(r, "priority", &out->precedence.priority);
	if (ota_json_has(r, "supersedes"))
		read_supersedes(r, &out->precedence);
	return r->rc;
}
