#include <criterion/criterion.h>

#include <stdio.h>

#include "proto/wire/admit.h"
#include "tests/seeds.h"
#include "tests/sim/world.h"

/* What orders ask for, in each state; and what the device does when its image is bad. */

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

TestSuite(agent_orders, .init = set_up, .fini = tear_down);

/* A new order, and all that follows. */
static void order(enum ota_order_state state)
{
	world_next(&w);
	w.order.state = state;
	world_publish(&w);
	world_run(&w);
}

static const enum ota_update_state unswitched[] = { OTA_UPDATE_OFFERED,
	OTA_UPDATE_FETCHING, OTA_UPDATE_VERIFYING, OTA_UPDATE_INSTALLING };

enum { N_UNSWITCHED = sizeof unswitched / sizeof unswitched[0] };

Test(agent_orders, a_pause_holds_each_state_and_go_goes_on)
{
	for (unsigned i = 0; i < N_UNSWITCHED; i++) {
		tear_down();
		set_up();
		world_run_to(&w, unswitched[i]);
		order(OTA_ORDER_PAUSE);
		world_pass(&w, 3600 * 1000);
		cr_expect_eq(w.report.state, unswitched[i], "row %u: %s", i,
			ota_update_state_text(w.report.state));
		cr_expect_eq(w.report.wait, OTA_E_PAUSED, "row %u", i);
		cr_expect_not(w.has_job);
		order(OTA_ORDER_GO);
		cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "row %u", i);
		cr_expect(world_runs(&w, 2));
	}
}

Test(agent_orders, a_pause_survives_a_boot)
{
	world_run_to(&w, OTA_UPDATE_FETCHING);
	order(OTA_ORDER_PAUSE);
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FETCHING);
	cr_expect_eq(w.report.wait, OTA_E_PAUSED);
}

Test(agent_orders, an_abort_drops_what_is_not_switched)
{
	for (unsigned i = 0; i < N_UNSWITCHED; i++) {
		tear_down();
		set_up();
		world_run_to(&w, unswitched[i]);
		order(OTA_ORDER_ABORT);
		world_pass(&w, 5000);
		cr_expect_eq(w.report.state, OTA_UPDATE_IDLE, "row %u: %s", i,
			ota_update_state_text(w.report.state));
		cr_expect_eq(w.report.wait, OTA_E_ABORTED);
		cr_expect_eq(w.report.error, 0);
		cr_expect(world_runs(&w, 1));
		cr_expect_not(w.has_job);
	}
}

Test(agent_orders, an_abort_before_the_reboot_switches_back)
{
	w.hooks[1].answer = OTA_E_BUSY;
	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.report.state, OTA_UPDATE_REBOOTING);
	cr_assert_eq(w.primary, 1);
	order(OTA_ORDER_ABORT);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_ABORTED);
	cr_expect_eq(w.primary, 0);
	world_boot(&w);
	world_run(&w);
	cr_expect(world_runs(&w, 1));
}

Test(agent_orders, an_abort_after_confirm_changes_nothing)
{
	world_publish(&w);
	world_run(&w);
	order(OTA_ORDER_ABORT);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect(world_runs(&w, 2));
}

Test(agent_orders, a_revert_before_the_start_does_nothing)
{
	w.order.state = OTA_ORDER_REVERT;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.slot_writes, 0);
	cr_expect(world_runs(&w, 1));
}

Test(agent_orders, a_revert_while_proving_rolls_back)
{
	w.hooks[2].answer = OTA_E_BUSY;
	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.report.state, OTA_UPDATE_PROVING);
	order(OTA_ORDER_REVERT);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_ABORTED);
	cr_expect(world_runs(&w, 1));
}

Test(agent_orders, a_revert_after_confirm_flips_back_without_a_byte)
{
	unsigned fetches, writes;

	world_publish(&w);
	world_run(&w);
	fetches = w.fetches;
	writes = w.slot_writes;
	order(OTA_ORDER_REVERT);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect(world_runs(&w, 1));
	cr_expect(w.report.confirmed);
	cr_expect_str_eq(w.report.version, "1.0");
	cr_expect(w.fetches == fetches && w.slot_writes == writes);
	cr_expect_eq(w.slots[1].info.state, SLOT_GOOD, "still whole");
	cr_expect_eq(w.boots, 3);
}

