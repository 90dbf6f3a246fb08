#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "agent/port/install_mark.h"
#include "agent/port/install_readback.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* Reading back behind a writer, which is the test. */

#define BLOCK ((uint64_t)INSTALL_BLOCK_LEN)

enum { IMAGE_LEN = 2 * INSTALL_BLOCK_LEN + 12345 };

static struct agent_slot_config config = { .type = AGENT_SLOT_BLOCK };
static const struct slot_place place = { &config, 1 };
static uint8_t image[IMAGE_LEN];
static atomic_bool stop;
static int fd = -1;
static struct ota_error err;

static void free_readback(struct install_readback **readback)
{
	install_readback_free(*readback);
}

static void make_slot(void)
{
	(void)snprintf(
		config.devices[1], sizeof config.devices[1], "%s/b", temporary_dir);
	fd = open(config.devices[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, IMAGE_LEN), 0);
}

static void set_up(void)
{
	for (size_t i = 0; i < sizeof image; i++)
		image[i] = (uint8_t)(i * 7 + i / 251 + 1);
	temporary_make();
	make_slot();
}

static void tear_down(void)
{
	(void)close(fd);
	temporary_remove();
}

TestSuite(install_readback, .init = set_up, .fini = tear_down, .timeout = 60);

static struct install_readback *start(void)
{
	struct install_readback *readback = NULL;

	cr_assert_eq(install_readback_new(&place, IMAGE_LEN, &stop, &readback, &err),
		OTA_OK, "%s", err.text);
	return readback;
}

/* Write a part of the image, and sync it. */
static void put(uint64_t at, uint64_t end)
{
	struct ota_bytes part = { image + at, (size_t)(end - at) };

	cr_assert_eq(ota_fd_write_at(fd, at, part, NULL), OTA_OK);
	cr_assert_eq(ota_fd_sync(fd, NULL), OTA_OK);
}

static void flip(int file, uint64_t at)
{
	uint8_t byte = image[at] ^ 1;

	cr_assert_eq(pwrite(file, &byte, 1, (off_t)at), 1);
}

static bool is_of_image(const struct ota_digest *found)
{
	const struct ota_digest wanted =
		ota_digest_of((struct ota_bytes){ image, IMAGE_LEN });

	return ota_digest_equal(found, &wanted);
}

/* Whether the digest of what it read is that of the image. */
static bool finish(struct install_readback *readback)
{
	struct ota_digest found;

	cr_assert_eq(
		install_readback_finish(readback, &found, &err), OTA_OK, "%s", err.text);
	return is_of_image(&found);
}

Test(install_readback, it_follows_the_writer_and_reads_nothing_ahead)
{
	OTA_AUTO(free_readback) struct install_readback *readback = start();

	for (uint64_t at = 0; at < IMAGE_LEN; at += BLOCK) {
		uint64_t end = at + BLOCK < IMAGE_LEN ? at + BLOCK : IMAGE_LEN;

		install_readback_wait(readback);
		put(at, end);
		install_readback_reach(readback, end);
	}
	cr_expect(finish(readback));
}

Test(install_readback, the_end_is_not_read_before_everything_was_synced)
{
	OTA_AUTO(free_readback) struct install_readback *readback = start();

	install_readback_reach(readback, IMAGE_LEN);
	install_readback_wait(readback);
	put(0, IMAGE_LEN);
	cr_expect(finish(readback));
}

Test(install_readback, it_may_never_go_back)
{
	OTA_AUTO(free_readback) struct install_readback *readback = start();

	put(0, IMAGE_LEN);
	install_readback_reach(readback, BLOCK);
	install_readback_wait(readback);
	install_readback_reach(readback, 0);
	install_readback_wait(readback);
	cr_expect(finish(readback));
}

Test(install_readback, a_bit_that_turned_over_once_it_was_synced_is_seen)
{
	OTA_AUTO(free_readback) struct install_readback *readback = start();

	put(0, IMAGE_LEN);
	flip(fd, BLOCK + BLOCK / 2);
	install_readback_reach(readback, BLOCK);
	cr_expect_not(finish(readback));
}

/* A medium that is smaller than it says begins again at its start. */
Test(install_readback, a_block_that_was_put_over_one_read_before_is_seen)
{
	OTA_AUTO(free_readback) struct install_readback *readback = start();
	struct ota_digest found;

	put(0, 2 * BLOCK);
	install_readback_reach(readback, 2 * BLOCK);
	install_readback_wait(readback);
	put(2 * BLOCK, IMAGE_LEN);
	cr_assert_eq(pwrite(fd, image + 2 * BLOCK, 12345, 0), 12345);
	cr_expect_eq(install_readback_finish(readback, &found, &err), OTA_E_MEDIA);
	cr_expect_str_eq(err.text, "slot lost what it had read back");
}

