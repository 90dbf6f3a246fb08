#ifndef PROTO_DELTA_IMAGE_H
#define PROTO_DELTA_IMAGE_H

/* The new image on its way out: counted, digested, and never a byte too long. */

#include "proto/delta/codec.h"

struct ota_image {
	const struct ota_sink *out; /* borrowed */
	uint64_t len;               /* bytes the whole image has */
	uint64_t written;           /* bytes so far, those found in place included */
	uint64_t present;           /* bytes from its start that were in place before */
	struct ota_hasher hasher;
};

/** Begin an image of len bytes that goes to out. */
void ota_image_init(struct ota_image *image, const struct ota_sink *out, uint64_t len);

/** Before anything is appended: the next bytes of the image are in place already. They
 *  count for its digest, and out will not get them. OTA_OK, or OTA_E_LIMIT if the image
 *  has fewer. */
OTA_CHECKED enum ota_code ota_image_found(
	struct ota_image *image, struct ota_bytes data, struct ota_error *err);

/** Append nothing for the next len bytes, if all of them were found in place. False, and
 *  no change, if not. */
bool ota_image_skip(struct ota_image *image, uint64_t len);

/** Append to it; what was found in place is dropped. OTA_OK, OTA_E_DECODER if it would
 * become longer than it may (nothing is written then), or what the sink returned. */
OTA_CHECKED enum ota_code ota_image_add(
	struct ota_image *image, struct ota_bytes data, struct ota_error *err);

/** All was appended. OTA_OK, OTA_E_DECODER if it is short, OTA_E_DIGEST if it is not the
 *  image with digest want. */
OTA_CHECKED enum ota_code ota_image_finish(
	struct ota_image *image, const struct ota_digest *want, struct ota_error *err);

#endif
