#include "orchestrator/port/webhooks_inside.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/port/now.h"
#include "orchestrator/port/webhook_body.h"
#include "proto/base/own.h"
#include "proto/io/log.h"

enum { LOOK_MS = 1000 };

/* ---- answers */

static void disable(struct hook *hook, uint64_t now_s)
{
	hook->disabled_s = now_s;
	ota_log(OTA_LOG_ERR, "webhook.disabled", "webhook=%s status=%u",
		hook->config->name, hook->last.status);
	hook_store_said(hook, "webhook.disabled",
		"it answered 410 Gone; take it out of sluiced.yaml, or let it hear again "
		"and say sluice webhook test");
}

static void log_failure(const struct hook *hook, uint64_t now_ms)
{
	char quoted[256];

	ota_log(hook->run.tries == 1 ? OTA_LOG_WARNING : OTA_LOG_INFO, "webhook.failed",
		"webhook=%s event=%s status=%u why=%s tries=%" PRIu64 " wait_ms=%" PRIu64,
		hook->config->name, hook->next.id, hook->last.status,
		ota_log_quote(hook->last.text, quoted), hook->run.tries,
		hook->run.due_ms - now_ms);
}

/* The event that was under way has ended so, as hook->last tells. */
static void finish(struct hook *hook, const struct webhook_answer *answer)
{
	struct core_now now = port_now();
	uint32_t random;

	ota_random((uint8_t *)&random, sizeof(random));
	webhook_answered(&hook->run, answer, now, random);
	if (webhook_is_accepted(answer)) {
		hook->delivered++;
		hook_pass(hook, hook->next.seq, hook->next.seq <= hook->all->counted);
		hook_store(hook);
		return;
	}
	hook->failed++;
	if (hook->run.state == WEBHOOK_DISABLED) {
		disable(hook, now.utc_s);
		return;
	}
	log_failure(hook, now.mono_ms);
	if (webhook_gives_up(
		    &hook->run, hook->next.at_s, hook->config->keep_s, now.utc_s))
		hook_give_up(hook, now.utc_s);
	else
		hook_store(hook);
}

/* ---- sending */

/* Sign it and hand it over; it is taken on success. */
static enum ota_code dispatch(
	struct hook *hook, struct webhook_letter *letter, struct ota_error *err)
{
	OTA_AUTO(webhook_secret_fini) struct webhook_secret secret = { 0 };
	struct webhook_message message = { .id = letter->id,
		.at_utc_s = letter->at_utc_s,
		.body = ota_buf_bytes(&letter->body) };
	enum ota_code rc = webhook_secret_read(hook->config->secret_file, &secret, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "secret_file");
	webhook_sign(&secret, &message, letter->signatures);
	rc = webhook_post(hook->poster, letter);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "another test is under way");
}

static struct webhook_letter *letter_of(const char *id)
{
	struct webhook_letter *letter = calloc(1, sizeof(*letter));

	if (!letter)
		return NULL;
	(void)snprintf(letter->id, sizeof(letter->id), "%s", id);
	letter->at_utc_s = ota_clock_utc_s();
	return letter;
}

/* What came of a letter. */
static void note(struct webhook_said *said, const struct webhook_letter *letter)
{
	*said = (struct webhook_said){ .at_utc_s = letter->at_utc_s,
		.took_ms = letter->took_ms,
		.status = letter->answer.status };
	(void)snprintf(said->id, sizeof(said->id), "%s", letter->id);
	(void)snprintf(said->text, sizeof(said->text), "%s", letter->text);
}

static void send_next(struct hook *hook)
{
	struct webhook_letter *letter = letter_of(hook->next.id);
	struct ota_error err = { 0 };

	if (!letter ||
		ota_buf_add(&letter->body, ota_buf_bytes(&hook->next.body)) != OTA_OK) {
		webhook_letter_free(letter);
		return; /* short of memory: another time */
	}
	hook_must(ledger_hold(hook->all->config.ledger, &err), &err);
	webhook_send(&hook->run);
	if (dispatch(hook, letter, &err) == OTA_OK)
		return;
	ota_escape(err.text, letter->text, sizeof(letter->text));
	note(&hook->last, letter);
	finish(hook, &letter->answer);
	webhook_letter_free(letter);
}

/* ---- turns */

/* True if there is more to read at once. */
static bool look(struct hook *hook)
{
	bool more = hook_find_next(hook);

	if (hook->next.seq != 0 && webhook_is_due(&hook->run, ota_clock_mono_ms()))
		send_next(hook);
	return more;
}

