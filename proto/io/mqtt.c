#include "proto/io/mqtt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/backoff.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "proto/io/mqtt_courier.h"
#include "proto/io/mqtt_hold.h"
#include "proto/io/mqtt_socket.h"
#include "proto/io/mqtt_tls.h"

enum {
	KEEPALIVE_S = 30,
	RECONNECT_MAX_S = 60,
	INFLIGHT_MAX = 20,
	BACKOFF_MIN_MS = 1000,
	SOON_MS = 50,               /* the other MQTT version is tried at once */
	STABLE_MS = 10 * 1000,      /* up for so long, the backoff starts anew */
	OLD_MEMORY_MS = 3600 * 1000 /* a broker that speaks only 3.1.1 is asked again */
};

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_UP, LINK_CLOSING };

/* A publish, subscribe or unsubscribe that its caller has not heard of yet. */
struct op {
	struct op *next; /* owned */
	uint64_t serial;
	bool is_publish;
	ota_mqtt_done *done;
	void *done_ctx;          /* borrowed */
	struct courier_job *job; /* owned while it waits for the window */
};

struct op_list {
	struct op *first, **last;
};

struct ota_mqtt {
	struct ota_mqtt_events events;
	void *ctx;                     /* borrowed */
	uv_timer_t timer;              /* until the next attempt to connect */
	struct ota_inbox *inbox;       /* owned */
	struct ota_courier *courier;   /* owned */
	struct courier_job *end;       /* owned; kept so that closing needs no memory */
	struct courier_report *report; /* owned; being handled, NULL once it is kept */
	enum link_state state;
	uint64_t serial;      /* the last one given */
	uint64_t connection;  /* the serial that opened the current connection */
	bool old;             /* the next connection speaks MQTT 3.1.1 */
	uint64_t old_till_ms; /* until then 3.1.1 is tried first */
	uint64_t up_since_ms;
	struct ota_backoff backoff;
	struct op_list flying;  /* with the courier */
	struct op_list waiting; /* publishes beyond the window */
	struct op_list failing; /* their callers are being told */
	uint32_t flying_publishes, inflight_max;
	size_t pending;            /* publishes in both lists */
	void (*closed)(void *ctx); /* may be NULL */
	void *closed_ctx;          /* borrowed */
};

static void list_add(struct op_list *list, struct op *op)
{
	op->next = NULL;
	*list->last = op;
	list->last = &op->next;
}

static void list_clear(struct op_list *list)
{
	*list = (struct op_list){ .last = &list->first };
}

/* Unlink the op with this serial; they end nearly in the order they began. */
static struct op *list_take(struct op_list *list, uint64_t serial)
{
	struct op **at = &list->first, *op;

	while (*at != NULL && (*at)->serial != serial)
		at = &(*at)->next;
	op = *at;
	if (op == NULL)
		return NULL;
	*at = op->next;
	if (op->next == NULL)
		list->last = at;
	return op;
}

static void op_free(struct op *op)
{
	ota_courier_job_free(op->job);
	free(op);
}

static void op_end(struct op *op, enum ota_code code)
{
	if (op->done != NULL)
		op->done(op->done_ctx, code);
	op_free(op);
}

static void list_move(struct op_list *from, struct op_list *to)
{
	if (from->first == NULL)
		return;
	*to->last = from->first;
	to->last = from->last;
	list_clear(from);
}

/* Tell all callers that the connection went. One of them may close the link, which comes
 * back here and tells the rest. */
static void fail_all(struct ota_mqtt *link)
{
	list_move(&link->flying, &link->failing);
	list_move(&link->waiting, &link->failing);
	link->flying_publishes = 0;
	link->pending = 0;
	while (link->failing.first != NULL)
		op_end(list_take(&link->failing, link->failing.first->serial),
			OTA_E_LINK);
}

static void send_op(struct ota_mqtt *link, struct op *op)
{
	link->flying_publishes += op->is_publish;
	list_add(&link->flying, op);
	ota_courier_give(link->courier, ota_take(&op->job));
}

static void fill_window(struct ota_mqtt *link)
{
	while (link->waiting.first != NULL && link->flying_publishes < link->inflight_max)
		send_op(link, list_take(&link->waiting, link->waiting.first->serial));
}

static void on_done(struct ota_mqtt *link, uint64_t serial, enum ota_code code)
{
	struct op *op = list_take(&link->flying, serial);

	if (op == NULL)
		return; /* its caller was told when the connection went */
	link->flying_publishes -= op->is_publish;
	link->pending -= op->is_publish;
	op_end(op, code);
	if (link->state == LINK_UP)
		fill_window(link);
}

static void on_timer(uv_timer_t *timer);

