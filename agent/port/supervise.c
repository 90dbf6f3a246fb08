#include "agent/port/supervise.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include "agent/port/install.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

enum {
	BACKOFF_MIN_MS = 200,
	BACKOFF_MAX_MS = 10000,
	BACKOFF_RESET_MS = 60000, /* alive that long: the next restart is quick again */
	KILL_MS = 10000,          /* between SIGTERM and SIGKILL */
	CHILD_FD = 3,             /* and "3" below */
	BOOT_ID_LEN = 36,         /* of the kernel's */
	BOOT_CAP = 64,
};

enum role { INSTALL, NET, N_ROLES };

static const char *const role_text[] = { "install", "net" };

struct child {
	uv_process_t process;
	bool running; /* may be signalled */
	bool open;    /* its handle is not closed */
	uint64_t backoff_ms, started_ms;
};

struct supervisor {
	char path[AGENT_PATH_CAP];
	const struct agent_config *config; /* borrowed */
	uv_loop_t loop;
	uv_signal_t term, interrupt;
	uv_timer_t timer; /* to start one or both, or to kill what did not end */
	struct child children[N_ROLES];
	int listen_fd; /* owned; where net reaches install; -1: none */
	char boot[BOOT_CAP];
	bool ending;    /* told to */
	bool rebooting; /* install asked for it */
};

/* --- which boot this is ----------------------------------------------------------------
 */

static void name_boot(struct supervisor *s)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf id = { 0 };
	uint8_t random[8];
	char hex[2 * sizeof random + 1] = "";
	const char *kernel = "unknown";

	if (ota_file_read("/proc/sys/kernel/random/boot_id", BOOT_CAP, &id, NULL) ==
			OTA_OK &&
		ota_buf_text(&id) != NULL)
		kernel = ota_buf_text(&id);
	if (s->config->reboot_count == 0 || s->rebooting) {
		ota_random(random, sizeof random);
		ota_hex_encode((struct ota_bytes){ random, sizeof random }, hex);
	}
	(void)snprintf(s->boot, sizeof s->boot, "%.*s%s%s", BOOT_ID_LEN, kernel,
		hex[0] == '\0' ? "" : ".", hex);
	s->boot[strcspn(s->boot, "\n")] = '\0';
}

/* --- ending ----------------------------------------------------------------------------
 */

static bool any_open(const struct supervisor *s)
{
	return s->children[INSTALL].open || s->children[NET].open;
}

static void signal_children(struct supervisor *s, int number)
{
	for (size_t i = 0; i < N_ROLES; i++)
		if (s->children[i].running)
			(void)uv_process_kill(&s->children[i].process, number);
}

static void on_kill_time(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	ota_log(OTA_LOG_WARNING, "agent.killed", "after_ms=%d", KILL_MS);
	signal_children(s, SIGKILL);
}

static void end_children(struct supervisor *s)
{
	signal_children(s, SIGTERM);
	(void)uv_timer_start(&s->timer, on_kill_time, KILL_MS, 0);
}

