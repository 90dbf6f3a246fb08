#ifndef ORCHESTRATOR_PORT_WEBHOOKS_H
#define ORCHESTRATOR_PORT_WEBHOOKS_H

/* Tells other people's programs what happens: each entry of the audit log that a webhook
 * wants, in order, one at a time, until it is answered with 2xx or too old. The audit log
 * is the queue, so that nothing is kept twice and nothing is lost; each webhook has a
 * place in it, which the ledger keeps. A webhook that is slow or dead holds one event in
 * memory, and nobody up.
 *
 * Everything here runs on the loop thread of the process that leads. */

#include "orchestrator/core/webhook.h"
#include "orchestrator/port/config.h"
#include "orchestrator/port/ledger.h"
#include "orchestrator/port/webhook_post.h"

struct webhooks;

struct webhooks_config {
	struct ledger *ledger;               /* borrowed */
	const struct sluiced_config *daemon; /* borrowed: fleet, webhooks */
};

/** One that the ledger does not know begins with what comes from now on; what the ledger
 *  knows of others is forgotten. OTA_OK, OTA_E_NOMEM, OTA_E_IO or a code of the ledger.
 */
OTA_CHECKED enum ota_code webhooks_new(uv_loop_t *loop,
	const struct webhooks_config *config, struct webhooks **out,
	struct ota_error *err);

/** Break off what is under way, and release; closed runs once libuv holds nothing. NULL:
 *  closed runs at once. */
void webhooks_close(struct webhooks *webhooks, void (*closed)(void *ctx), void *ctx);

/** How a request ended, the last one of its kind. */
struct webhook_said {
	char id[WEBHOOK_ID_CAP];      /* of the event; "": there was none */
	uint64_t at_utc_s, took_ms;   /* 0 while it is under way */
	unsigned status;              /* of HTTP; 0: there was no answer */
	char text[WEBHOOK_REPLY_CAP]; /* why not; else how the answer begins */
	bool under_way;
};

/** What is known of one. Counts begin with the process. */
struct webhook_view {
	const struct config_webhook *config; /* borrowed */
	struct webhook run;
	uint64_t cursor;     /* seq of the newest audit entry that is done with */
	uint64_t disabled_s; /* since when, UTC; 0: it is not */
	uint64_t waiting;    /* events */
	uint64_t oldest_s;   /* when the first of them happened, UTC; 0: none waits */
	uint64_t delivered, given_up; /* events */
	uint64_t failed;              /* tries */
	struct webhook_said last, test;
};

/** The one of that number, counted from 0; false if there are no more. webhooks may be
 *  NULL: there are none. */
bool webhooks_at(
	const struct webhooks *webhooks, size_t number, struct webhook_view *out);

/** Send a test, whatever waits; its result is `test` of the view. id: of the test.
 *  OTA_OK; OTA_E_NOTFOUND; OTA_E_BUSY if one is under way; OTA_E_CONFIG if its secret
 *  cannot be read; OTA_E_NOMEM. */
OTA_CHECKED enum ota_code webhooks_test(struct webhooks *webhooks, const char *name,
	char id[static WEBHOOK_ID_CAP], struct ota_error *err);

#endif
