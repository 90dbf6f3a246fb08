#include "proto/wire/block_table.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/manifest.h"

static const uint8_t table_magic[4] = "OTB1";

uint32_t ota_block_len_for(uint64_t image_len)
{
	uint32_t len = OTA_BLOCK_LEN_MIN;

	if (image_len == 0)
		return 0;
	while (len <= OTA_BLOCK_LEN_MAX && (uint64_t)len * OTA_BLOCKS_MAX < image_len)
		len *= 2;
	return len <= OTA_BLOCK_LEN_MAX ? len : 0;
}

uint32_t ota_block_len(const struct ota_block_table *table, uint32_t index)
{
	uint64_t before = (uint64_t)table->block_len * index;
	uint64_t left;

	if (index >= table->count || before >= table->image_len)
		return 0;
	left = table->image_len - before;
	return left < table->block_len ? (uint32_t)left : table->block_len;
}

static OTA_CHECKED enum ota_code check_head(
	const struct ota_block_table *t, struct ota_error *err)
{
	uint32_t want = ota_block_len_for(t->image_len);

	if (want == 0)
		return ota_fail(err, OTA_E_LIMIT, "image_len %llu",
			(unsigned long long)t->image_len);
	if (t->block_len != want)
		return ota_fail(err, OTA_E_FORMAT, "block_len %u, not %u for %llu bytes",
			t->block_len, want, (unsigned long long)t->image_len);
	if (t->count != (t->image_len + want - 1) / want)
		return ota_fail(err, OTA_E_FORMAT, "%u blocks for %llu bytes", t->count,
			(unsigned long long)t->image_len);
	if (ota_digest_is_zero(&t->image))
		return ota_fail(err, OTA_E_FORMAT, "image is zero");
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_block(
	const struct ota_block_table *t, uint32_t index, struct ota_error *err)
{
	const struct ota_block *block = &t->blocks[index];
	uint32_t len = ota_block_len(t, index);

	if (block->packed_len < 1 || block->packed_len > len)
		return ota_fail(err, OTA_E_LIMIT, "block %u: packed_len %u of %u", index,
			block->packed_len, len);
	if (block->packed_len == len && !ota_digest_equal(&block->raw, &block->packed))
		return ota_fail(err, OTA_E_FORMAT,
			"block %u: not packed, but of another digest", index);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_blocks(
	const struct ota_block_table *t, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (uint32_t i = 0; i < t->count && rc == OTA_OK; i++)
		rc = check_block(t, i, err);
	return rc;
}

static void read_digest(struct ota_reader *r, struct ota_digest *out)
{
	const uint8_t *at = ota_read(r, OTA_DIGEST_LEN);

	if (at != NULL)
		memcpy(out->at, at, OTA_DIGEST_LEN);
}

static OTA_CHECKED enum ota_code read_head(
	struct ota_reader *r, struct ota_block_table *t, struct ota_error *err)
{
	const uint8_t *magic = ota_read(r, sizeof table_magic);

	if (magic == NULL || memcmp(magic, table_magic, sizeof table_magic) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not a block table");
	t->block_len = ota_read_le32(r);
	t->image_len = ota_read_le64(r);
	read_digest(r, &t->image);
	t->count = ota_read_le32(r);
	if (r->bad)
		return ota_fail(err, OTA_E_FORMAT, "cut short");
	return check_head(t, err);
}

static OTA_CHECKED enum ota_code read_blocks(
	struct ota_reader *r, struct ota_block_table *t, struct ota_error *err)
{
	if (r->left != (size_t)t->count * OTA_BLOCK_ENTRY_LEN)
		return ota_fail(
			err, OTA_E_FORMAT, "%zu bytes for %u blocks", r->left, t->count);
	t->blocks = calloc(t->count, sizeof *t->blocks);
	if (t->blocks == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%u blocks", t->count);
	for (uint32_t i = 0; i < t->count; i++) {
		read_digest(r, &t->blocks[i].raw);
		read_digest(r, &t->blocks[i].packed);
		t->blocks[i].packed_len = ota_read_le32(r);
	}
	return check_blocks(t, err);
}

enum ota_code ota_block_table_parse(
	struct ota_bytes in, struct ota_block_table *out, struct ota_error *err)
{
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };
	struct ota_reader r = ota_reader_of(in);
	enum ota_code rc = read_head(&r, &table, err);

	if (rc == OTA_OK)
		rc = read_blocks(&r, &table, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "block table");
	*out = table;
	table = (struct ota_block_table){ 0 };
	return OTA_OK;
}

static OTA_CHECKED enum ota_code add_digest(
	struct ota_buf *out, const struct ota_digest *digest)
{
	return ota_buf_add(out, (struct ota_bytes){ digest->at, OTA_DIGEST_LEN });
}

static OTA_CHECKED enum ota_code add_head(
	const struct ota_block_table *t, struct ota_buf *out)
{
	enum ota_code rc =
		ota_buf_add(out, (struct ota_bytes){ table_magic, sizeof table_magic });

	if (rc == OTA_OK)
		rc = ota_buf_add_le32(out, t->block_len);
	if (rc == OTA_OK)
		rc = ota_buf_add_le64(out, t->image_len);
	if (rc == OTA_OK)
		rc = add_digest(out, &t->image);
	return rc == OTA_OK ? ota_buf_add_le32(out, t->count) : rc;
}

static OTA_CHECKED enum ota_code add_block(
	const struct ota_block *block, struct ota_buf *out)
{
	enum ota_code rc = add_digest(out, &block->raw);

	if (rc == OTA_OK)
		rc = add_digest(out, &block->packed);
	return rc == OTA_OK ? ota_buf_add_le32(out, block->packed_len) : rc;
}

enum ota_code ota_block_table_encode(
	const struct ota_block_table *table, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf whole = { 0 };
	enum ota_code rc = check_head(table, err);

	if (rc == OTA_OK)
		rc = check_blocks(table, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "block table");
	rc = add_head(table, &whole);
	for (uint32_t i = 0; i < table->count && rc == OTA_OK; i++)
		rc = add_block(&table->blocks[i], &whole);
	if (rc == OTA_OK)
		rc = ota_buf_add(out, ota_buf_bytes(&whole));
	return rc == OTA_OK ? rc : ota_fail(err, rc, "block table");
}

void ota_block_table_fini(struct ota_block_table *table)
{
	free(table->blocks);
	*table = (struct ota_block_table){ 0 };
}

enum ota_code ota_block_check(const struct ota_block_table *table, struct ota_bytes in,
	uint32_t *index, struct ota_bytes *data, struct ota_error *err)
{
	struct ota_bytes rest;
	struct ota_digest digest;
	uint32_t i;
	enum ota_code rc = ota_chunk_split(in, &i, &rest, err);

	if (rc != OTA_OK)
		return rc;
	if (i >= table->count)
		return ota_fail(err, OTA_E_LIMIT, "block %u of %u", i, table->count);
	if (rest.len != table->blocks[i].packed_len)
		return ota_fail(err, OTA_E_FORMAT, "block %u: %zu bytes, not %u", i,
			rest.len, table->blocks[i].packed_len);
	digest = ota_digest_of(rest);
	if (!ota_digest_equal(&digest, &table->blocks[i].packed))
		return ota_fail(err, OTA_E_DIGEST, "block %u: wrong content", i);
	*index = i;
	*data = rest;
	return OTA_OK;
}
