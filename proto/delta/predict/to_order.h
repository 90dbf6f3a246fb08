#ifndef PROTO_DELTA_PREDICT_TO_ORDER_H
#define PROTO_DELTA_PREDICT_TO_ORDER_H

/* Spans of the new image over all pairs, in order: which pair a new offset belongs to. */

#include "proto/delta/predict/tables.h"

struct ota_to_place {
	uint64_t offset; /* of the span */
	uint32_t pair, span;
};

struct ota_to_order {
	struct ota_heap *heap;   /* borrowed; NULL: the system's */
	struct ota_to_place *at; /* owned, by offset */
	uint32_t count;
};

/** Put the spans of tables in order. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_to_order_init(struct ota_to_order *order,
	const struct ota_tables *tables, struct ota_heap *heap);

/** The first place whose span begins behind offset `to`; count if none. */
uint32_t ota_to_order_behind(const struct ota_to_order *order, uint64_t to);

/** Release. Accepts a zeroed order. */
void ota_to_order_fini(struct ota_to_order *order);

#endif
