#include <criterion/criterion.h>

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/tree.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

/* Archives made by hand, of ustar headers: what a tar program would not make. */

enum { UNIT = 512 };

static struct ota_buf archive;
static char into[256], outside[256];
static struct tree_limits limits;

static void set_up(void)
{
	temporary_make();
	(void)snprintf(into, sizeof into, "%s/in/tree", temporary_dir);
	(void)snprintf(outside, sizeof outside, "%s/in", temporary_dir);
	cr_assert_eq(mkdir(outside, 0700), 0);
	limits = (struct tree_limits){ .bytes_max = 100000,
		.entries_max = TREE_ENTRIES_MAX };
}

static void tear_down(void)
{
	ota_buf_fini(&archive);
	temporary_remove();
}

TestSuite(tree, .init = set_up, .fini = tear_down);

static void put_checksum(uint8_t *header)
{
	unsigned sum = 0;

	memset(header + 148, ' ', 8);
	for (size_t i = 0; i < UNIT; i++)
		sum += header[i];
	(void)snprintf((char *)header + 148, 8, "%06o", sum);
}

/* type: '0' file, '1' hard link, '2' symbolic link, '3' device, '5' directory, '6' pipe
 */
static void add(const char *name, char type, const char *link, const char *text)
{
	uint8_t header[UNIT] = { 0 }, padded[UNIT] = { 0 };
	size_t len = strlen(text);

	(void)snprintf((char *)header, 100, "%s", name);
	(void)snprintf((char *)header + 100, 8, "%07o", type == '5' ? 0755 : 0640);
	(void)snprintf((char *)header + 108, 8, "%07o", (unsigned)geteuid());
	(void)snprintf((char *)header + 116, 8, "%07o", (unsigned)getegid());
	(void)snprintf((char *)header + 124, 12, "%011o", (unsigned)len);
	(void)snprintf((char *)header + 136, 12, "%011o", 1000000000);
	header[156] = (uint8_t)type;
	(void)snprintf((char *)header + 157, 100, "%s", link);
	memcpy(header + 257,
		"ustar\0"
		"00",
		8);
	put_checksum(header);
	cr_assert_eq(ota_buf_add(&archive, (struct ota_bytes){ header, UNIT }), OTA_OK);
	cr_assert_leq(len, UNIT);
	memcpy(padded, text, len);
	if (len > 0)
		cr_assert_eq(ota_buf_add(&archive, (struct ota_bytes){ padded, UNIT }),
			OTA_OK);
}

static void write_archive(char path[static 256])
{
	static const uint8_t end[2 * UNIT];

	cr_assert_eq(
		ota_buf_add(&archive, (struct ota_bytes){ end, sizeof end }), OTA_OK);
	(void)snprintf(path, 256, "%s/archive", temporary_dir);
	cr_assert_eq(ota_file_replace(path, ota_buf_bytes(&archive), 0600, NULL), OTA_OK);
}

static enum ota_code unpack(struct ota_error *err)
{
	ota_autoclose int fd = -1;
	char path[256];

	write_archive(path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return tree_unpack(fd, into, &limits, err);
}

static void expect_text(const char *name, const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf found = { 0 };
	char path[512];

	(void)snprintf(path, sizeof path, "%s/%s", into, name);
	cr_assert_eq(ota_file_read(path, 1000, &found, NULL), OTA_OK, "%s", path);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&found), ota_bytes_of(text)), "%s", name);
}

Test(tree, an_archive_becomes_files_with_modes_and_times)
{
	struct ota_error err = { 0 };
	struct stat st;
	char path[512];

	add("./", '5', "", "");
	add("./bin/", '5', "", "");
	add("./bin/app", '0', "", "first");
	add("lib/deep/er/x.so", '0', "", "made with its directories");
	add("bin/app", '0', "", "second");
	add("bin/link", '2', "../lib/deep/er/x.so", "");
	add("hard", '1', "bin/app", "");
	add("b\xc3\xa4r", '0', "", "not ASCII");
	cr_assert_eq(unpack(&err), OTA_OK, "%s", err.text);
	expect_text("bin/app", "second");
	expect_text("bin/link", "made with its directories");
	expect_text("hard", "second");
	expect_text("b\xc3\xa4r", "not ASCII");
	(void)snprintf(path, sizeof path, "%s/bin/app", into);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0640);
	cr_expect_eq(st.st_mtim.tv_sec, 1000000000);
	cr_expect_gt(tree_bytes(into), 4096);
	cr_assert_eq(tree_remove(into, &err), OTA_OK, "%s", err.text);
	cr_expect_neq(access(into, F_OK), 0);
	cr_expect_eq(tree_remove(into, &err), OTA_OK, "twice");
}

