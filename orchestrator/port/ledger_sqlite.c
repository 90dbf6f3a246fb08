#include "orchestrator/port/ledger_sqlite.h"

#include <string.h>

#include "proto/base/own.h"

/* The members of the schema in one place. A text on disk never changes its meaning:
 * another layout is another LEDGER_SCHEMA. */
static const char schema[] =
	"CREATE TABLE rows(tbl TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
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
	"CREATE TABLE sent(patch BLOB PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE numbers(name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"INSERT INTO numbers VALUES('again', 0), ('clean', 0);";

static const char *table_text(enum core_table table)
{
#define TABLE_TEXT(name, text) [CORE_##name] = (text),
	static const char *const texts[] = { CORE_TABLES(TABLE_TEXT) };
#undef TABLE_TEXT
	return texts[table];
}

/* ---- opening */

static enum ota_code take_schema(struct ledger *ledger, struct ota_error *err)
{
	char word[32] = "";
	enum ota_code rc =
		sql_word(&ledger->sql, "PRAGMA user_version", word, sizeof(word), err);

	if (rc != OTA_OK)
		return rc;
	if (strcmp(word, "1") == 0)
		return OTA_OK;
	if (strcmp(word, "0") != 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"the database has schema %s, this version knows %d", word,
			LEDGER_SCHEMA);
	rc = sql_run_text(&ledger->sql, "BEGIN IMMEDIATE", err);
	if (rc == OTA_OK)
		rc = sql_run_text(&ledger->sql, schema, err);
	if (rc == OTA_OK)
		rc = sql_run_text(&ledger->sql,
			"UPDATE numbers SET value = 1 WHERE name = 'clean';"
			"PRAGMA user_version = 1; COMMIT",
			err);
	return rc;
}

static enum ota_code load_head(struct ledger *ledger, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_HEAD);
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW) {
		ledger->audit_seq = sql_column_u64(stmt, 0);
		ledger->audit_head = sql_column_digest(stmt, 1);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? OTA_OK
						     : sql_failed(&ledger->sql, err);
}

static enum ota_code check_all(struct ledger *ledger, struct ota_error *err)
{
	char word[200] = "";
	struct audit_walk walk = { 0 };
	enum ota_code rc = sql_word(
		&ledger->sql, "PRAGMA integrity_check(1)", word, sizeof(word), err);

	if (rc == OTA_OK && strcmp(word, "ok") != 0)
		return ota_fail(err, OTA_E_IO, "the database is damaged: %s", word);
	if (rc == OTA_OK)
		rc = ledger_audit_verify(ledger, &walk, err);
	if (rc == OTA_OK && walk.broken_at)
		return ota_fail(err, OTA_E_CONFLICT,
			"the audit chain is broken at entry %llu",
			(unsigned long long)walk.broken_at);
	return rc;
}

static enum ota_code set_number(
	struct ledger *ledger, const char *name, uint64_t value, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_SET_NUMBER);

	sql_bind_text(stmt, 1, name);
	sql_bind_u64(stmt, 2, value);
	return sql_run(&ledger->sql, stmt, err);
}

enum ota_code ledger_number(
	struct ledger *ledger, const char *name, uint64_t *out, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_NUMBER);

	sql_bind_text(stmt, 1, name);
	return sql_run_u64(&ledger->sql, stmt, out, err);
}

static void release(struct ledger **ledger)
{
	if (!*ledger)
		return;
	sql_fini(&(*ledger)->sql);
	free(*ledger);
	*ledger = NULL;
}

/* What opening and looking have in common. */
static enum ota_code use_schema(struct ledger *ledger, struct ota_error *err)
{
	enum ota_code rc = take_schema(ledger, err);

	if (rc == OTA_OK)
		rc = sql_prepare(&ledger->sql, err);
	if (rc == OTA_OK)
		rc = load_head(ledger, err);
	return rc;
}

static enum ota_code set_up(struct ledger *ledger, struct ota_error *err)
{
	uint64_t clean = 0;
	enum ota_code rc = sql_run_text(&ledger->sql,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF",
		err);

	if (rc == OTA_OK)
		rc = use_schema(ledger, err);
	if (rc == OTA_OK)
		rc = ledger_number(ledger, "clean", &clean, err);
	if (rc != OTA_OK)
		return rc;
	ledger->unclean = clean == 0;
	rc = ledger->unclean ? check_all(ledger, err) : OTA_OK;
	return rc == OTA_OK ? set_number(ledger, "clean", 0, err) : rc;
}

static enum ota_code open_file(
	const char *path, int flags, struct ledger **out, struct ota_error *err)
{
	OTA_AUTO(release) struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return ota_fail(err, OTA_E_NOMEM, "ledger");
	if (sqlite3_open_v2(path, &ledger->sql.db, flags, NULL) != SQLITE_OK)
		return sql_failed(&ledger->sql, err);
	*out = ota_take(&ledger);
	return OTA_OK;
}

enum ota_code ledger_open(const char *path, struct ledger **out, struct ota_error *err)
{
	OTA_AUTO(release) struct ledger *ledger = NULL;
	enum ota_code rc =
		open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &ledger, err);

	if (rc == OTA_OK)
		rc = set_up(ledger, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "open %s", path);
	*out = ota_take(&ledger);
	return OTA_OK;
}

