#ifndef AGENT_PORT_DECODE_CHILD_H
#define AGENT_PORT_DECODE_CHILD_H

/* A decoder (proto/delta/decode.h) in a process of its own, which can do nothing but
 * decode (decode_sandbox.h): what a crafted patch does to it ends there. It has the shape
 * of a decoder for its caller, who must not be the loop's thread: every call waits.
 *
 * What comes out of it is only as good as that process. The length of the image is held
 * here to what was ordered; its digest is for the caller to look at, once it is written.
 */

#include <stdatomic.h>
#include <sys/types.h>

#include "proto/delta/codec.h"

/** A decoder under way. Opaque. */
struct decode_child;

struct decode_job {
	const struct ota_manifest *manifest; /* borrowed for the call */
	int from_fd;             /* source image, borrowed for the call; -1: none */
	uint64_t from_len;       /* bytes of it */
	int overlay_fd;          /* what stands for some of it (agent/core/overlay.h),
				    borrowed for the call; -1 or 0: nothing does */
	struct ota_sink out;     /* takes the new image in order; ctx is borrowed */
	uint64_t ram_max;        /* bytes of heap the decoder may hold */
	const atomic_bool *stop; /* borrowed for the decoder's life; ends any wait within
				    0.1 s; may be NULL */
	const char *program; /* the agent; NULL: this program. It is run with the one word
				`decode` */
	uint32_t idle_ms; /* without a byte in either direction; 0: as the image needs */
};

/**
 * Start a decoder.
 *
 * Returns OTA_OK; what ota_decoder_new() refuses, with its text (OTA_E_NORAM,
 * OTA_E_NOTFOUND, OTA_E_PRECURSOR); OTA_E_IO or OTA_E_NOMEM if there are no descriptors,
 * processes or memory for it; or as decode_child_feed(). Release with
 * decode_child_free().
 */
OTA_CHECKED enum ota_code decode_child_new(
	const struct decode_job *job, struct decode_child **out, struct ota_error *err);

/** As ota_decoder_resume(): `have` is what is in place of the new image, from its start.
 *  Called before the first feed, at most once. */
OTA_CHECKED enum ota_code decode_child_resume(
	struct decode_child *child, const struct ota_source *have, struct ota_error *err);

/**
 * Feed the next bytes of the patch, in order. What the decoder has made meanwhile goes to
 * the sink.
 *
 * Returns OTA_OK; OTA_E_DECODER if the decoder died ("decoder died of SIGSEGV"), spoke
 * nonsense or made too much; whatever it refused, with its code and text; OTA_E_TIMEOUT
 * if it stood still; OTA_E_CANCELLED once *stop is set; or what the sink returned. After
 * a failure only decode_child_free() may be called.
 */
OTA_CHECKED enum ota_code decode_child_feed(
	struct decode_child *child, struct ota_bytes data, struct ota_error *err);

/** All bytes were fed: wait until the image is whole. As decode_child_feed(), and as
 *  ota_decoder_finish(). */
OTA_CHECKED enum ota_code decode_child_finish(
	struct decode_child *child, struct ota_error *err);

/** Bytes of the new image that are in place: found there or written so far. */
uint64_t decode_child_written(const struct decode_child *child);

/** The most bytes of heap the decoder held, as it says; 0 before it has finished. */
uint64_t decode_child_ram_peak(const struct decode_child *child);

/** Its process, for tests; void once a call has failed or it has finished. */
pid_t decode_child_pid(const struct decode_child *child);

/** Kill the process if it still runs, and release everything. NULL is allowed. */
void decode_child_free(struct decode_child *child);

#endif
