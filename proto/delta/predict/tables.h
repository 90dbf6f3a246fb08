#ifndef PROTO_DELTA_PREDICT_TABLES_H
#define PROTO_DELTA_PREDICT_TABLES_H

/* What a `predict` patch says before it sends any content: where the bytes of the new
 * image come from (covers), and where executables lie in both images (pairs), so that
 * references can be re-targeted. Both ends hold the same struct; tables_read.c makes it
 * from untrusted bytes, tables_write.c is the encoder's.
 *
 * Everything is in order and in bounds once it was read: covers by `to` without overlap,
 * inside both images; spans and regions of a pair by `offset`, without overlap, inside
 * their image; spans of the new image without overlap over all pairs. */

#include "proto/delta/heap.h"
#include "proto/delta/predict/ref.h"

enum {
	OTA_COVER_MAX = 1 << 30,     /* bytes of one cover */
	OTA_COVERS_MAX = 1 << 22,    /* covers of one patch */
	OTA_PAIRS_MAX = 1 << 16,     /* pairs of one patch */
	OTA_PAIR_PARTS_MAX = 1 << 20 /* spans, regions and pins of one patch, each */
};

/** Bytes of the new image that are like bytes of the old one. */
struct ota_cover {
	uint64_t to;   /* offset in the new image */
	uint64_t from; /* offset in the old image */
	uint32_t len;  /* bytes */
	bool maps;     /* tells where addresses went */
};

/** A piece of an object in an image, as it will be seen in memory. */
struct ota_span {
	uint64_t offset; /* in its image */
	uint64_t len;
	int64_t address; /* of its first byte */
};

/** A piece of an object of the old image that has references. */
struct ota_region {
	uint64_t offset; /* in the old image */
	uint64_t len;
	int64_t address; /* of its first byte */
	int64_t base;    /* see enum ota_region_kind */
	uint8_t kind;    /* enum ota_region_kind */
};

/** Addresses of the old object of which the patch says itself where they went: what no
 *  cover tells (.bss), or tells wrongly. Stronger than covers. */
struct ota_pin {
	int64_t from;
	int64_t to;
	uint64_t len;
};

/** An object of the new image and the one of the old image it came from. */
struct ota_pair {
	struct ota_bounds bounds;   /* of the old object */
	struct ota_span *from;      /* owned */
	struct ota_span *to;        /* owned */
	struct ota_region *regions; /* owned */
	struct ota_pin *pins;       /* owned, by `from`, without overlap */
	uint32_t from_count, to_count, region_count, pin_count;
};

struct ota_tables {
	struct ota_heap *heap;    /* borrowed; NULL: the system's */
	struct ota_cover *covers; /* owned */
	struct ota_pair *pairs;   /* owned */
	uint32_t cover_count, pair_count;
};

/** Lengths of the two images, which bound every table. */
struct ota_ends {
	uint64_t from_len, to_len; /* bytes */
};

/**
 * Read tables; the format is described in proto/delta/README.md.
 *
 * heap   every allocation; NULL allocates from the system
 * out    ota_tables_fini() is the caller's
 *
 * Returns OTA_OK; OTA_E_DECODER for anything malformed, out of order or out of bounds,
 * for unknown kinds, and for trailing bytes; OTA_E_NOMEM (which stands for the heap's
 * cap).
 */
OTA_CHECKED enum ota_code ota_tables_read(struct ota_bytes in,
	const struct ota_ends *ends, struct ota_heap *heap, struct ota_tables *out,
	struct ota_error *err);

/** Append tables that keep the order and bounds above. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_tables_write(
	const struct ota_tables *tables, struct ota_buf *out);

/** Release what a pair owns. heap: see struct ota_tables. Accepts a zeroed pair. */
void ota_pair_fini(struct ota_heap *heap, struct ota_pair *pair);

/** Release. Accepts zeroed and half-built tables. */
void ota_tables_fini(struct ota_tables *tables);

/** The index of the first cover that ends behind offset `to`; cover_count if none. */
uint32_t ota_tables_cover_at(const struct ota_tables *tables, uint64_t to);

#endif
