#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/port/block_spool.h"
#include "agent/port/install_source.h"
#include "proto/base/own.h"
#include "proto/delta/block_pack.h"
#include "proto/delta/encode.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* A patch whose source, in slot a, is not what it should be: real blocks in a real spool,
 * a real decoder in its sandbox. */

#define BLOCK ((uint64_t)OTA_BLOCK_LEN_MIN)

enum { BLOCKS = 17, IMAGE_LEN = (BLOCKS - 1) * OTA_BLOCK_LEN_MIN + 12345 };

static struct install_kit kit;
static struct ota_buf from, packed;
static struct ota_block_table table;
static struct agent_scan scan;

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

static void path_of(const char *name, char out[static SPOOL_PATH_CAP])
{
	cr_assert_eq(spool_file(kit.spool_dir, &kit.work.patch, name, out, NULL), OTA_OK);
}

static void write_file(const char *path, const struct ota_buf *data)
{
	cr_assert_eq(ota_file_replace(path, ota_buf_bytes(data), 0600, NULL), OTA_OK);
}

static void slot_path(char out[static AGENT_PATH_CAP])
{
	(void)snprintf(out, AGENT_PATH_CAP, "%.1000s/a.img", kit.slot.dir);
}

/* The table of what slot a should hold, in table_bytes. */
static void make_table(struct ota_buf *table_bytes)
{
	struct ota_bytes all = ota_buf_bytes(&from);
	const struct ota_source source = ota_source_of(&all);
	const struct ota_sink sink = { .ctx = &packed, .write = keep };
	const struct ota_progress none = { 0 };

	cr_assert_eq(ota_block_table_make(&source, &sink, &none, &table, NULL), OTA_OK);
	cr_assert_eq(ota_block_table_encode(&table, table_bytes, NULL), OTA_OK);
	cr_assert_eq(table.count, BLOCKS);
}

/* A patch from there to kit.to, its manifest and the table, in the spool. */
static void make_spool(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf patch = { 0 }, bytes = { 0 }, names = { 0 };
	struct ota_bytes to = ota_buf_bytes(&kit.to), old = ota_buf_bytes(&from);
	struct ota_source source = ota_source_of(&old), target = ota_source_of(&to);
	const struct ota_sink sink = { .ctx = &patch, .write = keep };
	const struct ota_encode_job job = { .codec = OTA_CODEC_VCDIFF,
		.from = &source,
		.to = &target,
		.options = { .level = 1 } };
	char path[SPOOL_PATH_CAP];

	make_table(&names);
	ota_manifest_fini(&kit.manifest);
	cr_assert_eq(ota_patch_encode(&job, &sink, &kit.manifest, NULL), OTA_OK);
	cr_assert_lt(patch.len, IMAGE_LEN / 4, "the patch needs its source");
	kit.manifest.blocks = ota_digest_of(ota_buf_bytes(&names));
	cr_assert_eq(ota_manifest_encode(&kit.manifest, &bytes, NULL), OTA_OK);
	kit.work.patch = ota_digest_of(ota_buf_bytes(&bytes));
	cr_assert_eq(spool_manifest_write(
			     kit.spool_dir, &kit.work.patch, ota_buf_bytes(&bytes), NULL),
		OTA_OK);
	path_of(SPOOL_DATA, path);
	write_file(path, &patch);
	cr_assert_eq(block_table_write(
			     kit.spool_dir, &kit.work.patch, ota_buf_bytes(&names), NULL),
		OTA_OK);
}

static void set_up(void)
{
	char path[AGENT_PATH_CAP];

	temporary_make();
	install_kit_init(&kit, temporary_dir, IMAGE_LEN, 1);
	cr_assert_eq(ota_buf_add(&from, ota_buf_bytes(&kit.to)), OTA_OK);
	memset(from.at + IMAGE_LEN / 2, 7, 100000);
	slot_path(path);
	write_file(path, &from);
	make_spool();
	kit.work.repairs = true;
}

static void tear_down(void)
{
	install_kit_fini(&kit);
	ota_block_table_fini(&table);
	ota_buf_fini(&from);
	ota_buf_fini(&packed);
	temporary_remove();
}

