#ifndef PROTO_DELTA_IMAGE_IN_H
#define PROTO_DELTA_IMAGE_IN_H

/* The new image on its way into an encoder: read in order, digested, with progress. */

#include "proto/delta/codec.h"

enum { OTA_IMAGE_IN_MAX = 1 << 20 }; /* bytes read between two ticks, at most */

struct ota_image_in {
	const struct ota_source *source;     /* borrowed */
	const struct ota_progress *progress; /* borrowed */
	uint64_t offset;                     /* bytes read so far */
	struct ota_hasher hasher;
};

/** Begin at the first byte. */
void ota_image_in_init(struct ota_image_in *in, const struct ota_source *source,
	const struct ota_progress *progress);

/**
 * Read on.
 *
 * buf   cap bytes, at most OTA_IMAGE_IN_MAX
 * data  what was read, at the start of buf: cap bytes, or what is left of the image;
 *       empty at its end
 *
 * Returns OTA_OK, OTA_E_CANCELLED, or what the source returned.
 */
OTA_CHECKED enum ota_code ota_image_in_read(struct ota_image_in *in, uint8_t *buf,
	size_t cap, struct ota_bytes *data, struct ota_error *err);

/** True if every byte was read. */
bool ota_image_in_is_done(const struct ota_image_in *in);

#endif
