#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/samples.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct ota_buf table_bytes(void)
{
	OTA_AUTO(ota_block_table_fini)
	struct ota_block_table table = sample_block_table();
	struct ota_buf out = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(ota_block_table_encode(&table, &out, &err), OTA_OK, "%s", err.text);
	return out;
}

Test(block_table, encode_of_parse_is_the_same_bytes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = table_bytes(), again = { 0 };
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };

	cr_assert_eq(ota_block_table_parse(ota_buf_bytes(&bytes), &table, NULL), OTA_OK);
	cr_expect_eq(table.image_len, OTA_BLOCK_LEN_MIN + 100);
	cr_expect_eq(table.blocks[0].packed_len, 14);
	cr_assert_eq(ota_block_table_encode(&table, &again, NULL), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&bytes), ota_buf_bytes(&again)));
}

Test(block_table, every_prefix_is_refused_and_so_is_one_byte_more)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = table_bytes();
	struct ota_block_table table = { .count = 77 };

	for (size_t len = 0; len < bytes.len; len++)
		cr_expect_eq(ota_block_table_parse(
				     (struct ota_bytes){ bytes.at, len }, &table, NULL),
			OTA_E_FORMAT, "%zu bytes", len);
	cr_assert_eq(ota_buf_add_u8(&bytes, 0), OTA_OK);
	cr_expect_eq(
		ota_block_table_parse(ota_buf_bytes(&bytes), &table, NULL), OTA_E_FORMAT);
	cr_expect_eq(table.count, 77, "out touched on failure");
}

/* Digests may be any, and another name follows; every other bit says something. */
Test(block_table, every_bit_flip_is_refused_or_names_another_table)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = table_bytes();
	struct ota_digest name = ota_digest_of(ota_buf_bytes(&bytes));
	unsigned refused = 0;

	for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
		OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };
		OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
		struct ota_digest other;

		bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		other = ota_digest_of(ota_buf_bytes(&bytes));
		cr_expect(!ota_digest_equal(&name, &other));
		if (ota_block_table_parse(ota_buf_bytes(&bytes), &table, NULL) != OTA_OK)
			refused++;
		else if (ota_block_table_encode(&table, &again, NULL) != OTA_OK ||
			 !ota_bytes_equal(ota_buf_bytes(&bytes), ota_buf_bytes(&again)))
			cr_expect_fail("bit %zu", bit);
		bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	cr_expect_gt(refused, 8 * (4 + 4 + 4 + 2 * OTA_DIGEST_LEN), "%u", refused);
}

static const struct refusal {
	size_t at; /* byte to overwrite in the sample */
	const char *with;
	size_t len; /* bytes of it */
	enum ota_code code;
	const char *text;
} refusals[] = {
	/* clang-format off */
	{ 0, "X", 1, OTA_E_FORMAT, "not a block table" },
	{ 4, "\0\0\2\0", 4, OTA_E_FORMAT, "block_len 131072, not 65536 for 65636 bytes" },
	{ 4, "\1", 1, OTA_E_FORMAT, "block_len 65537, not 65536 for 65636 bytes" },
	{ 8, "\0\0\0", 3, OTA_E_LIMIT, "image_len 0" },
	{ 8, "\1\0\x60\x3b", 4, OTA_E_LIMIT, "image_len 996147201" },
	{ 15, "\x80", 1, OTA_E_LIMIT, "image_len 9223372036854841444" },
	{ 8, "\1\0\2", 3, OTA_E_FORMAT, "2 blocks for 131073 bytes" },
	{ 16, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32, OTA_E_FORMAT,
	  "image is zero" },
	{ 48, "\0", 1, OTA_E_FORMAT, "0 blocks for 65636 bytes" },
	{ 48, "\3", 1, OTA_E_FORMAT, "3 blocks for 65636 bytes" },
	{ 51, "\xff", 1, OTA_E_FORMAT, "4278190082 blocks for 65636 bytes" },
	{ 116, "\0", 1, OTA_E_LIMIT, "block 0: packed_len 0 of 65536" },
	{ 116, "\1\0\1", 3, OTA_E_LIMIT, "block 0: packed_len 65537 of 65536" },
	{ 116, "\0\0\1", 3, OTA_E_FORMAT, "block 0: not packed, but of another digest" },
	{ 184, "\x65", 1, OTA_E_LIMIT, "block 1: packed_len 101 of 100" },
	/* clang-format on */
};

