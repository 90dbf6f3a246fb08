#include "orchestrator/port/webhooks_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/core/webhook_kinds.h"
#include "orchestrator/port/fatal.h"
#include "orchestrator/port/now.h"
#include "orchestrator/port/webhook_body.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/wire/json.h"

enum {
	LOOK_COUNT = 500,     /* entries of the audit log that are read at a time */
	GIVE_UP_COUNT = 5000, /* ... of those that are too old */
	KEEP_PLACE = 5000,    /* entries passed over until the place is written down */
};

/* ---- the ledger, which fails once */

void hook_must(enum ota_code rc, const struct ota_error *err)
{
	if (rc != OTA_OK)
		fatal_ledger(err);
}

void hook_store(const struct hook *hook)
{
	struct ledger_webhook row = { .cursor = hook->cursor,
		.tries = hook->run.tries,
		.failing_s = hook->run.failing_s,
		.disabled_s = hook->disabled_s };
	struct ota_error err = { 0 };

	(void)snprintf(row.name, sizeof(row.name), "%s", hook->config->name);
	hook_must(ledger_put_webhook(hook->all->config.ledger, &row, &err), &err);
}

static void print_who(const struct hook *hook, char out[static OTA_NAME_CAP + 16])
{
	(void)snprintf(out, OTA_NAME_CAP + 16, "webhook:%s", hook->config->name);
}

void hook_store_said(const struct hook *hook, const char *action, const char *text)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	OTA_AUTO(ota_buf_fini) struct ota_buf detail = { 0 };
	struct ledger *ledger = hook->all->config.ledger;
	char who[OTA_NAME_CAP + 16];
	struct audit_entry entry = { .at_utc_s = ota_clock_utc_s(), .action = action };
	struct ota_error err = { .code = OTA_E_NOMEM };

	print_who(hook, who);
	entry.who = who;
	if (!tree || !cJSON_AddStringToObject(tree, "webhook", hook->config->name) ||
		!cJSON_AddStringToObject(tree, "text", text))
		fatal_ledger(&err);
	hook_must(ota_json_print(tree, &detail, &err), &err);
	entry.detail = ota_buf_text(&detail);
	hook_must(entry.detail ? OTA_OK : OTA_E_NOMEM, &err);
	hook_must(ledger_begin(ledger, &err), &err);
	hook_store(hook);
	hook_must(ledger_audit(ledger, &entry, &err), &err);
	hook_must(ledger_commit(ledger, &err), &err);
}

/* ---- what it wants to hear */

static bool is_wanted(const struct hook *hook, const struct audit_entry *entry)
{
	char who[OTA_NAME_CAP + 16];
	size_t number;

	print_who(hook, who); /* its own troubles are no news to it */
	return webhook_kind_find(entry->action, &number) &&
	       hook->config->kinds >> number & 1 && strcmp(entry->who, who) != 0;
}

static bool take_next(void *ctx, const struct audit_entry *entry)
{
	struct hook *hook = ctx;
	struct event *next = &hook->next;

	if (!is_wanted(hook, entry)) {
		hook->looked = entry->seq;
		return true;
	}
	next->body.len = 0;
	if (webhook_body(entry, hook->all->config.daemon->fleet, &next->body, NULL) !=
		OTA_OK)
		return false; /* short of memory: another time */
	next->seq = entry->seq;
	next->at_s = entry->at_utc_s;
	webhook_event_id(entry, next->id);
	return false;
}

uint64_t hooks_newest(const struct webhooks *w)
{
	struct ota_digest head;
	uint64_t seq;

	ledger_audit_head(w->config.ledger, &seq, &head);
	return seq;
}

static void read_audit(struct webhooks *w, uint64_t after, uint32_t limit,
	ledger_audit_take *take, void *ctx)
{
	struct ota_error err = { 0 };

	hook_must(
		ledger_each_audit(w->config.ledger, after, limit, take, ctx, &err), &err);
}

bool hook_find_next(struct hook *hook)
{
	if (hook->next.seq != 0 || hook->looked >= hooks_newest(hook->all))
		return false;
	read_audit(hook->all, hook->looked, LOOK_COUNT, take_next, hook);
	if (hook->next.seq == 0 && hook->looked - hook->cursor >= KEEP_PLACE) {
		hook->cursor = hook->looked;
		hook_store(hook);
	}
	return hook->next.seq == 0 && hook->looked < hooks_newest(hook->all);
}

static bool count_entry(void *ctx, const struct audit_entry *entry)
{
	struct webhooks *w = ctx;

	for (size_t i = 0; i < w->count; i++)
		if (entry->seq > w->hooks[i].cursor && is_wanted(&w->hooks[i], entry))
			w->hooks[i].waiting++;
	w->counted = entry->seq;
	return true;
}

bool hooks_count_new(struct webhooks *w)
{
	if (w->counted >= hooks_newest(w))
		return false;
	read_audit(w, w->counted, LOOK_COUNT, count_entry, w);
	return w->counted < hooks_newest(w);
}

/* ---- done with events */

void hook_pass(struct hook *hook, uint64_t seq, uint64_t counted)
{
	hook->waiting -= counted < hook->waiting ? counted : hook->waiting;
	hook->cursor = hook->looked = seq;
	hook->next.seq = 0;
}

struct too_old {
	struct hook *hook;
	uint64_t before_s; /* what happened until then is */
	uint64_t last, count, counted;
};

/* The event that is given up goes, whatever the clock said when it happened. */
static bool take_old(void *ctx, const struct audit_entry *entry)
{
	struct too_old *old = ctx;

	if (entry->at_utc_s > old->before_s && entry->seq > old->hook->next.seq)
		return false;
	old->last = entry->seq;
	if (is_wanted(old->hook, entry)) {
		old->count++;
		old->counted += entry->seq <= old->hook->all->counted;
	}
	return true;
}

void hook_give_up(struct hook *hook, uint64_t now_s)
{
	struct too_old old = { .hook = hook, .before_s = now_s - hook->config->keep_s };
	char text[2 * WEBHOOK_REPLY_CAP], quoted[256], status[16] = "";

	read_audit(hook->all, hook->next.seq - 1, GIVE_UP_COUNT, take_old, &old);
	if (hook->last.status != 0)
		(void)snprintf(status, sizeof(status), "%u ", hook->last.status);
	(void)snprintf(text, sizeof(text),
		"%" PRIu64 " events up to entry %" PRIu64
		" of the audit log, after %" PRIu64 " tries, the last answer: %s%s",
		old.count, old.last, hook->run.tries, status, hook->last.text);
	hook_pass(hook, old.last, old.counted);
	hook->given_up += old.count;
	ota_log(OTA_LOG_ERR, "webhook.gave-up", "webhook=%s why=%s", hook->config->name,
		ota_log_quote(text, quoted));
	hook_store_said(hook, "webhook.gave-up", text);
}
