#ifndef PROTO_DELTA_PREDICT_COUPLES_H
#define PROTO_DELTA_PREDICT_COUPLES_H

/* Encoder only: which item of an old image each item of a new one came from. */

#include "proto/delta/predict/align.h"
#include "proto/delta/predict/items.h"

/**
 * Find the partners of all items; the rest of an image is the partner of the rest.
 *
 * partner   to_image->count entries: index into from_image, or OTA_NO_PARTNER
 *
 * OTA_OK or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_couples_find(const struct ota_items *from_image,
	const struct ota_items *to_image, int32_t *partner);

#endif
