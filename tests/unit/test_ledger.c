#include <criterion/criterion.h>

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/port/ledger.h"
#include "orchestrator/port/migrations.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

static char dir[] = "/tmp/ledger.XXXXXX";
static char path[64];
static struct ledger *ledger;

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/l.db", dir);
}

static void remove_dir(void)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[80];

	ledger_close(ledger);
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
		(void)unlink(name);
	}
	(void)rmdir(dir);
}

TestSuite(ledger, .init = make_dir, .fini = remove_dir);

static void reopen(void)
{
	struct ota_error err = { 0 };

	ledger_close(ledger);
	ledger = NULL;
	cr_assert_eq(ledger_open(path, &ledger, &err), OTA_OK, "%s", err.text);
}

static void note(const char *who, const char *action)
{
	const struct audit_entry entry = {
		.at_utc_s = 7, .who = who, .action = action, .detail = "{}"
	};

	cr_assert_eq(ledger_audit(ledger, &entry, NULL), OTA_OK);
}

static void retain(const char *topic, enum ledger_kind kind, const char *payload)
{
	cr_assert_eq(
		ledger_retain(ledger, topic, kind, ota_bytes_of(payload), NULL), OTA_OK);
}

/* Topics of the rows above a seq, in order, joined by blanks. */
static const char *topics_after(uint64_t after)
{
	static char text[4096];
	bool found = true;

	text[0] = '\0';
	while (found) {
		OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };

		cr_assert_eq(
			ledger_retained_next(ledger, after, &row, &found, NULL), OTA_OK);
		if (!found)
			break;
		after = row.seq;
		(void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
			text[0] ? " " : "", row.topic);
	}
	return text;
}

/* As somebody with the file in hand would. */
static void tamper(const char *sql)
{
	sqlite3 *db = NULL;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
		sqlite3_errmsg(db));
	(void)sqlite3_close(db);
}

static enum ota_code count_row(void *ctx, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	char *text = ctx;

	(void)err;
	(void)snprintf(text + strlen(text), 200 - strlen(text), "%d:%s=%.*s ", (int)table,
		key, (int)value.len, (const char *)value.at);
	return OTA_OK;
}

Test(ledger, rows_come_back_by_table_and_key_after_a_restart)
{
	char text[200] = "";

	reopen();
	cr_assert_eq(ledger_put(ledger, CORE_ROLLOUT, "r", ota_bytes_of("{3}"), NULL), 0);
	cr_assert_eq(ledger_put(ledger, CORE_DEVICE, "b", ota_bytes_of("{2}"), NULL), 0);
	cr_assert_eq(ledger_put(ledger, CORE_DEVICE, "a", ota_bytes_of("{0}"), NULL), 0);
	cr_assert_eq(ledger_put(ledger, CORE_DEVICE, "a", ota_bytes_of("{1}"), NULL), 0);
	cr_assert_eq(ledger_put(ledger, CORE_DEVICE, "c", ota_bytes_of("{}"), NULL), 0);
	cr_assert_eq(ledger_drop(ledger, CORE_DEVICE, "c", NULL), OTA_OK);
	reopen();
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	cr_assert_str_eq(text, "3:a={1} 3:b={2} 6:r={3} ");
}

