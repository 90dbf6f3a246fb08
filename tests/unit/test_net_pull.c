#include "tests/unit/net_pull_kit.h"

/* How net gets a patch into the spool, step by step and with each call that fails. What
 * a real broker does to it is in tests/integration/test_net.c. */

TestSuite(net_pull, .init = set_up, .fini = tear_down, .timeout = 100);

/* ---- every call that fails ---- */

Test(net_pull, any_call_that_fails_fails_one_fetch_at_most)
{
	cr_expect_gt(net_fetch_walk(&pull), 60);
	end();
}

Test(net_pull, what_was_not_synced_is_removed_and_fetched_again)
{
	net_fetch_without_sync(&pull);
	end();
}

Test(net_pull, what_was_not_synced_and_cannot_be_removed_is_an_error_all_the_same)
{
	net_fetch_without_sync_nor_removal(&pull);
	end();
}

/* ---- requests ---- */

Test(net_pull, what_was_asked_twice_is_done_once)
{
	net_fetch_twice(&pull);
	end();
}

Test(net_pull, another_patch_takes_the_place_of_the_first)
{
	kit.is_deaf = true;
	ask(IPC_MANIFEST);
	net_kit_ask(&kit, IPC_MANIFEST, IPC_PATCH, &other.digest);
	cr_expect_eq(kit.subscribed, 2);
	cr_expect_eq(kit.unsubscribed, 1, "from the first");
	net_kit_deliver(&kit, manifest_topic(&patch.digest),
		ota_buf_bytes(&patch.manifest), true);
	cr_expect_eq(kit.pull.stage, PULL_MANIFEST, "the first is no news any more");
	net_kit_deliver(&kit, manifest_topic(&other.digest),
		ota_buf_bytes(&other.manifest), true);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 1));
	cr_expect(ota_digest_equal(&kit.heard[IPC_SPOOLED].digest, &other.digest));
	kit.is_deaf = false;
	ask(IPC_MANIFEST);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 2));
	net_kit_ask(&kit, IPC_FETCH, IPC_PATCH, &other.digest);
	ask(IPC_FETCH);
	cr_assert(net_kit_wait(&kit, IPC_FETCHED, 1));
	cr_expect(is_in_spool(), "the last one that was asked for");
	end();
}

/* Stopped while a thread opens the spool, while chunks come, and while a thread syncs:
 * what the thread answers is for nobody. */
Test(net_pull, stopped_at_any_stage_it_says_no_more_and_begins_again)
{
	static const enum net_pull_stage stages[] = { PULL_MANIFEST, PULL_OPENING,
		PULL_CHUNKS, PULL_SYNCING };

	for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
		net_kit_ask(&kit, IPC_PURGE, IPC_PATCH, &(struct ota_digest){ 0 });
		net_fetch_stop_at(&pull, (int)stages[i]);
	}
	cr_expect(fetch());
	end();
}

Test(net_pull, a_purge_keeps_what_it_names)
{
	cr_assert(fetch());
	kit.is_deaf = true;
	net_kit_retain(&kit, manifest_topic(&patch.digest), (struct ota_bytes){ 0 });
	net_kit_ask(&kit, IPC_MANIFEST, IPC_PATCH, &other.digest);
	net_kit_ask(&kit, IPC_PURGE, IPC_PATCH, &other.digest);
	cr_expect_eq(kit.pull.stage, PULL_MANIFEST, "that one is kept");
	cr_expect_not(is_in_spool(), "the other one is not");
	net_kit_ask(&kit, IPC_PURGE, IPC_PATCH, &patch.digest);
	cr_expect_eq(kit.pull.stage, PULL_NONE);
	ask(IPC_MANIFEST);
	net_kit_ask(&kit, IPC_PURGE, IPC_PATCH, &(struct ota_digest){ 0 });
	cr_expect_eq(kit.pull.stage, PULL_NONE, "it names nothing");
	end();
}

/* It is said in the log; what can go has gone, and a fetch begins all the same. */
Test(net_pull, a_purge_that_fails_stops_nothing)
{
	char path[SPOOL_PATH_CAP];

	cr_assert(fetch());
	path_of("not-ours", path);
	cr_assert_eq(ota_dir_make(path, 0700, NULL), OTA_OK);
	net_kit_ask(&kit, IPC_PURGE, IPC_PATCH, &(struct ota_digest){ 0 });
	cr_expect_eq(kit.count[IPC_FAILED], 0);
	cr_expect(fetch());
	cr_expect(is_in_spool());
	end();
}

