/* The patch maker and the publisher in this process, a real broker beside it. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/port/cached_blocks.h"
#include "orchestrator/port/cached_patch.h"
#include "orchestrator/port/patches.h"
#include "orchestrator/port/publisher.h"
#include "proto/base/own.h"
#include "proto/delta/block.h"
#include "proto/io/loop.h"
#include "tests/integration/server.h"

enum { IMAGE_LEN = 400 * 1024, CHANGED_LEN = 100 * 1024, IMAGES = 4 };

static char dir[] = "/tmp/publisher.XXXXXX";
static uint8_t bytes_of[IMAGES][IMAGE_LEN]; /* 1 and 3 are like 0; 2 is all zero */
static struct ota_digest names[IMAGES];
static const struct ota_digest nothing;
static struct images *images;
static struct patches *patches;

/* What the maker answered. */
static struct core_patch made[8];
static unsigned made_count, failed_count, closed_count;
static enum ota_code failed_code;

static void path_in_dir(const char *name, char out[static 64])
{
	(void)snprintf(out, 64, "%s/%s", dir, name);
}

static void fill(uint8_t *out, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		out[i] = (uint8_t)(seed >> 56);
	}
}

static void put_image(size_t at)
{
	struct ota_bytes data = { bytes_of[at], IMAGE_LEN };
	struct image_upload *upload = NULL;

	names[at] = ota_digest_of(data);
	cr_assert_eq(
		image_upload_new(images, &names[at], IMAGE_LEN, &upload, NULL), OTA_OK);
	cr_assert_eq(image_upload_add(upload, data, NULL), OTA_OK);
	cr_assert_eq(image_upload_finish(upload, NULL), OTA_OK);
	image_upload_free(upload);
}

static void on_made(void *ctx, const struct core_patch *patch)
{
	(void)ctx;
	made[made_count++ % 8] = *patch;
}

static void on_failed(void *ctx, const struct ota_digest *from,
	const struct ota_digest *to, const struct ota_error *why)
{
	(void)ctx;
	(void)from;
	(void)to;
	failed_count++;
	failed_code = why->code;
}

static void count_closed(void *ctx)
{
	(void)ctx;
	closed_count++;
}

static void open_maker_as(enum ota_codec_id codec, uint64_t images_max)
{
	static const struct patches_events events = { NULL, on_made, on_failed };
	char path[64];
	struct patches_config config = { .dir = path,
		.images = images,
		.workers = 1,
		.codec = codec,
		.level = 1,
		.images_max = images_max };
	struct ota_error err = { 0 };

	path_in_dir("patches", path);
	cr_assert_eq(patches_new(peer_loop(), &config, &events, &patches, &err), OTA_OK,
		"%s", err.text);
}

static void open_maker(void)
{
	open_maker_as(OTA_CODEC_PREDICT, 2 * IMAGE_LEN);
}

static void close_maker(void)
{
	closed_count = 0;
	patches_close(patches, count_closed, NULL);
	cr_assert(peer_wait(&closed_count, 1));
}

static void start(void)
{
	char path[64];

	cr_assert_not_null(mkdtemp(dir));
	path_in_dir("images", path);
	cr_assert_eq(images_open(path, &images, NULL), OTA_OK);
	fill(bytes_of[0], IMAGE_LEN, 1);
	memcpy(bytes_of[1], bytes_of[0], IMAGE_LEN);
	fill(bytes_of[1] + CHANGED_LEN, CHANGED_LEN, 2);
	memcpy(bytes_of[3], bytes_of[0], IMAGE_LEN);
	fill(bytes_of[3] + 2 * CHANGED_LEN, CHANGED_LEN, 3);
	for (size_t i = 0; i < IMAGES; i++)
		put_image(i);
	open_maker();
}

static void stop(void)
{
	char command[64];

	images_free(images);
	(void)snprintf(command, sizeof command, "rm -rf %s", dir);
	(void)!system(command);
}

TestSuite(patches, .init = start, .fini = stop);
TestSuite(publisher, .init = start, .fini = stop);

/* ---- the maker */

