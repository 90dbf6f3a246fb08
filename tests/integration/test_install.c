#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/integration/agent_install.h"

/* The install process with real files, a real patch and real hooks. */

static struct agent_install in;

static void set_up(void)
{
	agent_install_init(&in);
}

static void tear_down(void)
{
	agent_install_fini(&in);
}

TestSuite(install, .init = set_up, .fini = tear_down);

Test(install, a_delta_becomes_the_running_image_byte_for_byte)
{
	agent_install_hook(&in, "before-install", "exit 0");
	agent_install_hook(
		&in, "health", "cmp -s \"$SLUICE_IMAGE\" /dev/null; [ $? = 1 ]");
	cr_assert(
		agent_install_run(&in, OTA_UPDATE_CONFIRMED), "%s", in.report.error_text);
	cr_expect(agent_install_runs(&in, &in.to));
	cr_expect_eq(in.boots, 1);
	cr_expect_eq(in.fetches, 1);
	cr_expect_str_eq(in.report.version, "2.0");
	cr_expect_eq(in.report.boot, 2);
	cr_expect_eq(in.report.error, 0, "%s", in.report.error_text);
}

Test(install, a_process_killed_once_in_every_state_gets_there)
{
	static const enum ota_update_state states[] = { OTA_UPDATE_IDLE,
		OTA_UPDATE_OFFERED, OTA_UPDATE_FETCHING, OTA_UPDATE_VERIFYING,
		OTA_UPDATE_INSTALLING, OTA_UPDATE_PROVING };

	agent_install_hook(&in, "before-install", "sleep 0.05");
	agent_install_hook(&in, "before-reboot", "sleep 0.05");
	agent_install_hook(&in, "health", "sleep 0.05");
	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
		in.kill_in[states[i]] = true;
	cr_assert(agent_install_run(&in, OTA_UPDATE_CONFIRMED), "%s after %u kills",
		ota_update_state_text(in.report.state), in.kills);
	cr_expect(agent_install_runs(&in, &in.to));
	cr_expect_geq(in.kills, 5);
	cr_expect_eq(in.boots, 1, "a restart is no boot");
}

Test(install, a_changed_chunk_in_the_spool_is_fetched_again)
{
	in.damage = true;
	cr_assert(
		agent_install_run(&in, OTA_UPDATE_CONFIRMED), "%s", in.report.error_text);
	cr_expect(agent_install_runs(&in, &in.to));
}

Test(install, an_image_that_is_not_healthy_gives_way_to_the_old_one)
{
	agent_install_hook(&in, "health", "[ \"$SLUICE_VERSION\" != 2.0 ]");
	cr_assert(agent_install_run(&in, OTA_UPDATE_FAILED));
	cr_expect(agent_install_runs(&in, &in.from));
	cr_expect_eq(in.report.error, OTA_E_HEALTH, "%s", in.report.error_text);
	cr_expect_str_eq(in.report.error_text, "hook health exited with 1");
	cr_expect_eq(in.boots, 2);
	cr_expect_str_eq(in.report.version, "1.0");
}

Test(install, a_hook_that_says_no_keeps_everything_as_it_is)
{
	agent_install_hook(&in, "before-install", "exit 3");
	cr_assert(agent_install_run(&in, OTA_UPDATE_OFFERED));
	cr_assert(agent_install_run(&in, OTA_UPDATE_IDLE));
	cr_expect_eq(in.report.error, OTA_E_HOOK);
	cr_expect_eq(in.fetches, 0);
	cr_expect(agent_install_runs(&in, &in.from));
}

/* A policy in the configuration, with scripts as an owner would write them. */
static void set_policy(const char *lines)
{
	char path[512];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/agent.yaml", in.dir);
	file = fopen(path, "ae");
	cr_assert_not_null(file);
	cr_assert_geq(fprintf(file, "policy:\n%s", lines), 0);
	cr_assert_eq(fclose(file), 0);
}

Test(install, what_the_owner_holds_back_waits_until_it_is_let_go)
{
	set_policy("  power_command: hooks/power\n  reboot_lock_command: hooks/lock\n");
	agent_install_hook(&in, "power", "exit 0");
	agent_install_hook(&in, "lock", "echo filling bottles; exit 1");
	cr_assert(agent_install_run(&in, OTA_UPDATE_ARMED), "%s", in.report.error_text);
	cr_expect_eq(in.boots, 0);
	cr_expect(agent_install_runs(&in, &in.from));
	agent_install_hook(&in, "lock", "exit 0");
	in.kills++;
	cr_assert_eq(kill(in.pid, SIGKILL), 0); /* started again, it asks at once */
	cr_assert(
		agent_install_run(&in, OTA_UPDATE_CONFIRMED), "%s", in.report.error_text);
	cr_expect_eq(in.boots, 1);
	cr_expect(agent_install_runs(&in, &in.to));
}

Test(install, it_ends_as_told)
{
	cr_assert(agent_install_run(&in, OTA_UPDATE_CONFIRMED));
	cr_assert_eq(kill(in.pid, SIGTERM), 0);
	cr_assert_eq(waitpid(in.pid, &in.exit_status, 0), in.pid);
	in.pid = 0;
	cr_expect(WIFEXITED(in.exit_status));
	cr_expect_eq(WEXITSTATUS(in.exit_status), 0);
}
