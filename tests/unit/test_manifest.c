#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/samples.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct ota_buf manifest_bytes(void)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();
	struct ota_buf out = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(ota_manifest_encode(&m, &out, &err), OTA_OK, "%s", err.text);
	return out;
}

Test(manifest, encode_of_parse_is_the_same_bytes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = manifest_bytes(), again = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = { 0 };

	cr_assert_eq(ota_manifest_parse(ota_buf_bytes(&bytes), &m, NULL), OTA_OK);
	cr_expect_eq(m.patch_len, 2 * OTA_CHUNK_LEN_MIN + 100);
	cr_assert_eq(ota_manifest_encode(&m, &again, NULL), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&bytes), ota_buf_bytes(&again)));
}

Test(manifest, every_prefix_is_refused_and_so_is_one_byte_more)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = manifest_bytes();
	struct ota_manifest m = { .chunk_count = 77 };

	for (size_t len = 0; len < bytes.len; len++)
		cr_expect_eq(
			ota_manifest_parse((struct ota_bytes){ bytes.at, len }, &m, NULL),
			OTA_E_FORMAT, "%zu bytes", len);
	cr_assert_eq(ota_buf_add_u8(&bytes, 0), OTA_OK);
	cr_expect_eq(ota_manifest_parse(ota_buf_bytes(&bytes), &m, NULL), OTA_E_FORMAT);
	cr_expect_eq(m.chunk_count, 77, "out touched on failure");
}

static const struct refusal {
	size_t at; /* byte to overwrite in the sample */
	const char *with;
	size_t len; /* bytes of it */
	enum ota_code code;
	const char *text;
} refusals[] = {
	/* clang-format off */
	{ 0, "X", 1, OTA_E_FORMAT, "manifest: not a manifest" },
	{ 4, "\0", 1, OTA_E_FORMAT, "manifest: codec 0" },
	{ 5, "\x09", 1, OTA_E_LIMIT, "manifest: window_log 9" },
	{ 5, "\x1c", 1, OTA_E_LIMIT, "manifest: window_log 28" },
	{ 6, "\x01", 1, OTA_E_FORMAT, "manifest: bytes 6 and 7 are not zero" },
	{ 7, "\x80", 1, OTA_E_FORMAT, "manifest: bytes 6 and 7 are not zero" },
	{ 8, "\xff\x0f\0\0", 4, OTA_E_LIMIT, "manifest: chunk_len 4095" },
	{ 8, "\x01\0\x01\0", 4, OTA_E_LIMIT, "manifest: chunk_len 65537" },
	{ 8, "\xff\xff\xff\xff", 4, OTA_E_LIMIT, "manifest: chunk_len 4294967295" },
	{ 12, "\0\0\0\0", 4, OTA_E_LIMIT, "manifest: chunk_count 0" },
	{ 12, "\x41\x1f\0\0", 4, OTA_E_LIMIT, "manifest: chunk_count 8001" },
	{ 12, "\xff\xff\xff\xff", 4, OTA_E_LIMIT, "manifest: chunk_count 4294967295" },
	{ 12, "\x02", 1, OTA_E_FORMAT, "manifest: 2 chunks for 8292 bytes" },
	{ 12, "\x04", 1, OTA_E_FORMAT, "manifest: 4 chunks for 8292 bytes" },
	{ 16, "\0\0", 2, OTA_E_FORMAT, "manifest: 3 chunks for 0 bytes" },
	{ 16, "\0\x20", 2, OTA_E_FORMAT, "manifest: 3 chunks for 8192 bytes" },
	{ 16, "\x01\x30", 2, OTA_E_FORMAT, "manifest: 3 chunks for 12289 bytes" },
	{ 23, "\x80", 1, OTA_E_FORMAT, "manifest: 3 chunks for 9223372036854784100 bytes" },
	{ 30, "\x20", 1, OTA_E_LIMIT, "manifest: raw_len" },
	{ 38, "\x20", 1, OTA_E_LIMIT, "manifest: from_len" },
	{ 46, "\x20", 1, OTA_E_LIMIT, "manifest: to_len" },
	{ 54, "\x20", 1, OTA_E_LIMIT, "manifest: decoder_ram" },
	/* clang-format on */
};

