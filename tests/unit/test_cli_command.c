#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/command.h"

#define ARGC_MAX 10

static enum ota_code run_nothing(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	(void)call;
	(void)exit_code;
	(void)err;
	return OTA_OK;
}

static const struct cli_option own[] = {
	{ "label", 'l', "KEY=VALUE", "a label" },
	{ "watch", 'w', NULL, "a flag" },
	{ 0 },
};

static const struct cli_command verbs[] = {
	{ "status", "[ROLLOUT]", 0, 1, "one word", own, run_nothing },
	{ "device list", "", 0, 0, "two words", NULL, run_nothing },
	{ "explain", "DEVICE", 1, 1, "an operand", NULL, run_nothing },
	{ 0 },
};

/* getopt_long wants words that it may move about; the call borrows them. */
static OTA_CHECKED enum ota_code parse(
	const char *const *words, struct cli_call *call, struct ota_error *err)
{
	static char text[ARGC_MAX][64];
	char *argv[ARGC_MAX + 1] = { NULL };
	int argc = 0;

	for (; argc < ARGC_MAX && words[argc] != NULL; argc++) {
		(void)snprintf(text[argc], sizeof text[argc], "%s", words[argc]);
		argv[argc] = text[argc];
	}
	return cli_parse(verbs, argc, argv, call, err);
}

static const struct refusal {
	const char *argv[ARGC_MAX];
	const char *says;
} refusals[] = {
	{ { "sluice", "statsu" }, "unknown command 'statsu'; did you mean 'status'?" },
	{ { "sluice", "device", "lsit" },
		"unknown command 'device'; did you mean 'device list'?" },
	{ { "sluice", "frobnicate" }, "unknown command 'frobnicate'; see sluice --help" },
	{ { "sluice", "status", "--wacth" },
		"unknown option '--wacth'; did you mean '--watch'?" },
	{ { "sluice", "status", "--label" }, "option '--label' needs a value" },
	{ { "sluice", "status", "-z" }, "unknown option '-z'; see --help" },
	{ { "sluice", "explain" }, "sluice explain needs DEVICE" },
	{ { "sluice", "explain", "a", "b" }, "sluice explain: 'b' is one word too many" },
	{ { "sluice", "status", "--output=xml" }, "--output is text or json, not 'xml'" },
};

Test(cli_command, says_what_is_wrong_and_what_was_meant)
{
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		struct cli_call call = { 0 };
		struct ota_error err = { 0 };

		cr_expect_eq(parse(refusals[i].argv, &call, &err), OTA_E_USAGE, "%s",
			refusals[i].says);
		cr_expect_str_eq(err.text, refusals[i].says, "said '%s'", err.text);
	}
}

Test(cli_command, takes_options_before_and_behind_operands)
{
	const char *const argv[] = { "sluice", "status", "-l", "a=b", "r1", "--label=c=d",
		"-w", "--output=json", NULL };
	struct cli_call call = { 0 };

	cr_assert_eq(parse(argv, &call, NULL), OTA_OK);
	cr_expect(call.json);
	cr_expect(cli_has(&call, "watch"));
	cr_expect_str_eq(cli_value(&call, "label", ""), "c=d");
	cr_expect_eq(call.value_count, 4);
	cr_assert_eq(call.operand_count, 1);
	cr_expect_str_eq(call.operands[0], "r1");
}

Test(cli_command, finds_verbs_of_two_words)
{
	const char *const argv[] = { "sluice", "device", "list", NULL };
	struct cli_call call = { 0 };

	cr_assert_eq(parse(argv, &call, NULL), OTA_OK);
	cr_expect_str_eq(call.command->name, "device list");
}

Test(cli_command, takes_common_options_in_front_of_the_verb)
{
	static const char *const forms[][ARGC_MAX] = {
		{ "sluice", "--dir", "d", "--output=json", "device", "list" },
		{ "sluice", "-d", "d", "-Ojson", "device", "list" },
		{ "sluice", "--output", "json", "-dd", "device", "list" },
	};

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct cli_call call = { 0 };
		struct ota_error err = { 0 };

		cr_assert_eq(
			parse(forms[i], &call, &err), OTA_OK, "%zu: %s", i, err.text);
		cr_expect_str_eq(call.command->name, "device list");
		cr_expect_str_eq(cli_value(&call, "dir", ""), "d");
		cr_expect(call.json);
	}
}

Test(cli_command, says_that_an_option_alone_is_no_command)
{
	static const char *const argv[] = { "sluice", "--dir", NULL };
	struct cli_call call = { 0 };

	cr_expect_eq(parse(argv, &call, NULL), OTA_E_USAGE);
}

Test(cli_command, reads_whole_numbers_only)
{
	static const char *const bad[] = { "--label=-1", "--label=1x",
		"--label=", "--label=99999999999999999999999" };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *const argv[] = { "sluice", "status", bad[i], NULL };
		struct cli_call call = { 0 };
		unsigned long long n = 7;

		cr_assert_eq(parse(argv, &call, NULL), OTA_OK);
		cr_expect_eq(cli_number(&call, "label", 0, &n, NULL), OTA_E_USAGE, "%s",
			bad[i]);
		cr_expect_eq(n, 7, "%s: out touched", bad[i]);
	}
}
