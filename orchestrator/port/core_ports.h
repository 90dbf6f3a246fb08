#ifndef ORCHESTRATOR_PORT_CORE_PORTS_H
#define ORCHESTRATOR_PORT_CORE_PORTS_H

/* The core's port over ledger, patches and key. It never fails: what cannot be made
 * durable ends the process. */

#include "orchestrator/core/core.h"
#include "orchestrator/port/ledger.h"
#include "orchestrator/port/patches.h"
#include "orchestrator/port/publisher.h"
#include "orchestrator/port/signer.h"
#include "orchestrator/port/status_batch.h"

struct core_ports {
	struct ledger *ledger; /* borrowed, as all below */
	struct patches *patches;
	struct publisher *publisher; /* kicked after each commit */
	const struct signer *signer;
	const char *fleet;
	uint64_t slowest_ms;        /* commit since somebody set this to 0 */
	struct status_batch *batch; /* NULL: each report has a commit of its own */
	bool open;                  /* a transaction of the ledger; begin with false */
};

/** The port for core_new(). ports is borrowed for the core's life. */
struct core_port core_ports_of(struct core_ports *ports);

#endif
