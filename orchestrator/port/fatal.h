#ifndef ORCHESTRATOR_PORT_FATAL_H
#define ORCHESTRATOR_PORT_FATAL_H

#include "proto/base/error.h"

/** End the process at once, with one line that says why: for what cannot be made durable.
 *  The next start goes on from what is stored. */
_Noreturn void fatal_exit(const char *event, const struct ota_error *err);

/** The same for a failure of the ledger: event lease.lost if another process leads since,
 *  ledger.failed otherwise. What was in doubt is read again by the next start. */
_Noreturn void fatal_ledger(const struct ota_error *err);

#endif
