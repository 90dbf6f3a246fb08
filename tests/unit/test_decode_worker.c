#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "agent/core/decode_wire.h"
#include "agent/core/overlay.h"
#include "agent/port/decode_sandbox.h"
#include "agent/port/decode_worker.h"
#include "proto/base/le.h"
#include "proto/base/own.h"
#include "proto/delta/encode.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

/* The process that decodes, in a child of the test, between files. What it gives up for
 * good is only pretended here, or it could not write down which branches it took; that it
 * is given up is shown by tests/integration/test_decode_child.c. */

enum {
	OVER_LEN = OTA_BLOCK_LEN_MIN,
	IMAGE_LEN = 5 * OVER_LEN + 1000,
	RAM_MAX = 16 << 20
};

static struct ota_buf from, to, patch;
static struct ota_manifest manifest;
static struct faults *walk; /* shared with the child */
static bool is_deaf;        /* whoever it answers */
static char in_path[64], out_path[64], from_path[64], over_path[64];

/* ---- the end of the child ---- */

void __gcov_dump(void);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

void __wrap__exit(int status)
{
	(void)faults_disarm(walk);
#ifdef LINES_ARE_COUNTED
	__gcov_dump();
#endif
	__real__exit(status);
}

/* ---- what it is given ---- */

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

static void write_file(const char *path, struct ota_bytes bytes)
{
	cr_assert_eq(ota_file_replace(path, bytes, 0600, NULL), OTA_OK);
}

static void make_patch(void)
{
	struct ota_bytes old = ota_buf_bytes(&from), new;
	struct ota_source source = ota_source_of(&old), target;
	const struct ota_sink sink = { .ctx = &patch, .write = keep };
	struct ota_encode_job job = { .codec = OTA_CODEC_VCDIFF,
		.from = &source,
		.to = &target,
		.options = { .level = 1 } };
	uint64_t x = 88172645463325252;

	for (size_t i = 0; i < IMAGE_LEN; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		cr_assert_eq(ota_buf_add_u8(&from, (uint8_t)x), OTA_OK);
	}
	cr_assert_eq(ota_buf_add(&to, ota_buf_bytes(&from)), OTA_OK);
	memset(to.at + IMAGE_LEN / 2, 7, 1000);
	old = ota_buf_bytes(&from);
	new = ota_buf_bytes(&to);
	source = ota_source_of(&old);
	target = ota_source_of(&new);
	cr_assert_eq(ota_patch_encode(&job, &sink, &manifest, NULL), OTA_OK);
}

/* Its input: what is to be done, what is in place, and the patch. */
static void write_input(uint64_t in_place)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf input = { 0 };
	const struct decode_head head = {
		.manifest = manifest, .ram_max = RAM_MAX, .source_len = IMAGE_LEN
	};
	uint8_t bytes[DECODE_HEAD_LEN], have[DECODE_HAVE_LEN];

	ota_le64_set(have, in_place);
	decode_head_encode(&head, bytes);
	cr_assert_eq(
		ota_buf_add(&input, (struct ota_bytes){ bytes, sizeof bytes }), OTA_OK);
	cr_assert_eq(
		ota_buf_add(&input, (struct ota_bytes){ have, sizeof have }), OTA_OK);
	cr_assert_eq(ota_buf_add(&input, (struct ota_bytes){ to.at, in_place }), OTA_OK);
	cr_assert_eq(ota_buf_add(&input, ota_buf_bytes(&patch)), OTA_OK);
	write_file(in_path, ota_buf_bytes(&input));
}

