/* Patch files on a real file system, and what the zstd and xdelta3 programs make of
 * them. */

#include "orchestrator/cli/patch_file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { FILE_MAX = 64 << 20, PATH_CAP = 128 };

/* A directory of its own for every test, and the paths in it. */
struct place {
	char dir[PATH_CAP], old[PATH_CAP], new[PATH_CAP], patch[PATH_CAP], out[PATH_CAP];
	struct patch_file_job job;
};

static void place_init(struct place *place)
{
	(void)snprintf(place->dir, PATH_CAP, "/tmp/patch_file.XXXXXX");
	cr_assert_not_null(mkdtemp(place->dir));
	(void)snprintf(place->old, PATH_CAP, "%.64s/old", place->dir);
	(void)snprintf(place->new, PATH_CAP, "%.64s/new", place->dir);
	(void)snprintf(place->patch, PATH_CAP, "%.64s/patch", place->dir);
	(void)snprintf(place->out, PATH_CAP, "%.64s/out", place->dir);
	place->job = (struct patch_file_job){
		.old_path = place->old, .patch_path = place->patch, .new_path = place->new
	};
}

static unsigned count_files(const struct place *place)
{
	DIR *dir = opendir(place->dir);
	unsigned count = 0;

	cr_assert_not_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	(void)closedir(dir);
	return count;
}

static void place_fini(struct place *place)
{
	(void)unlink(place->old);
	(void)unlink(place->new);
	(void)unlink(place->patch);
	(void)unlink(place->out);
	(void)rmdir(place->dir);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* len bytes of noise in a file; with edits, a few of them differ. */
static void write_noise(const char *path, size_t len, uint64_t seed, bool edits)
{
	ota_autofree uint8_t *bytes = calloc(len + 1, 1);

	cr_assert_not_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)next_random(&seed);
	for (size_t i = 500; edits && i < len; i += 9973)
		bytes[i] ^= 1;
	cr_assert(ota_file_replace(path, (struct ota_bytes){ bytes, len }, 0644, NULL) ==
		  OTA_OK);
}

static void expect_same(const char *a, const char *b)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf in_a = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf in_b = { 0 };

	cr_assert(ota_file_read(a, FILE_MAX, &in_a, NULL) == OTA_OK);
	cr_assert(ota_file_read(b, FILE_MAX, &in_b, NULL) == OTA_OK);
	cr_assert(ota_bytes_equal(ota_buf_bytes(&in_a), ota_buf_bytes(&in_b)),
		"%s and %s differ", a, b);
}

static const struct pair {
	const char *name;
	size_t old_len, new_len;
	uint64_t new_seed; /* 1: that of the old one */
	bool edits;
	uint8_t best; /* the codec that auto takes */
} pairs[] = {
	{ "two empty files", 0, 0, 1, false, OTA_CODEC_FULL },
	{ "a byte from nothing", 0, 1, 1, false, OTA_CODEC_FULL },
	{ "nothing from a byte", 1, 0, 1, false, OTA_CODEC_FULL },
	{ "identical", 3000000, 3000000, 1, false, OTA_CODEC_PREDICT },
	{ "related", 3000000, 2900000, 1, true, OTA_CODEC_PREDICT },
	{ "unrelated", 500000, 600000, 2, false, OTA_CODEC_FULL },
};

Test(patch_file, every_pair_round_trips_with_every_codec)
{
	for (unsigned i = 0; i < 4 * sizeof pairs / sizeof pairs[0]; i++) {
		const struct pair *pair = &pairs[i / 4];
		OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
		OTA_AUTO(place_fini) struct place place;
		struct ota_error err = { 0 };

		place_init(&place);
		write_noise(place.old, pair->old_len, 1, false);
		write_noise(place.new, pair->new_len, pair->new_seed, pair->edits);
		place.job.codec = (uint8_t)(i % 4);
		cr_assert(patch_file_make(&place.job, &manifest, &err) == OTA_OK,
			"%s: %s", pair->name, err.text);
		cr_expect_eq(manifest.codec,
			place.job.codec == PATCH_FILE_AUTO ? pair->best : place.job.codec,
			"%s: codec %u", pair->name, manifest.codec);
		place.job.new_path = place.out;
		cr_assert(patch_file_apply(&place.job, NULL, &err) == OTA_OK, "%s: %s",
			pair->name, err.text);
		expect_same(place.new, place.out);
		cr_assert_eq(count_files(&place), 4);
	}
}

