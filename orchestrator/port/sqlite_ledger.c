#include "orchestrator/port/sqlite_ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/port/migrations.h"
#include "proto/base/own.h"

/* "SLUC", by which a file is known as ours from schema 2 on. */
#define APPLICATION_ID "1397511491"

static const struct migration steps[] = {
	{ 1, "CREATE TABLE rows(tbl TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT "
	     "NULL,"
	     " PRIMARY KEY(tbl, key)) WITHOUT ROWID;"
	     "CREATE TABLE audit(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
	     " who TEXT NOT NULL, action TEXT NOT NULL, detail TEXT NOT NULL,"
	     " prev BLOB NOT NULL, hash BLOB NOT NULL);"
	     "CREATE TRIGGER audit_keep BEFORE UPDATE ON audit BEGIN"
	     " SELECT RAISE(ABORT, 'audit entries are never changed'); END;"
	     "CREATE TRIGGER audit_stay BEFORE DELETE ON audit BEGIN"
	     " SELECT RAISE(ABORT, 'audit entries are never removed'); END;"
	     "CREATE TABLE retained(seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	     " topic TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL, payload BLOB NOT NULL,"
	     " published INTEGER NOT NULL DEFAULT 0);"
	     "CREATE INDEX outbox ON retained(seq) WHERE published = 0;"
	     "CREATE TABLE sent(patch BLOB PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT "
	     "ROWID;"
	     "CREATE TABLE numbers(name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
	     " WITHOUT ROWID;"
	     "INSERT INTO numbers VALUES('again', 0), ('clean', 0);"
	     "UPDATE numbers SET value = 1 WHERE name = 'clean';"
	     "PRAGMA user_version = 1" },
	{ 2, "PRAGMA application_id = " APPLICATION_ID "; PRAGMA user_version = 2" },
	{ 3, "CREATE TABLE webhooks(name TEXT PRIMARY KEY, cursor INTEGER NOT NULL,"
	     " tries INTEGER NOT NULL, failing INTEGER NOT NULL,"
	     " disabled INTEGER NOT NULL) WITHOUT ROWID;"
	     "PRAGMA user_version = 3" },
	{ 4, "CREATE TABLE answers(who TEXT NOT NULL, key BLOB NOT NULL,"
	     " n INTEGER NOT NULL, at INTEGER NOT NULL, request BLOB NOT NULL,"
	     " status INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY(who, key));"
	     "CREATE UNIQUE INDEX answers_by_age ON answers(who, n);"
	     "CREATE INDEX answers_by_time ON answers(at); PRAGMA user_version = 4" },
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]), MARKED_FROM = 2 };

static struct sqlite_ledger *of(struct ledger *ledger)
{
	return (struct sqlite_ledger *)ledger;
}

struct sql *sqlite_ledger_sql(struct ledger *ledger)
{
	return &of(ledger)->sql;
}

/* ---- the schema */

static enum ota_code word_u64(
	struct sql *sql, const char *text, uint64_t *out, struct ota_error *err)
{
	char word[32] = "";
	enum ota_code rc = sql_word(sql, text, word, sizeof(word), err);

	if (rc == OTA_OK)
		*out = strtoull(word, NULL, 10);
	return rc;
}

/* A file that holds something, and nothing says that it is ours, is not touched. */
static enum ota_code check_owner(struct sql *sql, uint64_t schema, struct ota_error *err)
{
	char mark[32] = "";
	uint64_t tables = 0;
	enum ota_code rc =
		sql_word(sql, "PRAGMA application_id", mark, sizeof(mark), err);

	if (rc == OTA_OK)
		rc = word_u64(sql, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (rc != OTA_OK)
		return rc;
	if ((schema == 0 && tables > 0) ||
		(schema >= MARKED_FROM && strcmp(mark, APPLICATION_ID) != 0))
		return ota_fail(err, OTA_E_CONFLICT,
			"the file is the database of another program");
	return OTA_OK;
}

static enum ota_code read_schema(void *ctx, uint64_t *out, struct ota_error *err)
{
	enum ota_code rc = word_u64(ctx, "PRAGMA user_version", out, err);

	return rc == OTA_OK ? check_owner(ctx, *out, err) : rc;
}

static enum ota_code run_step(void *ctx, const char *text, struct ota_error *err)
{
	return sql_run_text(ctx, text, err);
}

/* Begins a transaction, which is left open. */
static enum ota_code migrate(struct sql *sql, struct ota_error *err)
{
	const struct migration_target target = { sql, read_schema, run_step };
	enum ota_code rc = sql_run_text(sql, "BEGIN IMMEDIATE", err);

	return rc == OTA_OK ? migrations_run(&target, steps, STEPS, err) : rc;
}

/* ---- opening */

static enum ota_code load_head(struct sqlite_ledger *ledger, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_HEAD);
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW) {
		ledger->ledger.audit_seq = sql_column_u64(stmt, 0);
		ledger->ledger.audit_head = sql_column_digest(stmt, 1);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? OTA_OK
						     : sql_failed(&ledger->sql, err);
}