Test(patches, the_smaller_of_delta_and_full_wins)
{
	patches_make(patches, &names[0], &names[1]);
	patches_make(patches, &names[0], &names[1]);
	cr_assert_eq(made_count, 0, "never from within the question");
	cr_assert(peer_wait(&made_count, 1));
	cr_expect_eq(made[0].codec, OTA_CODEC_PREDICT);
	cr_expect_lt(made[0].patch_len, made[0].full_len);
	cr_expect_gt(made[0].full_len, IMAGE_LEN / 2);
	patches_make(patches, &names[0], &names[2]);
	cr_assert(peer_wait(&made_count, 2));
	cr_expect_leq(made[1].patch_len, made[1].full_len);
	patches_make(patches, &nothing, &names[2]);
	cr_assert(peer_wait(&made_count, 3));
	cr_expect_eq(made[2].codec, OTA_CODEC_FULL);
	cr_expect_eq(made_count, 3);
	close_maker();
}

Test(patches, what_is_in_the_cache_is_not_made_again)
{
	cJSON *list;

	patches_make(patches, &names[0], &names[1]);
	cr_assert(peer_wait(&made_count, 1));
	close_maker();
	open_maker();
	patches_make(patches, &names[0], &names[1]);
	(void)peer_turn(0);
	cr_assert(peer_wait(&made_count, 2));
	list = patches_json(patches);
	cr_expect_eq(cJSON_GetArraySize(list), 0);
	cJSON_Delete(list);
	cr_expect(ota_digest_equal(&made[0].patch, &made[1].patch));
	cr_expect_eq(made[0].took_ms, made[1].took_ms, "it was made once");
	close_maker();
}

/* The note of what was made, kept as a folder: nothing can be written in its place. */
static void spoil_recipe(const char *codec)
{
	char from[OTA_DIGEST_HEX_CAP], to[OTA_DIGEST_HEX_CAP], path[256];

	ota_digest_hex(&names[0], from);
	ota_digest_hex(&names[1], to);
	(void)snprintf(path, sizeof path, "%s/patches/%s-%s-%s", dir, codec, from, to);
	cr_assert_eq(mkdir(path, 0700), 0);
}

Test(patches, vcdiff_stands_in_where_predict_fails)
{
	spoil_recipe("predict");
	patches_make(patches, &names[0], &names[1]);
	cr_assert(peer_wait(&made_count, 1));
	cr_expect_eq(made[0].codec, OTA_CODEC_VCDIFF);
	cr_expect_lt(made[0].patch_len, made[0].full_len);
	cr_expect_eq(failed_count, 0);
	close_maker();
}

Test(patches, images_too_long_for_the_memory_are_not_predicted)
{
	close_maker();
	open_maker_as(OTA_CODEC_PREDICT, 2 * IMAGE_LEN - 1);
	patches_make(patches, &names[0], &names[1]);
	cr_assert(peer_wait(&made_count, 1));
	cr_expect_eq(made[0].codec, OTA_CODEC_VCDIFF);
	close_maker();
}

Test(patches, the_codec_of_deltas_is_asked_for)
{
	close_maker();
	open_maker_as(OTA_CODEC_VCDIFF, 2 * IMAGE_LEN);
	patches_make(patches, &names[0], &names[1]);
	cr_assert(peer_wait(&made_count, 1));
	cr_expect_eq(made[0].codec, OTA_CODEC_VCDIFF);
	close_maker();
}

Test(patches, without_the_delta_asked_for_the_full_image_is_taken)
{
	close_maker();
	spoil_recipe("vcdiff");
	open_maker_as(OTA_CODEC_VCDIFF, 2 * IMAGE_LEN);
	patches_make(patches, &names[0], &names[1]);
	cr_assert(peer_wait(&made_count, 1));
	cr_expect_eq(made[0].codec, OTA_CODEC_FULL);
	cr_expect_eq(failed_count, 0);
	close_maker();
}

Test(patches, the_full_image_stands_in_where_both_deltas_fail)
{
	spoil_recipe("predict");
	spoil_recipe("vcdiff");
	patches_make(patches, &names[0], &names[1]);
	cr_assert(peer_wait(&made_count, 1));
	cr_expect_eq(made[0].codec, OTA_CODEC_FULL);
	cr_expect_eq(failed_count, 0);
	close_maker();
}

Test(patches, an_image_that_is_not_there_is_a_failure)
{
	struct ota_digest stranger = { { 9 } };

	patches_make(patches, &nothing, &stranger);
	cr_assert(peer_wait(&failed_count, 1));
	cr_expect_eq(failed_code, OTA_E_NOTFOUND);
	patches_make(patches, &stranger, &names[1]);
	cr_assert(peer_wait(&made_count, 1));
	cr_expect_eq(made[0].codec, OTA_CODEC_FULL, "there is still the full one");
	close_maker();
}

