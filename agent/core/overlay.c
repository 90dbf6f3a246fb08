#include "agent/core/overlay.h"

#include <string.h>

static const uint8_t magic[4] = "OTV1";

_Static_assert((int)OVERLAY_INDEX_LEN <= (int)OVERLAY_DATA_OFFSET, "the index has room");
_Static_assert((int)OTA_BLOCKS_MAX < (int)UINT16_MAX, "a place has 16 bits");

uint64_t overlay_add(struct overlay *overlay, uint32_t block)
{
	uint64_t at = OVERLAY_DATA_OFFSET + (uint64_t)overlay->count * overlay->block_len;

	overlay->place[block] = (uint16_t)++overlay->count;
	return at;
}

struct overlay_piece overlay_find(
	const struct overlay *overlay, uint64_t offset, size_t len)
{
	struct overlay_piece piece = { .offset = offset, .len = len };
	uint64_t block, within;
	uint16_t place;

	if (overlay->count == 0)
		return piece;
	block = offset / overlay->block_len;
	within = offset % overlay->block_len;
	if (len > overlay->block_len - within)
		piece.len = (size_t)(overlay->block_len - within);
	place = block < OTA_BLOCKS_MAX ? overlay->place[block] : 0;
	if (place == 0)
		return piece;
	piece.is_over = true;
	piece.offset = OVERLAY_DATA_OFFSET + (place - 1u) * (uint64_t)overlay->block_len +
		       within;
	return piece;
}

enum ota_code overlay_encode(const struct overlay *overlay, struct ota_buf *out)
{
	enum ota_code rc = ota_buf_add(out, (struct ota_bytes){ magic, sizeof magic });

	if (rc == OTA_OK)
		rc = ota_buf_add_le32(out, overlay->block_len);
	if (rc == OTA_OK)
		rc = ota_buf_add_le32(out, overlay->count);
	for (uint32_t i = 0; i < OTA_BLOCKS_MAX && rc == OTA_OK; i++)
		if (overlay->place[i] != 0)
			rc = ota_buf_add_le32(out, i);
	return rc;
}

enum ota_code overlay_parse_head(
	struct ota_bytes in, struct overlay *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	const uint8_t *found = ota_read(&r, sizeof magic);

	*out = (struct overlay){ 0 };
	out->block_len = ota_read_le32(&r);
	out->count = ota_read_le32(&r);
	if (r.bad || r.left > 0 || memcmp(found, magic, sizeof magic) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not an overlay");
	if (out->block_len < OTA_BLOCK_LEN_MIN || out->block_len > OTA_BLOCK_LEN_MAX ||
		out->count > OTA_BLOCKS_MAX)
		return ota_fail(err, OTA_E_FORMAT, "overlay of %u blocks of %u bytes",
			out->count, out->block_len);
	return OTA_OK;
}

enum ota_code overlay_parse_index(
	struct ota_bytes in, struct overlay *overlay, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	int64_t last = -1;

	for (uint32_t i = 0; i < overlay->count; i++) {
		uint32_t block = ota_read_le32(&r);

		if (r.bad || block >= OTA_BLOCKS_MAX || (int64_t)block <= last)
			return ota_fail(err, OTA_E_FORMAT, "overlay: block %u", block);
		overlay->place[block] = (uint16_t)(i + 1);
		last = block;
	}
	return r.left == 0 ? OTA_OK
			   : ota_fail(err, OTA_E_FORMAT, "overlay: more than its index");
}
