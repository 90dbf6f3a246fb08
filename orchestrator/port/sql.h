#ifndef ORCHESTRATOR_PORT_SQL_H
#define ORCHESTRATOR_PORT_SQL_H

/* SQLite as the ledger uses it: every statement stands in the list below and is prepared
 * once; no SQL text is ever put together. A statement is used as
 *
 *   stmt = sql_use(sql, Q_NAME); sql_bind_...(stmt, 1, ...); rc = sql_run(sql, stmt,
 * err);
 */

#include <sqlite3.h>

#include "proto/base/bytes.h"
#include "proto/wire/digest.h"

/* clang-format off */
#define STATEMENTS(X)                                                                     \
	X(BEGIN,      "BEGIN IMMEDIATE")                                                  \
	X(COMMIT,     "COMMIT")                                                           \
	X(PUT,        "REPLACE INTO rows(tbl, key, value) VALUES(?1, ?2, ?3)")            \
	X(DROP,       "DELETE FROM rows WHERE tbl = ?1 AND key = ?2")                     \
	X(ROWS,       "SELECT key, value FROM rows WHERE tbl = ?1 ORDER BY key")          \
	X(AUDIT,      "INSERT INTO audit VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")             \
	X(AUDITS,     "SELECT seq, at, who, action, detail, prev, hash FROM audit"        \
	              " WHERE seq > ?1 ORDER BY seq LIMIT ?2")                            \
	X(HEAD,       "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")            \
	X(SAME,       "SELECT 1 FROM retained"                                            \
	              " WHERE topic = ?1 AND kind = ?2 AND payload = ?3")                 \
	X(RETAIN,     "REPLACE INTO retained(topic, kind, payload) VALUES(?1, ?2, ?3)")   \
	X(NEXT,       "SELECT seq, topic, kind, payload, published FROM retained"         \
	              " WHERE seq > ?1 ORDER BY seq LIMIT 1")                             \
	X(MARK,       "UPDATE retained SET published = 1"                                 \
	              " WHERE seq = ?1 AND published = 0 AND kind IN (0, 1)")             \
	X(GONE,       "DELETE FROM retained WHERE seq = ?1 AND kind IN (2, 3)")           \
	X(HOLDS,      "SELECT 1 FROM retained"                                            \
	              " WHERE topic = ?1 AND kind = ?2 AND published >= ?3")              \
	X(OUTBOX,     "SELECT count(*) FROM retained WHERE published = 0")                \
	X(SENT,       "INSERT OR IGNORE INTO sent(patch, bytes) VALUES(?1, ?2)")          \
	X(SENT_SUM,   "SELECT coalesce(sum(bytes), 0) FROM sent")                         \
	X(ADD,        "UPDATE numbers SET value = value + ?2 WHERE name = ?1")            \
	X(NUMBER,     "SELECT value FROM numbers WHERE name = ?1")                        \
	X(SET_NUMBER, "UPDATE numbers SET value = ?2 WHERE name = ?1")                    \
	X(PUT_HOOK,   "REPLACE INTO webhooks VALUES(?1, ?2, ?3, ?4, ?5)")                 \
	X(DROP_HOOK,  "DELETE FROM webhooks WHERE name = ?1")                             \
	X(HOOKS,      "SELECT name, cursor, tries, failing, disabled FROM webhooks"       \
	              " ORDER BY name")                                                  \
	X(ANSWER,     "REPLACE INTO answers(who, key, n, at, request, status, sealed)"    \
	              " VALUES(?1, ?2, (SELECT coalesce(max(n), 0) + 1 FROM answers"      \
	              " WHERE who = ?1), ?3, ?4, ?5, ?6)")                                \
	X(CROWD,      "DELETE FROM answers WHERE who = ?1 AND n <="                       \
	              " (SELECT max(n) FROM answers WHERE who = ?1) - ?2")                \
	X(EXPIRE,     "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers"     \
	              " WHERE at <= ?1 ORDER BY at LIMIT ?2)")                            \
	X(ANSWERED,   "SELECT request, status, at, sealed FROM answers"                   \
	              " WHERE who = ?1 AND key = ?2 AND at > ?3")
/* clang-format on */

#define STATEMENT_ENUM(name, sql) Q_##name,
enum statement { STATEMENTS(STATEMENT_ENUM) N_STATEMENTS };
#undef STATEMENT_ENUM

struct sql {
	sqlite3 *db;                          /* owned */
	sqlite3_stmt *prepared[N_STATEMENTS]; /* owned */
};

/** Prepare all statements. */
OTA_CHECKED enum ota_code sql_prepare(struct sql *sql, struct ota_error *err);

/** Close the database. Accepts a half-built struct; leaves a zeroed one. */
void sql_fini(struct sql *sql);

/** The last failure of the database as an error. */
enum ota_code sql_failed(const struct sql *sql, struct ota_error *err);

/** A statement, reset and without values. */
sqlite3_stmt *sql_use(struct sql *sql, enum statement which);

/** Bind a number to ?at. */
void sql_bind_u64(sqlite3_stmt *stmt, int at, uint64_t value);

/** Bind a text, borrowed until the statement has run. */
void sql_bind_text(sqlite3_stmt *stmt, int at, const char *text);

/** Bind bytes, borrowed until the statement has run. */
void sql_bind_bytes(sqlite3_stmt *stmt, int at, struct ota_bytes bytes);

/** A column of the current row, counted from 0, as a number. */
uint64_t sql_column_u64(sqlite3_stmt *stmt, int at);

/** ... as text, borrowed until the next step. */
const char *sql_column_text(sqlite3_stmt *stmt, int at);

/** ... as bytes, borrowed until the next step. */
struct ota_bytes sql_column_bytes(sqlite3_stmt *stmt, int at);

/** ... as a digest; zeros for anything else. */
struct ota_digest sql_column_digest(sqlite3_stmt *stmt, int at);

/** Run a bound statement that yields no rows. */
OTA_CHECKED enum ota_code sql_run(
	struct sql *sql, sqlite3_stmt *stmt, struct ota_error *err);

/** Run a bound statement that yields one number; 0 without a row. */
OTA_CHECKED enum ota_code sql_run_u64(
	struct sql *sql, sqlite3_stmt *stmt, uint64_t *out, struct ota_error *err);

/** Run fixed text, for the schema and pragmas. */
OTA_CHECKED enum ota_code sql_run_text(
	struct sql *sql, const char *text, struct ota_error *err);

/** The first column of the first row of fixed text, cut to cap bytes. */
OTA_CHECKED enum ota_code sql_word(
	struct sql *sql, const char *text, char *out, size_t cap, struct ota_error *err);

#endif
