#ifndef PROTO_DELTA_EXPLAIN_H
#define PROTO_DELTA_EXPLAIN_H

/* Where the bytes of a patch went: told by an encoder once the patch is made, to whoever
 * asks. What share of a compressed stream is whose is an estimate: each kind of content
 * is compressed on its own, shared out by what each item's part of it compresses to, and
 * scaled to what the patch has. */

#include "proto/base/error.h"

/** What an item of the new image is. */
enum ota_explain_kind {
	OTA_EXPLAIN_FILE,       /* a file of a file system or an archive */
	OTA_EXPLAIN_EXECUTABLE, /* one in an image without files */
	OTA_EXPLAIN_REST,       /* what belongs to no other item */
	OTA_EXPLAIN_IMAGE,      /* an image that is one item */
};

/** An item of the new image that the patch spends bytes on. */
struct ota_explain_item {
	const char *path; /* of a file, else ""; borrowed for the call, UTF-8 or not */
	enum ota_explain_kind kind;
	uint64_t offset;    /* of its first byte in the new image */
	uint64_t len;       /* bytes: the three below */
	uint64_t right_len; /* predicted right */
	uint64_t wrong_len; /* predicted wrong */
	uint64_t extra_len; /* without a source in the old image */
	uint64_t covers;    /* pieces of the old image that begin in it */
	uint64_t fixes;     /* references that were guessed wrong */
	uint64_t patch_len; /* bytes of the patch, estimated */
};

/** The parts of a patch, in bytes of it, estimated. Their sum is its length. */
struct ota_explain_parts {
	uint64_t tables_len;      /* which bytes come from where */
	uint64_t fixes_len;       /* references that were guessed wrong */
	uint64_t differences_len; /* bytes that were predicted wrong, and where */
	uint64_t extra_len;       /* bytes without a source */
};

/** A port; may be { 0 }: nobody asks. */
struct ota_explain {
	void *ctx;
	/** Takes one item, in no order. OTA_OK or OTA_E_NOMEM, which ends the work. */
	enum ota_code (*item)(void *ctx, const struct ota_explain_item *item);
	/** Takes the parts, once, before the items. */
	void (*parts)(void *ctx, const struct ota_explain_parts *parts);
};

#endif
