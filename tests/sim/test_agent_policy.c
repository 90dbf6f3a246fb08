#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "tests/sim/world.h"

/* What the owner of the device allows holds whatever is ordered, connected or not, and
 * has its code in the report. */

enum { LOCK = 6, POWER = 5, METERED = 4, HOUR_MS = 3600 * 1000, MIB = 1 << 20 };

static struct world w;

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_policy, .init = set_up, .fini = tear_down);

static void begin(void)
{
	world_boot(&w);
	world_publish(&w);
	world_pass(&w, 5000);
}

static void expect_wait(enum ota_update_state state, enum ota_code code)
{
	cr_expect_eq(w.report.state, state, "%s", ota_update_state_text(w.report.state));
	cr_expect_eq(w.report.wait, code, "%s: %s",
		ota_code_name((enum ota_code)w.report.wait), w.report.error_text);
	cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
}

static void expect_confirmed(void)
{
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s: %s",
		ota_update_state_text(w.report.state), w.report.error_text);
	cr_expect(world_runs(&w, 2));
}

/* A window that opens in so many hours, for one. */
static struct policy_windows open_in(unsigned hours)
{
	unsigned hour = (unsigned)(w.now.utc_s / 3600 + hours) % 24;
	struct policy_windows windows = { .count = 1 };

	windows.at[0] = (struct policy_window){ 0x7f, (uint16_t)(hour * 60), 60 };
	return windows;
}

Test(agent_policy, outside_its_download_windows_nothing_is_begun)
{
	w.policy.download = open_in(3);
	begin();
	expect_wait(OTA_UPDATE_IDLE, OTA_E_WINDOW);
	cr_expect_not_null(strstr(w.report.error_text, "own policy: download from"), "%s",
		w.report.error_text);
	world_pass(&w, (uint64_t)3 * HOUR_MS);
	expect_confirmed();
}

Test(agent_policy, outside_its_reboot_windows_it_installs_and_waits)
{
	w.policy.reboot = open_in(3);
	begin();
	expect_wait(OTA_UPDATE_ARMED, OTA_E_WINDOW);
	cr_expect_eq(w.slot_writes, 1);
	cr_expect_eq(w.primary, 0, "also a power cut boots the old one");
	world_restart(&w);
	world_pass(&w, 5000);
	expect_wait(OTA_UPDATE_ARMED, OTA_E_WINDOW);
	world_pass(&w, (uint64_t)3 * HOUR_MS);
	expect_confirmed();
}

Test(agent_policy, it_holds_offline_too)
{
	w.policy.reboot = open_in(3);
	begin();
	w.net_is_down = true;
	world_restart(&w);
	world_pass(&w, (uint64_t)2 * HOUR_MS);
	cr_expect_eq(w.boots, 1);
	w.net_is_down = false;
	world_restart(&w);
	world_pass(&w, (uint64_t)2 * HOUR_MS);
	expect_confirmed();
}

Test(agent_policy, the_window_of_the_order_has_to_be_open_as_well)
{
	w.policy.download = open_in(0);
	w.order.window = (struct ota_window){ 60, 120 };
	begin();
	expect_wait(OTA_UPDATE_IDLE, OTA_E_WINDOW);
	w.now.local_min = 60;
	world_pass(&w, 61 * 1000);
	expect_confirmed();
}

Test(agent_policy, a_download_window_that_closes_stops_what_comes_in)
{
	w.policy.download = open_in(0);
	world_run_to_fetching(&w);
	w.stops = 0;
	w.net_is_mute = true;
	world_pass(&w, HOUR_MS + 61 * 1000);
	expect_wait(OTA_UPDATE_FETCHING, OTA_E_WINDOW);
	cr_expect_eq(w.stops, 1);
	w.net_is_mute = false;
	world_pass(&w, (uint64_t)21 * HOUR_MS);
	cr_expect_eq(w.fetches, 1);
	world_pass(&w, (uint64_t)2 * HOUR_MS);
	cr_expect_eq(w.fetches, 2, "the next day");
	expect_confirmed();
}

/* ---- scripts */

static const struct {
	unsigned hook;
	enum ota_update_state state;
	enum ota_code code;
} holds[] = { { METERED, OTA_UPDATE_FETCHING, OTA_E_METERED },
	{ POWER, OTA_UPDATE_INSTALLING, OTA_E_POWER },
	{ LOCK, OTA_UPDATE_ARMED, OTA_E_LOCKED } };

enum { N_HOLDS = sizeof holds / sizeof holds[0] };