static void connect_later(struct ota_mqtt *link, bool soon)
{
	uint32_t random, delay_ms;

	ota_random((uint8_t *)&random, sizeof random);
	delay_ms = soon ? SOON_MS : ota_backoff_next(&link->backoff, random);
	link->state = LINK_WAITING;
	(void)uv_timer_start(&link->timer, on_timer, delay_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct ota_mqtt *link = timer->data;
	struct courier_job *job =
		ota_courier_job_new(JOB_OPEN, NULL, 0, (struct ota_bytes){ NULL, 0 });

	if (job == NULL) {
		connect_later(link, false);
		return;
	}
	link->state = LINK_CONNECTING;
	job->serial = link->connection = ++link->serial;
	job->old = link->old;
	ota_courier_give(link->courier, job);
}

static void on_up(struct ota_mqtt *link)
{
	link->state = LINK_UP;
	link->up_since_ms = ota_clock_mono_ms();
	if (link->old && link->up_since_ms >= link->old_till_ms)
		link->old_till_ms = link->up_since_ms + OLD_MEMORY_MS;
	if (link->events.up != NULL)
		link->events.up(link->ctx);
}

/* Which version the next attempt speaks. True if it may follow at once. */
static bool choose_version(struct ota_mqtt *link, enum courier_hint hint)
{
	bool was_old = link->old;

	link->old = ota_clock_mono_ms() < link->old_till_ms;
	if (was_old || hint == HINT_NONE)
		return false;
	link->old = true;
	return hint == HINT_OLD;
}

static void on_down(struct ota_mqtt *link, enum courier_hint hint, const char *why)
{
	bool soon = choose_version(link, hint);

	if (link->state == LINK_UP &&
		ota_clock_mono_ms() - link->up_since_ms >= STABLE_MS)
		ota_backoff_reset(&link->backoff);
	connect_later(link, soon);
	fail_all(link);
	if (link->state != LINK_CLOSING && link->events.down != NULL)
		link->events.down(link->ctx, why);
}

static void on_message(struct ota_mqtt *link, const struct courier_report *report)
{
	const uint8_t *payload = (const uint8_t *)report->text + strlen(report->text) + 1;

	if (link->events.message != NULL)
		link->events.message(link->ctx, report->text,
			(struct ota_bytes){ payload, report->payload_len },
			report->retained);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct ota_mqtt *link = handle->data;
	void (*closed)(void *ctx) = link->closed;
	void *ctx = link->closed_ctx;

	free(link);
	if (closed != NULL)
		closed(ctx);
}

static void drop_late_report(void *item)
{
	ota_courier_release(item);
}

static void on_ended(struct ota_mqtt *link)
{
	ota_courier_free(link->courier);
	ota_inbox_close(link->inbox, drop_late_report);
	uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

static void handle_report(struct ota_mqtt *link, const struct courier_report *report)
{
	bool current = report->connection == link->connection;

	switch (report->kind) {
	case REPORT_UP:
		if (current && link->state == LINK_CONNECTING)
			on_up(link);
		break;
	case REPORT_DOWN:
		if (current && (link->state == LINK_CONNECTING || link->state == LINK_UP))
			on_down(link, report->hint, report->text);
		break;
	case REPORT_MESSAGE:
		if (current && link->state == LINK_UP)
			on_message(link, report);
		break;
	case REPORT_DONE:
		on_done(link, report->serial, report->code);
		break;
	case REPORT_ENDED:
		break;
	}
}

static void take_report(void *ctx, void *item)
{
	struct ota_mqtt *link = ctx;
	struct courier_report *report = item;
	bool ended = report->kind == REPORT_ENDED;

	link->report = report;
	handle_report(link, report);
	ota_courier_release(ota_take(&link->report));
	if (ended)
		on_ended(link);
}

static OTA_CHECKED enum ota_code check_config(
	const struct ota_mqtt_config *config, struct ota_error *err)
{
	if (config->client_id == NULL || *config->client_id == '\0')
		return ota_fail(err, OTA_E_CONFIG, "no client id");
	if (config->url != NULL && strncmp(config->url, "ssl://", 6) == 0)
		return ota_tls_check(config, err);
	if (config->url != NULL && strncmp(config->url, "tcp://", 6) == 0)
		return OTA_OK;
	return ota_fail(err, OTA_E_CONFIG, "broker '%s' must begin with ssl:// or tcp://",
		config->url == NULL ? "" : config->url);
}

static struct ota_mqtt_config with_defaults(const struct ota_mqtt_config *config)
{
	struct ota_mqtt_config full = *config;

	if (full.keepalive_s == 0)
		full.keepalive_s = KEEPALIVE_S;
	if (full.reconnect_max_s == 0)
		full.reconnect_max_s = RECONNECT_MAX_S;
	if (full.inflight_max == 0)
		full.inflight_max = INFLIGHT_MAX;
	return full;
}

/* inbox and courier; on failure nothing of them is left but a handle that closes. */
static OTA_CHECKED enum ota_code start(
	struct ota_mqtt *link, uv_loop_t *loop, const struct ota_mqtt_config *config)
{
	enum ota_code rc = ota_inbox_new(loop, take_report, link, &link->inbox);

	if (rc != OTA_OK)
		return rc;
	link->end = ota_courier_job_new(JOB_END, NULL, 0, (struct ota_bytes){ NULL, 0 });
	rc = link->end == NULL ? OTA_E_NOMEM
			       : ota_courier_new(config, link->inbox, &link->courier);
	if (rc != OTA_OK) {
		ota_courier_job_free(ota_take(&link->end));
		ota_inbox_close(link->inbox, drop_late_report);
	}
	return rc;
}

enum ota_code ota_mqtt_new(uv_loop_t *loop, const struct ota_mqtt_config *config,
	const struct ota_mqtt_events *events, void *ctx, struct ota_mqtt **out,
	struct ota_error *err)
{
	const struct ota_mqtt_config full = with_defaults(config);
	ota_autofree struct ota_mqtt *link = NULL;
	enum ota_code rc = check_config(&full, err);

	if (rc != OTA_OK)
		return rc;
	link = calloc(1, sizeof *link);
	if (link == NULL)
		return ota_fail(err, OTA_E_NOMEM, "MQTT link");
	link->events = *events;
	link->ctx = ctx;
	link->inflight_max = full.inflight_max;
	link->backoff = (struct ota_backoff){ .min_ms = BACKOFF_MIN_MS,
		.max_ms = 1000 * full.reconnect_max_s };
	list_clear(&link->flying);
	list_clear(&link->waiting);
	list_clear(&link->failing);
	ota_socket_want_send_buffer(full.send_buffer_len);
	rc = start(link, loop, &full);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "MQTT link: %s", ota_code_text(rc));
	(void)uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	(void)uv_timer_start(&link->timer, on_timer, 0, 0);
	*out = ota_take(&link);
	return OTA_OK;
}

bool ota_mqtt_is_up(const struct ota_mqtt *link)
{
	return link->state == LINK_UP;
}

/* An op around job, which it takes; NULL when memory is short. */
static struct op *op_new(struct ota_mqtt *link, struct courier_job *job,
	ota_mqtt_done *done, void *done_ctx)
{
	struct op *op = job == NULL ? NULL : calloc(1, sizeof *op);

	if (op == NULL) {
		ota_courier_job_free(job);
		return NULL;
	}
	job->serial = op->serial = ++link->serial;
	op->is_publish = job->kind == JOB_PUBLISH;
	op->done = done;
	op->done_ctx = done_ctx;
	op->job = job;
	return op;
}

enum ota_code ota_mqtt_publish(struct ota_mqtt *link,
	const struct ota_mqtt_message *message, ota_mqtt_done *done, void *done_ctx)
{
	struct courier_job *job;
	struct op *op;

	if (link->state != LINK_UP)
		return OTA_E_LINK;
	job = ota_courier_job_new(JOB_PUBLISH, &message->topic, 1, message->payload);
	if (job != NULL) {
		job->qos = message->qos;
		job->retain = message->retain;
	}
	op = op_new(link, job, done, done_ctx);
	if (op == NULL)
		return OTA_E_NOMEM;
	link->pending++;
	list_add(&link->waiting, op);
	fill_window(link);
	return OTA_OK;
}

enum ota_code ota_mqtt_subscribe(struct ota_mqtt *link, const char *const *filters,
	size_t count, ota_mqtt_done *done, void *done_ctx)
{
	struct op *op;

	if (link->state != LINK_UP)
		return OTA_E_LINK;
	op = op_new(link,
		ota_courier_job_new(
			JOB_SUBSCRIBE, filters, count, (struct ota_bytes){ NULL, 0 }),
		done, done_ctx);
	if (op == NULL)
		return OTA_E_NOMEM;
	send_op(link, op);
	return OTA_OK;
}

enum ota_code ota_mqtt_unsubscribe(
	struct ota_mqtt *link, const char *const *filters, size_t count)
{
	struct op *op;

	if (link->state != LINK_UP)
		return OTA_E_LINK;
	op = op_new(link,
		ota_courier_job_new(
			JOB_UNSUBSCRIBE, filters, count, (struct ota_bytes){ NULL, 0 }),
		NULL, NULL);
	if (op == NULL)
		return OTA_E_NOMEM;
	send_op(link, op);
	return OTA_OK;
}

struct ota_mqtt_kept *ota_mqtt_keep(struct ota_mqtt *link)
{
	assert(link->report != NULL && link->report->kind == REPORT_MESSAGE);
	return ota_take(&link->report);
}

void ota_mqtt_let_go(struct ota_mqtt_kept *kept)
{
	ota_courier_release((struct courier_report *)kept);
}

size_t ota_mqtt_pending(const struct ota_mqtt *link)
{
	return link->pending;
}

size_t ota_mqtt_inbox_len(void)
{
	return ota_hold_len();
}

void ota_mqtt_close(struct ota_mqtt *link, void (*closed)(void *ctx), void *ctx)
{
	assert(link->state != LINK_CLOSING);
	link->closed = closed;
	link->closed_ctx = ctx;
	link->state = LINK_CLOSING;
	(void)uv_timer_stop(&link->timer);
	ota_courier_give(link->courier, link->end);
	link->end = NULL;
	fail_all(link);
}
