#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/block_pack.h"
#include "proto/io/files.h"
#include "tests/patch.h"
#include "tests/unit/net_fetch_kit.h"
#include "tests/unit/temporary.h"

/* How net gets a block table and the blocks that repair a source into the spool, step by
 * step and with each call that fails. What a real broker does to it is in
 * tests/integration/test_net_repair.c. */

enum { N = 5, IMAGE_LEN = N * OTA_BLOCK_LEN_MIN - 1000 };

static const uint8_t wanted[] = { 0x1a }; /* blocks 1, 3 and 4 */
enum { WANTED = 3 };

static struct net_kit kit;
static struct test_patch image; /* its bytes are the source */
static struct ota_block_table table;
static struct ota_buf table_bytes, packed, manifest, blocks[N];
static struct ota_digest table_name, patch;

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

/* A manifest that names a block table; its digest. */
static struct ota_digest make_manifest(
	const struct ota_digest *names, struct ota_buf *out)
{
	struct ota_manifest m = image.table;

	m.codec = OTA_CODEC_VCDIFF;
	m.from = table.image;
	m.from_len = table.image_len;
	m.blocks = *names;
	cr_assert_eq(ota_manifest_encode(&m, out, NULL), OTA_OK);
	return ota_digest_of(ota_buf_bytes(out));
}

static void make_table(void)
{
	struct ota_bytes all = ota_buf_bytes(&image.bytes);
	const struct ota_source source = ota_source_of(&all);
	const struct ota_sink sink = { .ctx = &packed, .write = keep };
	const struct ota_progress none = { 0 };
	uint64_t at = 0;

	cr_assert_eq(ota_block_table_make(&source, &sink, &none, &table, NULL), OTA_OK);
	cr_assert_eq(table.count, N);
	cr_assert_eq(ota_block_table_encode(&table, &table_bytes, NULL), OTA_OK);
	table_name = ota_digest_of(ota_buf_bytes(&table_bytes));
	for (uint32_t i = 0; i < N; i++) {
		struct ota_bytes block = { packed.at + at, table.blocks[i].packed_len };

		cr_assert_eq(ota_chunk_encode(i, block, &blocks[i]), OTA_OK);
		at += block.len;
	}
}

static const struct ota_topic *topic_of(enum ota_topic_kind kind, uint32_t index)
{
	static struct ota_topic topic;

	topic = (struct ota_topic){ .kind = kind, .digest = table_name, .index = index };
	return &topic;
}

static const struct ota_topic *block_topic(uint32_t index)
{
	return topic_of(OTA_TOPIC_BLOCK, index);
}

/* After a failed sync it is gone with the rest: net_pull would fetch it first. */
static void spool_manifest(void)
{
	cr_assert_eq(spool_manifest_write(kit.config.spool_dir, &patch,
			     ota_buf_bytes(&manifest), NULL),
		OTA_OK);
}

/* A new spool that holds the manifest, and a broker that holds the rest. */
static void begin(void)
{
	temporary_in_memory = true;
	temporary_make();
	net_kit_init(&kit, temporary_dir);
	spool_manifest();
	net_kit_retain(
		&kit, topic_of(OTA_TOPIC_BLOCK_TABLE, 0), ota_buf_bytes(&table_bytes));
	for (uint32_t i = 0; i < N; i++)
		net_kit_retain(&kit, block_topic(i), ota_buf_bytes(&blocks[i]));
}

static void set_up(void)
{
	test_patch_init(&image, IMAGE_LEN, OTA_CHUNK_LEN, 1);
	make_table();
	patch = make_manifest(&table_name, &manifest);
	begin();
}

static void end(void)
{
	cr_expect(net_kit_fini(&kit), "something is left in the loop");
	temporary_remove();
}

static void tear_down(void)
{
	test_patch_fini(&image);
	ota_block_table_fini(&table);
	ota_buf_fini(&table_bytes);
	ota_buf_fini(&packed);
	ota_buf_fini(&manifest);
	for (uint32_t i = 0; i < N; i++)
		ota_buf_fini(&blocks[i]);
}

TestSuite(net_blocks, .init = set_up, .fini = tear_down, .timeout = 100);

static void ask_of(enum ipc_type type, const struct ota_digest *digest, uint64_t b)
{
	struct ipc_message want = {
		.type = type, .code = IPC_BLOCKS, .digest = *digest, .b = b
	};

	if (type == IPC_FETCH)
		want.payload = (struct ota_bytes){ wanted, sizeof wanted };
	net_repair_request(&kit.repair, &want);
}

static void path_of(const char *name, char out[static SPOOL_PATH_CAP])
{
	cr_assert_eq(spool_file(kit.config.spool_dir, &patch, name, out, NULL), OTA_OK);
}

