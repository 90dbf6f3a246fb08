#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/port/spool.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/patch.h"
#include "tests/seeds.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"

enum { CHUNK_LEN = 4096, N = 21, PATCH_LEN = (N - 1) * CHUNK_LEN + 100 };

static char root[64];
static bool in_memory; /* where nothing waits for a disk */
static struct test_patch patch;
static struct spool spool;

static void setup(void)
{
	(void)snprintf(root, sizeof root, "%s/test_spool.XXXXXX",
		in_memory ? "/dev/shm" : "/tmp");
	cr_assert_not_null(mkdtemp(root));
	test_patch_init(&patch, PATCH_LEN, CHUNK_LEN, 1);
	cr_assert_eq(spool_manifest_write(
			     root, &patch.digest, ota_buf_bytes(&patch.manifest), NULL),
		OTA_OK);
}

static void teardown(void)
{
	cr_expect_eq(spool_purge(root, NULL, NULL), OTA_OK);
	(void)rmdir(root);
	spool_fini(&spool);
	test_patch_fini(&patch);
}

TestSuite(spool, .init = setup, .fini = teardown);

static enum ota_code open_again(struct ota_error *err)
{
	spool_fini(&spool);
	return spool_open(root, &patch.digest, 1 << 20, &spool, err);
}

static void put(uint32_t index)
{
	cr_assert_eq(
		spool_put(&spool, index, test_patch_chunk(&patch, index), NULL), OTA_OK);
}

/* Open and put the chunks 0, 3, 6 ... */
static void fill_thirds(void)
{
	cr_assert_eq(open_again(NULL), OTA_OK);
	for (uint32_t i = 0; i < N; i += 3)
		put(i);
}

static void path_of(const char *name, char out[static SPOOL_PATH_CAP])
{
	char hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&patch.digest, hex);
	(void)snprintf(out, SPOOL_PATH_CAP, "%s/%s/%s", root, hex, name);
}

static void overwrite(const char *name, uint64_t at, struct ota_bytes with)
{
	char path[SPOOL_PATH_CAP];
	ota_autoclose int fd = -1;

	path_of(name, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ota_fd_write_at(fd, at, with, NULL), OTA_OK);
}

static void resize(const char *name, off_t len)
{
	char path[SPOOL_PATH_CAP];

	path_of(name, path);
	cr_assert_eq(truncate(path, len), 0);
}

static void expect_thirds(const char *why)
{
	cr_assert_eq(open_again(NULL), OTA_OK, "%s", why);
	cr_expect_eq(spool.held, N / 3, "%s: %u held", why, spool.held);
	for (uint32_t i = 0; i < N; i++)
		cr_expect_eq(spool_holds(&spool, i), i % 3 == 0, "%s: %u", why, i);
}

Test(spool, a_killed_process_loses_nothing)
{
	fill_thirds();
	cr_assert_eq(spool_count(&spool, 5000, 2, NULL), OTA_OK);
	expect_thirds("killed");
	cr_expect_eq(spool.bytes, N / 3 * CHUNK_LEN + 5000);
	cr_expect_eq(spool.refetched, 2);
}

Test(spool, a_full_spool_holds_the_patch)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf data = { 0 };
	char path[SPOOL_PATH_CAP];

	cr_assert_eq(open_again(NULL), OTA_OK);
	for (uint32_t i = N; i-- > 0;)
		put(i);
	cr_expect_eq(spool.held, N);
	cr_expect_not(spool_holds(&spool, N));
	cr_expect_not(spool_holds(&spool, UINT32_MAX));
	path_of(SPOOL_DATA, path);
	cr_assert_eq(ota_file_read(path, PATCH_LEN, &data, NULL), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&data), ota_buf_bytes(&patch.bytes)));
}

Test(spool, the_bitmap_file_is_as_documented)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = { 0 };
	char path[SPOOL_PATH_CAP];
	static const uint8_t expected[] = { 'O', 'T', 'B', '1', 21, 0, 0, 0, 0x64, 0x10,
		0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x10 };

	cr_assert_eq(open_again(NULL), OTA_OK);
	put(1);
	put(20); /* the last one, 100 bytes */
	cr_assert_eq(spool_count(&spool, 0, 7, NULL), OTA_OK);
	path_of(SPOOL_BITMAP, path);
	cr_assert_eq(ota_file_read(path, 100, &file, NULL), OTA_OK);
	cr_expect_eq(file.len, sizeof expected);
	cr_expect_arr_eq(file.at, expected, sizeof expected);
}

static const struct damage {
	const char *why;
	uint64_t at;
	uint8_t with;
} damages[] = {
	{ "foreign magic", 0, 'X' },
	{ "another count", 4, 22 },
	{ "a huge count", 7, 0xff },
};

