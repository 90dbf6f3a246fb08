#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/port/block_spool.h"
#include "proto/base/own.h"
#include "proto/delta/block_pack.h"
#include "proto/io/files.h"
#include "proto/wire/topics.h"
#include "tests/integration/agent_net.h"
#include "tests/integration/peer.h"
#include "tests/patch.h"

/* What repairs a source, on the way from a real Mosquitto into the spool of the real net
 * process. The test is orchestrator and install. */

enum { N = 20, IMAGE_LEN = N * OTA_BLOCK_LEN_MIN - 1000 };

static const char *const clients[] = { "gw-1", NULL };
static struct broker broker;
static struct peer sluiced;
static struct agent_net net;
static struct test_patch image; /* its bytes are the source */
static struct ota_block_table table;
static struct ota_buf table_bytes, packed, manifest;
static struct ota_digest table_name, patch;

/* Blocks 1, 7 and the last one. */
static const uint8_t wanted[] = { 0x82, 0x00, 0x08 };

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

static void make_table(void)
{
	struct ota_bytes all = ota_buf_bytes(&image.bytes);
	const struct ota_source source = ota_source_of(&all);
	const struct ota_sink sink = { .ctx = &packed, .write = keep };
	const struct ota_progress none = { 0 };
	struct ota_manifest m = image.table;

	cr_assert_eq(ota_block_table_make(&source, &sink, &none, &table, NULL), OTA_OK);
	cr_assert_eq(table.count, N);
	cr_assert_eq(ota_block_table_encode(&table, &table_bytes, NULL), OTA_OK);
	table_name = ota_digest_of(ota_buf_bytes(&table_bytes));
	m.codec = OTA_CODEC_VCDIFF;
	m.from = table.image;
	m.from_len = table.image_len;
	m.blocks = table_name;
	cr_assert_eq(ota_manifest_encode(&m, &manifest, NULL), OTA_OK);
	patch = ota_digest_of(ota_buf_bytes(&manifest));
}

static void publish(enum ota_topic_kind kind, uint32_t index, struct ota_bytes payload)
{
	struct ota_topic topic = { .kind = kind,
		.digest = kind == OTA_TOPIC_MANIFEST ? patch : table_name,
		.index = index };
	char text[OTA_TOPIC_CAP];
	unsigned before = sluiced.done_ok;

	ota_topic_print("test", &topic, text);
	cr_assert_eq(peer_publish(&sluiced, text, payload, true), OTA_OK);
	cr_assert(peer_wait(&sluiced.done_ok, before + 1));
}

static struct ota_bytes packed_block(uint32_t index)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < index; i++)
		at += table.blocks[i].packed_len;
	return (struct ota_bytes){ packed.at + at, table.blocks[index].packed_len };
}

static void publish_block(uint32_t index, struct ota_bytes data)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf message = { 0 };

	cr_assert_eq(ota_chunk_encode(index, data, &message), OTA_OK);
	publish(OTA_TOPIC_BLOCK, index, ota_buf_bytes(&message));
}

static void publish_table(void)
{
	publish(OTA_TOPIC_BLOCK_TABLE, 0, ota_buf_bytes(&table_bytes));
}

static void start(void)
{
	struct ota_mqtt_config config;

	broker_start(&broker, "127.0.0.1", clients);
	test_patch_init(&image, IMAGE_LEN, OTA_CHUNK_LEN, 1);
	make_table();
	config = peer_config(&broker, "sluiced", "localhost");
	cr_assert(peer_open(&sluiced, &config));
	cr_assert(peer_wait(&sluiced.ups, 1), "%s", sluiced.why);
	agent_net_init(&net, &broker, "{rate: 0}");
	cr_assert(agent_net_start(&net));
	cr_assert(peer_wait(&net.count[IPC_UP], 1));
	publish(OTA_TOPIC_MANIFEST, 0, ota_buf_bytes(&manifest));
	agent_net_ask(&net, IPC_MANIFEST, &patch);
	cr_assert(peer_wait(&net.count[IPC_SPOOLED], 1));
}

static void stop(void)
{
	cr_expect_eq(agent_net_end(&net, SIGTERM), 0);
	agent_net_fini(&net);
	cr_assert(peer_close_all((struct peer *const[]){ &sluiced, NULL }));
	broker_fini(&broker);
	test_patch_fini(&image);
	ota_block_table_fini(&table);
	ota_buf_fini(&table_bytes);
	ota_buf_fini(&packed);
	ota_buf_fini(&manifest);
}

TestSuite(net_repair, .init = start, .fini = stop);

static void ask(enum ipc_type type)
{
	struct ipc_message message = {
		.type = type, .code = IPC_BLOCKS, .digest = patch, .b = 16
	};

	if (type == IPC_FETCH)
		message.payload = (struct ota_bytes){ wanted, sizeof wanted };
	agent_net_send(&net, &message);
}

