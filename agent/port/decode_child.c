#include "agent/port/decode_child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/core/decode_wire.h"
#include "agent/port/decode_sandbox.h"
#include "proto/base/le.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

enum {
	TICK_MS = 100, /* how often *stop is looked at */
	IDLE_MIN_MS = 120000,
	IDLE_BYTES_PER_MS = 1024, /* of an image that is made once more without a word */
	IDLE_MAX_MS = 3600000,
	PIPE_LEN = DECODE_DATA_MAX,
	HAVE_PIECE_LEN = 64 << 10,
	FIRST_FD = 4, /* that is not one of the worker's */
};

struct decode_child {
	pid_t pid;  /* 0: has been waited for */
	int in_fd;  /* owned; to the worker; -1: it does not listen any more */
	int out_fd; /* owned; from the worker */
	struct ota_sink out;
	const atomic_bool *stop; /* borrowed, or NULL */
	uint64_t to_len, have_len, written;
	uint64_t patch_left; /* bytes that are not fed yet */
	uint64_t idle_ms, moved_ms;
	uint64_t ram_peak;
	uint32_t cpu_s;
	bool ready, begun, done;

	uint8_t head[DECODE_ANSWER_LEN]; /* of the answer that comes */
	size_t head_len;
	struct decode_answer answer; /* once the head is whole */
	uint32_t answer_left;
	uint8_t payload[DECODE_PAYLOAD_MAX]; /* but of DATA */
	uint8_t room[PIPE_LEN];
};

/* ---- its end ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* Wait for its end; returns the status that waitpid tells. */
static int reap(struct decode_child *c)
{
	int status = 0;

	while (c->pid > 0 && waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	return status;
}

static void end(struct decode_child *c)
{
	if (c->pid > 0)
		(void)kill(c->pid, SIGKILL);
	(void)reap(c);
}

/* clang-format off */
static const struct {
	int number;
	const char *text;
} deaths[] = {
	{ SIGSYS,  "SIGSYS (it asked for what it may not do)" },
	{ SIGSEGV, "SIGSEGV" },
	{ SIGBUS,  "SIGBUS" },
	{ SIGFPE,  "SIGFPE" },
	{ SIGILL,  "SIGILL" },
	{ SIGABRT, "SIGABRT" },
	{ SIGTRAP, "SIGTRAP" },
	{ SIGTERM, "SIGTERM" },
	{ SIGKILL, "SIGKILL (by the system when it is out of memory, or by an operator)" },
};
/* clang-format on */

/* It said nothing any more: why? */
static OTA_CHECKED enum ota_code tell_death(struct decode_child *c, struct ota_error *err)
{
	int status = reap(c), number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (number == 0)
		return ota_fail(err, OTA_E_DECODER,
			"decoder ended with status %d without an answer",
			WEXITSTATUS(status));
	if (number == SIGXCPU)
		return ota_fail(err, OTA_E_DECODER,
			"decoder died of SIGXCPU (over %" PRIu32 " s of processor time)",
			c->cpu_s);
	for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++)
		if (deaths[i].number == number)
			return ota_fail(
				err, OTA_E_DECODER, "decoder died of %s", deaths[i].text);
	return ota_fail(err, OTA_E_DECODER, "decoder died of signal %d", number);
}

static OTA_CHECKED enum ota_code nonsense(struct ota_error *err, const char *what)
{
	return ota_fail(err, OTA_E_DECODER, "decoder spoke nonsense: %s", what);
}

/* ---- what it answers ---- */

static OTA_CHECKED enum ota_code take_data(
	struct decode_child *c, struct ota_bytes data, struct ota_error *err)
{
	uint64_t room = c->to_len - c->have_len - c->written;
	enum ota_code rc;

	if (!c->begun || data.len > room)
		return nonsense(err, "more bytes than the image has");
	rc = c->out.write(c->out.ctx, data);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "write the image at %" PRIu64 ": %s",
			c->have_len + c->written, ota_code_text(rc));
	c->written += data.len;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_done(struct decode_child *c, struct ota_error *err)
{
	if (c->patch_left > 0 || c->have_len + c->written != c->to_len)
		return nonsense(err, "done before the image is whole");
	c->ram_peak = ota_le64(c->payload);
	c->done = true;
	return OTA_OK;
}

/* An answer is whole. */
static OTA_CHECKED enum ota_code take_answer(
	struct decode_child *c, struct ota_error *err)
{
	enum ota_code rc;

