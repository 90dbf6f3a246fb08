#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/io/files.h"
#include "tests/integration/agent_install.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* The installer without memory, and without descriptors. */

TestSuite(starved, .timeout = 110);

#ifndef LINES_ARE_COUNTED /* what counts them does not survive an allocation that fails \
			   */

/* One update, during which the nth allocation fails; false if there were not so many. It
 * may end the process or the update, but leaves a device that takes the next one. */
static bool update_without(long nth)
{
	struct agent_install in;
	char mark[128];
	bool fired;

	agent_install_init(&in);
	in.program = STARVED_AGENT;
	in.may_fail = 1;
	(void)snprintf(mark, sizeof mark, "%s/starved", in.dir);
	(void)snprintf(in.env, sizeof in.env, "STARVE=%ld,%s", nth, mark);
	if (!agent_install_run_to_end(&in)) {
		agent_install_renew(&in, 1);
		cr_assert(agent_install_run(&in, OTA_UPDATE_CONFIRMED),
			"allocation %ld: %s", nth, in.report.error_text);
	}
	cr_expect(agent_install_runs(&in, &in.to), "allocation %ld", nth);
	fired = access(mark, F_OK) == 0;
	agent_install_fini(&in);
	return fired;
}

/* Split in four, side by side. */
ParameterizedTestParameters(starved, an_allocation_that_fails_fails_one_update_at_most)
{
	static int begins[] = { 0, 1, 2, 3 };

	return cr_make_param_array(int, begins, 4);
}

ParameterizedTest(int *begin, starved, an_allocation_that_fails_fails_one_update_at_most)
{
	enum { EACH = 72, SLOW = 4, FAST = 100 };
	long nth = *begin;

	while (update_without(nth))
		nth += nth < EACH ? SLOW : FAST;
	cr_log_info("%ld allocations", nth);
	cr_expect_gt(nth, EACH);
}

#endif

/* ---- descriptors ---- */

static void limit_descriptors(rlim_t most)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = most;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(starved, without_descriptors_an_install_fails_and_the_next_one_works,
	.init = temporary_make, .fini = temporary_remove)
{
	struct install_kit kit;
	enum ota_code rc = OTA_E_IO;
	unsigned refused = 0;

	install_kit_init(&kit, temporary_dir, 300000, 1);
	for (rlim_t most = 3; rc != OTA_OK && most < 64; most++) {
		limit_descriptors(most);
		rc = install_kit_apply(&kit);
		limit_descriptors(64);
		refused += rc != OTA_OK;
	}
	cr_expect_geq(refused, 5, "the limit bit only %u times", refused);
	cr_expect_eq(rc, OTA_OK, "%s", kit.err.text);
	cr_expect(install_kit_is_there(&kit, 1));
	install_kit_fini(&kit);
}

/* The whole process, from its start, with so many descriptors; its wait status. */
static int start_with(const struct agent_install *in, rlim_t most)
{
	char config[128];
	int pair[2], status = 0;
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	(void)snprintf(config, sizeof config, "%s/agent.yaml", in->dir);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)dup2(pair[1], 3);
		limit_descriptors(most);
		(void)execl(in->program, in->program, "install", "--fd", "3", "--boot",
			"b", "-c", config, (char *)NULL);
		_exit(127);
	}
	(void)close(pair[0]); /* net is gone: it ends by itself, with 1 */
	(void)close(pair[1]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

Test(starved, without_descriptors_the_process_ends_in_order)
{
	struct agent_install in;

	agent_install_init(&in);
	for (rlim_t most = 4; most < 40; most++) {
		int status = start_with(&in, most);

		cr_expect(WIFEXITED(status), "%lu descriptors: status %x",
			(unsigned long)most, (unsigned)status);
	}
	cr_assert(agent_install_run(&in, OTA_UPDATE_CONFIRMED));
	agent_install_fini(&in);
}
