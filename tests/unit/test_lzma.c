/* The outer layer of a predict patch: put on, taken off, and what is refused. */

#include <criterion/criterion.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/lzma_in.h"
#include "proto/delta/lzma_out.h"
#include "tests/unit/patch_kit.h"

enum { HEAP_MAX = 4 << 20, WINDOW_LOG = 16 };

static enum ota_code collect(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	(void)err;
	return ota_buf_add(ctx, data);
}

static enum ota_code fail_at_once(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	(void)ctx;
	(void)data;
	return ota_fail(err, OTA_E_NOSPACE, "no room");
}

static void pack(struct ota_bytes content, int window_log, struct ota_buf *packed)
{
	OTA_AUTO(ota_lzma_out_fini) struct ota_lzma_out out = { 0 };

	cr_assert(ota_lzma_out_init(&out, window_log,
			  (struct ota_stage){ packed, collect }, NULL) == OTA_OK);
	cr_assert(ota_lzma_out_feed(&out, content, NULL) == OTA_OK);
	cr_assert(ota_lzma_out_finish(&out, NULL) == OTA_OK);
	cr_assert_eq(out.taken, content.len);
	cr_assert_eq(out.given, packed->len);
}

/* One unpacking, fed piece_len bytes at once. */
struct unpacking {
	int window_log;
	uint64_t content_max;
	size_t piece_len;
	struct ota_buf content;
	struct ota_error err;
};

static void unpacking_fini(struct unpacking *u)
{
	ota_buf_fini(&u->content);
}

static enum ota_code unpack(struct unpacking *u, struct ota_bytes packed)
{
	struct ota_heap heap = { .max = HEAP_MAX };
	struct ota_lzma_in in;
	enum ota_code rc = ota_lzma_in_init(&in, &heap, u->window_log, u->content_max,
		(struct ota_stage){ &u->content, collect });

	while (rc == OTA_OK && packed.len > 0) {
		size_t n = packed.len < u->piece_len ? packed.len : u->piece_len;

		rc = ota_lzma_in_feed(&in, (struct ota_bytes){ packed.at, n }, &u->err);
		packed.at += n;
		packed.len -= n;
	}
	if (rc == OTA_OK)
		rc = ota_lzma_in_finish(&in, u->content_max, &u->err);
	ota_lzma_in_fini(&in);
	cr_expect_eq(heap.held, 0);
	return rc;
}

/* Text-like, of two pieces, the second of them noise. */
static void make_content(struct ota_buf *content, size_t len)
{
	for (size_t i = 0; i < len; i++)
		cr_assert(ota_buf_add_u8(content, (uint8_t)("abcdefgh"[i * i % 8])) ==
			  OTA_OK);
	kit_noise(content, len, 3);
}

Test(lzma, content_comes_back_however_it_is_fed)
{
	static const size_t lengths[] = { 1, 65535, 65536, 65537, 200000 };
	static const size_t pieces[] = { 1, 7, 65536, SIZE_MAX };

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf content = { 0 }, packed = { 0 };

		make_content(&content, lengths[i]);
		pack(ota_buf_bytes(&content), WINDOW_LOG, &packed);
		for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
			OTA_AUTO(unpacking_fini)
			struct unpacking u = { .window_log = WINDOW_LOG,
				.content_max = content.len,
				.piece_len = pieces[k] };

			cr_expect(unpack(&u, ota_buf_bytes(&packed)) == OTA_OK);
			cr_expect(kit_same(&u.content, &content));
		}
	}
}

Test(lzma, nothing_comes_back_as_nothing)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf packed = { 0 };
	OTA_AUTO(unpacking_fini)
	struct unpacking u = { .window_log = WINDOW_LOG, .piece_len = 1 };

	pack((struct ota_bytes){ NULL, 0 }, WINDOW_LOG, &packed);
	cr_assert(unpack(&u, ota_buf_bytes(&packed)) == OTA_OK);
	cr_assert_eq(u.content.len, 0);
}

Test(lzma, noise_grows_by_less_than_a_thousandth)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf content = { 0 }, packed = { 0 };

	kit_noise(&content, 1 << 20, 5);
	pack(ota_buf_bytes(&content), WINDOW_LOG, &packed);
	cr_assert_lt(packed.len, content.len + content.len / 1000);
}

Test(lzma, an_end_that_is_missing_is_seen)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf content = { 0 }, packed = { 0 };

	make_content(&content, 3000);
	pack(ota_buf_bytes(&content), WINDOW_LOG, &packed);
	for (size_t len = 0; len < packed.len; len++) {
		OTA_AUTO(unpacking_fini)
		struct unpacking u = { .window_log = WINDOW_LOG,
			.content_max = content.len,
			.piece_len = SIZE_MAX };
		struct ota_bytes part = { packed.at, len };

		cr_assert_eq(unpack(&u, part), OTA_E_DECODER, "%zu bytes", len);
		cr_assert_str_eq(u.err.text, "the patch ends in the middle");
	}
}

