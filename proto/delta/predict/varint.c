#include "proto/delta/predict/varint.h"

enum { MORE = 0x80, BITS = 7 };

uint64_t ota_varint_read(struct ota_reader *r)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < OTA_VARINT_MAX; i++) {
		uint8_t byte = ota_read_u8(r);

		if (r->bad || (byte == 0 && i > 0) ||
			(i == OTA_VARINT_MAX - 1 && byte > 1))
			break;
		value |= (uint64_t)(byte & (MORE - 1)) << (BITS * i);
		if (byte < MORE)
			return value;
	}
	r->bad = true;
	return 0;
}

int64_t ota_varint_read_signed(struct ota_reader *r)
{
	return ota_unzigzag(ota_varint_read(r));
}

enum ota_code ota_varint_write(uint64_t value, struct ota_buf *out)
{
	uint8_t bytes[OTA_VARINT_MAX];
	size_t len = 0;

	for (; value >= MORE; value >>= BITS)
		bytes[len++] = (uint8_t)(value | MORE);
	bytes[len++] = (uint8_t)value;
	return ota_buf_add(out, (struct ota_bytes){ bytes, len });
}

enum ota_code ota_varint_write_signed(int64_t value, struct ota_buf *out)
{
	return ota_varint_write(ota_zigzag(value), out);
}

uint64_t ota_zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

int64_t ota_unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}
