/* Patches no encoder of ours would make: bombs, and parts of both formats that are not
 * used. None may write more than the image's length or hold more than the cap. */

#include <criterion/criterion.h>
#include <string.h>
#include <zstd.h>

#include "proto/base/own.h"
#include "tests/unit/patch_kit.h"

#define BYTES(...)                                                        \
	{                                                                 \
		(const uint8_t[]){ __VA_ARGS__ }, sizeof(const uint8_t[]) \
		{                                                         \
			__VA_ARGS__                                       \
		}                                                         \
	}

#define VCD_HEAD 0xd6, 0xc3, 0xc4, 0x00, 0x00

enum { FROM_LEN = 1000, TO_LEN = 2000 }; /* bytes, of the image every row pretends */

static enum ota_code decode(uint8_t codec, struct ota_bytes patch, uint64_t raw_len,
	struct kit_decoding *run, struct ota_error *err)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };

	kit_noise(&kit.from, FROM_LEN, 1);
	kit.manifest = (struct ota_manifest){ .codec = codec,
		.window_log = 21,
		.chunk_len = OTA_CHUNK_LEN,
		.raw_len = raw_len,
		.from_len = FROM_LEN,
		.to_len = TO_LEN };
	cr_assert(ota_buf_add(&kit.patch, patch) == OTA_OK);
	return kit_decode(&kit, run, err);
}

struct row {
	const char *name;
	struct ota_bytes bytes;
	const char *text; /* of the error */
};

/* clang-format off */
static const struct row frames[] = {
	{ "nothing", { (const uint8_t *)"", 0 }, "the patch ends in the middle" },
	{ "not zstd", BYTES(0x1f, 0x8b, 8, 0), "not a zstd frame" },
	{ "zstd 0.7", BYTES(0x27, 0xb5, 0x2f, 0xfd, 0, 0), "not a zstd frame" },
	{ "skippable frame", BYTES(0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0), "not a zstd frame" },
	{ "window of 2 GiB", BYTES(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0),
	  "zstd: Frame requires too much memory for decoding" },
	{ "window of 4 MiB where 2 are announced",
	  BYTES(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x60, 1, 0, 0),
	  "zstd: Frame requires too much memory for decoding" },
	{ "one segment of 2^62 bytes", BYTES(0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40,
	  1, 0, 0), "zstd: Frame requires too much memory for decoding" },
	{ "dictionary", BYTES(0x28, 0xb5, 0x2f, 0xfd, 0x21, 0x07, 0x01, 1, 0, 0),
	  "zstd: Dictionary mismatch" },
	{ "reserved bit", BYTES(0x28, 0xb5, 0x2f, 0xfd, 0x28, 0x01, 1, 0, 0),
	  "zstd: Unsupported frame parameter" },
	{ "reserved block type", BYTES(0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x01, 7, 0, 0),
	  "zstd: Data corruption detected" },
};

