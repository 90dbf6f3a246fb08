#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "tests/integration/agent_net.h"
#include "tests/unit/samples.h"
#include "tests/unit/temporary.h"

/* The real agent, all three processes of it, without a broker. */

enum { DEADLINE_MS = 20000, TICK_MS = 5, TEXT_MAX = 1 << 20 };

static char yaml[64], log_path[64], mark[64];

static void write_yaml(const char *reboot)
{
	char text[1024];

	(void)snprintf(text, sizeof text,
		"device: gw-0001\nfleet: example\nproduct: gateway\nhardware: rev-b\n"
		"root: root.1\ndevice_key: device.key\nbroker: {url: "
		"'tcp://127.0.0.1:1'}\n"
		"state_dir: state\nspool: {dir: spool, max: 64M}\n"
		"slot: {type: file, dir: slots}\nreboot: %s\n",
		reboot);
	temporary_write("agent.yaml", text);
}

static void setup(void)
{
	struct ota_buf root = sample_envelope(OTA_DOC_ROOT);
	char path[64];

	temporary_make();
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)snprintf(yaml, sizeof yaml, "%s/agent.yaml", temporary_dir);
	(void)snprintf(log_path, sizeof log_path, "%s/log", temporary_dir);
	(void)snprintf(mark, sizeof mark, "%s/mark", temporary_dir);
	(void)snprintf(path, sizeof path, "%s/root.1", temporary_dir);
	cr_assert_eq(ota_file_replace(path, ota_buf_bytes(&root), 0600, NULL), OTA_OK);
	(void)snprintf(path, sizeof path, "%s/device.key", temporary_dir);
	cr_assert_eq(ota_file_replace(path,
			     ota_bytes_of("0505050505050505050505050505050505050505"
					  "050505050505050505050505"),
			     0600, NULL),
		OTA_OK);
	(void)snprintf(path, sizeof path, "%s/slots", temporary_dir);
	cr_assert_eq(ota_dir_make(path, 0700, NULL), OTA_OK);
	temporary_write("slots/a.img", "the first image");
	write_yaml("self");
	ota_buf_fini(&root);
}

TestSuite(supervise, .init = setup, .fini = temporary_remove);

/* The supervisor of which a call fails, without a fault if that is NULL. */
static pid_t start_with(const char *fault)
{
	pid_t pid;

	(void)unlink(mark);
	pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(log, STDERR_FILENO);
		(void)setenv("FAULT_MARK", mark, 1);
		if (fault != NULL)
			(void)setenv("FAULT", fault, 1);
		(void)execl(fault != NULL ? FAULTY_AGENT : agent_program(),
			"sluice-agent", "-c", yaml, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static pid_t start(void)
{
	return start_with(NULL);
}

static bool has_failed(void)
{
	return access(mark, F_OK) == 0;
}

/* The words of a process's command line, joined by spaces; "" if it is gone. */
static void command_of(pid_t pid, char out[static 512])
{
	char path[64];
	ota_autoclose int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, 511);
	out[n < 0 ? 0 : n] = '\0';
	for (ssize_t i = 0; i + 1 < n; i++)
		if (out[i] == '\0')
			out[i] = ' ';
}

/* The child of agent with that role, or 0. */
static pid_t child_of(pid_t agent, const char *role)
{
	char path[64], list[256] = "", command[512], want[64];
	ota_autoclose int fd = -1;

	(void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", agent, agent);
	(void)snprintf(want, sizeof want, "sluice-agent %s ", role);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, list, sizeof list - 1) <= 0)
		return 0;
	for (char *at = list, *end = list; *at != '\0'; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		command_of(pid, command);
		if (strncmp(command, want, strlen(want)) == 0)
			return pid;
	}
	return 0;
}

/* Wait for a child of that role that is another than `old`. */
static pid_t wait_child(pid_t agent, const char *role, pid_t old)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;
	pid_t pid;

	do {
		pid = child_of(agent, role);
		(void)poll(NULL, 0, TICK_MS);
	} while ((pid == 0 || pid == old) && ota_clock_mono_ms() < until_ms);
	cr_assert(pid != 0 && pid != old, "no new %s", role);
	return pid;
}

