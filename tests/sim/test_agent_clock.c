#include <criterion/criterion.h>

#include "tests/sim/world.h"
#include "tests/sim/world_people.h"

/* The local clock may be anything and jump at any moment: nothing waits for it but
 * windows and expiry, and what was begun goes on. */

enum { DAY_S = 86400, YEAR_S = 365 * DAY_S };

static struct world w;

static void set_up(void)
{
	world_init(&w);
	world_boot(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_clock, .init = set_up, .fini = tear_down);

static uint64_t to_1970(uint64_t utc_s)
{
	(void)utc_s;
	return 0;
}

static uint64_t to_2038(uint64_t utc_s)
{
	(void)utc_s;
	return UINT64_C(0x80000000);
}

static uint64_t day_back(uint64_t utc_s)
{
	return utc_s - DAY_S;
}

static uint64_t ten_years_on(uint64_t utc_s)
{
	return utc_s + UINT64_C(10) * YEAR_S;
}

static const struct {
	const char *name;
	uint64_t (*jump)(uint64_t utc_s);
	bool ahead; /* documents seem to have expired */
} jumps[] = { { "1970", to_1970, false }, { "2038", to_2038, true },
	{ "-1 day", day_back, false }, { "+10 years", ten_years_on, true } };

enum { N_JUMPS = sizeof jumps / sizeof jumps[0] };

Test(agent_clock, what_was_begun_ends_confirmed_whatever_the_clock_does)
{
	static const enum ota_update_state states[] = { OTA_UPDATE_FETCHING,
		OTA_UPDATE_VERIFYING, OTA_UPDATE_INSTALLING, OTA_UPDATE_REBOOTING,
		OTA_UPDATE_PROVING };

	for (size_t s = 0; s < sizeof states / sizeof states[0]; s++)
		for (size_t j = 0; j < N_JUMPS; j++) {
			tear_down();
			set_up();
			world_run_to(&w, states[s]);
			w.now.utc_s = jumps[j].jump(w.now.utc_s);
			world_run(&w);
			cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s in %s: %s",
				jumps[j].name, ota_update_state_text(states[s]),
				w.report.error_text);
			cr_expect(world_runs(&w, 2));
			cr_expect_eq(w.slot_writes, 1);
		}
}

/* Nothing is begun while documents seem to have expired; once the clock is right again,
 * what was refused is looked at anew, without anybody sending it again. */
Test(agent_clock, what_was_not_begun_waits_until_the_clock_is_right)
{
	static const enum ota_update_state states[] = { OTA_UPDATE_IDLE,
		OTA_UPDATE_OFFERED };

	for (size_t s = 0; s < 2; s++)
		for (size_t j = 0; j < N_JUMPS; j++) {
			uint64_t utc_s = w.now.utc_s;

			tear_down();
			set_up();
			world_run_to(&w, states[s]);
			w.now.utc_s = jumps[j].jump(w.now.utc_s);
			world_pass(&w, 3600 * 1000);
			cr_expect_eq(w.slot_writes, !jumps[j].ahead, "%s in %s",
				jumps[j].name, ota_update_state_text(states[s]));
			if (jumps[j].ahead)
				cr_expect_eq(w.report.error, OTA_E_EXPIRED,
					"%s in %s: %s", jumps[j].name,
					ota_update_state_text(states[s]),
					w.report.error_text);
			w.now.utc_s = utc_s;
			world_pass(&w, 120 * 1000);
			cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s in %s: %s",
				jumps[j].name, ota_update_state_text(states[s]),
				w.report.error_text);
			cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
		}
}

Test(agent_clock, trusted_time_rises_by_documents_and_by_nothing_else)
{
	uint64_t issued_utc_s = w.fresh.issued_utc_s;

	world_publish(&w);
	world_run(&w);
	cr_assert_eq(w.agent.journal.trusted_utc_s, issued_utc_s);
	for (size_t j = 0; j < N_JUMPS; j++) {
		w.now.utc_s = jumps[j].jump(w.now.utc_s);
		world_restart(&w);
		world_pass(&w, 3600 * 1000);
		cr_expect_eq(
			w.agent.journal.trusted_utc_s, issued_utc_s, "%s", jumps[j].name);
	}
	w.fresh.seq++;
	w.fresh.issued_utc_s += 60;
	w.now.utc_s = issued_utc_s;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.agent.journal.trusted_utc_s, issued_utc_s + 60);
}

/* A device without a clock: what verified documents say is enough to refuse old ones. */
Test(agent_clock, a_clock_at_1970_does_not_make_old_documents_young)
{
	uint64_t issued_utc_s = w.fresh.issued_utc_s;

	world_publish(&w);
	world_run(&w);
	w.now.utc_s = 0;
	world_boot(&w);
	world_run(&w);
	world_next(&w);
	w.fresh.issued_utc_s = issued_utc_s - 2 * DAY_S;
	w.fresh.expires_utc_s = issued_utc_s - DAY_S;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, OTA_E_EXPIRED, "%s", w.report.error_text);
}

Test(agent_clock, a_clock_that_is_ahead_does_not_fail_an_image)
{
	unsigned steps = 0;

	world_publish(&w);
	while (!w.rebooting)
		cr_assert(world_step(&w) && ++steps < 1000);
	w.now.utc_s += UINT64_C(10) * YEAR_S;
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
	cr_expect(world_runs(&w, 2));
}

/* ... but one from long ago, by the time that documents say, proves nothing. */
Test(agent_clock, an_old_fresh_does_not_prove_an_image)
{
	unsigned steps = 0;

	world_publish(&w);
	while (!w.rebooting)
		cr_assert(world_step(&w) && ++steps < 1000);
	w.fresh.seq++;
	w.fresh.expires_utc_s = w.fresh.issued_utc_s - 1;
	w.fresh.issued_utc_s -= 100;
	world_sign(&w);
	world_run(&w);
	world_pass(&w, 130 * 1000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect(world_runs(&w, 1));
}
