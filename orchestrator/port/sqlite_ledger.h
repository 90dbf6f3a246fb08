#ifndef ORCHESTRATOR_PORT_SQLITE_LEDGER_H
#define ORCHESTRATOR_PORT_SQLITE_LEDGER_H

/* The ledger in an SQLite file: WAL, synchronous=FULL. Shared by the files that implement
 * it. */

#include "orchestrator/port/ledger_backend.h"
#include "orchestrator/port/sql.h"

struct sqlite_ledger {
	struct ledger ledger; /* first: what others see */
	struct sql sql;       /* owned */
};

/** Open or create a file; as ledger_open(). */
OTA_CHECKED enum ota_code sqlite_ledger_open(
	const char *path, struct ledger **out, struct ota_error *err);

/** As ledger_check(). */
OTA_CHECKED enum ota_code sqlite_ledger_check(const char *path, struct ota_error *err);

/** As ledger_backup(). */
OTA_CHECKED enum ota_code sqlite_ledger_backup(
	const char *database, const char *path, uint64_t *entries, struct ota_error *err);

/** The database of a ledger that is in SQLite. */
struct sql *sqlite_ledger_sql(struct ledger *ledger);

/** The outbox of such a ledger. */
extern const struct ledger_outbox sqlite_outbox;

/** The webhooks of such a ledger. */
extern const struct ledger_webhooks sqlite_webhooks;

/** The kept answers of such a ledger. */
extern const struct ledger_answers sqlite_answers;

/** A number kept by name; 0 if there is none. */
OTA_CHECKED enum ota_code sqlite_ledger_number(
	struct ledger *ledger, const char *name, uint64_t *out, struct ota_error *err);

#endif
