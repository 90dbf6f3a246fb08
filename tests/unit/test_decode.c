#include "proto/delta/decode.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/patch_kit.h"

static const uint8_t codecs[] = { OTA_CODEC_FULL, OTA_CODEC_VCDIFF, OTA_CODEC_PREDICT };

enum { N_CODECS = sizeof codecs / sizeof codecs[0] };

/* Encode and decode one pair; true if the new image came back. */
static bool round_trips(struct kit_patch *kit, uint8_t codec)
{
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
	struct ota_error err = { 0 };

	if (kit_encode(kit, codec, &err) == OTA_OK &&
		kit_decode(kit, &run, &err) == OTA_OK && kit_same(&run.image, &kit->to) &&
		run.peak < kit->manifest.decoder_ram && kit->manifest.chunk_count > 0)
		return true;
	fprintf(stderr, "%s, %zu to %zu bytes: %s\n", ota_codec_text(codec),
		kit->from.len, kit->to.len, err.text);
	return false;
}

Test(decode, every_pair_of_images_round_trips)
{
	static const size_t len[] = { 0, 1, 4095, 4096, 65536, 3 << 20 };
	enum { N = sizeof len / sizeof len[0], CASES = N * N * 2 * N_CODECS };

	for (unsigned i = 0; i < CASES; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };

		kit_images(&kit, len[i % N], len[i / N % N], i / N / N % 2 == 0);
		cr_assert(round_trips(&kit, codecs[i / N / N / 2]));
	}
}

Test(decode, identical_images_make_a_patch_of_next_to_nothing)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };

	kit_noise(&kit.from, 3 << 20, 1);
	kit_noise(&kit.to, 3 << 20, 1);
	cr_assert(round_trips(&kit, OTA_CODEC_VCDIFF));
	cr_assert_lt(kit.manifest.patch_len, 200);
}

Test(decode, a_moved_block_is_found_however_far_away_it_was)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };

	kit_noise(&kit.from, 24 << 20, 1);
	cr_assert(ota_buf_add(&kit.to, (struct ota_bytes){ kit.from.at + (20 << 20),
					       4 << 20 }) == OTA_OK);
	cr_assert(ota_buf_add(&kit.to, (struct ota_bytes){ kit.from.at, 20 << 20 }) ==
		  OTA_OK);
	cr_assert(round_trips(&kit, OTA_CODEC_VCDIFF));
	cr_assert_lt(kit.manifest.patch_len, 1000);
}

Test(decode, how_a_patch_is_cut_changes_neither_image_nor_heap)
{
	static const size_t piece_len[] = { 1, 7, 4096, 65536, 1 << 20 };

	for (unsigned i = 0; i < 10 * N_CODECS; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(kit_decoding_fini) struct kit_decoding whole = { 0 };
		OTA_AUTO(kit_decoding_fini) struct kit_decoding cut = { 0 };

		kit_images(&kit, 300000, i % 2 == 0 ? 280000 : 3000, true);
		cr_assert(kit_encode(&kit, codecs[i / 10], NULL) == OTA_OK);
		cut.piece_len = piece_len[i / 2 % 5];
		cr_assert(kit_decode(&kit, &whole, NULL) == OTA_OK);
		cr_assert(kit_decode(&kit, &cut, NULL) == OTA_OK);
		cr_assert(kit_same(&cut.image, &kit.to));
		cr_assert_eq(cut.peak, whole.peak);
	}
}

Test(decode, a_few_bytes_that_hold_a_mebibyte_come_out_whole)
{
	for (unsigned i = 0; i < 2 * N_CODECS; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(kit_decoding_fini)
		struct kit_decoding run = { .piece_len = i % 2 };

		for (unsigned n = 0; n < 1 << 20; n++)
			cr_assert(ota_buf_add_u8(&kit.to, 0) == OTA_OK);
		cr_assert(kit_encode(&kit, codecs[i / 2], NULL) == OTA_OK);
		cr_assert(kit_decode(&kit, &run, NULL) == OTA_OK);
		cr_assert(kit_same(&run.image, &kit.to));
	}
}

