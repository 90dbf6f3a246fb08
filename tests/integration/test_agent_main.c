#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/temporary.h"

/* sluice-agent as it is called: what it says, and its exit status. */

enum { ARGS_MAX = 8, TEXT_MAX = 1 << 20 };

static char good[64], bad[64], said_path[64], mark[64];

static void write_config(const char *broker)
{
	char text[1024];

	(void)snprintf(text, sizeof text,
		"device: gw-1\nfleet: demo\nproduct: gateway\nhardware: rev-b\n"
		"root: root\ndevice_key: key\nbroker: %s\n"
		"state_dir: state\nspool: {dir: spool, max: 16M}\n"
		"slot: {dir: slots}\n",
		broker);
	temporary_write("agent.yaml", text);
}

static void set_up(void)
{
	temporary_make();
	(void)snprintf(good, sizeof good, "%s/agent.yaml", temporary_dir);
	(void)snprintf(bad, sizeof bad, "%s/bad.yaml", temporary_dir);
	(void)snprintf(said_path, sizeof said_path, "%s/said", temporary_dir);
	(void)snprintf(mark, sizeof mark, "%s/mark", temporary_dir);
	write_config("{url: 'tcp://127.0.0.1:1'}");
	temporary_write("bad.yaml", "device: gw-1\ndevise: gw-2\n");
}

TestSuite(agent_main, .init = set_up, .fini = temporary_remove, .timeout = 110);

/* How to call it beside its words. */
struct call {
	const char *words[ARGS_MAX];
	const char *fault; /* NULL: none */
	int fd;            /* becomes its descriptor 3; 0: closed */
	int terminal;      /* becomes its standard input; 0: /dev/null */
	rlim_t most;       /* descriptors; 0: as ever */
};

/* A net that cannot begin takes nothing down again: the end of its process does. */
static void allow_leaks(void)
{
	const char *options = getenv("ASAN_OPTIONS");
	char text[512];

	if (options == NULL)
		return;
	(void)snprintf(text, sizeof text, "%s:detect_leaks=0", options);
	(void)setenv("ASAN_OPTIONS", text, 1);
}

static _Noreturn void become(const struct call *call)
{
	char *args[ARGS_MAX + 1] = { strdup("sluice-agent") };
	const struct rlimit limit = { call->most, call->most };
	int said = open(said_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int in = call->terminal != 0 ? call->terminal : open("/dev/null", O_RDONLY);

	for (size_t i = 0; call->words[i] != NULL; i++)
		args[i + 1] = strdup(call->words[i]);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(in, STDIN_FILENO);
	(void)dup2(said, STDOUT_FILENO);
	(void)dup2(said, STDERR_FILENO);
	if (call->fd != 0)
		(void)dup2(call->fd, 3);
	for (int i = call->fd != 0 ? 4 : 3; i < 64; i++)
		(void)close(i);
	if (call->fault != NULL)
		(void)setenv("FAULT", call->fault, 1);
	(void)setenv("FAULT_MARK", mark, 1);
	allow_leaks();
	if (call->most != 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0)
		_exit(126);
	(void)execv(FAULTY_AGENT, args);
	_exit(127);
}

/* A socket of the agent whose other half is gone, so that nothing runs for long. */
static int new_end(void)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	(void)close(ends[1]);
	return ends[0];
}

/* Its exit status; said takes what it said. */
static int run(const struct call *call, struct ota_buf *said)
{
	pid_t pid = fork();
	int status = 0;

	cr_assert_geq(pid, 0);
	if (pid == 0)
		become(call);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(ota_file_read(said_path, TEXT_MAX, said, NULL), OTA_OK);
	cr_assert_not_null(ota_buf_text(said));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const struct call *call, int status, const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };

	(void)unlink(mark);
	cr_expect_eq(run(call, &said), status, "%s: %s", text, (const char *)said.at);
	cr_expect_not_null(strstr((const char *)said.at, text), "no '%s' in: %s", text,
		(const char *)said.at);
	cr_expect_eq(access(mark, F_OK) == 0, call->fault != NULL, "%s", text);
}