Test(spool, a_damaged_bitmap_costs_no_chunk)
{
	for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
		fill_thirds();
		overwrite(SPOOL_BITMAP, damages[i].at,
			(struct ota_bytes){ &damages[i].with, 1 });
		expect_thirds(damages[i].why);
		cr_expect_eq(spool.bytes, 0, "%s: counters believed", damages[i].why);
	}
}

Test(spool, a_bitmap_of_any_wrong_size_costs_no_chunk)
{
	struct stat st;

	for (off_t len = 0; len < SPOOL_HEAD_LEN + 8; len++) {
		if (len == SPOOL_HEAD_LEN + 3)
			continue;
		fill_thirds();
		resize(SPOOL_BITMAP, len);
		expect_thirds("wrong size");
		cr_expect_eq(spool.bytes, 0, "length %ld: counters believed", len);
		cr_assert_eq(fstat(spool.bitmap_fd, &st), 0);
		cr_expect_eq(st.st_size, SPOOL_HEAD_LEN + 3);
	}
}

Test(spool, bits_without_their_bytes_are_not_believed)
{
	static const uint8_t ones[] = { 0xff, 0xff, 0xff };

	fill_thirds();
	overwrite(SPOOL_BITMAP, SPOOL_HEAD_LEN, (struct ota_bytes){ ones, sizeof ones });
	expect_thirds("all bits set, three beyond the last chunk");
}

Test(spool, a_rotten_chunk_is_fetched_again)
{
	struct seeds seeds = seeds_of(50, 5000);

	fill_thirds();
	while (seeds_next(&seeds)) {
		uint32_t chunk = 3 * (uint32_t)seeds_below(&seeds, N / 3);
		uint64_t at =
			(uint64_t)chunk * CHUNK_LEN + seeds_below(&seeds, CHUNK_LEN);
		uint8_t byte = patch.bytes.at[at];

		byte ^= (uint8_t)(1u << seeds_below(&seeds, 8));
		overwrite(SPOOL_DATA, at, (struct ota_bytes){ &byte, 1 });
		cr_assert_eq(open_again(NULL), OTA_OK, "%s", seeds_text(&seeds));
		cr_expect_eq(spool.held, N / 3 - 1, "%s", seeds_text(&seeds));
		cr_expect_not(spool_holds(&spool, chunk), "%s", seeds_text(&seeds));
		put(chunk);
		expect_thirds(seeds_text(&seeds));
	}
}

Test(spool, data_of_another_size_keeps_what_is_whole)
{
	struct stat st;

	fill_thirds();
	resize(SPOOL_DATA, 7 * CHUNK_LEN);
	cr_assert_eq(open_again(NULL), OTA_OK);
	cr_expect_eq(spool.held, 3); /* 0, 3, 6 */
	resize(SPOOL_DATA, PATCH_LEN + 1000);
	cr_assert_eq(open_again(NULL), OTA_OK);
	cr_expect_eq(spool.held, 3);
	cr_assert_eq(fstat(spool.data_fd, &st), 0);
	cr_expect_eq(st.st_size, PATCH_LEN);
}

Test(spool, room_is_taken_before_the_first_chunk)
{
	struct stat st;

	cr_assert_eq(open_again(NULL), OTA_OK);
	cr_assert_eq(fstat(spool.data_fd, &st), 0);
	cr_expect_eq(st.st_size, PATCH_LEN);
	cr_expect_geq(st.st_blocks * 512, PATCH_LEN);
}

Test(spool, a_patch_beyond_the_limit_is_refused_with_numbers)
{
	struct ota_error err = { 0 };

	cr_expect_eq(spool_open(root, &patch.digest, 82019, &spool, &err), OTA_E_NOSPACE);
	cr_expect_str_eq(err.text, "spool: patch of 82020 bytes, the spool may hold "
				   "82019 bytes");
	cr_expect_eq(spool.data_fd, 0, "out touched");
}

/* The limit on file sizes stands in for a disk that is full: the same call fails. */
Test(spool, a_patch_larger_than_the_room_is_refused_with_numbers)
{
	struct rlimit small = { 40000, 40000 };
	struct ota_error err = { 0 };

	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	cr_expect_eq(open_again(&err), OTA_E_NOSPACE);
	cr_expect_eq(strncmp(err.text, "spool: patch of 82020 bytes, ", 29), 0, "%s",
		err.text);
	cr_expect_not_null(strstr(err.text, " bytes free for the spool"));
}

Test(spool, a_manifest_that_is_not_its_digest_is_not_read)
{
	static const uint8_t rot = 0x55;
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	cr_expect_eq(spool_manifest_read(root, &patch.digest, &out, NULL), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&out), ota_buf_bytes(&patch.manifest)));
	overwrite(SPOOL_MANIFEST, 50, (struct ota_bytes){ &rot, 1 });
	cr_expect_eq(spool_manifest_read(root, &patch.digest, &out, NULL), OTA_E_DIGEST);
	cr_expect_eq(open_again(NULL), OTA_E_DIGEST);
	cr_assert_eq(spool_remove(root, &patch.digest, NULL), OTA_OK);
	cr_expect_eq(open_again(NULL), OTA_E_NOTFOUND);
}

