#include "proto/delta/decode.h"

#include <inttypes.h>
#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/delta/decoder.h"

static const struct ota_decoder_row *const rows[] = {
	&ota_decoder_full,
	&ota_decoder_predict,
	&ota_decoder_vcdiff,
};

struct ota_decoder {
	const struct ota_decoder_row *row;
	void *state; /* owned, of the row */
	struct ota_heap heap;
	struct ota_image image;
	struct ota_decoder_job job;
	struct ota_sink out;
};

static const struct ota_decoder_row *row_of(uint8_t codec)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i]->codec == codec)
			return rows[i];
	return NULL;
}

static enum ota_code check(const struct ota_manifest *manifest,
	const struct ota_decoder_row *row, const struct ota_source *from,
	uint64_t ram_max, struct ota_error *err)
{
	if (row == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "codec %u is not built in",
			(unsigned)manifest->codec);
	if (manifest->decoder_ram > ram_max)
		return ota_fail(err, OTA_E_NORAM,
			"decoder needs %" PRIu64 " bytes, allowed are %" PRIu64,
			manifest->decoder_ram, ram_max);
	if (row->has_from && from->len != manifest->from_len)
		return ota_fail(err, OTA_E_PRECURSOR,
			"the source image has %" PRIu64
			" bytes, the patch is for %" PRIu64,
			from->len, manifest->from_len);
	return OTA_OK;
}

/* The struct itself is heap too. */
static struct ota_decoder *decoder_alloc(uint64_t ram_max)
{
	struct ota_decoder *decoder;

	if (ram_max < sizeof *decoder)
		return NULL;
	decoder = aligned_alloc(_Alignof(struct ota_decoder), sizeof *decoder);
	if (decoder == NULL)
		return NULL;
	*decoder = (struct ota_decoder){ .heap = { .max = ram_max,
						 .held = sizeof *decoder,
						 .peak = sizeof *decoder } };
	return decoder;
}

static void decoder_freep(struct ota_decoder **decoder)
{
	ota_decoder_free(*decoder);
}

enum ota_code ota_decoder_new(const struct ota_manifest *manifest,
	const struct ota_source *from, const struct ota_sink *out, uint64_t ram_max,
	struct ota_decoder **decoder, struct ota_error *err)
{
	OTA_AUTO(decoder_freep) struct ota_decoder *made = NULL;
	const struct ota_decoder_row *row = row_of(manifest->codec);
	enum ota_code rc = check(manifest, row, from, ram_max, err);

	if (rc != OTA_OK)
		return rc;
	made = decoder_alloc(ram_max);
	if (made == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for a decoder");

	made->out = *out;
	made->row = row;
	ota_image_init(&made->image, &made->out, manifest->to_len);
	made->job = (struct ota_decoder_job){ manifest, from, &made->heap, &made->image };
	rc = row->new (&made->job, &made->state);
	if (rc != OTA_OK && made->heap.capped)
		return ota_fail(err, OTA_E_NORAM,
			"decoder needs more than the %" PRIu64 " bytes allowed", ram_max);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "no memory for a decoder");
	*decoder = ota_take(&made);
	return OTA_OK;
}

/* Count what is in place, read in pieces. */
static enum ota_code find_present(struct ota_image *image, const struct ota_source *have,
	uint8_t *piece, size_t cap, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;
	size_t len;

	for (uint64_t at = 0; at < have->len && rc == OTA_OK; at += len) {
		uint64_t left = have->len - at;

		len = left < cap ? (size_t)left : cap;
		rc = have->read(have->ctx, at, piece, len);
		if (rc != OTA_OK)
			return ota_fail(
				err, rc, "read what is in place: %s", ota_code_text(rc));
		rc = ota_image_found(image, (struct ota_bytes){ piece, len }, err);
	}
	return rc;
}

enum ota_code ota_decoder_resume(
	struct ota_decoder *decoder, const struct ota_source *have, struct ota_error *err)
{
	enum { PIECE_LEN = 16384 };
	uint8_t *piece;
	enum ota_code rc;

	if (have->len > decoder->image.len)
		return ota_fail(err, OTA_E_LIMIT,
			"%" PRIu64 " bytes are in place, the image has %" PRIu64,
			have->len, decoder->image.len);
	piece = ota_heap_alloc(&decoder->heap, PIECE_LEN);
	if (piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory to go on");
	rc = find_present(&decoder->image, have, piece, PIECE_LEN, err);
	ota_heap_free(&decoder->heap, piece);
	return rc;
}

enum ota_code ota_decoder_feed(
	struct ota_decoder *decoder, struct ota_bytes data, struct ota_error *err)
{
	return decoder->row->feed(decoder->state, data, err);
}

enum ota_code ota_decoder_finish(struct ota_decoder *decoder, struct ota_error *err)
{
	enum ota_code rc = decoder->row->finish(decoder->state, err);

	if (rc != OTA_OK)
		return rc;
	return ota_image_finish(&decoder->image, &decoder->job.manifest->to, err);
}

uint64_t ota_decoder_written(const struct ota_decoder *decoder)
{
	const struct ota_image *image = &decoder->image;

	return image->written > image->present ? image->written : image->present;
}

uint64_t ota_decoder_ram_peak(const struct ota_decoder *decoder)
{
	return decoder->heap.peak;
}

void ota_decoder_free(struct ota_decoder *decoder)
{
	if (decoder == NULL)
		return;
	if (decoder->state != NULL)
		decoder->row->free(decoder->state);
	ota_heap_fini(&decoder->heap);
	free(decoder);
}