Test(patches, an_image_damaged_on_disk_is_found_out)
{
	char hex[OTA_DIGEST_HEX_CAP], path[160];
	FILE *file;

	ota_digest_hex(&names[1], hex);
	(void)snprintf(path, sizeof path, "%s/images/%s", dir, hex);
	file = fopen(path, "r+e");
	cr_assert_not_null(file);
	cr_assert_eq(fputc('x', file), 'x');
	cr_assert_eq(fclose(file), 0);
	patches_make(patches, &nothing, &names[1]);
	cr_assert(peer_wait(&failed_count, 1));
	cr_expect_eq(failed_code, OTA_E_DIGEST);
	close_maker();
}

Test(patches, closing_does_not_wait_for_the_work)
{
	patches_make(patches, &names[0], &names[1]);
	(void)peer_turn(0);
	close_maker();
	cr_expect_eq(made_count + failed_count, 0);
}

/* ---- the publisher */

static struct broker broker;
static struct ledger *ledger;
static struct publisher *publisher;
static struct peer link_, reader;
static struct ota_buf kept; /* the last payload that a reader saw */

static void on_link_up(void *ctx)
{
	(void)ctx;
	link_.ups++;
	publisher_up(publisher, link_.link);
}

static void on_link_message(
	void *ctx, const char *topic, struct ota_bytes payload, bool retained)
{
	(void)ctx;
	(void)publisher_message(publisher, topic, payload, retained);
}

/* A publisher that is connected under a name. */
static void open_publisher(const char *name)
{
	static const char *const clients[] = { "dev-1", NULL };
	static const struct ota_mqtt_events events = { .up = on_link_up,
		.message = on_link_message };
	char ledger_path[64], patches_path[64];
	struct publisher_config config = { "test", patches_path, NULL };
	struct ota_mqtt_config mqtt;

	path_in_dir("l.db", ledger_path);
	path_in_dir("patches", patches_path);
	cr_assert_eq(ledger_open(ledger_path, &ledger, NULL), OTA_OK);
	config.ledger = ledger;
	cr_assert_eq(publisher_new(peer_loop(), &config, &publisher, NULL), OTA_OK);
	broker_start(&broker, "127.0.0.1", clients);
	mqtt = peer_config(&broker, name, "localhost");
	cr_assert_eq(ota_mqtt_new(peer_loop(), &mqtt, &events, NULL, &link_.link, NULL),
		OTA_OK);
	cr_assert(peer_wait(&link_.ups, 1));
}

static void close_publisher(void)
{
	publisher_down(publisher);
	closed_count = 0;
	ota_mqtt_close(link_.link, count_closed, NULL);
	publisher_close(publisher, count_closed, NULL);
	cr_assert(peer_wait(&closed_count, 2));
	ledger_close(ledger);
	broker_fini(&broker);
	ota_buf_fini(&kept);
}

static void set_patch(const struct ota_digest *patch, enum ledger_kind kind)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_MANIFEST, .digest = *patch };
	struct ota_bytes name = { patch->at, OTA_DIGEST_LEN };
	char text[OTA_TOPIC_CAP];

	ota_topic_print("test", &topic, text);
	cr_assert_eq(ledger_retain(ledger, text, kind, name, NULL), OTA_OK);
	publisher_kick(publisher);
}

static bool is_drained(void *ctx)
{
	(void)ctx;
	return ledger_outbox_len(ledger) == 0;
}

/* Retained messages of a filter, seen by somebody who comes now. */
static unsigned count_below(const char *filter)
{
	struct ota_mqtt_config config = peer_config(&broker, "dev-1", "localhost");
	unsigned count;

	closed_count = 0;
	cr_assert(peer_open(&reader, &config));
	cr_assert(peer_wait(&reader.ups, 1));
	cr_assert_eq(peer_subscribe(&reader, filter), OTA_OK);
	(void)peer_turn(500);
	count = reader.messages;
	ota_buf_fini(&kept);
	kept = reader.payload;
	reader.payload = (struct ota_buf){ 0 };
	ota_mqtt_close(reader.link, count_closed, NULL);
	cr_assert(peer_wait(&closed_count, 1));
	return count;
}