static void ask_all(void)
{
	w.policy.asks_metered = w.policy.asks_power = w.policy.asks_lock = true;
}

Test(agent_policy, each_script_holds_its_state_until_it_says_go)
{
	static const enum ota_code answers[] = { OTA_E_HOOK, OTA_E_BUSY, OTA_E_TIMEOUT };

	for (unsigned i = 0; i < N_HOLDS * 3; i++) {
		struct world_hook *hook = &w.hooks[holds[i / 3].hook];

		tear_down();
		set_up();
		ask_all();
		hook->answer = answers[i % 3];
		begin();
		expect_wait(holds[i / 3].state, holds[i / 3].code);
		cr_expect_str_eq(w.report.error_text, ota_code_text(answers[i % 3]));
		world_pass(&w, HOUR_MS);
		cr_expect_eq(hook->runs, 61, "once a minute, not %u times", hook->runs);
		cr_expect_eq(w.boots, 1);
		hook->answer = OTA_OK;
		world_pass(&w, 61 * 1000);
		expect_confirmed();
	}
}

Test(agent_policy, scripts_that_are_not_asked_for_are_not_run)
{
	for (unsigned i = 0; i < N_HOLDS; i++)
		w.hooks[holds[i].hook].answer = OTA_E_HOOK;
	begin();
	expect_confirmed();
	for (unsigned i = 0; i < N_HOLDS; i++)
		cr_expect_eq(w.hooks[holds[i].hook].runs, 0);
}

Test(agent_policy, power_is_asked_for_again_before_the_reboot)
{
	ask_all();
	begin();
	expect_confirmed();
	cr_expect_eq(w.hooks[POWER].runs, 2);
	cr_expect_eq(w.hooks[LOCK].runs, 1);
	cr_expect_eq(w.hooks[METERED].runs, 1);
}

Test(agent_policy, a_link_that_becomes_metered_stops_what_comes_in)
{
	ask_all();
	world_run_to_fetching(&w);
	w.stops = 0;
	w.net_is_mute = true;
	world_pass(&w, 5 * 60 * 1000 + 1000);
	cr_expect_eq(w.hooks[METERED].runs, 6, "%u", w.hooks[METERED].runs);
	cr_expect_eq(w.fetches, 1);
	cr_expect_eq(w.stops, 0);
	w.hooks[METERED].answer = OTA_E_HOOK;
	world_pass(&w, 61 * 1000 + 5000);
	expect_wait(OTA_UPDATE_FETCHING, OTA_E_METERED);
	cr_expect_eq(w.stops, 1);
	w.hooks[METERED].answer = OTA_OK;
	w.net_is_mute = false;
	world_pass(&w, 61 * 1000);
	expect_confirmed();
}

Test(agent_policy, what_mends_security_may_cost_money_if_so_configured)
{
	for (unsigned i = 0; i < 4; i++) {
		tear_down();
		set_up();
		w.policy.asks_metered = true;
		w.policy.metered_security = i & 1;
		w.release.class = i & 2 ? OTA_CLASS_SECURITY : OTA_CLASS_FEATURE;
		w.hooks[METERED].answer = OTA_E_HOOK;
		begin();
		if (i == 3)
			expect_confirmed();
		else
			expect_wait(OTA_UPDATE_FETCHING, OTA_E_METERED);
	}
}

/* ... and what is not known to mend it does not. */
Test(agent_policy, without_its_documents_a_release_is_of_no_class)
{
	w.policy.asks_metered = w.policy.metered_security = true;
	w.release.class = OTA_CLASS_SECURITY;
	w.hooks[METERED].answer = OTA_E_HOOK;
	world_run_to_fetching(&w);
	for (unsigned i = 0; i < OTA_N_TOPIC_KINDS; i++)
		w.kept[i].len = 0;
	w.net_is_down = true;
	world_boot(&w);
	world_run(&w);
	cr_expect_eq(w.hooks[METERED].runs, 1);
	cr_expect_eq(w.agent.verdict.code, OTA_E_METERED);
}

Test(agent_policy, the_lock_holds_a_revert_too_but_not_the_way_back_from_a_bad_image)
{
	begin();
	w.policy.asks_lock = true;
	w.hooks[LOCK].answer = OTA_E_HOOK;
	world_restart(&w);
	world_run(&w);
	world_next(&w);
	w.order.state = OTA_ORDER_REVERT;
	world_publish(&w);
	world_pass(&w, 5000);
	expect_wait(OTA_UPDATE_ARMED, OTA_E_LOCKED);
	w.hooks[LOCK].answer = OTA_OK;
	w.hooks[2].answer = OTA_E_HOOK;
	world_pass(&w, 61 * 1000);
	cr_expect_eq(w.report.error, OTA_E_ROLLBACK, "%s", w.report.error_text);
	cr_expect_eq(w.hooks[LOCK].runs, 2, "%u", w.hooks[LOCK].runs);
}

