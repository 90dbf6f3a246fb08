#ifndef PROTO_DELTA_PREDICT_PLAN_H
#define PROTO_DELTA_PREDICT_PLAN_H

/* Encoder only: what a `predict` patch will say about two images. Files are paired, what
 * is equal is taken out, what changed is aligned inside each pair with references masked,
 * and what is still without a source is looked for in the whole old image. */

#include "proto/delta/predict/align.h"
#include "proto/delta/predict/items.h"

struct ota_plan_job {
	struct ota_bytes from, to;    /* borrowed: the images */
	struct ota_progress progress; /* its total is the new image; may be { 0 } */
	struct ota_crew crew;         /* may be { 0 } */
};

struct ota_plan {
	struct ota_items from, to;
	struct ota_tables tables;
};

/** Make a plan. OTA_OK (out is the caller's), OTA_E_NOMEM, OTA_E_CANCELLED, OTA_E_LIMIT
 *  for more covers, pairs or parts than a patch may have. */
OTA_CHECKED enum ota_code ota_plan_make(
	const struct ota_plan_job *job, struct ota_plan *out, struct ota_error *err);

/** Release. Accepts a zeroed plan. */
void ota_plan_fini(struct ota_plan *plan);

#endif
