#include "orchestrator/port/feed.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/api_handlers.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"
#include "proto/wire/json.h"

enum {
	LOOK_MS = 1000,
	EARLY_MS = 100,   /* that a timer may be */
	RING_COUNT = 256, /* audit entries kept in their form */
	TURN_COUNT = 128, /* made ready at a time */
	PAGE_COUNT = 16,  /* of a reader who is behind the ring */
	OVER_MS = 30000,  /* an ended rollout's last state is kept so long */
};

/* The newest state of something. */
struct slot {
	char name[OTA_NAME_CAP]; /* of a rollout; "": the fleet */
	uint64_t version;
	struct feed_event *event; /* owned */
	uint64_t over_ms;         /* when it ended; 0: it goes on */
};

struct feed {
	struct api *api;    /* borrowed */
	struct slot *slots; /* owned, count entries */
	size_t count;
	uint64_t version;                    /* of the newest */
	uint64_t next_ms;                    /* of the next look, monotonic */
	struct feed_event *ring[RING_COUNT]; /* owned; of seq at seq % RING_COUNT */
	uint64_t ring_from, audit_seq;       /* seq of the oldest and newest there */
};

/* ---- events */

struct feed_event *feed_event_new(struct ota_bytes text)
{
	struct feed_event *event = malloc(sizeof(*event) + text.len);

	if (!event)
		return NULL;
	event->refs = 1;
	event->len = text.len;
	memcpy(event->text, text.at, text.len);
	return event;
}

struct feed_event *feed_event_hold(struct feed_event *event)
{
	event->refs++;
	return event;
}

void feed_event_drop(struct feed_event *event)
{
	if (event && --event->refs == 0)
		free(event);
}

static bool print_event(struct ota_buf *out, const char *type, struct ota_bytes data)
{
	return ota_buf_printf(out, "event: %s\ndata: ", type) == OTA_OK &&
	       ota_buf_add(out, data) == OTA_OK &&
	       ota_buf_add(out, ota_bytes_of("\n\n")) == OTA_OK;
}

/* ---- states */

/* Where "now" stands, which changes by itself: the offset of its digits, and behind. */
static void find_now(const struct feed_event *event, size_t *from, size_t *to)
{
	static const char key[] = "\"now\":";
	const char *at = memmem(event->text, event->len, key, sizeof(key) - 1);

	*from = *to = event->len;
	if (!at)
		return;
	*from = (size_t)(at - event->text) + sizeof(key) - 1;
	for (*to = *from; event->text[*to] >= '0' && event->text[*to] <= '9'; (*to)++)
		;
}

static bool says_the_same(const struct feed_event *a, const struct feed_event *b)
{
	size_t a_from, a_to, b_from, b_to;

	find_now(a, &a_from, &a_to);
	find_now(b, &b_from, &b_to);
	return a_from == b_from && a->len - a_to == b->len - b_to &&
	       memcmp(a->text, b->text, a_from) == 0 &&
	       memcmp(a->text + a_to, b->text + b_to, a->len - a_to) == 0;
}

static struct slot *slot_of(struct feed *feed, const char *name)
{
	for (size_t i = 0; i < feed->count; i++)
		if (strcmp(feed->slots[i].name, name) == 0)
			return &feed->slots[i];
	return NULL;
}

static struct slot *add_slot(struct feed *feed, const char *name)
{
	struct slot *grown =
		realloc(feed->slots, (feed->count + 1) * sizeof(*feed->slots));
	struct slot *slot;

	if (!grown)
		return NULL;
	feed->slots = grown;
	slot = &feed->slots[feed->count++];
	*slot = (struct slot){ 0 };
	(void)snprintf(slot->name, sizeof(slot->name), "%s", name);
	return slot;
}

/* Takes the event. */
static void put_state(struct feed *feed, const char *name, struct feed_event *event)
{
	struct slot *slot = slot_of(feed, name);

	if (!slot)
		slot = add_slot(feed, name);
	if (!slot || (slot->event && says_the_same(slot->event, event))) {
		feed_event_drop(event);
		return;
	}
	feed_event_drop(slot->event);
	slot->event = event;
	slot->version = ++feed->version;
}