static const struct {
	const char *name;
	char type;
	const char *link, *text;
	enum ota_code code;
	const char *error;
} refused[] = {
	{ "/etc/x", '0', "", "x", OTA_E_FORMAT, "path is absolute" },
	{ "../x", '0', "", "x", OTA_E_FORMAT, "path contains '..'" },
	{ "dir/../x", '0', "", "x", OTA_E_FORMAT, "path contains '..'" },
	{ "dir/..", '5', "", "", OTA_E_FORMAT, "path contains '..'" },
	{ "way/x", '0', "", "x", OTA_E_FORMAT, "path goes through what is no directory" },
	{ "file/x", '0', "", "x", OTA_E_FORMAT, "path goes through what is no" },
	{ "l", '2', "/etc", "", OTA_E_FORMAT, "link leads out of the tree" },
	{ "l", '2', "..", "", OTA_E_FORMAT, "link leads out of the tree" },
	{ "dir/l", '2', "../..", "", OTA_E_FORMAT, "link leads out of the tree" },
	{ "dir/l", '2', "x/..", "", OTA_E_FORMAT, "link leads out of the tree" },
	{ "dir/l", '2', "./../../x", "", OTA_E_FORMAT, "link leads out of the tree" },
	{ "h", '1', "../archive", "", OTA_E_FORMAT, "path contains '..'" },
	{ "h", '1', "/etc/passwd", "", OTA_E_FORMAT, "path is absolute" },
	{ "h", '1', "dir", "", OTA_E_FORMAT, "hard link to what is no file" },
	{ "h", '1', "way", "", OTA_E_FORMAT, "hard link to what is no file" },
	{ "h", '1', "nothing", "", OTA_E_FORMAT, "hard link to what is no file" },
	{ "h", '1', "way/x", "", OTA_E_FORMAT, "path goes through" },
	{ "null", '3', "", "", OTA_E_FORMAT, "allow it with slot.special_files" },
	{ "pipe", '6', "", "", OTA_E_FORMAT, "allow it with slot.special_files" },
	{ ".", '0', "", "x", OTA_E_FORMAT, "has no name" },
	{ "l", '2', "", "", OTA_E_FORMAT, "link leads out of the tree" },
	{ "l", '2', ".x/..", "", OTA_E_FORMAT, "link leads out of the tree" },
};

Test(tree, nothing_leads_out_of_the_tree)
{
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		struct ota_error err = { 0 };

		archive.len = 0;
		add("dir", '5', "", "");
		add("file", '0', "", "x");
		add("way", '2', "dir", "");
		add(refused[i].name, refused[i].type, refused[i].link, refused[i].text);
		cr_expect_eq(unpack(&err), refused[i].code, "row %zu: %s", i, err.text);
		cr_expect_not_null(
			strstr(err.text, refused[i].error), "row %zu: %s", i, err.text);
		cr_assert_eq(tree_remove(into, NULL), OTA_OK);
		cr_assert_eq(rmdir(outside), 0, "row %zu: something lies outside", i);
		cr_assert_eq(mkdir(outside, 0700), 0);
	}
}

Test(tree, it_holds_no_more_than_it_may)
{
	struct ota_error err = { 0 };

	limits.bytes_max = 9;
	add("a", '0', "", "12345");
	add("b", '0', "", "12345");
	cr_expect_eq(unpack(&err), OTA_E_LIMIT);
	cr_expect_not_null(
		strstr(err.text, "b: more than 9 bytes in all"), "%s", err.text);
}

Test(tree, it_is_no_deeper_than_it_may)
{
	struct ota_error err = { 0 };
	char deep[2 * (TREE_DEPTH_MAX + 2) + 1] = "";

	for (size_t i = 0; i < 49; i++)
		memcpy(deep + 2 * i, "d/", 3);
	add(deep, '5', "", "");
	cr_assert_eq(unpack(&err), OTA_OK, "%s", err.text);
	cr_assert_eq(tree_remove(into, &err), OTA_OK, "%s", err.text);
}

Test(tree, a_pipe_is_made_where_it_is_allowed)
{
	struct ota_error err = { 0 };
	struct stat st;
	char path[512];

	limits.special_files = true;
	add("pipe", '6', "", "");
	cr_assert_eq(unpack(&err), OTA_OK, "%s", err.text);
	(void)snprintf(path, sizeof path, "%s/pipe", into);
	cr_assert_eq(lstat(path, &st), 0);
	cr_expect(S_ISFIFO(st.st_mode));
}