Test(agent_policy, a_pause_while_a_script_runs_is_a_pause)
{
	unsigned steps = 0;

	ask_all();
	world_boot(&w);
	world_publish(&w);
	while (!w.agent.asking)
		cr_assert(world_step(&w) && ++steps < 1000);
	world_next(&w);
	w.order.state = OTA_ORDER_PAUSE;
	world_publish(&w);
	world_pass(&w, 5000);
	expect_wait(OTA_UPDATE_FETCHING, OTA_E_PAUSED);
	world_next(&w);
	w.order.state = OTA_ORDER_GO;
	world_publish(&w);
	world_pass(&w, 5000);
	expect_confirmed();
}

/* ---- the byte budget of a rollout */

static void chunks_came(uint64_t bytes)
{
	world_say(&w, &(struct ipc_message){ .type = IPC_CHUNKS,
			      .digest = w.agent.patch,
			      .a = 1,
			      .b = 100,
			      .c = bytes });
	world_run(&w);
}

Test(agent_policy, a_patch_over_the_budget_is_refused_with_both_numbers)
{
	char numbers[100];

	w.policy.budget_bytes = w.manifest.patch_len - 1;
	(void)snprintf(numbers, sizeof numbers,
		"needs %u bytes more, 0 of the rollout's %u are spent",
		(unsigned)w.manifest.patch_len, (unsigned)w.manifest.patch_len - 1);
	begin();
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.error, OTA_E_BUDGET);
	cr_expect_not_null(
		strstr(w.report.error_text, numbers), "%s", w.report.error_text);
	cr_expect_eq(w.fetches, 0);
	w.policy.budget_bytes++;
	world_restart(&w);
	world_run(&w);
	expect_confirmed();
}

Test(agent_policy, what_was_received_counts_over_patches_and_restarts)
{
	w.policy.budget_bytes = 40 * MIB;
	world_run_to_fetching(&w);
	chunks_came(10 * MIB);
	world_restart(&w);
	w.net_is_mute = true;
	world_run(&w);
	cr_expect_eq(w.agent.journal.spent, 10 * MIB);
	world_next(&w);
	w.manifest.decoder_ram--; /* another patch */
	w.net_is_mute = false;
	world_publish(&w);
	world_boot(&w);
	while (w.fetches < 2)
		cr_assert(world_step(&w));
	w.queued = 0;
	chunks_came(5 * MIB);
	chunks_came(7 * MIB);
	cr_expect_eq(w.agent.journal.spent, 17 * MIB);
}

Test(agent_policy, the_same_bytes_are_counted_once_and_a_lost_spool_twice)
{
	w.policy.budget_bytes = 40 * MIB;
	world_run_to_fetching(&w);
	chunks_came(10 * MIB);
	world_restart(&w);
	while (w.fetches < 2)
		cr_assert(world_step(&w));
	w.queued = 0;
	chunks_came(10 * MIB);
	cr_expect_eq(w.agent.journal.spent, 10 * MIB);
	chunks_came(1 * MIB);
	cr_expect_eq(w.agent.journal.spent, 11 * MIB);
}

Test(agent_policy, more_bytes_than_the_budget_end_the_update)
{
	w.policy.budget_bytes = w.manifest.patch_len;
	world_run_to_fetching(&w);
	w.stops = 0;
	chunks_came(w.manifest.patch_len + 1);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_BUDGET);
	cr_expect_eq(w.stops, 1);
	world_next(&w);
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE, "refused under the next order");
	cr_expect_eq(w.report.error, OTA_E_BUDGET);
	cr_expect_eq(w.fetches, 1);
}

Test(agent_policy, each_rollout_has_a_budget_of_its_own)
{
	w.policy.budget_bytes = w.manifest.patch_len + 10;
	begin();
	expect_confirmed();
	cr_expect_eq(w.agent.journal.spent, w.manifest.patch_len);
	world_next(&w);
	w.release.image = w.order.image = w.manifest.to = world_image(3);
	w.manifest.from = w.order.patches[0].from = world_image(2);
	w.release.counter = w.order.counter = 3;
	memcpy(w.order.rollout, "summer", 7);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
	cr_expect_eq(w.agent.journal.spent, w.manifest.patch_len);
}