TestSuite(install_source, .init = set_up, .fini = tear_down, .timeout = 110);

/* Change what slot a holds, in that many bytes from there on. */
static void spoil(uint64_t offset, size_t len)
{
	char path[AGENT_PATH_CAP];
	ota_autoclose int fd = -1;
	uint8_t bytes[5000];

	memset(bytes, 0x5a, sizeof bytes);
	slot_path(path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, bytes, len, (off_t)offset), (ssize_t)len);
}

static void spoil_some(void)
{
	spoil(10, 1);
	spoil(3 * BLOCK - 2, 4); /* on both sides */
	spoil(IMAGE_LEN - 5000, 5000);
}

/* As net does it, from what the orchestrator would publish. */
static void fetch(struct ota_bytes wanted)
{
	OTA_AUTO(block_spool_fini) struct block_spool spool = { 0 };
	const struct block_want want = { .patch = kit.work.patch,
		.table = kit.manifest.blocks,
		.blocks = wanted,
		.max_bytes = IMAGE_LEN };
	uint64_t at = 0;

	cr_assert_eq(block_spool_open(kit.spool_dir, &want, &spool, NULL), OTA_OK);
	for (uint32_t i = 0; i < table.count; i++) {
		struct ota_bytes one = { packed.at + at, table.blocks[i].packed_len };

		at += table.blocks[i].packed_len;
		if (spool.lacking[i])
			cr_assert_eq(block_spool_put(&spool, i, one, NULL), OTA_OK);
	}
	cr_assert_eq(spool.held, spool.wanted);
}

static void scan_all(void)
{
	struct ota_error err = { 0 };

	cr_assert_eq(install_source_scan(&kit.work, &scan, &err), OTA_OK, "%s", err.text);
}

static void scan_then_fetch(void)
{
	scan_all();
	fetch((struct ota_bytes){ scan.bits, (scan.blocks + 7) / 8 });
}

Test(install_source, a_scan_finds_what_differs)
{
	uint64_t packed_len = 0;
	static const uint32_t blocks[] = { 0, 2, 3, BLOCKS - 1 };

	spoil_some();
	scan_all();
	for (size_t i = 0; i < 4; i++) {
		packed_len += table.blocks[blocks[i]].packed_len;
		cr_expect(scan.bits[blocks[i] / 8] >> blocks[i] % 8 & 1, "%zu", i);
	}
	cr_expect_eq(scan.count, 4);
	cr_expect_eq(scan.blocks, BLOCKS);
	cr_expect_eq(scan.packed_len, packed_len);
	cr_expect_eq(scan.raw_len, 3 * BLOCK + 12345);
}

Test(install_source, a_slot_that_was_cut_short_lacks_its_end)
{
	char path[AGENT_PATH_CAP];

	slot_path(path);
	cr_assert_eq(truncate(path, (off_t)(15 * BLOCK + 1)), 0);
	scan_then_fetch();
	cr_expect_eq(scan.count, 2);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect(install_kit_is_there(&kit, 1));
}

Test(install_source, a_repaired_source_makes_the_image_and_the_slot_stays_as_it_is)
{
	struct ota_digest before, after;
	char path[AGENT_PATH_CAP];

	spoil_some();
	slot_path(path);
	cr_assert_eq(image_path_digest(path, NULL, &before, NULL, NULL), OTA_OK);
	scan_then_fetch();
	cr_assert_eq(install_work_verify(&kit.work, NULL), OTA_OK);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect(install_kit_is_there(&kit, 1));
	cr_assert_eq(image_path_digest(path, NULL, &after, NULL, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&before, &after));
}

Test(install_source, without_repair_the_same_patch_fails)
{
	spoil(IMAGE_LEN / 4, 5000);
	kit.work.repairs = false;
	cr_expect_neq(install_kit_apply(&kit), OTA_OK);
}

Test(install_source, a_slot_that_is_not_there_is_told_as_that)
{
	char path[AGENT_PATH_CAP];

	kit.work.repairs = false;
	slot_path(path);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(install_kit_apply(&kit), OTA_E_NOTFOUND);
	cr_expect_null(strstr(kit.err.text, "repair"), "%s", kit.err.text);
}