	c->head_len = 0;
	switch (c->answer.kind) {
	case DECODE_READY:
		rc = c->ready ? nonsense(err, "ready twice") : OTA_OK;
		c->ready = true;
		return rc;
	case DECODE_DATA:
		return OTA_OK;
	case DECODE_DONE:
		return take_done(c, err);
	case DECODE_FAILED:
		break;
	}
	return decode_failed_parse((struct ota_bytes){ c->payload, c->answer.len }, err);
}

static OTA_CHECKED enum ota_code take_head(
	struct decode_child *c, struct ota_bytes *in, struct ota_error *err)
{
	size_t n = sizeof c->head - c->head_len;
	struct ota_error why = { 0 };

	if (c->done)
		return nonsense(err, "more after the end");
	n = n < in->len ? n : in->len;
	memcpy(c->head + c->head_len, in->at, n);
	c->head_len += n;
	*in = (struct ota_bytes){ in->at + n, in->len - n };
	if (c->head_len < sizeof c->head)
		return OTA_OK;
	if (decode_answer_parse((struct ota_bytes){ c->head, sizeof c->head }, &c->answer,
		    &why) != OTA_OK)
		return nonsense(err, why.text);
	c->answer_left = c->answer.len;
	return c->answer_left == 0 ? take_answer(c, err) : OTA_OK;
}

static OTA_CHECKED enum ota_code take_payload(
	struct decode_child *c, struct ota_bytes *in, struct ota_error *err)
{
	size_t n = in->len < c->answer_left ? in->len : c->answer_left;
	enum ota_code rc = OTA_OK;

	if (c->answer.kind == DECODE_DATA)
		rc = take_data(c, (struct ota_bytes){ in->at, n }, err);
	else
		memcpy(c->payload + c->answer.len - c->answer_left, in->at, n);
	*in = (struct ota_bytes){ in->at + n, in->len - n };
	c->answer_left -= (uint32_t)n;
	return rc == OTA_OK && c->answer_left == 0 ? take_answer(c, err) : rc;
}

static OTA_CHECKED enum ota_code take(
	struct decode_child *c, struct ota_bytes in, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	while (in.len > 0 && rc == OTA_OK)
		rc = c->head_len < sizeof c->head ? take_head(c, &in, err)
						  : take_payload(c, &in, err);
	return rc;
}

/* ---- both directions ---- */

static OTA_CHECKED enum ota_code hear(struct decode_child *c, struct ota_error *err)
{
	ssize_t n = read(c->out_fd, c->room, sizeof c->room);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return OTA_OK;
	if (n < 0)
		return ota_fail(err, OTA_E_IO, "decoder: %s", strerror(errno));
	if (n == 0)
		return tell_death(c, err);
	c->moved_ms = ota_clock_mono_ms();
	return take(c, (struct ota_bytes){ c->room, (size_t)n }, err);
}

/* A worker that does not read any more has answered why, or died. */
static void say(struct decode_child *c, struct ota_bytes *data)
{
	ssize_t n = send(c->in_fd, data->at, data->len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		close_fd(&c->in_fd);
		return;
	}
	*data = (struct ota_bytes){ data->at + n, data->len - (size_t)n };
	c->moved_ms = ota_clock_mono_ms();
}

static OTA_CHECKED enum ota_code check_time(struct decode_child *c, struct ota_error *err)
{
	if (c->stop != NULL && atomic_load(c->stop))
		return ota_fail(err, OTA_E_CANCELLED, "told to stop");
	if (ota_clock_mono_ms() - c->moved_ms > c->idle_ms)
		return ota_fail(err, OTA_E_TIMEOUT,
			"decoder stood still for %" PRIu64 " s", c->idle_ms / 1000);
	return OTA_OK;
}

/* Send what there is to send, take what there is to take, wait a moment if there is
 * neither. */
static OTA_CHECKED enum ota_code pump(
	struct decode_child *c, struct ota_bytes *data, struct ota_error *err)
{
	struct pollfd fds[] = { { .fd = c->out_fd, .events = POLLIN },
		{ .fd = data->len > 0 ? c->in_fd : -1, .events = POLLOUT } };
	enum ota_code rc = OTA_OK;

	if (poll(fds, 2, TICK_MS) < 0 && errno != EINTR)
		rc = ota_fail(err, OTA_E_IO, "decoder: %s", strerror(errno));
	if (rc == OTA_OK && fds[1].revents != 0)
		say(c, data);
	if (rc == OTA_OK && fds[0].revents != 0)
		rc = hear(c, err);
	if (rc == OTA_OK)
		rc = check_time(c, err);
	if (rc != OTA_OK)
		end(c);
	return rc;
}