/* How often the log holds a text. */
static unsigned count_in_log(const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf log = { 0 };
	unsigned count = 0;

	if (ota_file_read(log_path, TEXT_MAX, &log, NULL) != OTA_OK)
		return 0;
	for (const char *at = ota_buf_text(&log); (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

static void wait_log(const char *text, unsigned times)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;

	while (count_in_log(text) < times && ota_clock_mono_ms() < until_ms)
		(void)poll(NULL, 0, TICK_MS);
	cr_assert_geq(count_in_log(text), times, "%s", text);
}

/* The installer is up and told its boot by this start. */
static pid_t wait_install(pid_t agent, pid_t old)
{
	unsigned before = old == 0 ? 0 : 1;

	wait_log("event=install.started", before + 1);
	return wait_child(agent, "install", old);
}

static int end(pid_t agent, int number)
{
	int status = 0;

	(void)kill(agent, number);
	cr_assert_eq(waitpid(agent, &status, 0), agent);
	return status;
}

Test(supervise, told_to_end_it_ends_both)
{
	static const int numbers[] = { SIGTERM, SIGINT };

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		pid_t agent = start();
		pid_t install = wait_install(agent, 0), net = wait_child(agent, "net", 0);

		cr_expect_eq(end(agent, numbers[i]), 0);
		cr_expect(kill(install, 0) < 0 && errno == ESRCH);
		cr_expect(kill(net, 0) < 0 && errno == ESRCH);
	}
}

Test(supervise, a_killed_install_takes_net_along_within_one_boot)
{
	char before[512], after[512];
	pid_t agent = start();
	pid_t install = wait_install(agent, 0), net = wait_child(agent, "net", 0);

	command_of(install, before);
	(void)kill(install, SIGKILL);
	(void)wait_child(agent, "net", net);
	command_of(wait_child(agent, "install", install), after);
	cr_expect_str_eq(before, after, "another boot");
	cr_expect_not_null(strstr(before, " --boot "));
	cr_expect_eq(end(agent, SIGTERM), 0);
}

Test(supervise, a_killed_net_comes_back_to_the_same_install)
{
	pid_t agent = start();
	pid_t install = wait_install(agent, 0), net;

	for (unsigned i = 0; i < 3; i++) {
		net = wait_child(agent, "net", 0);
		wait_log("event=net.down", i + 1);
		(void)kill(net, SIGKILL);
		wait_log("event=net.gone", i + 1);
		(void)wait_child(agent, "net", net);
	}
	cr_expect_eq(wait_child(agent, "install", 0), install);
	cr_expect_eq(count_in_log("event=install.started"), 1);
	cr_expect_eq(end(agent, SIGTERM), 0);
}

Test(supervise, a_net_that_fails_at_once_leaves_install_alone)
{
	pid_t agent, install;

	temporary_write("spool", "not a directory");
	agent = start();
	install = wait_install(agent, 0);
	wait_log("event=agent.child-ended role=net status=1", 4);
	cr_expect_eq(wait_child(agent, "install", 0), install);
	cr_expect_eq(count_in_log("event=install.started"), 1);
	cr_expect_eq(end(agent, SIGTERM), 0);
}

Test(supervise, a_child_that_cannot_end_is_killed)
{
	pid_t agent = start();
	pid_t install = wait_install(agent, 0), net = wait_child(agent, "net", 0);

	(void)kill(net, SIGSTOP);
	(void)kill(install, SIGKILL);
	(void)wait_child(agent, "net", net);
	cr_expect_eq(count_in_log("event=agent.killed"), 1);
	cr_expect_eq(
		count_in_log("event=agent.child-ended role=net status=0 signal=9"), 1);
	cr_expect_eq(end(agent, SIGTERM), 0);
}

/* The command line of install in a new supervisor. */
static void command_of_start(char out[static 512])
{
	pid_t agent = start();

	command_of(wait_child(agent, "install", 0), out);
	(void)wait_child(agent, "net", 0);
	(void)end(agent, SIGTERM);
}

Test(supervise, with_reboot_self_each_start_is_a_boot)
{
	char first[512], second[512];

	command_of_start(first);
	command_of_start(second);
	cr_expect_str_neq(first, second);
}

Test(supervise, with_a_reboot_command_only_the_kernel_boots)
{
	char first[512], second[512];

	write_yaml("[/bin/true]");
	command_of_start(first);
	command_of_start(second);
	cr_expect_str_eq(first, second);
}

Test(supervise, children_do_not_outlive_a_killed_supervisor)
{
	pid_t agent = start();
	pid_t install = wait_install(agent, 0), net = wait_child(agent, "net", 0);

	wait_log("event=net.down", 1);
	cr_expect(WIFSIGNALED(end(agent, SIGKILL)));
	cr_expect_eq(waitpid(install, NULL, 0), install);
	cr_expect_eq(waitpid(net, NULL, 0), net);
}

Test(supervise, a_pair_that_fails_at_once_is_not_started_in_haste)
{
	uint64_t begin_ms = ota_clock_mono_ms();
	pid_t agent;

	temporary_write("root.1", "no root");
	agent = start();
	wait_log("event=agent.child-ended role=install status=1", 4);
	cr_expect_geq(ota_clock_mono_ms() - begin_ms, 200 + 400 + 800);
	cr_expect_eq(end(agent, SIGTERM), 0);
}

Test(supervise, a_wrong_configuration_starts_nothing)
{
	int status = 0;
	pid_t agent;

	write_yaml("self\nrebooot: self");
	agent = start();
	cr_assert_eq(waitpid(agent, &status, 0), agent);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	cr_expect_eq(count_in_log("agent.yaml:12:1: error: unknown key 'rebooot'"), 1);
	cr_expect_eq(count_in_log("event="), 0);
}

/* Told once more while a child takes its time, it does not begin again to end. */
Test(supervise, told_to_end_twice_it_ends_once)
{
	int status = 0;
	pid_t agent = start();
	pid_t install = wait_install(agent, 0), net = wait_child(agent, "net", 0);

	(void)kill(net, SIGSTOP);
	(void)kill(agent, SIGTERM);
	wait_log("event=agent.told-to-end", 1);
	(void)kill(agent, SIGINT);
	(void)kill(net, SIGCONT);
	cr_assert_eq(waitpid(agent, &status, 0), agent);
	cr_expect_eq(status, 0);
	cr_expect_eq(count_in_log("event=agent.told-to-end"), 1);
	cr_expect(kill(install, 0) < 0 && errno == ESRCH);
	cr_expect(kill(net, 0) < 0 && errno == ESRCH);
}

/* ---- calls that fail ---- */

Test(supervise, without_a_loop_it_ends_and_says_so)
{
	static const char *const faults[] = { "uv_loop_init,12,0", "uv_timer_init,12,0",
		"uv_signal_init,12,0", "uv_signal_init,12,1", "uv_signal_start,22,0",
		"uv_signal_start,22,1" };

	for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		pid_t agent = start_with(faults[i]);
		int status = 0;

		cr_assert_eq(waitpid(agent, &status, 0), agent);
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s", faults[i]);
		cr_expect(has_failed(), "%s did not fail", faults[i]);
		cr_expect_eq(count_in_log("event=agent.failed why=\"no loop\""), i + 1);
	}
	cr_expect_eq(count_in_log("event=install.started"), 0);
}

