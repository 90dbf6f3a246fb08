#include <criterion/criterion.h>

#include "orchestrator/core/rollout_states.h"

/* The table is data, so what we rely on are tests over the data. */

static const struct ota_fsm_row *row_at(size_t i)
{
	return &rollout_fsm.rows[i];
}

Test(rollout_states, no_event_leads_two_ways)
{
	for (size_t i = 0; i < rollout_fsm.n_rows; i++)
		for (size_t j = i + 1; j < rollout_fsm.n_rows; j++)
			cr_expect(row_at(i)->from != row_at(j)->from ||
					  row_at(i)->event != row_at(j)->event,
				"rows %zu and %zu", i, j);
}

Test(rollout_states, every_state_stays_itself_over_a_restart)
{
	for (unsigned s = 0; s < N_ROLLOUT_STATES; s++) {
		unsigned to = N_ROLLOUT_STATES;

		cr_expect_eq(ota_fsm_next(&rollout_fsm, s, ROLLOUT_EV_RESTART, &to, NULL),
			OTA_OK, "%s", rollout_fsm.states[s]);
		cr_expect_eq(to, s, "%s", rollout_fsm.states[s]);
	}
}

/* States from which, or to which, the marked ones can be reached. */
static unsigned closure(unsigned marked, bool forward)
{
	for (unsigned round = 0; round < N_ROLLOUT_STATES; round++)
		for (size_t i = 0; i < rollout_fsm.n_rows; i++) {
			unsigned a = 1u << row_at(i)->from, b = 1u << row_at(i)->to;

			if (forward ? marked & a : marked & b)
				marked |= forward ? b : a;
		}
	return marked;
}

Test(rollout_states, every_state_is_reached_and_comes_to_an_end)
{
	unsigned all = (1u << N_ROLLOUT_STATES) - 1;

	cr_expect_eq(closure(1u << ROLLOUT_DRAFT, true), all);
	cr_expect_eq(closure(1u << ROLLOUT_COMPLETED | 1u << ROLLOUT_ABORTED |
				     1u << ROLLOUT_HALTED | 1u << ROLLOUT_SUPERSEDED,
			     false),
		all);
}

Test(rollout_states, whatever_moves_by_itself_can_be_halted_paused_aborted_and_reverted)
{
	static const unsigned events[] = { ROLLOUT_EV_HALT, ROLLOUT_EV_PAUSE,
		ROLLOUT_EV_ABORT, ROLLOUT_EV_REVERT };

	for (unsigned s = 0; s < N_ROLLOUT_STATES; s++)
		for (size_t e = 0; e < sizeof events / sizeof events[0]; e++) {
			unsigned to = N_ROLLOUT_STATES;

			if (!rollout_state_is_live((enum rollout_state)s))
				continue;
			cr_expect_eq(ota_fsm_next(&rollout_fsm, s, events[e], &to, NULL),
				OTA_OK, "%s in %s", rollout_fsm.events[events[e]],
				rollout_fsm.states[s]);
		}
}

Test(rollout_states, a_stage_runs_only_through_the_grant)
{
	for (size_t i = 0; i < rollout_fsm.n_rows; i++)
		if (row_at(i)->to == ROLLOUT_RUNNING &&
			row_at(i)->from != ROLLOUT_RUNNING) {
			cr_expect_eq(row_at(i)->from, ROLLOUT_WAITING_FOR_GRANT);
			cr_expect_eq(row_at(i)->event, ROLLOUT_EV_GRANTED);
		}
}

Test(rollout_states, refuses_by_name)
{
	struct ota_error err = { 0 };
	unsigned to;

	cr_assert_eq(ota_fsm_next(&rollout_fsm, ROLLOUT_COMPLETED, ROLLOUT_EV_PAUSE, &to,
			     &err),
		OTA_E_STATE);
	cr_expect_str_eq(err.text, "rollout: pause in completed");
}

Test(rollout_states, texts_lead_back_to_states)
{
	for (unsigned s = 0; s < N_ROLLOUT_STATES; s++) {
		enum rollout_state back = N_ROLLOUT_STATES;

		cr_expect(rollout_state_of(
			rollout_state_text((enum rollout_state)s), &back));
		cr_expect_eq((unsigned)back, s);
	}
}