static uint64_t sooner(const struct hook *hook, uint64_t now_ms, uint64_t wait_ms)
{
	uint64_t due_ms = hook->run.due_ms;

	if (hook->run.state != WEBHOOK_WAITING || due_ms >= now_ms + wait_ms)
		return wait_ms;
	return due_ms > now_ms ? due_ms - now_ms : 1;
}

static void turn(uv_timer_t *timer)
{
	struct webhooks *w = timer->data;
	bool more = hooks_count_new(w);
	uint64_t wait_ms = LOOK_MS, now_ms;

	for (size_t i = 0; i < w->count; i++)
		more = look(&w->hooks[i]) || more;
	now_ms = ota_clock_mono_ms();
	for (size_t i = 0; i < w->count; i++)
		wait_ms = sooner(&w->hooks[i], now_ms, wait_ms);
	(void)uv_timer_start(timer, turn, more ? 0 : wait_ms, 0);
}

static void finish_test(struct hook *hook, const struct webhook_letter *letter)
{
	bool waits = hook->run.tries > 0 || hook->disabled_s != 0;
	bool was_disabled = hook->disabled_s != 0;

	note(&hook->test, letter);
	if (!webhook_is_accepted(&letter->answer) || !waits)
		return;
	webhook_enable(&hook->run);
	hook->disabled_s = 0;
	if (was_disabled)
		hook_store_said(hook, "webhook.enabled", "a test was accepted");
	else
		hook_store(hook);
}

static void answered(void *ctx, struct webhook_letter *letter)
{
	struct hook *hook = ctx;

	if (letter->is_test) {
		finish_test(hook, letter);
	} else {
		note(&hook->last, letter);
		finish(hook, &letter->answer);
	}
	webhook_letter_free(letter);
	(void)uv_timer_start(&hook->all->timer, turn, 0, 0);
}

/* ---- what people look at */

bool webhooks_at(const struct webhooks *webhooks, size_t number, struct webhook_view *out)
{
	const struct hook *hook;

	if (!webhooks || number >= webhooks->count)
		return false;
	hook = &webhooks->hooks[number];
	*out = (struct webhook_view){
		.config = hook->config,
		.run = hook->run,
		.cursor = hook->cursor,
		.disabled_s = hook->disabled_s,
		.waiting = hook->waiting,
		.oldest_s = hook->next.seq != 0 ? hook->next.at_s : 0,
		.delivered = hook->delivered,
		.given_up = hook->given_up,
		.failed = hook->failed,
		.last = hook->last,
		.test = hook->test,
	};
	return true;
}

static struct hook *find(struct webhooks *w, const char *name)
{
	for (size_t i = 0; w && i < w->count; i++)
		if (strcmp(w->hooks[i].config->name, name) == 0)
			return &w->hooks[i];
	return NULL;
}

static void make_test_id(char out[static WEBHOOK_ID_CAP])
{
	uint8_t random[16];
	char hex[2 * sizeof(random) + 1];

	ota_random(random, sizeof(random));
	ota_hex_encode((struct ota_bytes){ random, sizeof(random) }, hex);
	(void)snprintf(out, WEBHOOK_ID_CAP, "test_%s", hex);
}

enum ota_code webhooks_test(struct webhooks *webhooks, const char *name,
	char id[static WEBHOOK_ID_CAP], struct ota_error *err)
{
	struct hook *hook = find(webhooks, name);
	struct webhook_letter *letter;
	char shown[128], made[WEBHOOK_ID_CAP];
	enum ota_code rc;

	ota_escape(name, shown, sizeof(shown));
	if (!hook)
		return ota_fail(err, OTA_E_NOTFOUND, "no webhook '%s'", shown);
	if (hook->test.under_way)
		return ota_fail(err, OTA_E_BUSY, "another test is under way");
	make_test_id(made);
	letter = letter_of(made);
	if (!letter)
		return ota_fail(err, OTA_E_NOMEM, "test");
	letter->is_test = true;
	rc = webhook_test_body(
		webhooks->config.daemon->fleet, letter->at_utc_s, &letter->body, err);
	if (rc == OTA_OK)
		rc = dispatch(hook, letter, err);
	if (rc != OTA_OK) {
		webhook_letter_free(letter);
		return rc;
	}
	hook->test = (struct webhook_said){ .under_way = true };
	memcpy(hook->test.id, made, sizeof(made));
	memcpy(id, made, sizeof(made));
	return OTA_OK;
}

