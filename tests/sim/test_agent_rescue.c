#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "tests/sim/world.h"

/* A device that runs what it did not mean to run: it says so and why, it stays up, and no
 * boot is of our making. */

enum { HEALTH = 2, RESCUE = 3, FLOOR_OFFSET = 632 /* in a journal */ };

static struct world w;

static void set_up(void)
{
	world_init(&w);
	world_boot(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_rescue, .init = set_up, .fini = tear_down);

static void update(void)
{
	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
}

/* Proving, when the image to go back to is lost and the new one turns out to be bad. */
static void end_in_rescue(void)
{
	w.hooks[HEALTH].answer = OTA_E_BUSY;
	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.report.state, OTA_UPDATE_PROVING);
	w.slots[0].info.state = w.agent.slots[0].state = SLOT_BAD;
	w.hooks[HEALTH].answer = OTA_E_HOOK;
	world_pass(&w, 10 * 1000);
}

/* Image 3, by a release that was not tried before. */
static void order_another(uint8_t from)
{
	world_next(&w);
	w.release.image = w.order.image = w.manifest.to = world_image(3);
	w.manifest.from = w.order.patches[0].from = world_image(from);
	w.release.counter = w.order.counter = 3;
	(void)snprintf(w.order.rollout, sizeof w.order.rollout, "summer");
	world_publish(&w);
	world_run(&w);
}

Test(agent_rescue, with_both_slots_bad_it_stays_up_and_says_so)
{
	end_in_rescue();
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_RESCUE);
	cr_expect_not_null(strstr(w.report.error_text, "nothing to go back to"), "%s",
		w.report.error_text);
	cr_expect_not(w.report.confirmed);
	cr_expect_eq(w.hooks[RESCUE].runs, 1);
	cr_expect_eq(w.boots, 2);
	cr_expect(world_runs(&w, 2));
}

Test(agent_rescue, the_hook_runs_once_per_boot)
{
	end_in_rescue();
	world_restart(&w);
	world_pass(&w, 3600 * 1000);
	cr_expect_eq(w.hooks[RESCUE].runs, 1, "a restart is no boot");
	world_boot(&w);
	world_pass(&w, 3600 * 1000);
	cr_expect_eq(w.hooks[RESCUE].runs, 2);
	cr_expect_eq(w.report.error, OTA_E_RESCUE, "%s", w.report.error_text);
}

Test(agent_rescue, what_the_hook_answers_changes_nothing)
{
	static const enum ota_code answers[] = { OTA_E_HOOK, OTA_E_BUSY, OTA_E_TIMEOUT };

	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		tear_down();
		set_up();
		w.hooks[RESCUE].answer = answers[i];
		end_in_rescue();
		world_pass(&w, 3600 * 1000);
		cr_expect_eq(w.report.error, OTA_E_RESCUE);
		cr_expect_eq(w.hooks[RESCUE].runs, 1);
	}
}

/* The boot loader counts tries; in the end it would boot the empty slot. */
Test(agent_rescue, no_boot_is_of_our_making_and_none_leads_into_nothing)
{
	end_in_rescue();
	for (unsigned i = 0; i < 4 * SLOT_TRIES; i++) {
		unsigned boots = w.boots;

		world_boot(&w);
		world_pass(&w, 3600 * 1000);
		cr_expect_eq(w.boots, boots + 1, "boot %u", i);
		cr_expect(w.tries > 0, "boot %u", i);
		cr_expect_eq(w.report.error, OTA_E_RESCUE);
		cr_expect(world_runs(&w, 2));
	}
}

Test(agent_rescue, an_order_for_a_good_image_leads_out)
{
	end_in_rescue();
	w.hooks[HEALTH].answer = OTA_OK;
	order_another(2);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
	cr_expect_eq(w.report.error, 0);
	cr_expect(world_runs(&w, 3));
	world_boot(&w);
	world_run(&w);
	cr_expect_eq(w.report.error, 0);
	cr_expect_eq(w.hooks[RESCUE].runs, 1);
}

Test(agent_rescue, an_order_for_another_bad_image_ends_in_rescue_again)
{
	end_in_rescue();
	order_another(2);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_RESCUE);
	cr_expect_eq(w.boots, 3, "only the boot that the order asked for");
	cr_expect(world_runs(&w, 3));
}

Test(agent_rescue, an_abort_in_rescue_leaves_what_runs_the_first_to_boot)
{
	end_in_rescue();
	w.hooks[1].answer = OTA_E_BUSY;
	order_another(2);
	cr_assert_eq(w.report.state, OTA_UPDATE_REBOOTING);
	world_next(&w);
	w.order.state = OTA_ORDER_ABORT;
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.primary, w.current);
	cr_expect_eq(w.slots[0].info.state, SLOT_BAD);
	cr_expect_eq(w.report.error, OTA_E_RESCUE);
	world_boot(&w);
	world_run(&w);
	cr_expect(world_runs(&w, 2));
}

Test(agent_rescue, a_boot_loader_that_does_not_go_back_causes_no_endless_boots)
{
	unsigned boots, steps = 0;

	w.hooks[HEALTH].answer = OTA_E_HOOK;
	world_publish(&w);
	while (w.boots < 2)
		cr_assert(world_step(&w) && ++steps < 1000);
	w.loader_is_stuck = true;
	world_run(&w);
	boots = w.boots;
	cr_expect_lt(boots, 8);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_RESCUE);
	cr_expect_not_null(strstr(w.report.error_text, "does not boot the other slot"),
		"%s", w.report.error_text);
	world_boot(&w);
	world_pass(&w, 3600 * 1000);
	cr_expect_eq(w.boots, boots + 1);
	cr_expect_eq(w.report.error, OTA_E_RESCUE);
	w.loader_is_stuck = false;
	w.hooks[HEALTH].answer = OTA_OK;
	order_another(2);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
	cr_expect(world_runs(&w, 3));
}

