#ifndef ORCHESTRATOR_PORT_WEBHOOK_POST_H
#define ORCHESTRATOR_PORT_WEBHOOK_POST_H

/* Sends letters to one address, one after the other, from a thread of its own: looking up
 * a name, reading certificates and shaking hands take as long as others want, and neither
 * the loop nor another address waits for it. No redirect is followed, no proxy used. */

#include "orchestrator/core/webhook.h"
#include "orchestrator/port/webhook_secret.h"
#include "proto/io/worker.h"

enum {
	WEBHOOK_POSTS_MAX = 2,        /* an event and a test */
	WEBHOOK_REPLY_CAP = 256,      /* bytes of what an answer says, that are kept */
	WEBHOOK_REPLY_MAX = 64 << 10, /* bytes of an answer that are read */
};

struct webhook_poster;

/** One request. The caller fills the first half; the thread the other. */
struct webhook_letter {
	struct ota_work work;          /* first: the worker's */
	struct webhook_poster *poster; /* set by webhook_post() */
	bool is_test;
	char id[WEBHOOK_ID_CAP];
	uint64_t at_utc_s;
	char signatures[WEBHOOK_SIGNATURES_CAP];
	struct ota_buf body; /* owned */
	struct webhook_answer answer;
	char text[WEBHOOK_REPLY_CAP]; /* why there is no answer; else its begin, escaped
				       */
	uint64_t took_ms;
};

/** Release it. NULL is allowed. */
void webhook_letter_free(struct webhook_letter *letter);

/** Where letters go. All is borrowed, and outlives the poster. */
struct webhook_address {
	const char *url;
	const char *ca_file; /* "": those of the system */
	uint32_t timeout_s;  /* of a request, from its begin to the end of the answer */
};

/** On the loop thread: a letter has its answer. Owns the letter. */
typedef void webhook_answered_call(void *ctx, struct webhook_letter *letter);

/** A poster, and its thread. OTA_OK, OTA_E_NOMEM or OTA_E_IO. It keeps the loop alive
 *  until webhook_poster_close(). */
OTA_CHECKED enum ota_code webhook_poster_new(uv_loop_t *loop,
	const struct webhook_address *address, webhook_answered_call *answered, void *ctx,
	struct webhook_poster **out, struct ota_error *err);

/** Send a letter, which is taken. OTA_OK, or OTA_E_BUSY if WEBHOOK_POSTS_MAX are under
 *  way (the caller keeps this one). */
OTA_CHECKED enum ota_code webhook_post(
	struct webhook_poster *poster, struct webhook_letter *letter);

/** Close from the loop thread: what is under way is broken off, and released. */
void webhook_poster_close(
	struct webhook_poster *poster, void (*closed)(void *ctx), void *ctx);

#endif
