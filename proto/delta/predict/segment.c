#include "proto/delta/predict/segment.h"

#include <inttypes.h>

#include "proto/delta/predict/varint.h"

enum ota_code ota_segment_read(
	struct ota_bytes in, struct ota_segment *out, struct ota_error *err)
{
	struct ota_segment segment = { 0 };
	struct ota_reader r = ota_reader_of(in);
	uint64_t to_len = ota_varint_read(&r), len[OTA_SEGMENT_COLUMN_COUNT];

	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT; i++)
		len[i] = ota_varint_read(&r);
	if (r.bad)
		return ota_fail(err, OTA_E_DECODER, "segment: its head is malformed");
	if (to_len == 0 || to_len > OTA_SEGMENT_TO_MAX)
		return ota_fail(
			err, OTA_E_DECODER, "segment: of %" PRIu64 " bytes", to_len);

	segment.to_len = (uint32_t)to_len;
	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT; i++) {
		if (len[i] > r.left)
			return ota_fail(
				err, OTA_E_DECODER, "segment: column %u is cut short", i);
		segment.columns[i] = (struct ota_reader){ r.at, (size_t)len[i], false };
		r.at += len[i];
		r.left -= (size_t)len[i];
	}
	if (r.left > 0)
		return ota_fail(err, OTA_E_DECODER,
			"segment: %zu bytes follow the last column", r.left);
	*out = segment;
	return OTA_OK;
}
