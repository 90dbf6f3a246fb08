#include "proto/delta/image_in.h"

#include <inttypes.h>

void ota_image_in_init(struct ota_image_in *in, const struct ota_source *source,
	const struct ota_progress *progress)
{
	*in = (struct ota_image_in){ .source = source, .progress = progress };
	ota_hasher_init(&in->hasher);
}

enum ota_code ota_image_in_read(struct ota_image_in *in, uint8_t *buf, size_t cap,
	struct ota_bytes *data, struct ota_error *err)
{
	const struct ota_progress *progress = in->progress;
	uint64_t left = in->source->len - in->offset;
	struct ota_bytes got = { buf, left < cap ? (size_t)left : cap };
	enum ota_code rc = OTA_OK;

	if (progress->tick != NULL &&
		!progress->tick(progress->ctx, in->offset, in->source->len))
		return ota_fail(err, OTA_E_CANCELLED, "cancelled");
	if (got.len > 0)
		rc = in->source->read(in->source->ctx, in->offset, buf, got.len);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "read image at %" PRIu64 ": %s", in->offset,
			ota_code_text(rc));
	ota_hasher_add(&in->hasher, got);
	in->offset += got.len;
	*data = got;
	return OTA_OK;
}

bool ota_image_in_is_done(const struct ota_image_in *in)
{
	return in->offset == in->source->len;
}
