#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/io/log.h"

enum { OUT_CAP = 4096 };

/* Log through a pipe as stderr; what came out ends up in out. journal: pretend that the
 * pipe is the journal, whose JOURNAL_STREAM differs by `off` from the truth. */
static int pipe_in(bool journal, unsigned off)
{
	int ends[2];
	char stream[64];
	struct stat st;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	cr_assert_eq(fstat(ends[1], &st), 0);
	(void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino + off);
	cr_assert_eq(journal ? setenv("JOURNAL_STREAM", stream, 1)
			     : unsetenv("JOURNAL_STREAM"),
		0);
	cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
	cr_assert_eq(close(ends[1]), 0);
	return ends[0];
}

static const char *drain(int fd, char out[static OUT_CAP])
{
	ssize_t n;

	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	n = read(fd, out, OUT_CAP - 1);
	out[n < 0 ? 0 : n] = '\0';
	return out;
}

Test(log, a_line_for_a_terminal_begins_with_utc_time)
{
	int fd = pipe_in(false, 0);
	char out[OUT_CAP];

	ota_log(OTA_LOG_INFO, "update.verified", "device=%s chunks=%u", "d-1", 3u);
	(void)drain(fd, out);
	cr_assert_gt(strlen(out), 25);
	cr_expect_eq(out[4], '-');
	cr_expect_eq(out[10], 'T');
	cr_expect_str_eq(out + 23, "Z event=update.verified device=d-1 chunks=3\n");
}

Test(log, a_line_for_the_journal_begins_with_its_priority)
{
	int fd = pipe_in(true, 0);
	char out[OUT_CAP];

	ota_log(OTA_LOG_WARNING, "link.down", "%s", "");
	cr_expect_str_eq(drain(fd, out), "<4>event=link.down \n");
}

Test(log, an_inherited_journal_variable_is_not_believed)
{
	int fd = pipe_in(true, 1);
	char out[OUT_CAP];

	ota_log(OTA_LOG_ERR, "a.b", "c=1");
	cr_expect_neq(*drain(fd, out), '<');
}

Test(log, what_is_above_the_level_is_not_written)
{
	int fd = pipe_in(true, 0);
	char out[OUT_CAP];

	ota_log(OTA_LOG_DEBUG, "a.b", "c=1");
	ota_log_set_level(OTA_LOG_DEBUG);
	ota_log(OTA_LOG_DEBUG, "a.b", "c=2");
	cr_expect_str_eq(drain(fd, out), "<7>event=a.b c=2\n");
}

Test(log, one_call_is_one_line_whatever_it_holds)
{
	int fd = pipe_in(true, 0);
	char out[OUT_CAP], huge[3000];

	memset(huge, 'x', sizeof huge);
	huge[sizeof huge - 1] = '\0';
	ota_log(OTA_LOG_INFO, "a.b", "c=%s", "1\n<0>event=forged\x1b");
	ota_log(OTA_LOG_INFO, "a.b", "c=%s", huge);
	(void)drain(fd, out);
	cr_expect_eq(
		strncmp(out, "<6>event=a.b c=1?<0>event=forged?\n<6>event=a.b c=xxx", 52),
		0, "%s", out);
	cr_expect_eq(out[strlen(out) - 1], '\n');
	cr_expect_leq(strlen(out), 2048 + 40);
}

static const struct quoting {
	const char *text, *want;
} quotings[] = {
	{ "plain-1.2_x/y", "plain-1.2_x/y" },
	{ "", "\"\"" },
	{ "two words", "\"two words\"" },
	{ "a=b", "\"a=b\"" },
	{ "say \"no\\\"", "\"say \\\"no\\\\\\\"\"" },
	{ "line\nbreak\x7f", "\"line\\x0abreak\\x7f\"" },
	{ "gr\xc3\xbc\xc3\x9f", "\"gr\\xc3\\xbc\\xc3\\x9f\"" },
};

Test(log, values_are_quoted_when_they_must_be)
{
	for (size_t i = 0; i < sizeof quotings / sizeof quotings[0]; i++) {
		char out[256];

		cr_expect_str_eq(ota_log_quote(quotings[i].text, out), quotings[i].want,
			"%s", out);
	}
}

Test(log, long_values_are_cut)
{
	char text[1000], out[256];

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	cr_expect_eq(strlen(ota_log_quote(text, out)), 202);
	memset(text, 1, sizeof text - 1);
	cr_expect_leq(strlen(ota_log_quote(text, out)), 255);
	cr_expect_eq(out[strlen(out) - 1], '"');
}
