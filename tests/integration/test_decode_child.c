#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zstd.h>

#include "agent/port/decode_child.h"
#include "agent/port/decode_sandbox.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "tests/unit/patch_kit.h"

/* The decoder as a process: the real `sluice-agent decode`, and one gone bad. */

enum { FROM_LEN = 3000000, TO_LEN = 3100000, RSS_MAX = 48 << 20 };

static struct kit_patch kit;
static struct kit_sink sink;
static atomic_bool stop;
static int from_fd = -1;

static void write_from(void)
{
	from_fd = memfd_create("from", MFD_CLOEXEC);
	cr_assert_geq(from_fd, 0);
	cr_assert_eq(write(from_fd, kit.from.at, kit.from.len), (ssize_t)kit.from.len);
}

static void make(uint8_t codec)
{
	struct ota_error err = { 0 };

	kit_images(&kit, FROM_LEN, TO_LEN, codec != OTA_CODEC_FULL);
	cr_assert_eq(kit_encode(&kit, codec, &err), OTA_OK, "%s", err.text);
	write_from();
}

/* A patch that is nothing but some bytes, for an image of to_len. */
static void craft(uint8_t codec, struct ota_bytes patch, uint64_t to_len)
{
	kit_noise(&kit.from, 1000, 1);
	kit.manifest = (struct ota_manifest){ .codec = codec,
		.window_log = 21,
		.patch_len = patch.len,
		.raw_len = UINT32_MAX,
		.from_len = 1000,
		.to_len = to_len };
	cr_assert_eq(ota_buf_add(&kit.patch, patch), OTA_OK);
	write_from();
}

static void fini(void)
{
	kit_patch_fini(&kit);
	ota_buf_fini(&sink.bytes);
	(void)close(from_fd);
}

TestSuite(decode_child, .fini = fini, .timeout = 100);

static struct decode_job job_of(const char *program)
{
	return (struct decode_job){ .manifest = &kit.manifest,
		.from_fd = from_fd,
		.from_len = kit.from.len,
		.out = kit_sink_port(&sink),
		.ram_max = OTA_DECODER_RAM,
		.stop = &stop,
		.program = program };
}

static void free_child(struct decode_child **child)
{
	decode_child_free(*child);
}

/* Feed kit.patch from byte `at` on, in pieces. */
static enum ota_code feed(
	struct decode_child *child, size_t at, size_t piece_len, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (size_t n; at < kit.patch.len && rc == OTA_OK; at += n) {
		n = kit.patch.len - at < piece_len ? kit.patch.len - at : piece_len;
		rc = decode_child_feed(
			child, (struct ota_bytes){ kit.patch.at + at, n }, err);
	}
	return rc == OTA_OK ? decode_child_finish(child, err) : rc;
}

/* A whole decoding. */
static enum ota_code run(const struct decode_job *job, struct ota_error *err)
{
	OTA_AUTO(free_child) struct decode_child *child = NULL;
	enum ota_code rc = decode_child_new(job, &child, err);

	return rc == OTA_OK ? feed(child, 0, OTA_CHUNK_LEN, err) : rc;
}

/* ---- what it makes ---- */

static const uint8_t codecs[] = { OTA_CODEC_FULL, OTA_CODEC_VCDIFF, OTA_CODEC_PREDICT };

ParameterizedTestParameters(decode_child, it_makes_the_image)
{
	static int rows[] = { 0, 1, 2 };

	return cr_make_param_array(int, rows, 3);
}

