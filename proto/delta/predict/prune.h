#ifndef PROTO_DELTA_PREDICT_PRUNE_H
#define PROTO_DELTA_PREDICT_PRUNE_H

/* Encoder only: leaves out of the tables what does not pay. */

#include "proto/delta/codec.h"
#include "proto/delta/predict/tables.h"

/**
 * Drop the regions in which re-targeting makes no more fields right than wrong, by laying
 * the image out once.
 *
 * from   the old image
 * to     the new image
 *
 * Returns OTA_OK, OTA_E_NOMEM, or what the source returned.
 */
OTA_CHECKED enum ota_code ota_regions_prune(struct ota_tables *tables,
	const struct ota_source *from, struct ota_bytes to, struct ota_error *err);

#endif
