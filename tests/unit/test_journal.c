#include <criterion/criterion.h>

#include <string.h>

#include "agent/core/journal.h"
#include "proto/base/own.h"
#include "tests/seeds.h"

static struct journal sample(void)
{
	return (struct journal){
		.state = OTA_UPDATE_PROVING,
		.reverting = true,
		.repairs = true,
		.error = OTA_E_HEALTH,
		.error_text = "hook health exited with 1",
		.rollout = "spring",
		.release = { { 1 } },
		.order = { { 2 } },
		.patch = { { 3 } },
		.order_seq = 4,
		.target = { .image = { { 5 } },
			.image_len = 6,
			.counter = 7,
			.floor = 8,
			.version = "1.2.3" },
		.install_s = 9,
		.prove_s = 10,
		.proving_since_ms = 11,
		.blocked_release = { { 12 } },
		.blocked_seq = 13,
		.boot_id = { { 14 } },
		.boot = 15,
		.reports_reserved = 16,
		.floor = 17,
		.chunks = 18,
		.chunks_total = 19,
		.bytes = 20,
		.refetched = 21,
		.trusted_utc_s = 22,
		.fresh = { 23, 24, { { 25 } } },
		.order_seen = { 26, 27, { { 28 } } },
		.confirmed = { { 29 } },
		.counted_patch = { { 30 } },
		.counted = 31,
		.spent = 32,
		.rescue_boot = 33,
		.vain_boots = 34,
		.blocked_assign = 35,
	};
}

Test(journal, what_is_encoded_is_parsed_again)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf first = { 0 }, second = { 0 };
	struct journal in = sample(), out = { 0 };

	cr_assert_eq(journal_encode(&in, &first), OTA_OK);
	cr_assert_eq(first.len, JOURNAL_LEN);
	cr_assert_eq(journal_parse(ota_buf_bytes(&first), &out, NULL), OTA_OK);
	cr_expect_str_eq(out.rollout, "spring");
	cr_expect_str_eq(out.error_text, in.error_text);
	cr_expect_eq(out.target.counter, 7);
	cr_expect_eq(out.order_seen.seq, 27);
	cr_expect_eq(out.order_seen.digest.at[0], 28);
	cr_expect_eq(out.confirmed.at[0], 29);
	cr_expect_eq(out.spent, 32);
	cr_expect_eq(out.vain_boots, 34);
	cr_expect_eq(out.blocked_assign, 35);
	cr_expect(out.reverting && !out.lost && out.repairs);
	cr_assert_eq(journal_encode(&out, &second), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&first), ota_buf_bytes(&second)));
}

Test(journal, every_prefix_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct journal j = sample(), out = { .boot = 77 };

	cr_assert_eq(journal_encode(&j, &buf), OTA_OK);
	for (size_t len = 0; len < buf.len; len++)
		if (len != JOURNAL_LEN_BEFORE && len != JOURNAL_LEN_FIRST)
			cr_expect_eq(journal_parse((struct ota_bytes){ buf.at, len },
					     &out, NULL),
				OTA_E_FORMAT, "%zu bytes", len);
	cr_expect_eq(out.boot, 77, "out is written on success only");
}

Test(journal, what_a_later_version_appends_is_passed_over)
{
	struct seeds seeds = seeds_of(100, 100000);

	while (seeds_next(&seeds)) {
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 }, again = { 0 };
		struct journal j = sample(), out = { 0 };
		uint64_t len = 1 + seeds_below(&seeds, 200);

		cr_assert_eq(journal_encode(&j, &buf), OTA_OK);
		for (uint64_t i = 0; i < len; i++)
			cr_assert_eq(
				ota_buf_add_u8(&buf, (uint8_t)seeds_below(&seeds, 256)),
				OTA_OK);
		cr_expect_eq(journal_parse(ota_buf_bytes(&buf), &out, NULL), OTA_OK, "%s",
			seeds_text(&seeds));
		cr_assert_eq(journal_encode(&out, &again), OTA_OK);
		cr_expect_eq(memcmp(again.at, buf.at, again.len), 0, "%s: what it knows",
			seeds_text(&seeds));
	}
}

