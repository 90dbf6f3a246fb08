#ifndef PROTO_DELTA_PREDICT_PAIRING_H
#define PROTO_DELTA_PREDICT_PAIRING_H

/* Encoder only: from two versions of an executable, as parsed, to the pair that a patch
 * speaks of: everything placed in the images, and the pins that covers cannot give. */

#include "proto/delta/predict/place.h"

/** A section that both versions have. */
struct ota_rename {
	int64_t from, to; /* addresses */
	uint64_t len;     /* bytes of the shorter one */
	bool has_bytes;   /* covers may tell where it went */
};

/** Pairs that are collected. */
struct ota_pairs {
	struct ota_pair *at; /* owned, with all that they own */
	struct ota_renames {
		struct ota_rename *at; /* owned: by `from` */
		uint32_t count;
	} * renames; /* owned: of each pair */
	uint32_t count, cap;
};

/** Append all of `more` and leave it empty. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_pairs_take(struct ota_pairs *pairs, struct ota_pairs *more);

/** Release. Accepts zeroed pairs. */
void ota_pairs_fini(struct ota_pairs *pairs);

/**
 * Pair the executables in two items, each new one with the old one that most of its bytes
 * came from.
 *
 * runs   between the items, in the items' offsets
 *
 * OTA_OK or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_pairs_add(struct ota_pairs *pairs,
	const struct ota_loaded *from, const struct ota_loaded *to,
	const struct ota_runs *runs);

/**
 * Move the pairs into tables, whose covers are known: say which covers tell where
 * addresses went, and pin the sections of which covers tell nothing or the wrong.
 *
 * OTA_OK or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_pairs_settle(
	struct ota_pairs *pairs, struct ota_tables *tables);

#endif