ParameterizedTest(int *row, decode_child, it_makes_the_image)
{
	struct kit_decoding here = { 0 };
	struct decode_job job;
	struct ota_error err = { 0 };
	OTA_AUTO(free_child) struct decode_child *child = NULL;

	make(codecs[*row]);
	cr_assert_eq(kit_decode(&kit, &here, &err), OTA_OK, "%s", err.text);
	job = job_of(AGENT);
	job.ram_max = kit.manifest.decoder_ram; /* not a byte more than was announced */
	cr_assert_eq(decode_child_new(&job, &child, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(feed(child, 0, kit.patch.len, &err), OTA_OK, "%s", err.text);
	cr_expect(kit_same(&sink.bytes, &kit.to));
	cr_expect_eq(decode_child_written(child), TO_LEN);
	cr_expect_eq(decode_child_ram_peak(child), here.peak);
	kit_decoding_fini(&here);
}

ParameterizedTestParameters(decode_child, it_goes_on_where_another_was_cut_off)
{
	static int rows[] = { 0, 1, 2 };

	return cr_make_param_array(int, rows, 3);
}

ParameterizedTest(int *row, decode_child, it_goes_on_where_another_was_cut_off)
{
	struct ota_bytes have;
	struct ota_source source;
	struct decode_job job;
	struct ota_error err = { 0 };
	OTA_AUTO(free_child) struct decode_child *child = NULL;

	make(codecs[*row]);
	have = (struct ota_bytes){ kit.to.at, 1234567 };
	source = ota_source_of(&have);
	job = job_of(AGENT);
	cr_assert_eq(decode_child_new(&job, &child, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(decode_child_resume(child, &source, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(decode_child_written(child), have.len);
	cr_assert_eq(feed(child, 0, 5000, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(decode_child_written(child), TO_LEN);
	cr_assert_eq(sink.bytes.len, TO_LEN - have.len);
	cr_expect_eq(memcmp(sink.bytes.at, kit.to.at + have.len, sink.bytes.len), 0);
}

/* ---- what it refuses ---- */

static void expect(enum ota_code got, enum ota_code want, const struct ota_error *err,
	const char *text)
{
	cr_expect_eq(got, want, "%s: %s", ota_code_name(got), err->text);
	cr_expect_str_eq(err->text, text);
}

Test(decode_child, a_refusal_keeps_its_code_and_its_text)
{
	struct ota_error err = { 0 };
	struct decode_job job;

	make(OTA_CODEC_VCDIFF);
	job = job_of(AGENT);
	job.ram_max = 1000;
	kit.manifest.decoder_ram = 2000;
	expect(run(&job, &err), OTA_E_NORAM, &err,
		"decoder needs 2000 bytes, allowed are 1000");
	job = job_of(AGENT);
	job.from_len = 5;
	expect(run(&job, &err), OTA_E_PRECURSOR, &err,
		"the source image has 5 bytes, the patch is for 3000000");
	job = job_of(AGENT);
	kit.manifest.to.at[0] ^= 1;
	expect(run(&job, &err), OTA_E_DIGEST, &err, "the image does not have its digest");
	kit.manifest.codec = 99;
	expect(run(&job, &err), OTA_E_NOTFOUND, &err, "codec 99 is not built in");
}

Test(decode_child, a_broken_patch_is_the_decoders_own_refusal)
{
	struct ota_error err = { 0 };
	struct decode_job job;

	craft(OTA_CODEC_FULL, ota_bytes_of("no zstd, and so on"), 2000);
	job = job_of(AGENT);
	expect(run(&job, &err), OTA_E_DECODER, &err, "not a zstd frame");
}

Test(decode_child, what_the_sink_says_ends_it)
{
	struct ota_error err = { 0 };
	struct decode_job job;

	make(OTA_CODEC_VCDIFF);
	sink.fail_at = 1;
	sink.fail_code = OTA_E_NOSPACE;
	job = job_of(AGENT);
	expect(run(&job, &err), OTA_E_NOSPACE, &err,
		"write the image at 0: not enough room for the update");
}

Test(decode_child, a_patch_of_another_length_is_refused)
{
	struct ota_error err = { 0 };
	struct decode_job job;
	OTA_AUTO(free_child) struct decode_child *child = NULL;

	make(OTA_CODEC_VCDIFF);
	job = job_of(AGENT);
	kit.manifest.patch_len++;
	expect(run(&job, &err), OTA_E_DECODER, &err, "the patch is 1 bytes short");
	kit.manifest.patch_len -= 2;
	cr_assert_eq(decode_child_new(&job, &child, &err), OTA_OK);
	expect(feed(child, 0, kit.patch.len, &err), OTA_E_DECODER, &err,
		"the patch is longer than its manifest says");
}

/* ---- what becomes of it ---- */

static const struct death {
	int number;
	const char *text;
} deaths[] = {
	{ SIGSYS, "decoder died of SIGSYS (it asked for what it may not do)" },
	{ SIGKILL, "decoder died of SIGKILL (by the system when it is out of memory, or "
		   "by an operator)" },
	{ SIGXCPU, "decoder died of SIGXCPU (over 82 s of processor time)" },
	{ SIGUSR1, "decoder died of signal 10" },
};

ParameterizedTestParameters(decode_child, its_death_in_the_middle_is_a_failure)
{
	static int rows[] = { 0, 1, 2, 3 };

	return cr_make_param_array(int, rows, sizeof deaths / sizeof deaths[0]);
}

ParameterizedTest(int *row, decode_child, its_death_in_the_middle_is_a_failure)
{
	struct ota_error err = { 0 };
	struct decode_job job;
	OTA_AUTO(free_child) struct decode_child *child = NULL;
	size_t half;

	make(OTA_CODEC_FULL);
	half = kit.patch.len / 2;
	job = job_of(AGENT);
	cr_assert_eq(decode_child_new(&job, &child, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(
		decode_child_feed(child, (struct ota_bytes){ kit.patch.at, half }, &err),
		OTA_OK, "%s", err.text);
	cr_assert_eq(kill(decode_child_pid(child), deaths[*row].number), 0);
	expect(feed(child, half, OTA_CHUNK_LEN, &err), OTA_E_DECODER, &err,
		deaths[*row].text);
}

Test(decode_child, told_to_stop_it_stops_and_leaves_no_process)
{
	struct ota_error err = { 0 };
	struct decode_job job;
	OTA_AUTO(free_child) struct decode_child *child = NULL;
	pid_t pid;

	make(OTA_CODEC_FULL);
	job = job_of(AGENT);
	cr_assert_eq(decode_child_new(&job, &child, &err), OTA_OK, "%s", err.text);
	pid = decode_child_pid(child);
	cr_assert_eq(kill(pid, SIGSTOP), 0);
	atomic_store(&stop, true);
	expect(feed(child, 0, OTA_CHUNK_LEN, &err), OTA_E_CANCELLED, &err,
		"told to stop");
	cr_expect(kill(pid, 0) < 0 && errno == ESRCH);
}

Test(decode_child, one_that_stands_still_is_given_up)
{
	struct ota_error err = { 0 };
	struct decode_job job;
	OTA_AUTO(free_child) struct decode_child *child = NULL;
	uint64_t begin_ms;

	make(OTA_CODEC_FULL);
	job = job_of(AGENT);
	job.idle_ms = 1000;
	cr_assert_eq(decode_child_new(&job, &child, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(kill(decode_child_pid(child), SIGSTOP), 0);
	begin_ms = ota_clock_mono_ms();
	expect(feed(child, 0, OTA_CHUNK_LEN, &err), OTA_E_TIMEOUT, &err,
		"decoder stood still for 1 s");
	cr_expect_geq(ota_clock_mono_ms() - begin_ms, 1000);
}

Test(decode_child, what_cannot_be_started_is_said)
{
	struct ota_error err = { 0 };
	struct decode_job job;

	craft(OTA_CODEC_FULL, ota_bytes_of("x"), 2000);
	job = job_of("/no/such/program");
	expect(run(&job, &err), OTA_E_IO, &err,
		"decoder cannot be started: No such file or directory");
	job.program = "/bin/false";
	expect(run(&job, &err), OTA_E_DECODER, &err,
		"decoder ended with status 1 without an answer");
}

Test(decode_child, without_descriptors_it_fails_and_with_them_it_works)
{
	struct ota_error err = { 0 };
	struct rlimit few = { 0, 0 }, before;
	struct decode_job job;
	enum ota_code rc = OTA_E_IO;
	unsigned refused = 0;

	make(OTA_CODEC_VCDIFF);
	job = job_of(AGENT);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	few.rlim_max = before.rlim_max;
	for (few.rlim_cur = 3; rc != OTA_OK && few.rlim_cur < 64; few.rlim_cur++) {
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		rc = run(&job, &err);
		cr_expect(rc == OTA_OK || rc == OTA_E_IO, "%s", err.text);
		refused += rc == OTA_E_IO;
	}
	cr_expect_eq(rc, OTA_OK, "%s", err.text);
	cr_expect_geq(refused, 5, "the limit bit only %u times", refused);
	cr_expect(kit_same(&sink.bytes, &kit.to));
}

/* ---- what it holds ---- */

static void read_proc(pid_t pid, const char *name, char out[static 8192])
{
	char path[64];
	ota_autoclose int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, 8191);
	cr_assert_gt(n, 0, "%s", path);
	out[n] = '\0';
}

/* The descriptors of a process, as "0=...\n1=...\n". */
static void list_fds(pid_t pid, char out[static 8192])
{
	char path[64], target[256];
	struct dirent *entry;
	DIR *dir;
	size_t at = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
	dir = opendir(path);
	cr_assert_not_null(dir, "%s: %s", path, strerror(errno));
	out[0] = '\0';
	while ((entry = readdir(dir)) != NULL) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, 255);

		if (n > 0)
			at += (size_t)snprintf(
				out + at, 8192 - at, "%s=%.4s\n", entry->d_name, target);
	}
	(void)closedir(dir);
}

static void expect_line(const char *text, const char *line)
{
	cr_expect_not_null(strstr(text, line), "no '%s' in\n%s", line, text);
}

Test(decode_child, it_holds_four_descriptors_and_no_rights)
{
	struct ota_error err = { 0 };
	struct decode_job job;
	OTA_AUTO(free_child) struct decode_child *child = NULL;
	char text[8192];
	pid_t pid;

	make(OTA_CODEC_VCDIFF);
	for (int i = 0; i < 40; i++)
		cr_assert_geq(dup(from_fd), 0, "descriptors that an exec passes on");
	job = job_of(AGENT);
	cr_assert_eq(decode_child_new(&job, &child, &err), OTA_OK, "%s", err.text);
	pid = decode_child_pid(child);
	read_proc(pid, "status", text);
	expect_line(text, "NoNewPrivs:\t1\n");
	expect_line(text, "Seccomp:\t2\n");
	expect_line(text, "Threads:\t1\n");
	expect_line(text, "CapEff:\t0000000000000000\n");
	if (geteuid() != 0)
		cr_skip_test("SKIPPED: not root, so the user that the decoder becomes "
			     "and its descriptors cannot be seen");
	expect_line(text, "Uid:\t65534\t65534\t65534\t65534\n");
	expect_line(text, "Gid:\t65534\t65534\t65534\t65534\n");
	expect_line(text, "Groups:\t \n");
	list_fds(pid, text);
	cr_expect_str_eq(text, "0=sock\n1=pipe\n2=/mem\n3=/dev\n");
	read_proc(pid, "limits", text);
	expect_line(text, "Max open files            4 ");
	expect_line(text, "Max file size             0 ");
	expect_line(text, "Max core file size        0 ");
	expect_line(text, "Max cpu time              82 ");
}

/* ---- one gone bad ---- */

static const struct crime {
	char how;
	const char *what;
	enum ota_code code;
	const char *text;
} crimes[] = {
#define KILLED OTA_E_DECODER, "decoder died of SIGSYS (it asked for what it may not do)"
	{ 'o', "opens a file", KILLED },
	{ 'n', "opens a socket of the network", KILLED },
	{ 'u', "opens a local socket", KILLED },
	{ 'e', "runs a program", KILLED },
	{ 'k', "signals a process", KILLED },
	{ 'f', "forks", KILLED },
	{ 'x', "maps memory to execute", KILLED },
	{ 'M', "maps the source image", KILLED },
	{ 'w', "writes to the source image", KILLED },
	{ 'r', "reads the source image without saying where", KILLED },
	{ 't', "traces a process", KILLED },
#ifndef SANITIZED /* a sanitizer answers SIGSEGV, looks around at the end, and is large \
		   */
	{ 'S', "writes to nowhere", OTA_E_DECODER, "decoder died of SIGSEGV" },
	{ '0', "ends as if all were well", OTA_E_DECODER,
		"decoder ended with status 0 without an answer" },
	{ '7', "ends in error", OTA_E_DECODER,
		"decoder ended with status 7 without an answer" },
	{ 'm', "takes more memory than it may", OTA_E_NOMEM, "refused" },
#endif
	{ 'C', "goes round for ever", OTA_E_DECODER,
		"decoder died of SIGXCPU (over 79 s of processor time)" },
	{ 'a', "says nonsense", OTA_E_DECODER,
		"decoder spoke nonsense: no answer of a decoder" },
	{ 'b', "announces 4 GiB", OTA_E_DECODER,
		"decoder spoke nonsense: answer 2 of 4294967295 bytes" },
	{ 'c', "is ready twice", OTA_E_DECODER, "decoder spoke nonsense: ready twice" },
	{ 'd', "is done before it began", OTA_E_DECODER,
		"decoder spoke nonsense: done before the image is whole" },
	{ 'g', "makes more than the image", OTA_E_DECODER,
		"decoder spoke nonsense: more bytes than the image has" },
	{ 'h', "fails without a failure", OTA_E_DECODER, "all is well" },
	{ 'i', "has text for a terminal", OTA_E_DIGEST, "two?lines ?[31m?" },
	{ 'j', "has a failure of its own", OTA_E_DECODER, "of a code that is none" },
};

ParameterizedTestParameters(decode_child, one_gone_bad_gets_nowhere)
{
	static int rows[sizeof crimes / sizeof crimes[0]];

	for (int i = 0; i < (int)(sizeof rows / sizeof rows[0]); i++)
		rows[i] = i;
	return cr_make_param_array(int, rows, sizeof rows / sizeof rows[0]);
}

ParameterizedTest(int *row, decode_child, one_gone_bad_gets_nowhere)
{
	const struct crime *crime = &crimes[*row];
	const uint8_t patch[] = { (uint8_t)crime->how, 0 };
	struct ota_error err = { 0 };
	struct decode_job job;

	craft(OTA_CODEC_FULL, (struct ota_bytes){ patch, sizeof patch }, 5000000);
	job = job_of(VICTIM);
	cr_expect_eq(run(&job, &err), crime->code, "%s: %s", crime->what, err.text);
	cr_expect_str_eq(err.text, crime->text, "%s", crime->what);
	cr_expect_leq(sink.bytes.len, 5000000);
}

/* ---- bombs ---- */

static void expect_small(const char *what)
{
	struct rusage used;

	cr_assert_eq(getrusage(RUSAGE_CHILDREN, &used), 0);
	cr_log_info("%s: %ld KiB at most", what, used.ru_maxrss);
	cr_expect_gt(used.ru_maxrss, 1000, "%s: nothing was measured", what);
	cr_expect_lt(used.ru_maxrss, RSS_MAX / 1024, "%s", what);
}

/* 1 GiB of zeros as one zstd frame. */
static void make_zstd_bomb(struct ota_buf *out)
{
	static uint8_t zeros[1 << 20], room[1 << 17];
	ZSTD_CCtx *zstd = ZSTD_createCCtx();

	for (int i = 1; i <= 1024; i++) {
		ZSTD_inBuffer in = { zeros, sizeof zeros, 0 };
		ZSTD_outBuffer made = { room, sizeof room, 0 };

		while (ZSTD_compressStream2(zstd, &made, &in,
			       i == 1024 ? ZSTD_e_end : ZSTD_e_continue) != 0 &&
			in.pos < in.size)
			;
		cr_assert_eq(
			ota_buf_add(out, (struct ota_bytes){ room, made.pos }), OTA_OK);
	}
	(void)ZSTD_freeCCtx(zstd);
}

Test(decode_child, a_gigabyte_of_zeros_stays_in_its_place)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bomb = { 0 };
	struct ota_error err = { 0 };
	struct decode_job job;

	make_zstd_bomb(&bomb);
	cr_assert_lt(bomb.len, 200000);
	craft(OTA_CODEC_FULL, ota_buf_bytes(&bomb), 1000000);
	job = job_of(AGENT);
	expect(run(&job, &err), OTA_E_DECODER, &err,
		"the patch makes more than the 1000000 bytes of the image");
	cr_expect_leq(sink.bytes.len, 1000000);
	expect_small("zstd bomb");
}

/* Windows of 1 MiB that are one RUN each, 1024 of them. */
static void make_vcdiff_bomb(struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf delta = { 0 };
	static const uint8_t head[] = { 0xd6, 0xc3, 0xc4, 0, 0 };
	/* no source; 12 bytes; target 1 MiB; plain; 1 of data, 4 of RUN, 0 addresses */
	static const uint8_t window[] = { 0, 12, 0xc0, 0x80, 0, 0, 1, 4, 0, 'x', 0, 0xc0,
		0x80, 0 };
	size_t len;

	cr_assert_eq(
		ota_buf_add(&delta, (struct ota_bytes){ head, sizeof head }), OTA_OK);
	for (int i = 0; i < 1024; i++)
		cr_assert_eq(
			ota_buf_add(&delta, (struct ota_bytes){ window, sizeof window }),
			OTA_OK);
	out->at = malloc(ZSTD_compressBound(delta.len));
	out->cap = ZSTD_compressBound(delta.len);
	cr_assert_not_null(out->at);
	len = ZSTD_compress(out->at, out->cap, delta.at, delta.len, 19);
	cr_assert(!ZSTD_isError(len));
	out->len = len;
	kit.manifest.raw_len = delta.len;
}

Test(decode_child, a_gigabyte_of_one_byte_stays_in_its_place)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bomb = { 0 };
	struct ota_error err = { 0 };
	struct decode_job job;
	uint64_t raw_len;

	make_vcdiff_bomb(&bomb);
	raw_len = kit.manifest.raw_len;
	craft(OTA_CODEC_VCDIFF, ota_buf_bytes(&bomb), 3 << 20);
	kit.manifest.raw_len = raw_len;
	job = job_of(AGENT);
	expect(run(&job, &err), OTA_E_DECODER, &err,
		"the patch makes more than the 3145728 bytes of the image");
	cr_expect_eq(sink.bytes.len, 3 << 20);
	expect_small("VCDIFF bomb");
}

/* 28 bytes that make xdelta3 by itself ask for 3.76 GB. */
Test(decode_child, twenty_eight_bytes_do_not_ask_for_gigabytes)
{
	static const uint8_t raw[28] = { 0xd6, 0xc3, 0xc4, 0, 4, 0x8e, 0x80, 0x80, 0x80,
		0 };
	uint8_t frame[128];
	size_t len = ZSTD_compress(frame, sizeof frame, raw, sizeof raw, 1);
	struct ota_error err = { 0 };
	struct decode_job job;

	cr_assert(!ZSTD_isError(len));
	craft(OTA_CODEC_VCDIFF, (struct ota_bytes){ frame, len }, 2000);
	kit.manifest.raw_len = sizeof raw;
	job = job_of(AGENT);
	expect(run(&job, &err), OTA_E_DECODER, &err,
		"not a plain vcdiff stream of version 0");
	expect_small("28 bytes");
}
