#include <criterion/criterion.h>

#include <string.h>

#include "tests/sim/world.h"
#include "tests/sim/world_people.h"

/* A running slot that is not the image it was recorded with: image 9 where 1 should be.
 */

enum { BLOCK_LEN = 65536, BLOCKS = 14, DIFFERENT = 3 };

static struct world w;

static void set_up(void)
{
	world_init(&w);
	w.slots[0].content = world_image(9);
	w.manifest.blocks = world_image(77);
	w.scan = (struct agent_scan){ .blocks = BLOCKS,
		.count = DIFFERENT,
		.packed_len = DIFFERENT * 30000,
		.raw_len = DIFFERENT * BLOCK_LEN,
		.bits = { 0x05, 0x20 } };
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_repair, .init = set_up, .fini = tear_down);

static bool is_confirmed(void)
{
	return w.report.state == OTA_UPDATE_CONFIRMED && w.report.confirmed &&
	       world_runs(&w, 2);
}

/* The order has a full image too. */
static void add_full(void)
{
	w.order.patches[1] = (struct ota_patch_ref){ .patch = world_image(55) };
	w.order.patch_count = 2;
}

Test(agent_repair, it_fetches_what_differs_and_ends_confirmed)
{
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect(is_confirmed(), "%s", w.report.error_text);
	cr_expect_eq(w.scans, 1);
	cr_expect_eq(w.block_fetches, 1);
	cr_expect_eq(w.report.bytes, w.manifest.patch_len + w.scan.packed_len);
	cr_expect_eq(w.report.chunks, w.manifest.chunk_count + DIFFERENT);
	cr_expect_eq(w.report.chunks_total, w.manifest.chunk_count + DIFFERENT);
	cr_expect(ota_digest_is_zero(&w.report.claims));
}

Test(agent_repair, a_slot_that_is_as_recorded_is_not_scanned)
{
	w.slots[0].content = world_image(1);
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect(is_confirmed());
	cr_expect_eq(w.scans + w.table_asks + w.block_fetches, 0);
}

Test(agent_repair, the_report_says_what_is_claimed_and_what_is_there)
{
	const struct ota_digest claimed = world_image(1), there = world_image(9);

	w.hooks[0].answer = OTA_E_BUSY;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect(ota_digest_equal(&w.report.claims, &claimed));
	cr_expect(ota_digest_equal(&w.report.running, &there));
}

Test(agent_repair, a_manifest_without_a_table_is_refused_as_ever)
{
	w.manifest.blocks = (struct ota_digest){ 0 };
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.error, OTA_E_PRECURSOR);
	cr_expect_eq(w.table_asks, 0);
}

Test(agent_repair, what_costs_as_much_as_the_full_image_is_refused_with_the_numbers)
{
	w.scan.packed_len = w.manifest.to_len - w.manifest.patch_len;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.error, OTA_E_PRECURSOR);
	cr_expect_str_eq(w.report.error_text,
		"3 of 14 blocks of the running image differ: 1000000 bytes with the "
		"patch, the full image has 1000000");
	cr_expect_eq(w.block_fetches, 0);
}

Test(agent_repair, one_byte_less_is_worth_it)
{
	w.scan.packed_len = w.manifest.to_len - w.manifest.patch_len - 1;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect(is_confirmed(), "%s", w.report.error_text);
}

Test(agent_repair, blocks_count_against_the_byte_budget)
{
	w.policy.budget_bytes = w.manifest.patch_len + w.scan.packed_len - 1;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.error, OTA_E_PRECURSOR, "%s", w.report.error_text);
	cr_expect_not_null(strstr(w.report.error_text, "byte budget"));
	cr_expect_eq(w.block_fetches, 0);
}

Test(agent_repair, what_is_just_within_the_budget_is_fetched)
{
	w.policy.budget_bytes = w.manifest.patch_len + w.scan.packed_len;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect(is_confirmed(), "%s", w.report.error_text);
	cr_expect_eq(w.agent.journal.spent, w.policy.budget_bytes);
}

Test(agent_repair, there_must_be_room_for_the_blocks_packed_and_unpacked)
{
	w.room.spool = w.manifest.patch_len + w.scan.packed_len + w.scan.raw_len - 1;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.agent.verdict.code, OTA_E_NOSPACE);
	cr_expect_not_null(strstr(w.agent.verdict.text, "repair"));
	cr_expect_eq(w.block_fetches, 0);
}

Test(agent_repair, where_it_is_not_worth_it_a_full_image_of_the_order_is_taken)
{
	w.scan.packed_len = w.manifest.to_len;
	w.net_is_mute = true;
	add_full();
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	world_say(&w,
		&(struct ipc_message){ .type = IPC_SPOOLED, .digest = w.agent.patch });
	world_run(&w);
	world_say(&w, &(struct ipc_message){ .type = IPC_SPOOLED,
			      .code = IPC_BLOCKS,
			      .digest = w.agent.patch });
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_OFFERED, "%s", w.report.error_text);
	cr_expect(ota_digest_equal(&w.agent.patch, &w.order.patches[1].patch));
	cr_expect_eq(w.agent.offer, AGENT_OFFER_MANIFEST);
}

Test(agent_repair, a_full_image_of_the_order_is_not_taken_before)
{
	add_full();
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect(is_confirmed(), "%s", w.report.error_text);
	cr_expect_eq(w.block_fetches, 1);
}

Test(agent_repair, an_order_of_nothing_but_a_full_image_needs_no_repair)
{
	w.net_is_mute = true;
	w.order.patches[0] = (struct ota_patch_ref){ .patch = world_image(55) };
	w.order.patch_count = 1;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_OFFERED, "%s", w.report.error_text);
	cr_expect(ota_digest_equal(&w.agent.patch, &w.order.patches[0].patch));
	cr_expect_eq(w.scans + w.table_asks, 0);
}

