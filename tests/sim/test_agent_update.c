#include <criterion/criterion.h>

#include "tests/sim/world.h"

/* One agent in its world, from the first boot to the end of an update. */

static struct world w;

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_update, .init = set_up, .fini = tear_down);

Test(agent_update, a_device_at_first_boot_says_that_no_rollout_concerns_it)
{
	world_boot(&w);
	world_pass(&w, 2000);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	cr_expect_eq(w.report.wait, OTA_E_NOROLLOUT);
	cr_expect_eq(w.report.boot, 1);
	cr_expect_str_eq(w.report.version, "1.0");
	cr_expect(world_runs(&w, 1));
}

Test(agent_update, a_whole_update_ends_confirmed_and_says_so)
{
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
	cr_expect(world_runs(&w, 2));
	cr_expect(w.report.confirmed);
	cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
	cr_expect_eq(w.report.wait, 0);
	cr_expect_str_eq(w.report.version, "2.0");
	cr_expect_str_eq(w.report.rollout, "spring");
	cr_expect_eq(w.report.boot, 2);
	cr_expect_eq(w.report.bytes, w.manifest.patch_len);
	cr_expect_eq(w.slot_writes, 1);
	cr_expect_eq(w.agent.journal.floor, 1, "not above what the other slot holds");
}