Test(spool, a_link_in_the_place_of_a_file_is_not_followed)
{
	char path[SPOOL_PATH_CAP], target[SPOOL_PATH_CAP];
	struct stat st;

	path_of(SPOOL_DATA, path);
	path_of(SPOOL_MANIFEST, target);
	cr_assert_eq(symlink(target, path), 0);
	cr_expect_eq(open_again(NULL), OTA_E_IO);
	cr_assert_eq(stat(target, &st), 0);
	cr_expect_eq((size_t)st.st_size, patch.manifest.len);
}

Test(spool, purge_keeps_the_one_that_is_named)
{
	struct ota_digest other = { .at = { 1, 2, 3 } };
	struct ota_bytes any = ota_buf_bytes(&patch.manifest);
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	char foreign[100];

	(void)snprintf(foreign, sizeof foreign, "%s/notes", root);
	cr_assert_eq(ota_file_replace(foreign, any, 0600, NULL), OTA_OK);
	cr_assert_eq(spool_manifest_write(root, &other, any, NULL), OTA_OK);
	fill_thirds();
	cr_assert_eq(spool_purge(root, &patch.digest, NULL), OTA_OK);
	cr_expect_eq(spool_manifest_read(root, &other, &out, NULL), OTA_E_NOTFOUND);
	expect_thirds("kept");
	cr_assert_eq(spool_purge(root, NULL, NULL), OTA_OK);
	cr_expect_eq(open_again(NULL), OTA_E_NOTFOUND);
	cr_expect_eq(unlink(foreign), 0, "what is no patch stays");
}

Test(spool, a_sync_outlives_its_spool)
{
	struct spool_sync sync = { 0 };

	fill_thirds();
	cr_expect_eq(spool.unsynced, N / 3);
	cr_assert_eq(spool_sync_start(&spool, &sync, NULL), OTA_OK);
	cr_expect_eq(spool.unsynced, 0);
	spool_fini(&spool);
	cr_expect_eq(spool_sync_run(&sync, NULL), OTA_OK);
	cr_expect_eq(sync.data_fd, 0);
}