static void spool_table(void)
{
	ask(IPC_MANIFEST);
	cr_assert(peer_wait(&net.count[IPC_SPOOLED], 2));
	cr_expect_eq(net.heard[IPC_SPOOLED].head.code, IPC_BLOCKS);
	cr_expect(ota_digest_equal(&net.heard[IPC_SPOOLED].head.digest, &patch));
}

static void expect_fetched(void)
{
	const struct ipc_message *fetched = &net.heard[IPC_FETCHED].head;
	static uint8_t room[OTA_BLOCK_LEN_MAX];
	ota_autoclose int fd = -1;

	cr_assert(peer_wait(&net.count[IPC_FETCHED], 1), "failed %u: %.*s",
		net.count[IPC_FAILED], (int)net.heard[IPC_FAILED].head.payload.len,
		(const char *)net.heard[IPC_FAILED].head.payload.at);
	cr_expect_eq(fetched->code, IPC_BLOCKS);
	cr_expect_eq(fetched->a, 3);
	cr_expect_eq(fetched->b, 3);
	cr_assert_eq(block_file_open(net.spool, &patch, &fd, NULL), OTA_OK);
	for (uint32_t i = 0; i < N; i++)
		cr_expect_eq(block_file_read(fd, &table, i, room, NULL) == OTA_OK,
			i == 1 || i == 7 || i == N - 1, "block %u", i);
}

/* The need that was heard, parsed. */
static struct ota_need expect_need(void)
{
	struct ota_need need = { 0 };

	cr_assert(peer_wait(&sluiced.messages, 1), "no need");
	cr_assert_str_eq(sluiced.topic, "sluice/1/test/need/gw-1");
	cr_assert_eq(
		ota_need_parse(ota_buf_bytes(&sluiced.payload), &need, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&need.patch, &table_name));
	return need;
}

Test(net_repair, table_and_blocks_come_into_the_spool)
{
	uint64_t bytes = 0;

	publish_table();
	for (uint32_t i = 0; i < N; i++)
		publish_block(i, packed_block(i));
	spool_table();
	ask(IPC_FETCH);
	expect_fetched();
	for (uint32_t i = 0; i < N; i++)
		if (wanted[i / 8] >> i % 8 & 1)
			bytes += table.blocks[i].packed_len;
	cr_expect_eq(net.heard[IPC_FETCHED].head.c, bytes, "nothing else came");
}

Test(net_repair, an_absent_table_is_needed)
{
	cr_assert_eq(peer_subscribe(&sluiced, "sluice/1/test/need/+"), OTA_OK);
	ask(IPC_MANIFEST);
	cr_expect_eq(expect_need().chunk_count, 0);
	publish_table();
	cr_assert(peer_wait(&net.count[IPC_SPOOLED], 2));
}

Test(net_repair, a_wrong_table_is_dropped_and_a_right_one_taken)
{
	publish(OTA_TOPIC_BLOCK_TABLE, 0, ota_bytes_of("OTB1 and more"));
	ask(IPC_MANIFEST);
	cr_assert_eq(peer_turn(500) > 10000, false);
	cr_expect_eq(net.count[IPC_SPOOLED], 1);
	publish_table();
	cr_assert(peer_wait(&net.count[IPC_SPOOLED], 2));
}

Test(net_repair, a_wrong_block_is_dropped_and_asked_for_again)
{
	struct ota_need need;

	publish_table();
	spool_table();
	publish_block(1, packed_block(1));
	publish_block(7, packed_block(8));
	publish_block(N - 1, packed_block(N - 1));
	cr_assert_eq(peer_subscribe(&sluiced, "sluice/1/test/need/+"), OTA_OK);
	ask(IPC_FETCH);
	need = expect_need();
	cr_assert_eq(need.chunk_count, N);
	for (uint32_t i = 0; i < N; i++)
		cr_expect_eq(need.bitmap.at[i / 8] >> i % 8 & 1, i == 7, "%u", i);
	publish_block(7, packed_block(7));
	expect_fetched();
}

static bool wait_for_block(uint32_t index)
{
	static uint8_t room[OTA_BLOCK_LEN_MAX];

	for (unsigned turns = 0; turns < 200; turns++) {
		ota_autoclose int fd = -1;

		if (block_file_open(net.spool, &patch, &fd, NULL) == OTA_OK &&
			block_file_read(fd, &table, index, room, NULL) == OTA_OK)
			return true;
		(void)peer_turn(50);
	}
	return false;
}

Test(net_repair, a_net_that_was_killed_goes_on_with_what_is_there)
{
	publish_table();
	spool_table();
	publish_block(1, packed_block(1));
	ask(IPC_FETCH);
	cr_assert(wait_for_block(1));
	(void)agent_net_end(&net, SIGKILL);
	cr_assert(agent_net_start(&net));
	cr_assert(peer_wait(&net.count[IPC_UP], 1));
	publish_block(7, packed_block(7));
	publish_block(N - 1, packed_block(N - 1));
	ask(IPC_FETCH);
	expect_fetched();
	cr_expect_eq(net.heard[IPC_FETCHED].head.d, 0);
}
