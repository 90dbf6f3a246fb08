#include "orchestrator/port/pg_ledger.h"

#include <stdio.h>

#include "proto/base/own.h"

static enum ota_code retain(struct ledger *ledger, const char *topic,
	enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_text(&args, topic);
	pg_add_u64(&args, kind);
	pg_add_bytes(&args, payload);
	return pg_ledger_write(ledger, P_RETAIN, &args, NULL, err);
}

static enum ota_code read_retained(
	const PGresult *result, struct ledger_retained *out, struct ota_error *err)
{
	OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };
	uint64_t kind = pg_u64(result, 0, 2);

	row.seq = pg_u64(result, 0, 0);
	(void)snprintf(row.topic, sizeof(row.topic), "%s", pg_text(result, 0, 1));
	if (kind >= N_LEDGER_KINDS)
		return ota_fail(err, OTA_E_IO, "database: outbox row of an unknown kind");
	row.kind = (enum ledger_kind)kind;
	row.published = pg_u64(result, 0, 4) != 0;
	if (ota_buf_add(&row.payload, pg_bytes(result, 0, 3)) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "outbox row");
	*out = row;
	row = (struct ledger_retained){ 0 };
	return OTA_OK;
}

static enum ota_code retained_next(struct ledger *ledger, uint64_t after,
	struct ledger_retained *out, bool *found, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = NULL;
	struct pg_args args = { 0 };
	enum ota_code rc;

	pg_add_u64(&args, after);
	rc = pg_run(pg_ledger_pg(ledger), P_NEXT, &args, &result, err);
	if (rc == OTA_OK && PQntuples(result) > 0)
		rc = read_retained(result, out, err);
	if (rc == OTA_OK)
		*found = PQntuples(result) > 0;
	return rc;
}

static enum ota_code retained_done(
	struct ledger *ledger, uint64_t seq, struct ota_error *err)
{
	struct pg_args args = { 0 };
	enum ota_code rc;

	pg_add_u64(&args, seq);
	rc = pg_ledger_write(ledger, P_MARK, &args, NULL, err);
	return rc == OTA_OK ? pg_ledger_write(ledger, P_GONE, &args, NULL, err) : rc;
}

static bool holds(
	struct ledger *ledger, const char *topic, enum ledger_kind kind, bool published)
{
	struct pg_args args = { 0 };
	uint64_t found = 0;

	pg_add_text(&args, topic);
	pg_add_u64(&args, kind);
	pg_add_u64(&args, published);
	return pg_run_u64(pg_ledger_pg(ledger), P_HOLDS, &args, &found, NULL) == OTA_OK &&
	       found;
}

static uint64_t outbox_len(struct ledger *ledger)
{
	const struct pg_args none = { 0 };
	uint64_t count = 0;

	(void)!pg_run_u64(pg_ledger_pg(ledger), P_OUTBOX, &none, &count, NULL);
	return count;
}

/* ---- bytes */

static enum ota_code count_again(
	struct ledger *ledger, uint64_t bytes, struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_text(&args, "again");
	pg_add_u64(&args, bytes);
	return pg_ledger_write(ledger, P_ADD, &args, NULL, err);
}

static enum ota_code count_patch(struct ledger *ledger, const struct ota_digest *patch,
	uint64_t bytes, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = NULL;
	struct pg_args args = { 0 };
	enum ota_code rc;

	pg_add_bytes(&args, (struct ota_bytes){ patch->at, OTA_DIGEST_LEN });
	pg_add_u64(&args, bytes);
	rc = pg_ledger_write(ledger, P_SENT, &args, &result, err);
	if (rc == OTA_OK && PQntuples(result) == 0)
		rc = count_again(ledger, bytes, err);
	return rc;
}

static enum ota_code counts(struct ledger *ledger, uint64_t *published,
	uint64_t *republished, struct ota_error *err)
{
	const struct pg_args none = { 0 };
	struct pg_args args = { 0 };
	struct pg *pg = pg_ledger_pg(ledger);
	enum ota_code rc = pg_run_u64(pg, P_SENT_SUM, &none, published, err);

	pg_add_text(&args, "again");
	return rc == OTA_OK ? pg_run_u64(pg, P_NUMBER, &args, republished, err) : rc;
}

const struct ledger_outbox pg_outbox = {
	.retain = retain,
	.retained_next = retained_next,
	.retained_done = retained_done,
	.holds = holds,
	.outbox_len = outbox_len,
	.count_patch = count_patch,
	.count_again = count_again,
	.counts = counts,
};