Test(ledger, a_transaction_that_was_not_committed_is_not_there)
{
	char text[200] = "";
	pid_t child = fork();

	if (child == 0) {
		if (ledger_open(path, &ledger, NULL) != OTA_OK ||
			ledger_begin(ledger, NULL) != OTA_OK ||
			ledger_put(ledger, CORE_META, "k", ota_bytes_of("{}"), NULL))
			_exit(1);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
	reopen();
	cr_assert(ledger_was_unclean(ledger));
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	cr_assert_str_eq(text, "");
	reopen();
	cr_assert_not(ledger_was_unclean(ledger));
}

Test(ledger, the_audit_chain_goes_on_after_a_restart)
{
	struct audit_walk walk = { 0 };
	struct ota_digest head;
	uint64_t seq;

	reopen();
	note("ann", "fleet.set");
	note("core", "rollout.halt");
	reopen();
	note("bob", "rollout.resume");
	ledger_audit_head(ledger, &seq, &head);
	cr_assert_eq(ledger_audit_verify(ledger, &walk, NULL), OTA_OK);
	cr_assert_eq(walk.broken_at, 0);
	cr_assert_eq(walk.entries, 3);
	cr_assert_eq(seq, 3);
	cr_assert(ota_digest_equal(&walk.head, &head));
}

Test(ledger, an_audit_entry_can_be_neither_changed_nor_removed)
{
	static const char *const attempts[] = { "UPDATE audit SET who = 'x'",
		"DELETE FROM audit WHERE seq = 1" };
	sqlite3 *db = NULL;

	reopen();
	note("ann", "fleet.set");
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(sqlite3_exec(db, attempts[i], NULL, NULL, NULL),
			SQLITE_CONSTRAINT, "%s", attempts[i]);
	(void)sqlite3_close(db);
}

Test(ledger, tampering_is_found_at_the_entry)
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

Test(ledger, a_broken_chain_is_refused_after_an_unclean_stop)
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

Test(ledger, a_newer_schema_is_left_alone)
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

Test(ledger, what_an_older_version_kept_is_all_there_under_our_schema)
{
	struct audit_walk walk = { 0 };
	char text[200] = "";
	uint64_t published, again;

	restore_schema_1();
	reopen();
	cr_assert_eq(schema(), 2);
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

Test(ledger, a_check_migrates_nothing_and_tells_whether_it_could)
{
	struct ota_error err = { 0 };

	restore_schema_1();
	cr_assert_eq(ledger_check(path, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(schema(), 1);
	tamper("CREATE TABLE other(x); DROP TABLE sent");
	cr_assert_eq(ledger_check(path, &err), OTA_E_IO);
	cr_assert_not_null(strstr(err.text, "no such table"), "%s", err.text);
}

Test(ledger, the_file_of_another_program_is_not_touched)
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

/* A database that is nothing but a number. */
struct fake_database {
	uint64_t schema;
	char ran[64];
};

static enum ota_code fake_schema(void *ctx, uint64_t *out, struct ota_error *err)
{
	struct fake_database *fake = ctx;

	(void)err;
	*out = fake->schema;
	return OTA_OK;
}

static enum ota_code fake_run(void *ctx, const char *text, struct ota_error *err)
{
	struct fake_database *fake = ctx;

	if (strcmp(text, "bad") == 0)
		return ota_fail(err, OTA_E_IO, "no such table");
	(void)strncat(fake->ran, text, sizeof fake->ran - strlen(fake->ran) - 1);
	return OTA_OK;
}

Test(migrations, the_steps_that_are_missing_run_in_order)
{
	static const struct migration steps[] = { { 1, "a" }, { 2, "b" }, { 3, "c" } };
	static const char *const expected[] = { "abc", "bc", "c", "" };

	for (uint64_t i = 0; i < 4; i++) {
		struct fake_database fake = { .schema = i };
		const struct migration_target target = { &fake, fake_schema, fake_run };

		cr_assert_eq(migrations_run(&target, steps, 3, NULL), OTA_OK);
		cr_expect_str_eq(fake.ran, expected[i]);
	}
}

Test(migrations, a_step_that_fails_is_the_last_and_is_named)
{
	static const struct migration steps[] = { { 1, "a" }, { 2, "bad" }, { 3, "c" } };
	struct fake_database fake = { 0 };
	const struct migration_target target = { &fake, fake_schema, fake_run };
	struct ota_error err = { 0 };

	cr_assert_eq(migrations_run(&target, steps, 3, &err), OTA_E_IO);
	cr_expect_str_eq(err.text, "to schema 2: no such table");
	cr_expect_str_eq(fake.ran, "a");
}

Test(ledger, the_outbox_keeps_the_order_of_the_calls)
{
	reopen();
	retain("a", LEDGER_MESSAGE, "1");
	retain("b", LEDGER_PATCH, "2");
	retain("c", LEDGER_MESSAGE, "3");
	cr_assert_str_eq(topics_after(0), "a b c");
	retain("a", LEDGER_MESSAGE, "4");
	cr_assert_str_eq(topics_after(0), "b c a");
	retain("b", LEDGER_PATCH, "2");
	cr_assert_str_eq(topics_after(0), "b c a", "the same again changes nothing");
	cr_assert_eq(ledger_outbox_len(ledger), 3);
}

Test(ledger, what_was_acknowledged_is_clean_unless_it_was_replaced)
{
	OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };
	bool found;

	reopen();
	retain("a", LEDGER_MESSAGE, "1");
	cr_assert_eq(ledger_retained_next(ledger, 0, &row, &found, NULL), OTA_OK);
	retain("a", LEDGER_MESSAGE, "2");
	cr_assert_eq(ledger_retained_done(ledger, row.seq, NULL), OTA_OK);
	cr_assert_eq(ledger_outbox_len(ledger), 1, "the new one is not out");
	ledger_retained_fini(&row);
	cr_assert_eq(ledger_retained_next(ledger, row.seq, &row, &found, NULL), OTA_OK);
	cr_assert_eq(ledger_retained_done(ledger, row.seq, NULL), OTA_OK);
	cr_assert_eq(ledger_outbox_len(ledger), 0);
	cr_assert_str_eq(topics_after(0), "a", "it is still in force");
}

Test(ledger, a_clear_is_gone_once_it_is_done)
{
	OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };
	bool found;

	reopen();
	retain("p", LEDGER_PATCH, "x");
	retain("p", LEDGER_RELEASE, "x");
	cr_assert_eq(ledger_retained_next(ledger, 0, &row, &found, NULL), OTA_OK);
	cr_assert_eq(row.kind, LEDGER_RELEASE);
	cr_assert_eq(ledger_retained_done(ledger, row.seq, NULL), OTA_OK);
	cr_assert_str_eq(topics_after(0), "");
}

Test(ledger, a_patch_counts_as_published_once_for_ever)
{
	struct ota_digest one = { { 1 } }, two = { { 2 } };
	uint64_t published, again;

	reopen();
	cr_assert_eq(ledger_count_patch(ledger, &one, 100, NULL), OTA_OK);
	cr_assert_eq(ledger_count_patch(ledger, &two, 50, NULL), OTA_OK);
	reopen();
	cr_assert_eq(ledger_count_patch(ledger, &one, 100, NULL), OTA_OK);
	cr_assert_eq(ledger_count_again(ledger, 7, NULL), OTA_OK);
	cr_assert_eq(ledger_counts(ledger, &published, &again, NULL), OTA_OK);
	cr_assert_eq(published, 150);
	cr_assert_eq(again, 107);
}
