#include <criterion/criterion.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/port/install.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "tests/integration/agent_install.h"

/* The agent of which one call fails: it ends in order and says why, or goes on; and the
 * next start does what this one could not. */

enum { DEADLINE_MS = 60000, TEXT_MAX = 1 << 20 };

static struct agent_install in;
static char mark[128], log_path[128], config[128];

static void set_up(void)
{
	agent_install_init(&in);
	in.program = FAULTY_AGENT;
	(void)snprintf(mark, sizeof mark, "%s/mark", in.dir);
	(void)snprintf(log_path, sizeof log_path, "%s/log", in.dir);
	(void)snprintf(config, sizeof config, "%s/agent.yaml", in.dir);
}

static void tear_down(void)
{
	agent_install_fini(&in);
}

TestSuite(agent_faults, .init = set_up, .fini = tear_down, .timeout = 110);

/* One start of the agent as a role, without a fault if that is NULL; its process. fd is
 * its descriptor 3. */
static pid_t begin(const char *role, const char *fault, int fd)
{
	pid_t pid;

	(void)unlink(mark);
	(void)unlink(log_path);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(log, STDERR_FILENO);
		if (fd >= 0 && dup2(fd, 3) != 3)
			_exit(126);
		if (fault != NULL)
			(void)setenv("FAULT", fault, 1);
		(void)setenv("FAULT_MARK", mark, 1);
		(void)execl(in.program, "sluice-agent", role, "--fd", "3", "--boot", "b",
			"-c", config, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int status_of(pid_t pid)
{
	int status = 0;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static bool is_in_log(const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf log = { 0 };

	return ota_file_read(log_path, TEXT_MAX, &log, NULL) == OTA_OK &&
	       ota_buf_text(&log) != NULL && strstr((const char *)log.at, text) != NULL;
}

static void show_log(const char *fault)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf log = { 0 };

	if (ota_file_read(log_path, TEXT_MAX, &log, NULL) == OTA_OK)
		cr_log_warn("%s:\n%.*s", fault, (int)log.len, (const char *)log.at);
}

static void wait_log(const char *text)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;

	while (!is_in_log(text) && ota_clock_mono_ms() < until_ms)
		(void)poll(NULL, 0, 5);
	if (!is_in_log(text))
		show_log(text);
	cr_assert(is_in_log(text), "%s", text);
}

/* A start that ends with 1, after the fault fired, and says a text. Its other half is
 * gone, so that it would end all the same. */
static void expect_end(const char *role, const char *fault, const char *text)
{
	int ends[2], status;
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = begin(role, fault, ends[1]);
	(void)close(ends[0]);
	(void)close(ends[1]);
	status = status_of(pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: status %x", fault,
		(unsigned)status);
	cr_expect_eq(access(mark, F_OK), 0, "%s did not fail", fault);
	cr_expect(is_in_log(text), "%s: no '%s'", fault, text);
	if (!is_in_log(text))
		show_log(fault);
}

/* Add lines to the configuration. */
static void configure(const char *lines)
{
	FILE *file = fopen(config, "ae");

	cr_assert_not_null(file);
	cr_assert_geq(fputs(lines, file), 0);
	cr_assert_eq(fclose(file), 0);
}

/* ---- beginning ---- */

/* What fails, and what install says. */
static const struct {
	const char *fault, *text;
} ends_install[] = {
	{ "getsockopt,5,0", "--fd is no socket of the agent" },
	{ "prctl,1,0", "prctl: Operation not permitted" },
	{ "prctl,1,1", "event=install.failed" },
	{ "uv_loop_init,12,0", "event=install.failed" },
	{ "seccomp_init,0,0", "event=install.failed" },
	{ "getsockopt,5,1", "event=agent.failed" },
	{ "uv_poll_init,12,0", "event=agent.failed" },
};

Test(agent_faults, an_install_that_cannot_begin_says_so_and_the_next_begins)
{
	for (size_t i = 0; i < sizeof ends_install / sizeof ends_install[0]; i++)
		expect_end("install", ends_install[i].fault, ends_install[i].text);
	cr_expect(
		agent_install_run(&in, OTA_UPDATE_CONFIRMED), "%s", in.report.error_text);
	cr_expect(agent_install_runs(&in, &in.to));
}

/* One start during which such a call fails; false if there were not so many of them. It
 * ends with 1: by itself, or since its other half is gone. */
static bool start_without(const char *call, long nth)
{
	char fault[96];
	int ends[2], status;
	pid_t pid;

	(void)snprintf(fault, sizeof fault, "%s,%ld", call, nth);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = begin("install", fault, ends[1]);
	(void)close(ends[0]);
	(void)close(ends[1]);
	status = status_of(pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: status %x", fault,
		(unsigned)status);
	cr_expect(is_in_log("event=") || is_in_log(config), "%s: says nothing", fault);
	return access(mark, F_OK) == 0;
}

static void expect_ends_in_order(const char *const *calls)
{
	enum { EACH = 60 };
	unsigned fired = 0;

	for (size_t i = 0; calls[i] != NULL; i++) {
		unsigned before = fired;

		for (long n = 0; n < EACH && start_without(calls[i], n); n++)
			fired++;
		cr_expect_gt(fired, before, "%s never failed", calls[i]);
	}
	cr_log_info("%u faults", fired);
}

Test(agent_faults, each_file_that_cannot_be_had_at_the_start_ends_it_in_order)
{
	static const char *const calls[] = { "ota_path_join,0", "open64,5", "fstat64,5",
		"read,5", "calloc,12", NULL };

	configure("reboot: [/bin/true]\n"); /* so it asks the kernel for its boot */
	expect_ends_in_order(calls);
}

/* One start whose other half is gone; it ends by itself. */
static void start_alone(void)
{
	int ends[2];
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = begin("install", NULL, ends[1]);
	(void)close(ends[0]);
	(void)close(ends[1]);
	cr_expect_neq(status_of(pid), 0);
}

/* Which slot runs the kernel of the test cannot tell, but that is asked for later. */
Test(agent_faults, a_damaged_copy_of_the_boot_loader_is_mended_and_said)
{
	char command[512];

	configure("reboot: [/bin/true]\nboot: {loader: grub, path: grubenv}\n");
	(void)snprintf(command, sizeof command,
		"cd %s && (printf '# GRUB Environment Block\\n'; head -c 999 /dev/zero | "
		"tr '\\0' '#') >grubenv && head -c 1024 /dev/zero >grubenv.2",
		in.dir);
	cr_assert_eq(system(command), 0);
	start_alone();
	wait_log("event=boot.mended");
	cr_expect(is_in_log("event=install.failed"), "which slot runs is not known");
}

Test(agent_faults, a_boot_loader_whose_second_copy_has_no_name_ends_it)
{
	char name[AGENT_PATH_CAP - 1] = "", lines[AGENT_PATH_CAP + 128];

	(void)memset(name, 'g', sizeof name - 1);
	(void)snprintf(lines, sizeof lines,
		"reboot: [/bin/true]\nboot: {loader: grub, path: '/%.*s'}\n",
		(int)sizeof name - 2, name);
	configure(lines);
	start_alone();
	wait_log("event=install.failed code=LIMIT");
}

Test(agent_faults, a_boot_loader_says_which_slot_runs_or_ends_it)
{
	char lines[256];

	(void)snprintf(lines, sizeof lines,
		"reboot: [/bin/true]\nboot: {loader: custom, path: '%s/hooks/loader'}\n",
		in.dir);
	configure(lines);
	start_alone();
	cr_expect(is_in_log("event=install.failed"));
	agent_install_hook(&in, "loader",
		"case $1$2 in get-current) echo a;; get-primary) echo a;; "
		"get-statea) echo good;; get-stateb) echo bad;; esac");
	start_alone();
	wait_log("event=install.started slot=0");
}

/* ---- what it keeps ---- */

/* The journal is opened again and written again: only then it is said to have failed. */
Test(agent_faults, a_journal_that_cannot_be_written_ends_it_and_the_next_goes_on)
{
	(void)start_without("open64,5", 99); /* slots and journal are made */
	expect_end("install", "pwrite64,5,0,99", "event=agent.failed");
	in.may_fail = 1;
	(void)snprintf(in.env, sizeof in.env, "FAULT=pwrite64,5,2,99");
	cr_assert_eq(setenv("FAULT_MARK", mark, 1), 0);
	cr_assert(
		agent_install_run(&in, OTA_UPDATE_CONFIRMED), "%s", in.report.error_text);
	cr_expect_eq(access(mark, F_OK), 0);
	cr_expect_eq(in.restarts, 1);
	cr_expect(agent_install_runs(&in, &in.to));
}

/* ---- rebooting ---- */

/* The image is written and held by the owner; then let go, with no process running. */
static void stop_before_reboot(void)
{
	char lines[512], lock[128];

	(void)snprintf(lock, sizeof lock, "%s/lock", in.dir);
	(void)snprintf(lines, sizeof lines,
		"reboot: [%s/hooks/reboot, now]\npolicy: {reboot_lock: '%s'}\n", in.dir,
		lock);
	configure(lines);
	cr_assert_eq(mknod(lock, S_IFREG | 0600, 0), 0);
	cr_assert(agent_install_run(&in, OTA_UPDATE_ARMED), "%s", in.report.error_text);
	cr_assert_eq(kill(in.pid, SIGKILL), 0);
	cr_assert_eq(waitpid(in.pid, &in.exit_status, 0), in.pid);
	in.pid = 0;
	(void)close(in.fd);
	cr_assert_eq(unlink(lock), 0);
}

static void say_hello(int fd)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf packet = { 0 };

	cr_assert_eq(
		ipc_encode(&(struct ipc_message){ .type = IPC_HELLO }, &packet), OTA_OK);
	cr_assert_eq(send(fd, packet.at, packet.len, MSG_NOSIGNAL), (ssize_t)packet.len);
}

/* A start that reboots by such a command: its exit status, after it said a text. told: it
 * is then told to end. */
static void expect_reboot(const char *body, const char *text, bool told)
{
	int ends[2], status;
	pid_t pid;

	if (body != NULL)
		agent_install_hook(&in, "reboot", body);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = begin("install", NULL, ends[1]);
	wait_log(text);
	if (told) {
		say_hello(ends[0]); /* while it reboots nothing is heard */
		cr_assert_eq(kill(pid, SIGTERM), 0);
	}
	status = status_of(pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == (told ? 0 : 1),
		"%s: status %x", text, (unsigned)status);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

Test(agent_faults, a_reboot_command_that_fails_is_said_and_called_again_by_the_next)
{
	stop_before_reboot();
	expect_reboot(NULL, "event=reboot.failed error=ENOENT", false);
	expect_reboot("exit 3", "event=reboot.commanded status=3 signal=0", false);
	expect_reboot("kill -9 $$", "event=reboot.commanded status=0 signal=9", false);
	expect_reboot("[ $1 = now ]", "event=reboot.commanded status=0 signal=0", true);
	expect_reboot("exec sleep 600", "event=device.reboots", true);
}
