#include "proto/io/mqtt_courier.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/mqtt_hold.h"
#include "proto/io/mqtt_session.h"

struct ota_courier {
	struct courier_settings settings;
	struct courier_desk desk;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t given;
	struct courier_job *first;       /* owned, under lock */
	struct courier_job **last;       /* where the next one goes, under lock */
	struct courier_session *session; /* owned; only the thread looks */
};

/* Paho starts its two threads with the first handle of the process and stops them with
 * the last; in 1.3.12 a handle made while they are stopping can end up without them. */
static pthread_mutex_t paho_lifetime = PTHREAD_MUTEX_INITIALIZER;

/* Fixed in Paho 1.3.14 (upstream issue 1474): MQTTAsync_destroy() forgets topic and
 * payload of publishes it has queued but not begun to send, and so loses their memory.
 * The function it calls for that does nothing here, as upstream removed it. */
void __wrap_MQTTAsync_NULLPublishCommands(void *handle);
void __wrap_MQTTAsync_NULLPublishCommands(void *handle)
{
	(void)handle;
}

void ota_names_free(char **names, size_t count)
{
	for (size_t i = 0; names != NULL && i < count; i++)
		free(names[i]);
	free(names);
}

void ota_courier_job_free(struct courier_job *job)
{
	if (job == NULL)
		return;
	ota_names_free(job->names, job->name_count);
	free(job->payload);
	free(job);
}

static void job_freep(struct courier_job **job)
{
	ota_courier_job_free(*job);
}

struct courier_job *ota_courier_job_new(enum courier_job_kind kind,
	const char *const *names, size_t count, struct ota_bytes payload)
{
	OTA_AUTO(job_freep) struct courier_job *job = calloc(1, sizeof *job);

	if (job == NULL)
		return NULL;
	job->kind = kind;
	/* One more, so that none are an allocation too. */
	job->names = calloc(count + 1, sizeof(*job->names));
	job->payload = malloc(payload.len + 1);
	if (job->names == NULL || job->payload == NULL)
		return NULL;
	job->name_count = count;
	for (size_t i = 0; i < count; i++) {
		job->names[i] = strdup(names[i]);
		if (job->names[i] == NULL)
			return NULL;
	}
	job->payload_len = payload.len;
	if (payload.len > 0)
		memcpy(job->payload, payload.at, payload.len);
	return ota_take(&job);
}

static struct courier_job *wait_for_job(struct ota_courier *courier)
{
	struct courier_job *job;

	(void)pthread_mutex_lock(&courier->lock);
	while (courier->first == NULL)
		(void)pthread_cond_wait(&courier->given, &courier->lock);
	job = courier->first;
	courier->first = job->next;
	if (courier->first == NULL)
		courier->last = &courier->first;
	(void)pthread_mutex_unlock(&courier->lock);
	job->next = NULL;
	return job;
}

static void end_session(struct ota_courier *courier)
{
	if (courier->session != NULL)
		ota_session_free(courier->session);
	courier->session = NULL;
}

/* The new handle comes before the old one goes, so that Paho keeps its threads; the old
 * one goes before the new one connects under the same client id. */
static void open_session(struct ota_courier *courier, const struct courier_job *job)
{
	struct courier_session *session;
	const struct courier_report down = { .kind = REPORT_DOWN,
		.connection = job->serial };

	(void)pthread_mutex_lock(&paho_lifetime);
	session = ota_session_new(
		&courier->settings, &courier->desk, job->serial, job->old);
	end_session(courier);
	if (session != NULL)
		ota_session_connect(session);
	courier->session = session;
	(void)pthread_mutex_unlock(&paho_lifetime);
	if (session == NULL)
		ota_desk_post(&courier->desk, &down, "Paho gives no handle",
			(struct ota_bytes){ NULL, 0 });
}

static void *run(void *arg)
{
	struct ota_courier *courier = arg;
	const struct courier_report ended = { .kind = REPORT_ENDED };
	struct courier_job *job;

	(void)pthread_setname_np(pthread_self(), "mqtt_courier");
	while ((job = wait_for_job(courier))->kind != JOB_END) {
		if (job->kind == JOB_OPEN) {
			open_session(courier, job);
			ota_courier_job_free(job);
		} else if (courier->session == NULL) {
			ota_session_done(&courier->desk, job, OTA_E_LINK);
		} else {
			ota_session_send(courier->session, job);
		}
	}
	ota_courier_job_free(job);
	(void)pthread_mutex_lock(&paho_lifetime);
	end_session(courier);
	(void)pthread_mutex_unlock(&paho_lifetime);
	ota_desk_post(&courier->desk, &ended, "", (struct ota_bytes){ NULL, 0 });
	return NULL;
}

static bool copy(const char *from, char **to)
{
	*to = from == NULL ? NULL : strdup(from);
	return from == NULL || *to != NULL;
}

static bool copy_settings(
	const struct ota_mqtt_config *config, struct courier_settings *out)
{
	out->keepalive_s = config->keepalive_s;
	out->inflight_max = config->inflight_max;
	return copy(config->url, &out->url) && copy(config->client_id, &out->client_id) &&
	       copy(config->user, &out->user) && copy(config->password, &out->password) &&
	       copy(config->ca_file, &out->ca_file) &&
	       copy(config->cert_file, &out->cert_file) &&
	       copy(config->key_file, &out->key_file) &&
	       copy(config->will_topic, &out->will_topic) &&
	       copy(config->will_payload, &out->will_payload);
}

static void release(struct ota_courier *courier)
{
	char **texts[] = { &courier->settings.url, &courier->settings.client_id,
		&courier->settings.user, &courier->settings.password,
		&courier->settings.ca_file, &courier->settings.cert_file,
		&courier->settings.key_file, &courier->settings.will_topic,
		&courier->settings.will_payload };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(*texts[i]);
	(void)pthread_cond_destroy(&courier->given);
	(void)pthread_mutex_destroy(&courier->lock);
	free(courier);
}

enum ota_code ota_courier_new(const struct ota_mqtt_config *config,
	struct ota_inbox *inbox, struct ota_courier **out)
{
	struct ota_courier *courier = calloc(1, sizeof *courier);

	if (courier == NULL)
		return OTA_E_NOMEM;
	courier->desk.inbox = inbox;
	courier->last = &courier->first;
	(void)pthread_mutex_init(&courier->lock, NULL);
	(void)pthread_cond_init(&courier->given, NULL);
	if (!copy_settings(config, &courier->settings)) {
		release(courier);
		return OTA_E_NOMEM;
	}
	if (pthread_create(&courier->thread, NULL, run, courier) != 0) {
		release(courier);
		return OTA_E_IO;
	}
	*out = courier;
	return OTA_OK;
}

void ota_courier_give(struct ota_courier *courier, struct courier_job *job)
{
	job->next = NULL;
	(void)pthread_mutex_lock(&courier->lock);
	*courier->last = job;
	courier->last = &job->next;
	(void)pthread_cond_signal(&courier->given);
	(void)pthread_mutex_unlock(&courier->lock);
}

void ota_courier_release(struct courier_report *report)
{
	if (report != NULL && report->kind == REPORT_MESSAGE)
		ota_hold_release(report->payload_len);
	free(report);
}

void ota_courier_free(struct ota_courier *courier)
{
	(void)pthread_join(courier->thread, NULL);
	release(courier);
}
