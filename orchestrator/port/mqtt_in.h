#ifndef ORCHESTRATOR_PORT_MQTT_IN_H
#define ORCHESTRATOR_PORT_MQTT_IN_H

/* What devices say, from the broker to the core: reports, presence, needs. All of it is
 * untrusted: bounded by topic, let through at a rate per device, and a refusal is logged,
 * not too often. What a flood made us drop is read again from the retained messages. */

#include <uv.h>

#include "orchestrator/core/core.h"
#include "orchestrator/port/publisher.h"
#include "proto/io/mqtt.h"

struct mqtt_in_config {
	const char *fleet;           /* copied */
	struct core *core;           /* borrowed for its life */
	struct publisher *publisher; /* borrowed for its life: takes needs */
};

struct mqtt_in;

/** Messages since the start. */
struct mqtt_in_counts {
	uint64_t received, refused;
};

/** A reader without a link. */
OTA_CHECKED enum ota_code mqtt_in_new(uv_loop_t *loop,
	const struct mqtt_in_config *config, struct mqtt_in **out, struct ota_error *err);

/** The link is up: subscribe. Borrowed until mqtt_in_down(). */
void mqtt_in_up(struct mqtt_in *in, struct ota_mqtt *link);

/** The link is down. */
void mqtt_in_down(struct mqtt_in *in);

/** What came in so far. */
struct mqtt_in_counts mqtt_in_counts(const struct mqtt_in *in);

/** A message arrived on the link; from within its callback. */
void mqtt_in_message(struct mqtt_in *in, const char *topic, struct ota_bytes payload);

/** Release; what waits to be handled is dropped, and retained by the broker. closed runs
 *  once libuv holds nothing. NULL: closed runs at once. */
void mqtt_in_close(struct mqtt_in *in, void (*closed)(void *ctx), void *ctx);

#endif
