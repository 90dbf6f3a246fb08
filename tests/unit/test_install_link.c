#include <criterion/criterion.h>

#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/port/install_link.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

/* Real sockets; the test is net, which comes and goes, and sometimes somebody else. */

enum { DEADLINE_MS = 60000 };

static uv_loop_t loop;
static struct install_link link_;
static struct agent_config config;
static struct sockaddr_un address;
static unsigned heard, gone;
static bool closes_when_gone;

static void on_message(void *ctx, const struct ipc_message *message)
{
	(void)ctx;
	heard += message->type == IPC_HELLO;
}

static void on_gone(void *ctx, const char *why)
{
	(void)why;
	gone++;
	if (closes_when_gone)
		install_link_close(ctx);
}

static const struct net_peer_events events = { on_message, on_gone };

static void set_up(void)
{
	temporary_make();
	cr_assert_eq(chmod(temporary_dir, 0755), 0);
	cr_assert_eq(uv_loop_init(&loop), 0);
	address.sun_family = AF_UNIX;
	(void)snprintf(
		address.sun_path, sizeof address.sun_path, "%s/net.sock", temporary_dir);
}

/* Everything that was begun ends, and nothing of libuv is left. */
static void close_all(void)
{
	install_link_close(&link_);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0);
}

TestSuite(install_link, .init = set_up, .fini = temporary_remove, .timeout = 110);

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	return fd;
}

static int new_listener(void)
{
	int fd = new_socket();

	(void)unlink(address.sun_path);
	cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	cr_assert_eq(chmod(address.sun_path, 0777), 0);
	cr_assert_eq(listen(fd, 4), 0);
	return fd;
}

static enum ota_code begin(int fd, struct ota_error *err)
{
	enum ota_code rc = install_link_init(&link_, &loop, fd, &config, err);

	install_link_answer_to(&link_, &events, &link_);
	return rc;
}

static void begin_to_listen(void)
{
	struct ota_error err = { 0 };

	cr_assert_eq(begin(new_listener(), &err), OTA_OK, "%s", err.text);
	cr_assert(install_link_listens(&link_));
}

static void say_hello(int fd)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf packet = { 0 };

	cr_assert_eq(
		ipc_encode(&(struct ipc_message){ .type = IPC_HELLO }, &packet), OTA_OK);
	cr_assert_eq(send(fd, packet.at, packet.len, MSG_NOSIGNAL), (ssize_t)packet.len);
}

/* A net that comes and says HELLO; its socket. */
static int come(void)
{
	int fd = new_socket();

	cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	say_hello(fd);
	return fd;
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

/* Turn the loop until so many were counted. */
static void turn_until(const unsigned *count, unsigned want)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;
	uv_timer_t tick;

	cr_assert_eq(uv_timer_init(&loop, &tick), 0);
	cr_assert_eq(uv_timer_start(&tick, on_tick, 10, 10), 0);
	while (*count < want && ota_clock_mono_ms() < until_ms)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	cr_assert_geq(*count, want);
}

Test(install_link, nets_come_and_go_one_after_the_other)
{
	struct ipc_message fetch = { .type = IPC_FETCH };
	uint8_t packet[512];

	begin_to_listen();
	for (unsigned i = 1; i <= 3; i++) {
		int fd = come();

		turn_until(&heard, i);
		install_link_send(&link_, &fetch);
		cr_expect_gt(recv(fd, packet, sizeof packet, MSG_DONTWAIT), 0);
		(void)close(fd);
		turn_until(&gone, i);
		install_link_send(&link_, &fetch); /* to nobody */
	}
	close_all();
}

Test(install_link, the_only_net_is_the_only_one)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	cr_assert_eq(begin(ends[0], NULL), OTA_OK);
	cr_expect_not(install_link_listens(&link_));
	say_hello(ends[1]);
	turn_until(&heard, 1);
	(void)close(ends[1]);
	turn_until(&gone, 1);
	close_all();
}

/* ---- who may come ---- */

/* Another user comes and waits until it is let go; its exit status: 0, it was let in. */
static pid_t come_as(const char *name)
{
	const struct passwd *user = getpwnam(name);
	pid_t pid;

	cr_assert_not_null(user);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		char byte;
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0 ||
			connect(fd, (const struct sockaddr *)&address, sizeof address) !=
				0)
			_exit(2);
		say_hello(fd);
		_exit(recv(fd, &byte, 1, 0) > 0 ? 0 : 1);
	}
	return pid;
}

/* Turn the loop until it has ended. */
static int status_of(pid_t pid)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		cr_assert_lt(ota_clock_mono_ms(), until_ms);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		(void)poll(NULL, 0, 5);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	cr_skip_test("SKIPPED, not root: no other user can come");
	return false;
}

