#ifndef ORCHESTRATOR_PORT_PG_H
#define ORCHESTRATOR_PORT_PG_H

/* PostgreSQL as the ledger uses it: every statement stands in the lists below and is
 * prepared once; no SQL text is ever put together. Its values are gathered in a struct
 * pg_args, pg_run() runs it.
 *
 * Numbers are bigint, columns come back in binary. */

#include <postgresql/libpq-fe.h>

#include "proto/base/bytes.h"
#include "proto/wire/digest.h"

/* What stands in every schema: who leads, and what a check reads. */
/* clang-format off */
#define PG_STATEMENTS(X)                                                                  \
	X(TAKE,       "UPDATE lease SET owner = $1, address = $2, epoch = epoch + 1,"     \
	              " expires = clock_timestamp() + $3::bigint * interval '1 ms'"       \
	              " WHERE expires < clock_timestamp() RETURNING epoch")               \
	X(RENEW,      "UPDATE lease SET"                                                  \
	              " expires = clock_timestamp() + $2::bigint * interval '1 ms'"       \
	              " WHERE epoch = $1 RETURNING epoch")                                \
	X(GIVE_UP,    "UPDATE lease SET expires = '-infinity' WHERE epoch = $1")          \
	X(FENCE,      "SELECT epoch FROM lease WHERE epoch = $1 FOR SHARE")               \
	X(LEADER,     "SELECT owner, address FROM lease")                                 \
	X(AUDITS,     "SELECT seq, at, who, action, detail, prev, hash FROM audit"        \
	              " WHERE seq > $1 ORDER BY seq LIMIT $2")                            \
	X(HEAD,       "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")            \
	X(PUT,        "INSERT INTO rows(tbl, key, value) VALUES($1, $2, $3)"              \
	              " ON CONFLICT (tbl, key) DO UPDATE SET value = excluded.value")     \
	X(PUT_MANY,   "INSERT INTO rows(tbl, key, value)"                                 \
	              " SELECT $1, key, value FROM unnest($2::text[], $3::bytea[])"       \
	              " AS new(key, value)"                                               \
	              " ON CONFLICT (tbl, key) DO UPDATE SET value = excluded.value")     \
	X(DROP,       "DELETE FROM rows WHERE tbl = $1 AND key = $2")                     \
	X(ROWS,       "SELECT key, value FROM rows WHERE tbl = $1 AND key > $2"           \
	              " ORDER BY key LIMIT $3")                                           \
	X(AUDIT,      "INSERT INTO audit VALUES($1, $2, $3, $4, $5, $6, $7)")             \
	X(RETAIN,     "INSERT INTO retained(topic, kind, payload) VALUES($1, $2, $3)"     \
	              " ON CONFLICT (topic) DO UPDATE SET seq = excluded.seq,"            \
	              " kind = excluded.kind, payload = excluded.payload, published = 0"  \
	              " WHERE retained.kind <> excluded.kind"                             \
	              " OR retained.payload <> excluded.payload")                         \
	X(NEXT,       "SELECT seq, topic, kind, payload, published FROM retained"         \
	              " WHERE seq > $1 ORDER BY seq LIMIT 1")                             \
	X(MARK,       "UPDATE retained SET published = 1"                                 \
	              " WHERE seq = $1 AND published = 0 AND kind IN (0, 1)")             \
	X(GONE,       "DELETE FROM retained WHERE seq = $1 AND kind IN (2, 3)")           \
	X(HOLDS,      "SELECT 1::bigint FROM retained"                                    \
	              " WHERE topic = $1 AND kind = $2 AND published >= $3")              \
	X(OUTBOX,     "SELECT count(*) FROM retained WHERE published = 0")                \
	X(SENT,       "INSERT INTO sent(patch, bytes) VALUES($1, $2)"                     \
	              " ON CONFLICT (patch) DO NOTHING RETURNING bytes")                  \
	X(SENT_SUM,   "SELECT coalesce(sum(bytes), 0)::bigint FROM sent")                 \
	X(ADD,        "UPDATE numbers SET value = value + $2 WHERE name = $1")            \
	X(NUMBER,     "SELECT value FROM numbers WHERE name = $1")                        \
	X(PUT_HOOK,   "INSERT INTO webhooks VALUES($1, $2, $3, $4, $5)"                   \
	              " ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor,"       \
	              " tries = excluded.tries, failing = excluded.failing,"              \
	              " disabled = excluded.disabled")                                    \
	X(DROP_HOOK,  "DELETE FROM webhooks WHERE name = $1")                             \
	X(HOOKS,      "SELECT name, cursor, tries, failing, disabled FROM webhooks"       \
	              " ORDER BY name")                                                  \
	X(ANSWER,     "INSERT INTO answers(who, key, n, at, request, status, sealed)"     \
	              " VALUES($1, $2, (SELECT coalesce(max(n), 0) + 1 FROM answers"      \
	              " WHERE who = $1), $3, $4, $5, $6) ON CONFLICT (who, key) DO"       \
	              " UPDATE SET n = excluded.n, at = excluded.at,"                     \
	              " request = excluded.request, status = excluded.status,"            \
	              " sealed = excluded.sealed")                                        \
	X(CROWD,      "DELETE FROM answers WHERE who = $1 AND n <="                       \
	              " (SELECT max(n) FROM answers WHERE who = $1) - $2::bigint")        \
	X(EXPIRE,     "DELETE FROM answers WHERE (who, key) IN (SELECT who, key"          \
	              " FROM answers WHERE at <= $1 ORDER BY at LIMIT $2)")               \
	X(ANSWERED,   "SELECT request, status, at, sealed FROM answers"                   \
	              " WHERE who = $1 AND key = $2 AND at > $3")
