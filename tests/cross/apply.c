/* Applies a patch file to an old image and says what came of it, on one line:
 *
 *   apply OLD PATCH
 *   digest=... len=... peak=... declared=...
 *
 * The decoder gets the heap that the patch declares and no more. Plain C and the
 * libraries of the decoder only, so that it is built for any processor. Exit status 1:
 * the line says why. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/decode.h"

enum { HEAD_LEN = 8 /* bytes before the manifest: magic, u32le length */ };

/* What came out. */
struct result {
	struct ota_hasher hasher;
	uint64_t len, peak;
};

static enum ota_code take(void *ctx, struct ota_bytes data)
{
	struct result *result = ctx;

	ota_hasher_add(&result->hasher, data);
	result->len += data.len;
	return OTA_OK;
}

static enum ota_code load(const char *path, struct ota_buf *out, struct ota_error *err)
{
	uint8_t piece[65536];
	FILE *file = fopen(path, "rb");
	enum ota_code rc = OTA_OK;
	size_t len;

	if (file == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "%s", path);
	while (rc == OTA_OK && (len = fread(piece, 1, sizeof piece, file)) > 0)
		rc = ota_buf_add(out, (struct ota_bytes){ piece, len });
	if (rc == OTA_OK && ferror(file))
		rc = OTA_E_IO;
	(void)fclose(file);
	return rc;
}

/* A patch file: its manifest, and the patch behind it. */
static enum ota_code open_patch(const struct ota_buf *file, struct ota_manifest *manifest,
	struct ota_bytes *patch, struct ota_error *err)
{
	size_t len;

	if (file->len < HEAD_LEN || memcmp(file->at, "OTAP", 4) != 0)
		return ota_fail(err, OTA_E_FORMAT, "no patch file");
	len = file->at[4] | (size_t)file->at[5] << 8 | (size_t)file->at[6] << 16;
	if (len > file->len - HEAD_LEN)
		return ota_fail(err, OTA_E_FORMAT, "the manifest is cut short");
	*patch = (struct ota_bytes){ file->at + HEAD_LEN + len,
		file->len - HEAD_LEN - len };
	return ota_manifest_parse(
		(struct ota_bytes){ file->at + HEAD_LEN, len }, manifest, err);
}

/* Feed in odd pieces, so that no part of a patch is aligned by chance. */
static enum ota_code feed(
	struct ota_decoder *decoder, struct ota_bytes patch, struct ota_error *err)
{
	enum { PIECE_LEN = 4099 };
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && patch.len > 0) {
		size_t len = patch.len < PIECE_LEN ? patch.len : PIECE_LEN;

		rc = ota_decoder_feed(decoder, (struct ota_bytes){ patch.at, len }, err);
		patch.at += len;
		patch.len -= len;
	}
	return rc == OTA_OK ? ota_decoder_finish(decoder, err) : rc;
}

static enum ota_code apply(const struct ota_manifest *manifest, struct ota_buf *old,
	struct ota_bytes patch, struct result *result, struct ota_error *err)
{
	struct ota_bytes bytes = ota_buf_bytes(old);
	struct ota_source from = ota_source_of(&bytes);
	struct ota_sink out = { result, take };
	struct ota_decoder *decoder = NULL;
	enum ota_code rc = ota_decoder_new(
		manifest, &from, &out, manifest->decoder_ram, &decoder, err);

	ota_hasher_init(&result->hasher);
	if (rc == OTA_OK)
		rc = feed(decoder, patch, err);
	if (decoder != NULL)
		result->peak = ota_decoder_ram_peak(decoder);
	ota_decoder_free(decoder);
	return rc;
}

static void print(const struct ota_manifest *manifest, struct result *result)
{
	struct ota_digest digest = ota_hasher_result(&result->hasher);

	(void)printf("digest=");
	for (size_t i = 0; i < sizeof digest.at; i++)
		(void)printf("%02x", digest.at[i]);
	(void)printf(" len=%" PRIu64 " peak=%" PRIu64 " declared=%" PRIu64 "\n",
		result->len, result->peak, manifest->decoder_ram);
}

int main(int argc, char **argv)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf old = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf file = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	struct result result = { 0 };
	struct ota_bytes patch = { 0 };
	struct ota_error err = { 0 };
	enum ota_code rc = argc == 3 ? OTA_OK : OTA_E_USAGE;

	if (rc == OTA_OK)
		rc = load(argv[1], &old, &err);
	if (rc == OTA_OK)
		rc = load(argv[2], &file, &err);
	if (rc == OTA_OK)
		rc = open_patch(&file, &manifest, &patch, &err);
	if (rc == OTA_OK)
		rc = apply(&manifest, &old, patch, &result, &err);
	if (rc != OTA_OK) {
		(void)printf("%s: %s\n", ota_code_text(rc), err.text);
		return 1;
	}
	print(&manifest, &result);
	return 0;
}
