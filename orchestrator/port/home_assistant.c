#include "orchestrator/port/home_assistant.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/fatal.h"
#include "orchestrator/port/now.h"
#include "proto/base/own.h"
#include "proto/io/log.h"

enum {
	PENDING_MAX = 64,    /* publishes of the link: beyond, others go first */
	FOUND_MAX = 100000,  /* documents found at the broker that are looked at */
	LOOK_FOR_MS = 10000, /* after a connect, for what the broker holds */
	DOCUMENTS = HOME_ASSISTANT_STATE + 1,
};

static const char online[] = "online";
static const char offline[] = "offline";

/* What was said of a device last; 0: nothing that is known. */
struct entry {
	char id[OTA_NAME_CAP];
	uint64_t said[DOCUMENTS]; /* begin of the digest of each document */
};

struct home_assistant {
	uv_timer_t turn;
	const struct core *core; /* borrowed */
	struct ledger *ledger;   /* borrowed */
	struct ota_mqtt *link;   /* borrowed; NULL while down */
	struct home_assistant_place place;
	const char *cohort; /* borrowed */
	bool enabled, denied;
	struct entry *entries; /* owned; by id */
	size_t count, room;
	size_t at;                 /* the next to be looked at */
	char cursor[OTA_NAME_CAP]; /* the device that was looked at last */
	uint64_t look_until_ms;    /* 0: it is looked for nothing at the broker */
	char found_filter[HOME_ASSISTANT_TOPIC_CAP];
	char birth_topic[HOME_ASSISTANT_TOPIC_CAP];
	char availability[HOME_ASSISTANT_TOPIC_CAP];
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* ---- what was said */

/* Where an id is, or belongs. */
static size_t index_of(const struct home_assistant *home, const char *id)
{
	size_t from = 0, to = home->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(home->entries[middle].id, id) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static bool is_at(const struct home_assistant *home, size_t index, const char *id)
{
	return index < home->count && strcmp(home->entries[index].id, id) == 0;
}

static bool insert(struct home_assistant *home, size_t index, const char *id)
{
	if (home->count == home->room) {
		size_t room = home->room ? 2 * home->room : 64;
		struct entry *grown =
			realloc(home->entries, room * sizeof(*home->entries));

		if (!grown)
			return false;
		home->entries = grown;
		home->room = room;
	}
	memmove(&home->entries[index + 1], &home->entries[index],
		(home->count - index) * sizeof(*home->entries));
	home->entries[index] = (struct entry){ 0 };
	(void)snprintf(home->entries[index].id, OTA_NAME_CAP, "%s", id);
	home->count++;
	return true;
}

static void drop(struct home_assistant *home, size_t index)
{
	home->count--;
	memmove(&home->entries[index], &home->entries[index + 1],
		(home->count - index) * sizeof(*home->entries));
}

static void say_all_again(struct home_assistant *home)
{
	for (size_t i = 0; i < home->count; i++)
		memset(home->entries[i].said, 0, sizeof(home->entries[i].said));
	home->at = 0;
	home->cursor[0] = '\0';
}

/* ---- sending */

static void landed(void *ctx, enum ota_code code)
{
	struct home_assistant *home = ctx;

	if (code != OTA_E_DENIED || home->denied)
		return;
	home->denied = true;
	ota_log(OTA_LOG_ERR, "home-assistant.denied",
		"why=\"the broker's ACL must let sluiced write %s/update/+/config and "
		"%s/#\"",
		home->place.discovery_prefix, home->place.topic_prefix);
}

static bool retain(
	struct home_assistant *home, const char *topic, struct ota_bytes payload)
{
	const struct ota_mqtt_message message = { topic, payload, 1, true };

	return ota_mqtt_publish(home->link, &message, landed, home) == OTA_OK;
}

static bool send_document(struct home_assistant *home, struct entry *entry,
	const struct home_assistant_device *device, enum home_assistant_topic which)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	char topic[HOME_ASSISTANT_TOPIC_CAP];
	struct ota_digest digest;
	uint64_t said;

	if (home_assistant_document(&home->place, device, which, &text, NULL) != OTA_OK)
		return false;
	digest = ota_digest_of(ota_buf_bytes(&text));
	memcpy(&said, digest.at, sizeof(said));
	if (said == entry->said[which])
		return true;
	home_assistant_topic(&home->place, device->id, which, topic);
	if (!retain(home, topic, ota_buf_bytes(&text)))
		return false;
	entry->said[which] = said;
	return true;
}

/* The entity first: what Home Assistant forgets of it goes with it. */
static bool take_away(struct home_assistant *home, const char *id)
{
	const struct ota_bytes nothing = { 0 };

	for (int which = HOME_ASSISTANT_CONFIG; which < DOCUMENTS; which++) {
		char topic[HOME_ASSISTANT_TOPIC_CAP];

		home_assistant_topic(
			&home->place, id, (enum home_assistant_topic)which, topic);
		if (!retain(home, topic, nothing))
			return false;
	}
	return true;
}

/* ---- the walk */

/* Take away what comes before a device that is there; NULL: all the rest. False if the
 * link takes no more now. */
static bool take_away_until(struct home_assistant *home, const char *id)
{
	while (home->at < home->count &&
		(!id || strcmp(home->entries[home->at].id, id) < 0)) {
		if (ota_mqtt_pending(home->link) >= PENDING_MAX ||
			!take_away(home, home->entries[home->at].id))
			return false;
		drop(home, home->at);
	}
	return true;
}

/* One device further; false if that is all for now. */
static bool step(struct home_assistant *home)
{
	struct home_assistant_device device;
	bool more = home->enabled && home_assistant_next(home->core, port_now(),
					     home->cohort, home->cursor, &device);

	if (ota_mqtt_pending(home->link) >= PENDING_MAX ||
		!take_away_until(home, more ? device.id : NULL))
		return false;
	if (!more) {
		home->at = 0;
		home->cursor[0] = '\0';
		return false;
	}
	if (!is_at(home, home->at, device.id) && !insert(home, home->at, device.id))
		return false;
	if (!send_document(
		    home, &home->entries[home->at], &device, HOME_ASSISTANT_CONFIG) ||
		!send_document(
			home, &home->entries[home->at], &device, HOME_ASSISTANT_STATE))
		return false;
	(void)snprintf(home->cursor, sizeof(home->cursor), "%s", device.id);
	home->at++;
	return true;
}

static void stop_looking(struct home_assistant *home)
{
	const char *const filters[] = { home->found_filter, home->availability };

	home->look_until_ms = 0;
	(void)!ota_mqtt_unsubscribe(home->link, filters, home->enabled ? 1 : 2);
}

static void turn(uv_timer_t *timer)
{
	struct home_assistant *home = timer->data;
	struct ota_error err = { 0 };

	if (!home->link)
		return;
	if (ledger_hold(home->ledger, &err) != OTA_OK)
		fatal_ledger(&err); /* another leads, and speaks for the fleet */
	for (unsigned i = 0; i < HOME_ASSISTANT_TURN_COUNT && step(home); i++)
		;
	if (home->look_until_ms != 0 && ota_clock_mono_ms() >= home->look_until_ms)
		stop_looking(home);
}

/* ---- the link */

const char *home_assistant_will(const struct home_assistant *home, const char **payload)
{
	*payload = offline;
	return home && home->enabled ? home->availability : NULL;
}

void home_assistant_up(struct home_assistant *home, struct ota_mqtt *link)
{
	const char *filters[2];

	if (!home)
		return;
	filters[0] = home->found_filter;
	filters[1] = home->enabled ? home->birth_topic : home->availability;
	home->link = link;
	home->denied = false;
	home->look_until_ms = ota_clock_mono_ms() + LOOK_FOR_MS;
	say_all_again(home);
	(void)!ota_mqtt_subscribe(link, filters, 2, NULL, NULL);
	if (home->enabled)
		(void)retain(home, home->availability, ota_bytes_of(online));
}

void home_assistant_down(struct home_assistant *home)
{
	if (home)
		home->link = NULL;
}

/* A document that this process did not publish: the walk comes by, and keeps it or takes
 * it away. */
static void note_found(struct home_assistant *home, const char *object)
{
	char id[OTA_NAME_CAP];
	size_t index;

	if (!home_assistant_device_of(home->place.fleet, object, id))
		return;
	index = index_of(home, id);
	if (is_at(home, index, id) || home->count >= FOUND_MAX ||
		!insert(home, index, id))
		return;
	if (index < home->at)
		home->at++;
}

/* "TOPIC_PREFIX/OBJECT/state" -> OBJECT */
static bool object_of(const struct home_assistant *home, const char *topic,
	char out[static HOME_ASSISTANT_OBJECT_CAP])
{
	size_t skip = strlen(home->place.topic_prefix), len;

	if (strncmp(topic, home->place.topic_prefix, skip) != 0 || topic[skip] != '/')
		return false;
	topic += skip + 1;
	len = strcspn(topic, "/");
	if (strcmp(topic + len, "/state") != 0)
		return false;
	if (len >= HOME_ASSISTANT_OBJECT_CAP)
		len = 0; /* none of ours is so long */
	memcpy(out, topic, len);
	out[len] = '\0';
	return true;
}

bool home_assistant_message(struct home_assistant *home, const char *topic,
	struct ota_bytes payload, bool retained)
{
	char object[HOME_ASSISTANT_OBJECT_CAP];

