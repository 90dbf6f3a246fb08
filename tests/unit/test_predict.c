#include "proto/delta/predict/stream.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/predict_kit.h"

static const struct kit_program moved = {
	.functions = 700, .cut = 300, .moved = 444, .noise = 1001, .stray = KIT_NO_STRAY
};

/* Everything a test makes. */
struct made {
	struct kit_patch kit;
	struct kit_tables tables;
	struct kit_making making;
};

static void made_fini(struct made *made)
{
	kit_patch_fini(&made->kit);
	kit_making_fini(&made->making);
}

static void expect_round_trip(struct made *made)
{
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(kit_predict(&made->kit, &made->tables, &made->making, &err), OTA_OK,
		"%s", err.text);
	cr_assert_eq(kit_decode(&made->kit, &run, &err), OTA_OK, "%s", err.text);
	cr_assert(kit_same(&run.image, &made->kit.to));
}

Test(predict, code_that_moved_needs_no_correction)
{
	OTA_AUTO(made_fini) struct made made = { 0 };

	kit_program_add(&made.kit, &made.tables, &moved);
	expect_round_trip(&made);
	cr_expect_eq(made.making.guesses, 3 * moved.functions);
	cr_expect_eq(made.making.fixes, 0);
	cr_expect_eq(made.making.wrong, 0);
	cr_expect_eq(made.making.extra, moved.moved);
}

Test(predict, what_moved_unlike_its_surroundings_is_learnt_once_a_segment)
{
	static const uint32_t segment_len[] = { 0, 6000 };

	for (unsigned i = 0; i < 2; i++) {
		OTA_AUTO(made_fini)
		struct made made = { .making.segment_len = segment_len[i] };
		struct kit_program program = moved;

		program.stray = 558; /* it is called 7 times */
		kit_program_add(&made.kit, &made.tables, &program);
		expect_round_trip(&made);
		cr_expect_eq(made.making.wrong, 0);
		cr_expect_eq(made.making.fixes, made.making.segments);
	}
}

Test(predict, images_without_tables_are_all_extra)
{
	static const size_t len[] = { 0, 1, 65535, 65536, 65537, 300000 };

	for (unsigned i = 0; i < sizeof len / sizeof len[0]; i++) {
		OTA_AUTO(made_fini) struct made made = { .making.segment_len = 1 };

		kit_noise(&made.kit.to, len[i], 1);
		expect_round_trip(&made);
		cr_expect_eq(made.making.extra, len[i]);
	}
}

Test(predict, plain_covers_and_gaps_round_trip)
{
	OTA_AUTO(made_fini) struct made made = { 0 };

	kit_noise(&made.kit.from, 300000, 1);
	kit_noise(&made.kit.to, 250000, 2);
	memcpy(made.kit.to.at + 10, made.kit.from.at + 100000, 140000);
	made.kit.to.at[77] ^= 1;
	made.kit.to.at[70000] ^= 2;
	made.tables.tables.covers = made.tables.covers;
	kit_cover_add(&made.tables, 10, 100000, 139999);
	kit_cover_add(&made.tables, 200000, 0, 1);
	kit_cover_add(&made.tables, 249999, 299999, 1);
	expect_round_trip(&made);
	cr_expect_leq(made.making.wrong, 4);
	cr_expect_gt(made.making.extra, 100000);
}

Test(predict, identical_images_say_nothing)
{
	OTA_AUTO(made_fini) struct made made = { 0 };

	kit_noise(&made.kit.from, 200000, 1);
	kit_noise(&made.kit.to, 200000, 1);
	made.tables.tables.covers = made.tables.covers;
	kit_cover_add(&made.tables, 0, 0, 200000);
	expect_round_trip(&made);
	cr_expect_lt(made.making.raw.len, 40);
}

Test(predict, segments_of_any_length_round_trip)
{
	static const uint32_t len[] = { 1, 2, 100, 4095, 4096, 5000, 20000 };

	for (unsigned i = 0; i < sizeof len / sizeof len[0]; i++) {
		OTA_AUTO(made_fini)
		struct made made = { .making = { .segment_len = len[i],
					     .lay_max = 1 + i * 13 } };

		kit_program_add(&made.kit, &made.tables, &moved);
		expect_round_trip(&made);
		cr_expect_gt(made.making.segments, 1);
		cr_expect_eq(made.making.wrong, 0);
	}
}

