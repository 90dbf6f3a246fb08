#include "proto/delta/block_pack.h"

#include <stdlib.h>

#include <zstd.h>

#include "proto/base/own.h"

enum { LEVEL = 9 }; /* of zstd: few blocks are ever fetched, all are packed */

/* What packing an image takes. */
struct packer {
	const struct ota_source *image;  /* borrowed */
	const struct ota_sink *packed;   /* borrowed */
	const struct ota_progress *tick; /* borrowed */
	ZSTD_CCtx *zstd;                 /* owned */
	uint8_t *raw, *small;            /* owned, a block each */
	struct ota_hasher hasher;
	struct ota_block_table table; /* owned */
};

static void packer_fini(struct packer *p)
{
	(void)ZSTD_freeCCtx(p->zstd);
	free(p->raw);
	free(p->small);
	ota_block_table_fini(&p->table);
}

static OTA_CHECKED enum ota_code packer_init(struct packer *p, struct ota_error *err)
{
	struct ota_block_table *table = &p->table;

	table->image_len = p->image->len;
	table->block_len = ota_block_len_for(table->image_len);
	if (table->block_len == 0)
		return ota_fail(err, OTA_E_LIMIT, "image of %llu bytes",
			(unsigned long long)table->image_len);
	table->count = (uint32_t)((table->image_len - 1) / table->block_len + 1);
	table->blocks = calloc(table->count, sizeof *table->blocks);
	p->zstd = ZSTD_createCCtx();
	p->raw = malloc(table->block_len);
	p->small = malloc(table->block_len);
	if (table->blocks == NULL || p->zstd == NULL || p->raw == NULL ||
		p->small == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%u blocks", table->count);
	ota_hasher_init(&p->hasher);
	return OTA_OK;
}

/* What is published of a block: packed, if that fits in one byte less. */
static struct ota_bytes pack(struct packer *p, struct ota_bytes raw)
{
	size_t len =
		ZSTD_compressCCtx(p->zstd, p->small, raw.len - 1, raw.at, raw.len, LEVEL);

	return ZSTD_isError(len) ? raw : (struct ota_bytes){ p->small, len };
}

static OTA_CHECKED enum ota_code add_block(
	struct packer *p, uint32_t index, struct ota_error *err)
{
	struct ota_block *block = &p->table.blocks[index];
	struct ota_bytes raw = { p->raw, ota_block_len(&p->table, index) };
	struct ota_bytes packed;
	enum ota_code rc = p->image->read(
		p->image->ctx, (uint64_t)index * p->table.block_len, p->raw, raw.len);

	if (rc != OTA_OK)
		return ota_fail(err, rc, "image");
	ota_hasher_add(&p->hasher, raw);
	packed = pack(p, raw);
	block->raw = ota_digest_of(raw);
	block->packed = ota_digest_of(packed);
	block->packed_len = (uint32_t)packed.len;
	rc = p->packed->write(p->packed->ctx, packed);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "packed");
	if (p->tick->tick != NULL &&
		!p->tick->tick(p->tick->ctx,
			(uint64_t)index * p->table.block_len + raw.len, p->image->len))
		return ota_fail(err, OTA_E_CANCELLED, "cancelled");
	return OTA_OK;
}

enum ota_code ota_block_table_make(const struct ota_source *image,
	const struct ota_sink *packed, const struct ota_progress *progress,
	struct ota_block_table *out, struct ota_error *err)
{
	OTA_AUTO(packer_fini)
	struct packer p = { .image = image, .packed = packed, .tick = progress };
	enum ota_code rc = packer_init(&p, err);

	for (uint32_t i = 0; rc == OTA_OK && i < p.table.count; i++) {
		rc = add_block(&p, i, err);
		if (rc != OTA_OK)
			rc = ota_wrap(err, rc, "block %u", i);
	}
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "block table");
	p.table.image = ota_hasher_result(&p.hasher);
	*out = p.table;
	p.table = (struct ota_block_table){ 0 };
	return OTA_OK;
}