Test(spool, what_is_no_file_is_not_opened)
{
	struct ota_error err = { 0 };
	char path[SPOOL_PATH_CAP];

	path_of(SPOOL_DATA, path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(open_again(&err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "/data: not a file"), "%s", err.text);
}

Test(spool, data_that_cannot_be_cut_is_an_error)
{
	struct ota_error err = { 0 };

	fill_thirds();
	resize(SPOOL_DATA, PATCH_LEN + 1000);
	cr_assert(faults_arm_text("ftruncate64,5,0"));
	cr_expect_eq(open_again(&err), OTA_E_IO);
	cr_expect(faults_fired());
	cr_expect_not_null(strstr(err.text, "ftruncate: "), "%s", err.text);
}

Test(spool, a_disk_that_is_full_and_does_not_say_how_full_is_an_error)
{
	struct ota_error err = { 0 };

	cr_assert(faults_arm_text("fallocate64,28,0"));
	cr_assert(faults_arm_second("statvfs64,5,0"));
	cr_expect_eq(open_again(&err), OTA_E_IO);
	cr_expect(faults_fired() && faults_second_fired());
	cr_expect_not_null(strstr(err.text, "statvfs: "), "%s", err.text);
}

Test(spool, chunks_that_cannot_be_read_or_found_are_an_error)
{
	struct faults walk = { .only = "pread64 ota_path_join ", .wants_each = true };
	unsigned refused = 0;

	fill_thirds();
	while (faults_next(&walk)) {
		struct ota_error err = { 0 };
		enum ota_code rc;

		faults_arm(&walk);
		rc = open_again(&err);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_expect(rc == OTA_OK || rc == OTA_E_IO || rc == OTA_E_LIMIT, "%s: %s",
			faults_text(&walk), err.text);
		cr_assert_eq(open_again(&err), OTA_OK, "after %s: %s", faults_text(&walk),
			err.text);
		cr_expect_eq(spool.held, N / 3, "after %s", faults_text(&walk));
	}
	cr_expect_gt(refused, N / 3);
}

/* A file system that cannot promise room, and what then fails as well. */
static void expect_unpromised(const char *also, enum ota_code code, const char *text)
{
	struct ota_error err = { 0 };

	cr_assert(faults_arm_text("fallocate64,95,0"));
	if (also != NULL)
		cr_assert(faults_arm_second(also));
	cr_expect_eq(open_again(&err), code, "%s", err.text);
	cr_expect(faults_fired());
	cr_expect(also == NULL || faults_second_fired());
	cr_expect_not_null(strstr(err.text, text), "%s", err.text);
}

Test(spool, without_promises_what_is_free_is_believed)
{
	struct stat st;

	expect_unpromised("statvfs64,5,0", OTA_E_IO, "statvfs: ");
	expect_unpromised("ftruncate64,5,0", OTA_E_IO, "ftruncate: ");
	expect_unpromised(NULL, OTA_OK, "");
	cr_assert_eq(fstat(spool.data_fd, &st), 0);
	cr_expect_eq(st.st_size, PATCH_LEN);
	cr_expect_lt(st.st_blocks * 512, PATCH_LEN);
}

Test(spool, without_promises_and_without_room_it_is_full)
{
	if (!install_kit_is_root("a small file system"))
		return;
	install_kit_run("mount -t tmpfs -o size=72k small %s", root);
	cr_expect_eq(spool_manifest_write(
			     root, &patch.digest, ota_buf_bytes(&patch.manifest), NULL),
		OTA_OK);
	expect_unpromised(NULL, OTA_E_NOSPACE, "spool: patch of 82020 bytes, ");
	spool_fini(&spool);
	install_kit_run("umount %s", root);
}

/* Its bits outgrow what the head has room for. */
Test(spool, without_memory_the_bits_of_many_chunks_are_not_written)
{
	enum { MANY = 2400 };
	struct faults walk = { .only = "realloc ", .wants_each = true };
	unsigned refused = 0, of_bitmap = 0;

	teardown();
	setup();
	test_patch_fini(&patch);
	test_patch_init(&patch, MANY * CHUNK_LEN, CHUNK_LEN, 1);
	cr_assert_eq(spool_manifest_write(
			     root, &patch.digest, ota_buf_bytes(&patch.manifest), NULL),
		OTA_OK);
	while (faults_next(&walk)) {
		struct ota_error err = { 0 };
		enum ota_code rc;

		spool_fini(&spool);
		faults_arm(&walk);
		rc = spool_open(root, &patch.digest, MANY * CHUNK_LEN, &spool, &err);
		cr_expect_eq(rc, faults_disarm(&walk) ? OTA_E_NOMEM : OTA_OK, "%s: %s",
			faults_text(&walk), err.text);
		refused += rc != OTA_OK;
		of_bitmap += strcmp(err.text, "spool: bitmap of 300 bytes") == 0;
	}
	cr_expect_gt(refused, 2);
	cr_expect_eq(of_bitmap, 2, "head and bits");
}

/* ---- each call that fails ---- */

static enum ota_code fill(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf manifest = { 0 };
	struct spool_sync sync = { 0 };
	enum ota_code rc;

	spool_fini(&spool);
	rc = spool_manifest_write(
		root, &patch.digest, ota_buf_bytes(&patch.manifest), NULL);
	if (rc == OTA_OK)
		rc = spool_manifest_read(root, &patch.digest, &manifest, NULL);
	if (rc == OTA_OK)
		rc = spool_open(root, &patch.digest, 1 << 20, &spool, NULL);
	for (uint32_t i = 0; i < N && rc == OTA_OK; i++)
		if (!spool_holds(&spool, i))
			rc = spool_put(&spool, i, test_patch_chunk(&patch, i), NULL);
	if (rc == OTA_OK)
		rc = spool_count(&spool, 10, 1, NULL);
	if (rc == OTA_OK)
		rc = spool_sync_start(&spool, &sync, NULL);
	return rc == OTA_OK ? spool_sync_run(&sync, NULL) : rc;
}

Test(spool, any_call_may_fail, .timeout = 60)
{
	struct faults walk = { .wants_each = true };
	unsigned refused = 0;

	in_memory = true;
	while (faults_next(&walk)) {
		teardown();
		setup();
		faults_arm(&walk);
		refused += fill() != OTA_OK;
		(void)faults_disarm(&walk);
		cr_expect_eq(fill(), OTA_OK, "after %s", faults_text(&walk));
		cr_expect_eq(spool.held, N, "after %s", faults_text(&walk));
	}
	cr_expect_gt(refused, 30);
}

Test(spool, any_call_of_a_purge_may_fail, .timeout = 60)
{
	struct faults walk = { .wants_each = true };
	unsigned refused = 0;

	while (faults_next(&walk)) {
		cr_assert_eq(fill(), OTA_OK);
		spool_fini(&spool);
		faults_arm(&walk);
		refused += spool_purge(root, NULL, NULL) != OTA_OK;
		(void)faults_disarm(&walk);
		cr_expect_eq(spool_purge(root, NULL, NULL), OTA_OK, "after %s",
			faults_text(&walk));
	}
	cr_expect_gt(refused, 5);
}
