#include <criterion/criterion.h>

#include <string.h>

#include "agent/core/slot.h"
#include "proto/base/own.h"

static const struct ota_digest BOOT_1 = { { 1 } }, BOOT_2 = { { 2 } };

static struct slot_table sample(void)
{
	return (struct slot_table){ .current = 0,
		.primary = 1,
		.tries = 2,
		.boot_id = BOOT_1,
		.slots = { { .state = SLOT_GOOD,
				   .image = { { 3 } },
				   .image_len = 4,
				   .counter = 5,
				   .version = "1.0" },
			{ .state = SLOT_TRIAL, .image = { { 6 } } } } };
}

Test(slot_table, what_is_encoded_is_parsed_again)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf first = { 0 }, second = { 0 };
	struct slot_table in = sample(), out = { 0 };

	cr_assert_eq(slot_table_encode(&in, &first), OTA_OK);
	cr_assert_eq(first.len, SLOT_TABLE_LEN);
	cr_assert_eq(slot_table_parse(ota_buf_bytes(&first), &out, NULL), OTA_OK);
	cr_expect_str_eq(out.slots[0].version, "1.0");
	cr_expect(out.primary == 1 && out.tries == 2 && out.slots[0].counter == 5);
	cr_assert_eq(slot_table_encode(&out, &second), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&first), ota_buf_bytes(&second)));
}

Test(slot_table, every_prefix_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct slot_table in = sample(), out = { .tries = 77 };

	cr_assert_eq(slot_table_encode(&in, &buf), OTA_OK);
	for (size_t len = 0; len < buf.len; len++)
		cr_expect_eq(
			slot_table_parse((struct ota_bytes){ buf.at, len }, &out, NULL),
			OTA_E_FORMAT, "%zu bytes", len);
	cr_expect_eq(out.tries, 77, "out is written on success only");
}

Test(slot_table, a_field_outside_its_range_is_refused)
{
	static const struct {
		size_t offset;
		uint8_t value;
	} rows[] = { { 0, 'x' }, { 4, 2 }, { 5, 2 }, { 6, SLOT_TRIES + 1 }, { 7, 1 },
		{ 40, N_SLOT_STATES }, { 47, 1 }, { 96, '/' }, { 96 + 71, 'x' } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
		struct slot_table table = sample();

		cr_assert_eq(slot_table_encode(&table, &buf), OTA_OK);
		buf.at[rows[i].offset] = rows[i].value;
		cr_expect_neq(slot_table_parse(ota_buf_bytes(&buf), &table, NULL), OTA_OK,
			"row %zu", i);
	}
}

Test(slot_table, what_a_later_version_appends_is_passed_over_within_reason)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct slot_table table = sample();

	cr_assert_eq(slot_table_encode(&table, &buf), OTA_OK);
	while (buf.len < SLOT_TABLE_LEN_MAX)
		cr_assert_eq(ota_buf_add_u8(&buf, 7), OTA_OK);
	cr_expect_eq(slot_table_parse(ota_buf_bytes(&buf), &table, NULL), OTA_OK);
	cr_assert_eq(ota_buf_add_u8(&buf, 7), OTA_OK);
	cr_expect_eq(slot_table_parse(ota_buf_bytes(&buf), &table, NULL), OTA_E_LIMIT);
}

Test(slot_table, each_state_has_its_text)
{
	cr_expect_str_eq(slot_state_text(SLOT_TRIAL), "trial");
	cr_expect_str_eq(slot_state_text(N_SLOT_STATES), "unknown");
}

Test(slot_table, a_restart_within_a_boot_changes_nothing)
{
	struct slot_table table = sample(), before = table;

	cr_expect_not(slot_table_boot(&table, &BOOT_1));
	cr_expect_arr_eq(&table, &before, sizeof table);
}

Test(slot_table, a_slot_on_trial_boots_as_often_as_it_has_tries)
{
	struct slot_table table = sample();

	table.tries = SLOT_TRIES;
	for (uint8_t boot = 2; boot < 2 + SLOT_TRIES; boot++) {
		cr_expect(slot_table_boot(&table, &(struct ota_digest){ { boot } }));
		cr_expect_eq(table.current, 1);
		cr_expect_eq(table.slots[1].state, SLOT_TRIAL);
	}
	cr_expect(slot_table_boot(&table, &(struct ota_digest){ { 99 } }));
	cr_expect_eq(table.current, 0);
	cr_expect_eq(table.primary, 0);
	cr_expect_eq(table.slots[1].state, SLOT_BAD);
}

Test(slot_table, a_good_slot_boots_for_ever)
{
	struct slot_table table = sample();

	table.slots[1].state = SLOT_GOOD;
	table.tries = 0;
	cr_expect(slot_table_boot(&table, &BOOT_2));
	cr_expect_eq(table.current, 1);
}

Test(slot_table, a_bad_slot_boots_only_if_the_other_is_no_better)
{
	struct slot_table table = sample();

	table.slots[1].state = SLOT_BAD;
	cr_expect(slot_table_boot(&table, &BOOT_2));
	cr_expect_eq(table.current, 0);
	table.slots[0].state = SLOT_BAD;
	cr_expect(slot_table_boot(&table, &BOOT_1));
	cr_expect_eq(table.current, 0);
}
