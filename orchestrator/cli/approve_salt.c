#include "orchestrator/cli/approve_salt.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/tree.h"
#include "orchestrator/core/spread.h"
#include "proto/base/own.h"

/* The value of a label; "" if there is none. */
static const char *label_of(const cJSON *device, const char *key)
{
	const cJSON *label;
	size_t len = strlen(key);

	cJSON_ArrayForEach(label, tree_item(device, "labels"))
	{
		const char *text = cJSON_GetStringValue(label);

		if (text != NULL && strncmp(text, key, len) == 0 && text[len] == '=')
			return text + len + 1;
	}
	return "";
}

static OTA_CHECKED enum ota_code choose(const struct rollout_spec *spec, const cJSON *all,
	uint8_t salt[static OTA_SALT_LEN], struct ota_error *err)
{
	size_t count = 0, room = (size_t)cJSON_GetArraySize(all);
	ota_autofree struct spread_device *devices = calloc(room + 1, sizeof *devices);
	const cJSON *one;

	if (devices == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%zu devices", room);
	cJSON_ArrayForEach(one, all)
	{
		devices[count++] = (struct spread_device){
			.id = tree_text(one, "id"),
			.cohort = tree_text(one, "cohort"),
			.site = label_of(one, spec->limits.site_label),
			.group = label_of(one, spec->limits.group_label),
			.hardware = tree_text(one, "hardware"),
		};
	}
	spread_salt(spec, devices, count, salt);
	return OTA_OK;
}

enum ota_code approve_salt(const struct context *context, const cJSON *json,
	uint8_t salt[static OTA_SALT_LEN], struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *all = cJSON_CreateArray();
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);
	enum ota_code rc;

	if (spec == NULL || all == NULL)
		return ota_fail(err, OTA_E_NOMEM, "rollout");
	rc = rollout_spec_from_json(json, spec, err);
	if (rc == OTA_OK)
		rc = client_devices(context, "", all, err);
	return rc == OTA_OK ? choose(spec, all, salt, err) : rc;
}
