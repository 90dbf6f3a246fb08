#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { RECORD_LEN = 4096 };

static char dir[] = "/tmp/sluice-files-XXXXXX";
static char path[64];

static void start(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/file", dir);
}

static void stop(void)
{
	char command[64];

	(void)snprintf(command, sizeof command, "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(files, .init = start, .fini = stop);
TestSuite(record, .init = start, .fini = stop);

static void expect_content(const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf got = { 0 };

	cr_assert_eq(ota_file_read(path, 100, &got, NULL), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&got), ota_bytes_of(text)));
}

Test(files, a_replaced_file_holds_the_new_bytes_and_leaves_nothing_beside_it)
{
	struct stat st;
	char command[64];

	cr_assert_eq(ota_file_replace(path, ota_bytes_of("old"), 0644, NULL), OTA_OK);
	cr_assert_eq(ota_file_replace(path, ota_bytes_of("newer"), 0600, NULL), OTA_OK);
	expect_content("newer");
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	(void)snprintf(command, sizeof command, "test $(ls -A %s | wc -l) = 1", dir);
	cr_expect_eq(system(command), 0);
}

Test(files, a_failed_replace_leaves_the_old_bytes)
{
	char inside[80];
	struct ota_error err = { 0 };

	cr_assert_eq(ota_file_replace(path, ota_bytes_of("old"), 0644, NULL), OTA_OK);
	(void)snprintf(inside, sizeof inside, "%s/below", path);
	cr_expect_eq(ota_file_replace(inside, ota_bytes_of("x"), 0644, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "file/below: "), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "Not a directory"), "%s", err.text);
	expect_content("old");
}

Test(files, reading_adds_to_the_buffer_only_if_all_of_it_fits)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_error err = { 0 };
	char want[128];

	cr_assert_eq(ota_buf_add(&out, ota_bytes_of("before ")), OTA_OK);
	cr_assert_eq(ota_file_replace(path, ota_bytes_of("1234567"), 0644, NULL), OTA_OK);
	cr_expect_eq(ota_file_read(path, 6, &out, &err), OTA_E_LIMIT);
	(void)snprintf(want, sizeof want, "%s: longer than 6 bytes", path);
	cr_expect_str_eq(err.text, want);
	cr_expect_eq(out.len, 7);
	cr_expect_eq(ota_file_read(path, 7, &out, &err), OTA_OK);
	cr_expect_str_eq(ota_buf_text(&out), "before 1234567");
}

Test(files, a_missing_file_is_named)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_error err = { 0 };
	char want[128];

	cr_expect_eq(ota_file_read(path, 6, &out, &err), OTA_E_NOTFOUND);
	(void)snprintf(want, sizeof want, "%s: open: No such file or directory", path);
	cr_expect_str_eq(err.text, want);
}

Test(files, only_a_plain_file_is_read_where_others_may_write)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf got = { 0 };
	struct ota_error err = { 0 };
	char other[80];

	cr_assert_eq(ota_file_replace(path, ota_bytes_of("text"), 0644, NULL), OTA_OK);
	cr_assert_eq(ota_file_read_plain(path, 100, &got, NULL), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&got), ota_bytes_of("text")));
	(void)snprintf(other, sizeof other, "%s/link", dir);
	cr_assert_eq(symlink(path, other), 0);
	cr_expect_eq(ota_file_read_plain(other, 100, &got, NULL), OTA_E_IO);
	(void)snprintf(other, sizeof other, "%s/pipe", dir);
	cr_assert_eq(mkfifo(other, 0600), 0);
	cr_expect_eq(ota_file_read_plain(other, 100, &got, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "not a plain file"), "%s", err.text);
	cr_expect_eq(got.len, 4);
}

Test(files, removing_is_done_once_and_asked_twice)
{
	cr_assert_eq(ota_file_replace(path, ota_bytes_of("x"), 0644, NULL), OTA_OK);
	cr_expect_eq(ota_file_remove(path, NULL), OTA_OK);
	cr_expect_eq(ota_file_remove(path, NULL), OTA_OK);
	cr_expect_neq(access(path, F_OK), 0);
}

Test(files, directories_are_made_with_their_parents)
{
	char deep[80];
	struct stat st;
	struct ota_error err = { 0 };

	(void)snprintf(deep, sizeof deep, "%s/a/b//c/", dir);
	cr_expect_eq(ota_dir_make(deep, 0700, NULL), OTA_OK);
	cr_expect_eq(ota_dir_make(deep, 0700, NULL), OTA_OK);
	cr_assert_eq(stat(deep, &st), 0);
	cr_expect(S_ISDIR(st.st_mode));
	cr_assert_eq(ota_file_replace(path, ota_bytes_of("x"), 0644, NULL), OTA_OK);
	cr_expect_eq(ota_dir_make(path, 0700, &err), OTA_E_IO);
	cr_expect_not_null(
		strstr(err.text, "exists and is no directory"), "%s", err.text);
	cr_expect_eq(ota_dir_make("", 0700, &err), OTA_E_IO);
}