Test(block_table, each_malformed_field_is_refused_by_name)
{
	for (size_t i = 0; i < COUNT(refusals); i++) {
		const struct refusal *row = &refusals[i];
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = table_bytes();
		struct ota_block_table table;
		struct ota_error err = { 0 };
		char text[OTA_ERROR_TEXT_CAP];

		memcpy(bytes.at + row->at, row->with, row->len);
		(void)snprintf(text, sizeof text, "block table: %s", row->text);
		cr_expect_eq(ota_block_table_parse(ota_buf_bytes(&bytes), &table, &err),
			row->code, "row %zu: %s", i, err.text);
		cr_expect_str_eq(err.text, text, "row %zu: %s", i, err.text);
	}
}

static const struct {
	uint64_t image_len;
	uint32_t block_len;
} lengths[] = {
	{ 0, 0 },
	{ 1, 65536 },
	{ UINT64_C(3800) * 65536, 65536 },
	{ UINT64_C(3800) * 65536 + 1, 131072 },
	{ UINT64_C(3800) * 131072, 131072 },
	{ UINT64_C(3800) * 131072 + 1, 262144 },
	{ UINT64_C(3800) * 262144, 262144 },
	{ UINT64_C(3800) * 262144 + 1, 0 },
	{ UINT64_MAX, 0 },
};

Test(block_table, blocks_are_as_short_as_their_number_allows)
{
	for (size_t i = 0; i < COUNT(lengths); i++)
		cr_expect_eq(ota_block_len_for(lengths[i].image_len),
			lengths[i].block_len, "%llu",
			(unsigned long long)lengths[i].image_len);
}

Test(block_table, the_largest_one_fits_the_limit_and_one_block_more_does_not)
{
	OTA_AUTO(ota_block_table_fini)
	struct ota_block_table table = {
		.block_len = OTA_BLOCK_LEN_MAX,
		.count = OTA_BLOCKS_MAX,
		.image_len = (uint64_t)OTA_BLOCKS_MAX * OTA_BLOCK_LEN_MAX,
		.image = sample_digest("image"),
		.blocks = calloc(OTA_BLOCKS_MAX + 1, sizeof(struct ota_block)),
	};
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	cr_assert_not_null(table.blocks);
	for (uint32_t i = 0; i <= OTA_BLOCKS_MAX; i++)
		table.blocks[i].packed_len = 1;
	cr_expect_eq(ota_block_table_encode(&table, &out, NULL), OTA_OK);
	cr_expect_eq(out.len, OTA_BLOCK_TABLE_LEN_MAX);
	cr_expect_leq(out.len, 262144);
	table.count++;
	table.image_len++;
	cr_expect_eq(ota_block_table_encode(&table, &out, NULL), OTA_E_LIMIT);
	cr_expect_eq(out.len, OTA_BLOCK_TABLE_LEN_MAX, "out touched on failure");
}

Test(block_table, every_block_but_the_last_is_whole)
{
	OTA_AUTO(ota_block_table_fini)
	struct ota_block_table table = sample_block_table();

	cr_expect_eq(ota_block_len(&table, 0), OTA_BLOCK_LEN_MIN);
	cr_expect_eq(ota_block_len(&table, 1), 100);
	cr_expect_eq(ota_block_len(&table, 2), 0);
	cr_expect_eq(ota_block_len(&table, UINT32_MAX), 0);
}

static const struct {
	uint32_t index;
	const char *data;
	enum ota_code code;
	const char *text;
} messages[] = {
	{ 0, "packed block 0", OTA_OK, "" },
	{ 2, "packed block 0", OTA_E_LIMIT, "block 2 of 2" },
	{ 0, "packed block", OTA_E_FORMAT, "block 0: 12 bytes, not 14" },
	{ 0, "packed block 1", OTA_E_DIGEST, "block 0: wrong content" },
	{ 1, "packed block 0", OTA_E_FORMAT, "block 1: 14 bytes, not 100" },
};

Test(block_table, a_block_on_arrival_is_compared_with_what_was_announced)
{
	OTA_AUTO(ota_block_table_fini)
	struct ota_block_table table = sample_block_table();

	for (size_t i = 0; i < COUNT(messages); i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf message = { 0 };
		struct ota_bytes want = ota_bytes_of(messages[i].data), data = { 0 };
		struct ota_error err = { 0 };
		uint32_t index = 77;

		cr_assert_eq(ota_chunk_encode(messages[i].index, want, &message), OTA_OK);
		cr_expect_eq(ota_block_check(&table, ota_buf_bytes(&message), &index,
				     &data, &err),
			messages[i].code);
		cr_expect_str_eq(err.text, messages[i].text, "%s", err.text);
		cr_expect_eq(index, messages[i].code == OTA_OK ? 0 : 77);
		cr_expect(messages[i].code != OTA_OK || ota_bytes_equal(data, want));
	}
}