Test(manifest, each_malformed_field_is_refused_by_name)
{
	for (size_t i = 0; i < COUNT(refusals); i++) {
		const struct refusal *row = &refusals[i];
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = manifest_bytes();
		struct ota_manifest m;
		struct ota_error err = { 0 };

		memcpy(bytes.at + row->at, row->with, row->len);
		cr_expect_eq(ota_manifest_parse(ota_buf_bytes(&bytes), &m, &err),
			row->code, "row %zu: %s", i, err.text);
		cr_expect_eq(strncmp(err.text, row->text, strlen(row->text)), 0,
			"row %zu: %s", i, err.text);
	}
}

Test(manifest, a_full_image_has_no_source)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	m.from = (struct ota_digest){ { 0 } };
	cr_expect_eq(ota_manifest_encode(&m, &out, NULL), OTA_E_FORMAT);
	m.from_len = 0;
	cr_expect_eq(ota_manifest_encode(&m, &out, NULL), OTA_OK);
	m.from = sample_digest("");
	cr_expect_eq(ota_manifest_encode(&m, &out, NULL), OTA_OK, "an empty source");
}

Test(manifest, the_largest_one_fits_the_limit_and_one_chunk_more_does_not)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	m.chunks = realloc(m.chunks, (OTA_CHUNKS_MAX + 1) * sizeof *m.chunks);
	cr_assert_not_null(m.chunks);
	memset(m.chunks, 1, (OTA_CHUNKS_MAX + 1) * sizeof *m.chunks);
	m.chunk_count = OTA_CHUNKS_MAX;
	m.patch_len = (uint64_t)OTA_CHUNKS_MAX * OTA_CHUNK_LEN_MIN;
	cr_expect_eq(ota_manifest_encode(&m, &out, NULL), OTA_OK);
	cr_expect_eq(out.len, OTA_MANIFEST_LEN_MAX - OTA_DIGEST_LEN);
	m.blocks = sample_digest("blocks");
	out.len = 0;
	cr_expect_eq(ota_manifest_encode(&m, &out, NULL), OTA_OK);
	cr_expect_eq(out.len, OTA_MANIFEST_LEN_MAX);
	m.chunk_count++;
	m.patch_len++;
	cr_expect_eq(ota_manifest_encode(&m, &out, NULL), OTA_E_LIMIT);
}

Test(manifest, every_chunk_but_the_last_is_whole)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();

	cr_expect_eq(ota_manifest_chunk_len(&m, 0), OTA_CHUNK_LEN_MIN);
	cr_expect_eq(ota_manifest_chunk_len(&m, 1), OTA_CHUNK_LEN_MIN);
	cr_expect_eq(ota_manifest_chunk_len(&m, 2), 100);
	cr_expect_eq(ota_manifest_chunk_len(&m, 3), 0);
	cr_expect_eq(ota_manifest_chunk_len(&m, UINT32_MAX), 0);
	m.patch_len = 3 * OTA_CHUNK_LEN_MIN;
	cr_expect_eq(ota_manifest_chunk_len(&m, 2), OTA_CHUNK_LEN_MIN);
}

/* Source repair */

static struct ota_manifest repairable(void)
{
	struct ota_manifest m = sample_manifest();

	m.blocks = sample_digest("blocks");
	return m;
}

Test(manifest, one_without_a_block_table_is_of_the_old_layout)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = manifest_bytes();
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = { 0 };

	cr_expect_eq(memcmp(bytes.at, "OTM1", 4), 0);
	cr_expect_eq(bytes.len, OTA_MANIFEST_HEAD_LEN + 3 * OTA_DIGEST_LEN);
	cr_assert_eq(ota_manifest_parse(ota_buf_bytes(&bytes), &m, NULL), OTA_OK);
	cr_expect(ota_digest_is_zero(&m.blocks));
}

