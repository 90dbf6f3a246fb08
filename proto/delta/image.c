#include "proto/delta/image.h"

#include <inttypes.h>

void ota_image_init(struct ota_image *image, const struct ota_sink *out, uint64_t len)
{
	*image = (struct ota_image){ .out = out, .len = len };
	ota_hasher_init(&image->hasher);
}

enum ota_code ota_image_found(
	struct ota_image *image, struct ota_bytes data, struct ota_error *err)
{
	if (data.len > image->len - image->present)
		return ota_fail(err, OTA_E_LIMIT,
			"more is in place than the %" PRIu64 " bytes of the image",
			image->len);
	ota_hasher_add(&image->hasher, data);
	image->present += data.len;
	return OTA_OK;
}

bool ota_image_skip(struct ota_image *image, uint64_t len)
{
	if (image->written >= image->present || len > image->present - image->written)
		return false;
	image->written += len;
	return true;
}

/* The part of data that is not in place yet. */
static struct ota_bytes drop_present(struct ota_image *image, struct ota_bytes data)
{
	uint64_t left =
		image->present > image->written ? image->present - image->written : 0;
	size_t n = left < data.len ? (size_t)left : data.len;

	image->written += n;
	return (struct ota_bytes){ data.at + n, data.len - n };
}

enum ota_code ota_image_add(
	struct ota_image *image, struct ota_bytes data, struct ota_error *err)
{
	enum ota_code rc;

	if (data.len > image->len - image->written)
		return ota_fail(err, OTA_E_DECODER,
			"the patch makes more than the %" PRIu64 " bytes of the image",
			image->len);
	if (data.len > 0)
		data = drop_present(image, data);
	if (data.len == 0)
		return OTA_OK;

	rc = image->out->write(image->out->ctx, data);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "write the image at %" PRIu64 ": %s",
			image->written, ota_code_text(rc));
	ota_hasher_add(&image->hasher, data);
	image->written += data.len;
	return OTA_OK;
}

enum ota_code ota_image_finish(
	struct ota_image *image, const struct ota_digest *want, struct ota_error *err)
{
	struct ota_digest got;

	if (image->written != image->len)
		return ota_fail(err, OTA_E_DECODER,
			"the patch makes %" PRIu64 " of the %" PRIu64
			" bytes of the image",
			image->written, image->len);
	got = ota_hasher_result(&image->hasher);
	if (!ota_digest_equal(&got, want))
		return ota_fail(err, OTA_E_DIGEST, "the image does not have its digest");
	return OTA_OK;
}
