#ifndef PROTO_DELTA_PREDICT_COMPARE_H
#define PROTO_DELTA_PREDICT_COMPARE_H

/* Encoder only: two items, of which one came from the other, laid side by side. */

#include "proto/delta/predict/pairing.h"

struct ota_comparison {
	const struct ota_items *from_image, *to_image; /* borrowed */
	const struct ota_item *from, *to;              /* borrowed: of these images */
	struct ota_progress progress;
	struct ota_runs runs;   /* found, between the images */
	struct ota_pairs pairs; /* found: executables that changed */
};

/** Fill runs and pairs. OTA_OK, OTA_E_NOMEM or OTA_E_CANCELLED. Comparisons may run side
 *  by side. */
OTA_CHECKED enum ota_code ota_compare(struct ota_comparison *comparison);

/** Release. Accepts a zeroed struct. */
void ota_comparison_fini(struct ota_comparison *comparison);

#endif
