#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/io/notify.h"

/* systemd's end of the socket is played here. */

static char dir[] = "/tmp/sluice-notify-XXXXXX", path[64];
static int heard_fd;
static uv_loop_t loop;
static struct ota_notify notify;

static void listen_at(const char *name, size_t len)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 20 };

	memcpy(at.sun_path, name, len);
	heard_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(heard_fd, (struct sockaddr *)&at,
			     (socklen_t)(sizeof(sa_family_t) + len)),
		0);
	cr_assert_eq(
		setsockopt(heard_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience),
		0);
}

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/socket", dir);
	listen_at(path, strlen(path));
	cr_assert_eq(uv_loop_init(&loop), 0);
}

static void tear_down(void)
{
	(void)close(heard_fd);
	(void)unlink(path);
	(void)rmdir(dir);
}

TestSuite(notify, .init = set_up, .fini = tear_down);

static void environment(const char *address, const char *usec, const char *pid)
{
	(void)(address != NULL && setenv("NOTIFY_SOCKET", address, 1));
	(void)(usec != NULL && setenv("WATCHDOG_USEC", usec, 1));
	(void)(pid != NULL && setenv("WATCHDOG_PID", pid, 1));
}

static void expect_heard(const char *word)
{
	char text[64] = "";
	ssize_t n = recv(heard_fd, text, sizeof text - 1, 0);

	cr_assert_gt(n, 0, "nothing was said, expected %s", word);
	cr_expect_str_eq(text, word);
}

static void expect_silence(void)
{
	char byte;

	cr_expect_lt(recv(heard_fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void end(void)
{
	ota_notify_end(&notify);
	ota_notify_end(&notify);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0);
}

static void on_watch(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* Turn the loop for a while. */
static void turn(uint64_t for_ms)
{
	uv_timer_t timer;

	cr_assert_eq(uv_timer_init(&loop, &timer), 0);
	cr_assert_eq(uv_timer_start(&timer, on_watch, for_ms, 0), 0);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
}

Test(notify, ready_and_stopping_are_said_once_and_nothing_wakes_for_them)
{
	environment(path, NULL, NULL);
	ota_notify_begin(&notify, &loop);
	expect_heard("READY=1");
	cr_expect_null(getenv("NOTIFY_SOCKET"), "it is not for children");
	cr_expect_not(notify.has_timer);
	end();
	expect_heard("STOPPING=1");
	expect_silence();
}

Test(notify, a_watchdog_hears_of_the_loop_at_half_of_its_time)
{
	char pid[32];

	(void)snprintf(pid, sizeof pid, "%d", (int)getpid());
	environment(path, "100000", pid);
	ota_notify_begin(&notify, &loop);
	expect_heard("READY=1");
	expect_silence(); /* the loop has not turned */
	cr_expect_null(getenv("WATCHDOG_USEC"));
	cr_expect_eq(uv_timer_get_repeat(&notify.timer), 50);
	turn(120);
	expect_heard("WATCHDOG=1");
	end();
}

Test(notify, a_watchdog_that_is_another_process_s_is_left_alone)
{
	static const char *const others[] = { "1", "x", "" };

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		notify = (struct ota_notify){ 0 };
		environment(path, "100000", others[i]);
		ota_notify_begin(&notify, &loop);
		expect_heard("READY=1");
		cr_expect_not(notify.has_timer, "'%s'", others[i]);
	}
	end();
}

Test(notify, what_is_no_number_is_no_watchdog)
{
	static const char *const wrong[] = { "0", "-1", "1s", "",
		"99999999999999999999" };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		notify = (struct ota_notify){ 0 };
		environment(path, wrong[i], NULL);
		ota_notify_begin(&notify, &loop);
		expect_heard("READY=1");
		cr_expect_not(notify.has_timer, "'%s'", wrong[i]);
	}
	end();
}

Test(notify, without_a_socket_nothing_is_said_and_nothing_wakes)
{
	char long_path[200];
	const char *const wrong[] = { NULL, "", "/", "@", "relative", long_path };

	memset(long_path, 'x', sizeof long_path);
	long_path[0] = '/';
	long_path[sizeof long_path - 1] = '\0';
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		notify = (struct ota_notify){ 0 };
		environment(wrong[i], "100000", NULL);
		ota_notify_begin(&notify, &loop);
		cr_expect_not(notify.has_timer);
	}
	expect_silence();
	end();
}

Test(notify, a_socket_without_a_file_is_heard_too)
{
	char name[64], address[64];

	(void)close(heard_fd);
	(void)snprintf(address, sizeof address, "@sluice-notify-%d", (int)getpid());
	(void)snprintf(name, sizeof name, "%s", address);
	name[0] = '\0';
	listen_at(name, strlen(address));
	environment(address, NULL, NULL);
	ota_notify_begin(&notify, &loop);
	expect_heard("READY=1");
	end();
}
