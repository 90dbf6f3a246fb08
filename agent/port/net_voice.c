#include "agent/port/net_voice.h"

#include <stdio.h>

#include "proto/io/log.h"
#include "proto/io/loop.h"

static void print_topic(const char *fleet, enum ota_topic_kind kind, const char *device,
	char out[static OTA_TOPIC_CAP])
{
	struct ota_topic topic = { .kind = kind };

	(void)snprintf(topic.name, sizeof topic.name, "%s", device);
	ota_topic_print(fleet, &topic, out);
}

void net_voice_init(struct net_voice *voice, const char *fleet, const char *device)
{
	struct ota_online online = { .online = true };

	*voice = (struct net_voice){ 0 };
	ota_random(voice->nonce, sizeof voice->nonce);
	ota_hex_encode(
		(struct ota_bytes){ voice->nonce, sizeof voice->nonce }, online.nonce);
	ota_online_print(&online, voice->online);
	online.online = false;
	ota_online_print(&online, voice->offline);
	print_topic(fleet, OTA_TOPIC_ONLINE, device, voice->online_topic);
	print_topic(fleet, OTA_TOPIC_REPORT, device, voice->report_topic);
	print_topic(fleet, OTA_TOPIC_PROGRESS, device, voice->progress_topic);
}

void net_voice_fini(struct net_voice *voice)
{
	ota_buf_fini(&voice->report);
	*voice = (struct net_voice){ 0 };
}

static void on_presence(void *ctx, enum ota_code code)
{
	(void)ctx;
	if (code == OTA_E_DENIED)
		ota_log(OTA_LOG_WARNING, "net.presence-denied", "code=DENIED");
}

static void flush(struct net_voice *voice);

static void on_report(void *ctx, enum ota_code code)
{
	struct net_voice *voice = ctx;

	voice->under_way = false;
	if (code == OTA_E_DENIED)
		ota_log(OTA_LOG_WARNING, "net.report-denied", "code=DENIED");
	flush(voice);
}

static void flush(struct net_voice *voice)
{
	struct ota_mqtt_message message = { .topic = voice->report_topic,
		.payload = ota_buf_bytes(&voice->report),
		.qos = 1,
		.retain = true };

	if (!voice->unsent || voice->under_way || !ota_mqtt_is_up(voice->link))
		return;
	if (ota_mqtt_publish(voice->link, &message, on_report, voice) != OTA_OK)
		return;
	voice->unsent = false;
	voice->under_way = true;
}

static enum ota_code say_presence(
	struct net_voice *voice, const char *text, ota_mqtt_done *done, void *ctx)
{
	struct ota_mqtt_message message = { .topic = voice->online_topic,
		.payload = ota_bytes_of(text),
		.qos = 1,
		.retain = true };

	return ota_mqtt_publish(voice->link, &message, done, ctx);
}

void net_voice_up(struct net_voice *voice)
{
	if (say_presence(voice, voice->online, on_presence, NULL) != OTA_OK)
		return; /* down again: the next up says it */
	voice->unsent = voice->report.len > 0;
	flush(voice);
}

enum ota_code net_voice_leave(struct net_voice *voice, ota_mqtt_done *done, void *ctx)
{
	return say_presence(voice, voice->offline, done, ctx);
}

enum ota_code net_voice_report(struct net_voice *voice, struct ota_bytes report)
{
	struct ota_buf copy = { 0 };

	if (ota_buf_add(&copy, report) != OTA_OK)
		return OTA_E_NOMEM;
	ota_buf_fini(&voice->report);
	voice->report = copy;
	voice->unsent = true;
	flush(voice);
	return OTA_OK;
}

void net_voice_progress(struct net_voice *voice, struct ota_bytes progress)
{
	struct ota_mqtt_message message = { .topic = voice->progress_topic,
		.payload = progress };

	if (ota_mqtt_is_up(voice->link) && progress.len <= OTA_PROGRESS_LEN_MAX &&
		ota_mqtt_publish(voice->link, &message, NULL, NULL) != OTA_OK)
		ota_log(OTA_LOG_DEBUG, "net.progress-lost", "bytes=%zu", progress.len);
}
