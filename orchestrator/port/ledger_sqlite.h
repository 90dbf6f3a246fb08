#ifndef ORCHESTRATOR_PORT_LEDGER_SQLITE_H
#define ORCHESTRATOR_PORT_LEDGER_SQLITE_H

/* The inside of the ledger, shared by the files that implement it. */

#include "orchestrator/port/ledger.h"
#include "orchestrator/port/sql.h"

struct ledger {
	struct sql sql; /* owned */
	bool unclean;
	uint64_t audit_seq; /* of the newest entry */
	struct ota_digest audit_head;
};

/** A number kept by name; 0 if there is none. */
OTA_CHECKED enum ota_code ledger_number(
	struct ledger *ledger, const char *name, uint64_t *out, struct ota_error *err);

#endif