Test(install_readback, a_slot_that_is_too_short_is_an_error)
{
	OTA_AUTO(free_readback) struct install_readback *readback = start();
	struct ota_digest found;

	cr_assert_eq(ftruncate(fd, IMAGE_LEN - 1), 0);
	cr_expect_eq(install_readback_finish(readback, &found, &err), OTA_E_IO);
}

Test(install_readback, it_can_be_told_to_stop)
{
	OTA_AUTO(free_readback) struct install_readback *readback = start();
	struct ota_digest found;

	atomic_store(&stop, true);
	cr_expect_eq(install_readback_finish(readback, &found, &err), OTA_E_CANCELLED);
}

/* Threads and descriptors of this process. */
static unsigned count_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	cr_assert_not_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

Test(install_readback, it_ends_in_the_middle)
{
	unsigned threads = count_in("/proc/self/task"), fds = count_in("/proc/self/fd");
	struct install_readback *readback = start();

	install_readback_reach(readback, BLOCK);
	install_readback_wait(readback);
	cr_expect_eq(count_in("/proc/self/task"), threads + 1);
	install_readback_free(readback);
	while (count_in("/proc/self/task") > threads) /* joined, it may still be there */
		(void)sched_yield();
	cr_expect_eq(count_in("/proc/self/fd"), fds);
	install_readback_free(NULL);
}

/* What the page cache holds is not what the device has. */
Test(install_readback, it_asks_the_medium)
{
	OTA_AUTO(free_readback) struct install_readback *readback = NULL;
	struct install_kit kit = { 0 };
	ota_autoclose int medium = -1;
	char path[AGENT_PATH_CAP + 8];
	uint8_t byte = 0;

	if (!install_kit_is_root("a block device by losetup"))
		return;
	(void)snprintf(kit.dir, sizeof kit.dir, "%s", temporary_dir);
	install_kit_loop(&kit, "loop", 4 * BLOCK, config.devices[1]);
	(void)close(fd);
	fd = open(config.devices[1], O_RDWR | O_CLOEXEC);
	(void)snprintf(path, sizeof path, "%s/loop", temporary_dir);
	medium = open(path, O_RDWR | O_CLOEXEC);
	readback = start();
	put(0, IMAGE_LEN);
	flip(medium, BLOCK + 5000);
	cr_assert_eq(pread(fd, &byte, 1, (off_t)(BLOCK + 5000)), 1);
	cr_assert_eq(byte, image[BLOCK + 5000], "the cache does not know");
	cr_expect_not(finish(readback));
	install_kit_unloop(config.devices[1]);
}

/* Of the second look at each block, too. */
Test(install_readback, each_read_that_fails_is_told)
{
	struct faults walk = { .only = "pread64 ", .wants_each = true };
	unsigned errors = 0;

	put(0, IMAGE_LEN);
	while (faults_next(&walk)) {
		OTA_AUTO(free_readback) struct install_readback *readback = start();
		struct ota_digest found;
		enum ota_code rc;

		faults_arm(&walk);
		rc = install_readback_finish(readback, &found, &err);
		(void)faults_disarm(&walk);
		cr_expect(rc == OTA_OK ? is_of_image(&found) : rc == OTA_E_IO, "%s: %s",
			faults_text(&walk), err.text);
		errors += rc != OTA_OK;
	}
	cr_expect_geq(errors, 2 * (9 + 3), "each read, by an error and by an end");
}

Test(install_readback, a_path_that_is_too_long_is_told)
{
	struct install_readback *readback = NULL;

	config.type = AGENT_SLOT_FILE;
	cr_assert(faults_arm_text("ota_path_join,0,0"));
	cr_expect_eq(install_readback_new(&place, IMAGE_LEN, &stop, &readback, &err),
		OTA_E_LIMIT);
	cr_expect(faults_fired());
	cr_expect_null(readback);
}

Test(install_readback, each_call_that_fails_is_told)
{
	struct faults walk = { 0 };

	put(0, IMAGE_LEN);
	while (faults_next(&walk)) {
		OTA_AUTO(free_readback) struct install_readback *readback = NULL;
		struct ota_digest found;
		enum ota_code rc;

		faults_arm(&walk);
		rc = install_readback_new(&place, IMAGE_LEN, &stop, &readback, &err);
		if (rc == OTA_OK)
			rc = install_readback_finish(readback, &found, &err);
		(void)faults_disarm(&walk);
		cr_expect(rc == OTA_OK ? is_of_image(&found)
				       : rc == OTA_E_IO || rc == OTA_E_NOMEM ||
						 rc == OTA_E_NOTFOUND,
			"%s: %s", faults_text(&walk), err.text);
	}
	cr_expect_gt(walk.count, 15);
}
