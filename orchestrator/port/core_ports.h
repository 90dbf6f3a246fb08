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
	bool held;                  /* core_ports_hold(); begin with false */
};

/** From now on the core's commits wait: what it changes is one transaction, together with
 *  what core_ports_keep() adds. Between two calls of the core. */
void core_ports_hold(struct core_ports *ports);

/** True if anything was changed since core_ports_hold(). */
bool core_ports_has_changed(const struct core_ports *ports);

/** Keep an answer in that transaction. */
void core_ports_keep(struct core_ports *ports, const struct ledger_answer *answer);

/** Commit it, if there is anything, and no longer hold. */
void core_ports_release(struct core_ports *ports);

/** The port for core_new(). ports is borrowed for the core's life. */
struct core_port core_ports_of(struct core_ports *ports);

#endif