Test(install_link, another_user_is_turned_away_and_net_gets_in_after_it)
{
	pid_t stranger;
	int fd;

	if (!is_root())
		return;
	begin_to_listen();
	stranger = come_as("nobody");
	cr_expect_eq(status_of(stranger), 1);
	fd = come();
	turn_until(&heard, 1);
	(void)close(fd);
	turn_until(&gone, 1);
	cr_expect_eq(heard, 1, "the stranger was not heard");
	close_all();
}

Test(install_link, the_user_of_net_gets_in)
{
	pid_t net;

	if (!is_root())
		return;
	(void)snprintf(config.user, sizeof config.user, "nobody");
	begin_to_listen();
	net = come_as("nobody");
	turn_until(&heard, 1);
	install_link_send(&link_, &(struct ipc_message){ .type = IPC_FETCH });
	cr_expect_eq(status_of(net), 0);
	close_all();
}

Test(install_link, a_user_that_does_not_exist_is_no_user)
{
	(void)snprintf(config.user, sizeof config.user, "no-such-user");
	begin_to_listen();
	cr_expect_eq(link_.user, geteuid());
	close_all();
}

/* Without the rights to become another user there is no other. */
Test(install_link, who_is_not_root_has_one_user)
{
	(void)snprintf(config.user, sizeof config.user, "root");
	cr_assert(faults_arm_text("geteuid,0,0"));
	begin_to_listen();
	cr_expect(faults_fired());
	cr_expect_eq(link_.user, geteuid());
	close_all();
}

/* ---- what fails ---- */

static void expect_no_begin(int fd, const char *fault, enum ota_code code)
{
	struct ota_error err = { 0 };

	cr_assert(faults_arm_text(fault), "%s", fault);
	cr_expect_eq(begin(fd, &err), code, "%s", fault);
	cr_expect(faults_fired(), "%s", fault);
	cr_expect_eq(strncmp(err.text, "socket to net", 13), 0, "%s", err.text);
}

Test(install_link, a_beginning_that_fails_is_told)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	expect_no_begin(ends[0], "getsockopt,5,0", OTA_E_IO);
	expect_no_begin(ends[0], "malloc,12,0", OTA_E_NOMEM);
	expect_no_begin(ends[0], "uv_poll_init,12,0", OTA_E_IO);
	expect_no_begin(new_listener(), "uv_timer_init,12,0", OTA_E_IO);
	expect_no_begin(new_listener(), "uv_poll_init,12,0", OTA_E_IO);
	cr_assert_eq(begin(ends[0], NULL), OTA_OK, "the descriptor is still ours");
	say_hello(ends[1]);
	turn_until(&heard, 1);
}

/* Whoever cannot be let in now may come again in a moment. */
static void expect_second_net_gets_in(const char *fault)
{
	int first, second;

	begin_to_listen();
	first = come();
	cr_assert(faults_arm_text(fault), "%s", fault);
	while (!faults_fired())
		(void)uv_run(&loop, UV_RUN_ONCE);
	second = come();
	turn_until(&heard, 1);
	cr_expect(faults_fired(), "%s", fault);
	(void)close(first);
	(void)close(second);
	turn_until(&gone, 1);
	close_all();
}

Test(install_link, a_net_that_cannot_be_accepted_now_is_in_a_moment)
{
	expect_second_net_gets_in("accept4,24,0");
}

Test(install_link, a_net_of_whom_nothing_is_known_is_turned_away)
{
	expect_second_net_gets_in("getsockopt,5,0");
}

Test(install_link, a_net_without_memory_for_it_is_turned_away)
{
	expect_second_net_gets_in("malloc,12,0");
}

/* ---- ending ---- */

Test(install_link, it_may_be_closed_while_net_is_there)
{
	int fd;

	begin_to_listen();
	fd = come();
	turn_until(&heard, 1);
	close_all();
	cr_expect_eq(gone, 0, "who closes is not told");
	cr_expect_eq(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT), 0, "net is");
	(void)close(fd);
}

Test(install_link, it_may_be_closed_in_the_moment_that_net_goes)
{
	int fd;

	begin_to_listen();
	fd = come();
	turn_until(&heard, 1);
	(void)close(fd);
	install_link_send(&link_, &(struct ipc_message){ .type = IPC_FETCH });
	cr_expect(uv_is_closing((uv_handle_t *)&link_.peer.poll));
	close_all();
	cr_expect_eq(gone, 0, "who closes is not told");
}

Test(install_link, it_may_be_closed_by_who_hears_that_net_is_gone)
{
	int fd;

	closes_when_gone = true;
	begin_to_listen();
	fd = come();
	turn_until(&heard, 1);
	(void)close(fd);
	turn_until(&gone, 1);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0, "nobody listens any more");
}