Test(journal, what_the_version_before_wrote_is_read)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct journal j = sample(), out = { .blocked_assign = 77 };

	cr_assert_eq(journal_encode(&j, &buf), OTA_OK);
	cr_assert_eq(journal_parse((struct ota_bytes){ buf.at, JOURNAL_LEN_BEFORE }, &out,
			     NULL),
		OTA_OK);
	cr_expect_eq(out.vain_boots, 34);
	cr_expect_eq(out.blocked_assign, 0);
}

Test(journal, what_the_first_version_wrote_is_read)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct journal j = sample(), out = { .spent = 77 };

	cr_assert_eq(journal_encode(&j, &buf), OTA_OK);
	cr_assert_eq(journal_parse(
			     (struct ota_bytes){ buf.at, JOURNAL_LEN_FIRST }, &out, NULL),
		OTA_OK);
	cr_expect_eq(out.order_seen.seq, 27);
	cr_expect_eq(out.spent, 0);
	cr_expect(ota_digest_is_zero(&out.confirmed));
}

/* The device fell back from an image whose agent is newer. */
Test(journal, what_only_a_later_version_knows_does_not_cost_the_rest)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 }, again = { 0 };
	struct journal j = sample(), out = { 0 };

	cr_assert_eq(journal_encode(&j, &buf), OTA_OK);
	buf.at[5] |= 0x80;
	buf.at[6] = 1;
	buf.at[8] = 0x99;
	cr_assert_eq(journal_parse(ota_buf_bytes(&buf), &out, NULL), OTA_OK);
	cr_expect_eq(out.state, OTA_UPDATE_PROVING);
	cr_expect_eq((unsigned)out.error, 0x99, "kept for the report");
	cr_assert_eq(journal_encode(&out, &again), OTA_OK);
	buf.at[4] = OTA_N_UPDATE_STATES;
	cr_assert_eq(journal_parse(ota_buf_bytes(&buf), &out, NULL), OTA_OK);
	cr_expect_eq(out.state, OTA_UPDATE_FAILED);
	cr_expect_eq(out.error, OTA_E_STATELOST);
	cr_expect_str_eq(out.error_text, "state 11, which only a later version knows");
	cr_expect_eq(out.floor, 17, "what matters is still there");
	cr_expect_eq(out.order_seen.seq, 27);
}

Test(journal, a_text_that_fills_its_field_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct journal j = sample();

	cr_assert_eq(journal_encode(&j, &buf), OTA_OK);
	memset(buf.at + 160, 'x', 200);
	cr_expect_eq(journal_parse(ota_buf_bytes(&buf), &j, NULL), OTA_E_FORMAT);
}

Test(journal, more_than_any_version_will_write_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct journal j = sample();

	cr_assert_eq(journal_encode(&j, &buf), OTA_OK);
	while (buf.len <= JOURNAL_LEN_MAX)
		cr_assert_eq(ota_buf_add_u8(&buf, 0), OTA_OK);
	cr_expect_eq(journal_parse(ota_buf_bytes(&buf), &j, NULL), OTA_E_LIMIT);
}

Test(journal, a_field_outside_its_range_is_refused)
{
	static const struct {
		size_t offset;
		uint8_t value;
		const char *text;
	} rows[] = { { 0, 'X', "not a journal" }, { 10, 1, "error number" },
		{ 16, '/',
			"journal name '/pring' must begin with a lower-case letter or "
			"a digit" },
		{ 16 + 71, 'x', "name field" }, { 160, 0x1b, "error text" },
		{ 160, 0x7f, "error text" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
		struct ota_error err = { 0 };
		struct journal j = sample();

		cr_assert_eq(journal_encode(&j, &buf), OTA_OK);
		buf.at[rows[i].offset] = rows[i].value;
		cr_expect_neq(journal_parse(ota_buf_bytes(&buf), &j, &err), OTA_OK);
		cr_expect_str_eq(err.text, rows[i].text, "row %zu: %s", i, err.text);
	}
}