/* Run a program without a shell; its exit status. */
static int run(const char *const argv[])
{
	pid_t pid = fork();
	int status = 0;

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(patch_file, the_zstd_and_xdelta3_programs_read_what_we_make)
{
	OTA_AUTO(place_fini) struct place place;
	char frame[PATH_CAP + 8], delta[PATH_CAP + 8];
	struct ota_error err = { 0 };

	place_init(&place);
	(void)snprintf(frame, sizeof frame, "%s.zst", place.patch);
	(void)snprintf(delta, sizeof delta, "%s.vcdiff", place.patch);
	write_noise(place.old, 5000000, 1, false);
	write_noise(place.new, 4900000, 1, true);
	place.job.codec = OTA_CODEC_VCDIFF;
	cr_assert(patch_file_make(&place.job, NULL, &err) == OTA_OK, "%s", err.text);
	cr_assert(patch_file_extract(place.patch, frame, &err) == OTA_OK);
	cr_assert_eq(
		run((const char *[]){ "zstd", "-q", "-d", frame, "-o", delta, NULL }), 0);
	cr_assert_eq(run((const char *[]){
			     "xdelta3", "-d", "-s", place.old, delta, place.out, NULL }),
		0);
	expect_same(place.new, place.out);
	(void)unlink(frame);
	(void)unlink(delta);
}

Test(patch_file, the_zstd_program_reads_a_full_patch)
{
	OTA_AUTO(place_fini) struct place place;
	char frame[PATH_CAP + 8];

	place_init(&place);
	(void)snprintf(frame, sizeof frame, "%s.zst", place.patch);
	write_noise(place.old, 10, 1, false);
	write_noise(place.new, 700000, 2, false);
	place.job.codec = OTA_CODEC_FULL;
	cr_assert(patch_file_make(&place.job, NULL, NULL) == OTA_OK);
	cr_assert(patch_file_extract(place.patch, frame, NULL) == OTA_OK);
	cr_assert_eq(
		run((const char *[]){ "zstd", "-q", "-d", frame, "-o", place.out, NULL }),
		0);
	expect_same(place.new, place.out);
	(void)unlink(frame);
}

Test(patch_file, another_old_image_is_named_and_nothing_is_written)
{
	OTA_AUTO(place_fini) struct place place;
	struct ota_error err = { 0 };

	place_init(&place);
	write_noise(place.old, 100000, 1, false);
	write_noise(place.new, 100000, 1, true);
	cr_assert(patch_file_make(&place.job, NULL, NULL) == OTA_OK);
	write_noise(place.old, 100000, 3, false);
	place.job.new_path = place.out;
	cr_assert_eq(patch_file_apply(&place.job, NULL, &err), OTA_E_PRECURSOR);
	cr_assert(strstr(err.text, "/old has digest ") != NULL, "%s", err.text);
	cr_assert_eq(count_files(&place), 3);
}

/* Change one byte of a file in place. */
static void flip(const char *path, off_t at)
{
	ota_autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
}

static const struct {
	const char *name;
	off_t flip_at; /* byte; -1: none */
	off_t len;     /* bytes left of the file; -1: all */
	enum ota_code code;
} damages[] = {
	{ "magic", 0, -1, OTA_E_FORMAT },
	{ "manifest length", 6, -1, OTA_E_LIMIT },
	{ "manifest's magic", 8, -1, OTA_E_FORMAT },
	{ "last byte", 300, -1, OTA_E_DIGEST },
	{ "empty file", -1, 0, OTA_E_FORMAT },
	{ "cut in the head", -1, 7, OTA_E_FORMAT },
	{ "cut in the manifest", -1, 100, OTA_E_FORMAT },
	{ "cut in the patch", -1, 300, OTA_E_FORMAT },
	{ "longer", -1, 400000, OTA_E_FORMAT },
};

Test(patch_file, damage_is_refused_and_the_old_result_stands)
{
	for (unsigned i = 0; i < sizeof damages / sizeof damages[0]; i++) {
		OTA_AUTO(place_fini) struct place place;
		struct ota_error err = { 0 };
		enum ota_code rc;

		place_init(&place);
		write_noise(place.old, 1, 1, false);
		write_noise(place.new, 300000, 2, false);
		place.job.codec = OTA_CODEC_FULL;
		cr_assert(patch_file_make(&place.job, NULL, NULL) == OTA_OK);
		if (damages[i].flip_at >= 0)
			flip(place.patch, damages[i].flip_at);
		if (damages[i].len >= 0)
			cr_assert_eq(truncate(place.patch, damages[i].len), 0);
		rc = patch_file_apply(&place.job, NULL, &err);
		cr_expect_eq(rc, damages[i].code, "%s: %s", damages[i].name, err.text);
		write_noise(place.out, 300000, 2, false);
		expect_same(place.new, place.out);
	}
}

Test(patch_file, files_that_are_not_there_are_named)
{
	OTA_AUTO(place_fini) struct place place;
	struct ota_error err = { 0 };

	place_init(&place);
	cr_assert_eq(patch_file_make(&place.job, NULL, &err), OTA_E_NOTFOUND);
	cr_assert(strstr(err.text, "/old: No such file or directory"), "%s", err.text);
	cr_assert_eq(patch_file_apply(&place.job, NULL, &err), OTA_E_NOTFOUND);
	cr_assert(strstr(err.text, "/patch: No such file or directory"), "%s", err.text);
	place.job.old_path = "/dev/null";
	cr_assert_eq(patch_file_make(&place.job, NULL, &err), OTA_E_USAGE);
	cr_assert_str_eq(err.text, "/dev/null: is no file or block device");
	write_noise(place.old, 10, 1, false);
	place.job = (struct patch_file_job){
		.old_path = place.old, .patch_path = place.dir, .new_path = place.old
	};
	cr_assert_eq(patch_file_make(&place.job, NULL, &err), OTA_E_USAGE);
	cr_assert(strstr(err.text, ": is not a regular file"), "%s", err.text);
}

static bool stop_half_way(void *ctx, uint64_t done, uint64_t total)
{
	uint64_t *last = ctx;
	bool fell = done < *last || done > total;

	*last = fell ? UINT64_MAX : done;
	return done < total / 2;
}

Test(patch_file, cancelled_work_leaves_nothing_behind)
{
	OTA_AUTO(place_fini) struct place place;
	uint64_t last = 0;

	place_init(&place);
	write_noise(place.old, 3000000, 1, false);
	write_noise(place.new, 3000000, 2, false);
	place.job.progress = (struct ota_progress){ &last, stop_half_way };
	cr_assert_eq(patch_file_make(&place.job, NULL, NULL), OTA_E_CANCELLED);
	cr_assert_neq(last, UINT64_MAX);
	cr_assert_eq(count_files(&place), 2);
	place.job.progress = (struct ota_progress){ 0 };
	place.job.codec = OTA_CODEC_FULL;
	cr_assert_eq(patch_file_make(&place.job, NULL, NULL), OTA_OK);
	place.job.progress = (struct ota_progress){ &last, stop_half_way };
	place.job.new_path = place.out;
	last = 0;
	cr_assert_eq(patch_file_apply(&place.job, NULL, NULL), OTA_E_CANCELLED);
	cr_assert_eq(count_files(&place), 3);
}

static bool never_less(void *ctx, uint64_t done, uint64_t total)
{
	uint64_t *last = ctx;

	cr_expect_geq(done, *last);
	cr_expect_leq(done, total);
	*last = done;
	return true;
}

Test(patch_file, progress_over_all_codecs_only_rises_and_reaches_the_last)
{
	OTA_AUTO(place_fini) struct place place;
	uint64_t last = 0;

	place_init(&place);
	write_noise(place.old, 3000000, 1, false);
	write_noise(place.new, 2900000, 1, true);
	place.job.progress = (struct ota_progress){ &last, never_less };
	cr_assert(patch_file_make(&place.job, NULL, NULL) == OTA_OK);
	cr_assert_geq(last, 2 * 2900000);
}

Test(patch_file, to_explain_measures_every_codec_and_keeps_the_one_asked_for)
{
	OTA_AUTO(place_fini) struct place place;
	OTA_AUTO(patch_explain_fini) struct patch_explain explain = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };

	place_init(&place);
	write_noise(place.old, 300000, 1, false);
	write_noise(place.new, 300000, 1, true);
	place.job.codec = OTA_CODEC_VCDIFF;
	place.job.explain = &explain;
	cr_assert(patch_file_make(&place.job, &manifest, NULL) == OTA_OK);
	cr_assert_eq(manifest.codec, OTA_CODEC_VCDIFF);
	cr_assert_eq(explain.patch_len[OTA_CODEC_VCDIFF], manifest.patch_len);
	cr_assert_gt(explain.patch_len[OTA_CODEC_FULL], 300000);
	cr_assert_eq(explain.count, 1);
	cr_assert_eq(explain.items[0].patch_len, explain.patch_len[OTA_CODEC_PREDICT]);
}

