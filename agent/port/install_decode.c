#include "agent/port/install_decode.h"

#include "proto/base/own.h"
#include "proto/delta/decode.h"

static void free_decoder(struct ota_decoder **decoder)
{
	ota_decoder_free(*decoder);
}

enum ota_code install_decode_run(const struct install_decode *d, struct ota_error *err)
{
	OTA_AUTO(free_decoder) struct ota_decoder *decoder = NULL;
	struct ota_bytes data;
	enum ota_code rc =
		ota_decoder_new(d->manifest, d->from, d->out, d->ram_max, &decoder, err);

	if (rc == OTA_OK && d->have->len > 0)
		rc = ota_decoder_resume(decoder, d->have, err);
	for (uint32_t i = 0; rc == OTA_OK && i < d->manifest->chunk_count; i++) {
		rc = d->chunk(d->ctx, i, &data, err);
		if (rc == OTA_OK)
			rc = ota_decoder_feed(decoder, data, err);
	}
	return rc == OTA_OK ? ota_decoder_finish(decoder, err) : rc;
}
