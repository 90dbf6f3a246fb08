#ifndef ORCHESTRATOR_PORT_DAEMON_H
#define ORCHESTRATOR_PORT_DAEMON_H

/* The orchestrator put together: ledger, core, broker, patches and HTTP on one loop. */

#include "orchestrator/port/config.h"

/** Read everything a start would read - the anchor, the online key, the API keys, the
 *  ledger and its audit chain - and change nothing. A ledger that is not there yet is
 *  fine. Returns OTA_OK or what a start would fail with. */
OTA_CHECKED enum ota_code daemon_check(
	const struct sluiced_config *config, struct ota_error *err);

/** Run until SIGTERM or SIGINT. Returns OTA_OK after a clean stop; OTA_E_BUSY if another
 *  process holds the state directory; otherwise what failed at the start. A failure to
 *  make something durable later ends the process at once with status 1. */
OTA_CHECKED enum ota_code daemon_run(
	const struct sluiced_config *config, struct ota_error *err);

#endif
