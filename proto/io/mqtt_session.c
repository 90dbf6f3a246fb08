#include "proto/io/mqtt_session.h"

#include <MQTTAsync.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/own.h"
#include "proto/io/mqtt_hold.h"
#include "proto/io/mqtt_idle.h"

enum {
	CONNECT_TIMEOUT_S = 15, /* name, TCP, TLS and CONNACK together */
	TOPIC_LEN_MAX = 512,
	PACKET_LEN_MAX = 300 * 1000,       /* max_packet_size of the broker profile */
	PAHO_QUEUE_SPARE = 16,             /* our window is the limit, never Paho's */
	MEMORY_WAIT_NS = 10 * 1000 * 1000, /* between attempts to get memory */
	REASON_VERSION_OLD = 1             /* MQTT 3.1.1, 3.2.2.3 */
};

struct courier_session {
	MQTTAsync handle; /* owned */
	const struct courier_settings *settings;
	struct courier_desk *desk;
	uint64_t connection;
	bool old;  /* MQTT 3.1.1 */
	bool up;   /* connected, and not lost yet. Paho's lock guards it. */
	bool deaf; /* told to be down: takes no more messages. Paho's lock guards it. */
	char tls_why[128]; /* the first TLS error. Paho's lock guards it. */
	pthread_mutex_t lock;
	struct courier_job *flying; /* owned, under lock */
};

/* A report of len bytes behind the text; waits until there is memory for it. */
static struct courier_report *report_wait(size_t len)
{
	const struct timespec moment = { .tv_nsec = MEMORY_WAIT_NS };
	struct courier_report *report = malloc(sizeof *report + len);

	while (report == NULL) {
		(void)nanosleep(&moment, NULL);
		report = malloc(sizeof *report + len);
	}
	return report;
}

void ota_desk_post(struct courier_desk *desk, const struct courier_report *like,
	const char *text, struct ota_bytes payload)
{
	const struct timespec moment = { .tv_nsec = MEMORY_WAIT_NS };
	size_t text_len = strlen(text) + 1;
	struct courier_report *report = report_wait(text_len + payload.len);

	*report = *like;
	report->payload_len = payload.len;
	memcpy(report->text, text, text_len);
	if (payload.len > 0)
		memcpy(report->text + text_len, payload.at, payload.len);
	while (ota_inbox_put(desk->inbox, report) != OTA_OK)
		(void)nanosleep(&moment, NULL);
}

void ota_session_done(
	struct courier_desk *desk, struct courier_job *job, enum ota_code code)
{
	const struct courier_report like = {
		.kind = REPORT_DONE, .serial = job->serial, .code = code
	};

	ota_desk_post(desk, &like, "", (struct ota_bytes){ NULL, 0 });
	ota_courier_job_free(job);
}

static void report_down(
	struct courier_session *s, enum courier_hint hint, const char *why)
{
	const struct courier_report like = {
		.kind = REPORT_DOWN, .connection = s->connection, .hint = hint
	};

	s->deaf = true;
	if (s->up) {
		s->up = false;
		ota_idle_busy(); /* until ota_session_free() */
	}
	ota_desk_post(s->desk, &like, why, (struct ota_bytes){ NULL, 0 });
}

static void put_in_flight(struct courier_session *s, struct courier_job *job)
{
	ota_idle_busy();
	(void)pthread_mutex_lock(&s->lock);
	job->session = s;
	job->previous = NULL;
	job->next = s->flying;
	if (s->flying != NULL)
		s->flying->previous = job;
	s->flying = job;
	(void)pthread_mutex_unlock(&s->lock);
}

static void land(struct courier_session *s, struct courier_job *job, enum ota_code code)
{
	(void)pthread_mutex_lock(&s->lock);
	if (job->previous != NULL)
		job->previous->next = job->next;
	else
		s->flying = job->next;
	if (job->next != NULL)
		job->next->previous = job->previous;
	(void)pthread_mutex_unlock(&s->lock);
	ota_idle_done();
	ota_session_done(s->desk, job, code);
}

/* Paho's callbacks, on its two threads, with its process-wide lock held: they hand over
 * and leave, and never call Paho. */

static void on_up(struct courier_session *s)
{
	const struct courier_report like = { .kind = REPORT_UP,
		.connection = s->connection };

	s->up = true;
	ota_idle_connected();
	ota_desk_post(s->desk, &like, "", (struct ota_bytes){ NULL, 0 });
}

