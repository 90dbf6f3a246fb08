#include "orchestrator/port/pg_ledger.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/base/own.h"
#include "proto/io/loop.h"

static enum ota_code ask_leader(
	struct pg *pg, struct ledger_leader *out, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = NULL;
	const struct pg_args none = { 0 };
	enum ota_code rc = pg_run(pg, P_LEADER, &none, &result, err);

	if (rc != OTA_OK)
		return rc;
	if (PQntuples(result) != 1)
		return ota_fail(err, OTA_E_CONFLICT, "the row of sluice.lease is gone");
	(void)snprintf(out->owner, sizeof(out->owner), "%s", pg_text(result, 0, 0));
	(void)snprintf(out->address, sizeof(out->address), "%s", pg_text(result, 0, 1));
	return OTA_OK;
}

enum ota_code pg_lease_take(struct pg_ledger *ledger, const struct ledger_leader *self,
	struct ledger_leader *other, struct ota_error *err)
{
	struct pg_args args = { 0 };
	uint64_t now_ms = ota_clock_mono_ms(), epoch = 0;
	enum ota_code rc;

	pg_add_text(&args, self->owner);
	pg_add_text(&args, self->address);
	pg_add_u64(&args, PG_LEASE_MS);
	rc = pg_run_u64(&ledger->pg, P_TAKE, &args, &epoch, err);
	if (rc == OTA_E_BUSY) /* the leader before is still in a transaction */
		rc = OTA_OK;
	if (rc == OTA_OK && epoch == 0)
		return ask_leader(&ledger->pg, other, err);
	if (rc != OTA_OK)
		return rc;
	ledger->epoch = epoch;
	ledger->renew_at_ms = now_ms + PG_RENEW_MS;
	return OTA_OK;
}

/* This process is to end at once, so that nothing of what it holds is taken for true. */
static enum ota_code lost(const struct pg_ledger *ledger, struct ota_error *err)
{
	return ota_fail(err, OTA_E_STATE,
		"another sluiced leads since; this one led under epoch %" PRIu64,
		ledger->epoch);
}

enum ota_code pg_lease_hold(struct pg_ledger *ledger, struct ota_error *err)
{
	struct pg_args args = { 0 };
	uint64_t now_ms = ota_clock_mono_ms(), epoch = 0;
	enum ota_code rc;

	if (ledger->in_transaction || now_ms < ledger->renew_at_ms)
		return OTA_OK;
	pg_add_u64(&args, ledger->epoch);
	pg_add_u64(&args, PG_LEASE_MS);
	rc = pg_run_u64(&ledger->pg, P_RENEW, &args, &epoch, err);
	if (rc != OTA_OK)
		return rc;
	if (epoch == 0)
		return lost(ledger, err);
	ledger->renew_at_ms = now_ms + PG_RENEW_MS;
	return OTA_OK;
}

enum ota_code pg_lease_fence(struct pg_ledger *ledger, struct ota_error *err)
{
	struct pg_args args = { 0 };
	uint64_t epoch = 0;
	enum ota_code rc;

	pg_add_u64(&args, ledger->epoch);
	rc = pg_run_u64(&ledger->pg, P_FENCE, &args, &epoch, err);
	return rc == OTA_OK && epoch == 0 ? lost(ledger, err) : rc;
}

void pg_lease_give_up(struct pg_ledger *ledger)
{
	struct pg_args args = { 0 };

	if (ledger->epoch == 0)
		return;
	pg_add_u64(&args, ledger->epoch);
	(void)!pg_run(&ledger->pg, P_GIVE_UP, &args, NULL, NULL);
	ledger->epoch = 0;
}
