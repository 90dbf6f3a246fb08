/* Streams no encoder of ours would make: what each segment lacks or has too much is
 * named. */

#include <criterion/criterion.h>

#include "proto/base/own.h"
#include "proto/delta/predict/varint.h"
#include "tests/unit/predict_kit.h"

enum { FROM_LEN = 200, TO_LEN = 100 };

/* A segment in numbers; the first 50 bytes of the image are one plain cover. */
struct segment {
	uint64_t to_len;
	uint8_t columns[OTA_SEGMENT_COLUMN_COUNT][4]; /* bytes */
	uint8_t len[OTA_SEGMENT_COLUMN_COUNT];        /* of each column */
	uint8_t more;                                 /* bytes behind the last */
	bool cut;                                     /* the last byte is missing */
	const char *text;                             /* of the error */
};

/* clang-format off */
static const struct segment rows[] = {
	{ .to_len = 0, .text = "segment at 0: segment: of 0 bytes" },
	{ .to_len = OTA_SEGMENT_TO_MAX + 1, .text = "segment at 0: segment: of 16777217 bytes" },
	{ .to_len = 101, .text = "segment at 0: the patch makes more than the 100 bytes of the image" },
	{ .to_len = 50, .more = 1, .text = "segment at 0: segment: 1 bytes follow the last column" },
	{ .to_len = 50, .len = { 0, 0, 0, 0, 0, 1 }, .cut = true,
	  .text = "segment at 0: segment: column 5 is cut short" },
	{ .to_len = 50, .cut = true, .text = "segment at 0: segment: its head is malformed" },
	{ .to_len = 50, .columns = { { 0x80 } }, .len = { 1 },
	  .text = "segment at 0: its first run is malformed" },
	{ .to_len = 50, .columns = { { 0 }, { 0 }, { 0x80 } }, .len = { 0, 0, 1 },
	  .text = "segment at 0: its first run is malformed" },
	{ .to_len = 50, .columns = { { 0 } }, .len = { 1 },
	  .text = "segment at 0: it holds more than it uses" },
	{ .to_len = 50, .columns = { { 0 }, { 0 } }, .len = { 0, 1 },
	  .text = "segment at 0: it holds more than it uses" },
	{ .to_len = 50, .columns = { { 0 }, { 0 }, { 3 } }, .len = { 0, 0, 1 },
	  .text = "segment at 0: a run of wrong bytes is missing" },
	{ .to_len = 50, .columns = { { 0 }, { 0 }, { 3 }, { 0 } }, .len = { 0, 0, 1, 1 },
	  .text = "segment at 0: a run of wrong bytes is missing" },
	{ .to_len = 50, .columns = { { 0 }, { 0 }, { 3 }, { 2 }, { 9 } }, .len = { 0, 0, 1, 1, 1 },
	  .text = "segment at 0: a difference is missing" },
	{ .to_len = 50, .columns = { { 0 }, { 0 }, { 49 }, { 2 }, { 9, 9 } }, .len = { 0, 0, 1, 1, 2 },
	  .text = "segment at 0: it holds more than it uses" },
	{ .to_len = 50, .columns = { { 0 }, { 0 }, { 50 } }, .len = { 0, 0, 1 },
	  .text = "segment at 0: it holds more than it uses" },
	{ .to_len = 50, .columns = { { 0 }, { 0 }, { 0, 0x80 }, { 1 }, { 9 } },
	  .len = { 0, 0, 2, 1, 1 }, .text = "segment at 0: a run of right bytes is malformed" },
	{ .to_len = 50, .columns = { { 0 }, { 0 }, { 0 }, { 0 }, { 9 } }, .len = { 0, 0, 0, 0, 1 },
	  .text = "segment at 0: it holds more than it uses" },
	{ .to_len = 52, .len = { 0, 0, 0, 0, 0, 1 },
	  .text = "segment at 0: bytes that no cover has are missing" },
	{ .to_len = 51, .len = { 0, 0, 0, 0, 0, 2 },
	  .text = "segment at 0: it holds more than it uses" },
	{ .to_len = 51, .len = { 0, 0, 0, 0, 0, 1 },
	  .text = "the patch makes 51 of the 100 bytes of the image" },
};
/* clang-format on */

