#include <criterion/criterion.h>

#include "agent/core/overlay.h"
#include "proto/base/own.h"

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
