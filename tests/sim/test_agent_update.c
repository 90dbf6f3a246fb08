#include <criterion/criterion.h>

#include <string.h>

#include "tests/seeds.h"
#include "tests/sim/world.h"
#include "tests/sim/world_people.h"

/* One agent in its world, from the first boot to the end of an update. */

static struct world w;

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_update, .init = set_up, .fini = tear_down);

Test(agent_update, a_device_at_first_boot_says_that_no_rollout_concerns_it)
{
	world_boot(&w);
	world_pass(&w, 2000);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.wait, OTA_E_NOROLLOUT);
	cr_expect_eq(w.report.boot, 1);
	cr_expect_str_eq(w.report.version, "1.0");
	cr_expect(world_runs(&w, 1));
}

Test(agent_update, a_whole_update_ends_confirmed_and_says_so)
{
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect(world_runs(&w, 2));
	cr_expect(w.report.confirmed);
	cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
	cr_expect_eq(w.report.wait, 0);
	cr_expect_str_eq(w.report.version, "2.0");
	cr_expect_str_eq(w.report.rollout, "spring");
	cr_expect_eq(w.report.boot, 2);
	cr_expect_eq(w.report.bytes, w.manifest.patch_len);
	cr_expect_eq(w.slot_writes, 1);
	cr_expect_eq(w.agent.journal.floor, 1, "not above what the other slot holds");
}

Test(agent_update, it_asks_for_what_follows_from_what_it_holds)
{
	world_boot(&w);
	world_run(&w);
	cr_expect_str_eq(w.want.name, "");
	cr_expect_eq(w.want.a, 2, "the next root");
	world_sign(&w);
	world_deliver(&w, OTA_TOPIC_ASSIGN);
	world_run(&w);
	cr_expect_str_eq(w.want.name, "lab");
	cr_expect(ota_digest_is_zero(&w.want.digest));
	world_deliver(&w, OTA_TOPIC_ORDER);
	world_run(&w);
	cr_expect(ota_digest_equal(&w.want.digest, &w.order.release));
}

Test(agent_update, a_newer_root_is_followed_and_kept)
{
	world_boot(&w);
	people_next_root(&w);
	world_deliver(&w, OTA_TOPIC_ROOT);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.root, 2);
	cr_expect_eq(w.want.a, 3);
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.root, 2, "over a boot");
}

Test(agent_update, a_root_that_skips_one_is_refused)
{
	struct seeds seeds = seeds_of(20, 1000);

	world_boot(&w);
	while (seeds_next(&seeds)) {
		w.root.version = 2 + seeds_below(&seeds, seeds.seed < 5 ? 3 : 1000000);
		people_next_root(&w);
		world_deliver(&w, OTA_TOPIC_ROOT);
		world_pass(&w, 5000);
		cr_expect_eq(w.report.root, 1, "%s", seeds_text(&seeds));
		cr_expect_eq(w.report.error, OTA_E_ROOTCHAIN, "%s: %s",
			seeds_text(&seeds), w.report.error_text);
	}
	w.root.version = 1;
	people_next_root(&w);
	world_deliver(&w, OTA_TOPIC_ROOT);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.root, 2, "the one that was missing");
}

Test(agent_update, at_rest_it_wants_no_time)
{
	world_boot(&w);
	world_publish(&w);
	world_pass(&w, 5000);
	cr_assert_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect_eq(agent_wake_ms(&w.agent), UINT64_MAX);
}

