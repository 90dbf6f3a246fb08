#ifndef PROTO_IO_MQTT_COURIER_H
#define PROTO_IO_MQTT_COURIER_H

/* The courier: one thread per link that makes every call into Paho, because Paho holds a
 * process-wide lock while it resolves names and while it stops its own threads, and the
 * loop must not wait for either. The loop gives it jobs; it and Paho's threads answer
 * with reports through the inbox of the link.
 *
 * Each connection gets a fresh Paho handle, so that nothing queued for an old connection
 * is ever sent on a new one. Internal to proto/io. */

#include "proto/io/loop.h"
#include "proto/io/mqtt.h"

enum courier_job_kind { JOB_OPEN, JOB_PUBLISH, JOB_SUBSCRIBE, JOB_UNSUBSCRIBE, JOB_END };

struct courier_session;

struct courier_job {
	struct courier_job *next, *previous; /* in the queue or in flight */
	struct courier_session *session;     /* borrowed; set once in flight */
	enum courier_job_kind kind;
	uint64_t serial; /* unique; that of JOB_OPEN names the connection */
	bool old;        /* JOB_OPEN: MQTT 3.1.1 instead of 5 */
	int qos;
	bool retain;
	char **names; /* owned: the topic, or the filters */
	size_t name_count;
	uint8_t *payload; /* owned */
	size_t payload_len;
};

/** A job with copies of count names and of payload, or NULL when memory is short. */
struct courier_job *ota_courier_job_new(enum courier_job_kind kind,
	const char *const *names, size_t count, struct ota_bytes payload);

/** Release a job that was never given. NULL is allowed. */
void ota_courier_job_free(struct courier_job *job);

/** Release count owned names and their array. NULL is allowed. */
void ota_names_free(char **names, size_t count);

enum courier_report_kind {
	REPORT_UP,
	REPORT_DOWN,    /* text says why */
	REPORT_MESSAGE, /* text is the topic */
	REPORT_DONE,
	REPORT_ENDED /* the last one ever: the thread has nothing left to do */
};

/* Why a connection could not be made, as far as the MQTT version is concerned. */
enum courier_hint { HINT_NONE, HINT_OLD, HINT_MAYBE_OLD };

struct courier_report {
	enum courier_report_kind kind;
	uint64_t connection; /* serial of its JOB_OPEN */
	uint64_t serial;     /* REPORT_DONE: of the job */
	enum ota_code code;  /* REPORT_DONE */
	enum courier_hint hint;
	bool retained;
	size_t payload_len;
	char text[]; /* NUL-terminated; then the payload */
};

struct ota_courier;

/** Start a courier that reports to inbox (borrowed). config is copied. OTA_OK,
 *  OTA_E_NOMEM or OTA_E_IO (no thread). */
OTA_CHECKED enum ota_code ota_courier_new(const struct ota_mqtt_config *config,
	struct ota_inbox *inbox, struct ota_courier **out);

/** Hand a job over. Each but JOB_OPEN and JOB_END is answered by exactly one REPORT_DONE;
 *  an opened connection by REPORT_UP and REPORT_DOWN, or by REPORT_DOWN alone. */
void ota_courier_give(struct ota_courier *courier, struct courier_job *job);

/** Release a report; a message is not counted as waiting any more. NULL is allowed. */
void ota_courier_release(struct courier_report *report);

/** After REPORT_ENDED: join the thread and release. */
void ota_courier_free(struct ota_courier *courier);

#endif