static void add_segment(struct ota_buf *raw, const struct segment *segment)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf block = { 0 };

	cr_assert(ota_varint_write(segment->to_len, &block) == OTA_OK);
	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT; i++)
		cr_assert(ota_varint_write(segment->len[i], &block) == OTA_OK);
	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT; i++)
		cr_assert(ota_buf_add(&block, (struct ota_bytes){ segment->columns[i],
						      segment->len[i] }) == OTA_OK);
	for (unsigned i = 0; i < segment->more; i++)
		cr_assert(ota_buf_add_u8(&block, 0) == OTA_OK);
	block.len -= segment->cut ? 1 : 0;
	cr_assert(ota_block_write(ota_buf_bytes(&block), raw) == OTA_OK);
}

static void add_tables(struct ota_buf *raw)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf block = { 0 };
	struct ota_cover cover = { 0, 100, 50, true };
	struct ota_tables tables = { .covers = &cover, .cover_count = 1 };

	cr_assert(ota_tables_write(&tables, &block) == OTA_OK);
	cr_assert(ota_block_write(ota_buf_bytes(&block), raw) == OTA_OK);
}

static void expect_refused(struct kit_making *making, const char *text)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct ota_error err = { 0 };

	kit_noise(&kit.from, FROM_LEN, 1);
	kit_noise(&kit.to, TO_LEN, 2);
	cr_assert(kit_pack(&kit, making) == OTA_OK);
	cr_expect_eq(kit_decode(&kit, &run, &err), OTA_E_DECODER, "%s", text);
	cr_expect_str_eq(err.text, text, "%s", err.text);
}

Test(predict_crafted, segments_that_do_not_hold_together_are_named)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		OTA_AUTO(kit_making_fini) struct kit_making making = { 0 };

		add_tables(&making.raw);
		add_segment(&making.raw, &rows[i]);
		expect_refused(&making, rows[i].text);
	}
}

Test(predict_crafted, blocks_of_no_length_or_too_long_are_refused)
{
	static const uint32_t len[] = { 0, OTA_BLOCK_TABLES_MAX + 1, UINT32_MAX, 0,
		OTA_BLOCK_SEGMENT_MAX + 1 };
	static const char *const text[] = { "a block of 0 bytes",
		"a block of 67108865 bytes", "a block of 4294967295 bytes",
		"a block of 0 bytes", "a block of 1048577 bytes" };

	for (unsigned i = 0; i < 5; i++) {
		OTA_AUTO(kit_making_fini) struct kit_making making = { 0 };

		if (i >= 3)
			add_tables(&making.raw);
		cr_assert(ota_buf_add_le32(&making.raw, len[i]) == OTA_OK);
		expect_refused(&making, text[i]);
	}
}

Test(predict_crafted, a_block_beyond_the_heap_is_refused_before_it_comes)
{
	OTA_AUTO(kit_making_fini) struct kit_making making = { 0 };

	cr_assert(ota_buf_add_le32(&making.raw, OTA_BLOCK_TABLES_MAX) == OTA_OK);
	expect_refused(
		&making, "predict wants more than the 8388608 bytes of heap allowed");
}

Test(predict_crafted, streams_that_end_early_are_refused)
{
	OTA_AUTO(kit_making_fini) struct kit_making making = { 0 };

	expect_refused(&making, "the stream has no tables");
	cr_assert(ota_buf_add_u8(&making.raw, 1) == OTA_OK);
	expect_refused(&making, "the stream ends inside a block");
	making.raw.len = 0;
	add_tables(&making.raw);
	expect_refused(&making, "the patch makes 0 of the 100 bytes of the image");
}

/* A reference reaches over the end of a segment. */
Test(predict_crafted, a_segment_that_cuts_a_reference_is_refused)
{
	static const struct kit_program program = { .functions = 3,
		.stray = KIT_NO_STRAY };
	static const struct segment cut = { .to_len = 6 };
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(kit_making_fini) struct kit_making making = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf block = { 0 };
	struct kit_tables tables = { 0 };
	struct ota_error err = { 0 };

	kit_program_add(&kit, &tables, &program);
	cr_assert(ota_tables_write(&tables.tables, &block) == OTA_OK);
	cr_assert(ota_block_write(ota_buf_bytes(&block), &making.raw) == OTA_OK);
	add_segment(&making.raw, &cut);
	cr_assert(kit_pack(&kit, &making) == OTA_OK);
	cr_expect_eq(kit_decode(&kit, &run, &err), OTA_E_DECODER);
	cr_expect_str_eq(
		err.text, "segment at 0: its end cuts a reference", "%s", err.text);
}
