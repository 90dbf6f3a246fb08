#include "orchestrator/port/pg_ledger.h"

#include <stdio.h>

#include "proto/base/own.h"

static enum ota_code put(struct ledger *ledger, const struct ledger_webhook *webhook,
	struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_text(&args, webhook->name);
	pg_add_u64(&args, webhook->cursor);
	pg_add_u64(&args, webhook->tries);
	pg_add_u64(&args, webhook->failing_s);
	pg_add_u64(&args, webhook->disabled_s);
	return pg_ledger_write(ledger, P_PUT_HOOK, &args, NULL, err);
}

static enum ota_code drop(struct ledger *ledger, const char *name, struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_text(&args, name);
	return pg_ledger_write(ledger, P_DROP_HOOK, &args, NULL, err);
}

static enum ota_code each(struct ledger *ledger,
	enum ota_code (*take)(
		void *ctx, const struct ledger_webhook *webhook, struct ota_error *err),
	void *ctx, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = NULL;
	const struct pg_args none = { 0 };
	enum ota_code rc = pg_run(pg_ledger_pg(ledger), P_HOOKS, &none, &result, err);

	for (int i = 0; rc == OTA_OK && i < PQntuples(result); i++) {
		struct ledger_webhook row = {
			.cursor = pg_u64(result, i, 1),
			.tries = pg_u64(result, i, 2),
			.failing_s = pg_u64(result, i, 3),
			.disabled_s = pg_u64(result, i, 4),
		};

		(void)snprintf(row.name, sizeof(row.name), "%s", pg_text(result, i, 0));
		rc = take(ctx, &row, err);
	}
	return rc;
}

const struct ledger_webhooks pg_webhooks = { .put = put, .drop = drop, .each = each };