static enum ota_code check_all(struct sqlite_ledger *ledger, struct ota_error *err)
{
	char word[200] = "";
	enum ota_code rc = sql_word(
		&ledger->sql, "PRAGMA integrity_check(1)", word, sizeof(word), err);

	if (rc == OTA_OK && strcmp(word, "ok") != 0)
		return ota_fail(err, OTA_E_IO, "the database is damaged: %s", word);
	return rc == OTA_OK ? ledger_check_chain(&ledger->ledger, err) : rc;
}

static enum ota_code set_number(
	struct sql *sql, const char *name, uint64_t value, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(sql, Q_SET_NUMBER);

	sql_bind_text(stmt, 1, name);
	sql_bind_u64(stmt, 2, value);
	return sql_run(sql, stmt, err);
}

enum ota_code sqlite_ledger_number(
	struct ledger *ledger, const char *name, uint64_t *out, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_NUMBER);

	sql_bind_text(stmt, 1, name);
	return sql_run_u64(sql, stmt, out, err);
}

static void release(struct sqlite_ledger **ledger)
{
	if (!*ledger)
		return;
	sql_fini(&(*ledger)->sql);
	free(*ledger);
	*ledger = NULL;
}

/* What opening and looking have in common. */
static enum ota_code prepare(struct sqlite_ledger *ledger, struct ota_error *err)
{
	enum ota_code rc = sql_prepare(&ledger->sql, err);

	return rc == OTA_OK ? load_head(ledger, err) : rc;
}

static enum ota_code set_up(struct sqlite_ledger *ledger, struct ota_error *err)
{
	struct sql *sql = &ledger->sql;
	uint64_t clean = 0;
	enum ota_code rc = sql_run_text(sql,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF",
		err);

	if (rc == OTA_OK)
		rc = migrate(sql, err);
	if (rc == OTA_OK)
		rc = sql_run_text(sql, "COMMIT", err);
	if (rc == OTA_OK)
		rc = prepare(ledger, err);
	if (rc == OTA_OK)
		rc = sqlite_ledger_number(&ledger->ledger, "clean", &clean, err);
	if (rc != OTA_OK)
		return rc;
	ledger->ledger.unclean = clean == 0;
	rc = ledger->ledger.unclean ? check_all(ledger, err) : OTA_OK;
	return rc == OTA_OK ? set_number(sql, "clean", 0, err) : rc;
}

static enum ota_code begin(struct ledger *ledger, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);

	return sql_run(sql, sql_use(sql, Q_BEGIN), err);
}

static enum ota_code commit(struct ledger *ledger, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);

	return sql_run(sql, sql_use(sql, Q_COMMIT), err);
}

/* ---- rows */

static enum ota_code put(struct ledger *ledger, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_PUT);

	sql_bind_text(stmt, 1, ledger_table_text(table));
	sql_bind_text(stmt, 2, key);
	sql_bind_bytes(stmt, 3, value);
	return sql_run(sql, stmt, err);
}

static enum ota_code put_many(struct ledger *ledger, enum core_table table,
	const struct ledger_row *rows, size_t count, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; i < count && rc == OTA_OK; i++)
		rc = put(ledger, table, rows[i].key, rows[i].value, err);
	return rc;
}

static enum ota_code drop(struct ledger *ledger, enum core_table table, const char *key,
	struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_DROP);

	sql_bind_text(stmt, 1, ledger_table_text(table));
	sql_bind_text(stmt, 2, key);
	return sql_run(sql, stmt, err);
}

static enum ota_code each_row(struct ledger *ledger, enum core_table table,
	const struct ledger_visit *visit, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_ROWS);
	enum ota_code rc = OTA_OK;
	int step;

	sql_bind_text(stmt, 1, ledger_table_text(table));
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW && rc == OTA_OK)
		rc = visit->take(visit->ctx, table, sql_column_text(stmt, 0),
			sql_column_bytes(stmt, 1), err);
	if (rc == OTA_OK && step != SQLITE_DONE)
		rc = sql_failed(sql, err);
	sqlite3_reset(stmt);
	return rc;
}

/* ---- audit */

static enum ota_code audit(
	struct ledger *ledger, const struct audit_entry *entry, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_AUDIT);

	sql_bind_u64(stmt, 1, entry->seq);
	sql_bind_u64(stmt, 2, entry->at_utc_s);
	sql_bind_text(stmt, 3, entry->who);
	sql_bind_text(stmt, 4, entry->action);
	sql_bind_text(stmt, 5, entry->detail);
	sql_bind_bytes(stmt, 6, (struct ota_bytes){ entry->prev.at, OTA_DIGEST_LEN });
	sql_bind_bytes(stmt, 7, (struct ota_bytes){ entry->hash.at, OTA_DIGEST_LEN });
	return sql_run(sql, stmt, err);
}

