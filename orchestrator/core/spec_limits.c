#include "orchestrator/core/spec_limits.h"

#include "proto/base/own.h"

/* What is under way is at most 2 % of the fleet, a site lacks at most
 * fifth of its devices, and devices begin at the rate at which a person can still look.
 */
struct rollout_limits spec_limits_default(void)
{
	return (struct rollout_limits){
		.in_flight_permille = 20,
		.starts_per_minute = 50,
		.per_site_permille = 200,
		.site_label = "site",
		.group_label = "group",
	};
}

struct range {
	const char *key;
	uint64_t value, min, max;
};

enum ota_code spec_limits_check(struct spec_check *c, const struct rollout_limits *l)
{
	const struct range ranges[] = {
		{ "in_flight", l->in_flight, 0, SPEC_COUNT_MAX },
		{ "in_flight_permille", l->in_flight_permille, 1, OTA_PERMILLE_ALL },
		{ "rebooting", l->rebooting, 0, SPEC_COUNT_MAX },
		{ "starts_per_minute", l->starts_per_minute, 1, SPEC_COUNT_MAX },
		{ "per_site_permille", l->per_site_permille, 1, OTA_PERMILLE_ALL },
	};
	enum ota_code rc = OTA_OK;

	c->here.list = "limits";
	for (size_t i = 0; rc == OTA_OK && i < sizeof ranges / sizeof ranges[0]; i++)
		if (ranges[i].value < ranges[i].min || ranges[i].value > ranges[i].max)
			rc = spec_fail(c, OTA_E_CONFIG, ranges[i].key,
				"%llu is not in %llu .. %llu",
				(unsigned long long)ranges[i].value,
				(unsigned long long)ranges[i].min,
				(unsigned long long)ranges[i].max);
	if (rc == OTA_OK)
		rc = spec_name(c, "site_label", l->site_label);
	if (rc == OTA_OK)
		rc = spec_name(c, "group_label", l->group_label);
	return rc;
}

static bool add_u64(cJSON *object, const char *key, uint64_t value)
{
	return ota_json_add_u64(object, key, value) != NULL;
}

cJSON *spec_limits_to_json(const struct rollout_limits *l)
{
	OTA_AUTO(ota_json_fini) cJSON *object = cJSON_CreateObject();

	if (!add_u64(object, "in_flight", l->in_flight) ||
		!add_u64(object, "in_flight_permille", l->in_flight_permille) ||
		!add_u64(object, "rebooting", l->rebooting) ||
		!add_u64(object, "starts_per_minute", l->starts_per_minute) ||
		!add_u64(object, "per_site_permille", l->per_site_permille) ||
		!cJSON_AddStringToObject(object, "site_label", l->site_label) ||
		!cJSON_AddStringToObject(object, "group_label", l->group_label))
		return NULL;
	return ota_take(&object);
}

enum ota_code spec_limits_from_json(
	const cJSON *json, struct rollout_limits *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);
	struct rollout_limits read = *out;
	const struct {
		const char *key;
		uint64_t *value;
	} numbers[] = {
		{ "in_flight", &read.in_flight },
		{ "in_flight_permille", &read.in_flight_permille },
		{ "rebooting", &read.rebooting },
		{ "starts_per_minute", &read.starts_per_minute },
		{ "per_site_permille", &read.per_site_permille },
	};
	enum ota_code rc;

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (ota_json_has(&r, numbers[i].key))
			*numbers[i].value = ota_json_u64(&r, numbers[i].key);
	if (ota_json_has(&r, "site_label"))
		ota_json_name(&r, "site_label", read.site_label);
	if (ota_json_has(&r, "group_label"))
		ota_json_name(&r, "group_label", read.group_label);
	rc = ota_json_finish(&r);
	if (rc == OTA_OK)
		*out = read;
	return rc;
}