Test(predict, each_pair_has_its_own_map)
{
	OTA_AUTO(made_fini) struct made made = { .making.segment_len = 3000 };
	struct kit_program program = moved;

	for (uint32_t i = 0; i < KIT_PAIRS_MAX; i++) {
		program.cut = 100 * i;
		program.moved = 8 * i;
		program.new_address = i << 20;
		kit_program_add(&made.kit, &made.tables, &program);
	}
	expect_round_trip(&made);
	cr_expect_eq(made.making.guesses, 4 * 3 * moved.functions);
	cr_expect_eq(made.making.fixes, 0);
	cr_expect_eq(made.making.wrong, 0);
}

/* Covers of every length from 1 on, so that their ends cut references in every way. */
Test(predict, covers_that_cut_references_round_trip)
{
	OTA_AUTO(made_fini) struct made made = { .making.segment_len = 500 };
	struct ota_cover tail;

	kit_program_add(&made.kit, &made.tables, &moved);
	tail = made.tables.covers[--made.tables.tables.cover_count];
	for (uint32_t len = 1, at = 0; at + len < tail.len; at += len + len % 3, len++)
		kit_cover_add(&made.tables, tail.to + at, tail.from + at, len);
	expect_round_trip(&made);
	cr_expect_gt(made.making.guesses, 2 * moved.functions);
	cr_expect_lt(made.making.wrong, 2000);
}

/* A region that begins 2 bytes before an instruction: pages end inside instructions. */
Test(predict, references_that_pages_cut_are_laid_out_once)
{
	OTA_AUTO(made_fini) struct made made = { .making.segment_len = 4096 };
	struct ota_region *region = &made.tables.regions[0];

	kit_program_add(&made.kit, &made.tables, &moved);
	region->offset -= 2;
	region->address -= 2;
	region->len += 2;
	expect_round_trip(&made);
	cr_expect_eq(made.making.guesses, 3 * moved.functions);
	cr_expect_eq(made.making.wrong, 0);
}

Test(predict, a_map_without_parts_copies)
{
	OTA_AUTO(made_fini) struct made made = { 0 };

	kit_program_add(&made.kit, &made.tables, &moved);
	made.tables.tables.pairs[0].from_count = 0; /* nothing lies in the old object */
	expect_round_trip(&made);
	cr_expect_eq(made.making.guesses, 0);
	cr_expect_gt(made.making.wrong, 0);
}

/* Lay a cover out with answers taken from nowhere: every guess stands. */
static enum ota_code agree(void *ctx, struct ota_guess *guess, struct ota_error *err)
{
	uint64_t *last = ctx;

	(void)err;
	cr_assert(*last == 0 || guess->to > *last);
	*last = guess->to;
	return OTA_OK;
}

static void lay_cover(const struct made *made, const struct ota_cover *cover,
	uint32_t max, uint8_t *out)
{
	struct ota_heap heap = { .max = 4 << 20 };
	struct ota_bytes bytes = ota_buf_bytes(&made->kit.from);
	struct ota_source from = ota_source_of(&bytes);
	uint64_t last = 0;
	struct ota_fix port = { &last, agree };
	struct ota_lay_part part = { cover, 0, max };
	struct ota_lay *lay = NULL;
	uint32_t len;

	cr_assert(ota_lay_new(&made->tables.tables, &from, &port, &heap, &lay) == OTA_OK);
	for (; part.done < cover->len; part.done += len) {
		cr_assert(
			ota_lay_next(lay, &part, out + part.done, &len, NULL) == OTA_OK);
		cr_assert(len >= 1 && len <= max + OTA_REF_FIELD_MAX &&
			  len <= cover->len - part.done);
	}
	ota_lay_free(lay);
	cr_assert_eq(heap.held, 0);
}

