/* What the encoder of codec predict tells of its patch. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/patch_kit.h"

enum { BLOCK = 512, ITEMS_MAX = 8 };

/* What was told. */
struct told {
	struct ota_explain_item items[ITEMS_MAX];
	char paths[ITEMS_MAX][16];
	unsigned count, parts_count;
	struct ota_explain_parts parts;
	enum ota_code code; /* to answer an item with */
};

static enum ota_code take_item(void *ctx, const struct ota_explain_item *item)
{
	struct told *told = ctx;

	cr_assert_lt(told->count, ITEMS_MAX);
	told->items[told->count] = *item;
	(void)snprintf(told->paths[told->count++], 16, "%s", item->path);
	return told->code;
}

static void take_parts(void *ctx, const struct ota_explain_parts *parts)
{
	struct told *told = ctx;

	told->parts = *parts;
	told->parts_count++;
}

static const struct ota_explain_item *item_of(const struct told *told, const char *path)
{
	for (unsigned i = 0; i < told->count; i++)
		if (strcmp(told->paths[i], path) == 0)
			return &told->items[i];
	cr_assert_fail("nothing was told of '%s'", path);
	return NULL;
}

static enum ota_code encode(struct kit_patch *kit, struct told *told)
{
	struct ota_bytes from = ota_buf_bytes(&kit->from), to = ota_buf_bytes(&kit->to);
	struct ota_source from_port = ota_source_of(&from), to_port = ota_source_of(&to);
	struct ota_encode_job job = {
		.codec = OTA_CODEC_PREDICT, .from = &from_port, .to = &to_port
	};
	struct kit_sink sink = { 0 };
	struct ota_sink out = kit_sink_port(&sink);
	enum ota_code rc;

	if (told != NULL)
		job.explain = (struct ota_explain){ told, take_item, take_parts };
	rc = ota_patch_encode(&job, &out, &kit->manifest, NULL);
	kit->patch = sink.bytes;
	return rc;
}

static void add(struct ota_buf *out, const void *at, size_t len)
{
	cr_assert(ota_buf_add(out, (struct ota_bytes){ at, len }) == OTA_OK);
}

/* Append a file of noise to a tar archive. */
static void add_file(struct ota_buf *tar, const char *path, size_t len, uint64_t seed)
{
	static const uint8_t zeros[BLOCK];
	char head[BLOCK] = { 0 };
	unsigned sum = 0;

	(void)snprintf(head, 100, "%s", path);
	(void)snprintf(head + 100, 8, "0000644");
	(void)snprintf(head + 124, 12, "%011zo", len);
	memset(head + 148, ' ', 8);
	head[156] = '0';
	memcpy(head + 257, "ustar\00000", 8);
	for (unsigned i = 0; i < BLOCK; i++)
		sum += (unsigned char)head[i];
	(void)snprintf(head + 148, 8, "%06o", sum);
	add(tar, head, BLOCK);
	kit_noise(tar, len, seed);
	add(tar, zeros, (BLOCK - len % BLOCK) % BLOCK);
}

static void end_archive(struct ota_buf *tar)
{
	static const uint8_t zeros[2 * BLOCK];

	add(tar, zeros, sizeof zeros);
}

/* Two archives: one file stays, one has a byte in a thousand wrong, one is new. */
static void make_archives(struct kit_patch *kit)
{
	size_t begin;

	add_file(&kit->from, "same", 30000, 1);
	add_file(&kit->from, "edited", 40000, 2);
	end_archive(&kit->from);
	add_file(&kit->to, "same", 30000, 1);
	begin = kit->to.len + BLOCK;
	add_file(&kit->to, "edited", 40000, 2);
	for (size_t i = 500; i < 40000; i += 1000)
		kit->to.at[begin + i] ^= 0x55;
	add_file(&kit->to, "new", 20000, 3);
	end_archive(&kit->to);
}

Test(explain, each_file_is_told_of_with_what_it_took)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct told told = { 0 };
	const struct ota_explain_item *edited, *new;

	make_archives(&kit);
	cr_assert(encode(&kit, &told) == OTA_OK);
	edited = item_of(&told, "edited");
	new = item_of(&told, "new");
	cr_expect_eq(edited->kind, OTA_EXPLAIN_FILE);
	cr_expect_eq(edited->len, 40000);
	cr_expect_eq(edited->wrong_len, 40);
	cr_expect_eq(edited->right_len, 39960);
	cr_expect_eq(edited->extra_len, 0);
	cr_expect(edited->patch_len > 20 && edited->patch_len < 200, "%u",
		(unsigned)edited->patch_len);
	cr_expect_eq(new->offset, 30208 + 40448 + 3 * BLOCK);
	cr_expect_eq(new->extra_len, 20000);
	cr_expect(new->patch_len > 19800 && new->patch_len < 20200, "%u",
		(unsigned)new->patch_len);
}

Test(explain, the_parts_are_the_patch_and_the_items_are_the_image)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct told told = { 0 };
	const struct ota_explain_parts *parts = &told.parts;
	uint64_t patch_len = 0;

	make_archives(&kit);
	cr_assert(encode(&kit, &told) == OTA_OK);
	cr_assert_eq(told.parts_count, 1);
	cr_expect_eq(parts->tables_len + parts->fixes_len + parts->differences_len +
			     parts->extra_len,
		kit.manifest.patch_len);
	cr_expect_gt(parts->extra_len, 19800);
	for (unsigned i = 0; i < told.count; i++) {
		const struct ota_explain_item *item = &told.items[i];

		patch_len += item->patch_len;
		cr_expect_eq(
			item->len, item->right_len + item->wrong_len + item->extra_len);
	}
	cr_expect_eq(patch_len, kit.manifest.patch_len);
}

Test(explain, to_explain_changes_no_byte_of_the_patch)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf silent = { 0 };
	struct told told = { 0 };

	make_archives(&kit);
	cr_assert(encode(&kit, NULL) == OTA_OK);
	silent = kit.patch;
	ota_manifest_fini(&kit.manifest);
	cr_assert(encode(&kit, &told) == OTA_OK);
	cr_assert(kit_same(&silent, &kit.patch));
}

Test(explain, an_image_without_files_is_one_item)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct told told = { 0 };

	kit_images(&kit, 100000, 90000, true);
	cr_assert(encode(&kit, &told) == OTA_OK);
	cr_assert_eq(told.count, 1);
	cr_assert_eq(told.items[0].kind, OTA_EXPLAIN_IMAGE);
	cr_assert_eq(told.items[0].len, 90000);
	cr_assert_eq(told.items[0].patch_len, kit.manifest.patch_len);
}

Test(explain, who_has_no_room_for_an_item_ends_the_work)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct told told = { .code = OTA_E_NOMEM };

	make_archives(&kit);
	cr_assert_eq(encode(&kit, &told), OTA_E_NOMEM);
	cr_assert_eq(told.count, 1);
}

Test(explain, there_is_nothing_to_tell_of_an_empty_image)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct told told = { 0 };

	cr_assert(encode(&kit, &told) == OTA_OK);
	cr_assert_eq(told.count, 0);
	cr_assert_eq(told.parts.tables_len, kit.manifest.patch_len);
}
