#include <criterion/criterion.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/port/image_file.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* Images in files and on block devices, through the page cache and past it. */

enum { LEN = 3 * IMAGE_PIECE_LEN + 777 };

static struct ota_buf bytes;
static struct ota_digest whole;
static char path[512];

static void set_up(void)
{
	uint64_t x = 88172645463325252;

	temporary_make();
	(void)snprintf(path, sizeof path, "%s/image", temporary_dir);
	bytes.len = 0;
	for (size_t i = 0; i < LEN; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		cr_assert_eq(ota_buf_add_u8(&bytes, (uint8_t)x), OTA_OK);
	}
	whole = ota_digest_of(ota_buf_bytes(&bytes));
	cr_assert_eq(ota_file_replace(path, ota_buf_bytes(&bytes), 0600, NULL), OTA_OK);
}

static void tear_down(void)
{
	ota_buf_fini(&bytes);
	temporary_remove();
}

TestSuite(image_file, .init = set_up, .fini = tear_down, .timeout = 60);

Test(image_file, a_digest_with_or_without_its_length)
{
	struct ota_digest found = { { 0 } };
	uint64_t len = 0;

	cr_expect_eq(image_path_digest(path, NULL, &found, &len, NULL), OTA_OK);
	cr_expect_eq(len, LEN);
	cr_expect(ota_digest_equal(&found, &whole));
	found = (struct ota_digest){ { 0 } };
	cr_expect_eq(image_path_digest(path, NULL, &found, NULL, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&found, &whole));
}

Test(image_file, told_to_stop_it_stops)
{
	struct ota_digest found = { { 9 } };
	struct ota_error err = { 0 };
	atomic_bool stop = false;
	uint64_t len = 9;

	cr_expect_eq(image_path_digest(path, &stop, &found, NULL, NULL), OTA_OK);
	atomic_store(&stop, true);
	found.at[0] = 9;
	cr_expect_eq(image_path_digest(path, &stop, &found, &len, &err), OTA_E_CANCELLED);
	cr_expect_eq(found.at[0], 9);
	cr_expect_eq(len, 9);
}

Test(image_file, what_is_neither_file_nor_device_is_no_image)
{
	struct image_file image = { .len = 9 };
	struct ota_error err = { 0 };
	uint64_t len = 9;

	cr_expect_eq(image_file_open(temporary_dir, &image, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, ": not a file"), "%s", err.text);
	cr_expect_eq(image_file_open("/dev/null", &image, &err), OTA_E_IO);
	cr_expect_eq(image.len, 9);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(image_path_digest(path, NULL, &whole, &len, &err), OTA_E_NOTFOUND);
	cr_expect_eq(len, 9);
}

Test(image_file, a_block_device_is_as_long_as_it_says)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	struct install_kit kit = { 0 };
	struct ota_error err = { 0 };
	char loop[AGENT_PATH_CAP];

	if (!install_kit_is_root("block devices by losetup"))
		return;
	(void)snprintf(kit.dir, sizeof kit.dir, "%s", temporary_dir);
	install_kit_loop(&kit, "loop", 1 << 20, loop);
	cr_expect_eq(image_file_open(loop, &image, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(image.len, 1 << 20);
	image_file_fini(&image);
	cr_expect(faults_arm_text("ioctl,5,0"));
	cr_expect_eq(image_file_open(loop, &image, &err), OTA_E_IO);
	cr_expect(faults_fired());
	cr_expect_not_null(strstr(err.text, ": Input/output error"), "%s", err.text);
	install_kit_unloop(loop);
}

/* ---- past the page cache ---- */

static void open_direct(struct image_file *image)
{
	cr_assert_eq(image_file_open(path, image, NULL), OTA_OK);
	image_file_bypass_cache(image);
	cr_assert(image->is_direct, "%s is on a file system that reads past its cache",
		path);
}

Test(image_file, past_the_cache_each_read_may_fail_or_be_interrupted)
{
	struct faults walk = { .only = "pread64 ", .wants_each = true };
	unsigned refused = 0;

	while (faults_next(&walk)) {
		OTA_AUTO(image_file_fini) struct image_file image = { 0 };
		struct ota_digest found = { { 0 } };
		struct ota_error err = { 0 };
		enum ota_code rc;

		open_direct(&image);
		faults_arm(&walk);
		rc = image_file_digest(&image, NULL, &found, &err);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_expect(rc == OTA_E_IO || ota_digest_equal(&found, &whole), "%s",
			faults_text(&walk));
		cr_expect_eq(rc == OTA_OK,
			!walk.fired || strstr(faults_text(&walk), "pread64,4,") != NULL,
			"%s: %s", faults_text(&walk), err.text);
	}
	cr_expect_geq(refused, 8, "EIO and the end, four times: %u", refused);
}

Test(image_file, a_file_that_became_shorter_ends_it)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	struct ota_digest found;
	struct ota_error err = { 0 };

	open_direct(&image);
	cr_assert_eq(truncate(path, IMAGE_PIECE_LEN), 0);
	cr_expect_eq(image_file_digest(&image, NULL, &found, &err), OTA_E_IO);
	cr_expect_str_eq(err.text, "image: read: past the end");
}
