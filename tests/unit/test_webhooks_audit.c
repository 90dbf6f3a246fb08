/* The way of webhooks through an audit log that is long. */
#include <criterion/criterion.h>

#include "orchestrator/core/webhook_kinds.h"
#include "orchestrator/port/webhooks_inside.h"
#include "tests/unit/ledger_kit.h"

enum { PAGE = 500, KEEP_PLACE = 5000, GIVE_UP = 5000 }; /* as in webhooks_audit.c */

static struct sluiced_config config;
static struct webhooks all;
static struct hook *hook = &all.hooks[0];

static void begin(void)
{
	make_dir();
	reopen();
	(void)snprintf(config.fleet, sizeof config.fleet, "demo");
	(void)snprintf(config.webhooks.items[0].name, OTA_NAME_CAP, "chat");
	config.webhooks.items[0].keep_s = 100;
	cr_assert(webhook_kinds_of("alarms", &config.webhooks.items[0].kinds));
	all.config = (struct webhooks_config){ ledger, &config };
	all.count = 1;
	hook->all = &all;
	hook->config = &config.webhooks.items[0];
}

static void end(void)
{
	ota_buf_fini(&hook->next.body);
	remove_dir();
}

TestSuite(webhooks_audit, .init = begin, .fini = end);

static void note_many(const char *action, unsigned count, uint64_t at_s)
{
	const struct audit_entry entry = {
		.at_utc_s = at_s, .who = "core", .action = action, .detail = "{}"
	};

	cr_assert_eq(ledger_begin(ledger, NULL), OTA_OK);
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(ledger_audit(ledger, &entry, NULL), OTA_OK);
	cr_assert_eq(ledger_commit(ledger, NULL), OTA_OK);
}

static enum ota_code take_cursor(
	void *ctx, const struct ledger_webhook *row, struct ota_error *err)
{
	(void)err;
	*(uint64_t *)ctx = row->cursor;
	return OTA_OK;
}

static uint64_t stored(void)
{
	uint64_t cursor = 0;

	cr_assert_eq(ledger_each_webhook(ledger, take_cursor, &cursor, NULL), OTA_OK);
	return cursor;
}

Test(webhooks_audit, what_is_not_wanted_is_passed_over_page_by_page)
{
	note_many("device.confirmed", 2 * PAGE, 7);
	note_many("device.alarm", 1, 8);
	cr_expect(hook_find_next(hook));
	cr_expect_eq(hook->looked, PAGE);
	cr_expect(hook_find_next(hook));
	cr_expect_not(hook_find_next(hook), "found");
	cr_expect_eq(hook->next.seq, 2 * PAGE + 1);
	cr_expect_eq(hook->next.at_s, 8);
	cr_expect_eq(hook->cursor, 0, "not done with before it is taken");
	cr_expect_eq(stored(), 0);
	cr_expect_not(hook_find_next(hook), "known already");
	hook_pass(hook, hook->next.seq, 0);
	cr_expect_not(hook_find_next(hook), "nothing is left");
	cr_expect_eq(hook->next.seq, 0);
}

Test(webhooks_audit, a_place_far_on_is_written_down)
{
	note_many("device.confirmed", KEEP_PLACE, 7);
	for (unsigned i = 0; i < KEEP_PLACE / PAGE - 1; i++)
		cr_assert(hook_find_next(hook));
	cr_expect_eq(stored(), 0);
	cr_assert_not(hook_find_next(hook));
	cr_expect_eq(stored(), KEEP_PLACE);
}

Test(webhooks_audit, who_waits_is_counted_once)
{
	note_many("device.alarm", PAGE, 7);
	note_many("device.confirmed", 10, 7);
	note_many("device.alarm", 3, 7);
	cr_expect(hooks_count_new(&all));
	cr_expect_eq(hook->waiting, PAGE);
	cr_expect_not(hook_find_next(hook));
	hook_pass(hook, hook->next.seq, 1);
	cr_expect_eq(hook->waiting, PAGE - 1);
	hook_pass(hook, PAGE + 11, PAGE - 1); /* taken before it was counted */
	cr_expect_not(hooks_count_new(&all));
	cr_expect_eq(hook->waiting, 2);
	cr_expect_not(hooks_count_new(&all));
	cr_expect_eq(hook->waiting, 2);
}

Test(webhooks_audit, its_own_troubles_are_no_news_to_it)
{
	cr_assert(webhook_kinds_of("webhooks", &config.webhooks.items[0].kinds));
	hook_store_said(hook, "webhook.gave-up", "a \"b\"");
	cr_expect_not(hook_find_next(hook));
	cr_expect_eq(hook->next.seq, 0);
	note_many("webhook.disabled", 1, 7); /* of another */
	cr_expect_not(hook_find_next(hook));
	cr_expect_eq(hook->next.seq, 2);
}

Test(webhooks_audit, what_is_too_old_goes_together_and_what_is_not_stays)
{
	note_many("device.alarm", 3, 900);
	note_many("device.confirmed", 2, 900);
	note_many("device.alarm", 4, 901);
	cr_assert_not(hooks_count_new(&all));
	cr_assert_not(hook_find_next(hook));
	hook_give_up(hook, 1000);
	cr_expect_eq(hook->given_up, 3);
	cr_expect_eq(hook->waiting, 4);
	cr_expect_eq(hook->cursor, 5);
	cr_expect_eq(stored(), 5);
	cr_assert_not(hook_find_next(hook));
	cr_expect_eq(hook->next.seq, 6);
}

Test(webhooks_audit, so_much_that_is_too_old_takes_more_than_one_look)
{
	note_many("device.alarm", GIVE_UP + 1, 900);
	cr_assert_not(hook_find_next(hook));
	hook_give_up(hook, 1000);
	cr_expect_eq(hook->given_up, GIVE_UP);
	cr_assert_not(hook_find_next(hook));
	cr_expect_eq(hook->next.seq, GIVE_UP + 1);
	hook_give_up(hook, 1000);
	cr_expect_eq(hook->given_up, GIVE_UP + 1);
}

/* What came before it is dated later: the place does not go back. */
Test(webhooks_audit, a_clock_that_was_wrong_for_a_while_brings_nothing_back)
{
	note_many("device.alarm", 3, 800);
	hook_pass(hook, 3, 0);
	note_many("device.confirmed", 1, 5000);
	note_many("device.alarm", 1, 900);
	note_many("device.alarm", 1, 901);
	cr_assert_not(hook_find_next(hook));
	cr_assert_eq(hook->next.seq, 5);
	hook_give_up(hook, 1000);
	cr_expect_eq(hook->given_up, 1);
	cr_expect_eq(hook->cursor, 5, "%u", (unsigned)hook->cursor);
	cr_assert_not(hook_find_next(hook));
	cr_expect_eq(hook->next.seq, 6);
}
