#include <criterion/criterion.h>

#include "tests/sim/world.h"

/* Whatever is cut short, wherever: the device boots something whole, and gets to the same
 * end. */

static struct world w;

static bool is_confirmed(uint8_t image)
{
	return w.report.state == OTA_UPDATE_CONFIRMED && w.report.confirmed &&
	       world_runs(&w, image);
}

/* Run with the power cut before port call n. True if the cut came. */
static bool run_with_cut(int n)
{
	w.ops_left = n;
	world_run(&w);
	w.ops_left = -1;
	return w.cuts > 0;
}

Test(agent_cuts, a_cut_before_any_call_of_the_port_still_ends_confirmed)
{
	bool cut_came = true;

	for (int n = 0; cut_came; n++) {
		world_init(&w);
		world_boot(&w);
		world_publish(&w);
		cut_came = run_with_cut(n);
		cr_expect(is_confirmed(2), "cut before call %d: %s, %s", n,
			ota_update_state_text(w.report.state), w.report.error_text);
		cr_assert(!cut_came || n < 1000);
		cr_assert(cut_came || n > 40, "the sweep ended after %d calls", n);
		world_fini(&w);
	}
}

Test(agent_cuts, two_cuts_one_after_the_other_still_end_confirmed)
{
	for (int n = 0; n < 60; n += 3)
		for (int m = 0; m < 30; m++) {
			world_init(&w);
			world_boot(&w);
			world_publish(&w);
			w.ops_left = n;
			while (!w.cut && world_step(&w))
				;
			world_boot(&w);
			w.ops_left = m;
			world_run(&w);
			cr_expect(is_confirmed(2), "cuts before calls %d and %d: %s, %s",
				n, m, ota_update_state_text(w.report.state),
				w.report.error_text);
			world_fini(&w);
		}
}

Test(agent_cuts, a_restart_after_any_step_still_ends_confirmed)
{
	bool restarted = true;

	for (unsigned n = 0; restarted; n++) {
		world_init(&w);
		world_boot(&w);
		world_publish(&w);
		restarted = world_run_steps(&w, n);
		world_restart(&w);
		world_run(&w);
		cr_expect(is_confirmed(2), "restart after step %u: %s, %s", n,
			ota_update_state_text(w.report.state), w.report.error_text);
		world_fini(&w);
	}
}

Test(agent_cuts, a_restart_is_no_boot)
{
	world_init(&w);
	world_boot(&w);
	world_run(&w);
	world_restart(&w);
	world_run(&w);
	cr_expect_eq(w.report.boot, 1);
	world_fini(&w);
}

Test(agent_cuts, a_cut_anywhere_of_a_bad_update_ends_on_the_old_image)
{
	bool cut_came = true;

	for (int n = 0; cut_came; n++) {
		world_init(&w);
		w.hooks[2].answer = OTA_E_HOOK;
		world_boot(&w);
		world_publish(&w);
		cut_came = run_with_cut(n);
		cr_expect(w.report.state == OTA_UPDATE_FAILED && world_runs(&w, 1),
			"cut before call %d: %s", n,
			ota_update_state_text(w.report.state));
		cr_expect(w.report.error == OTA_E_HEALTH ||
				  w.report.error == OTA_E_FELLBACK,
			"cut before call %d: %s", n, w.report.error_text);
		cr_assert_lt(n, 1000);
		world_fini(&w);
	}
}

/* Going back, the slot is made bad before the other one is first: a cut between the two
 * leaves a bad slot first, which no boot loader boots. The other way round it would leave
 * what failed on trial, with boots to its name. */
Test(agent_cuts, what_failed_is_never_to_be_booted_again_wherever_the_cut_was)
{
	unsigned between = 0;

	for (int n = 0; n < 80; n++) {
		world_init(&w);
		w.hooks[2].answer = OTA_E_HOOK;
		world_boot(&w);
		world_publish(&w);
		w.ops_left = n;
		while (!w.cut && world_step(&w))
			;
		between += w.cut && w.current == 1 && w.primary == 1 &&
			   w.slots[1].info.state == SLOT_BAD;
		w.ops_left = -1;
		world_boot(&w);
		world_run(&w);
		cr_expect(world_runs(&w, 1), "cut before call %d", n);
		cr_expect_eq(w.slots[1].info.state, SLOT_BAD, "cut before call %d: %s", n,
			slot_state_text(w.slots[1].info.state));
		world_fini(&w);
	}
	cr_expect_eq(between, 1, "%u cuts came between the two", between);
}

Test(agent_cuts, an_image_that_never_comes_up_is_given_up_wherever_the_cut_was)
{
	bool armed = false, switched;

	for (int n = 0; n < 60; n++) {
		world_init(&w);
		world_boot(&w);
		world_publish(&w);
		w.ops_left = n;
		while (!w.cut && !w.rebooting && world_step(&w))
			;
		w.ops_left = -1;
		switched = w.primary == 1;
		armed |= w.journal.at[4] == OTA_UPDATE_ARMED && switched;
		while (w.primary == 1)
			world_boot_in_vain(&w);
		world_boot(&w);
		world_run(&w);
		cr_expect_eq(w.report.error, switched ? OTA_E_FELLBACK : OTA_OK,
			"cut before %d: %s", n, w.report.error_text);
		cr_expect(world_runs(&w, switched ? 1 : 2), "cut before %d", n);
		world_fini(&w);
	}
	cr_expect(armed, "one cut came between the switch and the journal");
}

Test(agent_cuts, a_journal_that_is_lost_is_said_and_the_device_goes_on)
{
	world_init(&w);
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	w.journal.len = 10;
	world_boot(&w);
	world_run(&w);
	cr_expect_eq(w.report.error, OTA_E_STATELOST);
	cr_expect(w.agent.journal.lost);
	cr_expect(world_runs(&w, 2));
	world_fini(&w);
}

Test(agent_cuts, an_image_on_trial_that_nobody_remembers_is_not_kept)
{
	world_init(&w);
	w.net_is_mute = true;
	world_boot(&w);
	world_run(&w);
	w.journal.len = 0;
	w.slots[1] = w.slots[0];
	w.slots[1].info.state = SLOT_TRIAL;
	w.slots[1].info.image = w.slots[1].content = world_image(3);
	w.primary = 1;
	w.tries = SLOT_TRIES;
	world_boot(&w);
	world_run(&w);
	cr_expect(world_runs(&w, 1));
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_STATELOST);
	world_fini(&w);
}

Test(agent_cuts, with_nothing_to_go_back_to_the_device_stays_and_says_so)
{
	world_init(&w);
	w.hooks[2].answer = OTA_E_BUSY;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.report.state, OTA_UPDATE_PROVING);
	w.slots[0].info.state = w.agent.slots[0].state = SLOT_BAD;
	w.hooks[2].answer = OTA_E_HOOK;
	world_pass(&w, 10 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_RESCUE);
	cr_expect(world_runs(&w, 2));
	world_fini(&w);
}
