#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "proto/base/own.h"
#include "proto/delta/block_pack.h"

enum { IMAGE_LEN = 3 * OTA_BLOCK_LEN_MIN + 1000 };

/* An image of text, noise, zeros and a short last block. */
static struct ota_bytes image_bytes(void)
{
	static uint8_t image[IMAGE_LEN];
	uint64_t x = 88172645463325252;

	for (size_t i = 0; i < OTA_BLOCK_LEN_MIN; i++)
		image[i] = (uint8_t)("a gateway"[i % 9] + (int)(i / 999 % 3));
	for (size_t i = OTA_BLOCK_LEN_MIN; i < 2 * OTA_BLOCK_LEN_MIN; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		image[i] = (uint8_t)x;
	}
	memset(image + IMAGE_LEN - 1000, 'z', 1000);
	return (struct ota_bytes){ image, sizeof image };
}

struct made {
	struct ota_block_table table;
	struct ota_buf packed;
};

static void made_fini(struct made *made)
{
	ota_block_table_fini(&made->table);
	ota_buf_fini(&made->packed);
}

static enum ota_code take(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

static struct made made_of(struct ota_bytes image)
{
	struct made made = { 0 };
	struct ota_source source = ota_source_of(&image);
	struct ota_sink sink = { &made.packed, take };
	struct ota_progress progress = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(ota_block_table_make(&source, &sink, &progress, &made.table, &err),
		OTA_OK, "%s", err.text);
	return made;
}

static struct ota_bytes packed_of(const struct made *made, uint32_t index)
{
	size_t at = 0;

	for (uint32_t i = 0; i < index; i++)
		at += made->table.blocks[i].packed_len;
	return (struct ota_bytes){ made->packed.at + at,
		made->table.blocks[index].packed_len };
}

Test(block, what_is_packed_unpacks_to_the_image)
{
	struct ota_bytes image = image_bytes();
	OTA_AUTO(made_fini) struct made made = made_of(image);
	struct ota_digest digest = ota_digest_of(image);
	uint8_t out[OTA_BLOCK_LEN_MIN];

	cr_assert_eq(made.table.count, 4);
	cr_expect(ota_digest_equal(&made.table.image, &digest));
	for (uint32_t i = 0; i < 4; i++) {
		struct ota_error err = { 0 };
		size_t at = (size_t)i * OTA_BLOCK_LEN_MIN;

		cr_assert_eq(
			ota_block_unpack(&made.table, i, packed_of(&made, i), out, &err),
			OTA_OK, "%s", err.text);
		cr_expect_eq(
			memcmp(out, image.at + at, ota_block_len(&made.table, i)), 0);
	}
}

Test(block, only_what_gets_shorter_is_packed)
{
	struct ota_bytes image = image_bytes();
	OTA_AUTO(made_fini) struct made made = made_of(image);
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };

	cr_expect_lt(made.table.blocks[0].packed_len, 4000);
	cr_expect_eq(made.table.blocks[1].packed_len, OTA_BLOCK_LEN_MIN);
	cr_expect_lt(made.table.blocks[2].packed_len, 100);
	cr_expect_eq(ota_block_table_encode(&made.table, &bytes, NULL), OTA_OK);
}

Test(block, an_image_of_one_byte_has_a_table)
{
	OTA_AUTO(made_fini) struct made made = made_of(ota_bytes_of("x"));
	uint8_t out[1];

	cr_expect_eq(made.table.count, 1);
	cr_expect_eq(made.table.blocks[0].packed_len, 1);
	cr_expect_eq(
		ota_block_unpack(&made.table, 0, packed_of(&made, 0), out, NULL), OTA_OK);
	cr_expect_eq(out[0], 'x');
}

Test(block, an_empty_image_and_one_too_long_have_none)
{
	static const uint64_t lengths[] = { 0, UINT64_C(3800) * 262144 + 1 };

	for (size_t i = 0; i < 2; i++) {
		struct ota_source source = { .len = lengths[i] };
		struct ota_sink sink = { 0 };
		struct ota_progress progress = { 0 };
		struct ota_block_table table = { .count = 77 };

		cr_expect_eq(
			ota_block_table_make(&source, &sink, &progress, &table, NULL),
			OTA_E_LIMIT);
		cr_expect_eq(table.count, 77, "out touched on failure");
	}
}