Test(decode, every_truncation_is_refused)
{
	for (unsigned i = 0; i < N_CODECS; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };

		kit_images(&kit, 6000, 5000, true);
		kit_noise(&kit.to, 500, 3);
		cr_assert(kit_encode(&kit, codecs[i], NULL) == OTA_OK);
		while (kit.patch.len-- > 0) {
			enum ota_code rc = kit_decode(&kit, &run, NULL);

			cr_assert_eq(rc, OTA_E_DECODER, "%zu bytes: %s", kit.patch.len,
				ota_code_text(rc));
			cr_assert_leq(run.image.len, kit.to.len);
		}
	}
}

/* Every byte set to several wrong values: what is not refused must be the image. */
static void corrupt_every_byte(struct kit_patch *kit, unsigned *refused)
{
	static const uint8_t change[] = { 0xff, 0x01, 0x80, 0x10 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };

	for (size_t i = 0; i < kit->patch.len * sizeof change; i++) {
		enum ota_code rc;

		kit->patch.at[i / sizeof change] ^= change[i % sizeof change];
		rc = kit_decode(kit, &run, NULL);
		kit->patch.at[i / sizeof change] ^= change[i % sizeof change];
		cr_assert_leq(run.image.len, kit->to.len);
		if (rc == OTA_OK) {
			cr_assert(kit_same(&run.image, &kit->to));
			continue;
		}
		cr_assert(rc == OTA_E_DECODER || rc == OTA_E_DIGEST, "byte %zu: %s",
			i / sizeof change, ota_code_text(rc));
		++*refused;
	}
}

Test(decode, every_corrupted_byte_is_refused)
{
	for (unsigned i = 0; i < N_CODECS; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		unsigned refused = 0;

		kit_images(&kit, 6000, 2000, true);
		kit_noise(&kit.to, 300, 3);
		cr_assert(kit_encode(&kit, codecs[i], NULL) == OTA_OK);
		corrupt_every_byte(&kit, &refused);
		cr_assert_geq(refused, 4 * kit.patch.len - 8, "%u of %zu", refused,
			4 * kit.patch.len);
	}
}

Test(decode, bytes_behind_the_patch_are_refused)
{
	static const char *const more[] = { "", "\x28\xb5\x2f\xfd", "\x50\x2a\x4d\x18" };

	for (unsigned i = 0; i < 3 * N_CODECS; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
		struct ota_error err = { 0 };

		kit_images(&kit, 5000, 5000, true);
		cr_assert(kit_encode(&kit, codecs[i / 3], NULL) == OTA_OK);
		cr_assert(ota_buf_printf(&kit.patch, "%s", more[i % 3]) == OTA_OK);
		cr_assert(ota_buf_add_u8(&kit.patch, 0) == OTA_OK);
		cr_assert_eq(kit_decode(&kit, &run, &err), OTA_E_DECODER);
		cr_assert(strstr(err.text, "bytes after the end of the patch"), "%s",
			err.text);
	}
}

Test(decode, another_source_gives_another_digest)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };

	kit_images(&kit, 100000, 100000, true);
	cr_assert(kit_encode(&kit, OTA_CODEC_VCDIFF, NULL) == OTA_OK);
	kit.from.at[50000] ^= 1;
	cr_assert_eq(kit_decode(&kit, &run, NULL), OTA_E_DIGEST);
}

Test(decode, what_does_not_fit_is_refused_before_it_starts)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { .ram_max = 8388608 };
	struct ota_error err = { 0 };

	kit_images(&kit, 1000, 1000, true);
	cr_assert(kit_encode(&kit, OTA_CODEC_VCDIFF, NULL) == OTA_OK);
	kit.manifest.decoder_ram = 9437184;
	cr_assert_eq(kit_decode(&kit, &run, &err), OTA_E_NORAM);
	cr_assert_str_eq(err.text, "decoder needs 9437184 bytes, allowed are 8388608");
	kit.manifest.decoder_ram = 1;
	kit.from.len--;
	cr_assert_eq(kit_decode(&kit, &run, &err), OTA_E_PRECURSOR);
	cr_assert_str_eq(
		err.text, "the source image has 999 bytes, the patch is for 1000");
	kit.manifest.codec = 99;
	cr_assert_eq(kit_decode(&kit, &run, &err), OTA_E_NOTFOUND);
	cr_assert_str_eq(err.text, "codec 99 is not built in");
}

