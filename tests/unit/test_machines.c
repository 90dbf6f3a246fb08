#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "agent/core/update.h"
#include "orchestrator/core/attempt_states.h"
#include "orchestrator/core/rollout_states.h"
#include "orchestrator/core/stage_states.h"
#include "orchestrator/core/webhook_states.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

/* Laws of every state machine, and that their drawings are those of the README files. */

static const struct {
	const struct ota_fsm_spec *spec;
	const char *readme;
	unsigned last; /* event that no state may lack: waking up from what is stored */
} machines[] = {
	{ &rollout_fsm, "orchestrator/README.md", ROLLOUT_EV_RESTART },
	{ &stage_fsm, "orchestrator/README.md", STAGE_EV_RESTART },
	{ &attempt_fsm, "orchestrator/README.md", ATTEMPT_EV_RESTART },
	{ &webhook_fsm, "orchestrator/README.md", WEBHOOK_EV_RESTART },
	{ &update_fsm, "agent/README.md", UPDATE_ON_RESTART },
};

enum { MACHINES = sizeof machines / sizeof machines[0] };

Test(machines, no_event_leads_two_ways)
{
	for (size_t m = 0; m < MACHINES; m++) {
		const struct ota_fsm_spec *spec = machines[m].spec;

		for (size_t i = 0; i < spec->n_rows; i++)
			for (size_t j = i + 1; j < spec->n_rows; j++)
				cr_expect(spec->rows[i].from != spec->rows[j].from ||
						  spec->rows[i].event !=
							  spec->rows[j].event,
					"%s: rows %zu and %zu", spec->name, i, j);
	}
}

Test(machines, every_state_is_reached_from_the_first)
{
	for (size_t m = 0; m < MACHINES; m++) {
		const struct ota_fsm_spec *spec = machines[m].spec;
		unsigned reached = 1;

		for (size_t round = 0; round < spec->n_states; round++)
			for (size_t i = 0; i < spec->n_rows; i++)
				if (reached & 1u << spec->rows[i].from)
					reached |= 1u << spec->rows[i].to;
		cr_expect_eq(reached, (1u << spec->n_states) - 1, "%s: %x", spec->name,
			reached);
	}
}

Test(machines, every_event_leads_somewhere)
{
	for (size_t m = 0; m < MACHINES; m++) {
		const struct ota_fsm_spec *spec = machines[m].spec;

		for (unsigned event = 0; event < spec->n_events; event++) {
			unsigned rows = 0;

			for (size_t i = 0; i < spec->n_rows; i++)
				rows += spec->rows[i].event == event;
			cr_expect_gt(rows, 0, "%s: %s", spec->name, spec->events[event]);
		}
	}
}

/* Every state with every event: a row, or a refusal that names both. */
Test(machines, what_has_no_row_is_refused_by_name)
{
	for (size_t m = 0; m < MACHINES; m++) {
		const struct ota_fsm_spec *spec = machines[m].spec;

		for (unsigned s = 0; s < spec->n_states; s++)
			for (unsigned e = 0; e < spec->n_events; e++) {
				struct ota_error err = { 0 };
				char want[128];
				unsigned to = 99;

				(void)snprintf(want, sizeof want, "%s: %s in %s",
					spec->name, spec->events[e], spec->states[s]);
				if (ota_fsm_next(spec, s, e, &to, &err) == OTA_OK)
					cr_expect_lt(to, spec->n_states, "%s", want);
				else
					cr_expect_str_eq(err.text, want);
			}
	}
}

Test(machines, every_state_stays_itself_over_a_restart)
{
	for (size_t m = 0; m < MACHINES; m++)
		for (unsigned s = 0; s < machines[m].spec->n_states; s++) {
			unsigned to = 99;

			cr_expect_eq(ota_fsm_next(machines[m].spec, s, machines[m].last,
					     &to, NULL),
				OTA_OK, "%s", machines[m].spec->states[s]);
			cr_expect_eq(to, s, "%s", machines[m].spec->states[s]);
		}
}

Test(machines, texts_lead_back_to_states_and_others_nowhere)
{
	for (size_t m = 0; m < MACHINES; m++) {
		const struct ota_fsm_spec *spec = machines[m].spec;
		unsigned found = 99;

		cr_expect(!ota_fsm_state_of(spec, "", &found));
		cr_expect(!ota_fsm_state_of(spec, "nowhere", &found));
		cr_expect_eq(found, 99, "%s", spec->name);
		for (unsigned s = 0; s < spec->n_states; s++) {
			cr_expect(ota_fsm_state_of(spec, spec->states[s], &found));
			cr_expect_eq(found, s, "%s", spec->states[s]);
		}
	}
}

Test(machines, the_readme_files_show_what_is_drawn_from_the_tables)
{
	for (size_t m = 0; m < MACHINES; m++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf drawing = { 0 }, readme = { 0 };
		char path[512];

		(void)snprintf(
			path, sizeof path, "%s/%s", SOURCE_ROOT, machines[m].readme);
		cr_assert_eq(ota_file_read(path, 1 << 20, &readme, NULL), OTA_OK);
		cr_assert_eq(ota_buf_printf(&drawing, "```mermaid\n"), OTA_OK);
		cr_assert_eq(ota_fsm_draw(machines[m].spec, &drawing), OTA_OK);
		cr_assert_eq(ota_buf_printf(&drawing, "```\n"), OTA_OK);
		cr_expect(strstr(ota_buf_text(&readme), ota_buf_text(&drawing)) != NULL,
			"%s is drawn otherwise in %s: see build/tests/unit/machines",
			machines[m].spec->name, machines[m].readme);
	}
}

Test(machines, an_attempt_once_reverted_is_over)
{
	for (unsigned e = 0; e < N_ATTEMPT_EVENTS; e++) {
		unsigned to = ATTEMPT_REVERTED;

		if (ota_fsm_next(&attempt_fsm, ATTEMPT_REVERTED, e, &to, NULL) == OTA_OK)
			cr_expect_eq(to, ATTEMPT_REVERTED, "%s", attempt_fsm.events[e]);
	}
}
