#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/io/files.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* Writing an image into a slot of type `file`, cut and broken at exact bytes. */

#define BLOCK ((uint64_t)INSTALL_BLOCK_LEN)

enum { IMAGE_LEN = 11 * INSTALL_BLOCK_LEN + 12345 };

static struct install_kit kit;

static void set_up(void)
{
	temporary_make();
	install_kit_init(&kit, temporary_dir, IMAGE_LEN, 1);
}

static void tear_down(void)
{
	install_kit_fini(&kit);
	temporary_remove();
}

TestSuite(install_apply, .init = set_up, .fini = tear_down, .timeout = 60);

static const struct install_count *count(void)
{
	return &kit.work.count;
}

/* All blocks that were written, but for one that may have been under way. */
static void expect_kept(uint64_t blocks)
{
	cr_expect_eq(count()->kept % BLOCK, 0);
	cr_expect_leq(count()->kept, blocks * BLOCK);
	cr_expect_geq(count()->kept, (blocks - 1) * BLOCK);
}

Test(install_apply, an_image_is_written_once_and_reads_back)
{
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect(install_kit_is_there(&kit, 1));
	cr_expect_eq(count()->written, IMAGE_LEN);
	cr_expect_eq(count()->kept, 0);
}

Test(install_apply, a_cut_at_90_percent_costs_less_than_20_percent)
{
	cr_assert(install_kit_apply_until(&kit, (uint64_t)IMAGE_LEN * 92 / 100));
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect(install_kit_is_there(&kit, 1));
	expect_kept(10);
	cr_expect_lt(count()->written, IMAGE_LEN / 5);
	cr_expect_eq(count()->kept + count()->written, IMAGE_LEN);
}

Test(install_apply, a_cut_in_every_block_converges_and_never_goes_back)
{
	uint64_t kept = 0;

	for (uint64_t cut = BLOCK / 2; cut < IMAGE_LEN; cut += BLOCK) {
		cr_assert(install_kit_apply_until(&kit, cut), "at %lu", cut);
		cr_assert_lt(kept, cut);
	}
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect(install_kit_is_there(&kit, 1));
	expect_kept(10);
}

Test(install_apply, what_is_there_is_not_written_again)
{
	cr_assert_eq(install_kit_apply(&kit), OTA_OK);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK);
	cr_expect_eq(count()->kept, IMAGE_LEN);
	cr_expect_eq(count()->written, 0);
	cr_expect(install_kit_is_there(&kit, 1));
}

Test(install_apply, only_what_is_proved_is_kept)
{
	cr_assert(install_kit_apply_until(&kit, (uint64_t)IMAGE_LEN * 92 / 100));
	install_kit_flip(&kit, 4 * BLOCK + 17);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect_eq(count()->kept, 4 * BLOCK);
	cr_expect(install_kit_is_there(&kit, 1));
}

Test(install_apply, another_patch_begins_at_the_start)
{
	cr_assert(install_kit_apply_until(&kit, (uint64_t)IMAGE_LEN * 92 / 100));
	install_kit_renew(&kit, 2);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect_eq(count()->kept, 0);
	cr_expect(install_kit_is_there(&kit, 1));
}

Test(install_apply, a_longer_image_before_leaves_nothing_behind)
{
	struct install_kit longer;
	struct stat st;
	char path[256];

	install_kit_init(&longer, temporary_dir, IMAGE_LEN + 777777, 3);
	cr_assert_eq(install_kit_apply(&longer), OTA_OK, "%s", longer.err.text);
	install_kit_fini(&longer);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	(void)snprintf(path, sizeof path, "%s/slots/b.img", temporary_dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, IMAGE_LEN);
}

