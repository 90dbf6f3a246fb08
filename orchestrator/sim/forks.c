#include "orchestrator/sim/forks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "proto/base/own.h"

struct child {
	pid_t pid;
	int fd; /* owned; its result comes through it */
};

static unsigned processors(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	if (count < 1)
		return 1;
	return count > FORKS_MAX ? FORKS_MAX : (unsigned)count;
}

static bool write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static bool read_all(int fd, void *data, size_t len)
{
	char *at = data;

	while (len > 0) {
		ssize_t n = read(fd, at, len);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static _Noreturn void play_one(const struct forks *forks, uint32_t index, int fd)
{
	struct ota_error err = { 0 };
	void *out = calloc(1, forks->out_len);
	bool ok = out != NULL;

	if (ok)
		err.code = forks->run(forks->ctx, index, out, &err);
	ok = ok && write_all(fd, &err, sizeof err) && write_all(fd, out, forks->out_len);
	_exit(ok ? 0 : 1); /* what is printed at exit is the parent's */
}

static enum ota_code begin(const struct forks *forks, uint32_t index, struct child *child,
	struct ota_error *err)
{
	int ends[2];

	if (pipe(ends) != 0)
		return ota_fail(err, OTA_E_IO, "pipe: %s", strerror(errno));
	child->pid = fork();
	if (child->pid == 0) {
		(void)close(ends[0]);
		play_one(forks, index, ends[1]);
	}
	(void)close(ends[1]);
	child->fd = ends[0];
	if (child->pid < 0) {
		(void)close(ends[0]);
		return ota_fail(err, OTA_E_IO, "fork: %s", strerror(errno));
	}
	return OTA_OK;
}

/* The result of a run, and the end of its process. */
static enum ota_code end(const struct forks *forks, uint32_t index,
	const struct child *child, void *out, struct ota_error *err)
{
	struct ota_error told = { 0 };
	bool ok =
		read_all(child->fd, &told, sizeof told) &&
		read_all(child->fd, (char *)out + index * forks->out_len, forks->out_len);
	int status;

	(void)close(child->fd);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ok)
		return ota_fail(err, OTA_E_IO, "run %u ended by itself", index);
	if (told.code != OTA_OK)
		return ota_fail(err, told.code, "run %u: %s", index, told.text);
	return OTA_OK;
}

enum ota_code forks_play(
	const struct forks *forks, uint32_t runs, void *out, struct ota_error *err)
{
	unsigned at_once = forks->at_once != 0 ? forks->at_once : processors();
	struct child children[FORKS_MAX];
	enum ota_code rc = OTA_OK;
	uint32_t begun = 0;

	for (uint32_t done = 0; done < runs; done++) {
		struct ota_error *told = rc == OTA_OK ? err : NULL;
		enum ota_code ended;

		while (rc == OTA_OK && begun < runs && begun < done + at_once) {
			rc = begin(forks, begun, &children[begun % FORKS_MAX], err);
			begun += rc == OTA_OK;
		}
		if (done == begun)
			break;
		ended = end(forks, done, &children[done % FORKS_MAX], out, told);
		rc = rc == OTA_OK ? ended : rc;
		if (forks->done != NULL)
			forks->done(forks->ctx, done, runs);
	}
	return rc;
}
