#include "agent/port/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "proto/base/names.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

enum {
	TICK_MS = 20,        /* how often an end without a word is looked for */
	COMPLAINT_MAX = 400, /* bytes of standard error that are kept */
	PATH_CAP = 1024,     /* bytes with the NUL */
};

static const char SEARCH[] =
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* One command under way. */
struct run {
	const char *name;                /* borrowed */
	pid_t pid;                       /* 0: not running */
	int out, err;                    /* owned; what it says; -1: it has closed it */
	struct ota_buf said, complained; /* owned */
	bool too_much;
	int status; /* of waitpid(), once it has ended */
};

static void run_fini(struct run *run)
{
	if (run->pid > 0) {
		(void)kill(-run->pid, SIGKILL);
		while (waitpid(run->pid, &run->status, 0) < 0 && errno == EINTR)
			;
	}
	ota_closep(&run->out);
	ota_closep(&run->err);
	ota_buf_fini(&run->said);
	ota_buf_fini(&run->complained);
}

static const char *search_path(void)
{
	const char *search = getenv("PATH");

	return search != NULL && search[0] != '\0' ? search : SEARCH;
}

enum ota_code command_find(
	const char *name, char *path, size_t cap, struct ota_error *err)
{
	const char *dir = search_path();

	if (strchr(name, '/') != NULL) {
		if (access(name, X_OK) != 0)
			return ota_fail(
				err, OTA_E_NOTFOUND, "%s: %s", name, strerror(errno));
		(void)snprintf(path, cap, "%s", name);
		return OTA_OK;
	}
	while (*dir != '\0') {
		size_t len = strcspn(dir, ":");
		int need = snprintf(path, cap, "%.*s/%s", (int)len, dir, name);

		if (len > 0 && need > 0 && (size_t)need < cap && access(path, X_OK) == 0)
			return OTA_OK;
		dir += len + (dir[len] == ':' ? 1 : 0);
	}
	return ota_fail(
		err, OTA_E_NOTFOUND, "%s: no such command in %s", name, search_path());
}

/* ---- the start ---- */

/* Bytes as a file to be read from its start. */
static OTA_CHECKED enum ota_code input_file(
	struct ota_bytes input, int *out, struct ota_error *err)
{
	ota_autoclose int fd = memfd_create("input", MFD_CLOEXEC);
	ssize_t done;

	if (fd < 0)
		return ota_fail(err, OTA_E_IO, "input: %s", strerror(errno));
	done = input.len == 0 ? 0 : pwrite(fd, input.at, input.len, 0);
	if (done < 0 || (size_t)done != input.len)
		return ota_fail(err, OTA_E_IO, "input could not be written");
	*out = fd;
	fd = -1;
	return OTA_OK;
}

/* No signal is blocked or ignored in it but by its own choice. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int failed;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	failed = posix_spawnattr_setsigmask(attributes, &none);
	if (failed == 0)
		failed = posix_spawnattr_setsigdefault(attributes, &all);
	if (failed == 0)
		failed = posix_spawnattr_setflags(
			attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
					    POSIX_SPAWN_SETSIGDEF);
	return failed;
}

static int set_actions(posix_spawn_file_actions_t *actions, const int fds[3])
{
	int failed = 0;

	for (int i = 0; failed == 0 && i < 3; i++)
		failed = posix_spawn_file_actions_adddup2(actions, fds[i], i);
	return failed;
}

static int spawn(
	struct run *run, const char *path, const char *const *argv, const int fds[3])
{
	char search[4 * PATH_CAP];
	char *env[] = { search, (char[]){ "LC_ALL=C" }, NULL };
	char *args[16] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int failed = 0;

	(void)snprintf(search, sizeof search, "PATH=%s", search_path());
	for (size_t i = 0; argv[i] != NULL && failed == 0; i++)
		if (i + 1 == sizeof args / sizeof args[0] ||
			(args[i] = strdup(argv[i])) == NULL)
			failed = ENOMEM;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	if (failed == 0)
		failed = set_actions(&actions, fds);
	if (failed == 0)
		failed = set_attributes(&attributes);
	if (failed == 0)
		failed = posix_spawn(&run->pid, path, &actions, &attributes, args, env);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	for (size_t i = 0; args[i] != NULL; i++)
		free(args[i]);
	return failed;
}

static OTA_CHECKED enum ota_code start(
	struct run *run, const struct command *command, struct ota_error *err)
{
	ota_autoclose int input = -1;
	int out[2], complaints[2];
	char path[PATH_CAP];
	enum ota_code rc = command_find(run->name, path, sizeof path, err);
	int failed;

	if (rc == OTA_OK)
		rc = input_file(command->input, &input, err);
	if (rc != OTA_OK)
		return rc == OTA_E_NOTFOUND ? OTA_E_IO : rc;
	if (pipe2(out, O_CLOEXEC) != 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", run->name, strerror(errno));
	if (pipe2(complaints, O_CLOEXEC) != 0) {
		(void)close(out[0]);
		(void)close(out[1]);
		return ota_fail(err, OTA_E_IO, "%s: %s", run->name, strerror(errno));
	}
	failed = spawn(
		run, path, command->argv, (const int[]){ input, out[1], complaints[1] });
	(void)close(out[1]);
	(void)close(complaints[1]);
	run->out = out[0];
	run->err = complaints[0];
	if (failed != 0) {
		run->pid = 0;
		return ota_fail(err, OTA_E_IO, "%s: %s", run->name, strerror(failed));
	}
	return OTA_OK;
}

/* ---- what it says ---- */