static const struct row deltas[] = {
	{ "nothing", { (const uint8_t *)"", 0 }, "the delta ends in the middle" },
	{ "half a head", BYTES(0xd6, 0xc3, 0xc4), "the delta ends in the middle" },
	{ "head alone", BYTES(VCD_HEAD), "the patch makes 0 of the 2000 bytes of the image" },
	{ "not vcdiff", BYTES('B', 'S', 'D', 'I', 'F', 'F'), "not a plain vcdiff stream of version 0" },
	{ "version S", BYTES(0xd6, 0xc3, 0xc4, 'S', 0), "not a plain vcdiff stream of version 0" },
	{ "secondary compressor", BYTES(0xd6, 0xc3, 0xc4, 0, 1, 2),
	  "not a plain vcdiff stream of version 0" },
	{ "code table", BYTES(0xd6, 0xc3, 0xc4, 0, 2, 9, 1, 1),
	  "not a plain vcdiff stream of version 0" },
	/* 28 bytes that make xdelta3 by itself ask for 3.76 GB */
	{ "application header of 3.76 GB", BYTES(0xd6, 0xc3, 0xc4, 0, 4, 0x8e, 0x80, 0x80, 0x80,
	  0x00, 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x',
	  'x', 'x'), "not a plain vcdiff stream of version 0" },
	/*                     win   enc   tgt   del data inst addr */
	{ "copies from target", BYTES(VCD_HEAD, 2, 0, 0, 6, 1, 0, 0, 1, 0, 0),
	  "vcdiff: window copies from target" },
	{ "source and target", BYTES(VCD_HEAD, 3, 6, 1, 0, 0, 1, 0, 0),
	  "vcdiff: window copies from target" },
	{ "unknown window bits", BYTES(VCD_HEAD, 8, 6, 1, 0, 0, 1, 0, 0),
	  "vcdiff: unrecognized window indicator bits set" },
	{ "delta indicator", BYTES(VCD_HEAD, 0, 6, 1, 1, 0, 1, 0, 0),
	  "vcdiff: invalid delta indicator bits set" },
	{ "window of 1 MiB + 1", BYTES(VCD_HEAD, 0, 8, 0xc0, 0x80, 0x01, 0, 0, 1, 0, 0),
	  "vcdiff: window of 1048577 bytes" },
	{ "window of 2001 bytes", BYTES(VCD_HEAD, 0, 7, 0x8f, 0x51, 0, 0, 1, 0, 0),
	  "the patch makes more than the 2000 bytes of the image" },
	{ "source of 1001 bytes", BYTES(VCD_HEAD, 1, 0x87, 0x69, 0, 5, 1, 0, 0, 0, 0),
	  "vcdiff: window copies from behind the old image" },
	{ "source from byte 1001", BYTES(VCD_HEAD, 1, 0, 0x87, 0x69, 5, 1, 0, 0, 0, 0),
	  "vcdiff: window copies from behind the old image" },
	{ "source of 2^32 - 1 bytes", BYTES(VCD_HEAD, 1, 0x8f, 0xff, 0xff, 0xff, 0x7f, 0, 5, 0, 0, 0,
	  0, 0), "vcdiff: window copies from behind the old image" },
	/* xdelta3 by itself makes the buffer shorter than the section */
	{ "data of 2^32 - 1 bytes", BYTES(VCD_HEAD, 0, 8, 1, 0, 0x8f, 0xff, 0xff, 0xff, 0x7f, 0, 0,
	  'x', 'x', 'x', 'x'), "vcdiff: section is too long" },
	{ "instructions of 2^32 - 1 bytes", BYTES(VCD_HEAD, 0, 8, 1, 0, 0, 0x8f, 0xff, 0xff, 0xff,
	  0x7f, 0, 'x', 'x', 'x', 'x'), "vcdiff: section is too long" },
	{ "addresses of 2^32 - 1 bytes", BYTES(VCD_HEAD, 0, 8, 1, 0, 0, 0, 0x8f, 0xff, 0xff, 0xff,
	  0x7f, 'x', 'x', 'x', 'x'), "vcdiff: section is too long" },
	{ "integer of 6 bytes", BYTES(VCD_HEAD, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	  "vcdiff: overflow in decode_integer" },
	{ "lengths that do not add up", BYTES(VCD_HEAD, 0, 9, 1, 0, 0, 1, 0, 0),
	  "vcdiff: incorrect encoding length (redundent)" },
	/* RUN of 5 bytes in a window of 1 */
	{ "run beyond its window", BYTES(VCD_HEAD, 0, 8, 1, 0, 1, 2, 0, 'x', 0, 5),
	  "vcdiff: size too large" },
	{ "add without data", BYTES(VCD_HEAD, 0, 6, 1, 0, 0, 1, 0, 2), "vcdiff: data underflow" },
	{ "window cut short", BYTES(VCD_HEAD, 0, 7, 1, 0, 1, 1, 0, 'x'),
	  "the delta ends in the middle" },
};
/* clang-format on */

static void expect(const struct row *row, uint8_t codec, struct ota_bytes patch)
{
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct ota_error err = { 0 };
	enum ota_code rc = decode(codec, patch, row->bytes.len, &run, &err);

	cr_expect_eq(rc, OTA_E_DECODER, "%s: %s", row->name, ota_code_text(rc));
	cr_expect_str_eq(err.text, row->text, "%s: %s", row->name, err.text);
	cr_expect_leq(run.image.len, (size_t)TO_LEN);
	cr_expect_leq(run.peak, (uint64_t)OTA_DECODER_RAM);
}

Test(decode_crafted, frames_that_are_not_ours_are_refused_by_both_codecs)
{
	for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
		expect(&frames[i], OTA_CODEC_FULL, frames[i].bytes);
		expect(&frames[i], OTA_CODEC_VCDIFF, frames[i].bytes);
	}
}

