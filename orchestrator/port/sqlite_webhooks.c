#include "orchestrator/port/sqlite_ledger.h"

#include <stdio.h>

static enum ota_code put(struct ledger *ledger, const struct ledger_webhook *webhook,
	struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_PUT_HOOK);

	sql_bind_text(stmt, 1, webhook->name);
	sql_bind_u64(stmt, 2, webhook->cursor);
	sql_bind_u64(stmt, 3, webhook->tries);
	sql_bind_u64(stmt, 4, webhook->failing_s);
	sql_bind_u64(stmt, 5, webhook->disabled_s);
	return sql_run(sql, stmt, err);
}

static enum ota_code drop(struct ledger *ledger, const char *name, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_DROP_HOOK);

	sql_bind_text(stmt, 1, name);
	return sql_run(sql, stmt, err);
}

static enum ota_code each(struct ledger *ledger,
	enum ota_code (*take)(
		void *ctx, const struct ledger_webhook *webhook, struct ota_error *err),
	void *ctx, struct ota_error *err)
{
	struct sql *sql = sqlite_ledger_sql(ledger);
	sqlite3_stmt *stmt = sql_use(sql, Q_HOOKS);
	enum ota_code rc = OTA_OK;
	int step;

	while ((step = sqlite3_step(stmt)) == SQLITE_ROW && rc == OTA_OK) {
		struct ledger_webhook row = {
			.cursor = sql_column_u64(stmt, 1),
			.tries = sql_column_u64(stmt, 2),
			.failing_s = sql_column_u64(stmt, 3),
			.disabled_s = sql_column_u64(stmt, 4),
		};

		(void)snprintf(
			row.name, sizeof(row.name), "%s", sql_column_text(stmt, 0));
		rc = take(ctx, &row, err);
	}
	if (rc == OTA_OK && step != SQLITE_DONE)
		rc = sql_failed(sql, err);
	sqlite3_reset(stmt);
	return rc;
}

const struct ledger_webhooks sqlite_webhooks = { .put = put, .drop = drop, .each = each };