Test(install_source, a_slot_that_is_right_needs_no_blocks)
{
	cr_assert_eq(install_work_verify(&kit.work, NULL), OTA_OK);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect(install_kit_is_there(&kit, 1));
}

Test(install_source, a_slot_that_changes_after_the_scan_is_found_out)
{
	struct ota_error err = { 0 };

	spoil_some();
	scan_then_fetch();
	spoil(8 * BLOCK, 1);
	cr_expect_eq(install_work_verify(&kit.work, &err), OTA_E_DIGEST, "%s", err.text);
	cr_expect_eq(install_kit_apply(&kit), OTA_E_PRECURSOR, "%s", kit.err.text);
	cr_expect_str_eq(kit.err.text,
		"repair the source: the running image changed while it was repaired: "
		"block 8 in the spool");
}

Test(install_source, a_block_that_rots_in_the_spool_is_found_out)
{
	char path[SPOOL_PATH_CAP];
	ota_autoclose int fd = -1;

	spoil_some();
	scan_then_fetch();
	path_of(SPOOL_BLOCKS, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, "rot", 3, (off_t)(2 * BLOCK + 100)), 3);
	cr_expect_eq(install_work_verify(&kit.work, NULL), OTA_E_DIGEST);
	fetch((struct ota_bytes){ scan.bits, (scan.blocks + 7) / 8 });
	cr_expect_eq(install_work_verify(&kit.work, NULL), OTA_OK);
}

Test(install_source, a_table_of_another_image_repairs_nothing)
{
	struct ota_error err = { 0 };
	char path[SPOOL_PATH_CAP];

	path_of(SPOOL_TABLE, path);
	write_file(path, &packed);
	cr_expect_eq(install_source_scan(&kit.work, &scan, &err), OTA_E_DIGEST);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(install_source_scan(&kit.work, &scan, &err), OTA_E_NOTFOUND);
}

Test(install_source, blocks_that_take_too_much_are_refused_with_the_numbers)
{
	OTA_AUTO(block_spool_fini) struct block_spool spool = { 0 };
	struct ota_error err = { 0 };
	struct block_want want = {
		.patch = kit.work.patch, .table = kit.manifest.blocks, .max_bytes = 10
	};

	spoil_some();
	scan_all();
	want.blocks = (struct ota_bytes){ scan.bits, (scan.blocks + 7) / 8 };
	cr_expect_eq(block_spool_open(kit.spool_dir, &want, &spool, &err), OTA_E_NOSPACE);
	cr_expect_not_null(strstr(err.text, "may hold 10 bytes"), "%s", err.text);
}

/* Exit status: the code of install_source_open() for a user who may only read the spool.
 */