Test(decode_crafted, deltas_that_are_not_ours_are_refused)
{
	for (size_t i = 0; i < sizeof deltas / sizeof deltas[0]; i++) {
		uint8_t frame[256];
		size_t len = ZSTD_compress(
			frame, sizeof frame, deltas[i].bytes.at, deltas[i].bytes.len, 1);

		expect(&deltas[i], OTA_CODEC_VCDIFF, (struct ota_bytes){ frame, len });
	}
}

/* A frame of len zero bytes. */
static void zeros(struct ota_buf *frame, size_t len)
{
	size_t cap = ZSTD_compressBound(len);
	ota_autofree uint8_t *in = calloc(1, len);
	ota_autofree uint8_t *out = malloc(cap);
	struct ota_bytes bytes = { out, 0 };

	cr_assert(in != NULL && out != NULL);
	bytes.len = ZSTD_compress(out, cap, in, len, 1);
	cr_assert(ota_buf_add(frame, bytes) == OTA_OK);
}

Test(decode_crafted, a_frame_that_expands_without_end_stops_at_the_image)
{
	static const char *const text[] = {
		"the patch makes more than the 2000 bytes of the image",
		"not a plain vcdiff stream of version 0",
	};
	OTA_AUTO(ota_buf_fini) struct ota_buf frame = { 0 };

	zeros(&frame, 64 << 20);
	for (unsigned i = 0; i < 2; i++) {
		OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
		struct ota_error err = { 0 };

		cr_assert_eq(decode(i == 0 ? OTA_CODEC_FULL : OTA_CODEC_VCDIFF,
				     ota_buf_bytes(&frame), 64 << 20, &run, &err),
			OTA_E_DECODER);
		cr_assert_str_eq(err.text, text[i]);
		cr_assert_eq(run.image.len, 0);
	}
}

Test(decode_crafted, a_frame_longer_than_announced_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf frame = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct ota_error err = { 0 };

	zeros(&frame, 2000);
	cr_assert_eq(decode(OTA_CODEC_FULL, ota_buf_bytes(&frame), 1999, &run, &err),
		OTA_E_DECODER);
	cr_assert_str_eq(err.text, "the patch holds more than 1999 bytes");
	cr_assert_eq(decode(OTA_CODEC_FULL, ota_buf_bytes(&frame), 2001, &run, &err),
		OTA_E_DECODER);
	cr_assert_str_eq(err.text, "the patch holds 2000 bytes, not 2001");
}

Test(decode_crafted, a_delta_that_expands_without_end_stops_at_the_image)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct ota_error err = { 0 };

	for (unsigned i = 0; i < 64 << 20; i++)
		cr_assert(ota_buf_add_u8(&kit.to, 0) == OTA_OK);
	cr_assert(kit_encode(&kit, OTA_CODEC_VCDIFF, &err) == OTA_OK);
	cr_assert_lt(kit.patch.len, 200);
	kit.manifest.to_len = (5 << 20) - 1;
	cr_assert_eq(kit_decode(&kit, &run, &err), OTA_E_DECODER);
	cr_assert_str_eq(
		err.text, "the patch makes more than the 5242879 bytes of the image");
	cr_assert_eq(run.image.len, 4 << 20);
	cr_assert_lt(run.peak, 4 << 20);
}

/* Instructions of 3 MiB for one byte: allowed by the format, refused by the cap. */
Test(decode_crafted, a_long_section_stops_at_the_cap)
{
	static const uint8_t head[] = { VCD_HEAD, 0, 0x81, 0xc0, 0x80, 0x08, 1, 0, 0,
		0x81, 0xc0, 0x80, 0x00, 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { .ram_max = 4 << 20 };
	ota_autofree uint8_t *raw = calloc(1, 4 << 20);
	uint8_t frame[4096];
	struct ota_error err = { 0 };
	size_t len;

	cr_assert_not_null(raw);
	memcpy(raw, head, sizeof head);
	len = ZSTD_compress(frame, sizeof frame, raw, 3 << 20, 1);
	cr_assert(!ZSTD_isError(len));
	cr_assert_eq(decode(OTA_CODEC_VCDIFF, (struct ota_bytes){ frame, len }, 3 << 20,
			     &run, &err),
		OTA_E_DECODER);
	cr_assert_str_eq(
		err.text, "vcdiff wants more than the 4194304 bytes of heap allowed");
	cr_assert_leq(run.peak, (uint64_t)4 << 20);
}
