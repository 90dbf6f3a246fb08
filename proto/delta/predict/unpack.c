#include "proto/delta/predict/unpack.h"

#include <limits.h>
#include <zlib.h>
#include <zstd.h>

bool ota_unpack(enum ota_packing packing, struct ota_bytes in, uint8_t *out, size_t cap,
	size_t *len)
{
	uLongf made = cap;
	size_t n;

	if (in.at == NULL || in.len > UINT_MAX)
		return false;
	if (packing == OTA_PACKING_GZIP) {
		if (uncompress(out, &made, in.at, in.len) != Z_OK)
			return false;
		*len = made;
		return true;
	}
	if (packing != OTA_PACKING_ZSTD)
		return false;
	n = ZSTD_decompress(out, cap, in.at, in.len);
	if (ZSTD_isError(n))
		return false;
	*len = n;
	return true;
}