static int open_as_nobody(void)
{
	struct install_source source = { .overlay_fd = -1 };
	int status = -1;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(setresuid(65534, 65534, 65534) != 0
				? 255
				: (int)install_source_open(
					  &kit.work, &kit.manifest, &source, NULL));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(install_source, an_installer_that_may_not_write_the_spool_uses_its_own_directory)
{
	if (!install_kit_is_root("what another user may do"))
		return;
	spoil_some();
	scan_then_fetch();
	install_kit_run("chmod -R a+rX %s", kit.dir);
	cr_expect_eq(open_as_nobody(), OTA_E_IO, "nothing can be written");
	install_kit_run("chmod a+w %s", kit.state_dir);
	cr_expect_eq(open_as_nobody(), OTA_OK);
}

/* ---- each call that fails ---- */

static enum ota_code scan_and_verify(struct ota_error *err)
{
	enum ota_code rc = install_source_scan(&kit.work, &scan, err);

	return rc == OTA_OK ? install_work_verify(&kit.work, err) : rc;
}

Test(install_source, any_call_may_fail)
{
	struct faults walk = { 0 };
	unsigned refused = 0;

	tear_down();
	temporary_in_memory = true;
	set_up();
	spoil_some();
	scan_then_fetch();
	while (faults_next(&walk)) {
		struct ota_error err = { 0 };
		enum ota_code rc;

		install_kit_run("cd %s && rm -rf slots/b* state/*", temporary_dir);
		faults_arm(&walk);
		rc = scan_and_verify(&err);
		if (rc == OTA_OK)
			rc = install_kit_apply(&kit);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_expect(rc != OTA_OK || install_kit_is_there(&kit, 1), "%s",
			faults_text(&walk));
		cr_expect_eq(scan_and_verify(&err), OTA_OK, "after %s: %s",
			faults_text(&walk), err.text);
		cr_expect_eq(install_kit_apply(&kit), OTA_OK, "after %s: %s",
			faults_text(&walk), kit.err.text);
	}
	cr_expect_gt(refused, 40);
}

/* ---- what is not there, or is something else ---- */

static void expect_wrong(enum ota_code got, enum ota_code code, const char *text)
{
	cr_expect_eq(got, code, "%s: %s", ota_code_name(got), kit.err.text);
	cr_expect_not_null(strstr(kit.err.text, text), "%s", kit.err.text);
}

static enum ota_code verify(void)
{
	kit.err = (struct ota_error){ 0 };
	return install_work_verify(&kit.work, &kit.err);
}

Test(install_source, told_to_stop_it_stops)
{
	spoil_some();
	scan_then_fetch();
	atomic_store(&kit.work.stop, true);
	expect_wrong(verify(), OTA_E_CANCELLED, "told to stop");
	expect_wrong(install_source_scan(&kit.work, &scan, &kit.err), OTA_E_CANCELLED,
		"scan: told to stop");
	expect_wrong(install_kit_apply(&kit), OTA_E_CANCELLED, "told to stop");
}

Test(install_source, blocks_that_nobody_fetched_are_lacking)
{
	spoil_some();
	expect_wrong(verify(), OTA_E_DIGEST, "block 0 is not in the spool");
}

Test(install_source, blocks_that_are_no_file_are_an_error)
{
	char path[SPOOL_PATH_CAP];

	path_of(SPOOL_BLOCKS, path);
	cr_assert_eq(mkdir(path, 0700), 0);
	expect_wrong(verify(), OTA_E_IO, "blocks: not a file");
	cr_assert_eq(rmdir(path), 0);
	cr_assert_eq(symlink("/dev/zero", path), 0);
	expect_wrong(verify(), OTA_E_IO, "Too many levels of symbolic links");
}

/* Sign another patch: what it says of its source is not so. */
static void sign_again(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 }, names = { 0 };
	char from_dir[SPOOL_PATH_CAP], to_dir[SPOOL_PATH_CAP];

	cr_assert_eq(ota_block_table_encode(&table, &names, NULL), OTA_OK);
	kit.manifest.blocks = ota_digest_of(ota_buf_bytes(&names));
	cr_assert_eq(ota_manifest_encode(&kit.manifest, &bytes, NULL), OTA_OK);
	path_of("", from_dir);
	kit.work.patch = ota_digest_of(ota_buf_bytes(&bytes));
	path_of("", to_dir);
	install_kit_run("mv %s %s", from_dir, to_dir);
	cr_assert_eq(spool_manifest_write(
			     kit.spool_dir, &kit.work.patch, ota_buf_bytes(&bytes), NULL),
		OTA_OK);
	cr_assert_eq(block_table_write(
			     kit.spool_dir, &kit.work.patch, ota_buf_bytes(&names), NULL),
		OTA_OK);
}

Test(install_source, a_table_that_makes_another_image_is_found_out)
{
	const char *text = "repair the source: the repaired source is not the image that "
			   "the patch applies to";

	kit.manifest.from.at[0] ^= 1;
	sign_again();
	expect_wrong(install_kit_apply(&kit), OTA_E_PRECURSOR, text);
	kit.manifest.from.at[0] ^= 1;
	kit.manifest.from_len++;
	sign_again();
	expect_wrong(install_kit_apply(&kit), OTA_E_PRECURSOR, text);
}