Test(predict, where_calls_are_cut_changes_nothing)
{
	static const uint32_t max[] = { 1, 2, 3, 5, 64, 4095, 4097 };
	OTA_AUTO(made_fini) struct made made = { 0 };
	const struct ota_cover *cover = &made.tables.covers[2];
	uint8_t whole[20000], cut[20000];

	kit_program_add(&made.kit, &made.tables, &moved);
	made.tables.regions[0].offset -= 2;
	made.tables.regions[0].address -= 2;
	cr_assert_lt(cover->len + OTA_REF_FIELD_MAX, sizeof whole);
	lay_cover(&made, cover, 1 << 20, whole);
	for (unsigned i = 0; i < sizeof max / sizeof max[0]; i++) {
		lay_cover(&made, cover, max[i], cut);
		cr_expect_eq(memcmp(whole, cut, cover->len), 0, "max %u", max[i]);
	}
}

/* A small patch with everything in it. */
static void make_small(struct made *made)
{
	struct kit_program program = {
		.functions = 20, .cut = 8, .moved = 12, .noise = 30, .stray = 15
	};

	made->making.segment_len = 200;
	made->making.lay_max = 64;
	kit_program_add(&made->kit, &made->tables, &program);
	made->kit.to.at[95] ^= 1; /* no reference */
	cr_assert(kit_predict(&made->kit, &made->tables, &made->making, NULL) == OTA_OK);
	cr_assert(made->making.fixes > 0 && made->making.extra > 0 &&
		  made->making.wrong > 0 && made->making.segments > 2);
}

Test(predict, every_truncated_stream_is_refused)
{
	OTA_AUTO(made_fini) struct made made = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };

	make_small(&made);
	while (made.making.raw.len-- > 0) {
		cr_assert(kit_pack(&made.kit, &made.making) == OTA_OK);
		cr_assert_eq(kit_decode(&made.kit, &run, NULL), OTA_E_DECODER);
		cr_assert_leq(run.image.len, made.kit.to.len);
	}
}