Test(agent_repair, an_order_without_a_patch_from_what_is_claimed_is_not_begun)
{
	const struct ota_digest there = world_image(9);

	w.hooks[0].answer = OTA_E_BUSY;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_assert(ota_digest_equal(&w.report.running, &there), "it was looked at");
	world_next(&w);
	w.order.patches[0].from = world_image(7);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_OFFERED, "nothing is fetched for it");
	cr_expect_eq(w.block_fetches, 0);
}

Test(agent_repair, the_full_image_that_the_next_order_brings_is_taken)
{
	w.scan.packed_len = w.manifest.to_len;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.report.error, OTA_E_PRECURSOR);
	w.manifest.from = w.manifest.blocks = (struct ota_digest){ 0 };
	w.manifest.from_len = 0;
	w.manifest.codec = OTA_CODEC_FULL;
	w.order.patches[0].from = w.manifest.from;
	world_next(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect(is_confirmed(), "%s", w.report.error_text);
	cr_expect_eq(w.block_fetches, 0);
}

Test(agent_repair, a_scan_that_finds_no_table_asks_for_it_again_later)
{
	w.scan_answer = OTA_E_NOTFOUND;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_OFFERED);
	w.scan_answer = OTA_OK;
	world_pass(&w, 61 * 1000);
	cr_expect(is_confirmed(), "%s", w.report.error_text);
	cr_expect_geq(w.table_asks, 3);
}

Test(agent_repair, a_scan_that_fails_ends_the_update)
{
	w.scan_answer = OTA_E_IO;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.error, OTA_E_IO);
}

Test(agent_repair, what_verify_finds_wrong_is_scanned_and_fetched_again)
{
	w.verify_answer = OTA_E_DIGEST;
	world_boot(&w);
	world_publish(&w);
	while (w.block_fetches < 2)
		cr_assert(world_step(&w));
	w.verify_answer = OTA_OK;
	world_run(&w);
	cr_expect(is_confirmed(), "%s", w.report.error_text);
	cr_expect_eq(w.scans, 2);
}

Test(agent_repair, a_slot_that_is_right_by_now_needs_no_block)
{
	w.scan.count = 0;
	w.scan.packed_len = w.scan.raw_len = 0;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect(is_confirmed(), "%s", w.report.error_text);
	cr_expect_eq(w.block_fetches, 0);
}

Test(agent_repair, a_cut_before_any_call_of_the_port_still_ends_confirmed)
{
	bool cut_came = true;

	tear_down();
	for (int n = 0; cut_came; n++) {
		set_up();
		world_boot(&w);
		world_publish(&w);
		w.ops_left = n;
		world_run(&w);
		w.ops_left = -1;
		cut_came = w.cuts > 0;
		cr_expect(is_confirmed(), "cut before call %d: %s, %s", n,
			ota_update_state_text(w.report.state), w.report.error_text);
		cr_assert(!cut_came || n < 1000);
		cr_assert(cut_came || n > 45, "the sweep ended after %d calls", n);
		tear_down();
	}
	set_up();
}

Test(agent_repair, a_restart_after_any_step_still_ends_confirmed)
{
	bool restarted = true;

	tear_down();
	for (unsigned n = 0; restarted; n++) {
		set_up();
		world_boot(&w);
		world_publish(&w);
		restarted = world_run_steps(&w, n);
		world_restart(&w);
		world_run(&w);
		cr_expect(is_confirmed(), "restart after step %u: %s, %s", n,
			ota_update_state_text(w.report.state), w.report.error_text);
		tear_down();
	}
	set_up();
}

Test(agent_repair, a_net_that_starts_again_after_any_step_changes_nothing)
{
	bool restarted = true;

	tear_down();
	for (unsigned n = 0; restarted; n++) {
		set_up();
		world_boot(&w);
		world_publish(&w);
		restarted = world_run_steps(&w, n);
		w.queued = 0;
		world_say(&w, &(struct ipc_message){ .type = IPC_HELLO });
		world_say(&w, &(struct ipc_message){ .type = IPC_UP,
				      .payload = { w.nonce, sizeof w.nonce } });
		world_publish(&w);
		world_run(&w);
		cr_expect(is_confirmed(), "after step %u: %s, %s", n,
			ota_update_state_text(w.report.state), w.report.error_text);
		tear_down();
	}
	set_up();
}

Test(agent_repair, a_script_of_the_policy_waits_until_the_scan_has_ended)
{
	w.policy.asks_metered = true;
	w.net_is_mute = true;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	world_say(&w,
		&(struct ipc_message){ .type = IPC_SPOOLED, .digest = w.agent.patch });
	world_run(&w);
	world_say(&w, &(struct ipc_message){ .type = IPC_SPOOLED,
			      .code = IPC_BLOCKS,
			      .digest = w.agent.patch });
	world_run(&w);
	cr_assert_eq(w.report.state, OTA_UPDATE_FETCHING, "%s", w.report.error_text);
	w.agent.repair.scanned = false;
	world_say(&w, &(struct ipc_message){ .type = IPC_SPOOLED,
			      .code = IPC_BLOCKS,
			      .digest = w.agent.patch });
	while (!w.has_job)
		cr_assert(world_step(&w));
	cr_assert_eq(w.job.kind, AGENT_JOB_SCAN);
	w.now.mono_ms += 61 * 1000;
	cr_assert_eq(agent_step(&w.agent, &w.now,
			     &(struct agent_event){ .kind = AGENT_ON_TIMER }, NULL),
		OTA_OK);
	cr_expect_eq(w.job.kind, AGENT_JOB_SCAN);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_FETCHING);
}