/* Ask as a client would, so that an event is what the route answers. */
static void ask(struct feed *feed, const char *type, const char *name,
	enum ota_code (*handler)(struct api *api, const struct api_request *request,
		struct api_reply *reply, struct ota_error *err))
{
	OTA_AUTO(api_reply_fini) struct api_reply reply = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	struct api_request request = { .method = "GET", .path = "" };
	struct feed_event *event;

	(void)snprintf(request.segments[0], sizeof(request.segments[0]), "%s", name);
	if (handler(feed->api, &request, &reply, NULL) != OTA_OK ||
		!print_event(&text, type, ota_buf_bytes(&reply.body)))
		return;
	event = feed_event_new(ota_buf_bytes(&text));
	if (event)
		put_state(feed, name, event);
}

static void drop_slot(struct feed *feed, size_t index)
{
	feed_event_drop(feed->slots[index].event);
	feed->slots[index] = feed->slots[--feed->count];
}

static void drop_ended(struct feed *feed, uint64_t now_ms)
{
	for (size_t i = feed->count; i-- > 0;)
		if (feed->slots[i].over_ms != 0 &&
			now_ms - feed->slots[i].over_ms >= OVER_MS)
			drop_slot(feed, i);
}

/* Those that go on, and those that did when we looked last. */
static void look_at_rollouts(struct feed *feed, uint64_t now_ms)
{
	const char *name;
	bool is_over;

	for (size_t i = 0; (name = core_rollout_at(feed->api->core, i, &is_over)); i++) {
		struct slot *slot = slot_of(feed, name);

		if (is_over && !slot)
			continue;
		ask(feed, "rollout", name, api_get_rollout);
		slot = slot_of(feed, name);
		if (slot && !is_over)
			slot->over_ms = 0;
		else if (slot && slot->over_ms == 0)
			slot->over_ms = now_ms;
	}
}

/* ---- audit */

struct audit_take {
	struct feed *feed;
	struct ota_buf text; /* owned */
	uint64_t last;       /* seq */
	bool failed;
};

/* All of it, or nothing: others may stand before it. */
static bool print_entry(struct ota_buf *out, const struct audit_entry *entry)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = api_audit_entry(entry);
	OTA_AUTO(ota_buf_fini) struct ota_buf data = { 0 };
	size_t len = out->len;

	if (tree && ota_json_print(tree, &data, NULL) == OTA_OK &&
		ota_buf_printf(out, "id: %llu\n", (unsigned long long)entry->seq) ==
			OTA_OK &&
		print_event(out, "audit", ota_buf_bytes(&data)))
		return true;
	out->len = len;
	return false;
}

static bool take_page(void *ctx, const struct audit_entry *entry)
{
	struct audit_take *take = ctx;

	if (!print_entry(&take->text, entry))
		return false;
	take->last = entry->seq;
	return entry->seq < take->feed->audit_seq;
}

static bool take_ring(void *ctx, const struct audit_entry *entry)
{
	struct audit_take *take = ctx;
	struct feed *feed = take->feed;
	struct feed_event **at = &feed->ring[entry->seq % RING_COUNT], *event;

	take->text.len = 0;
	if (!print_entry(&take->text, entry))
		return false;
	event = feed_event_new(ota_buf_bytes(&take->text));
	if (!event)
		return false;
	feed_event_drop(*at);
	*at = event;
	feed->audit_seq = entry->seq;
	if (feed->audit_seq - feed->ring_from >= RING_COUNT)
		feed->ring_from = feed->audit_seq - RING_COUNT + 1;
	return true;
}

static void empty_ring(struct feed *feed)
{
	struct ota_digest head;

	for (size_t i = 0; i < RING_COUNT; i++) {
		feed_event_drop(feed->ring[i]);
		feed->ring[i] = NULL;
	}
	ledger_audit_head(feed->api->ledger, &feed->audit_seq, &head);
	feed->ring_from = feed->audit_seq + 1;
}

