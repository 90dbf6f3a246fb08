#include "proto/delta/deflate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>

enum {
	PIECE_LEN = 65536, /* bytes */
	/* Levels above have tables of 640 MiB, for windows of 128. zstd makes them fit a
	 * smaller window only if it knows how long the content is. */
	LEVEL_MODEST = 19,
};

static enum ota_code refuse(size_t status, struct ota_error *err)
{
	return ota_fail(err, OTA_E_NOMEM, "zstd: %s", ZSTD_getErrorName(status));
}

/* Set each parameter, and name the first that zstd does not take. */
static enum ota_code set_parameters(
	ZSTD_CCtx *zstd, const struct ota_deflate_options *options, struct ota_error *err)
{
	bool modest = options->level <= LEVEL_MODEST;
	int table_log = modest ? 0 : options->window_log + 1; /* 0: the level's own */
	const struct {
		ZSTD_cParameter key;
		int value;
		const char *name;
	} parameters[] = {
		{ ZSTD_c_compressionLevel, options->level, "level" },
		{ ZSTD_c_windowLog, options->window_log, "window log" },
		{ ZSTD_c_hashLog, table_log, "hash log" },
		{ ZSTD_c_chainLog, table_log, "chain log" },
		{ ZSTD_c_nbWorkers, (int)options->workers, "workers" },
	};

	for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
		if (ZSTD_isError(ZSTD_CCtx_setParameter(
			    zstd, parameters[i].key, parameters[i].value)))
			return ota_fail(err, OTA_E_LIMIT, "zstd does not take %s %d",
				parameters[i].name, parameters[i].value);
	if (options->content_len != OTA_DEFLATE_LEN_UNKNOWN)
		(void)ZSTD_CCtx_setPledgedSrcSize(zstd, options->content_len);
	return OTA_OK;
}

enum ota_code ota_deflate_init(struct ota_deflate *deflate,
	const struct ota_deflate_options *options, struct ota_stage next,
	struct ota_error *err)
{
	*deflate = (struct ota_deflate){
		.zstd = ZSTD_createCCtx(), .piece = malloc(PIECE_LEN), .next = next
	};
	if (deflate->zstd == NULL || deflate->piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for zstd");
	return set_parameters(deflate->zstd, options, err);
}

void ota_deflate_fini(struct ota_deflate *deflate)
{
	(void)ZSTD_freeCCtx(deflate->zstd);
	free(deflate->piece);
	*deflate = (struct ota_deflate){ 0 };
}

/* One call into zstd. left is what it says is still to come. */
static enum ota_code step(struct ota_deflate *deflate, ZSTD_inBuffer *in,
	ZSTD_EndDirective end, size_t *left, struct ota_error *err)
{
	ZSTD_outBuffer out = { deflate->piece, PIECE_LEN, 0 };

	*left = ZSTD_compressStream2(deflate->zstd, &out, in, end);
	if (ZSTD_isError(*left))
		return refuse(*left, err);
	if (out.pos == 0)
		return OTA_OK;
	deflate->given += out.pos;
	return deflate->next.take(
		deflate->next.ctx, (struct ota_bytes){ deflate->piece, out.pos }, err);
}

enum ota_code ota_deflate_feed(
	struct ota_deflate *deflate, struct ota_bytes data, struct ota_error *err)
{
	ZSTD_inBuffer in = { data.at, data.len, 0 };
	size_t left;

	while (in.pos < in.size) {
		enum ota_code rc = step(deflate, &in, ZSTD_e_continue, &left, err);

		if (rc != OTA_OK)
			return rc;
	}
	deflate->taken += data.len;
	return OTA_OK;
}

/* Have zstd hand out all that it was given. */
static enum ota_code drain(
	struct ota_deflate *deflate, ZSTD_EndDirective end, struct ota_error *err)
{
	ZSTD_inBuffer in = { NULL, 0, 0 };
	size_t left;

	do {
		enum ota_code rc = step(deflate, &in, end, &left, err);

		if (rc != OTA_OK)
			return rc;
	} while (left > 0);
	return OTA_OK;
}

enum ota_code ota_deflate_finish(struct ota_deflate *deflate, struct ota_error *err)
{
	return drain(deflate, ZSTD_e_end, err);
}
