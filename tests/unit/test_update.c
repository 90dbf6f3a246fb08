#include <criterion/criterion.h>

#include "agent/core/update.h"

/* The table is data, so the properties we rely on are tests over the data. */

static const struct ota_fsm_row *row_at(size_t i)
{
	return &update_fsm.rows[i];
}

Test(update, no_event_leads_two_ways)
{
	for (size_t i = 0; i < update_fsm.n_rows; i++)
		for (size_t j = i + 1; j < update_fsm.n_rows; j++)
			cr_expect(row_at(i)->from != row_at(j)->from ||
					  row_at(i)->event != row_at(j)->event,
				"rows %zu and %zu", i, j);
}

Test(update, every_state_survives_a_restart_a_boot_and_a_trial_boot)
{
	static const unsigned events[] = { UPDATE_ON_RESTART, UPDATE_ON_BOOT,
		UPDATE_ON_TRIAL };

	for (unsigned s = 0; s < OTA_N_UPDATE_STATES; s++)
		for (size_t i = 0; i < 3; i++) {
			unsigned to;

			cr_expect_eq(ota_fsm_next(&update_fsm, s, events[i], &to, NULL),
				OTA_OK, "no %s row for %s", update_fsm.events[events[i]],
				update_fsm.states[s]);
		}
}

Test(update, a_restart_moves_nothing)
{
	for (unsigned s = 0; s < OTA_N_UPDATE_STATES; s++) {
		unsigned to = OTA_N_UPDATE_STATES;

		cr_assert_eq(ota_fsm_next(&update_fsm, s, UPDATE_ON_RESTART, &to, NULL),
			OTA_OK);
		cr_expect_eq(to, s, "%s", update_fsm.states[s]);
	}
}

Test(update, every_state_is_reached_and_leads_home)
{
	unsigned from_idle = 1u << OTA_UPDATE_IDLE, to_idle = 1u << OTA_UPDATE_IDLE;

	for (unsigned round = 0; round < OTA_N_UPDATE_STATES; round++)
		for (size_t i = 0; i < update_fsm.n_rows; i++) {
			if (from_idle & 1u << row_at(i)->from)
				from_idle |= 1u << row_at(i)->to;
			if (to_idle & 1u << row_at(i)->to)
				to_idle |= 1u << row_at(i)->from;
		}
	cr_expect_eq(from_idle, (1u << OTA_N_UPDATE_STATES) - 1);
	cr_expect_eq(to_idle, (1u << OTA_N_UPDATE_STATES) - 1);
}

Test(update, only_proving_confirms)
{
	for (size_t i = 0; i < update_fsm.n_rows; i++)
		if (row_at(i)->to == OTA_UPDATE_CONFIRMED)
			cr_expect(row_at(i)->from == OTA_UPDATE_PROVING ||
					  row_at(i)->from == OTA_UPDATE_CONFIRMED,
				"row %zu", i);
}

Test(update, what_has_no_row_is_refused_by_name)
{
	struct ota_error err = { 0 };
	unsigned to = 99;

	cr_assert_eq(
		ota_fsm_next(&update_fsm, OTA_UPDATE_PROVING, UPDATE_ON_OFFER, &to, &err),
		OTA_E_STATE);
	cr_expect_str_eq(err.text, "update: offer in proving");
	cr_expect_eq(to, 99);
}