static void on_connected5(void *ctx, MQTTAsync_successData5 *data)
{
	(void)data;
	on_up(ctx);
}

static void on_connected(void *ctx, MQTTAsync_successData *data)
{
	(void)data;
	on_up(ctx);
}

/* What a failed attempt to connect says about the MQTT version. code is that of CONNACK,
 * or negative: MQTT 3.1.1 brokers may just close on a version 5 CONNECT. */
static enum courier_hint hint_of(int code, const char *message)
{
	if (code == MQTTREASONCODE_UNSUPPORTED_PROTOCOL_VERSION ||
		code == REASON_VERSION_OLD)
		return HINT_OLD;
	if (message != NULL && strcmp(message, "TCP connect completion failure") == 0)
		return HINT_MAYBE_OLD;
	return HINT_NONE;
}

/* OpenSSL does not say through Paho what it did not like. */
static const char *tls_help(const struct courier_session *s)
{
	return strstr(s->tls_why, "verify failed") == NULL
		       ? ""
		       : " (its dates against this clock, its name, its CA)";
}

static void on_refused(struct courier_session *s, int code, const char *message)
{
	const char *reason = NULL;
	char why[320];

	if (code > 0)
		reason = code >= MQTTREASONCODE_UNSPECIFIED_ERROR
				 ? MQTTReasonCode_toString((enum MQTTReasonCodes)code)
				 : "MQTT 3.1.1 return code";
	if (code > 0)
		(void)snprintf(why, sizeof why, "refused by the broker: %s (%d)",
			reason == NULL ? "reason" : reason, code);
	else if (s->tls_why[0] != '\0')
		(void)snprintf(why, sizeof why, "TLS: %s%s", s->tls_why, tls_help(s));
	else
		(void)snprintf(why, sizeof why, "%s: %s", s->settings->url,
			message == NULL ? "unknown name, refused or unreachable"
					: message);
	report_down(s, hint_of(code, message), why);
}

static void on_connect_failed5(void *ctx, MQTTAsync_failureData5 *data)
{
	on_refused(
		ctx, data == NULL ? -1 : data->code, data == NULL ? NULL : data->message);
}

static void on_connect_failed(void *ctx, MQTTAsync_failureData *data)
{
	on_refused(
		ctx, data == NULL ? -1 : data->code, data == NULL ? NULL : data->message);
}

static void on_lost(void *ctx, char *cause)
{
	report_down(ctx, HINT_NONE, cause == NULL ? "connection lost" : cause);
}

/* MQTT 5 DISCONNECT from the broker; on_lost() does not follow. */
static void on_disconnected(
	void *ctx, MQTTProperties *properties, enum MQTTReasonCodes reason)
{
	const char *text = MQTTReasonCode_toString(reason);
	char why[128];

	(void)properties;
	(void)snprintf(why, sizeof why, "disconnected by the broker: %s (%d)",
		text == NULL ? "reason" : text, (int)reason);
	report_down(ctx, HINT_NONE, why);
}

/* ERR_print_errors_cb() gives "thread:error:code:library:function:reason:file:line:"; the
 * first line is the cause. */
static int on_tls_error(const char *text, size_t len, void *ctx)
{
	struct courier_session *s = ctx;
	size_t begin = 0, colons = 0, end;

	if (s->tls_why[0] != '\0')
		return 1;
	while (begin < len && colons < 5)
		colons += text[begin++] == ':';
	for (end = begin; end < len && text[end] != ':' && text[end] != '\n'; end++)
		continue;
	(void)snprintf(
		s->tls_why, sizeof s->tls_why, "%.*s", (int)(end - begin), text + begin);
	return 1;
}

/* Topics are text; one with a NUL inside, or too long, is nobody's. */
static bool is_wanted(const char *topic, int topic_len, const MQTTAsync_message *message)
{
	return strnlen(topic, TOPIC_LEN_MAX + 1) <= TOPIC_LEN_MAX &&
	       (topic_len == 0 || (size_t)topic_len == strlen(topic)) &&
	       message->payloadlen >= 0 && message->payloadlen <= PACKET_LEN_MAX;
}

