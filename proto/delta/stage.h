#ifndef PROTO_DELTA_STAGE_H
#define PROTO_DELTA_STAGE_H

/* What the parts of a codec hand bytes to: the next part, with detail on failure. */

#include "proto/base/bytes.h"

struct ota_stage {
	void *ctx;
	/** Take all of data, borrowed for the call, or fail for good. */
	enum ota_code (*take)(void *ctx, struct ota_bytes data, struct ota_error *err);
};

/** The fixed bytes a stream must begin with, checked as they come in, so that a library
 *  never sees the variants of its format that we do not use. */
struct ota_prefix {
	struct ota_bytes want; /* borrowed */
	size_t seen;           /* bytes found right so far */
};

/** Check the part of the prefix that data covers. OTA_OK or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code ota_prefix_check(
	struct ota_prefix *prefix, struct ota_bytes data);

#endif