static OTA_CHECKED enum ota_code send_all(
	struct decode_child *c, struct ota_bytes data, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	c->moved_ms = ota_clock_mono_ms(); /* the caller may have taken its time */
	while (data.len > 0 && rc == OTA_OK)
		rc = pump(c, &data, err);
	return rc;
}

/* ---- its beginning ---- */

/* The four ends of what connects us; -1: not open. */
struct ends {
	int in[2];  /* ours, the worker's */
	int out[2]; /* the worker's at 1, as pipe() has it */
	int from, over;
};

static void close_ends(struct ends *ends)
{
	close_fd(&ends->in[0]);
	close_fd(&ends->in[1]);
	close_fd(&ends->out[0]);
	close_fd(&ends->out[1]);
	close_fd(&ends->from);
	close_fd(&ends->over);
}

/* Away from the numbers that the worker's descriptors get. */
static bool move_up(int *fd)
{
	int moved;

	if (*fd >= FIRST_FD)
		return true;
	moved = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_FD);
	if (moved < 0)
		return false;
	close_fd(fd);
	*fd = moved;
	return true;
}

/* What is not there is read as empty. It is opened when the numbers of the worker's
 * descriptors are all taken: by us, if by nobody else. */
static int dup_source(int fd)
{
	return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD)
		       : open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static OTA_CHECKED enum ota_code open_ends(
	const struct decode_job *job, struct ends *ends, struct ota_error *err)
{
	bool opened = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends->in) == 0 &&
		      pipe2(ends->out, O_CLOEXEC) == 0;

	if (opened)
		ends->from = dup_source(job->from_fd);
	if (opened)
		ends->over = dup_source(job->overlay_fd > 0 ? job->overlay_fd : -1);
	if (!opened || ends->from < 0 || ends->over < 0 || !move_up(&ends->in[1]) ||
		!move_up(&ends->out[1]) || fcntl(ends->out[0], F_SETFL, O_NONBLOCK) != 0)
		return ota_fail(err, OTA_E_IO, "no descriptors for a decoder: %s",
			strerror(errno));
	/* A pipe of the usual 64 KiB is only slower. */
	(void)fcntl(ends->out[0], F_SETPIPE_SZ, PIPE_LEN);
	return OTA_OK;
}