static unsigned count_retained(void)
{
	return count_below("sluice/1/test/patch/#");
}

Test(publisher, a_released_patch_leaves_nothing_behind)
{
	uint64_t published, again;

	patches_make(patches, &nothing, &names[0]);
	cr_assert(peer_wait(&made_count, 1));
	open_publisher("sluiced");
	set_patch(&made[0].patch, LEDGER_PATCH);
	cr_assert(server_wait(is_drained, NULL));
	cr_expect_eq(count_retained(), IMAGE_LEN / OTA_CHUNK_LEN + 2);
	set_patch(&made[0].patch, LEDGER_RELEASE);
	cr_assert(server_wait(is_drained, NULL));
	cr_expect_eq(count_retained(), 0);
	set_patch(&made[0].patch, LEDGER_PATCH);
	cr_assert(server_wait(is_drained, NULL));
	cr_expect_eq(count_retained(), IMAGE_LEN / OTA_CHUNK_LEN + 2);
	cr_assert_eq(ledger_counts(ledger, &published, &again, NULL), OTA_OK);
	cr_expect_eq(published, again, "the second time is no first time");
	close_publisher();
	close_maker();
}

/* ---- block tables */

enum { BLOCKS = 7, BLOCKS_ASKED = 3 };

static unsigned count_blocks(void)
{
	return count_below("sluice/1/test/blocks/#");
}

/* The table of the source that a patch names. */
static struct ota_digest table_of(const struct core_patch *patch)
{
	OTA_AUTO(cached_patch_fini) struct cached_patch file = { 0 };
	struct ota_error err = { 0 };
	char path[64];

	path_in_dir("patches", path);
	cr_assert_eq(cached_patch_open(path, &patch->patch, &file, &err), OTA_OK, "%s",
		err.text);
	return file.manifest.blocks;
}

/* Blocks 0, 3 and 6 (or the table itself) are needed, by three devices at once. */
static void need(const struct ota_digest *table, bool blocks)
{
	static const uint8_t bitmap[] = { 0x49 };
	struct ota_need need = { .patch = *table };

	if (blocks) {
		need.chunk_count = BLOCKS;
		need.bitmap = (struct ota_bytes){ bitmap, sizeof bitmap };
	}
	for (int i = 0; i < 3; i++)
		publisher_need(publisher, &need);
}

static bool blocks_are_out(void *ctx)
{
	uint64_t published, again;

	(void)ctx;
	cr_assert_eq(ledger_counts(ledger, &published, &again, NULL), OTA_OK);
	return again >= BLOCKS_ASKED * OTA_CHUNK_HEAD_LEN + 2 * OTA_BLOCK_LEN_MIN +
				IMAGE_LEN % OTA_BLOCK_LEN_MIN;
}

/* What is retained of a table: itself (block < 0) or a block. To be released. */
static struct ota_buf retained_of(const struct ota_digest *table, int block)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_BLOCK_TABLE, .digest = *table };
	struct ota_buf payload;
	char text[OTA_TOPIC_CAP];

	if (block >= 0) {
		topic.kind = OTA_TOPIC_BLOCK;
		topic.index = (uint32_t)block;
	}
	ota_topic_print("test", &topic, text);
	cr_assert_eq(count_below(text), 1, "%s", text);
	payload = kept;
	kept = (struct ota_buf){ 0 };
	return payload;
}

static void expect_block(const struct ota_block_table *table,
	const struct ota_digest *name, uint32_t index)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf message = retained_of(name, (int)index);
	struct ota_error err = { 0 };
	struct ota_bytes packed;
	uint8_t out[OTA_BLOCK_LEN_MIN];
	uint32_t found;

	cr_assert_eq(
		ota_block_check(table, ota_buf_bytes(&message), &found, &packed, &err),
		OTA_OK, "%s", err.text);
	cr_expect_eq(found, index);
	cr_assert_eq(ota_block_unpack(table, index, packed, out, &err), OTA_OK, "%s",
		err.text);
	cr_expect_eq(memcmp(out, bytes_of[0] + (size_t)index * OTA_BLOCK_LEN_MIN,
			     ota_block_len(table, index)),
		0);
}

/* Make patches from image 0, and retain them. */
static void retain_from_0(size_t to)
{
	unsigned before = made_count;

	patches_make(patches, &names[0], &names[to]);
	cr_assert(peer_wait(&made_count, before + 1));
	set_patch(&made[before].patch, LEDGER_PATCH);
	cr_assert(server_wait(is_drained, NULL));
}