static void finish(struct supervisor *s)
{
	uv_close((uv_handle_t *)&s->timer, NULL);
	uv_close((uv_handle_t *)&s->term, NULL);
	uv_close((uv_handle_t *)&s->interrupt, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct supervisor *s = handle->data;

	if (s->ending)
		return;
	s->ending = true;
	ota_log(OTA_LOG_INFO, "agent.told-to-end", "signal=%d", number);
	if (any_open(s))
		end_children(s);
	else
		finish(s);
}

/* --- starting --------------------------------------------------------------------------
 */

static void on_start_time(uv_timer_t *timer);
static void on_net_time(uv_timer_t *timer);

/* How long to wait before a child is started again, and longer the next time. */
static uint64_t back_off(struct child *child)
{
	uint64_t lived_ms = ota_clock_mono_ms() - child->started_ms, wait_ms;

	if (child->backoff_ms == 0 || lived_ms >= BACKOFF_RESET_MS)
		child->backoff_ms = BACKOFF_MIN_MS;
	wait_ms = child->backoff_ms;
	child->backoff_ms = wait_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait_ms * 2;
	return wait_ms;
}

/* Both are gone: end, begin the next boot, or start again after a while. */
static void next_pair(struct supervisor *s)
{
	uint64_t wait_ms = 0;

	if (s->listen_fd >= 0)
		(void)close(s->listen_fd);
	s->listen_fd = -1;
	if (s->ending) {
		finish(s);
		return;
	}
	if (s->rebooting) {
		name_boot(s);
		s->children[INSTALL].backoff_ms = s->children[NET].backoff_ms = 0;
	} else {
		wait_ms = back_off(&s->children[INSTALL]);
	}
	s->rebooting = false;
	(void)uv_timer_start(&s->timer, on_start_time, wait_ms, 0);
}

static void on_closed(uv_handle_t *handle)
{
	struct supervisor *s = handle->data;
	struct child *net = &s->children[NET];

	for (size_t i = 0; i < N_ROLES; i++)
		if (handle == (uv_handle_t *)&s->children[i].process)
			s->children[i].open = false;
	if (!any_open(s))
		next_pair(s);
	else if (handle == (uv_handle_t *)&net->process && s->children[INSTALL].running &&
		 !s->ending)
		(void)uv_timer_start(&s->timer, on_net_time, back_off(net), 0);
}

static void on_exit_of(uv_process_t *process, int64_t status, int number)
{
	struct supervisor *s = process->data;
	enum role role = process == &s->children[NET].process ? NET : INSTALL;

	ota_log(OTA_LOG_NOTICE, "agent.child-ended", "role=%s status=%d signal=%d",
		role_text[role], (int)status, number);
	if (role == INSTALL && number == 0 && status == INSTALL_EXIT_REBOOT)
		s->rebooting = true;
	s->children[role].running = false;
	uv_close((uv_handle_t *)process, on_closed);
	if (role == INSTALL)
		end_children(s);
}

static void start_child(struct supervisor *s, enum role role, int fd)
{
	char words[][16] = { "sluice-agent", "", "--fd", "3", "-c", "--boot" };
	char *args[] = { words[0], words[1], words[2], words[3], words[4], s->path,
		role == INSTALL ? words[5] : NULL, s->boot, NULL };
	uv_stdio_container_t stdio[] = { { .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = 1 },
		{ .flags = UV_INHERIT_FD, .data.fd = 2 },
		{ .flags = UV_INHERIT_FD, .data.fd = fd } };
	uv_process_options_t options = { .exit_cb = on_exit_of,
		.file = "/proc/self/exe",
		.args = args,
		.stdio_count = CHILD_FD + 1,
		.stdio = stdio };
	int rc;

	(void)snprintf(words[1], sizeof words[1], "%s", role_text[role]);
	s->children[role].open = true;
	s->children[role].started_ms = ota_clock_mono_ms();
	s->children[role].process.data = s;
	rc = uv_spawn(&s->loop, &s->children[role].process, &options);
	s->children[role].running = rc == 0;
	if (rc == 0)
		return;
	ota_log(OTA_LOG_ERR, "agent.start-failed", "role=%s why=\"%s\"", role_text[role],
		uv_strerror(rc));
	uv_close((uv_handle_t *)&s->children[role].process, on_closed);
}

/* A socket without a name in any directory, at which install listens. */
static int listen_nowhere(void)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd >= 0 &&
		(bind(fd, (const struct sockaddr *)&any, sizeof any.sun_family) != 0 ||
			listen(fd, 1) != 0)) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

/* Connected to install, which takes it when it comes to it. */
static int connect_to(int listen_fd)
{
	struct sockaddr_un at = { 0 };
	socklen_t len = sizeof at;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (getsockname(listen_fd, (struct sockaddr *)&at, &len) != 0 ||
			       connect(fd, (struct sockaddr *)&at, len) != 0)) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

static void on_net_time(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;
	int fd = connect_to(s->listen_fd);

	if (fd < 0) {
		ota_log(OTA_LOG_ERR, "agent.start-failed", "role=net why=\"%s\"",
			strerror(errno));
		(void)uv_timer_start(timer, on_net_time, back_off(&s->children[NET]), 0);
		return;
	}
	start_child(s, NET, fd);
	(void)close(fd);
}

static void on_start_time(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	s->listen_fd = listen_nowhere();
	if (s->listen_fd < 0) {
		ota_log(OTA_LOG_ERR, "agent.start-failed", "why=\"%s\"", strerror(errno));
		next_pair(s);
		return;
	}
	start_child(s, INSTALL, s->listen_fd);
	if (s->children[INSTALL].running) /* or both begin again, once it is closed */
		on_net_time(timer);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	uv_close(handle, NULL);
}

static enum ota_code build(struct supervisor *s)
{
	if (uv_loop_init(&s->loop) != 0)
		return OTA_E_IO;
	if (uv_timer_init(&s->loop, &s->timer) != 0 ||
		uv_signal_init(&s->loop, &s->term) != 0 ||
		uv_signal_init(&s->loop, &s->interrupt) != 0 ||
		uv_signal_start(&s->term, on_signal, SIGTERM) != 0 ||
		uv_signal_start(&s->interrupt, on_signal, SIGINT) != 0) {
		uv_walk(&s->loop, close_handle, NULL);
		(void)uv_run(&s->loop, UV_RUN_DEFAULT);
		(void)uv_loop_close(&s->loop);
		return OTA_E_IO;
	}
	s->timer.data = s->term.data = s->interrupt.data = s;
	return OTA_OK;
}

int supervise_run(const char *path, const struct agent_config *config)
{
	struct supervisor s = { .config = config, .listen_fd = -1 };

	ota_log_set_level(config->log_level);
	if (build(&s) != OTA_OK) {
		ota_log(OTA_LOG_ERR, "agent.failed", "why=\"no loop\"");
		return 1;
	}
	(void)snprintf(s.path, sizeof s.path, "%s", path);
	name_boot(&s);
	(void)uv_timer_start(&s.timer, on_start_time, 0, 0);
	(void)uv_run(&s.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&s.loop) == 0 ? 0 : 1;
}
