#include "orchestrator/port/sqlite_ledger.h"

static struct ota_bytes bytes_of(const struct ota_digest *digest)
{
	return (struct ota_bytes){ digest->at, OTA_DIGEST_LEN };
}

static enum ota_code remove_too_many(
	struct sql *sql, const struct ledger_answer *answer, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(sql, Q_CROWD);

	sql_bind_text(stmt, 1, answer->who);
	sql_bind_u64(stmt, 2, LEDGER_ANSWERS_MAX);
	return sql_run(sql, stmt, err);
}

static enum ota_code remove_old(
	struct sql *sql, const struct ledger_answer *answer, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(sql, Q_EXPIRE);

	sql_bind_u64(stmt, 1, ledger_answers_until(answer->at_utc_s));
	sql_bind_u64(stmt, 2, LEDGER_ANSWERS_AT_ONCE);
	return sql_run(sql, stmt, err);
}

static enum ota_code keep(
	struct ledger *ledger, const struct ledger_answer *answer, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_ANSWER);
	enum ota_code rc;

	sql_bind_text(stmt, 1, answer->who);
	sql_bind_bytes(stmt, 2, bytes_of(&answer->key));
	sql_bind_u64(stmt, 3, answer->at_utc_s);
	sql_bind_bytes(stmt, 4, bytes_of(&answer->request));
	sql_bind_u64(stmt, 5, answer->status);
	sql_bind_bytes(stmt, 6, answer->sealed);
	rc = sql_run(sql, stmt, err);
	if (rc == OTA_OK)
		rc = remove_too_many(sql, answer, err);
	return rc == OTA_OK ? remove_old(sql, answer, err) : rc;
}

static enum ota_code find(struct ledger *ledger, uint64_t after_utc_s,
	struct ledger_answer *inout, struct ota_buf *body, bool *found,
	struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_ANSWERED);
	enum ota_code rc = OTA_OK;
	int step;

	sql_bind_text(stmt, 1, inout->who);
	sql_bind_bytes(stmt, 2, bytes_of(&inout->key));
	sql_bind_u64(stmt, 3, after_utc_s);
	step = sqlite3_step(stmt);
	if (step == SQLITE_ROW) {
		inout->request = sql_column_digest(stmt, 0);
		inout->status = (unsigned)sql_column_u64(stmt, 1);
		inout->at_utc_s = sql_column_u64(stmt, 2);
		rc = ota_buf_add(body, sql_column_bytes(stmt, 3));
	} else if (step != SQLITE_DONE) {
		rc = sql_failed(sql, err);
	}
	sqlite3_reset(stmt);
	if (rc == OTA_OK)
		*found = step == SQLITE_ROW;
	return rc;
}

const struct ledger_answers sqlite_answers = { .keep = keep, .find = find };