Test(manifest, one_with_a_block_table_names_it_behind_the_chunks)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = repairable(), back = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 }, again = { 0 };
	struct ota_digest want = sample_digest("blocks");

	cr_assert_eq(ota_manifest_encode(&m, &bytes, NULL), OTA_OK);
	cr_expect_eq(memcmp(bytes.at, "OTM2", 4), 0);
	cr_assert_eq(bytes.len, OTA_MANIFEST_HEAD_LEN + 4 * OTA_DIGEST_LEN);
	cr_expect_eq(
		memcmp(bytes.at + bytes.len - OTA_DIGEST_LEN, want.at, OTA_DIGEST_LEN),
		0);
	cr_assert_eq(ota_manifest_parse(ota_buf_bytes(&bytes), &back, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&back.blocks, &want));
	cr_expect(ota_digest_equal(&back.chunks[2], &m.chunks[2]));
	cr_assert_eq(ota_manifest_encode(&back, &again, NULL), OTA_OK);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&bytes), ota_buf_bytes(&again)));
}

Test(manifest, every_prefix_of_one_with_a_block_table_is_refused)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = repairable();
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_manifest out = { .chunk_count = 77 };

	cr_assert_eq(ota_manifest_encode(&m, &bytes, NULL), OTA_OK);
	for (size_t len = 0; len < bytes.len; len++)
		cr_expect_eq(ota_manifest_parse(
				     (struct ota_bytes){ bytes.at, len }, &out, NULL),
			OTA_E_FORMAT, "%zu bytes", len);
	cr_assert_eq(ota_buf_add_u8(&bytes, 0), OTA_OK);
	cr_expect_eq(ota_manifest_parse(ota_buf_bytes(&bytes), &out, NULL), OTA_E_FORMAT);
	cr_expect_eq(out.chunk_count, 77);
}

Test(manifest, a_block_table_of_zero_or_of_no_source_is_refused)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = repairable();
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 }, none = { 0 };
	struct ota_manifest out;
	struct ota_error err = { 0 };

	cr_assert_eq(ota_manifest_encode(&m, &bytes, NULL), OTA_OK);
	memset(bytes.at + bytes.len - OTA_DIGEST_LEN, 0, OTA_DIGEST_LEN);
	cr_expect_eq(ota_manifest_parse(ota_buf_bytes(&bytes), &out, &err), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "manifest: blocks is zero");
	m.from = (struct ota_digest){ { 0 } };
	m.from_len = 0;
	cr_expect_eq(ota_manifest_encode(&m, &none, &err), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "manifest: blocks without from_digest");
}

/* Chunks */

static struct ota_buf chunk_bytes(uint32_t index)
{
	struct ota_buf out = { 0 };

	cr_assert_eq(ota_chunk_encode(index, sample_chunk(index), &out), OTA_OK);
	return out;
}

Test(chunk, each_of_a_patch_is_accepted_with_its_own_bytes)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();

	for (uint32_t i = 0; i < m.chunk_count; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = chunk_bytes(i);
		struct ota_bytes data = { 0 };
		uint32_t index = 77;

		cr_expect_eq(
			ota_chunk_check(&m, ota_buf_bytes(&bytes), &index, &data, NULL),
			OTA_OK);
		cr_expect_eq(index, i);
		cr_expect(ota_bytes_equal(data, sample_chunk(i)));
	}
}

Test(chunk, every_bit_flip_is_refused)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = chunk_bytes(2);
	struct ota_bytes data = { 0 };
	uint32_t index = 77;

	for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
		bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect_neq(
			ota_chunk_check(&m, ota_buf_bytes(&bytes), &index, &data, NULL),
			OTA_OK, "bit %zu", bit);
		bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	cr_expect_eq(index, 77);
	cr_expect_null(data.at);
}

static const struct wrong_chunk {
	size_t at;
	uint8_t with;
	int more; /* bytes too many */
	enum ota_code code;
	const char *text;
} wrong_chunks[] = {
	{ 0, 'X', 0, OTA_E_FORMAT, "not a chunk" },
	{ 4, 3, 0, OTA_E_LIMIT, "chunk 3 of 3" },
	{ 7, 255, 0, OTA_E_LIMIT, "chunk 4278190082 of 3" },
	{ 4, 1, 0, OTA_E_FORMAT, "chunk 1: 100 bytes, not 4096" },
	{ 8, 'X', 0, OTA_E_DIGEST, "chunk 2: wrong content" },
	{ 0, 'O', 1, OTA_E_FORMAT, "chunk 2: 101 bytes, not 100" },
	{ 0, 'O', -1, OTA_E_FORMAT, "chunk 2: 99 bytes, not 100" },
	{ 0, 'O', -101, OTA_E_FORMAT, "not a chunk" },
};