static enum ota_code each_audit(struct ledger *ledger,
	const struct ledger_audit_visit *visit, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_AUDITS);
	bool more = true;
	int step = SQLITE_DONE;

	sql_bind_u64(stmt, 1, visit->after);
	sql_bind_u64(stmt, 2, visit->limit);
	while (more && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct audit_entry entry = {
			.seq = sql_column_u64(stmt, 0),
			.at_utc_s = sql_column_u64(stmt, 1),
			.who = sql_column_text(stmt, 2),
			.action = sql_column_text(stmt, 3),
			.detail = sql_column_text(stmt, 4),
			.prev = sql_column_digest(stmt, 5),
			.hash = sql_column_digest(stmt, 6),
		};

		more = visit->take(visit->ctx, &entry);
	}
	sqlite3_reset(stmt);
	return step == SQLITE_DONE || step == SQLITE_ROW ? OTA_OK : sql_failed(sql, err);
}

/* ---- life */

/* The file was locked before it was opened. */
static enum ota_code lead(struct ledger *ledger, const struct ledger_leader *self,
	bool *leads, struct ledger_leader *other, struct ota_error *err)
{
	(void)ledger;
	(void)self;
	(void)other;
	(void)err;
	*leads = true;
	return OTA_OK;
}

static enum ota_code hold(struct ledger *ledger, struct ota_error *err)
{
	(void)ledger;
	(void)err;
	return OTA_OK;
}

static void close_ledger(struct ledger *ledger)
{
	struct sqlite_ledger *sqlite = of(ledger);

	(void)!set_number(&sqlite->sql, "clean", 1, NULL);
	release(&sqlite);
}

static const struct ledger_backend backend = {
	.lead = lead,
	.hold = hold,
	.close = close_ledger,
	.begin = begin,
	.commit = commit,
	.put = put,
	.put_many = put_many,
	.drop = drop,
	.each_row = each_row,
	.audit = audit,
	.each_audit = each_audit,
	.outbox = &sqlite_outbox,
	.webhooks = &sqlite_webhooks,
	.answers = &sqlite_answers,
};

static enum ota_code open_file(
	const char *path, int flags, struct sqlite_ledger **out, struct ota_error *err)
{
	OTA_AUTO(release) struct sqlite_ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return ota_fail(err, OTA_E_NOMEM, "ledger");
	ledger->ledger.backend = &backend;
	if (sqlite3_open_v2(path, &ledger->sql.db, flags, NULL) != SQLITE_OK)
		return sql_failed(&ledger->sql, err);
	*out = ota_take(&ledger);
	return OTA_OK;
}

enum ota_code sqlite_ledger_open(
	const char *path, struct ledger **out, struct ota_error *err)
{
	OTA_AUTO(release) struct sqlite_ledger *ledger = NULL;
	enum ota_code rc =
		open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &ledger, err);

	if (rc == OTA_OK)
		rc = set_up(ledger, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "open %s", path);
	*out = &ledger->ledger;
	ledger = NULL;
	return OTA_OK;
}

/* A file as it is; false in *is_ours if its schema is an older one. */
static enum ota_code check_file(const char *path, bool *is_ours, struct ota_error *err)
{
	OTA_AUTO(release) struct sqlite_ledger *ledger = NULL;
	uint64_t schema = 0;
	enum ota_code rc = open_file(path, SQLITE_OPEN_READONLY, &ledger, err);

	if (rc == OTA_OK)
		rc = read_schema(&ledger->sql, &schema, err);
	if (rc != OTA_OK)
		return rc;
	*is_ours = schema >= migrations_newest(steps, STEPS);
	if (!*is_ours)
		return OTA_OK;
	if (schema > migrations_newest(steps, STEPS))
		return migrations_too_new(schema, steps, STEPS, err);
	rc = prepare(ledger, err);
	return rc == OTA_OK ? check_all(ledger, err) : rc;
}

/* An older file is brought to our schema in a transaction that is taken back: a check
 * before another version is started tells whether that version could use it. */
static enum ota_code check_older(const char *path, struct ota_error *err)
{
	OTA_AUTO(release) struct sqlite_ledger *ledger = NULL;
	enum ota_code rc = open_file(path, SQLITE_OPEN_READWRITE, &ledger, err);

	if (rc == OTA_OK)
		rc = migrate(&ledger->sql, err);
	if (rc == OTA_OK)
		rc = prepare(ledger, err);
	return rc == OTA_OK ? check_all(ledger, err) : rc;
}

enum ota_code sqlite_ledger_check(const char *path, struct ota_error *err)
{
	bool is_ours = false;
	enum ota_code rc = check_file(path, &is_ours, err);

	if (rc == OTA_OK && !is_ours)
		rc = check_older(path, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "check %s", path);
}
