/* The ledger in an SQLite file. */
#include <criterion/criterion.h>

#include <sqlite3.h>

#include "proto/io/files.h"
#include "tests/unit/ledger_kit.h"

TestSuite(sqlite, .init = make_dir, .fini = remove_dir);

/* As somebody with the file in hand would. */
static void tamper(const char *sql)
{
	sqlite3 *db = NULL;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
		sqlite3_errmsg(db));
	(void)sqlite3_close(db);
}

Test(sqlite, tampering_is_found_at_the_entry)
{
	static const struct {
		const char *sql;
		uint64_t broken_at;
	} rows[] = {
		{ "UPDATE audit SET who = 'eve' WHERE seq = 2", 2 },
		{ "UPDATE audit SET at = 8 WHERE seq = 1", 1 },
		{ "UPDATE audit SET detail = '{ }' WHERE seq = 3", 3 },
		{ "DELETE FROM audit WHERE seq = 2", 3 },
		{ "DELETE FROM audit WHERE seq = 3", 3 },
		{ "DELETE FROM audit", 1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct audit_walk walk = { 0 };

		reopen();
		note("ann", "a");
		note("bob", "b");
		note("cas", "c");
		tamper("DROP TRIGGER audit_keep; DROP TRIGGER audit_stay");
		tamper(rows[i].sql);
		cr_assert_eq(ledger_audit_verify(ledger, &walk, NULL), OTA_OK);
		cr_expect_eq(walk.broken_at, rows[i].broken_at, "%s: %llu", rows[i].sql,
			(unsigned long long)walk.broken_at);
		ledger_close(ledger);
		ledger = NULL;
		cr_assert_eq(unlink(path), 0);
	}
}

Test(sqlite, a_broken_chain_is_refused_after_an_unclean_stop)
{
	struct ota_error err = { 0 };

	reopen();
	note("ann", "a");
	tamper("DROP TRIGGER audit_keep; UPDATE audit SET who = 'eve'");
	ledger_close(ledger);
	ledger = NULL;
	tamper("UPDATE numbers SET value = 0 WHERE name = 'clean'");
	cr_assert_eq(ledger_open(path, &ledger, &err), OTA_E_CONFLICT);
	cr_assert_not_null(strstr(err.text, "broken at entry 1"), "%s", err.text);
	cr_assert_eq(ledger_check(path, &err), OTA_E_CONFLICT);
}

Test(sqlite, a_newer_schema_is_left_alone)
{
	struct ota_error err = { 0 };

	reopen();
	ledger_close(ledger);
	ledger = NULL;
	tamper("PRAGMA user_version = 9");
	cr_assert_eq(ledger_open(path, &ledger, &err), OTA_E_CONFLICT);
	cr_assert_not_null(strstr(err.text, "has schema 9"), "%s", err.text);
	cr_assert_eq(ledger_check(path, &err), OTA_E_CONFLICT);
	cr_assert_not_null(strstr(err.text, "has schema 9"), "%s", err.text);
}

static uint64_t schema(void)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	uint64_t version;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL), 0);
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	version = (uint64_t)sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(db);
	return version;
}

static void restore_schema_1(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf dump = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(ota_file_read(SOURCE_ROOT "/tests/unit/ledger/schema1.sql", 1 << 16,
			     &dump, &err),
		OTA_OK, "%s", err.text);
	tamper(ota_buf_text(&dump));
	cr_assert_eq(schema(), 1);
}

Test(sqlite, what_an_older_version_kept_is_all_there_under_our_schema)
{
	struct audit_walk walk = { 0 };
	char text[200] = "";
	uint64_t published, again;

	restore_schema_1();
	reopen();
	cr_assert_eq(schema(), 4);
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	cr_expect_str_eq(text, "3:gw-1={\"id\":\"gw-1\"} 4:gw-1={\"online\":true} ");
	cr_assert_eq(ledger_audit_verify(ledger, &walk, NULL), OTA_OK);
	cr_expect(walk.entries == 2 && walk.broken_at == 0);
	cr_expect_str_eq(
		topics_after(0), "sluice/1/demo/cohort/lab/order sluice/1/demo/fresh");
	cr_expect_eq(ledger_outbox_len(ledger), 1);
	cr_assert_eq(ledger_counts(ledger, &published, &again, NULL), OTA_OK);
	cr_expect(published == 1000 && again == 7);
}

Test(sqlite, a_check_migrates_nothing_and_tells_whether_it_could)
{
	struct ota_error err = { 0 };

	restore_schema_1();
	cr_assert_eq(ledger_check(path, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(schema(), 1);
	tamper("CREATE TABLE other(x); DROP TABLE sent");
	cr_assert_eq(ledger_check(path, &err), OTA_E_IO);
	cr_assert_not_null(strstr(err.text, "no such table"), "%s", err.text);
}

Test(sqlite, the_file_of_another_program_is_not_touched)
{
	static const char *const others[] = { "CREATE TABLE notes(x)",
		"CREATE TABLE notes(x); PRAGMA user_version = 2" };

	for (size_t i = 0; i < 2; i++) {
		struct ota_error err = { 0 };

		tamper(others[i]);
		cr_assert_eq(ledger_open(path, &ledger, &err), OTA_E_CONFLICT);
		cr_expect_not_null(strstr(err.text, "another program"), "%s", err.text);
		cr_assert_eq(unlink(path), 0);
	}
}
