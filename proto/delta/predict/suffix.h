#ifndef PROTO_DELTA_PREDICT_SUFFIX_H
#define PROTO_DELTA_PREDICT_SUFFIX_H

/* Finds the longest match of some bytes anywhere in a text: a suffix array, a table that
 * gives the range of the first two bytes, and a filter that answers most questions whose
 * answer is "nowhere" with one read of memory. */

#include "proto/base/bytes.h"

/** Shorter matches are not found. */
enum { OTA_GRAM_LEN = 9 };

struct ota_suffixes {
	struct ota_bytes text; /* borrowed */
	int32_t *order;        /* owned: starts of all suffixes, sorted */
	uint32_t *first;       /* owned: by first two bytes, how many suffixes are less */
	uint64_t *filter;      /* owned: two bits for each gram of the text */
	unsigned filter_shift; /* of a hash, leaves the index of a filter word */
};

/** A match of some wanted bytes. */
struct ota_suffix_hit {
	size_t len;  /* bytes; less than OTA_GRAM_LEN: none */
	size_t rank; /* its place in the order; neighbours are the next best */
};

/**
 * Build. Takes 4 to 5 bytes for each of the text and about 0.1 us.
 *
 * Returns OTA_OK, OTA_E_NOMEM, or OTA_E_LIMIT for a text of 2^31 bytes and more.
 */
OTA_CHECKED enum ota_code ota_suffixes_init(
	struct ota_suffixes *suffixes, struct ota_bytes text);

/** Release. Accepts a zeroed struct. */
void ota_suffixes_fini(struct ota_suffixes *suffixes);

/** False if the OTA_GRAM_LEN bytes at gram stand nowhere in the text; true is a guess. */
bool ota_suffixes_may_hold(const struct ota_suffixes *suffixes, const uint8_t *gram);

/** The longest match of the first bytes of `want`. Compares no further than 64 KiB: of
 *  several matches that long, any. */
struct ota_suffix_hit ota_suffixes_find(
	const struct ota_suffixes *suffixes, struct ota_bytes want);

#endif
