#ifndef PROTO_DELTA_PREDICT_ITEMS_H
#define PROTO_DELTA_PREDICT_ITEMS_H

/* Encoder only: an image taken apart into what is worth comparing on its own: its files,
 * or the executables in an image without files, and the rest that belongs to none. */

#include "proto/delta/predict/members.h"
#include "proto/delta/predict/object.h"

/** An executable inside an item. */
struct ota_part {
	uint64_t offset; /* of its first byte, in the item */
	struct ota_object object;
};

struct ota_item {
	const char *path; /* borrowed from the items; "" if the image gives it none */
	const struct ota_extent *extents; /* borrowed from the items */
	uint32_t extent_count;
	uint64_t len; /* bytes of all extents */
};

struct ota_items {
	struct ota_bytes image; /* borrowed */
	struct ota_members members;
	struct ota_extent *extents; /* owned: of the items that are no members */
	struct ota_item *at;        /* owned; the rest is the last one */
	uint32_t count;
};

/** Take an image apart. OTA_OK (out is the caller's) or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_items_find(struct ota_bytes image, struct ota_items *out);

/** Release. Accepts zeroed items. */
void ota_items_fini(struct ota_items *items);

/** An item in one piece, with the executables in it. */
struct ota_loaded {
	const struct ota_item *item; /* borrowed */
	const uint8_t *at;           /* borrowed from the image, or copy */
	uint8_t *copy;               /* owned, if its extents lie apart */
	struct ota_part *parts; /* owned, by offset; each may lie inside one before */
	uint32_t part_count;
};

/** Bring an item into one piece. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_item_load(const struct ota_items *items,
	const struct ota_item *item, struct ota_loaded *out);

/** Find the executables in a loaded item. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_item_parse(struct ota_loaded *loaded);

/** A copy for finding what is alike: the executables' references masked. out has
 *  item->len bytes. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_item_mask(const struct ota_loaded *loaded, uint8_t *out);

/** Release. Accepts a zeroed struct. */
void ota_loaded_fini(struct ota_loaded *loaded);

#endif
