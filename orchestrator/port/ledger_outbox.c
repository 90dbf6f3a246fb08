#include "orchestrator/port/ledger_sqlite.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"

void ledger_retained_fini(struct ledger_retained *row)
{
	ota_buf_fini(&row->payload);
}

enum ota_code ledger_retain(struct ledger *ledger, const char *topic,
	enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err)
{
	static const enum statement both[] = { Q_SAME, Q_RETAIN };
	uint64_t same = 0;
	enum ota_code rc = OTA_OK;

	for (int i = 0; i < 2 && rc == OTA_OK && !same; i++) {
		sqlite3_stmt *stmt = sql_use(&ledger->sql, both[i]);

		sql_bind_text(stmt, 1, topic);
		sql_bind_u64(stmt, 2, kind);
		sql_bind_bytes(stmt, 3, payload);
		rc = sql_run_u64(&ledger->sql, stmt, &same, err);
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

enum ota_code ledger_retained_next(struct ledger *ledger, uint64_t after,
	struct ledger_retained *out, bool *found, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_NEXT);
	enum ota_code rc = OTA_OK;
	int step;

	sql_bind_u64(stmt, 1, after);
	step = sqlite3_step(stmt);
	if (step == SQLITE_ROW)
		rc = read_retained(stmt, out, err);
	else if (step != SQLITE_DONE)
		rc = sql_failed(&ledger->sql, err);
	sqlite3_reset(stmt);
	if (rc == OTA_OK)
		*found = step == SQLITE_ROW;
	return rc;
}

enum ota_code ledger_retained_done(
	struct ledger *ledger, uint64_t seq, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_MARK);
	enum ota_code rc;

	sql_bind_u64(stmt, 1, seq);
	rc = sql_run(&ledger->sql, stmt, err);
	if (rc != OTA_OK)
		return rc;
	stmt = sql_use(&ledger->sql, Q_GONE);
	sql_bind_u64(stmt, 1, seq);
	return sql_run(&ledger->sql, stmt, err);
}

static bool is_there(struct ledger *ledger, enum statement statement, const char *topic)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, statement);
	uint64_t found = 0;

	sql_bind_text(stmt, 1, topic);
	return sql_run_u64(&ledger->sql, stmt, &found, NULL) == OTA_OK && found;
}

bool ledger_patch_is_out(struct ledger *ledger, const char *manifest_topic)
{
	return is_there(ledger, Q_IS_OUT, manifest_topic);
}

bool ledger_is_retained(struct ledger *ledger, const char *topic)
{
	return is_there(ledger, Q_IS_KEPT, topic);
}

uint64_t ledger_outbox_len(struct ledger *ledger)
{
	uint64_t count = 0;

	(void)!sql_run_u64(&ledger->sql, sql_use(&ledger->sql, Q_OUTBOX), &count, NULL);
	return count;
}

/* ---- bytes */

enum ota_code ledger_count_patch(struct ledger *ledger, const struct ota_digest *patch,
	uint64_t bytes, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_SENT);
	enum ota_code rc;

	sql_bind_bytes(stmt, 1, (struct ota_bytes){ patch->at, OTA_DIGEST_LEN });
	sql_bind_u64(stmt, 2, bytes);
	rc = sql_run(&ledger->sql, stmt, err);
	if (rc == OTA_OK && sqlite3_changes(ledger->sql.db) == 0)
		rc = ledger_count_again(ledger, bytes, err);
	return rc;
}

enum ota_code ledger_count_again(
	struct ledger *ledger, uint64_t bytes, struct ota_error *err)
{
	sqlite3_stmt *stmt = sql_use(&ledger->sql, Q_ADD);

	sql_bind_text(stmt, 1, "again");
	sql_bind_u64(stmt, 2, bytes);
	return sql_run(&ledger->sql, stmt, err);
}

enum ota_code ledger_counts(struct ledger *ledger, uint64_t *published,
	uint64_t *republished, struct ota_error *err)
{
	enum ota_code rc = sql_run_u64(
		&ledger->sql, sql_use(&ledger->sql, Q_SENT_SUM), published, err);

	return rc == OTA_OK ? ledger_number(ledger, "again", republished, err) : rc;
}