Test(agent_orders, a_revert_takes_back_those_in_its_share_and_at_last_all)
{
	uint64_t bucket;

	world_publish(&w);
	world_pass(&w, 60 * 1000);
	cr_assert_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	bucket = ota_bucket(w.grant.salt, w.report.device);
	w.order.permille = bucket;
	order(OTA_ORDER_REVERT);
	world_pass(&w, 60 * 1000);
	cr_expect(world_runs(&w, 2), "the share is below its bucket");
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	w.order.permille = bucket + 1;
	order(OTA_ORDER_REVERT);
	world_pass(&w, 60 * 1000);
	cr_expect(world_runs(&w, 1));
}

/* Confirmed, under an order to go back that is open to nobody's bucket. */
static void order_back_nobody(void)
{
	world_publish(&w);
	world_pass(&w, 60 * 1000);
	cr_assert_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	w.order.permille = ota_bucket(w.grant.salt, w.report.device);
	order(OTA_ORDER_REVERT);
	world_pass(&w, 60 * 1000);
	cr_assert(world_runs(&w, 2));
}

/* A newer one, without its grant. */
static void order_back_without_grant(void)
{
	world_next(&w);
	world_sign(&w);
	world_deliver(&w, OTA_TOPIC_FRESH);
	world_deliver(&w, OTA_TOPIC_ORDER);
	world_pass(&w, 60 * 1000);
}

Test(agent_orders, a_revert_takes_back_who_is_named)
{
	order_back_nobody();
	w.order.canary_count = 1;
	(void)snprintf(w.order.canaries[0], sizeof w.order.canaries[0], "gw-1");
	order(OTA_ORDER_REVERT);
	world_pass(&w, 60 * 1000);
	cr_expect(world_runs(&w, 1));
}

Test(agent_orders, a_revert_for_a_share_needs_the_grant_of_its_release)
{
	order_back_nobody();
	w.order.permille++;
	w.agent.papers.grant.release.at[0] ^= 1;
	order_back_without_grant();
	cr_expect(world_runs(&w, 2), "it is the grant of another release");
	w.agent.papers.has[OTA_TOPIC_GRANT] = false;
	order_back_without_grant();
	cr_expect(world_runs(&w, 2), "there is none");
	order(OTA_ORDER_REVERT);
	world_pass(&w, 60 * 1000);
	cr_expect(world_runs(&w, 1));
}

Test(agent_orders, a_revert_that_fails_comes_back_and_says_so)
{
	struct ota_digest new_image = world_image(2);

	world_publish(&w);
	world_run(&w);
	w.hooks[2].answer = OTA_E_HOOK;
	order(OTA_ORDER_REVERT);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_ROLLBACK);
	cr_expect(ota_digest_equal(&w.report.running, &new_image));
}

Test(agent_orders, a_revert_that_a_hook_refuses_leaves_both_images_whole)
{
	world_publish(&w);
	world_run(&w);
	w.hooks[1].answer = OTA_E_HOOK;
	order(OTA_ORDER_REVERT);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_HOOK);
	cr_expect(world_runs(&w, 2));
	cr_expect_eq(w.slots[0].info.state, SLOT_GOOD);
}

Test(agent_orders, a_revert_that_fresh_does_not_list_is_not_done)
{
	world_publish(&w);
	world_run(&w);
	world_next(&w);
	w.order.state = OTA_ORDER_REVERT;
	world_sign(&w);
	world_deliver(&w, OTA_TOPIC_ORDER);
	world_pass(&w, 5000);
	cr_expect(world_runs(&w, 2));
}

Test(agent_orders, an_image_that_is_not_healthy_goes_and_is_not_tried_again)
{
	w.hooks[2].answer = OTA_E_HOOK;
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_HEALTH);
	cr_expect(world_runs(&w, 1));
	cr_expect_eq(w.report.boot, 3);
	world_pass(&w, 24 * 3600 * 1000);
	world_boot(&w);
	world_pass(&w, 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.slot_writes, 1, "not tried again");
}

Test(agent_orders, a_failed_image_is_tried_again_under_a_new_order)
{
	w.hooks[2].answer = OTA_E_HOOK;
	world_publish(&w);
	world_run(&w);
	w.hooks[2].answer = OTA_OK;
	order(OTA_ORDER_GO);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect(world_runs(&w, 2));
}