Test(lzma, a_distance_beyond_the_announced_window_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf content = { 0 }, packed = { 0 };
	OTA_AUTO(unpacking_fini)
	struct unpacking u = { .window_log = 12, .piece_len = SIZE_MAX };

	kit_noise(&content, 30000, 5);
	kit_noise(&content, 30000, 5);
	pack(ota_buf_bytes(&content), WINDOW_LOG, &packed);
	u.content_max = content.len;
	cr_assert_lt(packed.len, 31000); /* it does use a distance of 30000 */
	cr_assert_eq(unpack(&u, ota_buf_bytes(&packed)), OTA_E_DECODER);
	cr_assert_str_eq(u.err.text, "LZMA: data corruption detected");
}

Test(lzma, content_stays_within_what_was_announced)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf packed = { 0 };
	OTA_AUTO(unpacking_fini)
	struct unpacking u = {
		.window_log = WINDOW_LOG, .content_max = 100000, .piece_len = SIZE_MAX
	};
	ota_autofree uint8_t *zeros = calloc(1, 16 << 20);

	cr_assert_not_null(zeros);
	pack((struct ota_bytes){ zeros, 16 << 20 }, WINDOW_LOG, &packed);
	cr_assert_eq(unpack(&u, ota_buf_bytes(&packed)), OTA_E_DECODER);
	cr_assert_str_eq(u.err.text, "the patch holds more than 100000 bytes");
	cr_assert_leq(u.content.len, 100000);
}

Test(lzma, what_is_no_lzma2_is_refused)
{
	/* clang-format off */
	static const struct { uint8_t bytes[8]; size_t len; const char *text; } rows[] = {
		{ { 0x28, 0xb5, 0x2f, 0xfd }, 4, "LZMA: data corruption detected" }, /* zstd */
		{ { 0x02, 0, 0, 'x', 0 }, 5, "LZMA: data corruption detected" }, /* no reset */
		{ { 0x03, 0, 0, 'x', 0 }, 5, "LZMA: data corruption detected" }, /* reserved */
		{ { 0xe0, 0, 0, 0, 4, 0xe1, 0, 0 }, 8, "LZMA: data corruption detected" },
		{ { 0x01, 0, 0, 'x', 0, 7 }, 6, "1 bytes after the end of the patch" },
		{ { 0x01, 0, 0, 'x', 0 }, 5, "the patch holds 1 bytes, not 3" },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (size_t piece_len = 1; piece_len <= 8; piece_len += 7) {
			OTA_AUTO(unpacking_fini)
			struct unpacking u = { .window_log = WINDOW_LOG,
				.content_max = 3,
				.piece_len = piece_len };
			struct ota_bytes packed = { rows[i].bytes, rows[i].len };

			cr_expect_eq(unpack(&u, packed), OTA_E_DECODER, "row %zu", i);
			cr_expect_str_eq(
				u.err.text, rows[i].text, "row %zu: %s", i, u.err.text);
		}
	}
}

Test(lzma, a_heap_that_is_too_small_is_no_crash)
{
	for (uint64_t max = 0; max < 200000; max += 4096) {
		struct ota_heap heap = { .max = max };
		struct ota_lzma_in in;
		enum ota_code rc = ota_lzma_in_init(
			&in, &heap, WINDOW_LOG, 1, (struct ota_stage){ NULL, collect });

		cr_expect(rc == OTA_OK || (rc == OTA_E_NOMEM && heap.capped));
		ota_lzma_in_fini(&in);
		cr_expect_eq(heap.held, 0);
		cr_expect_leq(heap.peak, max);
	}
}

Test(lzma, what_the_next_part_says_comes_back)
{
	static const uint8_t packed[] = { 0x01, 0, 0, 'x', 0 };
	const struct ota_stage next = { NULL, fail_at_once };
	OTA_AUTO(ota_lzma_out_fini) struct ota_lzma_out out = { 0 };
	struct ota_heap heap = { .max = HEAP_MAX };
	struct ota_lzma_in in;

	cr_assert(ota_lzma_in_init(&in, &heap, WINDOW_LOG, 1, next) == OTA_OK);
	cr_assert_eq(
		ota_lzma_in_feed(&in, (struct ota_bytes){ packed, sizeof packed }, NULL),
		OTA_E_NOSPACE);
	ota_lzma_in_fini(&in);
	cr_assert(ota_lzma_out_init(&out, WINDOW_LOG, next, NULL) == OTA_OK);
	cr_assert_eq(ota_lzma_out_finish(&out, NULL), OTA_E_NOSPACE);
}
