#include <criterion/criterion.h>

#include "agent/core/overlay.h"
#include "proto/base/own.h"
#include "tests/unit/nomem_kit.h"

enum { LEN = OTA_BLOCK_LEN_MIN };

static struct overlay over;

static void set_up(void)
{
	over = (struct overlay){ .block_len = LEN };
	cr_assert_eq(overlay_add(&over, 2), OVERLAY_DATA_OFFSET);
	cr_assert_eq(overlay_add(&over, 3), OVERLAY_DATA_OFFSET + LEN);
	cr_assert_eq(overlay_add(&over, 3799), OVERLAY_DATA_OFFSET + 2 * LEN);
}

TestSuite(overlay, .init = set_up);

Test(overlay, nothing_covers_nothing)
{
	static const struct overlay none;
	struct overlay_piece piece = overlay_find(&none, 123, 1 << 20);

	cr_expect(!piece.is_over);
	cr_expect_eq(piece.offset, 123);
	cr_expect_eq(piece.len, 1 << 20);
}

static const struct {
	uint64_t offset, at;
	size_t len, found;
	bool is_over;
} finds[] = {
	{ 0, 0, 10, 10, false },
	{ LEN, LEN, 3 * LEN, LEN, false },
	{ 2 * LEN - 1, 2 * LEN - 1, 2, 1, false },
	{ 2 * LEN, OVERLAY_DATA_OFFSET, LEN, LEN, true },
	{ 2 * LEN + 5, OVERLAY_DATA_OFFSET + 5, LEN, LEN - 5, true },
	{ 4 * LEN - 1, OVERLAY_DATA_OFFSET + 2 * LEN - 1, 2, 1, true },
	{ 4 * LEN, 4 * LEN, 1, 1, false },
	{ 3799ULL * LEN, OVERLAY_DATA_OFFSET + 2 * LEN, 1, 1, true },
	{ 3800ULL * LEN, 3800ULL * LEN, 1, 1, false },
};

Test(overlay, a_range_is_cut_where_a_block_ends)
{
	for (size_t i = 0; i < sizeof finds / sizeof finds[0]; i++) {
		struct overlay_piece piece =
			overlay_find(&over, finds[i].offset, finds[i].len);

		cr_expect_eq(piece.is_over, finds[i].is_over, "%zu", i);
		cr_expect_eq(piece.offset, finds[i].at, "%zu", i);
		cr_expect_eq(piece.len, finds[i].found, "%zu", i);
	}
}

static enum ota_code parse(struct ota_bytes all, struct overlay *out)
{
	enum ota_code rc = overlay_parse_head(
		(struct ota_bytes){ all.at, OVERLAY_HEAD_LEN }, out, NULL);

	return rc == OTA_OK ? overlay_parse_index(
				      (struct ota_bytes){ all.at + OVERLAY_HEAD_LEN,
					      all.len - OVERLAY_HEAD_LEN },
				      out, NULL)
			    : rc;
}

Test(overlay, what_was_encoded_is_parsed)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct overlay found;

	cr_assert_eq(overlay_encode(&over, &bytes), OTA_OK);
	cr_assert_eq(parse(ota_buf_bytes(&bytes), &found), OTA_OK);
	cr_expect_arr_eq(&found, &over, sizeof over);
}

Test(overlay, what_is_none_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct overlay found;
	size_t places[] = { 0, 6, 10, OVERLAY_HEAD_LEN + 3, OVERLAY_HEAD_LEN + 4 };

	cr_assert_eq(overlay_encode(&over, &bytes), OTA_OK);
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		bytes.at[places[i]] ^= 1;
		cr_expect_eq(parse(ota_buf_bytes(&bytes), &found), OTA_E_FORMAT, "%zu",
			places[i]);
		bytes.at[places[i]] ^= 1;
	}
	bytes.len -= 4;
	cr_expect_eq(parse(ota_buf_bytes(&bytes), &found), OTA_E_FORMAT);
}

Test(overlay, one_that_is_longer_or_shorter_than_it_says_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct overlay found;

	cr_assert_eq(overlay_encode(&over, &bytes), OTA_OK);
	for (size_t len = 0; len <= OVERLAY_HEAD_LEN + 1; len++)
		cr_expect_eq(overlay_parse_head(
				     (struct ota_bytes){ bytes.at, len }, &found, NULL),
			len == OVERLAY_HEAD_LEN ? OTA_OK : OTA_E_FORMAT, "%zu", len);
	cr_assert_eq(ota_buf_add_le32(&bytes, OTA_BLOCKS_MAX - 1), OTA_OK);
	cr_expect_eq(parse(ota_buf_bytes(&bytes), &found), OTA_E_FORMAT);
}

Test(overlay, one_of_too_many_or_too_long_blocks_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_error err = { 0 };
	struct overlay found;

	over.count = OTA_BLOCKS_MAX + 1;
	cr_assert_eq(overlay_encode(&over, &bytes), OTA_OK);
	bytes.len = OVERLAY_HEAD_LEN;
	cr_expect_eq(
		overlay_parse_head(ota_buf_bytes(&bytes), &found, &err), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "overlay of 3801 blocks of 65536 bytes");
	bytes.len = 0;
	over = (struct overlay){ .block_len = OTA_BLOCK_LEN_MAX + 1 };
	cr_assert_eq(overlay_encode(&over, &bytes), OTA_OK);
	cr_expect_eq(
		overlay_parse_head(ota_buf_bytes(&bytes), &found, &err), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "overlay of 0 blocks of 262145 bytes");
}

Test(overlay, without_memory_it_is_not_encoded)
{
	enum ota_code rc = OTA_E_NOMEM;
	unsigned refused = 0;

	/* The index outgrows what the first allocation has room for. */
	for (uint32_t i = 4; i < OTA_BLOCKS_MAX; i++)
		(void)overlay_add(&over, i);
	for (long n = 0; rc != OTA_OK; n++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
		bool fired;

		nomem_arm(n);
		rc = overlay_encode(&over, &bytes);
		fired = nomem_disarm();
		cr_expect_eq(rc, fired ? OTA_E_NOMEM : OTA_OK);
		refused += fired;
	}
	cr_expect_geq(refused, 2);
}