Test(tree, what_is_no_archive_is_refused)
{
	struct ota_error err = { 0 };

	cr_assert_eq(
		ota_buf_printf(&archive, "this is not a tar archive, is it?"), OTA_OK);
	cr_expect_eq(unpack(&err), OTA_E_FORMAT, "%s", err.text);
}

Test(tree, told_to_stop_it_stops)
{
	atomic_bool stop = false;

	limits.stop = &stop;
	add("a", '0', "", "12345");
	cr_expect_eq(unpack(NULL), OTA_OK);
	cr_assert_eq(tree_remove(into, NULL), OTA_OK);
	atomic_store(&stop, true);
	cr_expect_eq(unpack(NULL), OTA_E_CANCELLED);
}

Test(tree, a_directory_that_is_there_is_not_filled)
{
	struct ota_error err = { 0 };

	cr_assert_eq(mkdir(into, 0700), 0);
	add("a", '0', "", "12345");
	cr_expect_eq(unpack(&err), OTA_E_IO);
}

Test(tree, names_of_dots_and_doubled_slashes_are_names)
{
	struct ota_error err = { 0 };
	static const char *const links[] = { ".x", "./.x", "a//b", "..", "../.x", "x/./y",
		".//.x" };
	char path[512], name[32], found[64];

	add(".x", '0', "", "dot");
	add("a//b", '0', "", "two");
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
		(void)snprintf(name, sizeof name, "a/l%zu", i);
		add(name, '2', links[i], "");
	}
	cr_assert_eq(unpack(&err), OTA_OK, "%s", err.text);
	expect_text(".x", "dot");
	expect_text("a/b", "two");
	expect_text("a/l4", "dot");
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
		ssize_t len;

		(void)snprintf(path, sizeof path, "%s/a/l%zu", into, i);
		len = readlink(path, found, sizeof found - 1);
		cr_assert_gt(len, 0, "%s", path);
		found[len] = '\0';
		cr_expect_str_eq(found, links[i]);
	}
}

/* The next entry has that name, however long, as GNU tar writes it. */
static void add_long(const char *name)
{
	add("././@LongLink", 'L', "", name);
}

/* The next entry has such a record, as POSIX has it. */
static void add_record(const char *key, const char *value)
{
	char text[512];
	int len = (int)(strlen(key) + strlen(value)) + 3; /* blank, =, newline */

	len += len + 2 > 99 ? 3 : 2; /* its own digits */
	(void)snprintf(text, sizeof text, "%d %s=%s\n", len, key, value);
	cr_assert_eq((int)strlen(text), len);
	add("PaxHeader", 'x', "", text);
}

Test(tree, a_name_has_a_length_and_a_tree_a_depth)
{
	struct ota_error err = { 0 };
	char name[2 * (TREE_DEPTH_MAX + 2) + 1] = "", far[301] = "";

	(void)memset(far, 'n', sizeof far - 1);
	add_long(far);
	add("n", '0', "", "x");
	cr_expect_eq(unpack(&err), OTA_E_FORMAT);
	cr_expect_not_null(strstr(err.text, ": name is too long"), "%s", err.text);
	cr_assert_eq(tree_remove(into, NULL), OTA_OK);
	archive.len = 0;
	for (size_t i = 0; i < TREE_DEPTH_MAX + 2; i++)
		memcpy(name + 2 * i, "d/", 3);
	add_long(name);
	add("d", '5', "", "");
	cr_expect_eq(unpack(&err), OTA_E_LIMIT);
	cr_expect_not_null(strstr(err.text, "more than 64 directories in each other"),
		"%s", err.text);
}

Test(tree, names_that_are_said_to_be_utf_8_are_taken_whatever_the_locale)
{
	struct ota_error err = { 0 };
	char path[512], found[64] = "";

	cr_assert_not_null(setlocale(LC_ALL, "C"));
	add_record("path", "r\xc3\xbcn");
	add("run", '0', "", "text");
	add_record("linkpath", "r\xc3\xbcn");
	add("soft", '2', "run", "");
	cr_assert_eq(unpack(&err), OTA_OK, "%s", err.text);
	expect_text("r\xc3\xbcn", "text");
	(void)snprintf(path, sizeof path, "%s/soft", into);
	cr_expect_gt(readlink(path, found, sizeof found - 1), 0);
	cr_expect_str_eq(found, "r\xc3\xbcn");
}

