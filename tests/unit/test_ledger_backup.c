/* Copies of a ledger in an SQLite file. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "tests/unit/ledger_kit.h"

static char copy[300];

static void make_both(void)
{
	make_dir();
	(void)snprintf(copy, sizeof copy, "%s/copy", dir);
	reopen();
}

static void remove_both(void)
{
	(void)unlink(copy);
	remove_dir();
}

TestSuite(backup, .init = make_both, .fini = remove_both);

/* Files in the directory whose name begins so. */
static unsigned count_files(const char *prefix)
{
	DIR *all = opendir(dir);
	const struct dirent *entry;
	unsigned count = 0;

	cr_assert_not_null(all);
	while ((entry = readdir(all)) != NULL)
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	(void)closedir(all);
	return count;
}

static uint64_t entries_of(const char *database)
{
	struct ledger *opened = NULL;
	struct ota_digest head;
	uint64_t seq = 0;

	cr_assert_eq(ledger_open(database, &opened, NULL), OTA_OK);
	ledger_audit_head(opened, &seq, &head);
	ledger_close(opened);
	return seq;
}

Test(backup, holds_what_is_committed_while_the_ledger_is_in_use)
{
	uint64_t entries = 0;
	struct ota_error err = { 0 };

	note("ann", "a");
	cr_assert_eq(ledger_begin(ledger, NULL), OTA_OK);
	note("bob", "b");
	cr_assert_eq(ledger_backup(path, copy, &entries, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(ledger_commit(ledger, NULL), OTA_OK, "nobody was in the way");
	cr_expect_eq(entries, 1);
	cr_expect_eq(entries_of(copy), 1);
	cr_expect_eq(ledger_check(copy, NULL), OTA_OK);
}

Test(backup, is_one_file_that_only_its_owner_reads)
{
	uint64_t entries = 0;
	struct stat st;

	note("ann", "a");
	cr_assert_eq(ledger_backup(path, copy, &entries, NULL), OTA_OK);
	cr_expect_eq(count_files("copy"), 1);
	cr_assert_eq(stat(copy, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
}

Test(backup, overwrites_nothing)
{
	struct ota_error err = { 0 };
	uint64_t entries = 7;
	int fd = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	cr_assert_eq(write(fd, "mine", 4), 4);
	(void)close(fd);
	cr_expect_eq(ledger_backup(path, copy, &entries, &err), OTA_E_CONFLICT);
	cr_expect_not_null(strstr(err.text, "overwrites nothing"), "%s", err.text);
	cr_expect_eq(entries, 7);
	cr_expect_eq(count_files("copy"), 1);
}

Test(backup, of_a_broken_chain_is_refused_and_leaves_nothing)
{
	struct ota_error err = { 0 };
	uint64_t entries = 0;
	sqlite3 *db = NULL;

	note("ann", "a");
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(
		sqlite3_exec(db, "DROP TRIGGER audit_keep; UPDATE audit SET who = 'eve'",
			NULL, NULL, NULL),
		SQLITE_OK);
	(void)sqlite3_close(db);
	cr_expect_eq(ledger_backup(path, copy, &entries, &err), OTA_E_CONFLICT);
	cr_expect_not_null(strstr(err.text, "audit chain"), "%s", err.text);
	cr_expect_eq(count_files("copy"), 0);
}

Test(backup, of_what_is_no_ledger_is_refused)
{
	uint64_t entries = 0;
	char other[300];

	(void)snprintf(other, sizeof other, "%s/none", dir);
	cr_expect_neq(ledger_backup(other, copy, &entries, NULL), OTA_OK);
	cr_expect_eq(count_files("none"), 0);
	cr_expect_eq(count_files("copy"), 0);
}

Test(backup, of_postgresql_is_left_to_it)
{
	struct ota_error err = { 0 };
	uint64_t entries = 0;

	cr_expect_eq(
		ledger_backup("postgresql://x/y", copy, &entries, &err), OTA_E_USAGE);
	cr_expect_not_null(strstr(err.text, "pg_dump"), "%s", err.text);
}
