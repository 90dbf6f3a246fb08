#include "agent/port/install_hook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum {
	HOOK_PATH_CAP = 1200,
	HOOK_ENV_CAP = 1300,
	HOOK_ENV_COUNT = 6,
	HOOK_LABEL_CAP = 140,
	HOOK_WHY_LEN_MAX = 100, /* bytes of what it says */
};

struct install_hook {
	uv_process_t process;
	uv_timer_t timer;
	install_hook_done *done;
	void *ctx; /* borrowed */
	char label[HOOK_LABEL_CAP];
	uint32_t deadline_s;
	bool late;
	int why;          /* owned; read end of its standard output, or -1 */
	unsigned handles; /* that libuv still holds */
	struct ota_error result;
};

static void on_closed(uv_handle_t *handle)
{
	struct install_hook *hook = handle->data;

	if (--hook->handles > 0)
		return;
	if (hook->why >= 0)
		(void)close(hook->why);
	free(hook);
}

/* The first line that it wrote, for the text. */
static void add_why(struct install_hook *hook)
{
	char line[HOOK_WHY_LEN_MAX + 1], escaped[HOOK_WHY_LEN_MAX + 1];
	char *end = hook->result.text + strlen(hook->result.text);
	ssize_t len = hook->why < 0 ? -1 : read(hook->why, line, HOOK_WHY_LEN_MAX);

	if (len <= 0)
		return;
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	ota_escape(line, escaped, sizeof escaped);
	(void)snprintf(end, sizeof hook->result.text - strlen(hook->result.text), ": %s",
		escaped);
}

static void judge_exit(struct install_hook *hook, int64_t status, int signal_number)
{
	if (hook->late)
		(void)ota_fail(&hook->result, OTA_E_TIMEOUT, "%s ran longer than %u s",
			hook->label, hook->deadline_s);
	else if (signal_number != 0)
		(void)ota_fail(&hook->result, OTA_E_HOOK, "%s died of signal %d",
			hook->label, signal_number);
	else if (status == INSTALL_HOOK_LATER)
		(void)ota_fail(
			&hook->result, OTA_E_BUSY, "%s asks to come later", hook->label);
	else if (status != 0)
		(void)ota_fail(&hook->result, OTA_E_HOOK, "%s exited with %d",
			hook->label, (int)status);
	if (hook->result.code != OTA_OK)
		add_why(hook);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal_number)
{
	struct install_hook *hook = process->data;

	judge_exit(hook, status, signal_number);
	uv_close((uv_handle_t *)&hook->process, on_closed);
	uv_close((uv_handle_t *)&hook->timer, on_closed);
	hook->done(hook->ctx, &hook->result);
}

/* It leads a session of its own, so that its children go with it. */
void install_hook_kill(struct install_hook *hook)
{
	if (hook->process.pid > 0)
		(void)kill(-hook->process.pid, SIGKILL);
}

static void on_late(uv_timer_t *timer)
{
	struct install_hook *hook = timer->data;

	hook->late = true;
	install_hook_kill(hook);
}

/* out: descriptor of its standard output */
static int spawn(
	struct install_hook *hook, uv_loop_t *loop, int out, char *path, char **env)
{
	char *args[] = { path, NULL };
	uv_stdio_container_t stdio[3] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = out },
		{ .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
	};
	const uv_process_options_t options = {
		.exit_cb = on_exit_of,
		.file = path,
		.args = args,
		.env = env,
		.flags = UV_PROCESS_DETACHED,
		.stdio_count = 3,
		.stdio = stdio,
	};

	return uv_spawn(loop, &hook->process, &options);
}

/* Where its standard output goes: a pipe for what it says, of which only our end never
 * waits, or our standard error. What is more than a pipe holds waits for the deadline. */
static int open_output(struct install_hook *hook, bool tells_why)
{
	int ends[2];

	if (!tells_why)
		return STDERR_FILENO;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	hook->why = ends[0];
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return ends[1];
}

static int spawn_with_env(struct install_hook *hook, uv_loop_t *loop,
	const struct install_hook_call *call, int out, char *path)
{
	const char *search = getenv("PATH");
	char text[HOOK_ENV_COUNT - 1][HOOK_ENV_CAP];
	char *env[HOOK_ENV_COUNT] = { text[0], text[1], text[2], text[3], text[4], NULL };

	(void)snprintf(text[0], HOOK_ENV_CAP, "SLUICE_HOOK=%s", call->name);
	(void)snprintf(text[1], HOOK_ENV_CAP, "SLUICE_DEVICE=%s", call->device);
	(void)snprintf(text[2], HOOK_ENV_CAP, "SLUICE_VERSION=%s", call->version);
	(void)snprintf(text[3], HOOK_ENV_CAP, "SLUICE_IMAGE=%s", call->image);
	(void)snprintf(text[4], HOOK_ENV_CAP, "PATH=%s",
		search != NULL ? search : "/usr/sbin:/usr/bin:/sbin:/bin");
	return spawn(hook, loop, out, path, env);
}

static OTA_CHECKED enum ota_code path_of(
	const struct install_hook_call *call, char *path, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (call->path != NULL)
		(void)snprintf(path, HOOK_PATH_CAP, "%s", call->path);
	else if (call->dir[0] == '\0')
		return ota_fail(err, OTA_E_NOTFOUND, "there are no hooks");
	else
		rc = ota_path_join(call->dir, call->name, path, HOOK_PATH_CAP, err);
	if (rc != OTA_OK)
		return rc;
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return ota_fail(err, OTA_E_NOTFOUND, "%s: no such hook", path);
	return OTA_OK;
}

enum ota_code install_hook_start(uv_loop_t *loop, const struct install_hook_call *call,
	install_hook_done *done, void *ctx, struct install_hook **out,
	struct ota_error *err)
{
	char path[HOOK_PATH_CAP];
	struct install_hook *hook;
	enum ota_code rc = path_of(call, path, err);
	int out_fd, failed;

	if (rc != OTA_OK)
		return rc;
	hook = calloc(1, sizeof *hook);
	if (hook == NULL)
		return ota_fail(err, OTA_E_NOMEM, "hook %s", call->name);
	hook->done = done;
	hook->ctx = ctx;
	hook->deadline_s = call->deadline_s;
	hook->handles = 2;
	hook->why = -1;
	(void)snprintf(hook->label, sizeof hook->label, "%s%s",
		call->label != NULL ? "" : "hook ",
		call->label != NULL ? call->label : call->name);
	out_fd = open_output(hook, call->tells_why);
	if (out_fd < 0) {
		rc = ota_fail(err, OTA_E_HOOK, "%s cannot be run: %s", hook->label,
			strerror(errno));
		free(hook);
		return rc;
	}
	hook->process.data = hook->timer.data = hook;
	(void)uv_timer_init(loop, &hook->timer);
	failed = spawn_with_env(hook, loop, call, out_fd, path);
	if (out_fd != STDERR_FILENO)
		(void)close(out_fd);
	if (failed != 0) {
		uv_close((uv_handle_t *)&hook->process, on_closed);
		uv_close((uv_handle_t *)&hook->timer, on_closed);
		return ota_fail(err, OTA_E_HOOK, "%s cannot be run: %s", hook->label,
			uv_strerror(failed));
	}
	(void)uv_timer_start(&hook->timer, on_late, (uint64_t)call->deadline_s * 1000, 0);
	*out = hook;
	return OTA_OK;
}