	if (!home)
		return false;
	if (strcmp(topic, home->birth_topic) == 0) {
		if (home->enabled && !retained &&
			ota_bytes_equal(payload, ota_bytes_of(online)))
			say_all_again(home);
		return true;
	}
	if (strcmp(topic, home->availability) == 0) {
		if (!home->enabled && home->link && payload.len > 0)
			(void)retain(home, topic, (struct ota_bytes){ 0 });
		return true;
	}
	if (!object_of(home, topic, object))
		return false;
	if (retained && payload.len > 0)
		note_found(home, object);
	return true;
}

void home_assistant_leave(struct home_assistant *home)
{
	if (home && home->enabled && home->link && ota_mqtt_is_up(home->link))
		(void)retain(home, home->availability, ota_bytes_of(offline));
	home_assistant_down(home);
}

/* ---- life */

enum ota_code home_assistant_new(uv_loop_t *loop, const struct sluiced_config *config,
	const struct core *core, struct ledger *ledger, struct home_assistant **out,
	struct ota_error *err)
{
	struct home_assistant *home;

	if (!config->home_assistant.there)
		return OTA_OK;
	home = calloc(1, sizeof(*home));
	if (!home)
		return ota_fail(err, OTA_E_NOMEM, "Home Assistant");
	home->core = core;
	home->ledger = ledger;
	home->enabled = config->home_assistant.enabled;
	home->cohort = config->home_assistant.cohort;
	home->place = (struct home_assistant_place){ config->fleet,
		config->home_assistant.discovery_prefix,
		config->home_assistant.topic_prefix };
	(void)snprintf(home->found_filter, sizeof(home->found_filter), "%s/+/state",
		home->place.topic_prefix);
	(void)snprintf(home->birth_topic, sizeof(home->birth_topic), "%s/status",
		home->place.discovery_prefix);
	home_assistant_availability(&home->place, home->availability);
	(void)uv_timer_init(loop, &home->turn);
	home->turn.data = home;
	(void)uv_timer_start(
		&home->turn, turn, HOME_ASSISTANT_TURN_MS, HOME_ASSISTANT_TURN_MS);
	*out = home;
	return OTA_OK;
}

static void release(uv_handle_t *handle)
{
	struct home_assistant *home = handle->data;

	home->closed(home->closed_ctx);
	free(home->entries);
	free(home);
}

void home_assistant_close(
	struct home_assistant *home, void (*closed)(void *ctx), void *ctx)
{
	if (!home) {
		closed(ctx);
		return;
	}
	home->closed = closed;
	home->closed_ctx = ctx;
	home->link = NULL;
	uv_close((uv_handle_t *)&home->turn, release);
}