/* As bytes it is not to be had, as some releases of libarchive have it. */
Test(tree, a_name_that_is_there_as_utf_8_alone_is_taken)
{
	struct ota_error err = { 0 };
	char path[512], found[64] = "";

	add("run", '0', "", "text");
	cr_assert(faults_arm_text("archive_entry_pathname,84,0"));
	cr_assert_eq(unpack(&err), OTA_OK, "%s", err.text);
	cr_expect(faults_fired());
	expect_text("run", "text");
	cr_assert_eq(tree_remove(into, NULL), OTA_OK);
	archive.len = 0;
	add("soft", '2', "run", "");
	cr_assert(faults_arm_text("archive_entry_symlink,84,0"));
	cr_assert_eq(unpack(&err), OTA_OK, "%s", err.text);
	cr_expect(faults_fired());
	(void)snprintf(path, sizeof path, "%s/soft", into);
	cr_expect_gt(readlink(path, found, sizeof found - 1), 0);
	cr_expect_str_eq(found, "run");
}

Test(tree, a_name_that_cannot_be_had_is_refused)
{
	struct ota_error err = { 0 };

	add("run", '0', "", "text");
	cr_assert(faults_arm_text("archive_entry_pathname,84,0"));
	cr_assert(faults_arm_second("archive_entry_pathname_utf8,84,0"));
	cr_expect_eq(unpack(&err), OTA_E_FORMAT);
	cr_expect(faults_fired() && faults_second_fired());
	cr_expect_str_eq(err.text, "run: path is absolute");
	cr_assert_eq(tree_remove(into, NULL), OTA_OK);
	archive.len = 0;
	add("soft", '2', "run", "");
	cr_assert(faults_arm_text("archive_entry_symlink,84,0"));
	cr_assert(faults_arm_second("archive_entry_symlink_utf8,84,0"));
	cr_expect_eq(unpack(&err), OTA_E_FORMAT);
	cr_expect(faults_fired() && faults_second_fired());
	cr_expect_str_eq(err.text, "soft: link leads out of the tree");
}

/* libarchive warns of it, and has the bytes. */
Test(tree, a_name_that_is_not_what_it_says_is_taken_as_bytes)
{
	struct ota_error err = { 0 };

	add_record("path", "r\xffn");
	add("run", '0', "", "text");
	cr_expect_eq(unpack(&err), OTA_OK, "%s", err.text);
	expect_text("r\xffn", "text");
}

Test(tree, an_archive_that_ends_in_a_file_is_damaged)
{
	struct ota_error err = { 0 };
	ota_autoclose int fd = -1;
	char path[256];

	add("a", '0', "", "more than is there");
	(void)snprintf(path, sizeof path, "%s/archive", temporary_dir);
	cr_assert_eq(ota_file_replace(path, (struct ota_bytes){ archive.at, UNIT + 5 },
			     0600, NULL),
		OTA_OK);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_expect_eq(tree_unpack(fd, into, &limits, &err), OTA_E_FORMAT);
	cr_expect_not_null(strstr(err.text, "a: Truncated"), "%s", err.text);
}

/* A sparse file of GNU's old form: where its bytes lie is told apart from its length. */
static void add_sparse(unsigned at, unsigned len)
{
	uint8_t *header;

	add("holes", 'S', "", "four");
	header = archive.at + archive.len - 2 * UNIT;
	memcpy(header + 257, "ustar  ", 8);
	(void)snprintf((char *)header + 386, 12, "%011o", at);
	(void)snprintf((char *)header + 398, 12, "%011o", 4U);
	(void)snprintf((char *)header + 483, 12, "%011o", len);
	put_checksum(header);
}

Test(tree, a_file_has_holes)
{
	struct ota_error err = { 0 };
	struct stat st;
	char path[512];

	add_sparse(600, 700);
	cr_assert_eq(unpack(&err), OTA_OK, "%s", err.text);
	(void)snprintf(path, sizeof path, "%s/holes", into);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 700);
}

/* Or a small archive made a file that is larger than all the tree may be. */
Test(tree, a_file_has_no_bytes_behind_its_end)
{
	static const struct {
		unsigned at, len;
	} rows[] = { { 697, 700 }, { 700, 700 }, { 1 << 30, 700 }, { 0, 3 } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ota_error err = { 0 };

		archive.len = 0;
		add_sparse(rows[i].at, rows[i].len);
		cr_expect_eq(unpack(&err), OTA_E_FORMAT, "%zu", i);
		cr_expect_not_null(
			strstr(err.text, "holes: bytes behind its end"), "%s", err.text);
		cr_assert_eq(tree_remove(into, &err), OTA_OK);
	}
}