/* Signals as they are at the start of a program, whatever this thread does with them. */
static void set_signals(posix_spawnattr_t *how)
{
	sigset_t none, all;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(how, &none);
	(void)posix_spawnattr_setsigdefault(how, &all);
	(void)posix_spawnattr_setflags(
		how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int set_files(posix_spawn_file_actions_t *files, const struct ends *ends)
{
	const int fds[][2] = { { ends->in[1], DECODE_FD_IN },
		{ ends->out[1], DECODE_FD_OUT }, { ends->from, DECODE_FD_FROM },
		{ ends->over, DECODE_FD_OVER } };
	int rc = 0;

	for (size_t i = 0; i < sizeof fds / sizeof fds[0] && rc == 0; i++)
		rc = posix_spawn_file_actions_adddup2(files, fds[i][0], fds[i][1]);
	return rc;
}

static int spawn(const char *program, const struct ends *ends, pid_t *pid)
{
	char name[] = "sluice-agent", role[] = "decode";
	char *const args[] = { name, role, NULL }, *const env[] = { NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	int rc;

	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawnattr_init(&how);
	set_signals(&how);
	rc = set_files(&files, ends);
	if (rc == 0)
		rc = posix_spawn(pid, program, &files, &how, args, env);
	(void)posix_spawnattr_destroy(&how);
	(void)posix_spawn_file_actions_destroy(&files);
	return rc;
}

static OTA_CHECKED enum ota_code start(
	struct decode_child *c, const struct decode_job *job, struct ota_error *err)
{
	OTA_AUTO(close_ends)
	struct ends ends = { { -1, -1 }, { -1, -1 }, -1, -1 };
	enum ota_code rc = open_ends(job, &ends, err);
	int failed;

	if (rc != OTA_OK)
		return rc;
	failed = spawn(
		job->program != NULL ? job->program : "/proc/self/exe", &ends, &c->pid);
	if (failed != 0) {
		c->pid = 0;
		return ota_fail(err, failed == ENOMEM ? OTA_E_NOMEM : OTA_E_IO,
			"decoder cannot be started: %s", strerror(failed));
	}
	c->in_fd = ends.in[0];
	c->out_fd = ends.out[0];
	ends.in[0] = ends.out[0] = -1;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code wait_ready(
	struct decode_child *c, const struct decode_job *job, struct ota_error *err)
{
	const struct decode_head head = { .manifest = *job->manifest,
		.ram_max = job->ram_max,
		.source_len = job->from_len };
	uint8_t bytes[DECODE_HEAD_LEN];
	struct ota_bytes nothing = { 0 };
	enum ota_code rc;

	decode_head_encode(&head, bytes);
	rc = send_all(c, (struct ota_bytes){ bytes, sizeof bytes }, err);
	while (rc == OTA_OK && !c->ready)
		rc = pump(c, &nothing, err);
	return rc;
}

static void free_child(struct decode_child **c)
{
	decode_child_free(*c);
}

enum ota_code decode_child_new(
	const struct decode_job *job, struct decode_child **out, struct ota_error *err)
{
	OTA_AUTO(free_child) struct decode_child *c = calloc(1, sizeof *c);
	const struct ota_manifest *m = job->manifest;
	uint64_t idle_ms = IDLE_MIN_MS + m->to_len / IDLE_BYTES_PER_MS;
	enum ota_code rc;

	if (c == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for a decoder");
	c->in_fd = c->out_fd = -1;
	c->out = job->out;
	c->stop = job->stop;
	c->to_len = m->to_len;
	c->patch_left = m->patch_len;
	c->cpu_s = decode_cpu_s(job->from_len, m->to_len);
	c->idle_ms = idle_ms < IDLE_MAX_MS ? idle_ms : IDLE_MAX_MS;
	if (job->idle_ms != 0)
		c->idle_ms = job->idle_ms;
	rc = start(c, job, err);
	if (rc == OTA_OK)
		rc = wait_ready(c, job, err);
	if (rc != OTA_OK)
		return rc;
	*out = ota_take(&c);
	return OTA_OK;
}

/* ---- its work ---- */

/* Once, before the patch. */
static OTA_CHECKED enum ota_code begin(
	struct decode_child *c, uint64_t have_len, struct ota_error *err)
{
	uint8_t bytes[DECODE_HAVE_LEN];

	if (c->begun)
		return OTA_OK;
	c->begun = true;
	c->have_len = have_len;
	ota_le64_set(bytes, have_len);
	return send_all(c, (struct ota_bytes){ bytes, sizeof bytes }, err);
}

enum ota_code decode_child_resume(
	struct decode_child *c, const struct ota_source *have, struct ota_error *err)
{
	ota_autofree uint8_t *piece = malloc(HAVE_PIECE_LEN);
	enum ota_code rc;
	size_t len;

	if (piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory to go on");
	if (have->len > c->to_len)
		return ota_fail(err, OTA_E_LIMIT,
			"%" PRIu64 " bytes are in place, the image has %" PRIu64,
			have->len, c->to_len);
	rc = begin(c, have->len, err);
	for (uint64_t at = 0; at < have->len && rc == OTA_OK; at += len) {
		uint64_t left = have->len - at;

		len = left < HAVE_PIECE_LEN ? (size_t)left : HAVE_PIECE_LEN;
		rc = have->read(have->ctx, at, piece, len);
		if (rc != OTA_OK)
			return ota_fail(
				err, rc, "read what is in place: %s", ota_code_text(rc));
		rc = send_all(c, (struct ota_bytes){ piece, len }, err);
	}
	return rc;
}

enum ota_code decode_child_feed(
	struct decode_child *c, struct ota_bytes data, struct ota_error *err)
{
	enum ota_code rc = begin(c, 0, err);

	if (rc != OTA_OK)
		return rc;
	if (data.len > c->patch_left)
		return ota_fail(
			err, OTA_E_DECODER, "the patch is longer than its manifest says");
	c->patch_left -= data.len;
	return send_all(c, data, err);
}

enum ota_code decode_child_finish(struct decode_child *c, struct ota_error *err)
{
	struct ota_bytes nothing = { 0 };
	enum ota_code rc = begin(c, 0, err);

	if (rc == OTA_OK && c->patch_left > 0)
		rc = ota_fail(err, OTA_E_DECODER, "the patch is %" PRIu64 " bytes short",
			c->patch_left);
	c->moved_ms = ota_clock_mono_ms();
	while (rc == OTA_OK && !c->done)
		rc = pump(c, &nothing, err);
	end(c);
	return rc;
}

uint64_t decode_child_written(const struct decode_child *c)
{
	return c->have_len + c->written;
}

uint64_t decode_child_ram_peak(const struct decode_child *c)
{
	return c->ram_peak;
}

pid_t decode_child_pid(const struct decode_child *c)
{
	return c->pid;
}

void decode_child_free(struct decode_child *c)
{
	if (c == NULL)
		return;
	end(c);
	close_fd(&c->in_fd);
	close_fd(&c->out_fd);
	free(c);
}