/* A newer order of the same rollout, under the same assign. */
static void widen(void)
{
	uint64_t assign_seq = w.assign.seq;

	world_next(&w);
	w.assign.seq = assign_seq;
	world_publish(&w);
	world_pass(&w, 3600 * 1000);
}

Test(agent_orders, a_failed_image_is_not_tried_again_because_an_order_is_newer)
{
	w.hooks[2].answer = OTA_E_HOOK;
	world_publish(&w);
	world_pass(&w, 60 * 1000);
	cr_assert_eq(w.report.state, OTA_UPDATE_FAILED);
	w.hooks[2].answer = OTA_OK;
	widen();
	widen();
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED, "the order is for the cohort");
	cr_expect_eq(w.agent.papers.trust.order.seq, w.order.seq);
	world_restart(&w);
	world_pass(&w, 60 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED, "nor after a restart");
	w.assign.seq++;
	world_sign(&w);
	world_deliver(&w, OTA_TOPIC_ASSIGN);
	world_pass(&w, 60 * 1000);
	cr_expect_eq(
		w.report.state, OTA_UPDATE_CONFIRMED, "the assign is for the device");
	cr_expect(world_runs(&w, 2));
}

Test(agent_orders, a_failed_release_is_tried_again_by_another_rollout)
{
	w.hooks[2].answer = OTA_E_HOOK;
	world_publish(&w);
	world_pass(&w, 60 * 1000);
	cr_assert_eq(w.report.state, OTA_UPDATE_FAILED);
	w.hooks[2].answer = OTA_OK;
	(void)snprintf(w.order.rollout, sizeof w.order.rollout, "another");
	widen();
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

Test(agent_orders, a_patch_that_failed_is_tried_again_once_the_order_has_another)
{
	w.install_answer = OTA_E_DECODER;
	world_publish(&w);
	world_pass(&w, 60 * 1000);
	cr_assert_eq(w.report.state, OTA_UPDATE_FAILED);
	w.install_answer = OTA_OK;
	widen();
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED, "it is the same patch");
	w.manifest.decoder_ram++;
	widen();
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

Test(agent_orders, an_image_that_is_at_fault_is_so_by_whatever_patch)
{
	static const enum ota_code of_image[] = { OTA_E_HEALTH, OTA_E_FELLBACK,
		OTA_E_ROLLBACK, OTA_E_REVERTED, OTA_E_RESCUE };

	w.hooks[2].answer = OTA_E_HOOK;
	world_publish(&w);
	world_pass(&w, 60 * 1000);
	cr_assert_eq(w.report.state, OTA_UPDATE_FAILED);
	w.hooks[2].answer = OTA_OK;
	for (size_t i = 0; i < sizeof of_image / sizeof of_image[0]; i++) {
		w.agent.journal.error = of_image[i];
		w.manifest.decoder_ram++;
		widen();
		cr_expect_eq(w.report.state, OTA_UPDATE_FAILED, "%s",
			ota_code_name(of_image[i]));
	}
	w.agent.journal.error = OTA_E_DECODER;
	w.manifest.decoder_ram++;
	widen();
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

/* The agent before this one took each newer order for another try. */
Test(agent_orders, a_failure_under_an_older_agent_is_tried_again_under_a_newer_order)
{
	w.hooks[2].answer = OTA_E_HOOK;
	world_publish(&w);
	world_pass(&w, 60 * 1000);
	cr_assert_eq(w.report.state, OTA_UPDATE_FAILED);
	w.hooks[2].answer = OTA_OK;
	w.agent.journal.blocked_assign = 0;
	widen();
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

Test(agent_orders, an_image_from_which_nobody_is_reached_goes)
{
	struct seeds seeds = seeds_of(20, 2000);

	while (seeds_next(&seeds)) {
		uint32_t prove_s = 30 + (uint32_t)seeds_below(&seeds, 900);
		unsigned steps = 0;

		tear_down();
		set_up();
		w.order.prove_s = prove_s;
		world_publish(&w);
		while (!w.rebooting)
			cr_assert(world_step(&w) && ++steps < 1000);
		w.net_is_down = true;
		world_run(&w);
		cr_assert_eq(w.agent.journal.state, OTA_UPDATE_PROVING);
		cr_expect(w.agent.healthy);
		world_pass(&w, (prove_s - 1) * 1000);
		cr_assert_eq(w.agent.journal.state, OTA_UPDATE_PROVING,
			"%s: not before its %u s", seeds_text(&seeds), prove_s);
		world_pass(&w, 2 * 1000);
		cr_expect_eq(w.agent.journal.state, OTA_UPDATE_FAILED, "%s: %u s",
			seeds_text(&seeds), prove_s);
		cr_expect_eq(w.agent.journal.error, OTA_E_HEALTH);
		w.net_is_down = false;
		world_restart(&w);
		world_run(&w);
		cr_expect(world_runs(&w, 1), "%s", seeds_text(&seeds));
		cr_expect_eq(w.report.error, OTA_E_HEALTH, "told once it is up again");
	}
}

Test(agent_orders, proving_again_after_restarts_does_not_extend_its_time)
{
	w.hooks[2].answer = OTA_E_BUSY;
	world_publish(&w);
	world_run(&w);
	for (unsigned i = 0; i < 13; i++) {
		world_pass(&w, 10 * 1000);
		if (w.agent.journal.state == OTA_UPDATE_PROVING)
			world_restart(&w);
	}
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_HEALTH);
}

Test(agent_orders, an_image_whose_device_keeps_dying_falls_back)
{
	w.hooks[2].answer = OTA_E_BUSY;
	world_publish(&w);
	world_run(&w);
	for (unsigned i = 0; i < SLOT_TRIES; i++) {
		world_boot(&w);
		world_run(&w);
	}
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_FELLBACK);
	cr_expect(world_runs(&w, 1));
}

Test(agent_orders, success_is_said_only_after_boot_health_and_fresh)
{
	unsigned steps = 0;

	world_publish(&w);
	while (world_step(&w)) {
		cr_assert_lt(++steps, 1000);
		if (w.report.state != OTA_UPDATE_CONFIRMED)
			continue;
		cr_expect(w.boots == 2 && w.current == 1 && w.hooks[2].runs == 1);
		cr_expect(w.agent.fresh_here);
		cr_expect_eq(w.slots[1].info.state, SLOT_GOOD);
	}
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

Test(agent_orders, another_image_booted_later_is_said)
{
	world_publish(&w);
	world_run(&w);
	w.primary = 0;
	world_boot(&w);
	world_pass(&w, 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_REVERTED);
}

Test(agent_orders, the_next_release_is_installed_over_the_first)
{
	world_publish(&w);
	world_run(&w);
	world_next(&w);
	w.release.image = w.order.image = w.manifest.to = world_image(3);
	w.manifest.from = w.order.patches[0].from = world_image(2);
	w.release.counter = w.release.floor = w.order.counter = 3;
	(void)snprintf(w.order.rollout, sizeof w.order.rollout, "summer");
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect_str_eq(w.report.rollout, "summer");
	cr_expect(world_runs(&w, 3));
	cr_expect_eq(w.report.floor, 2, "the other slot could still boot 2");
}

Test(agent_orders, a_newer_release_takes_over_in_the_middle_of_work)
{
	for (unsigned i = 0; i < N_UNSWITCHED; i++) {
		tear_down();
		set_up();
		world_run_to(&w, unswitched[i]);
		world_next(&w);
		w.release.image = w.order.image = w.manifest.to = world_image(3);
		w.release.counter = w.order.counter = 3;
		world_publish(&w);
		world_run(&w);
		cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "row %u: %s", i,
			w.report.error_text);
		cr_expect(world_runs(&w, 3), "row %u", i);
	}
}

Test(agent_orders, a_window_that_closed_meanwhile_holds_the_reboot)
{
	world_run_to(&w, OTA_UPDATE_FETCHING);
	world_next(&w);
	w.order.window = (struct ota_window){ 1200, 1300 };
	world_publish(&w);
	world_pass(&w, 120 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_ARMED);
	cr_expect_eq(w.report.wait, OTA_E_WINDOW);
	cr_expect(world_runs(&w, 1));
	w.now.local_min = 1200;
	world_pass(&w, 61 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}