static bool is_in_spool(void)
{
	static uint8_t room[OTA_BLOCK_LEN_MAX];
	ota_autoclose int fd = -1;
	unsigned found = 0;

	if (block_file_open(kit.config.spool_dir, &patch, &fd, NULL) != OTA_OK)
		return false;
	for (uint32_t i = 0; i < N; i++)
		if ((wanted[0] >> i & 1) != 0)
			found += block_file_read(fd, &table, i, room, NULL) == OTA_OK;
	return found == WANTED;
}

static void ask_for(enum ipc_type type, uint64_t allowed)
{
	ask_of(type, &patch, allowed);
}

static int stage_of_repair(void)
{
	return (int)kit.repair.stage;
}

static const struct net_fetch repair = { .kit = &kit,
	.patch = &patch,
	.file = SPOOL_BLOCKS,
	.none = REPAIR_NONE,
	.opening = REPAIR_OPENING,
	.begin = begin,
	.end = end,
	.prepare = spool_manifest,
	.ask = ask_for,
	.stage = stage_of_repair,
	.is_in_spool = is_in_spool };

static void ask(enum ipc_type type)
{
	ask_for(type, 0);
}

static bool fetch(void)
{
	return net_fetch_all(&repair);
}

static void expect_failed(enum ota_code code, const char *text)
{
	net_fetch_expect_failed(&repair, code, text);
}

/* ---- every call that fails ---- */

Test(net_blocks, any_call_that_fails_fails_one_fetch_at_most)
{
	cr_expect_gt(net_fetch_walk(&repair), 50);
	end();
}

/* The same from FETCH on, so that each of its own allocations is among the first. */
Test(net_blocks, any_call_for_the_blocks_may_fail)
{
	struct faults walk = { .only = net_kit_calls };
	unsigned failed = 0;

	while (faults_next(&walk)) {
		ask(IPC_MANIFEST);
		cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 1));
		faults_arm(&walk);
		ask(IPC_FETCH);
		failed += !net_kit_wait(&kit, IPC_FETCHED, 1);
		(void)faults_disarm(&walk);
		cr_expect_eq(kit.count[IPC_FETCHED] + kit.count[IPC_FAILED] + kit.gone, 1,
			"%s", faults_text(&walk));
		cr_expect(kit.count[IPC_FETCHED] == 0 || is_in_spool(), "%s",
			faults_text(&walk));
		end();
		begin();
	}
	cr_expect_gt(failed, 40);
	end();
}

Test(net_blocks, what_was_not_synced_is_removed_and_fetched_again)
{
	net_fetch_without_sync(&repair);
	end();
}

Test(net_blocks, what_was_not_synced_and_cannot_be_removed_is_an_error_all_the_same)
{
	net_fetch_without_sync_nor_removal(&repair);
	end();
}

/* ---- requests ---- */

Test(net_blocks, what_was_asked_twice_is_done_once)
{
	net_fetch_twice(&repair);
	end();
}

Test(net_blocks, what_is_there_is_not_fetched_again)
{
	uint64_t bytes;

	cr_assert(fetch());
	bytes = kit.heard[IPC_FETCHED].c;
	kit.subscribed = 0;
	ask(IPC_MANIFEST);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 2));
	cr_expect_eq(kit.subscribed, 0, "the table is there");
	ask(IPC_FETCH);
	cr_assert(net_kit_wait(&kit, IPC_FETCHED, 2));
	cr_expect_eq(kit.heard[IPC_FETCHED].c, bytes);
	cr_expect_eq(kit.heard[IPC_FETCHED].a, WANTED);
	end();
}

/* Another patch, whose manifest is in the spool, too. */
static struct ota_digest spool_another(const struct ota_digest *names)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_digest digest = make_manifest(names, &bytes);

	cr_assert_eq(spool_manifest_write(
			     kit.config.spool_dir, &digest, ota_buf_bytes(&bytes), NULL),
		OTA_OK);
	return digest;
}

Test(net_blocks, another_patch_takes_the_place_of_the_first)
{
	struct ota_digest none = { { 1 } }, other = spool_another(&none);

	kit.is_deaf = true;
	ask(IPC_MANIFEST);
	ask_of(IPC_MANIFEST, &other, 0);
	cr_expect_eq(kit.subscribed, 2);
	cr_expect_eq(kit.unsubscribed, 1, "from the first");
	net_kit_deliver(&kit, topic_of(OTA_TOPIC_BLOCK_TABLE, 0),
		ota_buf_bytes(&table_bytes), true);
	cr_expect_eq(kit.repair.stage, REPAIR_TABLE, "the first is no news any more");
	ask(IPC_FETCH);
	ask_of(IPC_FETCH, &other, 0);
	cr_expect_not(net_kit_wait(&kit, IPC_FETCHED, 1));
	expect_failed(OTA_E_NOTFOUND, "spool: ");
	end();
}