Test(agent_main, words_that_are_wrong_are_said)
{
	static const char long_path[] =
		"/run/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
		"0123456789/0123456789/0123456789/0123456789/0123456789/0123456789";
	const struct {
		const char *words[ARGS_MAX];
		int status;
		const char *text;
	} rows[] = {
		{ { "--help" }, 0, "usage: sluice-agent [run]" },
		{ { "-h", "--no-such" }, 0, "usage: sluice-agent [run]" },
		{ { "--version" }, 0, "sluice-agent " },
		{ { "--no-such" }, 1, "wrong option" },
		{ { "doctor", "--output", "xml" }, 1, "wrong option" },
		{ { "check", "more" }, 1, "too many words: more" },
		{ { "chek" }, 1, "unknown role 'chek'; did you mean 'check'?" },
		{ { "something-else" }, 1, "unknown role 'something-else'\n" },
		{ { "check", "-c", "/no/such/file" }, 1, "No such file" },
		{ { "check", "-c", bad }, 1, "unknown key 'devise'" },
		{ { "check", "-c", good }, 0, "agent.yaml: ok" },
		{ { "net", "-c", good }, 1, "this role needs --fd" },
		{ { "install", "-c", good }, 1, "this role needs --fd" },
		{ { "net", "--connect", long_path, "-c", good }, 1, "too long" },
		{ { "net", "--connect", "/no/such", "-c", good }, 1,
			"--connect /no/such: No such file" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct call call = { .fd = 0 };

		memcpy(call.words, rows[i].words, sizeof call.words);
		expect(&call, rows[i].status, rows[i].text);
	}
}

Test(agent_main, a_descriptor_is_a_number_and_ours)
{
	static const char *const none[] = { "", "x", "3x", "2", "1024",
		"99999999999999999999", "-3" };
	int file = open("/dev/null", O_RDWR | O_CLOEXEC), stream[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		expect(&(struct call){ .words = { "net", "-c", good, "--fd", none[i] } },
			1, "this role needs --fd");
	expect(&(struct call){ .words = { "net", "-c", good, "--fd", "3" } }, 1,
		"no socket of the agent");
	expect(&(struct call){ .words = { "net", "-c", good, "--fd", "3" }, .fd = file },
		1, "no socket of the agent");
	expect(&(struct call){ .words = { "net", "-c", good, "--fd", "3" },
		       .fd = stream[0] },
		1, "no socket of the agent");
}

Test(agent_main, install_is_told_its_boot)
{
	expect(&(struct call){ .words = { "install", "-c", good, "--fd", "3" },
		       .fd = new_end() },
		1, "install needs --boot");
}

Test(agent_main, decode_is_not_for_people)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), end;

	cr_assert_geq(terminal, 0);
	cr_assert_eq(grantpt(terminal), 0);
	cr_assert_eq(unlockpt(terminal), 0);
	end = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert_geq(end, 0);
	expect(&(struct call){ .words = { "decode" }, .terminal = end }, 1,
		"decode is started by install");
}

Test(agent_main, too_few_descriptors_are_said)
{
	expect(&(struct call){ .words = { "check", "-c", good }, .most = 12 }, 1,
		"fewer than 16 more descriptors");
}

Test(agent_main, doctor_says_it_for_people_and_for_programs)
{
	expect(&(struct call){ .words = { "doctor", "-c", good, "--output=text" } }, 1,
		" errors, ");
	expect(&(struct call){ .words = { "doctor", "-c", good, "--output=json" } }, 1,
		"\"findings\"");
}

/* ---- calls that fail ---- */

Test(agent_main, a_descriptor_that_cannot_be_kept_from_children_is_said)
{
	expect(&(struct call){ .words = { "net", "-c", good, "--fd", "3" },
		       .fault = "fcntl64,24,0",
		       .fd = new_end() },
		1, "--fd: Too many open files");
}

/* What net says of a call that fails while it begins. */
Test(agent_main, a_net_that_cannot_begin_says_so)
{
	static const char *const faults[] = { "mkdir,5,0", "prctl,1,0", "prctl,1,1",
		"prctl,1,2", "uv_loop_init,12,0", "uv_timer_init,12,0",
		"uv_timer_init,12,1", "uv_timer_init,12,2", "uv_poll_init,12,0",
		"uv_signal_init,12,0", "uv_signal_init,12,1", "uv_signal_start,22,0",
		"uv_signal_start,22,1" };
	int fd = new_end();

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		expect(&(struct call){ .words = { "net", "-c", good, "--fd", "3" },
			       .fault = faults[i],
			       .fd = fd },
			1, "event=net.failed");
}

static void add_to_config(const char *line)
{
	FILE *file = fopen(good, "ae");

	cr_assert_not_null(file);
	cr_assert_geq(fputs(line, file), 0);
	cr_assert_eq(fclose(file), 0);
}

Test(agent_main, a_net_whose_user_is_none_or_cannot_be_is_said)
{
	struct call broken = { .words = { "net", "-c", good, "--fd", "3" },
		.fd = new_end() };

	if (geteuid() != 0)
		cr_skip_test("SKIPPED, not root: net becomes no other user");
	add_to_config("user: nobody\n");
	broken.fault = "chown,5,0";
	expect(&broken, 1, "chown: ");
	broken.fault = "setresuid,1,0";
	expect(&broken, 1, "event=net.failed");
}

Test(agent_main, a_net_of_a_user_that_does_not_exist_says_so)
{
	if (geteuid() != 0)
		cr_skip_test("SKIPPED, not root: net becomes no other user");
	add_to_config("user: no-such-user\n");
	expect(&(struct call){ .words = { "net", "-c", good, "--fd", "3" },
		       .fd = new_end() },
		1, "no user 'no-such-user'");
}

/* Whose other half is gone ends with 1: by then it has begun. */
Test(agent_main, a_password_is_read_or_missed)
{
	const struct call net = { .words = { "net", "-c", good, "--fd", "3" },
		.fd = new_end() };

	write_config("{url: 'tcp://127.0.0.1:1', user: gw-1, password_file: secret}");
	expect(&net, 1, "secret: open: No such file");
	temporary_write("secret", "secret\n\n");
	expect(&net, 1, "event=net.install-gone");
	temporary_write("secret", "\n\n"); /* an empty one is one, too */
	expect(&net, 1, "event=net.install-gone");
}
