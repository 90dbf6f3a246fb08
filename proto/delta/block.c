#include "proto/delta/block.h"

#include <string.h>

#include <zstd.h>

#include "proto/base/own.h"

/* True if packed is one frame, and nothing behind it, that tells it holds len bytes. */
static bool is_frame_of(struct ota_bytes packed, uint32_t len)
{
	size_t frame_len = ZSTD_findFrameCompressedSize(packed.at, packed.len);

	return !ZSTD_isError(frame_len) && frame_len == packed.len &&
	       ZSTD_getFrameContentSize(packed.at, packed.len) == len;
}

static OTA_CHECKED enum ota_code inflate(
	struct ota_bytes packed, uint8_t *out, uint32_t len, struct ota_error *err)
{
	ZSTD_DCtx *zstd;
	size_t got;

	if (!is_frame_of(packed, len))
		return ota_fail(err, OTA_E_FORMAT, "not one frame of %u bytes", len);
	zstd = ZSTD_createDCtx();
	if (zstd == NULL)
		return ota_fail(err, OTA_E_NOMEM, "zstd");
	got = ZSTD_decompressDCtx(zstd, out, len, packed.at, packed.len);
	(void)ZSTD_freeDCtx(zstd);
	if (ZSTD_isError(got))
		return ota_fail(err, OTA_E_FORMAT, "%s", ZSTD_getErrorName(got));
	return got == len ? OTA_OK : ota_fail(err, OTA_E_FORMAT, "%zu bytes", got);
}

static OTA_CHECKED enum ota_code check_digest(struct ota_bytes data,
	const struct ota_digest *want, const char *what, struct ota_error *err)
{
	struct ota_digest got = ota_digest_of(data);

	return ota_digest_equal(&got, want) ? OTA_OK
					    : ota_fail(err, OTA_E_DIGEST, "%s", what);
}

static OTA_CHECKED enum ota_code unpack(const struct ota_block *block, uint32_t len,
	struct ota_bytes packed, uint8_t *out, struct ota_error *err)
{
	enum ota_code rc;

	if (packed.len != block->packed_len)
		return ota_fail(err, OTA_E_DIGEST, "%zu bytes, not %u", packed.len,
			block->packed_len);
	rc = check_digest(packed, &block->packed, "packed: wrong content", err);
	if (rc != OTA_OK)
		return rc;
	if (packed.len == len)
		memcpy(out, packed.at, len);
	else
		rc = inflate(packed, out, len, err);
	if (rc != OTA_OK)
		return rc;
	return check_digest(
		(struct ota_bytes){ out, len }, &block->raw, "wrong content", err);
}

enum ota_code ota_block_unpack(const struct ota_block_table *table, uint32_t index,
	struct ota_bytes packed, uint8_t *out, struct ota_error *err)
{
	enum ota_code rc;

	if (index >= table->count)
		return ota_fail(err, OTA_E_LIMIT, "block %u of %u", index, table->count);
	rc = unpack(&table->blocks[index], ota_block_len(table, index), packed, out, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "block %u", index);
}
