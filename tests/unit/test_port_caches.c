/* Images, sets of chunks, rates. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/port/bucket.h"
#include "orchestrator/port/chunk_set.h"
#include "orchestrator/port/images.h"
#include "proto/base/own.h"

static char dir[] = "/tmp/images.XXXXXX";
static struct images *images;
static struct ota_digest hello;

/* Files in the directory; removes them on the way if asked to. */
static unsigned count_files(bool and_remove)
{
	DIR *list = opendir(dir);
	unsigned count = 0;

	for (struct dirent *e; list && (e = readdir(list)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		count++;
		if (and_remove)
			(void)unlinkat(dirfd(list), e->d_name, 0);
	}
	(void)closedir(list);
	return count;
}

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(images_open(dir, &images, NULL), OTA_OK);
	hello = ota_digest_of(ota_bytes_of("hello"));
}

static void remove_dir(void)
{
	images_free(images);
	(void)count_files(true);
	(void)rmdir(dir);
}

TestSuite(images, .init = make_dir, .fini = remove_dir);

static enum ota_code upload(uint64_t len, const char *text, struct ota_error *err)
{
	struct image_upload *up = NULL;
	enum ota_code rc = image_upload_new(images, &hello, len, &up, err);

	if (rc == OTA_OK)
		rc = image_upload_add(up, ota_bytes_of(text), err);
	if (rc == OTA_OK)
		rc = image_upload_finish(up, err);
	image_upload_free(up);
	return rc;
}

Test(images, an_upload_becomes_an_image_only_if_it_is_whole_and_right)
{
	static const struct {
		uint64_t len;
		const char *text;
		enum ota_code rc;
	} rows[] = {
		{ 5, "hellO", OTA_E_DIGEST },
		{ 5, "hell", OTA_E_FORMAT },
		{ 4, "hello", OTA_E_LIMIT },
		{ 0, "", OTA_E_LIMIT },
		{ IMAGE_LEN_MAX + 1, "hello", OTA_E_LIMIT },
	};
	uint64_t len = 0;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		cr_expect_eq(upload(rows[i].len, rows[i].text, NULL), rows[i].rc,
			"row %zu", i);
		cr_expect_not(images_has(images, &hello, NULL));
		cr_expect_eq(count_files(false), 0, "row %zu left a file", i);
	}
	cr_assert_eq(upload(5, "hello", NULL), OTA_OK);
	cr_assert(images_has(images, &hello, &len));
	cr_assert_eq(len, 5);
}

Test(images, a_source_reads_where_it_is_asked_to)
{
	OTA_AUTO(images_source_fini) struct ota_source source = { 0 };
	uint8_t two[2];

	cr_assert_eq(images_source(images, &hello, &source, NULL), OTA_E_NOTFOUND);
	cr_assert_eq(upload(5, "hello", NULL), OTA_OK);
	cr_assert_eq(images_source(images, &hello, &source, NULL), OTA_OK);
	cr_assert_eq(source.len, 5);
	cr_assert_eq(source.read(source.ctx, 3, two, 2), OTA_OK);
	cr_assert_arr_eq(two, "lo", 2);
}

Test(images, what_a_cut_left_is_removed_at_the_next_start)
{
	char name[64];
	int fd;

	(void)snprintf(name, sizeof name, "%s/tmp-abcdef", dir);
	fd = open(name, O_CREAT | O_WRONLY, 0600);
	cr_assert_geq(fd, 0);
	(void)close(fd);
	cr_assert_eq(upload(5, "hello", NULL), OTA_OK);
	images_free(images);
	cr_assert_eq(images_open(dir, &images, NULL), OTA_OK);
	cr_assert_eq(count_files(false), 1);
	cr_assert(images_has(images, &hello, NULL));
}

Test(chunk_set, what_several_devices_need_is_handed_out_once)
{
	static const uint8_t first[] = { 0x81, 0x01 }, second[] = { 0x80, 0x02 };
	struct ota_need a = { .chunk_count = 10, .bitmap = { first, 2 } };
	struct ota_need b = { .chunk_count = 10, .bitmap = { second, 2 } };
	struct ota_need manifest = { 0 };
	struct chunk_set *list = NULL;
	struct chunk_set *set = chunk_set_of(&list, &a.patch, 10);
	uint32_t got[4], index;

	cr_assert_not_null(set);
	chunk_set_merge(set, &a);
	chunk_set_merge(set, &b);
	for (int i = 0; i < 4; i++)
		cr_assert(chunk_set_take(set, &got[i]));
	cr_expect_arr_eq(got, ((uint32_t[]){ 0, 7, 8, 9 }), sizeof got);
	cr_assert_not(chunk_set_take(set, &index));
	cr_assert_not(set->manifest);
	chunk_set_merge(set, &manifest);
	cr_assert(set->manifest);
	chunk_set_clear(&list);
	cr_assert_null(list);
}

Test(chunk_set, another_count_of_the_same_patch_is_refused)
{
	struct chunk_set *list = NULL;
	struct ota_digest one = { { 1 } }, two = { { 2 } };

	cr_assert_not_null(chunk_set_of(&list, &one, 10));
	cr_assert_null(chunk_set_of(&list, &one, 11));
	cr_assert_not_null(chunk_set_of(&list, &two, 11));
	chunk_set_drop(&list, &one);
	cr_assert_eq(list->count, 11);
	chunk_set_clear(&list);
}

Test(bucket, lets_a_burst_through_and_then_the_rate)
{
	const struct bucket_rate rate = { .burst = 3, .each_ms = 100 };
	struct bucket bucket = { 0 };

	for (int i = 0; i < 3; i++)
		cr_expect(bucket_take(&bucket, &rate, 1000));
	cr_expect_not(bucket_take(&bucket, &rate, 1099));
	cr_expect(bucket_take(&bucket, &rate, 1100));
	cr_expect_not(bucket_take(&bucket, &rate, 1100));
	for (int i = 0; i < 3; i++)
		cr_expect(bucket_take(&bucket, &rate, 9000));
	cr_expect_not(bucket_take(&bucket, &rate, 9000));
}
