#include <string.h>

#include "proto/delta/predict/members.h"
#include "proto/delta/predict/members_read.h"

struct magic {
	uint8_t len;
	uint8_t bytes[9];
	uint8_t packing;
};

/* clang-format off */
static const struct magic magics[] = {
	{ 3, { 0x1f, 0x8b, 0x08 }, OTA_PACKING_GZIP },                 /* RFC 1952, deflate */
	{ 6, { 0xfd, '7', 'z', 'X', 'Z', 0x00 }, OTA_PACKING_XZ },
	{ 9, { 0x89, 'L', 'Z', 'O', 0x00, 0x0d, 0x0a, 0x1a, 0x0a }, OTA_PACKING_LZO },
	{ 4, { 0x04, 0x22, 0x4d, 0x18 }, OTA_PACKING_LZ4 },            /* frame */
	{ 4, { 0x02, 0x21, 0x4c, 0x18 }, OTA_PACKING_LZ4 },            /* legacy: kernels */
	{ 4, { 0x28, 0xb5, 0x2f, 0xfd }, OTA_PACKING_ZSTD },           /* RFC 8878 */
};

static const char *const names[] = {
	[OTA_PACKING_NONE] = "none",
	[OTA_PACKING_GZIP] = "gzip",
	[OTA_PACKING_XZ] = "xz",
	[OTA_PACKING_LZMA] = "lzma",
	[OTA_PACKING_LZO] = "lzo",
	[OTA_PACKING_LZ4] = "lz4",
	[OTA_PACKING_ZSTD] = "zstd",
	[OTA_PACKING_BZIP2] = "bzip2",
};
/* clang-format on */

/* .lzma has no magic: properties of all encoders in use, a dictionary of 2^16..2^29
 * bytes, and a length that is unknown or below 1 TiB. */
static bool is_lzma(struct ota_bytes in)
{
	uint32_t dictionary;
	uint64_t len;

	if (in.len < 13 || in.at[0] != 0x5d)
		return false;
	dictionary = ota_le32(in.at + 1);
	len = ota_le64(in.at + 5);
	return dictionary >= 1 << 16 && dictionary <= 1 << 29 &&
	       (dictionary & (dictionary - 1)) == 0 &&
	       (len == UINT64_MAX || len < (uint64_t)1 << 40);
}

/* "BZh", the block size in digits, and pi, with which the first block begins. */
static bool is_bzip2(struct ota_bytes in)
{
	return ota_stands_at(in, 0, "BZh") && ota_stands_at(in, 4, "1AY&SY");
}

enum ota_packing ota_packing_of(struct ota_bytes in)
{
	for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
		if (in.len >= magics[i].len &&
			memcmp(in.at, magics[i].bytes, magics[i].len) == 0)
			return (enum ota_packing)magics[i].packing;
	if (is_lzma(in))
		return OTA_PACKING_LZMA;
	return is_bzip2(in) ? OTA_PACKING_BZIP2 : OTA_PACKING_NONE;
}

const char *ota_packing_text(enum ota_packing packing)
{
	return (unsigned)packing < sizeof names / sizeof names[0] ? names[packing]
								  : "unknown";
}
