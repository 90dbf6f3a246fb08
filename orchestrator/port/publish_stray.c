#include "orchestrator/port/publisher_inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/wire/block_table.h"

enum {
	LOOK_MS = 30000, /* what the broker holds has come by then */
	LOGGED_MAX = 20, /* lines */
};

/* What only the ledger's rows put at the broker. Not root, catalog and fresh: of those a
 * newer one than ours is not ours to take away from devices that follow it. */
static const char *const below[] = { "cohort/+/order", "device/+/assign", "release/+",
	"grant/+", "patch/+/manifest", "blocks/+/table" };

enum { FILTERS = sizeof(below) / sizeof(below[0]) };

static void print_filters(const struct publisher *p, char text[FILTERS][OTA_TOPIC_CAP],
	const char *filters[FILTERS])
{
	for (size_t i = 0; i < FILTERS; i++) {
		(void)snprintf(
			text[i], OTA_TOPIC_CAP, "sluice/1/%s/%s", p->fleet, below[i]);
		filters[i] = text[i];
	}
}

static void end_look(uv_timer_t *timer)
{
	struct publisher *p = timer->data;
	char text[FILTERS][OTA_TOPIC_CAP];
	const char *filters[FILTERS];

	print_filters(p, text, filters);
	if (p->link)
		(void)!ota_mqtt_unsubscribe(p->link, filters, FILTERS);
	if (p->strays > 0)
		ota_log(OTA_LOG_NOTICE, "strays.cleared", "count=%" PRIu64, p->strays);
}

void publish_stray_begin(struct publisher *p)
{
	char text[FILTERS][OTA_TOPIC_CAP];
	const char *filters[FILTERS];

	if (p->looked)
		return;
	print_filters(p, text, filters);
	p->looked = ota_mqtt_subscribe(p->link, filters, FILTERS, NULL, NULL) == OTA_OK;
	(void)uv_timer_start(&p->stray, end_look, LOOK_MS, 0);
}

void publish_stray_down(struct publisher *p)
{
	if (uv_is_active((const uv_handle_t *)&p->stray))
		p->looked = false; /* some of it may not have come */
	(void)uv_timer_stop(&p->stray);
}

/* ---- what came */

static bool is_looked_for(enum ota_topic_kind kind)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_ORDER, OTA_TOPIC_ASSIGN,
		OTA_TOPIC_RELEASE, OTA_TOPIC_GRANT, OTA_TOPIC_MANIFEST,
		OTA_TOPIC_BLOCK_TABLE };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i] == kind)
			return true;
	return false;
}

/* How many chunks or blocks a list names; 0 if it cannot be read. */
static uint32_t count_items(const struct ota_topic *topic, struct ota_bytes payload)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };

	if (topic->kind == OTA_TOPIC_MANIFEST)
		return ota_manifest_parse(payload, &manifest, NULL) == OTA_OK
			       ? manifest.chunk_count
			       : 0;
	return ota_block_table_parse(payload, &table, NULL) == OTA_OK ? table.count : 0;
}

/* A list goes with what it names, at the pace of all clearing. */
static void clear_all(
	struct publisher *p, const struct ota_topic *topic, struct ota_bytes payload)
{
	struct chunk_set *set =
		chunk_set_of(&p->clearing, &topic->digest, count_items(topic, payload));

	if (!set)
		return; /* the next start finds it again */
	set->blocks = topic->kind == OTA_TOPIC_BLOCK_TABLE;
	chunk_set_fill(set);
	publish_start_tick(p);
}

static void clear(struct publisher *p, const char *text, const struct ota_topic *topic,
	struct ota_bytes payload)
{
	const struct flight flight = { .kind = FLIGHT_CLEAR };

	if (p->strays++ < LOGGED_MAX)
		ota_log(OTA_LOG_NOTICE, "stray.cleared", "topic=%s", text);
	if (topic->kind == OTA_TOPIC_MANIFEST || topic->kind == OTA_TOPIC_BLOCK_TABLE)
		clear_all(p, topic, payload);
	else
		(void)publish_send(p, &flight, text, (struct ota_bytes){ 0 });
}

bool publish_stray_message(
	struct publisher *p, const char *text, struct ota_bytes payload, bool retained)
{
	struct ota_topic topic;

	if (ota_topic_parse(p->fleet, text, &topic, NULL) != OTA_OK ||
		!is_looked_for(topic.kind))
		return false;
	if (retained && payload.len > 0 && p->stage >= STAGE_ROWS &&
		!ledger_knows(p->ledger, text))
		clear(p, text, &topic, payload);
	return true;
}
