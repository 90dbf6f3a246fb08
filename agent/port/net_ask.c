#include "agent/port/net_ask.h"

#include <stdio.h>

#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/wire/topics.h"

enum { FILTERS_MAX = 8 }; /* of one packet */

_Static_assert((int)FILTERS_MAX > (int)FETCH_ASK_MAX, "a fence fits beside the chunks");

/* The topics of one packet. */
struct filters {
	char text[FILTERS_MAX][OTA_TOPIC_CAP];
	const char *at[FILTERS_MAX];
	size_t count;
};

static void add_topic(struct filters *filters, const struct net_subject *subject,
	const struct ota_topic *topic)
{
	size_t i = filters->count++;

	ota_topic_print(subject->fleet, topic, filters->text[i]);
	filters->at[i] = filters->text[i];
}

static void add_fence(struct filters *filters, const struct net_subject *subject)
{
	struct ota_topic topic = { .kind = subject->is_blocks ? OTA_TOPIC_BLOCK_TABLE
							      : OTA_TOPIC_MANIFEST,
		.digest = *subject->patch };

	add_topic(filters, subject, &topic);
}

static void add_chunk(
	struct filters *filters, const struct net_subject *subject, uint32_t index)
{
	struct ota_topic topic = { .kind = subject->is_blocks ? OTA_TOPIC_BLOCK
							      : OTA_TOPIC_CHUNK,
		.digest = *subject->patch,
		.index = index };

	if (subject->is_manifest)
		add_fence(filters, subject);
	else
		add_topic(filters, subject, &topic);
}

static void check(enum ota_code rc)
{
	if (rc != OTA_OK)
		ota_log(OTA_LOG_DEBUG, "net.request-lost", "code=%s", ota_code_name(rc));
}

static void on_subscribed(void *ctx, enum ota_code code)
{
	(void)ctx;
	if (code == OTA_E_DENIED)
		ota_log(OTA_LOG_WARNING, "net.chunks-denied", "code=DENIED");
}

static void ask(struct ota_mqtt *link, const struct net_subject *subject,
	const struct fetch_batch *batch)
{
	struct filters filters = { 0 };

	for (uint32_t i = 0; i < batch->count; i++)
		add_chunk(&filters, subject, batch->chunks[i]);
	if (!subject->is_manifest)
		add_fence(&filters, subject);
	check(ota_mqtt_subscribe(link, filters.at, filters.count, on_subscribed, NULL));
}

static void leave(struct ota_mqtt *link, struct filters *filters)
{
	if (filters->count > 0 && ota_mqtt_is_up(link))
		check(ota_mqtt_unsubscribe(link, filters->at, filters->count));
	filters->count = 0;
}

static void drop(struct ota_mqtt *link, const struct net_subject *subject,
	const struct fetch_plan *plan)
{
	struct filters filters = { 0 };

	for (uint32_t i = 0; i < plan->drop.count; i++) {
		add_chunk(&filters, subject, plan->drop.chunks[i]);
		if (filters.count == FILTERS_MAX)
			leave(link, &filters);
	}
	if (plan->drop_fence)
		add_fence(&filters, subject);
	leave(link, &filters);
}

void net_ask_plan(struct ota_mqtt *link, const struct net_subject *subject,
	const struct fetch_plan *plan)
{
	drop(link, subject, plan);
	for (uint32_t i = 0; i < plan->ask_count; i++)
		ask(link, subject, &plan->ask[i]);
}

void net_ask_need(struct ota_mqtt *link, const struct net_subject *subject,
	const char *device, const struct fetch *fetch)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bitmap = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_need need = { .patch = *subject->patch,
		.chunk_count = fetch->config.chunk_count };
	struct ota_topic topic = { .kind = OTA_TOPIC_NEED };
	char text[OTA_TOPIC_CAP];
	struct ota_mqtt_message message = { .topic = text, .qos = 1 };
	enum ota_code rc = fetch_need(fetch, &bitmap);

	(void)snprintf(topic.name, sizeof topic.name, "%s", device);
	ota_topic_print(subject->fleet, &topic, text);
	need.bitmap = ota_buf_bytes(&bitmap);
	if (rc == OTA_OK)
		rc = ota_need_encode(&need, &payload);
	message.payload = ota_buf_bytes(&payload);
	if (rc == OTA_OK)
		rc = ota_mqtt_publish(link, &message, NULL, NULL);
	check(rc);
}
