/* GET /metrics: what Prometheus asks for, in its text format 0.0.4. */
#include "orchestrator/port/api_handlers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "orchestrator/port/now.h"
#include "proto/base/own.h"
#include "proto/io/mqtt.h"
#include "proto/wire/json.h"

/* A text that grows; the first failure sticks. Labels need no escaping: all of them are
 * names, states or routes. */
struct metrics {
	struct ota_buf *out; /* borrowed */
	enum ota_code rc;
};

/* ---- the format */

static void family(
	struct metrics *m, const char *name, const char *type, const char *help)
{
	if (m->rc == OTA_OK)
		m->rc = ota_buf_printf(
			m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(
	struct metrics *m, const char *name, const char *labels, uint64_t value)
{
	if (m->rc == OTA_OK)
		m->rc = ota_buf_printf(m->out,
			labels[0] ? "%s{%s} %" PRIu64 "\n" : "%s%s %" PRIu64 "\n", name,
			labels, value);
}

static void sample_milli(struct metrics *m, const char *name, uint64_t milli)
{
	if (m->rc == OTA_OK)
		m->rc = ota_buf_printf(m->out, "%s %" PRIu64 ".%03u\n", name,
			milli / 1000, (unsigned)(milli % 1000));
}

static void one(struct metrics *m, const char *name, const char *type, const char *help,
	uint64_t value)
{
	family(m, name, type, help);
	sample(m, name, "", value);
}

/* ---- from the answers of the core */

static const cJSON *member(const cJSON *tree, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(tree, name);
}

static uint64_t number(const cJSON *tree, const char *name)
{
	const cJSON *item = member(tree, name);

	return cJSON_IsNumber(item) ? (uint64_t)item->valuedouble : 0;
}

static const char *text(const cJSON *tree, const char *name)
{
	const char *value = cJSON_GetStringValue(member(tree, name));

	return value ? value : "";
}

enum { LABELS_CAP = 4 * OTA_NAME_CAP };

static void add_devices(struct metrics *m, const cJSON *status)
{
	const cJSON *devices = member(status, "devices"), *state;
	char labels[LABELS_CAP];

	family(m, "sluice_devices", "gauge", "Devices of the fleet by their state.");
	cJSON_ArrayForEach(state, member(devices, "by_state"))
	{
		(void)snprintf(labels, sizeof(labels), "state=\"%s\"", state->string);
		sample(m, "sluice_devices", labels, (uint64_t)state->valuedouble);
	}
	one(m, "sluice_devices_online", "gauge",
		"Devices that are connected to the broker.", number(devices, "online"));
	one(m, "sluice_devices_pending", "gauge", "Devices that wait to be accepted.",
		number(devices, "pending"));
	one(m, "sluice_alarms", "gauge", "Alarms of devices.",
		(uint64_t)cJSON_GetArraySize(member(status, "alarms")));
}

/* Each rollout that is not over, in full. */
static void each_rollout(struct metrics *m, const struct api *api,
	void (*add)(struct metrics *m, const cJSON *rollout))
{
	const char *name;
	bool is_over;

	for (size_t i = 0; (name = core_rollout_at(api->core, i, &is_over)); i++) {
		OTA_AUTO(ota_json_fini)
		cJSON *rollout =
			is_over ? NULL : core_rollout_json(api->core, port_now(), name);

		if (rollout)
			add(m, rollout);
	}
}

static void add_state(struct metrics *m, const cJSON *rollout)
{
	char labels[LABELS_CAP];

	(void)snprintf(labels, sizeof(labels), "rollout=\"%s\",state=\"%s\"",
		text(rollout, "rollout"), text(rollout, "state"));
	sample(m, "sluice_rollout_state", labels, 1);
}

static void add_stages(struct metrics *m, const cJSON *rollout)
{
	static const char *const states[] = { "pending", "offline", "working",
		"confirmed", "failed", "reverted", "excused" };
	const cJSON *stage;
	char labels[LABELS_CAP];

	cJSON_ArrayForEach(stage, member(rollout, "stages"))
	{
		for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
			(void)snprintf(labels, sizeof(labels),
				"rollout=\"%s\",stage=\"%s\",state=\"%s\"",
				text(rollout, "rollout"), text(stage, "name"), states[i]);
			sample(m, "sluice_stage_devices", labels,
				number(member(stage, "counts"), states[i]));
		}
	}
}

static void add_rollouts(struct metrics *m, const struct api *api)
{
	family(m, "sluice_rollout_state", "gauge",
		"1 for the state of each rollout that is not over.");
	each_rollout(m, api, add_state);
	family(m, "sluice_stage_devices", "gauge",
		"Devices of each stage of a rollout that is not over.");
	each_rollout(m, api, add_stages);
}

static void add_expiry(struct metrics *m, const struct api *api)
{
	OTA_AUTO(ota_json_fini) cJSON *list = core_expiry_json(api->core);
	const cJSON *row;
	char labels[LABELS_CAP];

	family(m, "sluice_document_expiry_timestamp_seconds", "gauge",
		"When a signed document that is in force expires, since 1970.");
	cJSON_ArrayForEach(row, list)
	{
		(void)snprintf(labels, sizeof(labels), "type=\"%s\",rollout=\"%s\"",
			text(row, "type"), text(row, "rollout"));
		sample(m, "sluice_document_expiry_timestamp_seconds", labels,
			number(row, "expires"));
	}
}

/* ---- from the ports */

static void add_bytes(struct metrics *m, const struct api *api, const cJSON *status)
{
	const cJSON *bytes = member(status, "bytes");
	uint64_t published = 0, again = 0;

	if (m->rc == OTA_OK)
		m->rc = ledger_counts(api->ledger, &published, &again, NULL);
	one(m, "sluice_published_bytes_total", "counter",
		"Bytes of patches published, each patch once.", published);
	one(m, "sluice_republished_bytes_total", "counter",
		"Bytes of patches published again.", again);
	one(m, "sluice_full_bytes", "gauge",
		"Bytes that full images would have taken in place of the patches made.",
		number(bytes, "full"));
	family(m, "sluice_saved_ratio", "gauge",
		"Share of these bytes that the patches save.");
	sample_milli(m, "sluice_saved_ratio", number(bytes, "saved_permille"));
}

static void add_broker(struct metrics *m, const struct api *api)
{
	struct mqtt_in_counts in = mqtt_in_counts(api->in);

	one(m, "sluice_broker_connected", "gauge",
		"1 while there is a session with the broker.",
		api->link && ota_mqtt_is_up(api->link));
	one(m, "sluice_broker_probe_ok", "gauge",
		"1 once the broker has shown that it keeps what is published.",
		strcmp(publisher_probe_text(api->publisher), "ok") == 0);
	one(m, "sluice_broker_denied_total", "counter",
		"Publishes that the broker refused.",
		publisher_denied_count(api->publisher));
	one(m, "sluice_outbox_messages", "gauge",
		"Messages that the broker has not acknowledged yet.",
		ledger_outbox_len(api->ledger));
	one(m, "sluice_mqtt_inbox_bytes", "gauge",
		"Messages received from the broker and not handled yet.",
		ota_mqtt_inbox_len());
	one(m, "sluice_messages_received_total", "counter",
		"Messages of devices: reports, presence, needs.", in.received);
	one(m, "sluice_messages_refused_total", "counter",
		"Messages of devices that were refused.", in.refused);
}

static void add_ledger(struct metrics *m, const struct api *api)
{
	struct ota_digest head;
	uint64_t seq;

	ledger_audit_head(api->ledger, &seq, &head);
	one(m, "sluice_audit_entries_total", "counter", "Entries of the audit log.", seq);
}

static void add_count(void *ctx, const struct api_counted *counted)
{
	char labels[LABELS_CAP];

	(void)snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\",code=\"%u\"",
		counted->method, counted->path, counted->status);
	sample(ctx, "sluice_http_requests_total", labels, counted->count);
}

