#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "orchestrator/core/attempt_states.h"
#include "orchestrator/core/rollout_states.h"
#include "orchestrator/core/webhook.h"
#include "orchestrator/core/webhook_kinds.h"

/* No random number is between these: half of the middle, and one and a half. */
#define LEAST UINT32_C(0)
#define MOST  UINT32_MAX

enum { HOUR_MS = 3600 * 1000 };

static const struct core_now now = { .mono_ms = 5000, .utc_s = 1000000 };

static struct webhook answered(
	uint64_t tries, struct webhook_answer answer, uint32_t random)
{
	struct webhook hook = webhook_restart(tries, tries > 0 ? 77 : 0, false);

	cr_assert(webhook_is_due(&hook, now.mono_ms));
	webhook_send(&hook);
	cr_assert_not(webhook_is_due(&hook, UINT64_MAX), "one at a time");
	webhook_answered(&hook, &answer, now, random);
	return hook;
}

Test(webhook, each_answer_leads_somewhere)
{
	static const struct {
		unsigned status;
		enum webhook_state state;
	} rows[] = {
		{ 200, WEBHOOK_IDLE },
		{ 204, WEBHOOK_IDLE },
		{ 299, WEBHOOK_IDLE },
		{ 0, WEBHOOK_WAITING },
		{ 100, WEBHOOK_WAITING },
		{ 199, WEBHOOK_WAITING },
		{ 300, WEBHOOK_WAITING },
		{ 301, WEBHOOK_WAITING },
		{ 307, WEBHOOK_WAITING },
		{ 400, WEBHOOK_WAITING },
		{ 404, WEBHOOK_WAITING },
		{ 409, WEBHOOK_WAITING },
		{ 410, WEBHOOK_DISABLED },
		{ 411, WEBHOOK_WAITING },
		{ 429, WEBHOOK_WAITING },
		{ 500, WEBHOOK_WAITING },
		{ 999, WEBHOOK_WAITING },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct webhook hook = answered(
			2, (struct webhook_answer){ .status = rows[i].status }, LEAST);
		bool fails = rows[i].state == WEBHOOK_WAITING;

		cr_expect_eq(hook.state, rows[i].state, "%u", rows[i].status);
		cr_expect_eq(hook.tries, fails ? 3 : 0, "%u", rows[i].status);
		cr_expect_eq(hook.failing_s, fails ? 77 : 0, "%u", rows[i].status);
	}
}

Test(webhook, waits_double_and_have_an_end)
{
	static const struct {
		uint64_t tries, middle_ms; /* before this one; of the wait after it */
	} rows[] = {
		{ 0, 1000 },
		{ 1, 2000 },
		{ 2, 4000 },
		{ 11, 2048000 },
		{ 12, HOUR_MS },
		{ 13, HOUR_MS },
		{ UINT64_MAX - 1, HOUR_MS },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct webhook hook = answered(
			rows[i].tries, (struct webhook_answer){ .status = 500 }, LEAST);

		cr_expect_eq(hook.due_ms, now.mono_ms + rows[i].middle_ms / 2, "%llu",
			(unsigned long long)rows[i].tries);
		hook = answered(
			rows[i].tries, (struct webhook_answer){ .status = 500 }, MOST);
		cr_expect_eq(hook.due_ms, now.mono_ms + rows[i].middle_ms * 3 / 2 - 1);
		cr_expect_not(webhook_is_due(&hook, hook.due_ms - 1));
		cr_expect(webhook_is_due(&hook, hook.due_ms));
	}
}

Test(webhook, who_asks_for_more_time_has_it_but_not_for_ever)
{
	static const struct {
		uint64_t asked_s, wait_ms;
	} rows[] = {
		{ 0, 500 },
		{ 1, 1000 },
		{ 120, 120000 },
		{ WEBHOOK_ASKED_MAX_S, 24ULL * HOUR_MS },
		{ WEBHOOK_ASKED_MAX_S + 1, 24ULL * HOUR_MS },
		{ UINT64_MAX, 24ULL * HOUR_MS },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct webhook hook = answered(
			0, (struct webhook_answer){ 503, rows[i].asked_s }, LEAST);

		cr_expect_eq(hook.due_ms, now.mono_ms + rows[i].wait_ms, "%zu", i);
	}
}

