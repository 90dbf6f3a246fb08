#include <criterion/criterion.h>

#include "orchestrator/cli/complete.h"
#include "proto/base/own.h"

#define WORDS_MAX 6

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
	{ "codec", 'c', "full|vcdiff", "how" },
	{ "into", 'i', "DIR", "where" },
	{ "watch", 'w', NULL, "a flag" },
	{ 0 },
};

static const struct cli_command verbs[] = {
	{ "status", "[ROLLOUT]", 0, 1, "one word", own, run_nothing },
	{ "device list", "", 0, 0, "two words", NULL, run_nothing },
	{ "device show", "DEVICE", 1, 1, "an operand", NULL, run_nothing },
	{ "diff", "OLD NEW", 2, 2, "two operands", own, run_nothing },
	{ 0 },
};

static const struct offered {
	const char *words[WORDS_MAX];
	const char *says;
} offered[] = {
	{ { "" }, "status\tone word\ndevice\ndiff\ttwo operands\n" },
	{ { "d" }, "device\ndiff\ttwo operands\n" },
	{ { "x" }, "" },
	{ { "x", "" }, "" },
	{ { "device", "" }, "list\ttwo words\nshow\tan operand\n" },
	{ { "device", "s" }, "show\tan operand\n" },
	{ { "device", "x", "" }, "" },
	{ { "device", "show", "" }, ":devices\n" },
	{ { "device", "show", "gw-1", "" }, "" },
	{ { "device", "list", "" }, "" },
	{ { "status", "" }, ":rollouts\n" },
	{ { "diff", "" }, ":files\n" },
	{ { "diff", "a", "" }, ":files\n" },
	{ { "diff", "a", "b", "" }, "" },
	{ { "diff", "--w" }, "--watch\ta flag\n" },
	{ { "diff", "--codec=" }, "--codec=full\n--codec=vcdiff\n" },
	{ { "diff", "--codec=v" }, "--codec=vcdiff\n" },
	{ { "diff", "--codec", "" }, "full\nvcdiff\n" },
	{ { "diff", "-c", "f" }, "full\n" },
	{ { "diff", "--into=x" }, ":dirs--into=\n" },
	{ { "diff", "--label", "" }, "" },
	{ { "diff", "--watch", "" }, ":files\n" },
	{ { "diff", "--watch=" }, "" },
	{ { "diff", "--frobnicate", "" }, ":files\n" },
	{ { "--dir", "d", "device", "l" }, "list\ttwo words\n" },
	{ { "--dir", "" }, ":dirs\n" },
	{ { "status", "--output=" }, "--output=text\n--output=json\n" },
	{ { "device", "list", "--o" }, "--output=\thow to print the result\n" },
};

Test(cli_complete, offers_what_the_table_says)
{
	for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
		size_t count = 0;

		while (count < WORDS_MAX && offered[i].words[count] != NULL)
			count++;
		cr_assert_eq(cli_complete(verbs, offered[i].words, count, &out), OTA_OK);
		cr_assert_str_eq(ota_buf_text(&out), offered[i].says, "row %zu", i);
	}
}
