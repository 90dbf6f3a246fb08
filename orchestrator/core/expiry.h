#ifndef ORCHESTRATOR_CORE_EXPIRY_H
#define ORCHESTRATOR_CORE_EXPIRY_H

/* Signed documents that soon bind nobody any more. Devices refuse what expired, and say
 * so one by one; people should hear of it before. */

#include <cjson/cJSON.h>

#include "orchestrator/core/state.h"

enum { /* this long before, seconds */
	EXPIRY_ROOT_S = 60 * 86400,
	EXPIRY_CATALOG_S = 21 * 86400,
	EXPIRY_GRANT_S = 2 * 86400
};

/** The root, the catalog, and the grants of rollouts that are not settled, where they
 *  expire soon or did: [{"type","expires"}], of a grant with "rollout". The caller's. */
cJSON *expiry_view(const struct core *core);

/** As expiry_view(), however far away. */
cJSON *expiry_all(const struct core *core);

#endif
