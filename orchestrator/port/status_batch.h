#ifndef ORCHESTRATOR_PORT_STATUS_BATCH_H
#define ORCHESTRATOR_PORT_STATUS_BATCH_H

/* What devices said last, on its way to the ledger. A call of the core that changes
 * nothing but rows of "status" needs no commit of its own: its rows wait here for those
 * of others, STATUS_BATCH_MS at most. A call that decides anything writes what waits in
 * its own transaction (core_ports.c), so that nothing is acted on that is not durable,
 * and a report is never durable without what followed from it. What a power cut takes of
 * the rest, the broker retains, and tells again. */

#include <uv.h>

#include "orchestrator/port/ledger.h"

enum {
	STATUS_BATCH_MAX = 100, /* rows */
	STATUS_BATCH_MS = 50,
};

struct status_batch;

/** An empty batch; ledger is borrowed, and slowest_ms, which is raised to what a write
 *  took. OTA_OK or OTA_E_NOMEM. Failing to write it later ends the process. */
OTA_CHECKED enum ota_code status_batch_new(uv_loop_t *loop, struct ledger *ledger,
	uint64_t *slowest_ms, struct status_batch **out, struct ota_error *err);

/** Take a row (copied) in the place of an earlier one of its key. False if the batch is
 *  full. */
bool status_batch_put(
	struct status_batch *batch, const char *key, struct ota_bytes value);

/** Inside a transaction: write what waits, so that it shares its fate. */
void status_batch_join(struct status_batch *batch);

/** Outside of transactions: a full batch is written, others are in time. */
void status_batch_settle(struct status_batch *batch);

/** Write what waits, and release; closed runs once libuv holds nothing. NULL: closed runs
 *  at once. */
void status_batch_close(struct status_batch *batch, void (*closed)(void *ctx), void *ctx);

#endif
