#ifndef TESTS_UNIT_PREDICT_KIT_H
#define TESTS_UNIT_PREDICT_KIT_H

/* Patches of codec `predict` from tables made by hand, and programs whose code moves. */

#include "proto/delta/predict/segment.h"
#include "tests/unit/patch_kit.h"

/** A program of AArch64 functions of 32 bytes, each of which calls three others, in an
 *  image behind some noise. In the new one all functions from `cut` on lie `moved` bytes
 *  further; what is in between is noise. */
struct kit_program {
	uint32_t functions, cut;
	uint32_t moved;       /* bytes, a multiple of 4 */
	uint32_t noise;       /* bytes before the program */
	uint32_t stray;       /* this function's code moved elsewhere: no cover has it */
	uint64_t new_address; /* of the new program less that of the old one */
};

enum { KIT_NO_STRAY = INT32_MAX, KIT_PAIRS_MAX = 4, KIT_COVERS_MAX = 512 };

/** Tables with room to be filled. */
struct kit_tables {
	struct ota_cover covers[KIT_COVERS_MAX];
	struct ota_span from[KIT_PAIRS_MAX], to[KIT_PAIRS_MAX];
	struct ota_region regions[KIT_PAIRS_MAX];
	struct ota_pair pairs[KIT_PAIRS_MAX];
	struct ota_tables tables;
};

/** Append a program to both images, and its covers and pair to tables. */
void kit_program_add(struct kit_patch *kit, struct kit_tables *tables,
	const struct kit_program *program);

/** Append a cover. */
void kit_cover_add(struct kit_tables *tables, uint64_t to, uint64_t from, uint32_t len);

/** How to make a patch, and what came of it. */
struct kit_making {
	uint32_t
		segment_len; /* bytes of the new image a segment ends behind; 0: 16 MiB */
	uint32_t lay_max;    /* bytes laid out at once; 0: 4096 */
	struct ota_buf raw;  /* the stream before it is packed */
	uint32_t guesses, fixes, wrong, extra; /* references and bytes */
	uint32_t segments;
};

/** Make kit->patch and kit->manifest as the codec's encoder would. */
enum ota_code kit_predict(struct kit_patch *kit, const struct kit_tables *tables,
	struct kit_making *making, struct ota_error *err);

/** Put making->raw, as it is now, into kit->patch and its manifest. */
enum ota_code kit_pack(struct kit_patch *kit, const struct kit_making *making);

/** Release. */
void kit_making_fini(struct kit_making *making);

#endif