Test(patch_file, a_patch_file_tells_what_it_is)
{
	OTA_AUTO(place_fini) struct place place;
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };

	place_init(&place);
	write_noise(place.old, 2000, 1, false);
	write_noise(place.new, 3000, 2, false);
	place.job.codec = OTA_CODEC_VCDIFF;
	cr_assert(patch_file_make(&place.job, NULL, NULL) == OTA_OK);
	cr_assert(patch_file_inspect(place.patch, &manifest, NULL) == OTA_OK);
	cr_assert_eq(manifest.codec, OTA_CODEC_VCDIFF);
	cr_assert_eq(manifest.from_len, 2000);
	cr_assert_eq(manifest.to_len, 3000);
}

/* What stands in a fenced block of the wire contract, with its last newline. */
static struct ota_buf readme_block(const char *head)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	struct ota_buf out = { 0 };
	const char *at, *end;

	cr_assert(ota_file_read(SOURCE_ROOT "/proto/README.md", 1 << 18, &text, NULL) ==
		  OTA_OK);
	at = strstr(ota_buf_text(&text), head);
	cr_assert_not_null(at);
	at += strlen(head);
	end = strstr(at, "```");
	cr_assert_not_null(end);
	cr_assert(ota_buf_add(&out, (struct ota_bytes){ (const uint8_t *)at,
					    (size_t)(end - at) }) == OTA_OK);
	return out;
}