enum ota_code ledger_check(const char *path, struct ota_error *err)
{
	OTA_AUTO(release) struct ledger *ledger = NULL;
	enum ota_code rc = open_file(path, SQLITE_OPEN_READONLY, &ledger, err);

	if (rc == OTA_OK)
		rc = use_schema(ledger, err);
	if (rc == OTA_OK)
		rc = check_all(ledger, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "check %s", path);
}

bool ledger_was_unclean(const struct ledger *ledger)
{
	return ledger->unclean;
}

void ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	(void)!set_number(ledger, "clean", 1, NULL);
	release(&ledger);
}

enum ota_code ledger_begin(struct ledger *ledger, struct ota_error *err)
{
	return sql_run(&ledger->sql, sql_use(&ledger->sql, Q_BEGIN), err);
}

enum ota_code ledger_commit(struct ledger *ledger, struct ota_error *err)
{
	return sql_run(&ledger->sql, sql_use(&ledger->sql, Q_COMMIT), err);
}

/* ---- rows */

enum ota_code ledger_put(struct ledger *ledger, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_PUT);

	sql_bind_text(stmt, 1, table_text(table));
	sql_bind_text(stmt, 2, key);
	sql_bind_bytes(stmt, 3, value);
	return sql_run(&ledger->sql, stmt, err);
}

enum ota_code ledger_drop(struct ledger *ledger, enum core_table table, const char *key,
	struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_DROP);

	sql_bind_text(stmt, 1, table_text(table));
	sql_bind_text(stmt, 2, key);
	return sql_run(&ledger->sql, stmt, err);
}

/* Who wants to see rows. */
struct row_visit {
	void *ctx;
	enum ota_code (*take)(void *ctx, enum core_table table, const char *key,
		struct ota_bytes value, struct ota_error *err);
};

static enum ota_code each_row_of(struct ledger *ledger, enum core_table table,
	const struct row_visit *visit, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_ROWS);
	enum ota_code rc = OTA_OK;
	int step;

	sql_bind_text(stmt, 1, table_text(table));
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW && rc == OTA_OK)
		rc = visit->take(visit->ctx, table, sql_column_text(stmt, 0),
			sql_column_bytes(stmt, 1), err);
	if (rc == OTA_OK && step != SQLITE_DONE)
		rc = sql_failed(&ledger->sql, err);
	sqlite3_reset(stmt);
	return rc;
}

enum ota_code ledger_each_row(struct ledger *ledger,
	enum ota_code (*take)(void *ctx, enum core_table table, const char *key,
		struct ota_bytes value, struct ota_error *err),
	void *ctx, struct ota_error *err)
{
	const struct row_visit visit = { ctx, take };
	enum ota_code rc = OTA_OK;

	for (unsigned i = 0; i < N_CORE_TABLES && rc == OTA_OK; i++)
		rc = each_row_of(ledger, (enum core_table)i, &visit, err);
	return rc;
}

/* ---- audit */

enum ota_code ledger_audit(
	struct ledger *ledger, const struct audit_entry *entry, struct ota_error *err)
{
	struct audit_entry full = *entry;
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_AUDIT);
	enum ota_code rc;

	full.seq = ledger->audit_seq + 1;
	full.prev = ledger->audit_head;
	full.hash = audit_entry_hash(&full);
	sql_bind_u64(stmt, 1, full.seq);
	sql_bind_u64(stmt, 2, full.at_utc_s);
	sql_bind_text(stmt, 3, full.who);
	sql_bind_text(stmt, 4, full.action);
	sql_bind_text(stmt, 5, full.detail);
	sql_bind_bytes(stmt, 6, (struct ota_bytes){ full.prev.at, OTA_DIGEST_LEN });
	sql_bind_bytes(stmt, 7, (struct ota_bytes){ full.hash.at, OTA_DIGEST_LEN });
	rc = sql_run(&ledger->sql, stmt, err);
	if (rc != OTA_OK)
		return rc;
	ledger->audit_seq = full.seq;
	ledger->audit_head = full.hash;
	return OTA_OK;
}

enum ota_code ledger_each_audit(struct ledger *ledger, uint64_t after, uint32_t limit,
	ledger_audit_take *take, void *ctx, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_AUDITS);
	bool more = true;
	int step = SQLITE_DONE;

	sql_bind_u64(stmt, 1, after);
	sql_bind_u64(stmt, 2, limit);
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

		more = take(ctx, &entry);
	}
	sqlite3_reset(stmt);
	return step == SQLITE_DONE || step == SQLITE_ROW ? OTA_OK
							 : sql_failed(&ledger->sql, err);
}

void ledger_audit_head(
	const struct ledger *ledger, uint64_t *seq, struct ota_digest *head)
{
	*seq = ledger->audit_seq;
	*head = ledger->audit_head;
}

static bool walk_entry(void *ctx, const struct audit_entry *entry)
{
	return audit_walk_take(ctx, entry);
}

enum ota_code ledger_audit_verify(
	struct ledger *ledger, struct audit_walk *out, struct ota_error *err)
{
	struct audit_walk walk = { 0 };
	enum ota_code rc =
		ledger_each_audit(ledger, 0, UINT32_MAX, walk_entry, &walk, err);

	if (rc != OTA_OK)
		return rc;
	if (!walk.broken_at &&
		(walk.entries != ledger->audit_seq ||
			!ota_digest_equal(&walk.head, &ledger->audit_head)))
		walk.broken_at = walk.entries + 1;
	*out = walk;
	return OTA_OK;
}
