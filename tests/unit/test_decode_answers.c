#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "agent/core/decode_wire.h"
#include "agent/port/decode_child.h"
#include "proto/base/own.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

/* Workers that are shell scripts: they answer what no decoder would, and when. */

#define READY "\\001\\000\\000\\000\\000\\000\\000\\000"
#define DATA  "\\002\\000\\000\\000\\003\\000\\000\\000new"
#define DONE                                                                             \
	"\\003\\000\\000\\000\\010\\000\\000\\000\\007\\000\\000\\000\\000\\000\\000\\0" \
	"00"

enum { PATCH_LEN = 2, TO_LEN = 3, LOW_FDS = 4 };

/* All that a worker is told: what is to be done, what is in place, and the patch. */
_Static_assert(DECODE_HEAD_LEN + DECODE_HAVE_LEN + PATCH_LEN == 106, "head -c");
#define HEAR "[ $(head -c 106 | wc -c) = 106 ] || exit 1\n"

static const struct ota_manifest manifest = { .patch_len = PATCH_LEN, .to_len = TO_LEN };
static struct ota_buf image;
static char program[64];
static atomic_bool stop;

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

/* The worker is such a script. */
static void write_worker(const char *body)
{
	char script[1024];

	(void)snprintf(script, sizeof script, "#!/bin/sh\n%s", body);
	temporary_write("worker", script);
	(void)snprintf(program, sizeof program, "%s/worker", temporary_dir);
	cr_assert_eq(chmod(program, 0700), 0);
}

static void set_up(void)
{
	temporary_make();
}

static void tear_down(void)
{
	ota_buf_fini(&image);
	temporary_remove();
}

TestSuite(decode_answers, .init = set_up, .fini = tear_down, .timeout = 60);

static struct decode_job job_of(void)
{
	return (struct decode_job){ .manifest = &manifest,
		.from_fd = -1,
		.overlay_fd = -1,
		.out = { .ctx = &image, .write = keep },
		.ram_max = 1 << 20,
		.program = program };
}

static void free_child(struct decode_child **child)
{
	decode_child_free(*child);
}

static enum ota_code run(const struct decode_job *job, struct ota_error *err)
{
	const struct ota_source nothing = { 0 };
	OTA_AUTO(free_child) struct decode_child *child = NULL;
	enum ota_code rc = decode_child_new(job, &child, err);

	image.len = 0;
	if (rc == OTA_OK)
		rc = decode_child_resume(child, &nothing, err);
	if (rc == OTA_OK)
		rc = decode_child_feed(child, ota_bytes_of("ab"), err);
	if (rc == OTA_OK)
		rc = decode_child_finish(child, err);
	cr_expect(rc != OTA_OK || decode_child_ram_peak(child) == 7);
	return rc;
}

static bool is_made(void)
{
	return ota_bytes_equal(ota_buf_bytes(&image), ota_bytes_of("new"));
}

/* ---- what they answer ---- */

static void expect(const char *body, enum ota_code code, const char *text)
{
	const struct decode_job job = job_of();
	struct ota_error err = { 0 };

	write_worker(body);
	cr_expect_eq(run(&job, &err), code, "%s: %s", body, err.text);
	cr_expect_str_eq(err.text, text, "%s", body);
}

/* It is told to go on only when the first part was heard. */
Test(decode_answers, an_answer_in_parts_is_one)
{
	const char *body = "printf '" READY "\\002\\000\\000'\n" HEAR
			   "printf '\\000\\003\\000\\000\\000new" DONE "'\n";

	expect(body, OTA_OK, "");
	cr_expect(is_made());
}

Test(decode_answers, what_is_said_too_early_or_too_late_is_nonsense)
{
	expect("printf '" READY DATA "'\nexec cat >/dev/null", OTA_E_DECODER,
		"decoder spoke nonsense: more bytes than the image has");
	expect("printf '" READY DONE "'\nexec cat >/dev/null", OTA_E_DECODER,
		"decoder spoke nonsense: done before the image is whole");
	expect("printf '" READY "'\n" HEAR "printf '" DATA DONE "x'\n", OTA_E_DECODER,
		"decoder spoke nonsense: more after the end");
}

/* ---- one that only listens ---- */

static struct decode_child *begin_listener(const struct decode_job *job)
{
	struct decode_child *child = NULL;
	struct ota_error err = { 0 };