Test(net_blocks, a_patch_without_a_block_table_is_an_error)
{
	struct ota_digest other = spool_another(&(struct ota_digest){ 0 });

	ask_of(IPC_MANIFEST, &other, 0);
	cr_expect_not(net_kit_wait(&kit, IPC_SPOOLED, 1));
	expect_failed(OTA_E_PRECURSOR, "the manifest names no block table");
	ask_of(IPC_FETCH, &(struct ota_digest){ { 9 } }, 0);
	cr_expect_not(net_kit_wait(&kit, IPC_FETCHED, 1));
	expect_failed(OTA_E_NOTFOUND, "manifest");
	end();
}

/* Stopped while a thread looks at the spool, while blocks come, and while a thread syncs:
 * what the thread answers is for nobody. */
Test(net_blocks, stopped_at_any_stage_it_says_no_more_and_begins_again)
{
	static const enum net_repair_stage stages[] = { REPAIR_TABLE, REPAIR_OPENING,
		REPAIR_BLOCKS, REPAIR_SYNCING };

	for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
		cr_assert_eq(spool_remove(kit.config.spool_dir, &patch, NULL), OTA_OK);
		spool_manifest();
		net_fetch_stop_at(&repair, (int)stages[i]);
	}
	cr_expect(fetch());
	end();
}

Test(net_blocks, a_purge_stops_all_but_what_it_names)
{
	kit.is_deaf = true;
	ask(IPC_PURGE);
	ask(IPC_MANIFEST);
	ask(IPC_PURGE);
	cr_expect_eq(kit.repair.stage, REPAIR_TABLE, "that one is kept");
	ask_of(IPC_PURGE, &(struct ota_digest){ { 9 } }, 0);
	cr_expect_eq(kit.repair.stage, REPAIR_NONE);
	end();
}

Test(net_blocks, what_is_for_chunks_is_not_for_it)
{
	const struct ipc_message manifest_of = { .type = IPC_MANIFEST, .digest = patch };
	const struct ipc_message fetch_of = { .type = IPC_FETCH, .digest = patch };

	net_repair_request(&kit.repair, &manifest_of);
	net_repair_request(&kit.repair, &fetch_of);
	ask(IPC_REPORT);
	cr_expect_eq(kit.repair.stage, REPAIR_NONE);
	cr_expect_eq(kit.subscribed, 0);
	end();
}

Test(net_blocks, as_many_are_outstanding_as_both_allow)
{
	net_fetch_head(&repair);
	cr_expect_eq(net_fetch_outstanding(&repair, 0), WANTED, "it says nothing");
	cr_expect_eq(net_fetch_outstanding(&repair, 1), 1);
	cr_expect_eq(net_fetch_outstanding(&repair, FETCH_WINDOW_MAX), WANTED);
	cr_expect_eq(net_fetch_outstanding(&repair, 1000), WANTED, "no number of ours");
	kit.config.chunks_outstanding = 2;
	cr_expect_eq(net_fetch_outstanding(&repair, 3), 2, "the owner allows fewer");
	kit.config.chunks_outstanding = 0;
	ask(IPC_FETCH);
	cr_expect_not(net_kit_wait(&kit, IPC_FETCHED, 1));
	expect_failed(OTA_E_LIMIT, "0 chunks outstanding");
	end();
}

Test(net_blocks, blocks_that_have_no_room_are_an_error_with_numbers)
{
	net_fetch_head(&repair);
	kit.config.spool_max_bytes = 1000;
	ask(IPC_FETCH);
	cr_expect_not(net_kit_wait(&kit, IPC_FETCHED, 1));
	expect_failed(OTA_E_NOSPACE, "the spool may hold 1000 bytes");
	end();
}

/* ---- what is in the spool ---- */

Test(net_blocks, a_damaged_table_is_fetched_again)
{
	char path[SPOOL_PATH_CAP];

	path_of(SPOOL_TABLE, path);
	cr_assert_eq(ota_file_replace(path, ota_bytes_of("rotten"), 0600, NULL), OTA_OK);
	net_fetch_head(&repair);
	cr_expect_eq(kit.subscribed, 1);
	cr_assert_eq(truncate(path, OTA_BLOCK_TABLE_LEN_MAX + 1), 0);
	ask(IPC_MANIFEST);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 2));
	cr_expect_eq(kit.subscribed, 2);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(ota_dir_make(path, 0700, NULL), OTA_OK);
	ask(IPC_MANIFEST);
	cr_expect_not(net_kit_wait(&kit, IPC_SPOOLED, 3));
	expect_failed(OTA_E_IO, "table");
	end();
}