Test(block, every_bit_flip_and_every_prefix_is_refused)
{
	OTA_AUTO(made_fini) struct made made = made_of(image_bytes());
	struct ota_bytes packed = packed_of(&made, 2);
	uint8_t *at = made.packed.at + made.table.blocks[0].packed_len +
		      made.table.blocks[1].packed_len;
	uint8_t out[OTA_BLOCK_LEN_MIN];

	for (size_t bit = 0; bit < 8 * packed.len; bit++) {
		at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect_eq(ota_block_unpack(&made.table, 2, packed, out, NULL),
			OTA_E_DIGEST, "bit %zu", bit);
		at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t len = 0; len < packed.len; len++)
		cr_expect_eq(ota_block_unpack(&made.table, 2,
				     (struct ota_bytes){ at, len }, out, NULL),
			OTA_E_DIGEST, "%zu bytes", len);
	cr_expect_eq(ota_block_unpack(&made.table, 4, packed, out, NULL), OTA_E_LIMIT);
}

/* A table that announces what is packed wrongly: only a broken orchestrator makes one. */
static enum ota_code unpacked(struct made *made, struct ota_bytes packed, char text[256])
{
	static uint8_t out[OTA_BLOCK_LEN_MIN];
	struct ota_error err = { 0 };
	enum ota_code rc;

	made->table.blocks[0].packed = ota_digest_of(packed);
	made->table.blocks[0].packed_len = (uint32_t)packed.len;
	rc = ota_block_unpack(&made->table, 0, packed, out, &err);
	(void)snprintf(text, 256, "%s", err.text);
	return rc;
}

/* A frame of the first len bytes of the image, or of as many as its first block has. */
static struct ota_buf frame_of(size_t len, bool sized)
{
	struct ota_buf out = { 0 };
	ota_autofree uint8_t *at = malloc(ZSTD_compressBound(len));
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	size_t got;

	cr_assert(at != NULL && zstd != NULL);
	(void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, sized);
	got = ZSTD_compress2(zstd, at, ZSTD_compressBound(len), image_bytes().at, len);
	cr_assert(!ZSTD_isError(got));
	cr_assert_eq(ota_buf_add(&out, (struct ota_bytes){ at, got }), OTA_OK);
	(void)ZSTD_freeCCtx(zstd);
	return out;
}

Test(block, a_frame_of_another_length_or_that_tells_none_is_refused_unread)
{
	static const struct {
		size_t len;
		bool sized;
	} rows[] = { { OTA_BLOCK_LEN_MIN - 1, true }, { OTA_BLOCK_LEN_MIN + 1, true },
		{ OTA_BLOCK_LEN_MIN, false } };

	for (size_t i = 0; i < 3; i++) {
		OTA_AUTO(made_fini) struct made made = made_of(image_bytes());
		OTA_AUTO(ota_buf_fini)
		struct ota_buf frame = frame_of(rows[i].len, rows[i].sized);
		char text[256];

		cr_expect_eq(unpacked(&made, ota_buf_bytes(&frame), text), OTA_E_FORMAT);
		cr_expect_str_eq(text, "block 0: not one frame of 65536 bytes");
	}
}

Test(block, what_follows_a_frame_and_the_frame_of_another_block_are_refused)
{
	OTA_AUTO(made_fini) struct made made = made_of(image_bytes());
	OTA_AUTO(ota_buf_fini) struct ota_buf frame = frame_of(OTA_BLOCK_LEN_MIN, true);
	struct ota_bytes zeros = packed_of(&made, 2);
	char text[256];

	cr_expect_eq(unpacked(&made, ota_buf_bytes(&frame), text), OTA_OK);
	cr_assert_eq(ota_buf_add_u8(&frame, 0), OTA_OK);
	cr_expect_eq(unpacked(&made, ota_buf_bytes(&frame), text), OTA_E_FORMAT);
	cr_expect_eq(unpacked(&made, zeros, text), OTA_E_DIGEST);
	cr_expect_str_eq(text, "block 0: wrong content");
}

static bool stop(void *ctx, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	return ++*(int *)ctx < 2;
}

Test(block, packing_is_cancelled_between_blocks)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf packed = { 0 };
	struct ota_bytes image = image_bytes();
	struct ota_source source = ota_source_of(&image);
	struct ota_sink sink = { &packed, take };
	int ticks = 0;
	struct ota_progress progress = { &ticks, stop };
	struct ota_block_table table;

	cr_expect_eq(ota_block_table_make(&source, &sink, &progress, &table, NULL),
		OTA_E_CANCELLED);
	cr_expect_eq(ticks, 2);
}
