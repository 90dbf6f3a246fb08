#include "orchestrator/port/mqtt_in.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/port/bucket.h"
#include "orchestrator/port/opener.h"
#include "orchestrator/port/strangers.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"

enum {
	FILTERS_MAX = 8,   /* in one SUBSCRIBE: what every broker takes */
	DEVICES_LOG2 = 15, /* slots of the table of rates */
	READ_AGAIN_MS = 5000,
};

static const struct bucket_rate device_rate = { .burst = 20, .each_ms = 200 };
static const struct bucket_rate need_rate = { .burst = 5, .each_ms = 2000 };
static const struct bucket_rate log_rate = { .burst = 20, .each_ms = 1000 };

/* The rates of one device. A slot is shared by chance only: the newer device takes it. */
struct rates {
	uint64_t device; /* first 8 bytes of the digest of its id; 0: free */
	struct bucket state, need;
};

struct mqtt_in {
	uv_timer_t again;            /* reads again what was dropped */
	const struct core *core;     /* borrowed */
	struct opener *opener;       /* owned; NULL once it closes */
	struct publisher *publisher; /* borrowed */
	struct ota_mqtt *link;       /* borrowed; NULL while down */
	char fleet[OTA_NAME_CAP];
	struct rates *rates; /* owned, 1 << DEVICES_LOG2 */
	uint64_t dropped;    /* bit i: something of state/<i>/ was dropped */
	struct strangers strangers;
	struct bucket log;
	struct mqtt_in_counts counts;
	uint64_t silent; /* lines not written for their rate */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

_Static_assert(OTA_STATE_BUCKETS <= 64, "dropped has a bit for each");

static void log_refused(
	struct mqtt_in *in, const char *topic, const struct ota_error *why)
{
	char quoted[256], text[256];

	in->counts.refused++;
	if (!bucket_take(&in->log, &log_rate, ota_clock_mono_ms())) {
		in->silent++;
		return;
	}
	ota_log(OTA_LOG_WARNING, "message.refused",
		"topic=%s error=%s why=%s unlogged=%" PRIu64,
		ota_log_quote(topic, quoted), ota_code_name(why->code),
		ota_log_quote(why->text, text), in->silent);
	in->silent = 0;
}

/* ---- subscriptions */

/* Filters gathered into packets. */
struct packet {
	struct mqtt_in *in;
	char text[FILTERS_MAX][OTA_TOPIC_CAP];
	size_t count;
};

static void subscribed(void *ctx, enum ota_code code)
{
	struct mqtt_in *in = ctx;

	if (code == OTA_E_DENIED)
		ota_log(OTA_LOG_ERR, "subscribe.denied",
			"fleet=%s why=\"the broker's ACL must let sluiced read state/ "
			"and "
			"need/\"",
			in->fleet);
}

static void flush_packet(struct packet *packet)
{
	const char *filters[FILTERS_MAX];

	for (size_t i = 0; i < packet->count; i++)
		filters[i] = packet->text[i];
	if (packet->count > 0)
		(void)!ota_mqtt_subscribe(
			packet->in->link, filters, packet->count, subscribed, packet->in);
	packet->count = 0;
}

static char *next_filter(struct packet *packet)
{
	if (packet->count == FILTERS_MAX)
		flush_packet(packet);
	return packet->text[packet->count++];
}

static void subscribe_states(struct packet *packet, uint64_t buckets)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_ONLINE, OTA_TOPIC_REPORT };

	for (uint32_t b = 0; b < OTA_STATE_BUCKETS; b++)
		for (int k = 0; k < 2 && buckets >> b & 1; k++)
			ota_topic_state_filter(
				packet->in->fleet, b, kinds[k], next_filter(packet));
}

void mqtt_in_up(struct mqtt_in *in, struct ota_mqtt *link)
{
	struct packet packet = { .in = in };

	in->link = link;
	in->dropped = 0;
	in->strangers.count = 0;
	(void)snprintf(
		next_filter(&packet), OTA_TOPIC_CAP, "sluice/1/%s/need/+", in->fleet);
	subscribe_states(&packet, UINT64_MAX);
	flush_packet(&packet);
}

static void read_again(uv_timer_t *timer)
{
	struct mqtt_in *in = timer->data;
	struct packet packet = { .in = in };

	if (!in->link)
		return;
	in->dropped |= strangers_met(&in->strangers, in->core);
	subscribe_states(&packet, in->dropped);
	flush_packet(&packet);
	in->dropped = 0;
	if (in->strangers.count > 0)
		(void)uv_timer_start(timer, read_again, READ_AGAIN_MS, 0);
}

void mqtt_in_down(struct mqtt_in *in)
{
	in->link = NULL;
	(void)uv_timer_stop(&in->again);
}

/* ---- messages */

static struct rates *rates_of(struct mqtt_in *in, const char *device)
{
	struct ota_digest digest = ota_digest_of(ota_bytes_of(device));
	struct rates *slot;
	uint64_t key;

	memcpy(&key, digest.at, sizeof(key));
	slot = &in->rates[key >> (64 - DEVICES_LOG2)];
	if (slot->device != key)
		*slot = (struct rates){ .device = key };
	return slot;
}

static bool is_let_through(struct mqtt_in *in, const struct ota_topic *topic)
{
	struct rates *rates = rates_of(in, topic->name);
	uint64_t now_ms = ota_clock_mono_ms();

	if (topic->kind == OTA_TOPIC_NEED)
		return bucket_take(&rates->need, &need_rate, now_ms);
	return bucket_take(&rates->state, &device_rate, now_ms);
}