/* ---- what arrives ---- */

/* Its digest is right, since the manifest names it; but it is none. */
Test(net_blocks, a_table_that_is_none_is_an_error)
{
	const struct ota_bytes none = ota_bytes_of("OTB1 and no more");
	struct ota_digest names = ota_digest_of(none), other = spool_another(&names);
	struct ota_topic topic = { .kind = OTA_TOPIC_BLOCK_TABLE, .digest = names };

	net_kit_retain(&kit, &topic, none);
	ask_of(IPC_MANIFEST, &other, 0);
	cr_expect_not(net_kit_wait(&kit, IPC_SPOOLED, 1));
	expect_failed(OTA_E_FORMAT, "");
	cr_expect(ota_digest_equal(&kit.heard[IPC_FAILED].digest, &other));
	end();
}

Test(net_blocks, a_wrong_table_is_dropped_and_a_right_one_taken)
{
	kit.is_deaf = true;
	ask(IPC_MANIFEST);
	net_kit_deliver(
		&kit, topic_of(OTA_TOPIC_BLOCK_TABLE, 0), ota_bytes_of("OTB1"), false);
	net_kit_deliver(&kit, block_topic(1), ota_buf_bytes(&blocks[1]), false);
	cr_expect_eq(kit.repair.stage, REPAIR_TABLE);
	cr_expect_eq(kit.repair.fetch.wrong, 1);
	net_kit_deliver(&kit, topic_of(OTA_TOPIC_BLOCK_TABLE, 0),
		ota_buf_bytes(&table_bytes), false);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 1));
	end();
}

static void begin_blocks(void)
{
	net_fetch_begin_pieces(&repair, REPAIR_BLOCKS);
}

/* One that was asked for and comes once more has cost; one that others asked for, one
 * that nobody wanted, and a fence that is none, have not. */
Test(net_blocks, blocks_that_are_there_cost_only_if_asked_for)
{
	const struct ota_bytes block = ota_buf_bytes(&blocks[3]);
	uint64_t once = table.blocks[3].packed_len;

	begin_blocks();
	net_kit_deliver(&kit, block_topic(3), block, false);
	cr_expect_eq(kit.repair.spool.held, 1, "whoever asked for it");
	net_kit_deliver(&kit, block_topic(3), block, false);
	net_kit_deliver(&kit, block_topic(N), block, true);
	net_kit_deliver(&kit, topic_of(OTA_TOPIC_BLOCK_TABLE, 0),
		ota_buf_bytes(&table_bytes), false);
	cr_expect_eq(kit.repair.spool.refetched, 0);
	cr_expect_eq(kit.repair.spool.bytes, once);
	net_kit_deliver(&kit, block_topic(3), block, true);
	cr_expect_eq(kit.repair.spool.refetched, 1);
	cr_expect_eq(kit.repair.spool.bytes, 2 * once);
	net_kit_deliver(&kit, block_topic(3), ota_bytes_of("x"), true);
	cr_expect_eq(kit.repair.spool.bytes, 2 * once, "no more than a head");
	end();
}

Test(net_blocks, a_block_on_the_topic_of_another_is_wrong_and_eight_end_it)
{
	begin_blocks();
	for (uint32_t i = 0; i < FETCH_WRONG_MAX; i++) {
		cr_expect_eq(kit.repair.stage, REPAIR_BLOCKS, "%u", i);
		net_kit_deliver(&kit, block_topic(1), ota_buf_bytes(&blocks[3]), true);
	}
	net_kit_turn(&kit);
	expect_failed(OTA_E_POISON, "8 wrong chunks, the last as chunk 1");
	end();
}

Test(net_blocks, a_link_that_goes_and_comes_costs_nothing)
{
	uint64_t bytes = 0;

	begin_blocks();
	net_kit_deliver(&kit, block_topic(1), ota_buf_bytes(&blocks[1]), true);
	net_kit_link(&kit, false);
	net_kit_turn(&kit);
	cr_expect_eq(kit.repair.stage, REPAIR_BLOCKS);
	kit.is_deaf = false;
	net_kit_link(&kit, true);
	cr_assert(net_kit_wait(&kit, IPC_FETCHED, 1));
	for (uint32_t i = 0; i < N; i++)
		bytes += (wanted[0] >> i & 1) != 0 ? table.blocks[i].packed_len : 0;
	cr_expect_eq(kit.heard[IPC_FETCHED].c, bytes, "each byte once");
	net_kit_link(&kit, false); /* with nothing to do */
	cr_expect_eq(kit.repair.stage, REPAIR_NONE);
	end();
}

Test(net_blocks, without_a_link_it_waits_for_one)
{
	net_fetch_after_link(&repair);
	end();
}
