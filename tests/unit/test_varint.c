#include "proto/delta/predict/varint.h"

#include <criterion/criterion.h>

#include "proto/base/own.h"

#define BYTES(...)                                                        \
	{                                                                 \
		(const uint8_t[]){ __VA_ARGS__ }, sizeof(const uint8_t[]) \
		{                                                         \
			__VA_ARGS__                                       \
		}                                                         \
	}

static const uint64_t edges[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX,
	UINT64_C(1) << 62, UINT64_C(1) << 63, UINT64_MAX };

enum { N_EDGES = sizeof edges / sizeof edges[0] };

Test(varint, numbers_come_back)
{
	for (unsigned i = 0; i < N_EDGES; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
		struct ota_reader r;

		cr_assert(ota_varint_write(edges[i], &buf) == OTA_OK);
		cr_assert(ota_varint_write_signed((int64_t)edges[i], &buf) == OTA_OK);
		r = ota_reader_of(ota_buf_bytes(&buf));
		cr_expect_eq(ota_varint_read(&r), edges[i]);
		cr_expect_eq(ota_varint_read_signed(&r), (int64_t)edges[i]);
		cr_expect(!r.bad && r.left == 0);
	}
}

Test(varint, every_prefix_of_a_number_is_refused)
{
	for (unsigned i = 0; i < N_EDGES; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };

		cr_assert(ota_varint_write(edges[i], &buf) == OTA_OK);
		while (buf.len-- > 0) {
			struct ota_reader r = ota_reader_of(ota_buf_bytes(&buf));

			cr_expect_eq(ota_varint_read(&r), 0);
			cr_expect(r.bad);
		}
	}
}

Test(varint, small_magnitudes_are_small_numbers)
{
	static const int64_t order[] = { 0, -1, 1, -2, 2 };

	for (uint64_t i = 0; i < 5; i++) {
		cr_expect_eq(ota_zigzag(order[i]), i);
		cr_expect_eq(ota_unzigzag(i), order[i]);
	}
	cr_expect_eq(ota_zigzag(INT64_MIN), UINT64_MAX);
	cr_expect_eq(ota_unzigzag(UINT64_MAX), INT64_MIN);
}

/* clang-format off */
static const struct ota_bytes wrong[] = {
	BYTES(0x80, 0),       /* needless byte */
	BYTES(0xff, 0x80, 0),
	BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2),       /* bit 64 */
	BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 1), /* 11 bytes */
};
/* clang-format on */

Test(varint, other_forms_are_refused)
{
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct ota_reader r = ota_reader_of(wrong[i]);

		cr_expect_eq(ota_varint_read(&r), 0);
		cr_expect(r.bad, "row %u", i);
	}
}