static void add_http(struct metrics *m, const struct api *api)
{
	family(m, "sluice_http_requests_total", "counter",
		"Answers by route and status; without a route: what has none or no key.");
	api_each_count(api, add_count, m);
	one(m, "sluice_http_streams", "gauge", "Open streams of events.",
		api->counts.streams);
}

static uint64_t delivered(const struct webhook_view *view)
{
	return view->delivered;
}

static uint64_t failed(const struct webhook_view *view)
{
	return view->failed;
}

static uint64_t given_up(const struct webhook_view *view)
{
	return view->given_up;
}

static uint64_t waiting(const struct webhook_view *view)
{
	return view->waiting;
}

static uint64_t is_disabled(const struct webhook_view *view)
{
	return view->disabled_s != 0;
}

static uint64_t age_of_oldest(const struct webhook_view *view)
{
	uint64_t now_s = port_now().utc_s;

	return view->oldest_s != 0 && now_s > view->oldest_s ? now_s - view->oldest_s : 0;
}

static void add_webhooks(struct metrics *m, const struct api *api)
{
	static const struct {
		const char *name, *type, *help;
		uint64_t (*number_of)(const struct webhook_view *view);
	} families[] = {
		{ "sluice_webhook_delivered_total", "counter",
			"Events that a webhook has taken.", delivered },
		{ "sluice_webhook_failures_total", "counter",
			"Tries to send an event that failed.", failed },
		{ "sluice_webhook_given_up_total", "counter",
			"Events that a webhook was not told, because they became too "
			"old.",
			given_up },
		{ "sluice_webhook_waiting", "gauge", "Events that wait to be sent.",
			waiting },
		{ "sluice_webhook_oldest_seconds", "gauge",
			"How long ago the oldest event that waits has happened; 0: none "
			"waits.",
			age_of_oldest },
		{ "sluice_webhook_disabled", "gauge",
			"1 after a webhook has answered 410 Gone: it is told nothing.",
			is_disabled },
	};
	struct webhook_view view;
	char labels[LABELS_CAP];

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		family(m, families[f].name, families[f].type, families[f].help);
		for (size_t i = 0; webhooks_at(api->webhooks, i, &view); i++) {
			(void)snprintf(labels, sizeof(labels), "webhook=\"%s\"",
				view.config->name);
			sample(m, families[f].name, labels, families[f].number_of(&view));
		}
	}
}

