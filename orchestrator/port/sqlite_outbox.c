#include "orchestrator/port/sqlite_ledger.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"

static enum ota_code retain(struct ledger *ledger, const char *topic,
	enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	static const enum statement both[] = { Q_SAME, Q_RETAIN };
	uint64_t same = 0;
	enum ota_code rc = OTA_OK;

	for (int i = 0; i < 2 && rc == OTA_OK && !same; i++) {
		sqlite3_stmt *stmt = sql_use(sql, both[i]);

		sql_bind_text(stmt, 1, topic);
		sql_bind_u64(stmt, 2, kind);
		sql_bind_bytes(stmt, 3, payload);
		rc = sql_run_u64(sql, stmt, &same, err);
	}
	return rc;
}

static enum ota_code read_retained(
	sqlite3_stmt *stmt, struct ledger_retained *out, struct ota_error *err)
{
	OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };
	uint64_t kind = sql_column_u64(stmt, 2);

	row.seq = sql_column_u64(stmt, 0);
	(void)snprintf(row.topic, sizeof(row.topic), "%s", sql_column_text(stmt, 1));
	if (kind >= N_LEDGER_KINDS)
		return ota_fail(err, OTA_E_IO, "database: outbox row of an unknown kind");
	row.kind = (enum ledger_kind)kind;
	row.published = sql_column_u64(stmt, 4) != 0;
	if (ota_buf_add(&row.payload, sql_column_bytes(stmt, 3)) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "outbox row");
	*out = row;
	row = (struct ledger_retained){ 0 };
	return OTA_OK;
}

static enum ota_code retained_next(struct ledger *ledger, uint64_t after,
	struct ledger_retained *out, bool *found, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_NEXT);
	enum ota_code rc = OTA_OK;
	int step;

	sql_bind_u64(stmt, 1, after);
	step = sqlite3_step(stmt);
	if (step == SQLITE_ROW)
		rc = read_retained(stmt, out, err);
	else if (step != SQLITE_DONE)
		rc = sql_failed(sql, err);
	sqlite3_reset(stmt);
	if (rc == OTA_OK)
		*found = step == SQLITE_ROW;
	return rc;
}

static enum ota_code retained_done(
	struct ledger *ledger, uint64_t seq, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_MARK);
	enum ota_code rc;

	sql_bind_u64(stmt, 1, seq);
	rc = sql_run(sql, stmt, err);
	if (rc != OTA_OK)
		return rc;
	stmt = sql_use(sql, Q_GONE);
	sql_bind_u64(stmt, 1, seq);
	return sql_run(sql, stmt, err);
}

static bool holds(
	struct ledger *ledger, const char *topic, enum ledger_kind kind, bool published)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_HOLDS);
	uint64_t found = 0;

	sql_bind_text(stmt, 1, topic);
	sql_bind_u64(stmt, 2, kind);
	sql_bind_u64(stmt, 3, published);
	return sql_run_u64(sql, stmt, &found, NULL) == OTA_OK && found;
}

static uint64_t outbox_len(struct ledger *ledger)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	uint64_t count = 0;

	(void)!sql_run_u64(sql, sql_use(sql, Q_OUTBOX), &count, NULL);
	return count;
}

/* ---- bytes */

static enum ota_code count_again(
	struct ledger *ledger, uint64_t bytes, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_ADD);

	sql_bind_text(stmt, 1, "again");
	sql_bind_u64(stmt, 2, bytes);
	return sql_run(sql, stmt, err);
}

static enum ota_code count_patch(struct ledger *ledger, const struct ota_digest *patch,
	uint64_t bytes, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_SENT);
	enum ota_code rc;

	sql_bind_bytes(stmt, 1, (struct ota_bytes){ patch->at, OTA_DIGEST_LEN });
	sql_bind_u64(stmt, 2, bytes);
	rc = sql_run(sql, stmt, err);
	if (rc == OTA_OK && sqlite3_changes(sql->db) == 0)
		rc = count_again(ledger, bytes, err);
	return rc;
}

static enum ota_code counts(struct ledger *ledger, uint64_t *published,
	uint64_t *republished, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	enum ota_code rc = sql_run_u64(sql, sql_use(sql, Q_SENT_SUM), published, err);

	return rc == OTA_OK ? sqlite_ledger_number(ledger, "again", republished, err)
			    : rc;
}

const struct ledger_outbox sqlite_outbox = {
	.retain = retain,
	.retained_next = retained_next,
	.retained_done = retained_done,
	.holds = holds,
	.outbox_len = outbox_len,
	.count_patch = count_patch,
	.count_again = count_again,
	.counts = counts,
};
