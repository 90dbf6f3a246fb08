#ifndef PROTO_WIRE_MANIFEST_H
#define PROTO_WIRE_MANIFEST_H

/* The patch manifest: descriptor and chunk table of one patch. Not signed: its
 * BLAKE2b-256 is the patch's name, and a signed order carries that name.
 *
 *   offset  size  field
 *        0     4  magic         "OTM1", or "OTM2" if a block table is named
 *        4     1  codec         enum ota_codec_id
 *        5     1  window_log    of zstd or LZMA2, 10 .. 27
 *        6     2  zero
 *        8     4  chunk_len     u32le, bytes of every chunk but the last, 4096 .. 65536
 *       12     4  chunk_count   u32le, 1 .. OTA_CHUNKS_MAX
 *       16     8  patch_len     u64le, bytes of all chunks: what travels
 *       24     8  raw_len       u64le, bytes of the delta stream once decompressed
 *       32     8  from_len      u64le, bytes of the source image; 0 for a full image
 *       40     8  to_len        u64le, bytes of the result
 *       48     8  decoder_ram   u64le, bytes of heap the decoder needs
 *       56    32  from_digest   zero for a full image
 *       88    32  to_digest
 *      120    32  chunk_digest[chunk_count]
 *        .    32  blocks        OTM2 only: digest of the block table of the source image
 *                               (block_table.h), not zero
 *
 * Nothing follows. chunk_count is patch_len / chunk_len rounded up.
 *
 * A chunk travels as
 *        0     4  magic         "OTC1"
 *        4     4  index         u32le
 *        8     .  the bytes
 * and its digest is that of the bytes alone. */

#include "proto/base/bytes.h"
#include "proto/wire/digest.h"

enum {
	OTA_MANIFEST_HEAD_LEN = 120,
	OTA_CHUNK_LEN = 65536,    /* bytes, the default and the most */
	OTA_CHUNK_LEN_MIN = 4096, /* bytes */
	OTA_CHUNKS_MAX = 8000,    /* so that a manifest fits max_packet_size 300000 */
	OTA_MANIFEST_LEN_MAX =
		OTA_MANIFEST_HEAD_LEN + (OTA_CHUNKS_MAX + 1) * OTA_DIGEST_LEN,
	OTA_CHUNK_HEAD_LEN = 8, /* bytes before a chunk's own */
};

/* Numbers on the wire: append, never reuse. */
enum ota_codec_id { OTA_CODEC_FULL = 1, OTA_CODEC_VCDIFF = 2, OTA_CODEC_PREDICT = 3 };

struct ota_manifest {
	uint8_t codec; /* enum ota_codec_id; not checked against the codecs built in */
	uint8_t window_log;
	uint32_t chunk_len, chunk_count;
	uint64_t patch_len, raw_len, from_len, to_len, decoder_ram; /* bytes */
	struct ota_digest from, to;
	struct ota_digest *chunks; /* owned, chunk_count entries */
	struct ota_digest blocks;  /* of the source's block table; zero: there is none */
};

/**
 * Parse untrusted manifest bytes.
 *
 * Returns OTA_OK, OTA_E_FORMAT, OTA_E_LIMIT or OTA_E_NOMEM. Allocates only after the
 * length proved to fit the count. Release with ota_manifest_fini().
 */
OTA_CHECKED enum ota_code ota_manifest_parse(
	struct ota_bytes in, struct ota_manifest *out, struct ota_error *err);

/** Append the bytes of a manifest. OTA_OK, OTA_E_LIMIT or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_manifest_encode(
	const struct ota_manifest *manifest, struct ota_buf *out, struct ota_error *err);

/** Release what parse filled in. Accepts a zeroed manifest; leaves one behind. */
void ota_manifest_fini(struct ota_manifest *manifest);

/** Bytes of chunk index: chunk_len, or what is left for the last one. */
uint32_t ota_manifest_chunk_len(const struct ota_manifest *manifest, uint32_t index);

/** Take a chunk's message apart, without checking its content. OTA_OK or OTA_E_FORMAT;
 *  data is borrowed from in. */
OTA_CHECKED enum ota_code ota_chunk_split(struct ota_bytes in, uint32_t *index,
	struct ota_bytes *data, struct ota_error *err);

/**
 * Check a chunk message against the manifest: magic, index, length, digest.
 *
 * data   filled on success with the chunk's own bytes, borrowed from in
 *
 * Returns OTA_OK, OTA_E_FORMAT, OTA_E_LIMIT (index beyond the table) or OTA_E_DIGEST.
 */
OTA_CHECKED enum ota_code ota_chunk_check(const struct ota_manifest *manifest,
	struct ota_bytes in, uint32_t *index, struct ota_bytes *data,
	struct ota_error *err);

/** Append a chunk message. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_chunk_encode(
	uint32_t index, struct ota_bytes data, struct ota_buf *out);

/** need/<id>: what a device cannot get.
 *
 *        0     4  magic         "OTN1"
 *        4    32  patch         digest of the manifest, or of a block table
 *       36     4  chunk_count   u32le, 0: the manifest or table itself is missing
 *       40     .  bitmap        (chunk_count + 7) / 8 bytes, bit i % 8 of byte i / 8 */
struct ota_need {
	struct ota_digest patch;
	uint32_t chunk_count;
	struct ota_bytes bitmap; /* borrowed from the input */
};

/** Parse an untrusted need. OTA_OK, OTA_E_FORMAT or OTA_E_LIMIT. */
OTA_CHECKED enum ota_code ota_need_parse(
	struct ota_bytes in, struct ota_need *out, struct ota_error *err);

/** Append the bytes of a need. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_need_encode(
	const struct ota_need *need, struct ota_buf *out);

#endif
