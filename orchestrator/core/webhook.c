#include "orchestrator/core/webhook.h"

#include <assert.h>

#include "proto/base/backoff.h"

enum { HTTP_OK = 200, HTTP_REDIRECT = 300, HTTP_GONE = 410 };

/* The table has every move that is made here; see who calls it. */
static void move(struct webhook *webhook, enum webhook_event event)
{
	unsigned to = webhook->state;
	enum ota_code rc = ota_fsm_next(&webhook_fsm, webhook->state, event, &to, NULL);

	assert(rc == OTA_OK);
	(void)rc;
	webhook->state = (enum webhook_state)to;
}

bool webhook_is_accepted(const struct webhook_answer *answer)
{
	return answer->status >= HTTP_OK && answer->status < HTTP_REDIRECT;
}

static enum webhook_event event_of(const struct webhook_answer *answer)
{
	if (webhook_is_accepted(answer))
		return WEBHOOK_EV_ACCEPT;
	return answer->status == HTTP_GONE ? WEBHOOK_EV_GONE : WEBHOOK_EV_REFUSE;
}

struct webhook webhook_restart(uint64_t tries, uint64_t failing_s, bool disabled)
{
	struct webhook webhook = { .tries = tries, .failing_s = failing_s };

	if (disabled)
		webhook.state = WEBHOOK_DISABLED;
	else if (tries > 0)
		webhook.state = WEBHOOK_WAITING;
	move(&webhook, WEBHOOK_EV_RESTART);
	return webhook;
}

bool webhook_is_due(const struct webhook *webhook, uint64_t now_ms)
{
	return webhook->state == WEBHOOK_IDLE ||
	       (webhook->state == WEBHOOK_WAITING && now_ms >= webhook->due_ms);
}

void webhook_send(struct webhook *webhook)
{
	move(webhook, WEBHOOK_EV_SEND);
}

/* From the number of tries alone, so that it goes on after a restart. */
static uint64_t wait_ms(uint64_t tries, uint32_t random)
{
	struct ota_backoff backoff = { .min_ms = WEBHOOK_WAIT_MIN_MS,
		.max_ms = WEBHOOK_WAIT_MAX_MS,
		.next_ms = WEBHOOK_WAIT_MIN_MS };

	for (; tries > 1 && backoff.next_ms < WEBHOOK_WAIT_MAX_MS; tries--)
		(void)ota_backoff_next(&backoff, 0);
	return ota_backoff_next(&backoff, random);
}

static uint64_t least_ms(uint64_t asked_s)
{
	return 1000 * (asked_s < WEBHOOK_ASKED_MAX_S ? asked_s : WEBHOOK_ASKED_MAX_S);
}

void webhook_answered(struct webhook *webhook, const struct webhook_answer *answer,
	struct core_now now, uint32_t random)
{
	enum webhook_event event = event_of(answer);
	uint64_t wait, least = least_ms(answer->asked_s);

	move(webhook, event);
	if (event != WEBHOOK_EV_REFUSE) {
		webhook->tries = webhook->failing_s = webhook->due_ms = 0;
		return;
	}
	webhook->tries++;
	if (webhook->failing_s == 0)
		webhook->failing_s = now.utc_s;
	wait = wait_ms(webhook->tries, random);
	webhook->due_ms = now.mono_ms + (wait > least ? wait : least);
}

void webhook_enable(struct webhook *webhook)
{
	move(webhook, WEBHOOK_EV_ENABLE);
	if (webhook->state == WEBHOOK_IDLE)
		webhook->tries = webhook->failing_s = webhook->due_ms = 0;
}

bool webhook_gives_up(
	const struct webhook *webhook, uint64_t at_s, uint64_t keep_s, uint64_t now_s)
{
	return webhook->state == WEBHOOK_WAITING && now_s > at_s &&
	       now_s - at_s >= keep_s;
}