Test(files, bytes_come_back_from_where_they_were_put)
{
	ota_autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct ota_error err = { 0 };
	uint8_t got[4] = { 0 };

	cr_assert_eq(ota_fd_write_at(fd, 10, ota_bytes_of("abcd"), NULL), OTA_OK);
	cr_assert_eq(ota_fd_sync(fd, NULL), OTA_OK);
	cr_assert_eq(ota_fd_read_at(fd, 10, got, 4, NULL), OTA_OK);
	cr_expect_eq(memcmp(got, "abcd", 4), 0);
	cr_expect_eq(ota_fd_read_at(fd, 12, got, 4, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "file: read past the end: "), "%s", err.text);
}

Test(files, a_full_disk_is_told_apart_and_named)
{
	ota_autoclose int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct ota_error err = { 0 };

	cr_expect_eq(ota_fd_write_at(fd, 0, ota_bytes_of("x"), &err), OTA_E_NOSPACE);
	cr_expect_str_eq(err.text, "/dev/full: write: No space left on device");
}

Test(files, a_write_to_a_wrong_descriptor_fails_with_words)
{
	struct ota_error err = { 0 };

	cr_expect_eq(ota_fd_write_at(-1, 0, ota_bytes_of("x"), &err), OTA_E_IO);
	cr_expect_str_eq(err.text, "descriptor -1: write: Bad file descriptor");
	cr_expect_eq(ota_fd_sync(-1, &err), OTA_E_IO);
}

Test(files, free_room_is_more_than_nothing)
{
	uint64_t free_len = 0;

	cr_expect_eq(ota_disk_free(dir, &free_len, NULL), OTA_OK);
	cr_expect_gt(free_len, 0);
	cr_expect_eq(ota_disk_free("/nowhere", &free_len, NULL), OTA_E_IO);
}

Test(files, paths_are_joined_or_refused)
{
	char out[8];

	cr_expect_eq(ota_path_join("/ab", "cde", out, sizeof out, NULL), OTA_OK);
	cr_expect_str_eq(out, "/ab/cde");
	cr_expect_eq(ota_path_join("/ab/", "cde", out, sizeof out, NULL), OTA_OK);
	cr_expect_str_eq(out, "/ab/cde");
	cr_expect_eq(ota_path_join("/ab", "cdef", out, sizeof out, NULL), OTA_E_LIMIT);
	cr_expect_str_eq(out, "/ab/cde");
}

/* Open the record file and read what stands there: its text and sequence. */
static uint64_t reopen(struct ota_buf *text, bool *lost)
{
	struct ota_record_file file = { .fd = -1 };
	struct ota_error err = { 0 };

	text->len = 0;
	cr_assert_eq(ota_record_open(path, &file, text, &err), OTA_OK, "%s", err.text);
	ota_record_fini(&file);
	*lost = file.lost;
	return file.seq;
}

/* A record file into which these texts were written, one after another. */
static void record(const char *const *texts)
{
	struct ota_record_file file = { .fd = -1 };
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	cr_assert_eq(ota_record_open(path, &file, &out, NULL), OTA_OK);
	for (; *texts != NULL; texts++)
		cr_assert_eq(ota_record_write(&file, ota_bytes_of(*texts), NULL), OTA_OK);
	ota_record_fini(&file);
}

Test(record, a_new_file_holds_no_record_and_is_not_lost)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct stat st;
	bool lost = true;

	cr_expect_eq(reopen(&out, &lost), 0);
	cr_expect_eq(reopen(&out, &lost), 0);
	cr_expect_eq(out.len, 0);
	cr_expect_not(lost);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 2 * RECORD_LEN);
}

Test(record, the_newest_record_comes_back)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	bool lost = true;

	record((const char *const[]){ "one", "two", "three", NULL });
	cr_expect_eq(reopen(&out, &lost), 4);
	cr_expect_str_eq(ota_buf_text(&out), "three");
	record((const char *const[]){ "four", NULL });
	cr_expect_eq(reopen(&out, &lost), 5);
	cr_expect_str_eq(ota_buf_text(&out), "four");
	cr_expect_not(lost);
}

