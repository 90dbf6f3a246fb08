#include "orchestrator/core/home_assistant.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/core/documents.h"
#include "orchestrator/core/registry.h"
#include "proto/base/own.h"

enum { LEVELS_MAX = 8, PERCENT = 100 };

static const char letters[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
static const char head[] = "sluice__";
static const char between[] = "__";

/* ---- names */

bool home_assistant_prefix_ok(const char *prefix)
{
	unsigned levels = 0;

	if (strlen(prefix) >= HOME_ASSISTANT_PREFIX_CAP)
		return false;
	for (;;) {
		size_t len = strspn(prefix, letters);

		if (len == 0 || ++levels > LEVELS_MAX)
			return false;
		prefix += len;
		if (!*prefix)
			return true;
		if (*prefix++ != '/')
			return false;
	}
}

static char *add(char *out, const char *text)
{
	size_t len = strlen(text);

	memcpy(out, text, len);
	return out + len;
}

/* '_' begins an escape, so that two of them stand between names alone. */
static char *add_name(char *out, const char *name)
{
	for (; *name; name++) {
		if (*name == '_' || *name == '.')
			*out++ = '_';
		*out++ = *name == '_' ? 'u' : *name == '.' ? 'd' : *name;
	}
	return out;
}

void home_assistant_object(
	const char *fleet, const char *device, char out[static HOME_ASSISTANT_OBJECT_CAP])
{
	char *at = add(out, head);

	at = add_name(at, fleet);
	at = add(at, between);
	at = add_name(at, device);
	*at = '\0';
}

bool home_assistant_device_of(
	const char *fleet, const char *object, char out[static OTA_NAME_CAP])
{
	char again[HOME_ASSISTANT_OBJECT_CAP], device[OTA_NAME_CAP] = "";
	size_t skip, len = 0;

	home_assistant_object(fleet, "", again);
	skip = strlen(again);
	if (strncmp(object, again, skip) != 0)
		return false;
	for (const char *at = object + skip; *at; at++) {
		if (len == sizeof(device) - 1)
			return false;
		if (*at == '_')
			device[len++] = *++at == 'u' ? '_' : '.';
		else
			device[len++] = *at;
		if (!*at)
			return false;
	}
	if (!ota_name_is_valid(device))
		return false;
	home_assistant_object(fleet, device, again);
	if (strcmp(again, object) != 0)
		return false;
	memcpy(out, device, sizeof(device));
	return true;
}

void home_assistant_topic(const struct home_assistant_place *place, const char *device,
	enum home_assistant_topic topic, char out[static HOME_ASSISTANT_TOPIC_CAP])
{
	char object[HOME_ASSISTANT_OBJECT_CAP];

	home_assistant_object(place->fleet, device, object);
	if (topic == HOME_ASSISTANT_CONFIG)
		(void)snprintf(out, HOME_ASSISTANT_TOPIC_CAP, "%s/update/%s/config",
			place->discovery_prefix, object);
	else
		(void)snprintf(out, HOME_ASSISTANT_TOPIC_CAP, "%s/%s/state",
			place->topic_prefix, object);
}

void home_assistant_availability(const struct home_assistant_place *place,
	char out[static HOME_ASSISTANT_TOPIC_CAP])
{
	(void)snprintf(
		out, HOME_ASSISTANT_TOPIC_CAP, "%s/availability", place->topic_prefix);
}

/* ---- documents */

/* As much of a text as is taken, without half a character at its end. */
static bool add_text(cJSON *tree, const char *name, const char *text)
{
	char cut[HOME_ASSISTANT_TEXT_MAX + 1];
	size_t len = strlen(text);

	if (len > HOME_ASSISTANT_TEXT_MAX) {
		len = HOME_ASSISTANT_TEXT_MAX;
		while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
			len--;
	}
	memcpy(cut, text, len);
	cut[len] = '\0';
	return cJSON_AddStringToObject(tree, name, cut) != NULL;
}

static bool add_device(
	cJSON *tree, const struct home_assistant_device *device, const char *object)
{
	cJSON *of = cJSON_AddObjectToObject(tree, "device");
	cJSON *ids = of ? cJSON_AddArrayToObject(of, "identifiers") : NULL;

	return ids && cJSON_AddItemToArray(ids, cJSON_CreateString(object)) &&
	       add_text(of, "name", device->id) &&
	       add_text(of, "manufacturer", "Sluice") &&
	       add_text(of, "model", device->product) &&
	       add_text(of, "hw_version", device->hardware) &&
	       add_text(of, "sw_version", device->installed);
}

static bool fill_config(cJSON *tree, const struct home_assistant_place *place,
	const struct home_assistant_device *device)
{
	char object[HOME_ASSISTANT_OBJECT_CAP], topic[HOME_ASSISTANT_TOPIC_CAP];
	cJSON *origin;

	home_assistant_object(place->fleet, device->id, object);
	home_assistant_topic(place, device->id, HOME_ASSISTANT_STATE, topic);
	if (!add_text(tree, "name", "System image") ||
		!cJSON_AddStringToObject(tree, "unique_id", object) ||
		!cJSON_AddStringToObject(tree, "state_topic", topic))
		return false;
	home_assistant_availability(place, topic);
	origin = cJSON_AddObjectToObject(tree, "origin");
	return cJSON_AddStringToObject(tree, "availability_topic", topic) &&
	       add_text(tree, "device_class", "firmware") &&
	       add_text(tree, "entity_category", "diagnostic") && origin &&
	       add_text(origin, "name", "Sluice") && add_device(tree, device, object);
}

/* null: whatever was said before is not so any more. */
static bool fill_state(cJSON *tree, const struct home_assistant_device *device)
{
	return add_text(tree, "installed_version", device->installed) &&
	       add_text(tree, "latest_version", device->latest) &&
	       add_text(tree, "title", device->product) &&
	       add_text(tree, "release_summary", device->notes) &&
	       cJSON_AddBoolToObject(tree, "in_progress", device->in_progress) &&
	       (device->in_progress && device->has_percent
			       ? cJSON_AddNumberToObject(
					 tree, "update_percentage", device->percent)
			       : cJSON_AddNullToObject(tree, "update_percentage"));
}

static void free_text(char **text)
{
	cJSON_free(*text);
}

enum ota_code home_assistant_document(const struct home_assistant_place *place,
	const struct home_assistant_device *device, enum home_assistant_topic topic,
	struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	OTA_AUTO(free_text) char *text = NULL;
	bool full =
		tree && (topic == HOME_ASSISTANT_CONFIG ? fill_config(tree, place, device)
							: fill_state(tree, device));

	if (full)
		text = cJSON_PrintUnformatted(tree);
	if (!text || ota_buf_add(out, ota_bytes_of(text)) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "document for Home Assistant");
	return OTA_OK;
}

/* ---- from the fleet's state */

static bool is_for(const struct ota_release *release, const struct ota_report *report)
{
	if (strcmp(release->product, report->product) != 0)
		return false;
	for (uint32_t i = 0; i < release->hardware_count; i++)
		if (strcmp(release->hardware[i], report->hardware) == 0)
			return true;
	return false;
}

/* The newest release that the catalog allows on it, and newer than what it runs. */
static const struct ota_release *latest_of(
	const struct core *core, uint64_t now_s, const struct ota_report *report)
{
	const struct ota_release *found = NULL;

	for (size_t i = 0; i < core->release_count; i++) {
		const struct release *release = core->releases[i];

		if (release->doc.counter <= report->running_counter ||
			(found && release->doc.counter <= found->counter) ||
			!is_for(&release->doc, report) ||
			documents_allow(core, release, now_s, NULL) != OTA_OK)
			continue;
		found = &release->doc;
	}
	return found;
}

static bool works(enum ota_update_state state)
{
	switch (state) {
	case OTA_UPDATE_FETCHING:
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_INSTALLING:
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_REBOOTING:
	case OTA_UPDATE_PROVING:
	case OTA_UPDATE_ROLLING_BACK:
		return true;
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_OFFERED:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
	case OTA_N_UPDATE_STATES:
		break;
	}
	return false;
}

static void show(const struct core *core, uint64_t now_s, const struct device *device,
	struct home_assistant_device *out)
{
	const struct ota_report *r = &device->report;
	const struct release *under = release_find(core, &r->release);
	const struct ota_release *latest = latest_of(core, now_s, r);

	*out = (struct home_assistant_device){ .in_progress = works(r->state) };
	if (out->in_progress && under)
		latest = &under->doc;
	(void)snprintf(out->id, sizeof(out->id), "%s", device->id);
	(void)snprintf(out->product, sizeof(out->product), "%s", r->product);
	(void)snprintf(out->hardware, sizeof(out->hardware), "%s", r->hardware);
	(void)snprintf(out->installed, sizeof(out->installed), "%s", r->version);
	(void)snprintf(out->latest, sizeof(out->latest), "%s",
		latest ? latest->version : r->version);
	if (latest)
		(void)snprintf(out->notes, sizeof(out->notes), "%s", latest->notes);
	out->has_percent = r->state == OTA_UPDATE_FETCHING && r->chunks_total > 0 &&
			   r->chunks <= r->chunks_total;
	if (out->has_percent)
		out->percent =
			(unsigned)((double)r->chunks * PERCENT / (double)r->chunks_total);
}

bool home_assistant_next(const struct core *core, struct core_now now, const char *cohort,
	const char *after, struct home_assistant_device *out)
{
	for (size_t i = device_index_after(core, after); i < core->device_count; i++) {
		const struct device *device = core->devices[i];

		if (!device->reported ||
			(cohort[0] && strcmp(device->cohort, cohort) != 0))
			continue;
		show(core, now.utc_s, device, out);
		return true;
	}
	return false;
}