static void hand_over(
	struct courier_session *s, const char *topic, const MQTTAsync_message *message)
{
	const struct courier_report like = { .kind = REPORT_MESSAGE,
		.connection = s->connection,
		.retained = message->retained != 0 };

	ota_hold_add((size_t)message->payloadlen);
	ota_desk_post(s->desk, &like, topic,
		(struct ota_bytes){ message->payload, (size_t)message->payloadlen });
}

/* Always 1: what is refused here would only come again, and then hang the link. */
static int on_message(void *ctx, char *topic, int topic_len, MQTTAsync_message *message)
{
	struct courier_session *s = ctx;

	if (!s->deaf && is_wanted(topic, topic_len, message))
		hand_over(s, topic, message);
	MQTTAsync_freeMessage(&message);
	MQTTAsync_free(topic);
	return 1;
}

static bool is_any_refused(const MQTTAsync_successData5 *data)
{
	for (int i = 0; i < data->alt.sub.reasonCodeCount; i++)
		if (data->alt.sub.reasonCodes[i] >= MQTTREASONCODE_UNSPECIFIED_ERROR)
			return true;
	return false;
}

/* From MQTTREASONCODE_UNSPECIFIED_ERROR (0x80) on a reason is a refusal: MQTT 5.0, 2.4.
 * SUBACK of several filters comes here whatever it says (MQTT 5 only; the 3.1.1 callback
 * does not tell how many codes there are). */
static void on_job_done5(void *ctx, MQTTAsync_successData5 *data)
{
	struct courier_job *job = ctx;
	bool denied = job->kind == JOB_SUBSCRIBE && job->name_count > 1 &&
		      data->alt.sub.reasonCodeCount > 1 &&
		      data->alt.sub.reasonCodes != NULL && is_any_refused(data);

	land(job->session, job, denied ? OTA_E_DENIED : OTA_OK);
}

static void on_job_done(void *ctx, MQTTAsync_successData *data)
{
	struct courier_job *job = ctx;

	(void)data;
	land(job->session, job, OTA_OK);
}

/* code is 0 when the broker answered, and only then does reasonCode mean anything. */
static void on_job_failed5(void *ctx, MQTTAsync_failureData5 *data)
{
	struct courier_job *job = ctx;
	bool denied = data != NULL && data->code == 0 &&
		      data->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR;

	land(job->session, job, denied ? OTA_E_DENIED : OTA_E_LINK);
}

static void on_job_failed(void *ctx, MQTTAsync_failureData *data)
{
	struct courier_job *job = ctx;
	bool denied = data != NULL && data->code == MQTTREASONCODE_UNSPECIFIED_ERROR;

	land(job->session, job, denied ? OTA_E_DENIED : OTA_E_LINK);
}

struct courier_session *ota_session_new(const struct courier_settings *settings,
	struct courier_desk *desk, uint64_t connection, bool old)
{
	MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer5;
	struct courier_session *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->settings = settings;
	s->desk = desk;
	s->connection = connection;
	s->old = old;
	(void)pthread_mutex_init(&s->lock, NULL);
	ota_idle_session_begin(settings->keepalive_s);
	options.MQTTVersion = old ? MQTTVERSION_3_1_1 : MQTTVERSION_5;
	options.maxBufferedMessages = (int)settings->inflight_max + PAHO_QUEUE_SPARE;
	if (MQTTAsync_createWithOptions(&s->handle, settings->url, settings->client_id,
		    MQTTCLIENT_PERSISTENCE_NONE, NULL, &options) != MQTTASYNC_SUCCESS ||
		MQTTAsync_setCallbacks(s->handle, s, on_lost, on_message, NULL) !=
			MQTTASYNC_SUCCESS ||
		MQTTAsync_setDisconnected(s->handle, s, on_disconnected) !=
			MQTTASYNC_SUCCESS) {
		ota_session_free(s);
		return NULL;
	}
	return s;
}

static MQTTAsync_SSLOptions tls_of(struct courier_session *s)
{
	MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;

	tls.trustStore = s->settings->ca_file;
	tls.keyStore = s->settings->cert_file;
	tls.privateKey = s->settings->key_file;
	tls.enableServerCertAuth = 1;
	tls.verify = 1; /* the host name; Paho's default is not to look */
	tls.disableDefaultTrustStore = 1;
	tls.ssl_error_cb = on_tls_error;
	tls.ssl_error_context = s;
	return tls;
}

