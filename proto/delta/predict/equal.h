#ifndef PROTO_DELTA_PREDICT_EQUAL_H
#define PROTO_DELTA_PREDICT_EQUAL_H

/* How far two byte ranges are equal, eight bytes at a time. */

#include <stddef.h>

#include "proto/base/le.h"

/** How many of the first max bytes at a and b are equal, up to the first that differ. */
static inline size_t ota_equal_len(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t len = 0;

	for (; len + 8 <= max; len += 8) {
		uint64_t diff = ota_le64(a + len) ^ ota_le64(b + len);

		if (diff != 0)
			return len + (size_t)__builtin_ctzll(diff) / 8;
	}
	while (len < max && a[len] == b[len])
		len++;
	return len;
}

/** How many of the max bytes before a and b are equal, back to the first that differ. */
static inline size_t ota_equal_len_back(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t len = 0;

	for (; len + 8 <= max; len += 8) {
		uint64_t diff = ota_le64(a - len - 8) ^ ota_le64(b - len - 8);

		if (diff != 0)
			return len + (size_t)__builtin_clzll(diff) / 8;
	}
	while (len < max && a[-(ptrdiff_t)len - 1] == b[-(ptrdiff_t)len - 1])
		len++;
	return len;
}

#endif
