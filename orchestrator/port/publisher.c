#include "orchestrator/port/publisher_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/port/fatal.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"

enum {
	TICK_MS = 100,
	CLEARS_PER_TICK = 20, /* 200 a second: Mosquitto leaks 155 bytes a topic */
};

void publish_topic(const struct publisher *p, enum ota_topic_kind kind,
	const struct ota_digest *patch, uint32_t index, char out[static OTA_TOPIC_CAP])
{
	struct ota_topic topic = { .kind = kind, .digest = *patch, .index = index };

	ota_topic_print(p->fleet, &topic, out);
}

/* ---- what was acknowledged goes to the ledger, many at a time */

static void write_acks(struct publisher *p)
{
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (p->ack_count == 0 && p->again_bytes == 0)
		return;
	rc = ledger_begin(p->ledger, &err);
	for (uint32_t i = 0; i < p->ack_count && rc == OTA_OK; i++)
		rc = ledger_retained_done(p->ledger, p->acks[i], &err);
	if (rc == OTA_OK && p->again_bytes)
		rc = ledger_count_again(p->ledger, p->again_bytes, &err);
	if (rc == OTA_OK)
		rc = ledger_commit(p->ledger, &err);
	if (rc != OTA_OK)
		fatal_ledger(&err);
	p->ack_count = 0;
	p->again_bytes = 0;
}

static void note_ack(struct publisher *p, uint64_t seq)
{
	if (seq == 0)
		return;
	p->acks[p->ack_count++] = seq;
	if (p->ack_count == ACKS_MAX)
		write_acks(p);
	publish_start_tick(p);
}

/* ---- sending */

static void landed(void *ctx, enum ota_code code);

/* A process that was stopped for a while may have been replaced: nothing goes out of it
 * any more. */
static void must_lead(struct publisher *p)
{
	struct ota_error err = { 0 };

	if (ledger_hold(p->ledger, &err) != OTA_OK)
		fatal_ledger(&err);
}

bool publish_send(struct publisher *p, const struct flight *flight, const char *topic,
	struct ota_bytes payload)
{
	struct ota_mqtt_message message = { topic, payload, 1, true };
	struct flight *f = malloc(sizeof(*f));

	if (!f)
		return false;
	must_lead(p);
	*f = *flight;
	f->owner = p;
	f->session = p->session;
	f->bytes = payload.len;
	if (ota_mqtt_publish(p->link, &message, landed, f) == OTA_OK)
		return true;
	free(f);
	return false;
}

void publish_rewind(struct publisher *p, uint64_t seq)
{
	if (p->cursor >= seq)
		p->cursor = seq - 1;
}

/* ---- rows */

static bool send_row(struct publisher *p, const struct ledger_retained *row)
{
	struct flight flight = { .kind = FLIGHT_ROW, .seq = row->seq };

	if (!publish_send(p, &flight, row->topic, ota_buf_bytes(&row->payload)))
		return false;
	p->out++;
	return true;
}

static bool take_row(struct publisher *p, const struct ledger_retained *row)
{
	switch (row->kind) {
	case LEDGER_MESSAGE:
	case LEDGER_CLEAR:
		return send_row(p, row);
	case LEDGER_PATCH:
		if (p->out > 0)
			return false; /* a barrier both ways */
		publish_patch_begin(p, row);
		return true;
	case LEDGER_RELEASE:
		return publish_clear_begin(p, row);
	case N_LEDGER_KINDS:
		break;
	}
	return false;
}

static void pump_rows(struct publisher *p)
{
	bool more = true;

	while (more && p->stage == STAGE_ROWS && p->out < ROWS_OUT_MAX) {
		OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };
		struct ota_error err = { 0 };

		if (ledger_retained_next(p->ledger, p->cursor, &row, &more, &err) !=
			OTA_OK)
			fatal_ledger(&err);
		more = more && take_row(p, &row);
		if (more)
			p->cursor = row.seq;
	}
}

/* ---- the machinery */

static void note_denied(struct publisher *p, const struct flight *f)
{
	p->denied++;
	ota_log(OTA_LOG_ERR, "publish.denied", "kind=%d seq=%" PRIu64, (int)f->kind,
		f->seq);
}

static void act_on(struct publisher *p, const struct flight *f, enum ota_code code)
{
	switch (f->kind) {
	case FLIGHT_ROW:
		p->out--;
		if (code == OTA_OK)
			note_ack(p, f->seq);
		else if (code == OTA_E_LINK)
			publish_rewind(p, f->seq);
		break;
	case FLIGHT_CLEAR:
		if (code == OTA_OK)
			note_ack(p, f->seq);
		break;
	case FLIGHT_CHUNK:
	case FLIGHT_MANIFEST:
		publish_patch_landed(p, f, code);
		break;
	case FLIGHT_RESEND:
		p->resend_out--;
		p->again_bytes += code == OTA_OK ? f->bytes : 0;
		publish_start_tick(p);
		break;
	case FLIGHT_PROBE:
		publish_probe_landed(p, code);
		break;
	}
}