Test(net_pull, what_is_for_blocks_is_not_for_it)
{
	net_kit_ask(&kit, IPC_MANIFEST, 7, &patch.digest);
	net_kit_ask(&kit, IPC_FETCH, 7, &patch.digest);
	ask(IPC_REPORT);
	cr_expect_eq(kit.pull.stage, PULL_NONE);
	cr_expect_eq(kit.subscribed, 0);
	end();
}

Test(net_pull, as_many_are_outstanding_as_both_allow)
{
	net_fetch_head(&pull);
	cr_expect_eq(
		net_fetch_outstanding(&pull, 0), FETCH_WINDOW_START, "it says nothing");
	cr_expect_eq(net_fetch_outstanding(&pull, 1), 1);
	cr_expect_eq(net_fetch_outstanding(&pull, FETCH_WINDOW_MAX), FETCH_WINDOW_START);
	cr_expect_eq(net_fetch_outstanding(&pull, 1000), FETCH_WINDOW_START,
		"no number of ours");
	kit.config.chunks_outstanding = 2;
	cr_expect_eq(net_fetch_outstanding(&pull, 3), 2, "the owner allows fewer");
	end();
}

Test(net_pull, a_number_of_chunks_that_nobody_can_have_is_an_error)
{
	kit.config.chunks_outstanding = FETCH_WINDOW_MAX + 1;
	ask(IPC_MANIFEST);
	cr_expect_not(net_kit_wait(&kit, IPC_SPOOLED, 1));
	expect_failed(OTA_E_LIMIT, "17 chunks outstanding");
	end();
}

/* ---- what is in the spool ---- */

Test(net_pull, a_manifest_in_the_spool_is_enough_if_it_is_whole)
{
	char path[SPOOL_PATH_CAP];

	cr_assert(fetch());
	kit.subscribed = 0;
	ask(IPC_MANIFEST);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 2));
	cr_expect_eq(kit.subscribed, 0, "it is there");
	path_of(SPOOL_MANIFEST, path);
	cr_assert_eq(ota_file_replace(path, ota_bytes_of("rotten"), 0600, NULL), OTA_OK);
	ask(IPC_MANIFEST);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 3));
	cr_expect_eq(kit.subscribed, 1, "fetched again");
	cr_assert_eq(truncate(path, OTA_MANIFEST_LEN_MAX + 1), 0);
	ask(IPC_MANIFEST);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 4));
	cr_expect_eq(kit.subscribed, 2, "fetched again");
	end();
}

Test(net_pull, a_manifest_that_is_no_file_is_an_error)
{
	char path[SPOOL_PATH_CAP];

	cr_assert(fetch());
	path_of(SPOOL_MANIFEST, path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(ota_dir_make(path, 0700, NULL), OTA_OK);
	ask(IPC_MANIFEST);
	cr_expect_not(net_kit_wait(&kit, IPC_SPOOLED, 2));
	expect_failed(OTA_E_IO, "manifest");
	end();
}

/* ---- what arrives ---- */

/* Its digest is right, since an order names it; but it is none. */
Test(net_pull, a_manifest_that_is_none_is_an_error)
{
	const struct ota_bytes none = ota_bytes_of("OTM1 and no more");
	struct ota_digest digest = ota_digest_of(none);

	net_kit_retain(&kit, manifest_topic(&digest), none);
	net_kit_ask(&kit, IPC_MANIFEST, IPC_PATCH, &digest);
	cr_expect_not(net_kit_wait(&kit, IPC_SPOOLED, 1));
	cr_expect_eq(kit.heard[IPC_FAILED].code, (uint32_t)OTA_E_FORMAT, "%s", kit.text);
	cr_expect(ota_digest_equal(&kit.heard[IPC_FAILED].digest, &digest));
	end();
}

Test(net_pull, a_wrong_manifest_is_dropped_and_a_right_one_taken)
{
	kit.is_deaf = true;
	ask(IPC_MANIFEST);
	net_kit_deliver(&kit, manifest_topic(&patch.digest),
		ota_buf_bytes(&other.manifest), false);
	cr_expect_eq(kit.pull.stage, PULL_MANIFEST);
	net_kit_deliver(&kit, chunk_topic(1), ota_buf_bytes(&chunks[1]), false);
	cr_expect_eq(kit.pull.stage, PULL_MANIFEST, "a chunk before its manifest");
	net_kit_deliver(&kit, manifest_topic(&patch.digest),
		ota_buf_bytes(&patch.manifest), false);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 1));
	end();
}

