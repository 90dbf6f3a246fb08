#ifndef PROTO_IO_LOOP_H
#define PROTO_IO_LOOP_H

/* What a program's loop needs beside libuv itself, which callers use directly: clocks,
 * random bytes, and an inbox through which other threads hand work to the loop thread. */

#include <uv.h>

#include "proto/base/bytes.h"

/** Milliseconds of a clock that never jumps; only differences mean something. */
uint64_t ota_clock_mono_ms(void);

/** Seconds since 1970 UTC by the local clock, which may be wrong. */
uint64_t ota_clock_utc_s(void);

/** Minute of the local day, 0 .. 1439, by the local clock and time zone. */
uint32_t ota_clock_local_min(void);

/** Fill out with random bytes from the kernel. */
void ota_random(uint8_t *out, size_t len);

/** A number in 0 .. below-1, evenly. below > 0. */
uint32_t ota_random_below(uint32_t below);

/** Items handed from any thread to the loop thread: a mutex, a list, one wake (uv_async).
 *  After OTA_INBOX_TURN items the loop looks after its timers and sockets. */
struct ota_inbox;

enum { OTA_INBOX_TURN = 50 };

/** Called on the loop thread for each item, in order; owns the item. */
typedef void ota_inbox_take(void *ctx, void *item);

/** A new inbox on loop. It keeps the loop alive until ota_inbox_close(). */
OTA_CHECKED enum ota_code ota_inbox_new(
	uv_loop_t *loop, ota_inbox_take *take, void *ctx, struct ota_inbox **out);

/** Hand item over; any thread. OTA_OK or OTA_E_NOMEM (the caller keeps the item). */
OTA_CHECKED enum ota_code ota_inbox_put(struct ota_inbox *inbox, void *item);

/** Close from the loop thread; items still inside go to release. The memory is freed once
 *  libuv has closed the handle. */
void ota_inbox_close(struct ota_inbox *inbox, void (*release)(void *item));

#endif
