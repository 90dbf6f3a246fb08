#ifndef PROTO_DELTA_PREDICT_TABLES_LIST_H
#define PROTO_DELTA_PREDICT_TABLES_LIST_H

/* The three lists of a pair whose entries say where bytes lie in an image and in memory:
 * they are coded alike. What tables_read.c and tables_write.c have in common. */

#include "proto/delta/predict/tables.h"

enum ota_list { OTA_LIST_FROM, OTA_LIST_TO, OTA_LIST_REGIONS, OTA_LIST_COUNT };

/** The fields that an entry of any list has; borrowed. */
struct ota_place {
	uint64_t *offset, *len;
	int64_t *address;
};

/** Entries of a list. */
static inline uint32_t ota_list_len(const struct ota_pair *pair, enum ota_list list)
{
	if (list == OTA_LIST_REGIONS)
		return pair->region_count;
	return list == OTA_LIST_FROM ? pair->from_count : pair->to_count;
}

/** Entry i of a list. */
static inline struct ota_place ota_list_at(
	const struct ota_pair *pair, enum ota_list list, uint32_t i)
{
	struct ota_region *region;
	struct ota_span *span;

	if (list == OTA_LIST_REGIONS) {
		region = &pair->regions[i];
		return (struct ota_place){ &region->offset, &region->len,
			&region->address };
	}
	span = list == OTA_LIST_FROM ? &pair->from[i] : &pair->to[i];
	return (struct ota_place){ &span->offset, &span->len, &span->address };
}

/** What an entry is coded against. */
struct ota_list_state {
	uint64_t end;   /* of the entry before */
	uint64_t shift; /* its address less its offset */
};

/** Regions lie in spans, so a pair's first region is coded against its first span. */
static inline void ota_list_begin_pair(
	struct ota_list_state *state, const struct ota_pair *pair, enum ota_list list)
{
	state->shift = 0;
	if (list != OTA_LIST_REGIONS || pair->from_count == 0)
		return;
	state->end = pair->from[0].offset;
	state->shift = (uint64_t)pair->from[0].address - pair->from[0].offset;
}

/** The shift that entry i is coded against: a pair's first span counts from address 0. */
static inline uint64_t ota_list_shift(const struct ota_list_state *state,
	const struct ota_place *place, enum ota_list list, uint32_t i)
{
	return i == 0 && list != OTA_LIST_REGIONS ? 0 - *place->offset : state->shift;
}

#endif