/* A write that fails with the process alive. */
static void limit_files(rlim_t len)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = len;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(install_apply, a_write_that_fails_is_the_end_and_all_is_written_again)
{
	limit_files(6 * BLOCK + 100);
	cr_assert_eq(install_kit_apply(&kit), OTA_E_IO);
	cr_expect_not_null(strstr(kit.err.text, "File too large"), "%s", kit.err.text);
	cr_expect_eq(count()->written / BLOCK, 6, "the fault came where it should");
	limit_files(RLIM_INFINITY);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect_eq(count()->kept, 0);
	cr_expect_eq(count()->written, IMAGE_LEN);
	cr_expect(install_kit_is_there(&kit, 1));
}

Test(install_apply, told_to_stop_it_keeps_what_it_has)
{
	cr_assert(install_kit_apply_until(&kit, 5 * BLOCK + 100));
	atomic_store(&kit.work.stop, true);
	cr_assert_eq(install_kit_apply(&kit), OTA_E_CANCELLED);
	atomic_store(&kit.work.stop, false);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK);
	expect_kept(5);
}

/* ext2 cannot reserve room. */
Test(install_apply, a_full_disk_is_told_and_is_the_end_of_that_install)
{
	char device[AGENT_PATH_CAP];
	enum ota_code rc;

	if (!install_kit_is_root("a small file system"))
		return;
	install_kit_loop(&kit, "small", 24 << 20, device);
	install_kit_run("mkfs.ext2 -q %s && mount %s %s && echo old > %s/a.img", device,
		device, kit.slot.dir, kit.slot.dir);
	rc = install_kit_apply(&kit);
	install_kit_run("umount %s", kit.slot.dir);
	install_kit_unloop(device);
	cr_expect_eq(rc, OTA_E_NOSPACE, "%s", kit.err.text);
	cr_expect_gt(count()->written, 4 * BLOCK, "it began");
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "there is room now");
	cr_expect_eq(count()->kept, 0);
}

Test(install_apply, room_is_taken_before_the_first_byte)
{
	enum ota_code rc;

	if (!install_kit_is_root("a small tmpfs"))
		return;
	install_kit_run("mount -t tmpfs -o size=16M none %s && echo old > %s/a.img",
		kit.slot.dir, kit.slot.dir);
	rc = install_kit_apply(&kit);
	install_kit_run("umount %s", kit.slot.dir);
	cr_expect_eq(rc, OTA_E_NOSPACE, "%s", kit.err.text);
	cr_expect_eq(count()->written, 0);
	cr_expect_not_null(
		strstr(kit.err.text, "room for 46149689 bytes"), "%s", kit.err.text);
}

/* A decoder that says that all is well, and gives something else. What it leaves is not
 * believed at the next attempt. */
Test(install_apply, an_image_that_reads_back_as_another_is_refused_and_written_again)
{
	char program[128], script[512];
	const char *decoder;

	install_kit_fini(&kit);
	install_kit_init(&kit, temporary_dir, 3, 4);
	decoder = kit.work.decoder;
	(void)snprintf(program, sizeof program, "%s/liar", temporary_dir);
	(void)snprintf(script, sizeof script,
		"#!/bin/sh\nprintf '\\001\\000\\000\\000\\000\\000\\000\\000'\n"
		"head -c %llu >/dev/null\n"
		"printf '\\002\\000\\000\\000\\003\\000\\000\\000not'\n"
		"printf '\\003\\000\\000\\000\\010\\000\\000\\000"
		"\\000\\000\\000\\000\\000\\000\\000\\000'\n",
		96 + 8 + (unsigned long long)kit.manifest.patch_len);
	temporary_write("liar", script);
	cr_assert_eq(chmod(program, 0700), 0);
	kit.work.decoder = program;
	cr_expect_eq(install_kit_apply(&kit), OTA_E_MEDIA, "%s", kit.err.text);
	cr_expect_str_eq(kit.err.text, "slot reads back as something else");
	kit.work.decoder = decoder;
	cr_expect_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect_eq(count()->kept, 0);
	cr_expect(install_kit_is_there(&kit, 1));
}
