#ifndef PROTO_DELTA_PREDICT_ALIGN_H
#define PROTO_DELTA_PREDICT_ALIGN_H

/* Encoder only: which bytes of something new are like which bytes of something old. Three
 * tools, cheapest first; each yields runs in the order of the new bytes, without overlap.
 * All are deterministic. */

#include "proto/base/bytes.h"
#include "proto/delta/codec.h"
#include "proto/delta/predict/build_id.h"

/** Bytes of `to` that are like bytes of `from`, not each of them equal. */
struct ota_run {
	uint64_t to, from; /* offsets */
	uint64_t len;      /* bytes */
};

struct ota_runs {
	struct ota_run *at; /* owned */
	size_t count, cap;
};

/** Append; runs that continue each other become one. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_runs_add(struct ota_runs *runs, const struct ota_run *run);

/** Release. Accepts zeroed runs. */
void ota_runs_fini(struct ota_runs *runs);

/**
 * Approximate alignment with a suffix array of `from` (libdivsufsort): for two versions
 * of one object, with references masked. Bounded memory: 5 * from.len + 8 MiB. Time about
 * 1 us for each byte of `to` that changed, little for what did not.
 *
 * Returns OTA_OK, OTA_E_NOMEM, OTA_E_LIMIT for from.len >= 2^31, OTA_E_CANCELLED.
 */
OTA_CHECKED enum ota_code ota_align(struct ota_bytes from, struct ota_bytes to,
	const struct ota_progress *progress, struct ota_runs *out);

/**
 * Matching over whole images: equal stretches of 40 bytes and more, found by hashes of
 * `from` and extended both ways, also over some that differ. What remains is aligned with
 * what is left unused of `from`. For what moved, and for what no pair explains.
 *
 * todo   ranges of `to` that are wanted, in order, without overlap (from is 0, unused)
 *
 * Memory is bounded by from.len / 2 + 128 MiB. Time is about that of reading both, and
 * 0.3 us for each byte that remains.
 *
 * Returns OTA_OK, OTA_E_NOMEM, OTA_E_LIMIT for from.len >= 2^32, OTA_E_CANCELLED.
 */
OTA_CHECKED enum ota_code ota_match(struct ota_bytes from, struct ota_bytes to,
	const struct ota_runs *todo, const struct ota_progress *progress,
	struct ota_runs *out);

/** An equal digest stands for equal content (of the same length; by chance only one in
 *  2^64 differs, by malice any may); a sketch for alike content. */
struct ota_sketch {
	uint64_t digest;
	uint32_t least[16]; /* least hashes of the content's 8-byte grams, 16 families */
};

/** Sketch of content. Takes time linear in its length. */
struct ota_sketch ota_sketch_of(struct ota_bytes content);

/** How alike two sketches are, 0 .. 16. */
int ota_sketch_likeness(const struct ota_sketch *a, const struct ota_sketch *b);

/** Something old or new that wants a partner. */
struct ota_candidate {
	const char *path; /* borrowed; "" if the container gives none */
	uint64_t len;     /* bytes */
	uint8_t build_id[OTA_BUILD_ID_MAX];
	size_t build_id_len; /* bytes; 0: none */
	struct ota_sketch sketch;
};

enum { OTA_NO_PARTNER = -1 };

/**
 * Give each of `to` the one of `from` it most likely came from: by path; by build-id; by
 * digest; by path, then by name, without version numbers ("libfoo.so.1.2.3",
 * "modules/6.1.0-9/"); by directory and what the name begins with; by sketch. Of several,
 * the most alike. An old one may serve several new ones. Takes O(n log n).
 *
 * partner   to_count entries: index into from, or OTA_NO_PARTNER
 *
 * Returns OTA_OK, OTA_E_NOMEM, or OTA_E_LIMIT for from_count >= 2^31.
 */
OTA_CHECKED enum ota_code ota_partners(const struct ota_candidate *from,
	size_t from_count, const struct ota_candidate *to, size_t to_count,
	int32_t *partner);

#endif
