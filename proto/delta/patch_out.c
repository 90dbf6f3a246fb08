#include "proto/delta/patch_out.h"

#include <inttypes.h>
#include <stdlib.h>

enum ota_code ota_patch_out_init(struct ota_patch_out *patch, const struct ota_sink *out,
	struct ota_decoder *decoder, uint32_t chunk_len)
{
	*patch = (struct ota_patch_out){ .out = out,
		.decoder = decoder,
		.chunk_len = chunk_len,
		.chunks = calloc(OTA_CHUNKS_MAX, sizeof *patch->chunks) };
	ota_hasher_init(&patch->hasher);
	return patch->chunks != NULL ? OTA_OK : OTA_E_NOMEM;
}

void ota_patch_out_fini(struct ota_patch_out *patch)
{
	free(patch->chunks);
	*patch = (struct ota_patch_out){ 0 };
}

static enum ota_code close_chunk(struct ota_patch_out *patch, struct ota_error *err)
{
	if (patch->chunk_count == OTA_CHUNKS_MAX)
		return ota_fail(err, OTA_E_LIMIT,
			"the patch has more than %d chunks of %" PRIu32 " bytes",
			OTA_CHUNKS_MAX, patch->chunk_len);
	patch->chunks[patch->chunk_count++] = ota_hasher_result(&patch->hasher);
	patch->chunk_fill = 0;
	ota_hasher_init(&patch->hasher);
	return OTA_OK;
}

/* Cut data along the chunks. */
static enum ota_code add_chunks(
	struct ota_patch_out *patch, struct ota_bytes data, struct ota_error *err)
{
	while (data.len > 0) {
		size_t room = patch->chunk_len - patch->chunk_fill;
		struct ota_bytes part = { data.at, data.len < room ? data.len : room };
		enum ota_code rc = OTA_OK;

		ota_hasher_add(&patch->hasher, part);
		patch->chunk_fill += (uint32_t)part.len;
		data.at += part.len;
		data.len -= part.len;
		if (patch->chunk_fill == patch->chunk_len)
			rc = close_chunk(patch, err);
		if (rc != OTA_OK)
			return rc;
	}
	return OTA_OK;
}

enum ota_code ota_patch_out_add(
	struct ota_patch_out *patch, struct ota_bytes data, struct ota_error *err)
{
	enum ota_code rc = ota_decoder_feed(patch->decoder, data, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "the patch made does not decode");
	rc = patch->out->write(patch->out->ctx, data);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "write the patch at %" PRIu64 ": %s", patch->len,
			ota_code_text(rc));
	patch->len += data.len;
	return add_chunks(patch, data, err);
}

enum ota_code ota_patch_out_finish(struct ota_patch_out *patch, struct ota_error *err)
{
	return patch->chunk_fill > 0 ? close_chunk(patch, err) : OTA_OK;
}