static void pump(struct publisher *p)
{
	if (p->stage < STAGE_ROWS)
		return;
	publish_stray_begin(p);
	pump_rows(p);
	if (p->stage == STAGE_CHUNKS) {
		publish_patch_pump(p);
		if (p->stage == STAGE_ROWS) /* the patch could not be sent */
			publisher_kick(p);
	}
	publish_resend_pump(p);
}

static void landed(void *ctx, enum ota_code code)
{
	ota_autofree struct flight *f = ctx;
	struct publisher *p = f->owner;

	if (f->session != p->session || p->stage == STAGE_DOWN)
		return;
	if (code == OTA_E_DENIED && f->kind != FLIGHT_PROBE)
		note_denied(p, f);
	act_on(p, f, code);
	pump(p);
}

static void pump_timer(uv_timer_t *timer)
{
	pump(timer->data);
}

void publisher_kick(struct publisher *p)
{
	(void)uv_timer_start(&p->pump, pump_timer, 0, 0);
}

static void tick(uv_timer_t *timer)
{
	struct publisher *p = timer->data;

	write_acks(p);
	if (p->stage >= STAGE_ROWS) {
		for (int i = 0; i < CLEARS_PER_TICK && p->clearing; i++)
			if (!publish_clear_one(p))
				break;
		if (p->wanted && ota_clock_mono_ms() >= p->wanted_at_ms)
			publish_wanted(p);
		pump(p);
	}
	if (p->stage < STAGE_ROWS || (!p->clearing && !p->wanted && p->ack_count == 0))
		(void)uv_timer_stop(timer);
}

void publish_start_tick(struct publisher *p)
{
	if (!uv_is_active((const uv_handle_t *)&p->tick))
		(void)uv_timer_start(&p->tick, tick, TICK_MS, TICK_MS);
}

void publisher_up(struct publisher *p, struct ota_mqtt *link)
{
	p->link = link;
	p->session++;
	p->cursor = 0;
	p->out = 0;
	p->resend_out = 0;
	if (p->probed) {
		p->stage = STAGE_ROWS;
		publisher_kick(p);
	} else {
		publish_probe_begin(p);
	}
}

void publisher_down(struct publisher *p)
{
	if (p->stage == STAGE_CHUNKS || p->stage == STAGE_MANIFEST)
		p->again_bytes += p->patch_bytes;
	(void)uv_timer_stop(&p->probe);
	publish_stray_down(p);
	cached_patch_fini(&p->patch);
	cached_patch_fini(&p->resend_file);
	cached_blocks_fini(&p->resend_blocks);
	/* after the next connect all rows are walked again */
	chunk_set_clear(&p->wanted);
	chunk_set_clear(&p->resending);
	chunk_set_clear(&p->clearing);
	p->stage = STAGE_DOWN;
	p->link = NULL;
}

const char *publisher_probe_text(const struct publisher *p)
{
	return p->probe_text;
}

uint64_t publisher_denied_count(const struct publisher *p)
{
	return p->denied;
}

/* ---- life */

static void add_timer(uv_loop_t *loop, struct publisher *p, uv_timer_t *timer)
{
	(void)uv_timer_init(loop, timer);
	timer->data = p;
	p->handles++;
}

enum ota_code publisher_new(uv_loop_t *loop, const struct publisher_config *config,
	struct publisher **out, struct ota_error *err)
{
	ota_autofree struct publisher *p = calloc(1, sizeof(*p));
	struct ota_digest none = { 0 };

	if (p)
		p->dir = strdup(config->patches_dir);
	if (!p || !p->dir)
		return ota_fail(err, OTA_E_NOMEM, "publisher");
	p->ledger = config->ledger;
	(void)snprintf(p->fleet, sizeof(p->fleet), "%s", config->fleet);
	(void)snprintf(p->probe_text, sizeof(p->probe_text), "waiting");
	publish_topic(p, OTA_TOPIC_CHUNK, &none, 0, p->probe_topic);
	add_timer(loop, p, &p->pump);
	add_timer(loop, p, &p->tick);
	add_timer(loop, p, &p->probe);
	add_timer(loop, p, &p->stray);
	*out = ota_take(&p);
	return OTA_OK;
}

static void handle_closed(uv_handle_t *handle)
{
	struct publisher *p = handle->data;

	if (--p->handles > 0)
		return;
	if (p->closed)
		p->closed(p->closed_ctx);
	free(p->dir);
	free(p);
}

void publisher_close(struct publisher *p, void (*closed)(void *ctx), void *ctx)
{
	if (!p) {
		closed(ctx);
		return;
	}
	publisher_down(p);
	write_acks(p);
	p->closed = closed;
	p->closed_ctx = ctx;
	uv_close((uv_handle_t *)&p->pump, handle_closed);
	uv_close((uv_handle_t *)&p->tick, handle_closed);
	uv_close((uv_handle_t *)&p->probe, handle_closed);
	uv_close((uv_handle_t *)&p->stray, handle_closed);
}
