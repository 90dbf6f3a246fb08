/* Object ids that are found at the broker, prefixes of the configuration, and documents
 * with any text in them. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/home_assistant.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct home_assistant_place place = { "demo", "homeassistant",
	"sluice-ha/demo" };

/* What names a device is what that device is called, and nothing of a topic. */
static void try_object(const char *text)
{
	char device[OTA_NAME_CAP], again[HOME_ASSISTANT_OBJECT_CAP];

	if (!home_assistant_device_of(place.fleet, text, device))
		return;
	home_assistant_object(place.fleet, device, again);
	if (!ota_name_is_valid(device) || strcmp(again, text) != 0 ||
		strpbrk(again, "/+#."))
		abort();
}

static void try_prefix(const char *text)
{
	if (home_assistant_prefix_ok(text) &&
		(strpbrk(text, "+#$ ") || strstr(text, "//") || !text[0]))
		abort();
}

/* It is JSON again, without another member. */
static void try_text(const char *text)
{
	struct home_assistant_device device = { .id = "gw-1" };
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	size_t len = strnlen(text, sizeof(device.notes) - 1);

	memcpy(device.notes, text, len);
	memcpy(device.product, text, strnlen(text, sizeof(device.product) - 1));
	if (home_assistant_document(&place, &device, HOME_ASSISTANT_STATE, &out, NULL) !=
		OTA_OK)
		abort();
	tree = cJSON_ParseWithLength((const char *)out.at, out.len);
	text = cJSON_GetStringValue(
		cJSON_GetObjectItemCaseSensitive(tree, "release_summary"));
	if (cJSON_GetArraySize(tree) != 6 || !text ||
		strlen(text) > HOME_ASSISTANT_TEXT_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ota_autofree char *text = strndup((const char *)data, size);

	if (!text)
		abort();
	try_object(text);
	try_prefix(text);
	try_text(text);
	return 0;
}
