#include <criterion/criterion.h>

#include <string.h>

#include "tests/sim/world.h"
#include "tests/sim/world_people.h"

/* What seldom happens: decisions without documents, orders that change their mind at
 * work, and a power cut in the middle of everything that is not an update. */

enum { BEFORE_REBOOT = 1, HEALTH = 2, RESCUE = 3, LOCK = 6 };

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

TestSuite(agent_corners, .init = set_up, .fini = tear_down);

static void update(void)
{
	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
}

static void order(enum ota_order_state state)
{
	world_next(&w);
	w.order.state = state;
	world_publish(&w);
	world_run(&w);
}

/* No document is kept, and none comes. */
static void forget_documents(void)
{
	for (unsigned i = 0; i < OTA_N_TOPIC_KINDS; i++)
		w.kept[i].len = 0;
	w.net_is_down = true;
}

/* ---- without documents */

Test(agent_corners, a_device_without_an_order_that_left_its_image_says_so)
{
	w.slots[1] = w.slots[0];
	w.slots[1].info.image = w.slots[1].content = world_image(9);
	w.primary = 1;
	world_boot(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_REVERTED, "%s", w.report.error_text);
}

Test(agent_corners, what_is_armed_goes_on_without_documents)
{
	w.policy.asks_lock = true;
	w.hooks[LOCK].answer = OTA_E_HOOK;
	world_restart(&w);
	world_run_to(&w, OTA_UPDATE_ARMED);
	forget_documents();
	w.hooks[LOCK].answer = OTA_OK;
	world_boot(&w);
	world_run(&w);
	cr_expect_eq(w.agent.journal.state, OTA_UPDATE_PROVING);
	cr_expect_eq(w.current, 1);
}

Test(agent_corners, what_is_fetched_waits_for_documents_and_net)
{
	world_run_to(&w, OTA_UPDATE_FETCHING);
	forget_documents();
	world_boot(&w);
	world_run(&w);
	w.net_is_down = false;
	world_restart(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
}

/* The cut came after the order was kept, before anything followed from it. */
Test(agent_corners, a_pause_of_another_rollout_pauses_nothing_but_withdraws)
{
	world_run_to(&w, OTA_UPDATE_FETCHING);
	w.net_is_mute = true;
	world_next(&w);
	memcpy(w.order.rollout, "other", 6);
	w.order.state = OTA_ORDER_PAUSE;
	world_sign(&w);
	w.kept[OTA_TOPIC_ORDER].len = 0;
	cr_assert_eq(ota_buf_add(&w.kept[OTA_TOPIC_ORDER],
			     ota_buf_bytes(&w.docs[OTA_TOPIC_ORDER])),
		OTA_OK);
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.wait, OTA_E_PAUSED);
	cr_expect_str_eq(w.report.rollout, "other");
}

Test(agent_corners, while_a_newer_root_is_missing_nobody_is_at_fault)
{
	w.fresh.root = 2;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, 0);
	cr_expect_eq(w.report.wait, OTA_E_ROOTCHAIN);
	people_next_root(&w);
	world_deliver(&w, OTA_TOPIC_ROOT);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
}

/* ---- orders that change their mind */

Test(agent_corners, a_revert_at_work_drops_what_is_not_switched)
{
	static const enum ota_update_state states[] = { OTA_UPDATE_OFFERED,
		OTA_UPDATE_FETCHING, OTA_UPDATE_VERIFYING, OTA_UPDATE_INSTALLING };

	for (size_t i = 0; i < 4; i++) {
		tear_down();
		set_up();
		world_run_to(&w, states[i]);
		order(OTA_ORDER_REVERT);
		cr_expect_eq(w.report.state, OTA_UPDATE_IDLE, "state %zu", i);
		cr_expect(world_runs(&w, 1));
	}
}

Test(agent_corners, a_release_revoked_at_work_is_not_installed)
{
	world_run_to(&w, OTA_UPDATE_FETCHING);
	world_next(&w);
	w.catalog.revoked_count = 1;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.error, OTA_E_UNLISTED, "%s", w.report.error_text);
	cr_expect(world_runs(&w, 1));
}

/* Neither documents that expire nor patches that are gone stop what has its chunks. */
Test(agent_corners, what_is_at_work_needs_no_new_patch_and_no_fresh)
{
	world_run_to(&w, OTA_UPDATE_INSTALLING);
	world_next(&w);
	w.order.patches[0].from = world_image(9);
	world_publish(&w);
	while (w.queued > 1)
		cr_assert(world_step(&w));
	cr_assert_eq(w.agent.journal.state, OTA_UPDATE_INSTALLING);
	w.now.utc_s += 100 * (uint64_t)WORLD_DAY_S;
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
}

static void other_rollout(void)
{
	memcpy(w.order.rollout, "other", 6);
	world_publish(&w);
}

static void not_listed(void)
{
	world_sign(&w);
	world_deliver(&w, OTA_TOPIC_ORDER);
}

Test(agent_corners, only_its_own_revert_ends_the_proving_and_only_if_listed)
{
	static void (*const changes[])(void) = { other_rollout, not_listed };

	for (size_t i = 0; i < 2; i++) {
		tear_down();
		set_up();
		w.hooks[HEALTH].answer = OTA_E_BUSY;
		world_publish(&w);
		world_run(&w);
		cr_assert_eq(w.report.state, OTA_UPDATE_PROVING);
		world_next(&w);
		w.order.state = OTA_ORDER_REVERT;
		changes[i]();
		world_run(&w);
		cr_expect_eq(w.agent.journal.state, OTA_UPDATE_PROVING, "change %zu", i);
	}
}