Test(tree, an_archive_that_goes_on_with_something_else_is_damaged)
{
	struct ota_error err = { 0 };

	add("a", '0', "", "text");
	for (size_t i = 0; i < UNIT; i++)
		cr_assert_eq(ota_buf_add_u8(&archive, 'x'), OTA_OK);
	cr_expect_eq(unpack(&err), OTA_E_FORMAT);
	cr_expect_not_null(strstr(err.text, "Damaged tar archive"), "%s", err.text);
	expect_text("a", "text");
}

Test(tree, it_has_no_more_entries_than_it_may)
{
	struct ota_error err = { 0 };

	limits.entries_max = 2;
	for (unsigned i = 0; i < 3; i++)
		add("d", '5', "", "");
	cr_expect_eq(unpack(&err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "more than 2 entries");
}

/* A tree that nobody has unpacked. */
Test(tree, what_is_too_deep_is_neither_removed_nor_synced)
{
	struct ota_error err = { 0 };
	char command[512];

	(void)snprintf(command, sizeof command,
		"mkdir -p %.200s && cd %.200s && for i in $(seq 70); do mkdir d && cd d; "
		"done",
		into, into);
	cr_assert_eq(system(command), 0);
	cr_expect_eq(tree_sync(into, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "sync d: too deep");
	cr_expect_eq(tree_remove(into, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "remove d: too deep");
	(void)tree_bytes(into); /* ends */
}

/* Some file systems say so of a directory. */
Test(tree, a_directory_that_is_not_permitted_to_be_unlinked_is_removed)
{
	struct ota_error err = { 0 };

	cr_assert_eq(mkdir(into, 0700), 0);
	cr_assert(faults_arm_text("unlinkat,1,0"));
	cr_expect_eq(tree_remove(into, &err), OTA_OK, "%s", err.text);
	cr_expect(faults_fired());
	cr_expect_neq(access(into, F_OK), 0);
}

/* Else what lies in it would be thought to be synced. */
Test(tree, a_directory_that_cannot_be_read_is_not_synced)
{
	struct ota_error err = { 0 };

	cr_assert_eq(mkdir(into, 0700), 0);
	cr_assert(faults_arm_text("readdir64,5,0"));
	cr_expect_eq(tree_sync(into, &err), OTA_E_IO);
	cr_expect(faults_fired());
	cr_expect_not_null(strstr(err.text, ": Input/output error"), "%s", err.text);
}

/* ---- each call that fails ---- */

static void fill_archive(void)
{
	add("d/", '5', "", "");
	add("d/e/", '5', "", "");
	add("d/file", '0', "", "text");
	add("d/hard", '1', "d/file", "");
	add("d/soft", '2', "file", "");
	add("pipe", '6', "", "");
}

static enum ota_code unpack_and_remove(int fd, struct ota_error *err)
{
	enum ota_code rc = tree_unpack(fd, into, &limits, err);

	if (rc == OTA_OK)
		rc = tree_sync(into, err);
	if (rc == OTA_OK)
		cr_expect_leq(tree_bytes(into), 1 << 20);
	return rc == OTA_OK ? tree_remove(into, err) : rc;
}

Test(tree, any_call_may_fail, .timeout = 60)
{
	struct faults walk = { .wants_each = true };
	unsigned failures = 0;

	temporary_in_memory = true;
	while (faults_next(&walk)) {
		struct ota_error err = { 0 };
		ota_autoclose int fd = -1;
		char path[256];
		enum ota_code rc;

		tear_down();
		set_up();
		limits.special_files = true;
		fill_archive();
		write_archive(path);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		faults_arm(&walk);
		rc = unpack_and_remove(fd, &err);
		cr_expect(faults_disarm(&walk) || rc == OTA_OK, "%s: %s",
			faults_text(&walk), err.text);
		cr_expect_eq(err.code, rc, "%s", faults_text(&walk));
		failures += rc != OTA_OK;
		cr_expect_eq(tree_remove(into, &err), OTA_OK, "%s: %s",
			faults_text(&walk), err.text);
		cr_expect_neq(access(into, F_OK), 0, "%s", faults_text(&walk));
	}
	cr_expect_gt(failures, 30);
}