static enum ota_code each_audit(struct feed *feed, uint64_t after, uint32_t limit,
	ledger_audit_take *take, struct audit_take *ctx)
{
	struct ota_error err = { 0 };
	enum ota_code rc =
		ledger_each_audit(feed->api->ledger, after, limit, take, ctx, &err);
	char why[256];

	if (rc != OTA_OK)
		ota_log(OTA_LOG_ERR, "events.failed", "error=%s why=%s",
			ota_code_name(rc), ota_log_quote(err.text, why));
	return rc;
}

static void look_at_audit(struct feed *feed)
{
	struct audit_take take = { .feed = feed };
	struct ota_digest head;
	uint64_t newest;

	ledger_audit_head(feed->api->ledger, &newest, &head);
	if (newest > feed->audit_seq)
		(void)each_audit(feed, feed->audit_seq, TURN_COUNT, take_ring, &take);
	ota_buf_fini(&take.text);
}

/* Entries that the ring does not have any more, from the ledger. */
static struct feed_event *next_page(struct feed *feed, struct feed_place *place)
{
	struct audit_take take = { .feed = feed, .last = place->audit_seq };
	struct feed_event *event = NULL;

	if (each_audit(feed, place->audit_seq, PAGE_COUNT, take_page, &take) == OTA_OK &&
		take.text.len > 0)
		event = feed_event_new(ota_buf_bytes(&take.text));
	if (event)
		place->audit_seq = take.last;
	ota_buf_fini(&take.text);
	return event;
}

/* ---- readers */

static const struct slot *next_slot(
	const struct feed *feed, const struct feed_place *place)
{
	const struct slot *found = NULL;

	for (size_t i = 0; i < feed->count; i++)
		if (feed->slots[i].version > place->version &&
			(!found || feed->slots[i].version < found->version))
			found = &feed->slots[i];
	return found;
}

bool feed_has(const struct feed *feed, const struct feed_place *place)
{
	return place->audit_seq < feed->audit_seq || next_slot(feed, place);
}

struct feed_event *feed_next(struct feed *feed, struct feed_place *place)
{
	const struct slot *slot = next_slot(feed, place);

	if (slot) {
		place->version = slot->version;
		return feed_event_hold(slot->event);
	}
	if (place->audit_seq >= feed->audit_seq)
		return NULL;
	if (place->audit_seq + 1 < feed->ring_from)
		return next_page(feed, place);
	place->audit_seq++;
	return feed_event_hold(feed->ring[place->audit_seq % RING_COUNT]);
}

uint64_t feed_known(const char *last_id, uint64_t newest)
{
	uint64_t oldest = newest > FEED_REPLAY_MAX ? newest - FEED_REPLAY_MAX : 0;
	uint64_t seq;

	if (!last_id || !api_read_u64(last_id, &seq) || seq > newest)
		return newest;
	return seq > oldest ? seq : oldest;
}

struct feed_place feed_begin(const struct feed *feed, const char *last_id)
{
	struct ota_digest head;
	uint64_t newest;

	ledger_audit_head(feed->api->ledger, &newest, &head);
	return (struct feed_place){ .audit_seq = feed_known(last_id, newest) };
}

/* ---- life */

struct feed *feed_new(struct api *api)
{
	struct feed *feed = calloc(1, sizeof(*feed));

	if (feed)
		feed->api = api;
	return feed;
}

void feed_free(struct feed *feed)
{
	if (!feed)
		return;
	while (feed->count > 0)
		drop_slot(feed, feed->count - 1);
	for (size_t i = 0; i < RING_COUNT; i++)
		feed_event_drop(feed->ring[i]);
	free(feed->slots);
	free(feed);
}

void feed_look(struct feed *feed)
{
	uint64_t now_ms = ota_clock_mono_ms(), took_ms;

	if (now_ms < feed->next_ms)
		return;
	drop_ended(feed, now_ms);
	ask(feed, "fleet", "", api_get_status);
	look_at_rollouts(feed, now_ms);
	look_at_audit(feed);
	took_ms = (ota_clock_mono_ms() - now_ms) * FEED_SHARE;
	feed->next_ms = now_ms + (took_ms > LOOK_MS ? took_ms : LOOK_MS - EARLY_MS);
}

void feed_wake(struct feed *feed)
{
	while (feed->count > 0)
		drop_slot(feed, feed->count - 1);
	empty_ring(feed);
	feed->next_ms = 0;
	feed_look(feed);
}
