#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/port/block_spool.h"
#include "proto/base/own.h"
#include "proto/delta/block_pack.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

/* Blocks of an image in the spool: what is wanted, held, damaged, or no file at all. */

enum { BLOCKS = 10, IMAGE_LEN = BLOCKS * OTA_BLOCK_LEN_MIN };

static struct ota_buf image, packed, bytes;
static struct ota_block_table table;
static struct ota_digest name;
static const struct ota_digest patch = { { 1, 2, 3 } };
static char far[3000]; /* a root whose paths are too long */

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

static void path_of(const char *file, char out[static SPOOL_PATH_CAP])
{
	cr_assert_eq(spool_file(temporary_dir, &patch, file, out, NULL), OTA_OK);
}

static void set_up(void)
{
	const struct ota_sink sink = { .ctx = &packed, .write = keep };
	const struct ota_progress none = { 0 };
	struct ota_source source;
	struct ota_bytes all;
	char dir[SPOOL_PATH_CAP];

	temporary_in_memory = true;
	temporary_make();
	(void)memset(far, 'd', sizeof far - 1);
	far[0] = '/';
	for (uint32_t i = 0; i < IMAGE_LEN; i++)
		cr_assert_eq(ota_buf_add_u8(&image, (uint8_t)(i >> 14)), OTA_OK);
	all = ota_buf_bytes(&image);
	source = ota_source_of(&all);
	cr_assert_eq(ota_block_table_make(&source, &sink, &none, &table, NULL), OTA_OK);
	cr_assert_eq(table.count, BLOCKS);
	cr_assert_eq(ota_block_table_encode(&table, &bytes, NULL), OTA_OK);
	name = ota_digest_of(ota_buf_bytes(&bytes));
	path_of("", dir);
	cr_assert_eq(mkdir(dir, 0700), 0);
	cr_assert_eq(
		block_table_write(temporary_dir, &patch, ota_buf_bytes(&bytes), NULL),
		OTA_OK);
}

static void tear_down(void)
{
	ota_buf_fini(&image);
	ota_buf_fini(&packed);
	ota_buf_fini(&bytes);
	ota_block_table_fini(&table);
	temporary_remove();
}

TestSuite(block_spool, .init = set_up, .fini = tear_down);

static const uint8_t every[] = { 0xff, 0x03 };

static enum ota_code open_spool(
	struct ota_bytes wanted, struct block_spool *out, struct ota_error *err)
{
	const struct block_want want = {
		.patch = patch, .table = name, .blocks = wanted, .max_bytes = IMAGE_LEN
	};

	return block_spool_open(temporary_dir, &want, out, err);
}

static enum ota_code put(struct block_spool *spool, uint32_t i, struct ota_error *err)
{
	uint64_t at = 0;

	for (uint32_t k = 0; k < i; k++)
		at += table.blocks[k].packed_len;
	return block_spool_put(spool, i,
		(struct ota_bytes){ packed.at + at, table.blocks[i].packed_len }, err);
}

/* ---- the table ---- */

Test(block_spool, a_table_that_is_another_or_too_long_is_damaged)
{
	static const off_t lens[] = { 100, OTA_BLOCK_TABLE_LEN_MAX + 1 };
	OTA_AUTO(ota_block_table_fini) struct ota_block_table found = { 0 };
	char path[SPOOL_PATH_CAP];

	path_of(SPOOL_TABLE, path);
	for (size_t i = 0; i < 2; i++) {
		struct ota_error err = { 0 };

		cr_assert_eq(truncate(path, lens[i]), 0);
		cr_expect_eq(block_table_read(temporary_dir, &patch, &name, &found, &err),
			OTA_E_DIGEST);
		cr_expect_not_null(strstr(err.text, ": damaged"), "%s", err.text);
		cr_expect_null(found.blocks);
	}
}

Test(block_spool, a_root_whose_paths_are_too_long_is_refused)
{
	OTA_AUTO(ota_block_table_fini) struct ota_block_table found = { 0 };
	int fd = -1;

	cr_expect_eq(
		block_table_write(far, &patch, ota_buf_bytes(&bytes), NULL), OTA_E_LIMIT);
	cr_expect_eq(block_table_read(far, &patch, &name, &found, NULL), OTA_E_LIMIT);
	cr_expect_eq(block_file_open(far, &patch, &fd, NULL), OTA_E_LIMIT);
	cr_expect_eq(fd, -1);
}

/* ---- the blocks ---- */

Test(block_spool, what_was_put_is_held_and_the_rest_is_lacking)
{
	OTA_AUTO(block_spool_fini) struct block_spool spool = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(open_spool((struct ota_bytes){ every, 2 }, &spool, &err), OTA_OK,
		"%s", err.text);
	cr_expect_eq(spool.wanted, BLOCKS);
	cr_expect_eq(put(&spool, 9, &err), OTA_OK);
	cr_expect_eq(put(&spool, 9, &err), OTA_OK, "twice is no more");
	cr_expect_eq(spool.held, 1);
	block_spool_fini(&spool);
	cr_assert_eq(open_spool((struct ota_bytes){ every, 2 }, &spool, &err), OTA_OK);
	cr_expect_eq(spool.held, 1);
	cr_expect(spool.lacking[8] && !spool.lacking[9]);
}

Test(block_spool, what_the_bits_do_not_reach_is_not_wanted)
{
	OTA_AUTO(block_spool_fini) struct block_spool spool = { 0 };

	cr_assert_eq(open_spool((struct ota_bytes){ every, 1 }, &spool, NULL), OTA_OK);
	cr_expect_eq(spool.wanted, 8);
	cr_expect_not(spool.lacking[8]);
}

Test(block_spool, blocks_that_are_no_file_are_not_opened)
{
	OTA_AUTO(block_spool_fini) struct block_spool spool = { 0 };
	struct ota_error err = { 0 };
	char path[SPOOL_PATH_CAP];
	int fd = -1;

	path_of(SPOOL_BLOCKS, path);
	cr_expect_eq(block_file_open(temporary_dir, &patch, &fd, &err), OTA_E_NOTFOUND);
	cr_assert_eq(symlink("/dev/zero", path), 0);
	cr_expect_eq(open_spool((struct ota_bytes){ every, 2 }, &spool, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "symbolic links"), "%s", err.text);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(block_file_open(temporary_dir, &patch, &fd, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, ": not a file"), "%s", err.text);
	cr_expect_eq(fd, -1);
}

Test(block_spool, any_call_may_fail)
{
	struct faults walk = { .wants_each = true };
	unsigned refused = 0;
	char path[SPOOL_PATH_CAP];

	path_of(SPOOL_BLOCKS, path);
	while (faults_next(&walk)) {
		OTA_AUTO(block_spool_fini) struct block_spool spool = { 0 };
		struct ota_error err = { 0 };
		enum ota_code rc;

		(void)unlink(path);
		faults_arm(&walk);
		rc = open_spool((struct ota_bytes){ every, 2 }, &spool, &err);
		if (rc == OTA_OK)
			rc = put(&spool, 3, &err);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_expect(rc != OTA_OK || spool.held == 1, "%s", faults_text(&walk));
		cr_expect_eq(rc != OTA_OK, err.text[0] != '\0', "%s", faults_text(&walk));
		cr_expect_neq(rc, OTA_E_DIGEST, "%s: %s", faults_text(&walk), err.text);
	}
	cr_expect_gt(refused, 10);
}