/* ---- another image than the confirmed one, later */

static void loader_gave_up(void)
{
	w.slots[1].info.state = SLOT_BAD;
	w.primary = 0;
}

static void somebody_switched(void)
{
	w.primary = 0;
}

static void slot_was_lost(void)
{
	w.slots[1].info = (struct slot_info){ 0 };
	w.primary = 0;
}

static void loader_passed_over(void)
{
	w.loader_is_stuck = true; /* in slot 0 */
	w.current = 0;
}

static const struct {
	void (*happen)(void);
	const char *why;
} ways[] = { { loader_gave_up, "the boot loader gave it up" },
	{ somebody_switched, "somebody else made this slot the first" },
	{ slot_was_lost, "no slot holds it any more" },
	{ loader_passed_over, "the boot loader passed it over" } };

Test(agent_rescue, each_way_to_leave_the_confirmed_image_is_told)
{
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		tear_down();
		set_up();
		update();
		ways[i].happen();
		world_boot(&w);
		world_pass(&w, 5000);
		cr_expect_eq(w.report.state, OTA_UPDATE_FAILED, "way %zu", i);
		cr_expect_eq(w.report.error, OTA_E_REVERTED, "way %zu: %s", i,
			w.report.error_text);
		cr_expect_not_null(strstr(w.report.error_text, ways[i].why),
			"way %zu: %s", i, w.report.error_text);
		cr_expect(world_runs(&w, 1));
		cr_expect_eq(w.slot_writes, 1, "nothing is tried before the next order");
	}
}

/* Also when the device already belongs to another rollout. */
Test(agent_rescue, it_is_told_whatever_the_device_did_meanwhile)
{
	static const enum ota_update_state states[] = { OTA_UPDATE_IDLE,
		OTA_UPDATE_OFFERED, OTA_UPDATE_FETCHING, OTA_UPDATE_VERIFYING,
		OTA_UPDATE_INSTALLING };

	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
		unsigned steps = 0;

		tear_down();
		set_up();
		update();
		world_next(&w);
		w.release.image = w.order.image = w.manifest.to = world_image(3);
		w.manifest.from = w.order.patches[0].from = world_image(2);
		w.release.counter = w.order.counter = 3;
		(void)snprintf(w.order.rollout, sizeof w.order.rollout, "summer");
		world_publish(&w);
		while (w.agent.journal.state != states[i])
			cr_assert(world_step(&w) && ++steps < 1000, "state %zu", i);
		w.slots[0].info = (struct slot_info){ .state = SLOT_GOOD,
			.image = world_image(1),
			.counter = 1,
			.version = "1.0" };
		w.slots[0].content = world_image(1);
		w.slots[0].whole = true;
		w.primary = 0;
		world_boot(&w);
		world_pass(&w, 5000);
		cr_expect_eq(w.report.state, OTA_UPDATE_FAILED, "state %zu", i);
		cr_expect_eq(w.report.error, OTA_E_REVERTED, "state %zu: %s", i,
			w.report.error_text);
	}
}

Test(agent_rescue, it_is_told_until_the_next_order_and_only_once_for_one_boot)
{
	update();
	w.primary = 0;
	world_boot(&w);
	world_run(&w);
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, OTA_E_REVERTED);
	order_another(1);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
	cr_expect_eq(w.report.error, 0);
	cr_expect(world_runs(&w, 3));
}

Test(agent_rescue, a_revert_that_was_ordered_is_no_relapse)
{
	update();
	world_next(&w);
	w.order.state = OTA_ORDER_REVERT;
	world_publish(&w);
	world_run(&w);
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
}

/* ---- what the journal and the slots say */

/* In the new image of a second update, which lets the floor rise to 2. */
static void run_to_the_third_boot(void)
{
	unsigned steps = 0;

	update();
	cr_assert_eq(w.report.floor, 1);
	world_next(&w);
	w.release.image = w.order.image = w.manifest.to = world_image(3);
	w.manifest.from = w.order.patches[0].from = world_image(2);
	w.release.counter = w.release.floor = w.order.counter = 3;
	world_publish(&w);
	while (w.boots < 3)
		cr_assert(world_step(&w) && ++steps < 1000);
}

Test(agent_rescue, a_cut_between_confirm_and_floor_is_made_good)
{
	unsigned between = 0;

	for (int n = 0; n < 40; n++) {
		tear_down();
		set_up();
		run_to_the_third_boot();
		w.ops_left = n;
		while (!w.cut && world_step(&w))
			;
		between += w.cut && w.slots[0].info.state == SLOT_GOOD &&
			   w.journal.at[FLOOR_OFFSET] < 2;
		world_run(&w);
		cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "cut before %d", n);
		cr_expect_eq(w.report.floor, 2, "cut before %d", n);
	}
	cr_expect_eq(between, 1, "one cut came just there");
}

Test(agent_rescue, a_lost_journal_takes_its_floor_from_what_the_slots_can_boot)
{
	update();
	w.journal.len = 10;
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, OTA_E_STATELOST);
	cr_expect_eq(w.report.floor, 1, "slot 0 must still be allowed");
	w.slots[0].info = (struct slot_info){ 0 };
	w.journal.len = 10;
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.floor, 2);
}

Test(agent_rescue, a_lost_journal_takes_no_floor_from_an_image_on_trial)
{
	w.hooks[HEALTH].answer = OTA_E_BUSY;
	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.report.state, OTA_UPDATE_PROVING);
	w.journal.len = 10;
	w.net_is_mute = true;
	world_boot(&w);
	world_run(&w);
	cr_expect_eq(w.report.floor, 0);
	cr_expect(world_runs(&w, 1));
}
