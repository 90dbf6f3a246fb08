#ifndef ORCHESTRATOR_PORT_WEBHOOKS_INSIDE_H
#define ORCHESTRATOR_PORT_WEBHOOKS_INSIDE_H

/* What the files share that implement webhooks.h: webhooks.c sends, webhooks_audit.c
 * knows the way through the audit log. */

#include "orchestrator/port/webhooks.h"

/* An event that is to be sent next. */
struct event {
	uint64_t seq; /* 0: none is known */
	uint64_t at_s;
	char id[WEBHOOK_ID_CAP];
	struct ota_buf body; /* owned */
};

struct hook {
	struct webhooks *all;                /* borrowed */
	const struct config_webhook *config; /* borrowed */
	struct webhook_poster *poster;       /* owned */
	struct webhook run;
	uint64_t cursor;     /* seq of the newest entry that is done with */
	uint64_t looked;     /* no entry after it and up to here is wanted */
	uint64_t disabled_s; /* 0: it is not */
	struct event next;
	bool known; /* to the ledger */
	uint64_t waiting, delivered, failed, given_up;
	struct webhook_said last, test;
};

struct webhooks {
	struct webhooks_config config;
	uv_timer_t timer;
	struct hook hooks[CONFIG_WEBHOOKS_MAX];
	size_t count;
	uint64_t counted; /* seq up to which entries are in `waiting` */
	unsigned open;    /* handles and posters that are not closed yet */
	void (*closed)(void *ctx);
	void *closed_ctx; /* borrowed */
};

/** Done, or this process ends. */
void hook_must(enum ota_code rc, const struct ota_error *err);

/** Store where one stands. */
void hook_store(const struct hook *hook);

/** ... together with an entry of the audit log about it. */
void hook_store_said(const struct hook *hook, const char *action, const char *text);

/** The newest entry's seq. */
uint64_t hooks_newest(const struct webhooks *w);

/** Find the next event unless it is known. True if there are entries left that were not
 *  looked at. */
bool hook_find_next(struct hook *hook);

/** As hook_find_next(), for how many wait. */
bool hooks_count_new(struct webhooks *w);

/** All up to seq is done with; counted: events among it that are in `waiting`. */
void hook_pass(struct hook *hook, uint64_t seq, uint64_t counted);

/** Pass over all that is too old, so that a receiver that comes back hears what is new,
 *  and say so. */
void hook_give_up(struct hook *hook, uint64_t now_s);

#endif
