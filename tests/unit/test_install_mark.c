#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/port/install_mark.h"
#include "proto/base/own.h"
#include "tests/unit/temporary.h"

static char path[256];
static const struct install_mark_head HEAD = {
	.slot = 1, .to_len = 3 * (uint64_t)INSTALL_BLOCK_LEN + 5, .patch = { { 7 } }
};

static void set_up(void)
{
	temporary_make();
	(void)snprintf(path, sizeof path, "%s/install", temporary_dir);
}

TestSuite(install_mark, .init = set_up, .fini = temporary_remove);

static struct install_mark open_mark(struct install_mark_head head)
{
	struct install_mark mark = { .fd = -1 };
	struct ota_error err = { 0 };

	cr_assert_eq(install_mark_open(path, &head, &mark, &err), OTA_OK, "%s", err.text);
	return mark;
}

static bool holds(const struct install_mark *mark, uint64_t block)
{
	struct ota_digest digest = install_mark_get(mark, block);

	return !ota_digest_is_zero(&digest);
}

static void put(struct install_mark *mark, uint64_t block)
{
	const struct ota_digest digest = { { 1, 2, 3 } };

	cr_assert_eq(install_mark_put(mark, block, &digest, NULL), OTA_OK);
	cr_assert_eq(install_mark_sync(mark, NULL), OTA_OK);
}

Test(install_mark, an_image_has_as_many_blocks_as_it_begins)
{
	cr_expect_eq(install_mark_blocks(0), 0);
	cr_expect_eq(install_mark_blocks(1), 1);
	cr_expect_eq(install_mark_blocks(INSTALL_BLOCK_LEN), 1);
	cr_expect_eq(install_mark_blocks(INSTALL_BLOCK_LEN + 1), 2);
}

Test(install_mark, what_was_put_is_there_at_the_next_start)
{
	OTA_AUTO(install_mark_fini) struct install_mark mark = open_mark(HEAD);

	put(&mark, 0);
	put(&mark, 3);
	install_mark_fini(&mark);
	mark = open_mark(HEAD);
	cr_expect(holds(&mark, 0));
	cr_expect_not(holds(&mark, 1));
	cr_expect(holds(&mark, 3));
}

Test(install_mark, another_install_begins_without_blocks)
{
	for (int i = 0; i < 3; i++) {
		OTA_AUTO(install_mark_fini) struct install_mark mark = open_mark(HEAD);
		struct install_mark_head other = HEAD;

		put(&mark, 0);
		install_mark_fini(&mark);
		other.slot = i == 0 ? 0 : other.slot;
		other.to_len += i == 1;
		other.patch.at[31] = i == 2;
		mark = open_mark(other);
		cr_expect_not(holds(&mark, 0), "%d", i);
	}
}

Test(install_mark, distrust_stays_until_it_is_taken_back)
{
	OTA_AUTO(install_mark_fini) struct install_mark mark = open_mark(HEAD);
	struct install_mark_head other = HEAD;

	put(&mark, 0);
	install_mark_fini(&mark);
	other.distrust = true;
	cr_assert_eq(install_mark_begin(path, &other, NULL), OTA_OK);
	other = HEAD;
	other.patch.at[0] = 99;
	mark = open_mark(other);
	cr_expect(mark.head.distrust, "also for another patch");
	cr_expect_not(holds(&mark, 0));
	put(&mark, 0);
	install_mark_fini(&mark);
	mark = open_mark(other);
	cr_expect(mark.head.distrust && holds(&mark, 0), "what was put since counts");
}

Test(install_mark, a_damaged_mark_says_nothing)
{
	for (off_t at = 0; at < INSTALL_MARK_HEAD_LEN; at++) {
		OTA_AUTO(install_mark_fini) struct install_mark mark = open_mark(HEAD);
		uint8_t byte;

		put(&mark, 0);
		cr_assert_eq(pread(mark.fd, &byte, 1, at), 1);
		byte ^= 0x40;
		cr_assert_eq(pwrite(mark.fd, &byte, 1, at), 1);
		install_mark_fini(&mark);
		mark = open_mark(HEAD);
		cr_expect_not(holds(&mark, 0), "byte %d", (int)at);
	}
}

Test(install_mark, an_image_of_too_many_blocks_is_refused)
{
	struct install_mark_head head = HEAD;
	struct install_mark mark;

	head.to_len = ((uint64_t)INSTALL_MARK_BLOCKS_MAX + 1) * INSTALL_BLOCK_LEN;
	cr_expect_eq(install_mark_open(path, &head, &mark, NULL), OTA_E_LIMIT);
}

/* Whole, but for what its digest covers: it was made so. */
static void expect_refused(size_t at, uint8_t value)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct install_mark_head head = HEAD;
	struct ota_error err = { 0 };
	struct ota_digest digest;

	cr_assert_eq(install_mark_encode(&head, &bytes), OTA_OK);
	bytes.at[at] = value;
	digest = ota_digest_of((struct ota_bytes){ bytes.at, 48 });
	memcpy(bytes.at + 48, digest.at, OTA_DIGEST_LEN);
	cr_expect_eq(
		install_mark_parse(ota_buf_bytes(&bytes), &head, &err), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "mark: slot or flags");
}

Test(install_mark, a_mark_that_says_what_none_says_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct install_mark_head head = HEAD;

	expect_refused(4, 2);
	expect_refused(5, 2);
	expect_refused(6, 1);
	expect_refused(7, 1);
	cr_assert_eq(install_mark_encode(&HEAD, &bytes), OTA_OK);
	for (size_t len = 0; len <= INSTALL_MARK_HEAD_LEN; len++)
		cr_expect_eq(install_mark_parse(
				     (struct ota_bytes){ bytes.at, len }, &head, NULL),
			len == INSTALL_MARK_HEAD_LEN ? OTA_OK : OTA_E_FORMAT, "%zu", len);
}

Test(install_mark, who_distrusts_the_slot_begins_again)
{
	OTA_AUTO(install_mark_fini) struct install_mark mark = open_mark(HEAD);
	struct install_mark_head head = HEAD;

	put(&mark, 0);
	install_mark_fini(&mark);
	head.distrust = true;
	mark = open_mark(head);
	cr_expect(mark.head.distrust);
	cr_expect_not(holds(&mark, 0));
	install_mark_fini(&mark);
	mark = open_mark(HEAD);
	cr_expect(mark.head.distrust, "it is written down");
}
