#ifndef ORCHESTRATOR_PORT_PG_LEDGER_H
#define ORCHESTRATOR_PORT_PG_LEDGER_H

/* The ledger in PostgreSQL, in the schema "sluice" of a database. Several processes may
 * know it; the one whose number stands in the row of `lease` leads. That number, the
 * epoch, is looked up by every transaction of the leader, in the transaction, with a lock
 * on the row: whoever takes the lease waits for what is being committed, and nothing is
 * committed by a process that lost it. Shared by the files that implement it. */

#include "orchestrator/port/ledger_backend.h"
#include "orchestrator/port/pg.h"

/* The leader renews after RENEW_MS at the latest; a lease that was not renewed for
 * LEASE_MS, by the database's clock, is free. */
enum { PG_LEASE_MS = 9000, PG_RENEW_MS = 2000 };

struct pg_ledger {
	struct ledger ledger; /* first: what others see */
	struct pg pg;         /* owned */
	uint64_t epoch;       /* under which this process leads; 0: it does not */
	uint64_t renew_at_ms; /* monotonic */
	bool in_transaction;
};

/** Connect; as ledger_open(). */
OTA_CHECKED enum ota_code pg_ledger_open(
	const char *url, struct ledger **out, struct ota_error *err);

/** As ledger_check(). */
OTA_CHECKED enum ota_code pg_ledger_check(const char *url, struct ota_error *err);

/** The database of a ledger that is in PostgreSQL. */
struct pg *pg_ledger_pg(struct ledger *ledger);

/** Run a statement that writes, as pg_run(): in the transaction under way, or in one of
 *  its own. */
OTA_CHECKED enum ota_code pg_ledger_write(struct ledger *ledger,
	enum pg_statement statement, const struct pg_args *args, PGresult **result,
	struct ota_error *err);

/** The outbox of such a ledger. */
extern const struct ledger_outbox pg_outbox;

/** The webhooks of such a ledger. */
extern const struct ledger_webhooks pg_webhooks;

/** The kept answers of such a ledger. */
extern const struct ledger_answers pg_answers;

/* ---- pg_lease.c */

/** Take the lease if it is free; ledger->epoch stays 0 if another has it, who is told in
 * other. */
OTA_CHECKED enum ota_code pg_lease_take(struct pg_ledger *ledger,
	const struct ledger_leader *self, struct ledger_leader *other,
	struct ota_error *err);

/** Renew it if that is due. OTA_E_STATE if another took it. */
OTA_CHECKED enum ota_code pg_lease_hold(struct pg_ledger *ledger, struct ota_error *err);

/** In a transaction: OTA_E_STATE unless this process leads until the transaction ends. */
OTA_CHECKED enum ota_code pg_lease_fence(struct pg_ledger *ledger, struct ota_error *err);

/** Let another take it at once. */
void pg_lease_give_up(struct pg_ledger *ledger);

#endif
