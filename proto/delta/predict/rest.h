#ifndef PROTO_DELTA_PREDICT_REST_H
#define PROTO_DELTA_PREDICT_REST_H

/* What is left new is mostly like what is left old: the two are aligned with each other,
 * without all that is explained already. */

#include "proto/delta/predict/extend.h"

/**
 * Add runs for what runs leave open of todo, from the old bytes that they do not use.
 * 80 MiB of memory and some 0.3 us for each byte left over.
 *
 * Returns OTA_OK, OTA_E_NOMEM or OTA_E_CANCELLED.
 */
OTA_CHECKED enum ota_code ota_match_rest(struct ota_runs *runs,
	const struct ota_pair_of_bytes *pair, const struct ota_runs *todo,
	const struct ota_progress *progress);

#endif