static void look_again(struct mqtt_in *in)
{
	if (!uv_is_active((const uv_handle_t *)&in->again))
		(void)uv_timer_start(&in->again, read_again, READ_AGAIN_MS, 0);
}

/* What a device said last is retained: what was dropped of it comes again. */
static void note_dropped(struct mqtt_in *in, const char *device)
{
	in->dropped |= UINT64_C(1) << ota_state_bucket(device);
	look_again(in);
}

/* One that may be registered later. */
static void note_stranger(struct mqtt_in *in, const char *device)
{
	strangers_note(&in->strangers, device);
	look_again(in);
}

static enum ota_code take_online(
	struct mqtt_in *in, const struct opener_message *message, struct ota_error *err)
{
	struct ota_online online;
	enum ota_code rc = ota_online_parse(message->payload, &online, err);

	if (rc == OTA_OK)
		rc = opener_presence(in->opener, message, &online, err);
	return rc;
}

static enum ota_code take_need(
	struct mqtt_in *in, struct ota_bytes payload, struct ota_error *err)
{
	struct ota_need need;
	enum ota_code rc = ota_need_parse(payload, &need, err);

	if (rc == OTA_OK)
		publisher_need(in->publisher, &need);
	return rc;
}

static enum ota_code route(struct mqtt_in *in, enum ota_topic_kind kind,
	const struct opener_message *message, struct ota_error *err)
{
	if (kind == OTA_TOPIC_REPORT)
		return opener_report(in->opener, message, err);
	if (kind == OTA_TOPIC_ONLINE)
		return take_online(in, message, err);
	if (kind == OTA_TOPIC_NEED)
		return take_need(in, message->payload, err);
	return ota_fail(err, OTA_E_FORMAT, "a topic nobody subscribed to");
}

static enum ota_code take(struct mqtt_in *in, const struct ota_topic *topic,
	const struct opener_message *message, struct ota_error *err)
{
	size_t len = message->payload.len;
	enum ota_code rc;

	if (len > ota_topic_payload_max(topic->kind))
		return ota_fail(err, OTA_E_LIMIT, "%zu bytes", len);
	if (len == 0)
		return OTA_OK; /* cleared */
	if (!is_let_through(in, topic))
		rc = ota_fail(err, OTA_E_BUSY, "too many messages");
	else
		rc = route(in, topic->kind, message, err);
	if (rc == OTA_E_BUSY && topic->kind != OTA_TOPIC_NEED)
		note_dropped(in, topic->name);
	if (rc == OTA_E_NOTFOUND && topic->kind == OTA_TOPIC_REPORT)
		note_stranger(in, topic->name);
	return rc;
}

struct mqtt_in_counts mqtt_in_counts(const struct mqtt_in *in)
{
	return in->counts;
}

void mqtt_in_message(struct mqtt_in *in, const char *topic, struct ota_bytes payload)
{
	struct ota_topic parsed;
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (!in->link || !in->opener)
		return;
	in->counts.received++;
	rc = ota_topic_parse(in->fleet, topic, &parsed, &err);
	if (rc == OTA_OK)
		rc = take(in, &parsed,
			&(struct opener_message){ in->link, topic, parsed.name, payload },
			&err);
	if (rc != OTA_OK)
		log_refused(in, topic, &err);
}

/* Where the key of a device was changed meanwhile, another look may help. */
static void on_refused(void *ctx, const char *topic, const struct ota_error *why)
{
	struct mqtt_in *in = ctx;
	struct ota_topic parsed;

	log_refused(in, topic, why);
	if (why->code == OTA_E_CONFLICT && in->opener &&
		ota_topic_parse(in->fleet, topic, &parsed, NULL) == OTA_OK)
		note_dropped(in, parsed.name);
}

/* ---- life */

/* One that libuv knows nothing of. */
static void drop(struct mqtt_in **in)
{
	if (*in)
		free((*in)->rates);
	free(*in);
}

enum ota_code mqtt_in_new(uv_loop_t *loop, const struct mqtt_in_config *config,
	struct mqtt_in **out, struct ota_error *err)
{
	OTA_AUTO(drop) struct mqtt_in *in = calloc(1, sizeof(*in));
	const struct opener_config opener = { config->core, on_refused, in };
	enum ota_code rc;

	if (in)
		in->rates = calloc((size_t)1 << DEVICES_LOG2, sizeof(*in->rates));
	if (!in || !in->rates)
		return ota_fail(err, OTA_E_NOMEM, "MQTT reader");
	rc = opener_new(loop, &opener, &in->opener, err);
	if (rc != OTA_OK)
		return rc;
	in->core = config->core;
	in->publisher = config->publisher;
	(void)snprintf(in->fleet, sizeof(in->fleet), "%s", config->fleet);
	(void)uv_timer_init(loop, &in->again);
	in->again.data = in;
	*out = ota_take(&in);
	return OTA_OK;
}

static void release(uv_handle_t *handle)
{
	struct mqtt_in *in = handle->data;

	if (in->closed)
		in->closed(in->closed_ctx);
	drop(&in);
}

static void opener_gone(void *ctx)
{
	struct mqtt_in *in = ctx;

	uv_close((uv_handle_t *)&in->again, release);
}

void mqtt_in_close(struct mqtt_in *in, void (*closed)(void *ctx), void *ctx)
{
	if (!in) {
		closed(ctx);
		return;
	}
	in->closed = closed;
	in->closed_ctx = ctx;
	opener_close(ota_take(&in->opener), opener_gone, in);
}
