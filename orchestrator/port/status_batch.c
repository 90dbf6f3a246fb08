#include "orchestrator/port/status_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/port/fatal.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

struct slot {
	char key[OTA_NAME_CAP];
	struct ota_buf value; /* owned; kept for the next row */
};

struct status_batch {
	uv_timer_t timer;
	struct ledger *ledger; /* borrowed */
	uint64_t *slowest_ms;  /* borrowed */
	struct slot slots[STATUS_BATCH_MAX];
	size_t count;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void must(enum ota_code rc, const struct ota_error *err)
{
	if (rc != OTA_OK)
		fatal_ledger(err);
}

static struct slot *slot_of(struct status_batch *batch, const char *key)
{
	struct slot *slot;

	for (size_t i = 0; i < batch->count; i++)
		if (strcmp(batch->slots[i].key, key) == 0)
			return &batch->slots[i];
	if (batch->count == STATUS_BATCH_MAX)
		return NULL;
	slot = &batch->slots[batch->count++];
	(void)snprintf(slot->key, sizeof(slot->key), "%s", key);
	return slot;
}

bool status_batch_put(struct status_batch *batch, const char *key, struct ota_bytes value)
{
	struct slot *slot = slot_of(batch, key);
	struct ota_error err = { 0 };

	if (!slot)
		return false;
	slot->value.len = 0;
	err.code = ota_buf_add(&slot->value, value);
	if (err.code != OTA_OK)
		fatal_exit("ledger.failed", &err);
	return true;
}

void status_batch_join(struct status_batch *batch)
{
	struct ledger_row rows[STATUS_BATCH_MAX];
	struct ota_error err = { 0 };

	if (batch->count == 0)
		return;
	for (size_t i = 0; i < batch->count; i++)
		rows[i] = (struct ledger_row){ batch->slots[i].key,
			ota_buf_bytes(&batch->slots[i].value) };
	must(ledger_put_many(batch->ledger, CORE_STATUS, rows, batch->count, &err), &err);
	batch->count = 0;
	(void)uv_timer_stop(&batch->timer);
}

static void write_alone(struct status_batch *batch)
{
	uint64_t began_ms = ota_clock_mono_ms(), took_ms;
	struct ota_error err = { 0 };

	if (batch->count == 0)
		return;
	must(ledger_begin(batch->ledger, &err), &err);
	status_batch_join(batch);
	must(ledger_commit(batch->ledger, &err), &err);
	took_ms = ota_clock_mono_ms() - began_ms;
	if (took_ms > *batch->slowest_ms)
		*batch->slowest_ms = took_ms;
}

static void in_time(uv_timer_t *timer)
{
	write_alone(timer->data);
}

void status_batch_settle(struct status_batch *batch)
{
	if (batch->count == STATUS_BATCH_MAX)
		write_alone(batch);
	else if (batch->count > 0 && !uv_is_active((const uv_handle_t *)&batch->timer))
		(void)uv_timer_start(&batch->timer, in_time, STATUS_BATCH_MS, 0);
}

enum ota_code status_batch_new(uv_loop_t *loop, struct ledger *ledger,
	uint64_t *slowest_ms, struct status_batch **out, struct ota_error *err)
{
	struct status_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return ota_fail(err, OTA_E_NOMEM, "batch of reports");
	batch->ledger = ledger;
	batch->slowest_ms = slowest_ms;
	(void)uv_timer_init(loop, &batch->timer);
	batch->timer.data = batch;
	*out = batch;
	return OTA_OK;
}

static void release(uv_handle_t *handle)
{
	struct status_batch *batch = handle->data;

	if (batch->closed)
		batch->closed(batch->closed_ctx);
	for (size_t i = 0; i < STATUS_BATCH_MAX; i++)
		ota_buf_fini(&batch->slots[i].value);
	free(batch);
}

void status_batch_close(struct status_batch *batch, void (*closed)(void *ctx), void *ctx)
{
	if (!batch) {
		closed(ctx);
		return;
	}
	write_alone(batch);
	batch->closed = closed;
	batch->closed_ctx = ctx;
	uv_close((uv_handle_t *)&batch->timer, release);
}