static void write_bytes(const char *path, const void *at, size_t len)
{
	cr_assert(ota_file_replace(path, (struct ota_bytes){ at, len }, 0644, NULL) ==
		  OTA_OK);
}

static void write_hex(const char *path, const struct ota_buf *hex)
{
	uint8_t bytes[1024];
	char digits[3] = "";
	size_t count = 0;

	for (size_t i = 0; i < hex->len; i++) {
		if (hex->at[i] == '\n')
			continue;
		digits[count++ % 2] = (char)hex->at[i];
		if (count % 2 == 0)
			cr_assert(ota_hex_decode(digits, &bytes[count / 2 - 1], 1) ==
				  OTA_OK);
	}
	write_bytes(path, bytes, count / 2);
}

Test(patch_file, the_example_of_the_contract_applies)
{
	OTA_AUTO(place_fini) struct place place;
	OTA_AUTO(ota_buf_fini)
	struct ota_buf images = readme_block("```text name=patch-images\n");
	OTA_AUTO(ota_buf_fini)
	struct ota_buf hex = readme_block("```hex name=patch-file\n");
	struct ota_error err = { 0 };

	place_init(&place);
	write_bytes(place.old, images.at, images.len / 2);
	write_bytes(place.new, images.at + images.len / 2, images.len / 2);
	write_hex(place.patch, &hex);
	place.job.new_path = place.out;
	cr_assert(patch_file_apply(&place.job, NULL, &err) == OTA_OK, "%s", err.text);
	expect_same(place.new, place.out);
}
