#ifndef PROTO_IO_MQTT_SESSION_H
#define PROTO_IO_MQTT_SESSION_H

/* One connection of the courier: a Paho handle, its callbacks, and the jobs it has in
 * flight. All functions are called by the courier's thread. Internal to proto/io. */

#include "proto/io/mqtt_courier.h"

/** Where reports go. */
struct courier_desk {
	struct ota_inbox *inbox; /* borrowed */
};

/** A copy of struct ota_mqtt_config; every string is owned and may be NULL. */
struct courier_settings {
	char *url, *client_id, *user, *password, *ca_file, *cert_file, *key_file,
		*will_topic, *will_payload;
	uint32_t keepalive_s, inflight_max;
};

struct courier_session;

/** A session with a Paho handle that does not connect yet, or NULL. settings and desk are
 *  borrowed until ota_session_free(). */
struct courier_session *ota_session_new(const struct courier_settings *settings,
	struct courier_desk *desk, uint64_t connection, bool old);

/** Begin to connect. REPORT_UP or REPORT_DOWN follows. */
void ota_session_connect(struct courier_session *session);

/** Give a publish, subscribe or unsubscribe to Paho; takes the job. */
void ota_session_send(struct courier_session *session, struct courier_job *job);

/** Disconnect without a last will and release the handle; may wait a second for Paho's
 *  threads. Jobs in flight are reported as OTA_E_LINK. No callback runs afterwards. */
void ota_session_free(struct courier_session *session);

/** Report how a job ended, and release it. */
void ota_session_done(
	struct courier_desk *desk, struct courier_job *job, enum ota_code code);

/** Post a report with the fields of `like` and copies of text and payload. Waits for
 *  memory rather than lose it. */
void ota_desk_post(struct courier_desk *desk, const struct courier_report *like,
	const char *text, struct ota_bytes payload);

#endif
