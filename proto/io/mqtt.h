#ifndef PROTO_IO_MQTT_H
#define PROTO_IO_MQTT_H

/* The MQTT link: Paho's MQTTAsync behind a queue, driven from our libuv loop. MQTT 5 is
 * tried first, 3.1.1 where the broker refuses it; sessions are clean. The link reconnects
 * by itself with jitter (1 s doubling to reconnect_max_s) from the loop, never from a
 * Paho callback. All callbacks below run on the loop thread. TCP_NODELAY is set on its
 * sockets (Paho C 1.3.12 never does).
 *
 * Messages that came and were not handled yet take OTA_HOLD_LEN_MAX bytes of memory at
 * most (proto/io/mqtt_hold.h). At that bound nothing is read from any broker of the
 * process until a quarter of it is handled; so nothing is acknowledged, and the broker
 * queues what comes for us, as far as it is configured to. A loop that stands still for
 * longer than a keepalive and a half loses its connection by this. */

#include <uv.h>

#include "proto/base/bytes.h"

struct ota_mqtt_config {
	const char *url; /* "tcp://host:1883" or "ssl://host:8883"; borrowed, copied */
	const char *client_id; /* a name */
	const char *user;      /* NULL: none */
	const char *password;  /* NULL: none */
	const char
		*ca_file; /* PEM; required for ssl://; the host name is always verified */
	const char *cert_file;  /* PEM client certificate; NULL: none */
	const char *key_file;   /* PEM; NULL: none */
	const char *will_topic; /* NULL: none; retained, QoS 1 */
	const char *will_payload;
	uint32_t
		keepalive_s; /* 0: 30; a silent broker is given up after 2.5 times that */
	uint32_t reconnect_max_s; /* 0: 60 */
	uint32_t inflight_max;    /* publishes not yet acknowledged; 0: 20 */
	uint32_t send_buffer_len; /* bytes of SO_SNDBUF; 0: the kernel's choice */
};

/** What happens on a link. ctx is that of ota_mqtt_new(). Any may be NULL. */
struct ota_mqtt_events {
	/** Connected (again): nothing is subscribed. */
	void (*up)(void *ctx);
	/** The connection is gone or could not be made. why is for a log line. */
	void (*down)(void *ctx, const char *why);
	/** A message. topic and payload are borrowed for the call. */
	void (*message)(
		void *ctx, const char *topic, struct ota_bytes payload, bool retained);
};

struct ota_mqtt;

/** How a publish or subscribe ended; code is OTA_OK, OTA_E_LINK (connection went, unknown
 *  whether it arrived) or OTA_E_DENIED (refused by the broker: MQTT 5 reason code >=
 * 0x80). Runs on the loop thread exactly once. */
typedef void ota_mqtt_done(void *ctx, enum ota_code code);

/** Create a link and begin to connect. Nothing in config is kept. Broken configuration
 *  (unreadable CA file ...) is OTA_E_CONFIG; an unreachable broker is not an error. */
OTA_CHECKED enum ota_code ota_mqtt_new(uv_loop_t *loop,
	const struct ota_mqtt_config *config, const struct ota_mqtt_events *events,
	void *ctx, struct ota_mqtt **out, struct ota_error *err);

/** True between up and down. */
bool ota_mqtt_is_up(const struct ota_mqtt *link);

/** What to publish; everything is borrowed for the call. */
struct ota_mqtt_message {
	const char *topic;
	struct ota_bytes payload; /* empty and retained: clears what is retained */
	int qos;                  /* 0 or 1 */
	bool retain;
};

/**
 * Publish. topic and payload are copied.
 *
 * done  called once with the outcome, may be NULL; never from within this call
 *
 * Returns OTA_OK (queued; Paho is given at most inflight_max at a time), OTA_E_LINK when
 * down (done is not called), or OTA_E_NOMEM (neither).
 */
OTA_CHECKED enum ota_code ota_mqtt_publish(struct ota_mqtt *link,
	const struct ota_mqtt_message *message, ota_mqtt_done *done, void *done_ctx);

/** Subscribe to count filters in one packet, QoS 1 each. Returns as ota_mqtt_publish().
 */
OTA_CHECKED enum ota_code ota_mqtt_subscribe(struct ota_mqtt *link,
	const char *const *filters, size_t count, ota_mqtt_done *done, void *done_ctx);

/** Unsubscribe from count filters in one packet. Returns as ota_mqtt_publish(). */
OTA_CHECKED enum ota_code ota_mqtt_unsubscribe(
	struct ota_mqtt *link, const char *const *filters, size_t count);

/** Publishes queued or not yet acknowledged. */
size_t ota_mqtt_pending(const struct ota_mqtt *link);

/** Bytes of messages received and not handled yet, of all links of the process. */
size_t ota_mqtt_inbox_len(void);

/** A message that outlives its callback. */
struct ota_mqtt_kept;

/** From within the message callback: topic and payload stay where they are, and count as
 *  waiting, until ota_mqtt_let_go(). Call once. */
struct ota_mqtt_kept *ota_mqtt_keep(struct ota_mqtt *link);

/** Release a kept message; from any thread, also after its link was closed. */
void ota_mqtt_let_go(struct ota_mqtt_kept *kept);

/** Disconnect politely (MQTT 5 DISCONNECT, no last will) and release everything. Callers
 *  of publishes and subscribes still under way are told OTA_E_LINK before this returns;
 *  then nothing is called any more but closed (may be NULL), when libuv and Paho hold
 *  nothing: about a second later if this is the last link of the process. */
void ota_mqtt_close(struct ota_mqtt *link, void (*closed)(void *ctx), void *ctx);

#endif
