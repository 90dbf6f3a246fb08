#ifndef PROTO_DELTA_PREDICT_PLACE_H
#define PROTO_DELTA_PREDICT_PLACE_H

/* Encoder only: from offsets in an item to offsets in its image, where the item may lie
 * in several extents. */

#include "proto/delta/predict/align.h"
#include "proto/delta/predict/items.h"

/** Walks an item's extents forward. */
struct ota_cursor {
	const struct ota_item *item; /* borrowed */
	uint32_t extent;             /* the one at hand */
	uint64_t begin;              /* of that extent, in the item */
};

/**
 * Where an offset of the item lies.
 *
 * left  bytes from there that lie together in the image
 *
 * Returns the offset in the image, or OTA_HOLE. offset lies inside the item; any order
 * is right, rising is fast.
 */
uint64_t ota_cursor_to(struct ota_cursor *walk, uint64_t offset, uint64_t *left);

/** Append runs between two items as runs between their images, cut where either side's
 *  bytes do not lie together; what lies in a hole is dropped. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_place_runs(const struct ota_item *from,
	const struct ota_item *to, const struct ota_runs *runs, struct ota_runs *out);

#endif
