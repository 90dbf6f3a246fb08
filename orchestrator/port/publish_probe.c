#include "orchestrator/port/publisher_inside.h"

#include <stdio.h>
#include <string.h>

#include "proto/io/log.h"
#include "proto/io/loop.h"

enum {
	PROBE_MS = 10000,
	PROBE_AGAIN_MS = 60000,
	PROBE_LEN = OTA_CHUNK_HEAD_LEN + OTA_CHUNK_LEN,
};

static void fill_probe(const struct publisher *p, uint8_t out[static PROBE_LEN])
{
	memset(out, 0x5a, PROBE_LEN);
	memcpy(out, p->probe_mark, sizeof(p->probe_mark));
}

static void probe_timer(uv_timer_t *timer);

static void end_probe(struct publisher *p, const char *why)
{
	struct flight flight = { .kind = FLIGHT_CLEAR };
	const char *filter = p->probe_topic;
	struct ota_bytes nothing = { 0 };
	char quoted[256];

	(void)uv_timer_stop(&p->probe);
	(void)!ota_mqtt_unsubscribe(p->link, &filter, 1);
	(void)publish_send(p, &flight, p->probe_topic, nothing);
	(void)snprintf(p->probe_text, sizeof(p->probe_text), "%s", why ? why : "ok");
	if (why) {
		p->stage = STAGE_REFUSED;
		ota_log(OTA_LOG_ERR, "broker.unfit", "why=%s",
			ota_log_quote(why, quoted));
		(void)uv_timer_start(&p->probe, probe_timer, PROBE_AGAIN_MS, 0);
		return;
	}
	p->probed = true;
	p->stage = STAGE_ROWS;
	publisher_kick(p);
}

static void probe_timer(uv_timer_t *timer)
{
	struct publisher *p = timer->data;

	if (p->stage == STAGE_PROBE)
		end_probe(p, "the broker does not give back a retained message of 64 KiB "
			     "(it needs retained messages and max_packet_size 300000)");
	else if (p->stage == STAGE_REFUSED)
		publish_probe_begin(p);
}

void publish_probe_begin(struct publisher *p)
{
	struct flight flight = { .kind = FLIGHT_PROBE };
	uint8_t payload[PROBE_LEN];

	p->stage = STAGE_PROBE;
	ota_random(p->probe_mark, sizeof(p->probe_mark));
	fill_probe(p, payload);
	(void)uv_timer_start(&p->probe, probe_timer, PROBE_MS, 0);
	(void)publish_send(
		p, &flight, p->probe_topic, (struct ota_bytes){ payload, PROBE_LEN });
}

void publish_probe_landed(struct publisher *p, enum ota_code code)
{
	const char *filter = p->probe_topic;

	if (p->stage != STAGE_PROBE)
		return;
	if (code == OTA_E_DENIED)
		end_probe(p, "the broker refuses a retained message of 64 KiB from "
			     "sluiced (look at its ACL, retain_available and "
			     "max_packet_size)");
	else if (code == OTA_OK)
		(void)!ota_mqtt_subscribe(p->link, &filter, 1, NULL, NULL);
}

bool publisher_message(
	struct publisher *p, const char *topic, struct ota_bytes payload, bool retained)
{
	uint8_t want[PROBE_LEN];

	if (strcmp(topic, p->probe_topic) != 0)
		return publish_stray_message(p, topic, payload, retained);
	fill_probe(p, want);
	if (p->stage == STAGE_PROBE && retained &&
		ota_bytes_equal(payload, (struct ota_bytes){ want, PROBE_LEN }))
		end_probe(p, NULL);
	return true;
}
