#ifndef PROTO_DELTA_PREDICT_MAP_H
#define PROTO_DELTA_PREDICT_MAP_H

/* Where the addresses of an old object went in the new one, derived from the covers that
 * lie in both (those that say `maps`) and from the pair's pins. */

#include "proto/delta/predict/tables.h"

struct ota_map_part {
	int64_t from, to;
	uint64_t len;
};

struct ota_map {
	struct ota_heap *heap;      /* borrowed; NULL: the system's */
	struct ota_map_part *parts; /* owned, by `from`, without overlap */
	uint32_t count, cap;
};

/**
 * Derive the map of one pair. Each cover that maps is cut at the ends of the pair's spans
 * on both sides; where two pieces claim an old address, the one that begins earlier keeps
 * it (between two that begin together, the longer); pins win over all covers.
 *
 * map   emptied first; its memory is reused
 *
 * Returns OTA_OK or OTA_E_NOMEM. Takes O(n log n) for n covers and pins.
 */
OTA_CHECKED enum ota_code ota_map_build(struct ota_map *map,
	const struct ota_tables *tables, const struct ota_pair *pair);

/** Where an address went. An address that no part holds goes with the part before it (or
 *  the first). False if the map is empty. Never overflows: results wrap. */
bool ota_map_get(const struct ota_map *map, int64_t from, int64_t *to);

/** The same, for one of many addresses: tried is the part that the last one was found in,
 *  0 at first, and is kept by the caller. */
bool ota_map_get_next(
	const struct ota_map *map, uint32_t *tried, int64_t from, int64_t *to);

/** Release. Accepts a zeroed map. */
void ota_map_fini(struct ota_map *map);

#endif