static void set_up(void)
{
	temporary_in_memory = true;
	temporary_make();
	(void)snprintf(in_path, sizeof in_path, "%s/in", temporary_dir);
	(void)snprintf(out_path, sizeof out_path, "%s/out", temporary_dir);
	(void)snprintf(from_path, sizeof from_path, "%s/from", temporary_dir);
	(void)snprintf(over_path, sizeof over_path, "%s/over", temporary_dir);
	walk = mmap(NULL, sizeof *walk, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(walk, MAP_FAILED);
	*walk = (struct faults){ 0 };
	make_patch();
	write_input(0);
	write_file(from_path, ota_buf_bytes(&from));
	write_file(over_path, (struct ota_bytes){ 0 });
}

static void tear_down(void)
{
	ota_buf_fini(&from);
	ota_buf_fini(&to);
	ota_buf_fini(&patch);
	ota_manifest_fini(&manifest);
	(void)munmap(walk, sizeof *walk);
	temporary_remove();
}

TestSuite(decode_worker, .init = set_up, .fini = tear_down, .timeout = 60);

/* ---- its life ---- */

static void be_worker(void)
{
	const int fds[] = { open(in_path, O_RDONLY | O_CLOEXEC),
		open(is_deaf ? "/dev/full" : out_path, O_WRONLY | O_TRUNC | O_CLOEXEC),
		open(from_path, O_RDONLY | O_CLOEXEC),
		open(over_path, O_RDONLY | O_CLOEXEC) };

	for (int i = 0; i < 4; i++)
		(void)dup2(fds[i], 100 + i);
	for (int i = 0; i < 4; i++)
		(void)dup2(100 + i, i);
	faults_pretend("setgroups setresgid setresuid setrlimit64 seccomp_load prctl ");
	faults_arm(walk);
	(void)decode_worker_run();
	__wrap__exit(77);
}

/* Its exit status. */
static int run_worker(void)
{
	int status;
	pid_t pid;

	write_file(out_path, (struct ota_bytes){ 0 });
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		be_worker();
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "%s: status %x", faults_text(walk), status);
	return WEXITSTATUS(status);
}

/* What it answered last; its image to out. */
static enum decode_answer_kind last_answer(struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	struct decode_answer answer = { 0 };
	size_t at = 0;

	out->len = 0;
	cr_assert_eq(ota_file_read(out_path, 1 << 20, &said, NULL), OTA_OK);
	while (said.len - at >= DECODE_ANSWER_LEN) {
		const struct ota_bytes head = { said.at + at, DECODE_ANSWER_LEN };

		cr_assert_eq(decode_answer_parse(head, &answer, NULL), OTA_OK);
		at += DECODE_ANSWER_LEN;
		cr_assert_leq(answer.len, said.len - at);
		if (answer.kind == DECODE_DATA)
			cr_assert_eq(ota_buf_add(out, (struct ota_bytes){ said.at + at,
							      answer.len }),
				OTA_OK);
		at += answer.len;
	}
	return answer.kind;
}

static bool is_made(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };

	return last_answer(&image) == DECODE_DONE &&
	       ota_bytes_equal(ota_buf_bytes(&image), ota_buf_bytes(&to));
}

/* Blocks that stand for those of the source, which are spoiled there. */
static void write_overlay(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct overlay overlay = { .block_len = OVER_LEN };
	size_t at = overlay_add(&overlay, 3);

	cr_assert_eq(overlay_encode(&overlay, &bytes), OTA_OK);
	while (bytes.len < at)
		cr_assert_eq(ota_buf_add_u8(&bytes, 0), OTA_OK);
	cr_assert_eq(ota_buf_add(&bytes,
			     (struct ota_bytes){ from.at + 3 * OVER_LEN, OVER_LEN }),
		OTA_OK);
	write_file(over_path, ota_buf_bytes(&bytes));
	memset(from.at + 3 * OVER_LEN, 0, OVER_LEN);
	write_file(from_path, ota_buf_bytes(&from));
}

Test(decode_worker, a_patch_between_files)
{
	(void)faults_next(walk);
	cr_expect_eq(run_worker(), 0);
	cr_expect(is_made());
	write_overlay();
	cr_expect_eq(run_worker(), 0);
	cr_expect(is_made(), "what stands for a block is read");
	write_file(over_path, (struct ota_bytes){ 0 });
	cr_expect_eq(run_worker(), 0);
	cr_expect_not(is_made(), "and is needed");
}

Test(decode_worker, what_is_in_place_is_not_made_again)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };

	(void)faults_next(walk);
	write_input(100000);
	cr_expect_eq(run_worker(), 0);
	cr_expect_eq(last_answer(&image), DECODE_DONE);
	cr_expect_eq(image.len, IMAGE_LEN - 100000);
}

Test(decode_worker, an_overlay_that_is_none_is_told)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };

	(void)faults_next(walk);
	write_file(over_path, ota_bytes_of("no overlay but long enough"));
	cr_expect_eq(run_worker(), 0);
	cr_expect_eq(last_answer(&image), DECODE_FAILED);
	write_file(over_path, ota_bytes_of("OTV1"));
	cr_expect_eq(run_worker(), 0);
	cr_expect_eq(last_answer(&image), DECODE_FAILED);
}