Test(predict, every_flipped_bit_is_refused_or_does_not_matter)
{
	OTA_AUTO(made_fini) struct made made = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	unsigned refused = 0;

	make_small(&made);
	for (size_t i = 0; i < 8 * made.making.raw.len; i++) {
		enum ota_code rc;

		made.making.raw.at[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_assert(kit_pack(&made.kit, &made.making) == OTA_OK);
		made.making.raw.at[i / 8] ^= (uint8_t)(1 << i % 8);
		rc = kit_decode(&made.kit, &run, NULL);
		cr_assert(rc == OTA_E_DECODER || rc == OTA_E_DIGEST ||
				  (rc == OTA_OK && kit_same(&run.image, &made.kit.to)),
			"bit %zu: %s", i, ota_code_text(rc));
		cr_assert_leq(run.peak, (uint64_t)OTA_DECODER_RAM);
		refused += rc != OTA_OK;
	}
	cr_assert_gt(refused, 7 * made.making.raw.len);
}

Test(predict, every_flipped_bit_of_the_frame_is_refused_or_does_not_matter)
{
	OTA_AUTO(made_fini) struct made made = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };

	make_small(&made);
	for (size_t i = 0; i < 8 * made.kit.patch.len; i++) {
		enum ota_code rc;

		made.kit.patch.at[i / 8] ^= (uint8_t)(1 << i % 8);
		rc = kit_decode(&made.kit, &run, NULL);
		made.kit.patch.at[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_assert(rc == OTA_E_DECODER || rc == OTA_E_DIGEST ||
				  (rc == OTA_OK && kit_same(&run.image, &made.kit.to)),
			"bit %zu: %s", i, ota_code_text(rc));
	}
}

Test(predict, the_cap_on_heap_holds_whatever_it_is)
{
	OTA_AUTO(made_fini) struct made made = { 0 };
	enum ota_code rc = OTA_E_NOMEM;
	uint64_t peak = 0;

	kit_program_add(&made.kit, &made.tables, &moved);
	cr_assert(kit_predict(&made.kit, &made.tables, &made.making, NULL) == OTA_OK);
	for (uint64_t ram = 1; rc != OTA_OK; ram += 4096) {
		OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { .ram_max = ram };

		rc = kit_decode(&made.kit, &run, NULL);
		cr_assert(rc == OTA_OK || rc == OTA_E_NORAM || rc == OTA_E_DECODER ||
			  rc == OTA_E_NOMEM);
		cr_assert_leq(run.peak, ram);
		peak = run.peak;
	}
	cr_assert_lt(peak, (uint64_t)2 << 20);
}

/* Code of 64 bytes, of which a function has the last 48, and that function's unwind
 * record; grown by so many bytes within. */
static void add_unwound(struct ota_buf *out, uint32_t grown)
{
	const uint32_t at = 64 + grown; /* of the records */
	const uint32_t words[] = { 12, 0, 0, 0, 16, 20, 16 - (at + 24), 48 + grown, 0 };

	kit_noise(out, 40, 1);
	kit_noise(out, grown, 2);
	kit_noise(out, 24, 3);
	for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
		cr_assert(ota_buf_add_le32(out, words[i]) == OTA_OK);
}

/* How many references had to be corrected, of 3. */
static uint32_t fixes_of_unwound(uint32_t grown, uint64_t tail_from)
{
	enum { RECORDS = 64, RECORDS_LEN = 36, ADDRESS = 0x10000 };
	OTA_AUTO(made_fini) struct made made = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct ota_span from = { 0, RECORDS + RECORDS_LEN, ADDRESS };
	struct ota_span to = { 0, RECORDS + RECORDS_LEN + grown, ADDRESS };
	struct ota_region region = { .offset = RECORDS,
		.len = RECORDS_LEN,
		.address = ADDRESS + RECORDS,
		.kind = OTA_REGION_EH_FRAME };
	struct ota_pair pair = { .bounds = { ADDRESS, ADDRESS + 4096, ADDRESS,
					 ADDRESS + 4096 },
		.from = &from,
		.to = &to,
		.regions = &region,
		.from_count = 1,
		.to_count = 1,
		.region_count = 1 };

	add_unwound(&made.kit.from, 0);
	add_unwound(&made.kit.to, grown);
	made.tables.tables.covers = made.tables.covers;
	made.tables.tables.pairs = &pair;
	made.tables.tables.pair_count = 1;
	kit_cover_add(&made.tables, 0, 0, 40);
	if (tail_from > 0)
		kit_cover_add(&made.tables, 40 + grown, tail_from, 24);
	kit_cover_add(&made.tables, RECORDS + grown, RECORDS, RECORDS_LEN);
	cr_assert(kit_predict(&made.kit, &made.tables, &made.making, NULL) == OTA_OK);
	cr_assert_eq(made.making.guesses, 3);
	cr_assert(kit_decode(&made.kit, &run, NULL) == OTA_OK);
	cr_assert(kit_same(&run.image, &made.kit.to));
	return made.making.fixes;
}

Test(predict, a_length_grows_with_what_it_is_of)
{
	cr_expect_eq(fixes_of_unwound(0, 40), 0);
	cr_expect_eq(fixes_of_unwound(16, 40), 0);
	/* Nothing says where the function's end went: it stays as long as it was. */
	cr_expect_eq(fixes_of_unwound(0, 0), 0);
}

Test(predict, a_length_does_not_grow_beyond_reason)
{
	/* The last byte is said to be of other code, 4000 bytes away. */
	cr_expect_eq(fixes_of_unwound(4000, 40), 1);
	cr_expect_eq(fixes_of_unwound(0, 40), 0);
}

Test(predict, how_a_patch_is_cut_changes_neither_image_nor_heap)
{
	static const size_t piece_len[] = { 1, 7, 4096 };
	OTA_AUTO(made_fini) struct made made = { .making.segment_len = 3000 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding whole = { 0 };

	kit_program_add(&made.kit, &made.tables, &moved);
	cr_assert(kit_predict(&made.kit, &made.tables, &made.making, NULL) == OTA_OK);
	cr_assert(kit_decode(&made.kit, &whole, NULL) == OTA_OK);
	for (unsigned i = 0; i < 3; i++) {
		OTA_AUTO(kit_decoding_fini)
		struct kit_decoding cut = { .piece_len = piece_len[i] };

		cr_assert(kit_decode(&made.kit, &cut, NULL) == OTA_OK);
		cr_assert(kit_same(&cut.image, &made.kit.to));
		cr_assert_eq(cut.peak, whole.peak);
	}
}