	write_worker("printf '" READY "'\nexec sleep 600\n");
	cr_assert_eq(decode_child_new(job, &child, &err), OTA_OK, "%s", err.text);
	return child;
}

static enum ota_code read_nothing(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	(void)ctx, (void)offset, (void)out, (void)len;
	return OTA_E_MEDIA;
}

Test(decode_answers, what_is_in_place_must_be_readable_and_fit)
{
	const struct decode_job job = job_of();
	struct ota_source have = { .read = read_nothing, .len = TO_LEN + 1 };
	struct ota_error err = { 0 };
	OTA_AUTO(free_child) struct decode_child *child = begin_listener(&job);

	cr_expect_eq(decode_child_resume(child, &have, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "4 bytes are in place, the image has 3");
	have.len = 1;
	cr_expect_eq(decode_child_resume(child, &have, &err), OTA_E_MEDIA);
	cr_expect_not_null(strstr(err.text, "read what is in place: "), "%s", err.text);
}

Test(decode_answers, told_to_stop_it_neither_goes_on_nor_finishes)
{
	struct decode_job job = job_of();
	const struct ota_source have = { .read = read_nothing, .len = 1 };
	OTA_AUTO(free_child) struct decode_child *first = NULL;
	OTA_AUTO(free_child) struct decode_child *second = NULL;

	job.stop = &stop;
	first = begin_listener(&job);
	second = begin_listener(&job);
	atomic_store(&stop, true);
	cr_expect_eq(decode_child_resume(first, &have, NULL), OTA_E_CANCELLED);
	cr_expect_eq(decode_child_finish(second, NULL), OTA_E_CANCELLED);
}

/* So few descriptors that poll() takes none. */
Test(decode_answers, a_wait_that_fails_ends_it)
{
	const struct decode_job job = job_of();
	struct rlimit before, few;
	struct ota_error err = { 0 };
	OTA_AUTO(free_child) struct decode_child *child = begin_listener(&job);
	pid_t pid = decode_child_pid(child);

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ 1, before.rlim_max };
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	cr_expect_eq(decode_child_feed(child, ota_bytes_of("ab"), &err), OTA_E_IO);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_expect_str_eq(err.text, "decoder: Invalid argument");
	cr_expect_lt(kill(pid, 0), 0, "its process is gone");
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

Test(decode_answers, a_wait_that_is_interrupted_goes_on)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { 0 };
	struct decode_job job = job_of();
	struct ota_error err = { 0 };
	OTA_AUTO(free_child) struct decode_child *child = NULL;

	job.idle_ms = 1000;
	child = begin_listener(&job);
	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	cr_assert_eq(decode_child_feed(child, ota_bytes_of("ab"), &err), OTA_OK);
	cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	cr_expect_eq(decode_child_finish(child, &err), OTA_E_TIMEOUT);
	cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	cr_expect_gt(alarms, 10);
	cr_expect_str_eq(err.text, "decoder stood still for 1 s");
}

/* ---- each call that fails ---- */

/* With the descriptors free that the worker's are to be. */
static enum ota_code run_low(struct faults *walk, struct ota_error *err)
{
	const struct decode_job job = job_of();
	enum ota_code rc;
	int kept[LOW_FDS];

	for (int fd = 0; fd < LOW_FDS; fd++) {
		kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		(void)close(fd);
	}
	faults_arm(walk);
	rc = run(&job, err);
	(void)faults_disarm(walk);
	for (int fd = 0; fd < LOW_FDS; fd++)
		if (kept[fd] >= 0) {
			(void)dup2(kept[fd], fd);
			(void)close(kept[fd]);
		}
	return rc;
}

Test(decode_answers, any_call_may_fail)
{
	struct faults walk = { 0 };
	unsigned told = 0;

	write_worker("printf '" READY "'\n" HEAR "printf '" DATA DONE "'\n");
	while (faults_next(&walk)) {
		struct ota_error err = { 0 };
		enum ota_code rc = run_low(&walk, &err);

		cr_expect(rc == OTA_OK ? is_made()
				       : (rc == OTA_E_IO || rc == OTA_E_NOMEM ||
						 rc == OTA_E_DECODER),
			"%s: %s", faults_text(&walk), err.text);
		cr_expect_eq(rc == OTA_OK, err.text[0] == '\0', "%s", faults_text(&walk));
		told += rc != OTA_OK;
	}
	cr_expect_gt(told, 15);
	cr_log_info("%u of %u told", told, walk.count);
}
