#include <criterion/criterion.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "agent/port/command.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "tests/unit/temporary.h"

TestSuite(command, .init = temporary_make, .fini = temporary_remove, .timeout = 20);

static struct ota_error err;

/* Run a shell text; what it said, or why not. */
static enum ota_code sh(const char *text, uint32_t deadline_ms, struct ota_buf *out)
{
	const char *const argv[] = { "sh", "-c", text, NULL };
	const struct command command = { .argv = argv,
		.input = ota_bytes_of("from above"),
		.deadline_ms = deadline_ms };

	err = (struct ota_error){ 0 };
	return command_run(&command, out, &err);
}

Test(command, the_end_is_told_with_its_status_and_first_complaint)
{
	static const struct {
		const char *text;
		enum ota_code code;
		const char *said, *error;
	} rows[] = { { "echo one; echo two", OTA_OK, "one\ntwo\n", "" },
		{ "cat", OTA_OK, "from above", "" },
		{ "echo $LC_ALL; echo $HOME", OTA_OK, "C\n\n", "" },
		{ "echo gone; exit 3", OTA_E_IO, "", "sh: exit status 3" },
		{ "echo first >&2; echo second >&2; exit 1", OTA_E_IO, "",
			"sh: exit status 1: first" },
		{ "printf 'a\\033b' >&2; exit 1", OTA_E_IO, "",
			"sh: exit status 1: a\\x1bb" },
		{ "kill -9 $$", OTA_E_IO, "", "sh: died of signal 9" },
		{ "head -c 4096 /dev/zero | tr '\\0' x | cat >/dev/null; echo all",
			OTA_OK, "all\n", "" },
		{ "head -c 5000 /dev/zero", OTA_E_LIMIT, "",
			"sh: said more than 4096 bytes" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

		cr_expect_eq(sh(rows[i].text, 10000, &out), rows[i].code, "row %zu", i);
		cr_expect_str_eq(ota_buf_text(&out), rows[i].said, "row %zu", i);
		cr_expect_str_eq(err.text, rows[i].error, "row %zu", i);
	}
}

Test(command, one_that_hangs_is_killed_with_its_children)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	uint64_t began_ms = ota_clock_mono_ms();

	cr_expect_eq(sh("echo half; sleep 1000 & sleep 1000", 100, &out), OTA_E_TIMEOUT);
	cr_expect_str_eq(err.text, "sh: no end within 100 ms, killed");
	cr_expect_eq(out.len, 0);
	cr_expect_lt(ota_clock_mono_ms() - began_ms, 10000);
}

/* Gone, or dead and only not yet waited for by whoever inherited it. */
static bool is_dead(pid_t pid)
{
	char path[64], state = '\0';
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL)
		return true;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'X';
	(void)fclose(file);
	return state == 'Z' || state == 'X';
}

/* The child holds standard output open; the answer is whole all the same. */
Test(command, what_it_leaves_behind_is_not_waited_for)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	uint64_t began_ms = ota_clock_mono_ms();
	pid_t child;

	cr_assert_eq(sh("sleep 1000 & echo $!", 15000, &out), OTA_OK, "%s", err.text);
	cr_expect_lt(ota_clock_mono_ms() - began_ms, 10000);
	child = (pid_t)strtol(ota_buf_text(&out), NULL, 10);
	cr_assert_gt(child, 1);
	while (!is_dead(child) && ota_clock_mono_ms() - began_ms < 10000)
		(void)poll(NULL, 0, 10);
	cr_expect(is_dead(child), "it was killed");
}

Test(command, it_inherits_no_descriptors_of_ours)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);
	char text[128];

	cr_assert_geq(fd, 200);
	(void)snprintf(text, sizeof text, "ls /proc/$$/fd | grep -c -x %d; true", fd);
	cr_assert_eq(sh(text, 10000, &out), OTA_OK, "%s", err.text);
	cr_expect_str_eq(ota_buf_text(&out), "0\n");
	(void)close(fd);
}

Test(command, one_that_is_not_there_is_named)
{
	static const char *const argv[] = { "sluice-no-such", "x", NULL };
	const struct command command = { .argv = argv, .deadline_ms = 1000 };
	struct ota_buf out = { 0 };
	char path[64];

	cr_expect_eq(command_run(&command, &out, &err), OTA_E_IO);
	cr_expect_eq(strncmp(err.text, "sluice-no-such: no such command in /", 36), 0,
		"%s", err.text);
	cr_expect_eq(command_find("/no/such", path, sizeof path, &err), OTA_E_NOTFOUND);
	cr_expect_str_eq(err.text, "/no/such: No such file or directory");
}