static uint64_t resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	(void)fclose(file);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t milli_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_usec / 1000;
}

static void add_process(struct metrics *m)
{
	struct rusage used = { 0 };

	(void)getrusage(RUSAGE_SELF, &used);
	family(m, "process_cpu_seconds_total", "counter", "Processor time of sluiced.");
	sample_milli(m, "process_cpu_seconds_total",
		milli_of(used.ru_utime) + milli_of(used.ru_stime));
	one(m, "process_resident_memory_bytes", "gauge", "Memory that sluiced holds.",
		resident_bytes());
}

/* ---- the routes */

enum ota_code api_get_metrics(struct api *api, const struct api_request *request,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *status = core_status_json(api->core, port_now());
	struct metrics m = { &reply->body, status ? OTA_OK : OTA_E_NOMEM };

	(void)request;
	family(&m, "sluice_build_info", "gauge", "1, with the version of sluiced.");
	sample(&m, "sluice_build_info", "version=\"" SLUICE_VERSION "\"", 1);
	add_devices(&m, status);
	add_rollouts(&m, api);
	add_expiry(&m, api);
	add_bytes(&m, api, status);
	add_broker(&m, api);
	add_ledger(&m, api);
	add_http(&m, api);
	add_webhooks(&m, api);
	add_process(&m);
	if (m.rc != OTA_OK)
		return ota_fail(err, m.rc, "metrics");
	reply->type = "text/plain; version=0.0.4; charset=utf-8";
	reply->status = 200;
	return OTA_OK;
}

void api_ready(const struct api *api, struct api_reply *reply)
{
	bool leads = !api->standby;
	bool broker = leads && api->link && ota_mqtt_is_up(api->link) &&
		      strcmp(publisher_probe_text(api->publisher), "ok") == 0;
	enum ota_code rc = ota_buf_printf(&reply->body,
		"{\"ready\":%s,\"leader\":%s,\"broker\":%s}", broker ? "true" : "false",
		leads ? "true" : "false", broker ? "true" : "false");

	reply->status = broker && rc == OTA_OK ? 200 : 503;
}
