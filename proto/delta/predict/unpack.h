#ifndef PROTO_DELTA_PREDICT_UNPACK_H
#define PROTO_DELTA_PREDICT_UNPACK_H

/* Encoder only: small blocks of a file system's own tables, unpacked. */

#include "proto/delta/predict/members.h"

/**
 * Unpack one whole block.
 *
 * out   room for cap bytes
 * len   bytes that came out, at most cap
 *
 * False for a packing this build does not read (it reads gzip's, as a zlib stream, and
 * zstd) and for a block that is damaged or longer than cap.
 */
bool ota_unpack(enum ota_packing packing, struct ota_bytes in, uint8_t *out, size_t cap,
	size_t *len);

#endif
