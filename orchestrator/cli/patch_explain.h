#ifndef ORCHESTRATOR_CLI_PATCH_EXPLAIN_H
#define ORCHESTRATOR_CLI_PATCH_EXPLAIN_H

/* What `sluice diff --explain` prints: where the bytes of a patch of codec predict went,
 * and what the other codecs would have made. */

#include <cjson/cJSON.h>

#include "proto/delta/explain.h"
#include "proto/wire/manifest.h"

/** `= { 0 }` knows nothing yet. */
struct patch_explain {
	struct ota_explain_item *items; /* owned, and their paths */
	size_t count, cap;
	struct ota_explain_parts parts;
	uint64_t patch_len[OTA_CODEC_PREDICT + 1]; /* bytes, by codec; 0: none made */
};

/** As the port of ota_patch_encode(). explain is borrowed for its life. */
struct ota_explain patch_explain_port(struct patch_explain *explain);

/** Print for people on stdout: the items that took most, and what all codecs made. Sorts
 *  the items. */
void patch_explain_print(struct patch_explain *explain);

/** The same, with all items, as a JSON object. Owned by the caller. */
cJSON *patch_explain_tree(struct patch_explain *explain);

/** Release. Accepts a zeroed struct. */
void patch_explain_fini(struct patch_explain *explain);

#endif