/* ---- life */

struct loading {
	struct webhooks *w;
	char gone[OTA_NAME_CAP]; /* one that is no more; "": none */
};

static enum ota_code load(
	void *ctx, const struct ledger_webhook *row, struct ota_error *err)
{
	struct loading *loading = ctx;
	struct hook *hook = find(loading->w, row->name);

	(void)err;
	if (!hook) {
		memcpy(loading->gone, row->name, sizeof(loading->gone));
		return OTA_OK;
	}
	hook->known = true;
	hook->run = webhook_restart(row->tries, row->failing_s, row->disabled_s != 0);
	hook->disabled_s = row->disabled_s;
	if (row->cursor < hook->cursor)
		hook->cursor = hook->looked = row->cursor;
	return OTA_OK;
}

/* Those that are no more go one by one: the ledger is not to be called in its walk. */
static enum ota_code load_all(struct webhooks *w, struct ota_error *err)
{
	struct loading loading = { .w = w };
	enum ota_code rc = OTA_OK;

	do {
		loading.gone[0] = '\0';
		rc = ledger_each_webhook(w->config.ledger, load, &loading, err);
		if (rc == OTA_OK && loading.gone[0])
			rc = ledger_drop_webhook(w->config.ledger, loading.gone, err);
	} while (rc == OTA_OK && loading.gone[0]);
	return rc;
}

static enum ota_code start(struct hook *hook, uv_loop_t *loop, struct ota_error *err)
{
	const struct webhook_address address = { .url = hook->config->url,
		.ca_file = hook->config->ca_file,
		.timeout_s = hook->config->timeout_s };
	enum ota_code rc =
		webhook_poster_new(loop, &address, answered, hook, &hook->poster, err);

	if (rc != OTA_OK)
		return rc;
	hook->all->open++;
	if (!hook->known)
		hook_store(hook);
	if (hook->cursor < hook->all->counted)
		hook->all->counted = hook->cursor;
	return OTA_OK;
}

static void fill(struct webhooks *w)
{
	const struct sluiced_config *daemon = w->config.daemon;

	w->count = daemon->webhooks.count;
	w->counted = hooks_newest(w);
	for (size_t i = 0; i < w->count; i++) {
		w->hooks[i].all = w;
		w->hooks[i].config = &daemon->webhooks.items[i];
		w->hooks[i].cursor = w->hooks[i].looked = w->counted;
	}
}

static void nothing(void *ctx)
{
	(void)ctx;
}

enum ota_code webhooks_new(uv_loop_t *loop, const struct webhooks_config *config,
	struct webhooks **out, struct ota_error *err)
{
	struct webhooks *w = calloc(1, sizeof(*w));
	enum ota_code rc;

	if (!w)
		return ota_fail(err, OTA_E_NOMEM, "webhooks");
	w->config = *config;
	(void)uv_timer_init(loop, &w->timer);
	w->timer.data = w;
	w->open = 1;
	fill(w);
	rc = load_all(w, err);
	if (rc == OTA_OK && w->count > 0 && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		rc = ota_fail(err, OTA_E_NOMEM, "libcurl");
	for (size_t i = 0; i < w->count && rc == OTA_OK; i++)
		rc = start(&w->hooks[i], loop, err);
	if (rc != OTA_OK) {
		webhooks_close(w, nothing, NULL);
		return rc;
	}
	if (w->count > 0)
		(void)uv_timer_start(&w->timer, turn, 0, 0);
	*out = w;
	return OTA_OK;
}

static void part_closed(void *ctx)
{
	struct webhooks *w = ctx;

	if (--w->open > 0)
		return;
	for (size_t i = 0; i < w->count; i++)
		ota_buf_fini(&w->hooks[i].next.body);
	w->closed(w->closed_ctx);
	free(w);
}

static void timer_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

void webhooks_close(struct webhooks *webhooks, void (*closed)(void *ctx), void *ctx)
{
	if (!webhooks) {
		closed(ctx);
		return;
	}
	webhooks->closed = closed;
	webhooks->closed_ctx = ctx;
	for (size_t i = 0; i < webhooks->count; i++)
		if (webhooks->hooks[i].poster)
			webhook_poster_close(
				webhooks->hooks[i].poster, part_closed, webhooks);
	uv_close((uv_handle_t *)&webhooks->timer, timer_closed);
}