Test(decode, the_cap_on_heap_holds_whatever_it_is)
{
	for (unsigned i = 0; i < N_CODECS; i++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		OTA_AUTO(kit_decoding_fini) struct kit_decoding run = { 0 };
		enum ota_code rc = OTA_E_NOMEM;
		uint64_t ram;

		kit_images(&kit, 200000, 200000, true);
		cr_assert(kit_encode(&kit, codecs[i], NULL) == OTA_OK);
		kit.manifest.decoder_ram = 0;
		for (ram = 1; rc != OTA_OK; ram += 4096) {
			run = (struct kit_decoding){ .ram_max = ram };
			rc = kit_decode(&kit, &run, NULL);
			cr_assert(rc == OTA_OK || rc == OTA_E_NORAM ||
				  rc == OTA_E_DECODER || rc == OTA_E_NOMEM);
			cr_assert_leq(run.peak, ram);
			if (rc != OTA_OK)
				kit_decoding_fini(&run);
		}
		cr_assert_leq(ram - 4096, run.peak + 4096);
	}
}

/* A source whose read fails at the nth call. */
struct bad_source {
	struct ota_bytes bytes;
	unsigned calls_left;
};

static enum ota_code bad_read(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	struct bad_source *bad = ctx;

	if (bad->calls_left-- == 0)
		return OTA_E_IO;
	memcpy(out, bad->bytes.at + offset, len);
	return OTA_OK;
}

Test(decode, a_source_that_cannot_be_read_says_so)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct bad_source bad = { .calls_left = 3 };
	struct ota_source from = { &bad, 100000, bad_read };
	struct kit_sink sink = { 0 };
	struct ota_sink out = kit_sink_port(&sink);
	struct ota_decoder *decoder = NULL;
	struct ota_error err = { 0 };

	kit_images(&kit, 100000, 100000, true);
	bad.bytes = ota_buf_bytes(&kit.from);
	cr_assert(kit_encode(&kit, OTA_CODEC_VCDIFF, NULL) == OTA_OK);
	cr_assert(ota_decoder_new(&kit.manifest, &from, &out, OTA_DECODER_RAM, &decoder,
			  &err) == OTA_OK);
	cr_assert_eq(
		ota_decoder_feed(decoder, ota_buf_bytes(&kit.patch), &err), OTA_E_IO);
	cr_assert_str_eq(err.text, "read the old image: local storage failed");
	ota_decoder_free(decoder);
	ota_buf_fini(&sink.bytes);
}

Test(decode, a_full_disk_is_named_with_its_place)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	struct kit_sink sink = { .fail_at = 70000, .fail_code = OTA_E_NOSPACE };
	struct ota_sink out = kit_sink_port(&sink);
	struct ota_decoder *decoder = NULL;
	struct ota_error err = { 0 };

	kit_images(&kit, 0, 100000, false);
	cr_assert(kit_encode(&kit, OTA_CODEC_FULL, NULL) == OTA_OK);
	cr_assert(ota_decoder_new(&kit.manifest, NULL, &out, OTA_DECODER_RAM, &decoder,
			  &err) == OTA_OK);
	cr_assert_eq(ota_decoder_feed(decoder, ota_buf_bytes(&kit.patch), &err),
		OTA_E_NOSPACE);
	cr_assert_str_eq(
		err.text, "write the image at 65536: not enough room for the update");
	cr_assert_eq(ota_decoder_written(decoder), 65536);
	ota_decoder_free(decoder);
	ota_buf_fini(&sink.bytes);
}