static void flip(off_t offset)
{
	ota_autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	cr_assert_eq(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x10;
	cr_assert_eq(pwrite(fd, &byte, 1, offset), 1);
}

Test(record, with_any_byte_of_it_damaged_the_older_record_wins)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	bool lost = true;

	record((const char *const[]){ "one", "older", "newer", NULL });
	/* The newest is number 4, in the first half. */
	for (off_t i = 0; i < RECORD_LEN; i++) {
		flip(i);
		cr_assert_eq(reopen(&out, &lost), 3, "byte %d", (int)i);
		cr_assert_str_eq(ota_buf_text(&out), "older", "byte %d", (int)i);
		cr_assert_not(lost);
		flip(i);
	}
	cr_expect_eq(reopen(&out, &lost), 4);
}

Test(record, a_record_cut_short_anywhere_leaves_the_older_one)
{
	static uint8_t newer[RECORD_LEN], older[RECORD_LEN];
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	ota_autoclose int fd = -1;
	bool lost;

	record((const char *const[]){
		"one", NULL }); /* 2 in the first half, 1 after it */
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_eq(pread(fd, older, RECORD_LEN, 0), RECORD_LEN);
	record((const char *const[]){ "three", "newest", NULL });
	cr_assert_eq(pread(fd, newer, RECORD_LEN, 0), RECORD_LEN);
	for (size_t kept = 0; kept < RECORD_LEN; kept += 512) {
		cr_assert_eq(pwrite(fd, older, RECORD_LEN, 0), RECORD_LEN);
		cr_assert_eq(pwrite(fd, newer, kept, 0), (ssize_t)kept);
		cr_assert_eq(reopen(&out, &lost), 3, "%zu bytes kept", kept);
		cr_assert_str_eq(ota_buf_text(&out), "three");
	}
}

Test(record, after_the_first_write_no_single_damage_looks_like_a_new_file)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	bool lost;

	record((const char *const[]){ "first", NULL });
	flip(20);
	cr_expect_eq(reopen(&out, &lost), 1);
	cr_expect_str_eq(ota_buf_text(&out), "first");
	flip(20);
	flip(RECORD_LEN + 20);
	cr_expect_eq(reopen(&out, &lost), 2);
	cr_expect_str_eq(ota_buf_text(&out), "first");
}

Test(record, a_cut_during_the_very_first_write_is_a_new_file)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	bool lost = true;

	cr_expect_eq(reopen(&out, &lost), 0);
	flip(RECORD_LEN + 1);
	cr_expect_eq(reopen(&out, &lost), 0);
	cr_expect_not(lost);
}

Test(record, with_both_records_damaged_the_state_is_lost)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	bool lost = false;

	record((const char *const[]){ "one", "two", NULL });
	flip(30);
	flip(RECORD_LEN + 30);
	cr_expect_eq(reopen(&out, &lost), 0);
	cr_expect(lost);
	cr_expect_eq(out.len, 0);
}

Test(record, a_file_cut_short_is_given_its_size_again)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct stat st;
	bool lost;

	record((const char *const[]){ "one", NULL });
	cr_assert_eq(truncate(path, RECORD_LEN + 5), 0);
	cr_expect_eq(reopen(&out, &lost), 2);
	cr_expect_str_eq(ota_buf_text(&out), "one");
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 2 * RECORD_LEN);
}

Test(record, a_payload_may_be_empty_or_just_full_but_not_more)
{
	static const uint8_t full[OTA_RECORD_PAYLOAD_MAX + 1] = { 1, 2, 3 };
	struct ota_record_file file = { .fd = -1 };
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	bool lost;

	cr_assert_eq(ota_record_open(path, &file, &out, NULL), OTA_OK);
	cr_expect_eq(
		ota_record_write(&file, (struct ota_bytes){ NULL, 0 }, NULL), OTA_OK);
	cr_expect_eq(ota_record_write(&file,
			     (struct ota_bytes){ full, OTA_RECORD_PAYLOAD_MAX }, NULL),
		OTA_OK);
	cr_expect_eq(
		ota_record_write(&file,
			(struct ota_bytes){ full, OTA_RECORD_PAYLOAD_MAX + 1 }, NULL),
		OTA_E_LIMIT);
	ota_record_fini(&file);
	cr_expect_eq(reopen(&out, &lost), 3);
	cr_expect_eq(out.len, OTA_RECORD_PAYLOAD_MAX);
}

Test(record, after_a_failed_write_the_file_must_be_opened_again)
{
	struct ota_record_file file = { .fd = -1 };
	struct ota_error err = { 0 };

	file.fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	cr_assert_gt(file.fd, 0);
	cr_expect_eq(ota_record_write(&file, ota_bytes_of("x"), &err), OTA_E_NOSPACE);
	cr_expect_eq(file.fd, -1);
	cr_expect_eq(ota_record_write(&file, ota_bytes_of("x"), &err), OTA_E_IO);
	cr_expect_str_eq(err.text, "record file failed before and was not opened again");
}
