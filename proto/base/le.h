#ifndef PROTO_BASE_LE_H
#define PROTO_BASE_LE_H

/* Little-endian numbers in bytes that are known to be there, at any alignment, on any
 * host. For input of unknown length there is the reader of bytes.h. */

#include <stdint.h>

/** The number in 2 bytes. */
static inline uint32_t ota_le16(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

/** The number in 4 bytes. */
static inline uint32_t ota_le32(const uint8_t *at)
{
	return ota_le16(at) | ota_le16(at + 2) << 16;
}

/** The number in 8 bytes. */
static inline uint64_t ota_le64(const uint8_t *at)
{
	return ota_le32(at) | (uint64_t)ota_le32(at + 4) << 32;
}

/** Write the lowest 2 bytes of a number. */
static inline void ota_le16_set(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

/** Write the 4 bytes of a number. */
static inline void ota_le32_set(uint8_t *at, uint32_t value)
{
	ota_le16_set(at, value);
	ota_le16_set(at + 2, value >> 16);
}

/** Write the 8 bytes of a number. */
static inline void ota_le64_set(uint8_t *at, uint64_t value)
{
	ota_le32_set(at, (uint32_t)value);
	ota_le32_set(at + 4, (uint32_t)(value >> 32));
}

#endif
