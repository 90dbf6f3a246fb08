#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "tests/integration/agent_install.h"
#include "tests/integration/frail_agent.h"

/* The install process with a decoder that a patch breaks. */

static struct agent_install in;

static void set_up(void)
{
	agent_install_init(&in);
	in.program = FRAIL_AGENT;
}

static void tear_down(void)
{
	agent_install_fini(&in);
}

TestSuite(decode_crash, .init = set_up, .fini = tear_down);

static const struct row {
	size_t less; /* bytes of the image */
	const char *text;
} rows[] = {
#ifndef SANITIZED /* a sanitizer would answer SIGSEGV, and knows no limit of memory */
	{ FRAIL_STEP - FRAIL_SEGV, "decoder died of SIGSEGV" },
	{ FRAIL_STEP - FRAIL_MEMORY, "decoder died of SIGSEGV" },
#endif
	{ FRAIL_STEP - FRAIL_SYS,
		"decoder died of SIGSYS (it asked for what it may not do)" },
};

ParameterizedTestParameters(decode_crash, a_broken_decoder_fails_one_update_alone)
{
	static int numbers[] = { 0, 1, 2 };

	return cr_make_param_array(int, numbers, sizeof rows / sizeof rows[0]);
}

ParameterizedTest(int *number, decode_crash, a_broken_decoder_fails_one_update_alone)
{
	const struct row *row = &rows[*number];
	pid_t pid;

	agent_install_renew(&in, row->less);
	cr_assert(agent_install_run(&in, OTA_UPDATE_FAILED), "no failure was reported");
	cr_expect_eq(in.report.error, OTA_E_DECODER, "%s", in.report.error_text);
	cr_expect_str_eq(in.report.error_text, row->text);
	cr_expect(agent_install_runs(&in, &in.from));
	pid = in.pid;
	agent_install_renew(&in, 0);
	cr_assert(
		agent_install_run(&in, OTA_UPDATE_REBOOTING), "%s", in.report.error_text);
	cr_expect_eq(in.pid, pid, "the agent lives on");
	cr_assert(
		agent_install_run(&in, OTA_UPDATE_CONFIRMED), "%s", in.report.error_text);
	cr_expect(agent_install_runs(&in, &in.to));
	cr_expect_eq(in.restarts, 0);
}