Test(chunk, a_wrong_one_is_refused_with_its_code)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();

	for (size_t i = 0; i < COUNT(wrong_chunks); i++) {
		const struct wrong_chunk *row = &wrong_chunks[i];
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = chunk_bytes(2);
		struct ota_bytes data;
		struct ota_error err = { 0 };
		uint32_t index;

		cr_assert_eq(ota_buf_add_u8(&bytes, 0), OTA_OK);
		bytes.len = (size_t)((int)bytes.len - 1 + row->more);
		bytes.at[row->at] = row->with;
		cr_expect_eq(
			ota_chunk_check(&m, ota_buf_bytes(&bytes), &index, &data, &err),
			row->code, "row %zu", i);
		cr_expect_str_eq(err.text, row->text, "row %zu: %s", i, err.text);
	}
}

Test(chunk, one_at_the_place_of_another_is_refused)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = chunk_bytes(0);
	struct ota_bytes data;
	uint32_t index;

	bytes.at[4] = 1;
	cr_expect_eq(ota_chunk_check(&m, ota_buf_bytes(&bytes), &index, &data, NULL),
		OTA_E_DIGEST);
}

/* Needs */

static struct ota_buf need_bytes(uint32_t count, const char *bitmap)
{
	struct ota_need need = { .patch = sample_digest("patch"), .chunk_count = count };
	struct ota_buf out = { 0 };

	need.bitmap = (struct ota_bytes){ (const uint8_t *)bitmap, (count + 7) / 8 };
	cr_assert_eq(ota_need_encode(&need, &out), OTA_OK);
	return out;
}

Test(need, encode_of_parse_is_the_same_bytes)
{
	static const uint32_t counts[] = { 0, 1, 7, 8, 9, 17 };

	for (size_t i = 0; i < COUNT(counts); i++) {
		OTA_AUTO(ota_buf_fini)
		struct ota_buf bytes = need_bytes(counts[i], "\x01\x01\x01");
		OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
		struct ota_need need = { 0 };

		cr_assert_eq(ota_need_parse(ota_buf_bytes(&bytes), &need, NULL), OTA_OK,
			"%u", counts[i]);
		cr_expect_eq(need.chunk_count, counts[i]);
		cr_assert_eq(ota_need_encode(&need, &again), OTA_OK);
		cr_expect(ota_bytes_equal(ota_buf_bytes(&bytes), ota_buf_bytes(&again)));
	}
}

Test(need, every_prefix_is_refused_and_so_is_one_byte_more)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = need_bytes(9, "\xff\x01");
	struct ota_need need = { .chunk_count = 77 };

	for (size_t len = 0; len < bytes.len; len++)
		cr_expect_eq(
			ota_need_parse((struct ota_bytes){ bytes.at, len }, &need, NULL),
			OTA_E_FORMAT, "%zu bytes", len);
	cr_assert_eq(ota_buf_add_u8(&bytes, 0), OTA_OK);
	cr_expect_eq(ota_need_parse(ota_buf_bytes(&bytes), &need, NULL), OTA_E_FORMAT);
	cr_expect_eq(need.chunk_count, 77);
}

Test(need, bits_behind_the_last_chunk_and_counts_over_the_limit_are_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf tail = need_bytes(9, "\xff\x02");
	OTA_AUTO(ota_buf_fini) struct ota_buf many = need_bytes(0, "");
	struct ota_need need;
	struct ota_error err = { 0 };

	cr_expect_eq(ota_need_parse(ota_buf_bytes(&tail), &need, &err), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "need: bitmap does not fit 9 chunks");
	memcpy(many.at + 36, "\x41\x1f", 2);
	cr_expect_eq(ota_need_parse(ota_buf_bytes(&many), &need, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "need: 8001 chunks");
}
