#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/port/install_target.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* Bytes on their way into a slot of fixed size that holds some of them already. */

#define BLOCK ((size_t)INSTALL_BLOCK_LEN)

enum { SAME_LEN = 1 << 17, FED_LEN = 700000, END_LEN = 1000 };
enum { IMAGE_LEN = 2 * INSTALL_BLOCK_LEN + END_LEN };

static struct install_kit kit;
static struct install_mark_head head;
static char mark_path[AGENT_PATH_CAP + 16];
static atomic_bool stop;

static void set_up(void)
{
	temporary_in_memory = true;
	temporary_make();
	install_kit_init(&kit, temporary_dir, IMAGE_LEN, 1);
	kit.slot.type = AGENT_SLOT_BLOCK;
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		(void)snprintf(kit.slot.devices[i], AGENT_PATH_CAP, "%s/%c",
			temporary_dir, (int)('a' + i));
		install_kit_run("truncate -s %d %s", IMAGE_LEN, kit.slot.devices[i]);
	}
	head = (struct install_mark_head){
		.slot = 1, .to_len = IMAGE_LEN, .patch = { { 7 } }
	};
	(void)snprintf(mark_path, sizeof mark_path, "%s/mark", temporary_dir);
}

static void tear_down(void)
{
	install_kit_fini(&kit);
	temporary_remove();
}

TestSuite(install_target, .init = set_up, .fini = tear_down, .timeout = 100);

/* Let slot b hold these bytes of the image, and zeros elsewhere. */
static void hold(size_t offset, size_t len)
{
	ota_autoclose int fd = open(kit.slot.devices[1], O_WRONLY | O_CLOEXEC);

	cr_assert_eq(pwrite(fd, kit.to.at + offset, len, (off_t)offset), (ssize_t)len);
}

static void hold_nothing(void)
{
	install_kit_run("rm -f %s && truncate -s 0 %s && truncate -s %d %s", mark_path,
		kit.slot.devices[1], IMAGE_LEN, kit.slot.devices[1]);
}

static enum ota_code open_target(struct install_target *target, struct ota_error *err)
{
	return install_target_open(&kit.work.to, &head, mark_path, &stop, target, err);
}

/* The rest of the image. */
static enum ota_code feed(struct install_target *target)
{
	const struct ota_sink sink = install_target_sink(target);
	enum ota_code rc = OTA_OK;
	size_t len;

	for (size_t at = target->at; rc == OTA_OK && at < IMAGE_LEN; at += len) {
		len = IMAGE_LEN - at < FED_LEN ? IMAGE_LEN - at : FED_LEN;
		rc = sink.write(sink.ctx, (struct ota_bytes){ kit.to.at + at, len });
	}
	return rc;
}

/* All of it; what was counted to *count. */
static enum ota_code write_image(struct install_count *count, struct ota_error *err)
{
	struct install_target target = { .fd = -1, .mark = { .fd = -1 } };
	enum ota_code rc = open_target(&target, err);

	if (rc == OTA_OK)
		rc = feed(&target);
	if (rc != OTA_OK && target.error.code != OTA_OK)
		cr_expect_eq(rc, target.error.code);
	if (rc == OTA_OK)
		rc = install_target_finish(&target, err);
	*count = target.count;
	install_target_fini(&target);
	return rc;
}

static void expect_written(uint64_t skipped)
{
	struct install_count count = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(write_image(&count, &err), OTA_OK, "%s", err.text);
	cr_expect(install_kit_is_there(&kit, 1));
	cr_expect_eq(count.skipped, skipped);
	cr_expect_eq(count.kept + count.skipped + count.written, IMAGE_LEN);
}

/* ---- what is there ---- */

Test(install_target, where_nothing_was_found_the_start_of_a_block_decides)
{
	hold(BLOCK, BLOCK);
	expect_written(BLOCK);
	hold_nothing();
	hold(BLOCK, 4096); /* and no more */
	expect_written(0);
	hold_nothing();
	hold(BLOCK + SAME_LEN, BLOCK - SAME_LEN); /* where nobody looks */
	expect_written(0);
}