/* It has the digest that the table says, and is nothing that can be unpacked. */
Test(install_source, a_block_that_cannot_be_unpacked_repairs_nothing)
{
	enum { PACKED = 9 }; /* half of it is of one byte */
	uint8_t *at = packed.at;
	uint32_t len = table.blocks[PACKED].packed_len;

	cr_assert_lt(len, BLOCK);
	for (uint32_t i = 0; i < PACKED; i++)
		at += table.blocks[i].packed_len;
	(void)memset(at, 'x', len);
	table.blocks[PACKED].packed = ota_digest_of((struct ota_bytes){ at, len });
	spoil(PACKED * BLOCK, 1);
	sign_again();
	scan_then_fetch();
	cr_expect_eq(verify(), OTA_OK, "%s", kit.err.text);
	expect_wrong(install_kit_apply(&kit), OTA_E_FORMAT,
		"repair the source: block 9: not one frame of 65536 bytes");
}

/* ---- where the overlay is kept ---- */

static void write_no_slot_b(void)
{
	install_kit_run("cd %s && rm -rf slots/b* state/*", temporary_dir);
}

/* A file system that has no files without a name. */
Test(install_source, without_nameless_files_it_is_unlinked)
{
	struct faults walk = { .only = "open64 ", .wants_each = true };
	unsigned done = 0;

	spoil_some();
	scan_then_fetch();
	while (faults_next(&walk)) {
		write_no_slot_b();
		faults_arm(&walk);
		done += install_kit_apply(&kit) == OTA_OK && walk.row > 0;
		(void)faults_disarm(&walk);
		install_kit_run("! ls %s/*/overlay* 2>/dev/null", temporary_dir);
	}
	cr_expect_geq(
		done, 3, "EIO, ENOENT and EOPNOTSUPP of the nameless file: %u", done);
}

/* What can still be opened is the slot, the blocks, and no third. */
Test(install_source, without_memory_for_the_overlay_it_says_so)
{
	struct faults walk = { .only = "realloc calloc ", .wants_each = true };
	struct install_source source = { .overlay_fd = -1 };
	unsigned of_overlay = 0;

	spoil_some();
	scan_then_fetch();
	while (faults_next(&walk)) {
		enum ota_code rc;

		kit.err = (struct ota_error){ 0 };
		faults_arm(&walk);
		rc = install_source_open(&kit.work, &kit.manifest, &source, &kit.err);
		cr_expect_eq(
			faults_disarm(&walk), rc != OTA_OK, "%s", faults_text(&walk));
		of_overlay += rc == OTA_E_NOMEM &&
			      strcmp(kit.err.text, "repair the source: overlay") == 0;
		install_source_fini(&source);
	}
	cr_expect_geq(of_overlay, 2, "in memory, and as it is written: %u", of_overlay);
}

Test(install_source, with_no_descriptor_for_the_overlay_it_says_so)
{
	struct install_source source = { .overlay_fd = -1 };
	struct rlimit before, few;
	unsigned said = 0;

	spoil_some();
	scan_then_fetch();
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ (rlim_t)dup(0) + 2, before.rlim_max };
	(void)close((int)few.rlim_cur - 2);
	for (unsigned n = 0; n < 9; n++) {
		struct faults fault = { 0 };
		char text[64];

		(void)snprintf(text, sizeof text, "open64,%d,%u", EOPNOTSUPP, n);
		kit.err = (struct ota_error){ 0 };
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		cr_assert(faults_arm_text(text));
		cr_expect_neq(
			install_source_open(&kit.work, &kit.manifest, &source, &kit.err),
			OTA_OK);
		(void)faults_disarm(&fault);
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		said += fault.fired &&
			strstr(kit.err.text, "Too many open files") != NULL;
	}
	cr_expect_geq(said, 2, "of the spool, of the state directory");
	cr_expect_eq(source.overlay_fd, -1);
}

Test(install_source, a_patch_that_is_no_file_is_not_read)
{
	char path[SPOOL_PATH_CAP];

	path_of(SPOOL_DATA, path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkdir(path, 0700), 0);
	expect_wrong(verify(), OTA_E_IO, "data: not a file");
}