/* What a first try lacks the second one has, after a while. */
Test(supervise, what_cannot_be_started_is_started_again)
{
	static const struct {
		const char *fault, *text;
	} rows[] = {
		{ "bind,5,0", "agent.start-failed why=\"Input/output error\"" },
		{ "listen,5,0", "agent.start-failed why=\"Input/output error\"" },
		{ "uv_spawn,11,0",
			"agent.start-failed role=install why=\"no such file or" },
		{ "uv_spawn,11,1", "agent.start-failed role=net why=\"no such file or" },
		{ "getsockname,105,0", "agent.start-failed role=net why=\"No buffer" },
		{ "connect,111,0", "agent.start-failed role=net why=\"Connection ref" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		pid_t agent = start_with(rows[i].fault);

		wait_log(rows[i].text, 1);
		cr_expect(has_failed(), "%s did not fail", rows[i].fault);
		wait_log("event=install.started", 1);
		(void)wait_child(agent, "net", 0);
		cr_expect_eq(end(agent, SIGTERM), 0);
		(void)unlink(log_path);
	}
}

/* The kernel's name of its boot cannot be read: an installer is told so, which is a boot
 * of its own, and not that there is none. The nth file that is opened is that one. */
Test(supervise, a_boot_without_a_name_is_a_boot)
{
	char command[512] = "", fault[32];
	enum { MOST = 40 };

	for (int nth = 0; nth < MOST && strstr(command, "--boot unknown.") == NULL;
		nth++) {
		pid_t agent;

		(void)snprintf(fault, sizeof fault, "open64,5,%d", nth);
		agent = start_with(fault);
		while (waitpid(agent, NULL, WNOHANG) == 0 && child_of(agent, "net") == 0)
			(void)poll(NULL, 0, TICK_MS);
		command_of(child_of(agent, "install"), command);
		(void)kill(agent, SIGTERM);
		(void)waitpid(agent, NULL, 0);
	}
	cr_expect_not_null(strstr(command, "--boot unknown."), "%s", command);
}
