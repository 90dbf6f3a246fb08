#ifndef PROTO_IO_WORKER_H
#define PROTO_IO_WORKER_H

/* One thread that takes work off the loop: items go in on the loop thread, are worked on
 * one after the other, and come back to the loop thread in the order they went in. An
 * item belongs to one thread at a time, so that nobody locks anything in it. */

#include <uv.h>

#include "proto/base/error.h"

enum { OTA_WORKER_TURN = 50 }; /* items back in one turn of the loop */

/** The first member of whatever is worked on. */
struct ota_work {
	struct ota_work *next; /* the worker's, while it has the item */
};

struct ota_worker_calls {
	/** On the thread: do what takes long. Nothing but the item is touched. */
	void (*work)(struct ota_work *item);
	/** On the loop thread: it is done; owns the item. May give others, and close. */
	void (*done)(void *ctx, struct ota_work *item);
	/** On the loop thread: the worker is closing, and this one was not done, or
	 *  nobody was told; owns the item. */
	void (*release)(void *ctx, struct ota_work *item);
};

struct ota_worker;

/**
 * Start the thread.
 *
 * calls   copied
 * ctx     borrowed, for done and release
 * max     items that may be with the worker: given, and not told to be done yet; > 0
 *
 * Returns OTA_OK, OTA_E_NOMEM or OTA_E_IO (no thread). It keeps the loop alive until
 * ota_worker_close().
 */
OTA_CHECKED enum ota_code ota_worker_new(uv_loop_t *loop,
	const struct ota_worker_calls *calls, void *ctx, size_t max,
	struct ota_worker **out);

/** Hand an item over, from the loop thread. OTA_OK, or OTA_E_BUSY if max items are with
 *  the worker (the caller keeps this one). */
OTA_CHECKED enum ota_code ota_worker_give(
	struct ota_worker *worker, struct ota_work *item);

/** Close from the loop thread: waits for the item that is being worked on, hands all that
 *  are left to release before it returns, and calls nothing any more but closed (may be
 *  NULL), once libuv holds nothing. */
void ota_worker_close(
	struct ota_worker *worker, void (*closed)(void *ctx), void *closed_ctx);

#endif