static MQTTAsync_willOptions will_of(const struct courier_settings *settings)
{
	MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;

	will.topicName = settings->will_topic;
	will.message = settings->will_payload == NULL ? "" : settings->will_payload;
	will.retained = 1;
	will.qos = 1;
	return will;
}

static MQTTAsync_connectOptions connect_options(struct courier_session *s)
{
	MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer5;

	if (s->old) {
		options.MQTTVersion = MQTTVERSION_3_1_1;
		options.cleanstart = 0;
		options.cleansession = 1;
		options.onSuccess = on_connected;
		options.onFailure = on_connect_failed;
	} else {
		options.onSuccess5 = on_connected5;
		options.onFailure5 = on_connect_failed5;
	}
	options.context = s;
	options.keepAliveInterval = (int)s->settings->keepalive_s;
	options.connectTimeout = CONNECT_TIMEOUT_S;
	options.maxInflight = (int)s->settings->inflight_max;
	options.username = s->settings->user;
	options.password = s->settings->password;
	return options;
}

void ota_session_connect(struct courier_session *s)
{
	MQTTAsync_connectOptions options = connect_options(s);
	MQTTAsync_SSLOptions tls = tls_of(s);
	MQTTAsync_willOptions will = will_of(s->settings);
	MQTTProperties properties = MQTTProperties_initializer;
	MQTTProperty packet_max = { .identifier = MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE,
		.value.integer4 = PACKET_LEN_MAX };
	int rc;

	if (strncmp(s->settings->url, "ssl://", 6) == 0)
		options.ssl = &tls;
	if (s->settings->will_topic != NULL)
		options.will = &will;
	if (!s->old && MQTTProperties_add(&properties, &packet_max) == 0)
		options.connectProperties = &properties;
	rc = MQTTAsync_connect(s->handle, &options);
	MQTTProperties_free(&properties);
	if (rc != MQTTASYNC_SUCCESS)
		report_down(s, HINT_NONE, MQTTAsync_strerror(rc));
}

static int subscribe(struct courier_session *s, char *const *names, size_t count,
	MQTTAsync_responseOptions *options)
{
	ota_autofree int *qos = calloc(count, sizeof *qos);

	if (qos == NULL)
		return MQTTASYNC_FAILURE;
	for (size_t i = 0; i < count; i++)
		qos[i] = 1;
	return MQTTAsync_subscribeMany(s->handle, (int)count, names, qos, options);
}

/* Nothing of the job may be touched once Paho has it: the callback may be faster than the
 * return, and releases it. So what Paho copies is taken out of the job first. */
void ota_session_send(struct courier_session *s, struct courier_job *job)
{
	MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
	const struct courier_job copy = *job;
	int rc;

	job->names = NULL;
	job->name_count = copy.name_count;
	job->payload = NULL;
	options.context = job;
	if (s->old) {
		options.onSuccess = on_job_done;
		options.onFailure = on_job_failed;
	} else {
		options.onSuccess5 = on_job_done5;
		options.onFailure5 = on_job_failed5;
	}
	put_in_flight(s, job);
	if (copy.kind == JOB_PUBLISH)
		rc = MQTTAsync_send(s->handle, copy.names[0], (int)copy.payload_len,
			copy.payload, copy.qos, copy.retain, &options);
	else if (copy.kind == JOB_SUBSCRIBE)
		rc = subscribe(s, copy.names, copy.name_count, &options);
	else
		rc = MQTTAsync_unsubscribeMany(
			s->handle, (int)copy.name_count, copy.names, &options);
	if (rc != MQTTASYNC_SUCCESS)
		land(s, job, OTA_E_LINK);
	ota_names_free(copy.names, copy.name_count);
	free(copy.payload);
}

void ota_session_free(struct courier_session *s)
{
	/* Paho's threads see that they are to stop when they come round. */
	ota_idle_busy();
	/* Sends DISCONNECT if it is connected, and takes Paho's lock: when it returns, no
	 * callback runs or will run. */
	if (s->handle != NULL)
		MQTTAsync_destroy(&s->handle);
	if (!s->up)
		ota_idle_done();
	while (s->flying != NULL)
		land(s, s->flying, OTA_E_LINK);
	ota_idle_session_end();
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}