Test(agent_update, what_waits_for_the_clock_looks_once_a_minute)
{
	uint64_t now_ms;

	w.order.window = (struct ota_window){ 60, 120 };
	world_boot(&w);
	world_publish(&w);
	world_pass(&w, 5000);
	now_ms = w.now.mono_ms;
	cr_expect_geq(agent_wake_ms(&w.agent), now_ms + 50 * 1000);
	w.now.local_min = 60;
	world_pass(&w, 60 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

static void chunks_came(uint64_t count)
{
	world_say(&w, &(struct ipc_message){ .type = IPC_CHUNKS,
			      .digest = w.agent.patch,
			      .a = count,
			      .b = 100000,
			      .c = count * 10 });
	world_run(&w);
}

Test(agent_update, a_long_transfer_tells_of_itself_less_and_less)
{
	unsigned before;

	world_run_to_fetching(&w);
	before = w.reports;
	for (unsigned s = 1; s <= 3600; s++) {
		chunks_came(s);
		world_pass(&w, 1000);
	}
	cr_expect_eq(w.report.state, OTA_UPDATE_FETCHING);
	cr_expect_gt(w.report.chunks, 3500);
	cr_expect_gt(w.reports, before + 55);
	cr_expect_lt(w.reports, before + 75);
}

Test(agent_update, what_net_says_of_another_patch_is_nothing)
{
	struct ipc_message fetched = { .type = IPC_FETCHED, .digest = world_image(9) };

	world_run_to_fetching(&w);
	world_say(&w, &fetched);
	world_run(&w);
	cr_expect_eq(w.agent.journal.state, OTA_UPDATE_FETCHING);
	cr_expect_eq(w.slot_writes, 0);
}

/* The same at any moment of an update, whatever it says and how often. */
Test(agent_update, what_net_says_of_other_patches_changes_no_update)
{
	static const enum ipc_type types[] = { IPC_SPOOLED, IPC_CHUNKS, IPC_FETCHED,
		IPC_FAILED };
	struct seeds seeds = seeds_of(100, 20000);

	while (seeds_next(&seeds)) {
		tear_down();
		set_up();
		world_boot(&w);
		world_publish(&w);
		for (uint64_t says = 1 + seeds_below(&seeds, 10); says > 0; says--) {
			const struct ipc_message other = {
				.type = types[seeds_below(&seeds, 4)],
				.code = (uint32_t)seeds_below(&seeds, 2) * OTA_E_POISON,
				.a = seeds_below(&seeds, 100),
				.digest = world_image(
					(uint8_t)(9 + seeds_below(&seeds, 90)))
			};

			(void)world_run_steps(&w, (unsigned)seeds_below(&seeds, 12));
			world_say(&w, &other);
		}
		world_run(&w);
		world_pass(&w, 5000);
		cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s: %s",
			seeds_text(&seeds), w.report.error_text);
		cr_expect_eq(w.slot_writes, 1, "%s", seeds_text(&seeds));
		cr_expect(world_runs(&w, 2), "%s", seeds_text(&seeds));
	}
}

Test(agent_update, what_net_cannot_get_now_is_asked_for_again)
{
	struct ipc_message failed = { .type = IPC_FAILED,
		.code = OTA_E_LINK,
		.payload = ota_bytes_of("nobody there") };

	world_run_to_fetching(&w);
	failed.digest = w.agent.patch;
	world_say(&w, &failed);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FETCHING);
	cr_expect_eq(w.report.wait, OTA_E_LINK);
	cr_expect_str_eq(w.report.error_text, "nobody there");
	world_pass(&w, 60 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

Test(agent_update, what_net_will_never_get_ends_the_update)
{
	struct ipc_message failed = { .type = IPC_FAILED, .code = OTA_E_POISON };

	world_run_to_fetching(&w);
	failed.digest = w.agent.patch;
	world_say(&w, &failed);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_POISON);
}

Test(agent_update, an_order_with_other_patches_is_fetched_anew)
{
	world_run_to_fetching(&w);
	world_next(&w);
	w.manifest.decoder_ram--;
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect_eq(w.fetches, 2);
	cr_expect(ota_digest_equal(&w.agent.journal.patch, &w.order.patches[0].patch));
}

Test(agent_update, a_net_that_started_again_is_told_everything_again)
{
	world_run_to_fetching(&w);
	world_say(&w, &(struct ipc_message){ .type = IPC_HELLO });
	world_run(&w);
	cr_expect_eq(w.fetches, 2);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

Test(agent_update, a_device_that_changes_its_cohort_follows_the_new_one)
{
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	world_next(&w);
	memcpy(w.assign.cohort, "field", 6);
	memcpy(w.order.cohort, "field", 6);
	memcpy(w.fresh.orders[0].cohort, "field", 6);
	w.order.seq = 1;
	w.order.state = OTA_ORDER_REVERT;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_str_eq(w.report.cohort, "field");
	cr_expect_eq(w.report.order_seq, 1, "sequences are those of the cohort");
	cr_expect(world_runs(&w, 1));
}