Test(decode_worker, a_patch_that_ends_early_is_no_image)
{
	(void)faults_next(walk);
	patch.len -= 1;
	write_input(0);
	cr_expect_eq(run_worker(), 0);
	cr_expect_not(is_made());
}

/* What is read from it reaches into a block that stands in the overlay. */
Test(decode_worker, a_source_that_ends_early_is_told)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };

	(void)faults_next(walk);
	write_overlay();
	write_file(from_path, (struct ota_bytes){ from.at, OVER_LEN });
	cr_expect_eq(run_worker(), 0);
	cr_expect_eq(last_answer(&image), DECODE_FAILED);
}

Test(decode_worker, a_patch_that_is_none_is_not_read_to_its_end)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };

	(void)faults_next(walk);
	patch.len = 0;
	cr_assert_eq(ota_buf_add(&patch, ota_buf_bytes(&from)), OTA_OK);
	manifest.patch_len = patch.len;
	write_input(0);
	cr_expect_eq(run_worker(), 0);
	cr_expect_eq(last_answer(&image), DECODE_FAILED);
	cr_expect_eq(image.len, 0);
}

/* That it has failed is not told behind half an answer. */
Test(decode_worker, an_image_cut_off_by_a_failure_must_be_told_first)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
	unsigned deaf = 0;

	manifest.to.at[0] ^= 1; /* found at its end */
	write_input(0);
	walk->only = "write ";
	while (faults_next(walk)) {
		int status = run_worker();

		cr_expect_eq(status == 0, last_answer(&image) == DECODE_FAILED, "%s",
			faults_text(walk));
		deaf += status != 0;
	}
	cr_expect_geq(deaf, 3, "READY, the image, its failure: %u", deaf);
}

Test(decode_worker, with_nobody_to_answer_it_ends_with_1)
{
	(void)faults_next(walk);
	is_deaf = true;
	cr_expect_eq(run_worker(), 1);
	patch.len -= 1;
	write_input(0);
	cr_expect_eq(run_worker(), 1);
}

/* What is only pretended: in the second no file can be written any more. */
static const char most[] = "setgroups setresgid setresuid seccomp_load setrlimit64 ";
static const char some[] = "setgroups setresgid setresuid seccomp_load ";

/* Whether a process that goes there may hold as much memory as before. */
static bool has_all_memory(uint64_t heap_bytes, const char *pretended)
{
	void (*const leave)(int) = pretended == most ? __wrap__exit : __real__exit;
	const struct decode_limits limits = { .heap_bytes = heap_bytes, .cpu_s = 1 };
	struct rlimit memory;
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		faults_pretend(pretended);
		if (decode_sandbox_enter(&limits, NULL) != OTA_OK ||
			getrlimit(RLIMIT_AS, &memory) != 0)
			leave(2);
		leave(memory.rlim_cur == RLIM_INFINITY ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(status == 0 || WEXITSTATUS(status) == 1, "status %x", status);
	return status == 0;
}

/* Between limits that are there already, and with all memory there is. */
Test(decode_worker, a_limit_that_is_lower_stays)
{
	static const uint64_t shares = UINT64_MAX / (DECODE_AS_SHARE + 1);

	cr_expect(has_all_memory(UINT64_MAX, most));
	cr_expect(has_all_memory(shares * DECODE_AS_SHARE, most));
	cr_expect(has_all_memory(UINT64_MAX, some));
	cr_expect(has_all_memory(shares * DECODE_AS_SHARE, some), "no sum is too large");
	cr_expect_eq(decode_cpu_s(UINT64_MAX, UINT64_MAX), 24 * 3600);
	cr_expect_eq(decode_cpu_s(0, 0), 60);
}

Test(decode_worker, any_call_may_fail)
{
	unsigned told = 0;

	write_overlay();
	while (faults_next(walk)) {
		OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
		int status = run_worker();

		cr_expect(
			status == 1 || is_made() || last_answer(&image) == DECODE_FAILED,
			"%s", faults_text(walk));
		told += status == 0 && !is_made();
	}
	cr_expect_gt(told, 20);
}