/* clang-format on */

#define PG_STATEMENT_ENUM(name, sql) P_##name,
enum pg_statement { PG_STATEMENTS(PG_STATEMENT_ENUM) N_PG_STATEMENTS };
#undef PG_STATEMENT_ENUM

struct pg {
	PGconn *conn; /* owned */
};

enum { PG_ARGS_MAX = 8 };

/** The values of $1, $2, ... `= { 0 }` has none. Borrows the texts and bytes. */
struct pg_args {
	const char *values[PG_ARGS_MAX];
	int lens[PG_ARGS_MAX], formats[PG_ARGS_MAX];
	uint8_t numbers[PG_ARGS_MAX][8];
	int count;
};

/** Connect, and set the session up: durable commits, our schema, transactions that do not
 *  outlive a process that hangs. OTA_E_IO with the server's text, OTA_E_CONFLICT for a
 *  server that cannot hold the ledger. */
OTA_CHECKED enum ota_code pg_open(struct pg *pg, const char *url, struct ota_error *err);

/** Disconnect. Leaves a zeroed struct. */
void pg_fini(struct pg *pg);

/** Prepare a range of statements. */
OTA_CHECKED enum ota_code pg_prepare(struct pg *pg, enum pg_statement from,
	enum pg_statement to, struct ota_error *err);

/** Free a result; NULL is allowed. */
void pg_clear(PGresult **result);

/** Add a number. */
void pg_add_u64(struct pg_args *args, uint64_t value);

/** Add a text, borrowed until the statement has run. */
void pg_add_text(struct pg_args *args, const char *text);

/** What the elements of an array are: numbers of PostgreSQL. */
enum pg_type { PG_BYTEA = 17, PG_TEXT = 25 };

/** Begin an array of count elements, in binary. */
OTA_CHECKED enum ota_code pg_array_begin(
	struct ota_buf *array, enum pg_type type, size_t count);

/** Add an element. */
OTA_CHECKED enum ota_code pg_array_add(struct ota_buf *array, struct ota_bytes element);

/** Add bytes, or an array, borrowed until the statement has run. */
void pg_add_bytes(struct pg_args *args, struct ota_bytes bytes);

/** Run a statement. result may be NULL; pg_clear() it. OTA_E_IO, OTA_E_NOSPACE,
 *  OTA_E_NOMEM, or OTA_E_BUSY if a lock is not to be had in time. */
OTA_CHECKED enum ota_code pg_run(struct pg *pg, enum pg_statement statement,
	const struct pg_args *args, PGresult **result, struct ota_error *err);

/** Run a statement that yields one number; 0 without a row. */
OTA_CHECKED enum ota_code pg_run_u64(struct pg *pg, enum pg_statement statement,
	const struct pg_args *args, uint64_t *out, struct ota_error *err);

/** Run fixed text, for the schema and transactions; the first column of its first row is
 *  cut to cap bytes in out (NULL: not wanted; "" without a row). */
OTA_CHECKED enum ota_code pg_run_text(
	struct pg *pg, const char *text, char *out, size_t cap, struct ota_error *err);

/** Commit; OTA_E_IO too if there was nothing left to commit, because a statement before
 * had failed. */
OTA_CHECKED enum ota_code pg_commit(struct pg *pg, struct ota_error *err);

/** A column, counted from 0, as a number. */
uint64_t pg_u64(const PGresult *result, int row, int column);

/** ... as text, borrowed from result. */
const char *pg_text(const PGresult *result, int row, int column);

/** ... as bytes, borrowed from result. */
struct ota_bytes pg_bytes(const PGresult *result, int row, int column);

/** ... as a digest; zeros for anything else. */
struct ota_digest pg_digest(const PGresult *result, int row, int column);

#endif
