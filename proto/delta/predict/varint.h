#ifndef PROTO_DELTA_PREDICT_VARINT_H
#define PROTO_DELTA_PREDICT_VARINT_H

/* Numbers of the predict stream: 7 bits a byte, least first, the top bit set in all bytes
 * but the last. A number has one form: no needless bytes, at most 10, at most 64 bits. */

#include "proto/base/bytes.h"

enum { OTA_VARINT_MAX = 10 /* bytes */ };

/** The next number; 0 once the cursor is bad, which any other form makes it. */
uint64_t ota_varint_read(struct ota_reader *r);

/** The same for a signed number, zigzag-coded. */
int64_t ota_varint_read_signed(struct ota_reader *r);

/** Append a number. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_varint_write(uint64_t value, struct ota_buf *out);

/** Append a signed number, zigzag-coded. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_varint_write_signed(int64_t value, struct ota_buf *out);

/** Signed numbers as unsigned ones, small for small magnitudes: 0, -1, 1, -2 ... */
uint64_t ota_zigzag(int64_t value);

/** The inverse of ota_zigzag(). */
int64_t ota_unzigzag(uint64_t value);

#endif