Test(agent_corners, a_revert_without_an_image_to_go_back_to_is_said)
{
	update();
	w.slots[0].info = (struct slot_info){ 0 };
	world_restart(&w);
	order(OTA_ORDER_REVERT);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect_eq(w.report.error, OTA_E_ROLLBACK, "%s", w.report.error_text);
	cr_expect(world_runs(&w, 2));
}

Test(agent_corners, a_revert_that_waits_goes_on_by_the_clock)
{
	update();
	w.hooks[BEFORE_REBOOT].answer = OTA_E_BUSY;
	order(OTA_ORDER_REVERT);
	cr_assert_eq(w.report.state, OTA_UPDATE_REBOOTING);
	w.hooks[BEFORE_REBOOT].answer = OTA_OK;
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_REBOOTING);
	world_pass(&w, 61 * 1000);
	cr_expect(world_runs(&w, 1));
}

/* ---- work that ends otherwise */

Test(agent_corners, a_manifest_that_is_not_the_one_ordered_is_refused)
{
	world_boot(&w);
	world_publish(&w);
	w.manifest_bytes.at[w.manifest_bytes.len - 1] ^= 1;
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.error, OTA_E_DIGEST, "%s", w.report.error_text);
	cr_expect_eq(w.fetches, 0);
}

Test(agent_corners, an_install_that_hangs_ends_at_its_deadline)
{
	world_run_to(&w, OTA_UPDATE_INSTALLING);
	w.has_job = false; /* no answer will come */
	world_pass(&w, 599 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_INSTALLING);
	world_pass(&w, 2 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_TIMEOUT);
	cr_expect(world_runs(&w, 1));
}

Test(agent_corners, a_spool_that_cannot_be_read_is_not_fetched_again)
{
	w.verify_answer = OTA_E_IO;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_IO);
	cr_expect_eq(w.fetches, 1);
}

/* On the way back, when the slot to go back to is lost: what runs was given up already.
 */
Test(agent_corners, what_was_given_up_is_booted_again_if_it_is_all_there_is)
{
	w.hooks[HEALTH].answer = OTA_E_HOOK;
	world_run_to(&w, OTA_UPDATE_ROLLING_BACK);
	cr_assert_eq(w.slots[1].info.state, SLOT_BAD);
	w.slots[0].info = (struct slot_info){ 0 };
	w.primary = 1;
	world_run(&w);
	cr_expect_eq(w.report.error, OTA_E_RESCUE, "%s", w.report.error_text);
	cr_expect_eq(w.slots[1].info.state, SLOT_TRIAL);
	cr_expect_eq(w.boots, 3);
	cr_expect(world_runs(&w, 2));
}

/* ---- cuts in everything that is not an update */

static void aborted(void)
{
	w.hooks[BEFORE_REBOOT].answer = OTA_E_BUSY;
	world_run_to(&w, OTA_UPDATE_REBOOTING);
	world_next(&w);
	w.order.state = OTA_ORDER_ABORT;
	world_publish(&w);
}

static void withdrawn(void)
{
	world_run_to(&w, OTA_UPDATE_FETCHING);
	world_next(&w);
	w.order.state = OTA_ORDER_ABORT;
	world_publish(&w);
}

static void reverted(void)
{
	update();
	world_next(&w);
	w.order.state = OTA_ORDER_REVERT;
	world_publish(&w);
}

static void rescued(void)
{
	w.hooks[HEALTH].answer = OTA_E_HOOK;
	world_run_to(&w, OTA_UPDATE_PROVING);
	w.slots[0].info = w.agent.slots[0] = (struct slot_info){ 0 };
}

static void given_up_and_rescued(void)
{
	w.hooks[HEALTH].answer = OTA_E_HOOK;
	world_run_to(&w, OTA_UPDATE_ROLLING_BACK);
	w.slots[0].info = (struct slot_info){ 0 };
	w.primary = 1;
}

static void held_by_policy(void)
{
	w.policy.asks_metered = w.policy.asks_power = w.policy.asks_lock = true;
	world_restart(&w);
	world_publish(&w);
}

static void left(void)
{
	update();
	w.primary = 0;
	w.rebooting = true;
}

static const struct {
	const char *name;
	void (*begin)(void);
	uint8_t image; /* at the end */
	enum ota_code error;
	bool races; /* the cut may be the boot that was to be prevented */
} stories[] = { { "abort", aborted, 1, OTA_E_ABORTED, true },
	{ "withdrawn", withdrawn, 1, OTA_OK, false },
	{ "revert", reverted, 1, OTA_OK, false },
	{ "rescue", rescued, 2, OTA_E_RESCUE, false },
	{ "given up", given_up_and_rescued, 2, OTA_E_RESCUE, false },
	{ "policy", held_by_policy, 2, OTA_OK, false },
	{ "left", left, 1, OTA_E_REVERTED, false } };

Test(agent_corners, each_story_ends_the_same_wherever_the_power_was_cut)
{
	for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
		bool cut_came = true;
		int n = 0;

		for (; cut_came; n++) {
			tear_down();
			set_up();
			stories[i].begin();
			w.cuts = 0;
			w.ops_left = n;
			world_run(&w);
			w.ops_left = -1;
			cut_came = w.cuts > 0;
			world_run(&w);
			if (stories[i].races && cut_came && world_runs(&w, 2)) {
				cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
				continue;
			}
			cr_expect(world_runs(&w, stories[i].image),
				"%s: cut before %d: %s", stories[i].name, n,
				w.report.error_text);
			cr_expect_eq(w.report.error, stories[i].error,
				"%s: cut before %d: %s", stories[i].name, n,
				w.report.error_text);
			cr_assert_lt(n, 500);
		}
		cr_expect_gt(n, 3, "%s: %d cuts", stories[i].name, n);
	}
}