Test(publisher, a_block_table_and_blocks_are_published_once_devices_need_them)
{
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_digest name, got;

	open_publisher("sluiced");
	retain_from_0(1);
	name = table_of(&made[0]);
	cr_assert_not(ota_digest_is_zero(&name));
	cr_expect_eq(count_blocks(), 0, "not before");
	need(&name, false);
	cr_assert(server_wait(is_drained, NULL));
	bytes = retained_of(&name, -1);
	got = ota_digest_of(ota_buf_bytes(&bytes));
	cr_expect(ota_digest_equal(&got, &name));
	cr_assert_eq(ota_block_table_parse(ota_buf_bytes(&bytes), &table, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&table.image, &names[0]));
	need(&name, true);
	cr_assert(server_wait(blocks_are_out, NULL));
	cr_expect_eq(count_blocks(), 1 + BLOCKS_ASKED);
	for (uint32_t i = 0; i < BLOCKS; i += 3)
		expect_block(&table, &name, i);
	set_patch(&made[0].patch, LEDGER_RELEASE);
	cr_assert(server_wait(is_drained, NULL));
	cr_expect_eq(count_blocks(), 0);
	cr_expect_eq(count_retained(), 0);
	close_publisher();
	close_maker();
}

Test(publisher, a_block_table_stays_while_a_patch_names_it)
{
	struct ota_digest name;

	open_publisher("sluiced");
	retain_from_0(1);
	retain_from_0(3);
	name = table_of(&made[0]);
	need(&name, true);
	cr_assert(server_wait(blocks_are_out, NULL));
	cr_assert(server_wait(is_drained, NULL));
	cr_expect_eq(count_blocks(), 1 + BLOCKS_ASKED);
	set_patch(&made[0].patch, LEDGER_RELEASE);
	cr_assert(server_wait(is_drained, NULL));
	cr_expect_eq(count_blocks(), 1 + BLOCKS_ASKED);
	set_patch(&made[1].patch, LEDGER_RELEASE);
	cr_assert(server_wait(is_drained, NULL));
	cr_expect_eq(count_blocks(), 0);
	need(&name, true);
	cr_expect_eq(ledger_outbox_len(ledger), 0, "nobody needs what nobody names");
	close_publisher();
	close_maker();
}

Test(publisher, a_damaged_chunk_is_never_published)
{
	char hex[OTA_DIGEST_HEX_CAP], path[160];
	FILE *file;

	patches_make(patches, &nothing, &names[0]);
	cr_assert(peer_wait(&made_count, 1));
	ota_digest_hex(&made[0].patch, hex);
	(void)snprintf(path, sizeof path, "%s/patches/%s.patch", dir, hex);
	file = fopen(path, "r+e");
	cr_assert_not_null(file);
	cr_assert_eq(fseek(file, 3 * OTA_CHUNK_LEN + 5, SEEK_SET), 0);
	cr_assert_geq(fputs("damage", file), 0);
	cr_assert_eq(fclose(file), 0);
	open_publisher("sluiced");
	set_patch(&made[0].patch, LEDGER_PATCH);
	cr_assert_eq(ledger_retain(ledger, "sluice/1/test/fresh", LEDGER_MESSAGE,
			     ota_bytes_of("x"), NULL),
		OTA_OK);
	(void)peer_turn(1000);
	cr_expect_eq(count_retained(), 3, "those before it, and no manifest");
	cr_expect_eq(ledger_outbox_len(ledger), 1, "what stands behind went out");
	close_publisher();
	close_maker();
}

static bool is_judged(void *ctx)
{
	(void)ctx;
	return strcmp(publisher_probe_text(publisher), "waiting") != 0;
}

Test(publisher, a_broker_that_does_not_let_us_publish_is_told_apart)
{
	open_publisher("dev-1");
	cr_assert_eq(ledger_retain(ledger, "sluice/1/test/fresh", LEDGER_MESSAGE,
			     ota_bytes_of("x"), NULL),
		OTA_OK);
	cr_assert(server_wait(is_judged, NULL));
	cr_expect_not_null(strstr(publisher_probe_text(publisher), "refuses"), "%s",
		publisher_probe_text(publisher));
	cr_expect_eq(ledger_outbox_len(ledger), 1);
	close_publisher();
	close_maker();
}