/* One that was asked for and comes once more has cost; one that others asked for, one
 * that is none, and a fence that is none, have not. */
Test(net_pull, chunks_that_are_there_cost_only_if_asked_for)
{
	const struct ota_bytes chunk = ota_buf_bytes(&chunks[3]);

	begin_chunks();
	net_kit_deliver(&kit, chunk_topic(3), chunk, false);
	cr_expect_eq(kit.pull.spool.held, 1, "whoever asked for it");
	net_kit_deliver(&kit, chunk_topic(3), chunk, false);
	cr_expect_eq(kit.pull.spool.refetched, 0);
	net_kit_deliver(&kit, chunk_topic(N), chunk, true);
	net_kit_deliver(&kit, manifest_topic(&patch.digest),
		ota_buf_bytes(&patch.manifest), false);
	cr_expect_eq(kit.pull.spool.refetched, 0);
	cr_expect_eq(kit.pull.spool.bytes, CHUNK_LEN);
	net_kit_deliver(&kit, chunk_topic(3), chunk, true);
	cr_expect_eq(kit.pull.spool.refetched, 1);
	cr_expect_eq(kit.pull.spool.bytes, 2 * CHUNK_LEN);
	net_kit_deliver(&kit, chunk_topic(3), ota_bytes_of("x"), true);
	cr_expect_eq(kit.pull.spool.refetched, 2);
	cr_expect_eq(kit.pull.spool.bytes, 2 * CHUNK_LEN, "no more than a head");
	end();
}

/* Each message that is no such chunk, and how the fetch ends when the counters of what
 * was wasted cannot be kept either. */
Test(net_pull, a_waste_that_cannot_be_counted_is_an_error)
{
	static const bool is_held[] = { true, false };

	for (size_t i = 0; i < 2; i++) {
		begin_chunks();
		if (is_held[i])
			net_kit_deliver(
				&kit, chunk_topic(2), ota_buf_bytes(&chunks[2]), true);
		cr_assert(faults_arm_text("pwrite64,5,0"));
		net_kit_deliver(&kit, chunk_topic(2),
			ota_buf_bytes(&chunks[is_held[i] ? 2 : 5]), true);
		cr_expect(faults_disarm(&(struct faults){ 0 }));
		cr_assert(!net_kit_wait(&kit, IPC_FETCHED, 1));
		expect_failed(OTA_E_IO, "spool: bitmap");
		end();
		begin();
	}
	end();
}

Test(net_pull, eight_wrong_chunks_end_it)
{
	begin_chunks();
	for (uint32_t i = 0; i < FETCH_WRONG_MAX; i++) {
		cr_expect_eq(kit.pull.stage, PULL_CHUNKS, "%u", i);
		net_kit_deliver(
			&kit, chunk_topic(i), ota_buf_bytes(&chunks[i + 1]), true);
	}
	net_kit_turn(&kit);
	expect_failed(OTA_E_POISON, "8 wrong chunks, the last as chunk 7; 0 of 21");
	end();
}

Test(net_pull, a_link_that_goes_and_comes_costs_nothing)
{
	begin_chunks();
	net_kit_deliver(&kit, chunk_topic(0), ota_buf_bytes(&chunks[0]), true);
	net_kit_link(&kit, false);
	net_kit_turn(&kit);
	cr_expect_eq(kit.pull.stage, PULL_CHUNKS);
	kit.is_deaf = false;
	net_kit_link(&kit, true);
	cr_assert(net_kit_wait(&kit, IPC_FETCHED, 1));
	cr_expect_eq(kit.heard[IPC_FETCHED].c, PATCH_LEN, "each byte once");
	cr_expect(is_in_spool());
	net_kit_link(&kit, false); /* with nothing to do */
	cr_expect_eq(kit.pull.stage, PULL_NONE);
	end();
}

Test(net_pull, without_a_link_it_waits_for_one)
{
	net_fetch_after_link(&pull);
	end();
}