Test(webhook, a_restart_tries_at_once_and_forgets_nothing)
{
	struct webhook hook = webhook_restart(5, 900, false);

	cr_expect_eq(hook.state, WEBHOOK_WAITING);
	cr_expect(webhook_is_due(&hook, 0));
	cr_expect(hook.tries == 5 && hook.failing_s == 900);
	hook = webhook_restart(0, 0, true);
	cr_expect_eq(hook.state, WEBHOOK_DISABLED);
	cr_expect_not(webhook_is_due(&hook, UINT64_MAX));
}

Test(webhook, a_test_that_was_accepted_ends_every_wait)
{
	struct webhook hook = webhook_restart(0, 0, true);

	webhook_enable(&hook);
	cr_expect_eq(hook.state, WEBHOOK_IDLE);
	hook = answered(3, (struct webhook_answer){ 503, 100 }, LEAST);
	webhook_enable(&hook);
	cr_expect(webhook_is_due(&hook, now.mono_ms));
	cr_expect(hook.tries == 0 && hook.failing_s == 0);
	webhook_send(&hook);
	webhook_enable(&hook);
	cr_expect_eq(hook.state, WEBHOOK_SENDING, "what is on its way stays there");
}

Test(webhook, an_event_is_given_up_once_it_is_old_and_has_failed)
{
	struct webhook failed = answered(0, (struct webhook_answer){ 500, 0 }, LEAST);
	struct webhook fresh = webhook_restart(0, 0, false);

	cr_expect_not(webhook_gives_up(&failed, now.utc_s - 99, 100, now.utc_s));
	cr_expect(webhook_gives_up(&failed, now.utc_s - 100, 100, now.utc_s));
	cr_expect_not(webhook_gives_up(&failed, now.utc_s + 500, 100, now.utc_s),
		"a clock that was put back");
	cr_expect_not(webhook_gives_up(&fresh, 0, 100, now.utc_s), "it is tried once");
}

/* ---- what they are told of */

static void expect_kind(const char *noun, const char *verb)
{
	char action[64];
	size_t number;

	(void)snprintf(action, sizeof action, "%s.%s", noun, verb);
	cr_expect(webhook_kind_find(action, &number), "%s has no row", action);
}

Test(webhook_kinds, all_that_a_rollout_and_a_device_can_do_is_there)
{
	for (size_t i = 0; i < N_ROLLOUT_EVENTS; i++)
		expect_kind("rollout", rollout_fsm.events[i]);
	for (size_t i = 1; i < N_ATTEMPT_STATES; i++)
		expect_kind("device", attempt_fsm.states[i]);
}

Test(webhook_kinds, a_word_is_an_action_a_group_or_a_set)
{
	uint64_t all, some, one, set = 3;
	size_t number, count = 0;

	cr_assert(webhook_kinds_of("all", &all));
	cr_assert(webhook_kinds_of("default", &some));
	cr_assert(webhook_kinds_of("rollout.halt", &one));
	cr_assert(webhook_kind_find("rollout.halt", &number));
	cr_expect_eq(one, UINT64_C(1) << number);
	cr_expect(one & some);
	cr_expect_eq(some & ~all, 0);
	cr_assert(webhook_kinds_of("device.confirmed", &one));
	cr_expect_not(one & some, "each device is too much for most");
	cr_assert(webhook_kinds_of("devices", &set));
	cr_expect(set & one);
	cr_expect_not(webhook_kinds_of("nothing", &set));
	cr_expect(set & one, "left alone");
	while (webhook_kind_at(count))
		count++;
	cr_expect_eq(all, (UINT64_C(1) << count) - 1);
	cr_expect_str_eq(webhook_kinds_nearest("rolouts"), "rollouts");
	cr_expect_str_eq(webhook_kinds_nearest("device.claims"), "device.claim");
}

Test(webhook_kinds, no_action_has_two_rows)
{
	for (size_t i = 0; webhook_kind_at(i); i++) {
		size_t number;

		cr_assert(webhook_kind_find(webhook_kind_at(i)->action, &number));
		cr_expect_eq(number, i, "%s", webhook_kind_at(i)->action);
	}
}
