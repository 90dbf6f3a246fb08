#ifndef ORCHESTRATOR_PORT_IMAGES_H
#define ORCHESTRATOR_PORT_IMAGES_H

/* Images, each a file named by its digest. A file of that name is whole and durable: an
 * upload becomes one only after its digest proved right. */

#include "proto/delta/codec.h"
#include "proto/delta/predict/members.h"
#include "proto/wire/digest.h"

#define IMAGE_LEN_MAX (UINT64_C(16) << 30) /* bytes */

struct images;

/** Open the directory, making it if need be, and remove what uploads that were cut left.
 */
OTA_CHECKED enum ota_code images_open(
	const char *dir, struct images **out, struct ota_error *err);

/** Release. NULL is allowed. */
void images_free(struct images *images);

/** True if the image is there; len in bytes, may be NULL. */
bool images_has(
	const struct images *images, const struct ota_digest *image, uint64_t *len);

/** Open an image for random reads; OTA_E_NOTFOUND if it is not there. Release it with
 *  images_source_fini(). Any thread. */
OTA_CHECKED enum ota_code images_source(const struct images *images,
	const struct ota_digest *image, struct ota_source *out, struct ota_error *err);

/** Close it. Accepts a zeroed source. */
void images_source_fini(struct ota_source *source);

/** What those who make the image should know of it: see ota_image_advice(). "" also if
 *  it cannot be read. Takes some 10 ms for each 250 MB. */
void images_advice(const struct images *images, const struct ota_digest *image,
	char out[static OTA_ADVICE_CAP]);

/** An image on its way in. */
struct image_upload;

/**
 * Begin an upload of exactly len bytes. The room is set aside at once.
 *
 * Returns OTA_OK, OTA_E_LIMIT (0 bytes or over IMAGE_LEN_MAX), OTA_E_NOSPACE, OTA_E_IO or
 * OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code image_upload_new(const struct images *images,
	const struct ota_digest *image, uint64_t len, struct image_upload **out,
	struct ota_error *err);

/** Take the next bytes. OTA_OK, OTA_E_LIMIT for more than announced, OTA_E_IO. */
OTA_CHECKED enum ota_code image_upload_add(
	struct image_upload *upload, struct ota_bytes data, struct ota_error *err);

/** All bytes are in: the image is there, durably, or not at all. OTA_OK, OTA_E_DIGEST,
 *  OTA_E_FORMAT if bytes are missing, OTA_E_IO. */
OTA_CHECKED enum ota_code image_upload_finish(
	struct image_upload *upload, struct ota_error *err);

/** Release at any point; what was not finished is removed. NULL is allowed. */
void image_upload_free(struct image_upload *upload);

#endif