/* Take what is there now; closes the descriptor at its end. What goes beyond max is read
 * and thrown away. */
static OTA_CHECKED enum ota_code take(
	int *fd, struct ota_buf *into, size_t max, bool *over)
{
	uint8_t piece[512];
	ssize_t got = read(*fd, piece, sizeof piece);
	size_t len, room = max - into->len;

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return OTA_OK;
	if (got <= 0) {
		(void)close(*fd);
		*fd = -1;
		return OTA_OK;
	}
	len = (size_t)got;
	*over = *over || len > room;
	return ota_buf_add(into, (struct ota_bytes){ piece, len < room ? len : room });
}

/* Listen for at most wait_ms; *quiet if nothing was said. */
static OTA_CHECKED enum ota_code listen_to(struct run *run, int wait_ms, bool *quiet)
{
	struct pollfd fds[2] = { { .fd = run->out, .events = POLLIN },
		{ .fd = run->err, .events = POLLIN } };
	enum ota_code rc = OTA_OK;
	bool over = false;

	*quiet = poll(fds, 2, wait_ms) <= 0;
	if (*quiet)
		return OTA_OK;
	if (fds[0].revents != 0)
		rc = take(&run->out, &run->said, COMMAND_OUTPUT_MAX, &run->too_much);
	if (rc == OTA_OK && fds[1].revents != 0)
		rc = take(&run->err, &run->complained, COMPLAINT_MAX, &over);
	return rc;
}

static bool has_ended(struct run *run)
{
	if (waitpid(run->pid, &run->status, WNOHANG) != run->pid)
		return false;
	(void)kill(-run->pid, SIGKILL); /* what it left behind */
	run->pid = 0;
	return true;
}

/* Until it has ended, and everything it said was taken. */
static OTA_CHECKED enum ota_code follow(
	struct run *run, uint32_t deadline_ms, struct ota_error *err)
{
	uint64_t until_ms = ota_clock_mono_ms() + deadline_ms;
	bool ended = false, quiet = false;

	while (!ended || !quiet) {
		if (listen_to(run, ended ? 0 : TICK_MS, &quiet) != OTA_OK)
			return ota_fail(err, OTA_E_NOMEM, "%s", run->name);
		if (!ended)
			ended = has_ended(run);
		if (run->out < 0 && run->err < 0 && ended)
			return OTA_OK;
		if (ota_clock_mono_ms() > until_ms)
			return ota_fail(err, OTA_E_TIMEOUT,
				"%s: no end within %u ms, killed", run->name,
				deadline_ms);
	}
	return OTA_OK;
}

/* ---- the end ---- */

static OTA_CHECKED enum ota_code judge(struct run *run, struct ota_error *err)
{
	const char *text = ota_buf_text(&run->complained);
	char line[160], escaped[160];

	if (text == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%s", run->name);
	(void)snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
	ota_escape(line, escaped, sizeof escaped);
	if (WIFSIGNALED(run->status))
		return ota_fail(err, OTA_E_IO, "%s: died of signal %d", run->name,
			WTERMSIG(run->status));
	if (WEXITSTATUS(run->status) != 0)
		return ota_fail(err, OTA_E_IO, "%s: exit status %d%s%s", run->name,
			WEXITSTATUS(run->status), escaped[0] == '\0' ? "" : ": ",
			escaped);
	if (run->too_much)
		return ota_fail(err, OTA_E_LIMIT, "%s: said more than %d bytes",
			run->name, COMMAND_OUTPUT_MAX);
	return OTA_OK;
}

enum ota_code command_run(
	const struct command *command, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(run_fini)
	struct run run = { .name = command->argv[0], .out = -1, .err = -1 };
	enum ota_code rc = start(&run, command, err);

	if (rc == OTA_OK)
		rc = follow(&run, command->deadline_ms, err);
	if (rc == OTA_OK)
		rc = judge(&run, err);
	if (rc == OTA_OK && ota_buf_add(out, ota_buf_bytes(&run.said)) != OTA_OK)
		rc = ota_fail(err, OTA_E_NOMEM, "%s", run.name);
	return rc;
}