Test(install_target, a_start_of_a_block_that_cannot_be_read_is_not_there)
{
	struct install_target target = { .fd = -1, .mark = { .fd = -1 } };
	struct ota_error err = { 0 };

	cr_assert_eq(open_target(&target, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(truncate(kit.slot.devices[1], BLOCK), 0, "it ends there meanwhile");
	cr_expect_eq(feed(&target), OTA_OK);
	cr_expect_eq(install_target_finish(&target, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(target.count.written, IMAGE_LEN);
	install_target_fini(&target);
	cr_expect(install_kit_is_there(&kit, 1));
}

Test(install_target, each_part_that_is_there_is_skipped)
{
	for (size_t at = 0; at < BLOCK; at += 2 * SAME_LEN)
		hold(at, SAME_LEN);
	expect_written(BLOCK / 2);
}

Test(install_target, an_image_may_end_with_a_block)
{
	struct install_target target = { .fd = -1, .mark = { .fd = -1 } };
	struct ota_error err = { 0 };
	struct ota_sink sink;

	head.to_len = BLOCK;
	cr_assert_eq(open_target(&target, &err), OTA_OK, "%s", err.text);
	sink = install_target_sink(&target);
	cr_expect_eq(
		sink.write(sink.ctx, (struct ota_bytes){ kit.to.at, BLOCK }), OTA_OK);
	cr_expect_eq(install_target_finish(&target, &err), OTA_OK, "%s", err.text);
	install_target_fini(&target);
	cr_assert_eq(open_target(&target, &err), OTA_OK);
	cr_expect_eq(target.count.kept, BLOCK);
	install_target_fini(&target);
}

/* ---- what is not the image ---- */

Test(install_target, an_image_that_is_short_or_long_is_the_decoders_fault)
{
	struct install_target target = { .fd = -1, .mark = { .fd = -1 } };
	struct ota_error err = { 0 };
	struct ota_sink sink;

	cr_assert_eq(open_target(&target, &err), OTA_OK, "%s", err.text);
	sink = install_target_sink(&target);
	cr_expect_eq(sink.write(sink.ctx, (struct ota_bytes){ kit.to.at, 10 }), OTA_OK);
	cr_expect_eq(install_target_finish(&target, &err), OTA_E_DECODER);
	cr_expect_str_eq(err.text, "image is short");
	cr_expect_eq(sink.write(sink.ctx, (struct ota_bytes){ kit.to.at, IMAGE_LEN }),
		OTA_E_DECODER);
	cr_expect_eq(target.at, 10);
	install_target_fini(&target);
}

Test(install_target, after_a_failure_nothing_is_taken_any_more)
{
	struct install_target target = { .fd = -1, .mark = { .fd = -1 } };
	struct ota_error err = { 0 };

	cr_assert_eq(open_target(&target, &err), OTA_OK, "%s", err.text);
	cr_assert(faults_arm_text("pwrite64,28,0"));
	cr_expect_eq(feed(&target), OTA_E_NOSPACE);
	cr_expect(faults_fired());
	cr_expect_eq(feed(&target), OTA_E_NOSPACE);
	cr_expect_eq(install_target_finish(&target, &err), OTA_E_DECODER);
	install_target_fini(&target);
	cr_assert_eq(open_target(&target, &err), OTA_OK);
	cr_expect(target.mark.head.distrust, "nothing in it is believed");
	install_target_fini(&target);
}

/* ---- each read and write that fails ---- */

static bool is_write(const struct faults *walk)
{
	return strncmp(faults_text(walk), "pwrite64,", 9) == 0;
}

Test(install_target, what_cannot_be_read_is_not_there_and_a_failed_write_is_the_end)
{
	struct faults walk = { .only = "pread64 pwrite64 ", .wants_each = true };
	unsigned refused = 0;

	while (faults_next(&walk)) {
		struct install_count count = { 0 };
		struct ota_error err = { 0 };
		enum ota_code rc;

		hold_nothing();
		for (size_t at = 0; at < BLOCK; at += 2 * SAME_LEN)
			hold(at, SAME_LEN);
		faults_arm(&walk);
		rc = write_image(&count, &err);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_expect(rc == OTA_OK || is_write(&walk), "%s: %s", faults_text(&walk),
			err.text);
		if (rc != OTA_OK)
			cr_expect_eq(write_image(&count, &err), OTA_OK, "after %s: %s",
				faults_text(&walk), err.text);
		cr_expect(install_kit_is_there(&kit, 1), "%s", faults_text(&walk));
	}
	cr_expect_gt(refused, 20);
}

Test(install_target, what_cannot_be_read_is_not_proved)
{
	struct faults walk = { .only = "pread64 ", .wants_each = true };
	struct install_count count = { 0 };
	struct ota_error err = { 0 };
	unsigned less = 0;

	expect_written(0);
	while (faults_next(&walk)) {
		faults_arm(&walk);
		cr_expect_eq(write_image(&count, &err), OTA_OK, "%s: %s",
			faults_text(&walk), err.text);
		(void)faults_disarm(&walk);
		less += count.kept < IMAGE_LEN;
		cr_expect_eq(count.kept + count.skipped + count.written, IMAGE_LEN);
		cr_expect(install_kit_is_there(&kit, 1), "%s", faults_text(&walk));
	}
	cr_expect_geq(less, 6);
}
