#ifndef PROTO_DELTA_PREDICT_SORT_H
#define PROTO_DELTA_PREDICT_SORT_H

/* Sorting in place, with no memory of its own, which qsort() does not promise. Equal
 * items may change places, so a comparison that must give one result tells all apart. */

#include <stdbool.h>
#include <stddef.h>

enum { OTA_SORT_ITEM_MAX = 64 /* bytes */ };

/**
 * Sort an array. Takes O(n log n), and O(n) for what is in order already.
 *
 * at      count items of len bytes each, at most OTA_SORT_ITEM_MAX
 * before  true if a belongs before b
 */
void ota_sort(
	void *at, size_t count, size_t len, bool (*before)(const void *a, const void *b));

#endif
