#include "proto/wire/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

enum {
	WINDOW_LOG_MIN = 10,
	WINDOW_LOG_MAX = 27,
};

/* Lengths stay below it, as in JSON, so that sums of them cannot wrap. */
static const uint64_t LEN_MAX = (UINT64_C(1) << 53) - 1;

static const uint8_t manifest_magic[4] = "OTM1";
static const uint8_t blocks_magic[4] = "OTM2";
static const uint8_t chunk_magic[4] = "OTC1";
static const uint8_t need_magic[4] = "OTN1";

static bool read_magic(struct ota_reader *r, const uint8_t magic[static 4])
{
	const uint8_t *at = ota_read(r, 4);

	return at != NULL && memcmp(at, magic, 4) == 0;
}

static OTA_CHECKED enum ota_code check_lengths(
	const struct ota_manifest *m, struct ota_error *err)
{
	const struct {
		const char *name;
		uint64_t len;
	} rows[] = {
		{ "patch_len", m->patch_len },
		{ "raw_len", m->raw_len },
		{ "from_len", m->from_len },
		{ "to_len", m->to_len },
		{ "decoder_ram", m->decoder_ram },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].len > LEN_MAX)
			return ota_fail(err, OTA_E_LIMIT, "%s %llu", rows[i].name,
				(unsigned long long)rows[i].len);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_head(
	const struct ota_manifest *m, struct ota_error *err)
{
	if (m->codec == 0)
		return ota_fail(err, OTA_E_FORMAT, "codec 0");
	if (m->window_log < WINDOW_LOG_MIN || m->window_log > WINDOW_LOG_MAX)
		return ota_fail(err, OTA_E_LIMIT, "window_log %u", m->window_log);
	if (m->chunk_len < OTA_CHUNK_LEN_MIN || m->chunk_len > OTA_CHUNK_LEN)
		return ota_fail(err, OTA_E_LIMIT, "chunk_len %u", m->chunk_len);
	if (m->chunk_count < 1 || m->chunk_count > OTA_CHUNKS_MAX)
		return ota_fail(err, OTA_E_LIMIT, "chunk_count %u", m->chunk_count);
	if (m->patch_len > (uint64_t)m->chunk_len * m->chunk_count ||
		m->patch_len <= (uint64_t)m->chunk_len * (m->chunk_count - 1))
		return ota_fail(err, OTA_E_FORMAT, "%u chunks for %llu bytes",
			m->chunk_count, (unsigned long long)m->patch_len);
	if (ota_digest_is_zero(&m->from) && m->from_len > 0)
		return ota_fail(err, OTA_E_FORMAT, "from_len without from_digest");
	if (ota_digest_is_zero(&m->from) && !ota_digest_is_zero(&m->blocks))
		return ota_fail(err, OTA_E_FORMAT, "blocks without from_digest");
	return check_lengths(m, err);
}

static void read_digest(struct ota_reader *r, struct ota_digest *out)
{
	const uint8_t *at = ota_read(r, OTA_DIGEST_LEN);

	if (at != NULL)
		memcpy(out->at, at, OTA_DIGEST_LEN);
}

/* Everything before the chunk table. */
static OTA_CHECKED enum ota_code read_head(struct ota_reader *r, struct ota_manifest *m,
	bool *has_blocks, struct ota_error *err)
{
	const uint8_t *magic = ota_read(r, sizeof manifest_magic);
	uint8_t zero;

	if (magic == NULL)
		return ota_fail(err, OTA_E_FORMAT, "not a manifest");
	*has_blocks = memcmp(magic, blocks_magic, sizeof blocks_magic) == 0;
	if (!*has_blocks && memcmp(magic, manifest_magic, sizeof manifest_magic) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not a manifest");
	m->codec = ota_read_u8(r);
	m->window_log = ota_read_u8(r);
	zero = ota_read_u8(r);
	zero |= ota_read_u8(r);
	m->chunk_len = ota_read_le32(r);
	m->chunk_count = ota_read_le32(r);
	m->patch_len = ota_read_le64(r);
	m->raw_len = ota_read_le64(r);
	m->from_len = ota_read_le64(r);
	m->to_len = ota_read_le64(r);
	m->decoder_ram = ota_read_le64(r);
	read_digest(r, &m->from);
	read_digest(r, &m->to);
	if (r->bad)
		return ota_fail(err, OTA_E_FORMAT, "cut short");
	if (zero != 0)
		return ota_fail(err, OTA_E_FORMAT, "bytes 6 and 7 are not zero");
	return check_head(m, err);
}

static OTA_CHECKED enum ota_code read_blocks(
	struct ota_reader *r, struct ota_manifest *m, struct ota_error *err)
{
	read_digest(r, &m->blocks);
	if (ota_digest_is_zero(&m->blocks))
		return ota_fail(err, OTA_E_FORMAT, "blocks is zero");
	if (ota_digest_is_zero(&m->from))
		return ota_fail(err, OTA_E_FORMAT, "blocks without from_digest");
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_chunks(struct ota_reader *r, struct ota_manifest *m,
	bool has_blocks, struct ota_error *err)
{
	size_t len = (size_t)m->chunk_count * OTA_DIGEST_LEN;
	const uint8_t *at;
	enum ota_code rc = OTA_OK;

	if (r->left != len + (has_blocks ? OTA_DIGEST_LEN : 0))
		return ota_fail(err, OTA_E_FORMAT, "%zu bytes for %u chunks", r->left,
			m->chunk_count);
	at = ota_read(r, len);
	if (has_blocks)
		rc = read_blocks(r, m, err);
	if (rc != OTA_OK)
		return rc;
	m->chunks = malloc(len);
	if (m->chunks == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%u chunks", m->chunk_count);
	memcpy(m->chunks, at, len);
	return OTA_OK;
}

enum ota_code ota_manifest_parse(
	struct ota_bytes in, struct ota_manifest *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	struct ota_manifest manifest = { 0 };
	bool has_blocks = false;
	enum ota_code rc = read_head(&r, &manifest, &has_blocks, err);

	if (rc == OTA_OK)
		rc = read_chunks(&r, &manifest, has_blocks, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "manifest");
	*out = manifest;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code add_head(
	const struct ota_manifest *m, struct ota_buf *out)
{
	const uint8_t *magic =
		ota_digest_is_zero(&m->blocks) ? manifest_magic : blocks_magic;
	const uint8_t head[8] = { magic[0], magic[1], magic[2], magic[3], m->codec,
		m->window_log };
	const uint64_t lengths[] = { m->patch_len, m->raw_len, m->from_len, m->to_len,
		m->decoder_ram };
	enum ota_code rc = ota_buf_add(out, (struct ota_bytes){ head, sizeof head });

	if (rc == OTA_OK)
		rc = ota_buf_add_le32(out, m->chunk_len);
	if (rc == OTA_OK)
		rc = ota_buf_add_le32(out, m->chunk_count);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0] && rc == OTA_OK; i++)
		rc = ota_buf_add_le64(out, lengths[i]);
	if (rc == OTA_OK)
		rc = ota_buf_add(out, (struct ota_bytes){ m->from.at, OTA_DIGEST_LEN });
	if (rc == OTA_OK)
		rc = ota_buf_add(out, (struct ota_bytes){ m->to.at, OTA_DIGEST_LEN });
	return rc;
}

enum ota_code ota_manifest_encode(
	const struct ota_manifest *manifest, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf whole = { 0 };
	enum ota_code rc = check_head(manifest, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "manifest");
	rc = add_head(manifest, &whole);
	for (uint32_t i = 0; i < manifest->chunk_count && rc == OTA_OK; i++)
		rc = ota_buf_add(&whole,
			(struct ota_bytes){ manifest->chunks[i].at, OTA_DIGEST_LEN });
	if (rc == OTA_OK && !ota_digest_is_zero(&manifest->blocks))
		rc = ota_buf_add(&whole,
			(struct ota_bytes){ manifest->blocks.at, OTA_DIGEST_LEN });
	if (rc == OTA_OK)
		rc = ota_buf_add(out, ota_buf_bytes(&whole));
	return rc == OTA_OK ? rc : ota_fail(err, rc, "manifest");
}

void ota_manifest_fini(struct ota_manifest *manifest)
{
	free(manifest->chunks);
	*manifest = (struct ota_manifest){ 0 };
}

uint32_t ota_manifest_chunk_len(const struct ota_manifest *manifest, uint32_t index)
{
	uint64_t before = (uint64_t)manifest->chunk_len * index;
	uint64_t left;

	if (index >= manifest->chunk_count || before >= manifest->patch_len)
		return 0;
	left = manifest->patch_len - before;
	return left < manifest->chunk_len ? (uint32_t)left : manifest->chunk_len;
}

enum ota_code ota_chunk_split(struct ota_bytes in, uint32_t *index,
	struct ota_bytes *data, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	bool is_chunk = read_magic(&r, chunk_magic);
	uint32_t i = ota_read_le32(&r);

	if (!is_chunk || r.bad)
		return ota_fail(err, OTA_E_FORMAT, "not a chunk");
	*index = i;
	*data = (struct ota_bytes){ r.at, r.left };
	return OTA_OK;
}

enum ota_code ota_chunk_check(const struct ota_manifest *manifest, struct ota_bytes in,
	uint32_t *index, struct ota_bytes *data, struct ota_error *err)
{
	struct ota_bytes rest;
	struct ota_digest digest;
	uint32_t i;
	enum ota_code rc = ota_chunk_split(in, &i, &rest, err);

	if (rc != OTA_OK)
		return rc;
	if (i >= manifest->chunk_count)
		return ota_fail(
			err, OTA_E_LIMIT, "chunk %u of %u", i, manifest->chunk_count);
	if (rest.len != ota_manifest_chunk_len(manifest, i))
		return ota_fail(err, OTA_E_FORMAT, "chunk %u: %zu bytes, not %u", i,
			rest.len, ota_manifest_chunk_len(manifest, i));
	digest = ota_digest_of(rest);
	if (!ota_digest_equal(&digest, &manifest->chunks[i]))
		return ota_fail(err, OTA_E_DIGEST, "chunk %u: wrong content", i);
	*index = i;
	*data = rest;
	return OTA_OK;
}

enum ota_code ota_chunk_encode(uint32_t index, struct ota_bytes data, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf whole = { 0 };
	enum ota_code rc = ota_buf_add(
		&whole, (struct ota_bytes){ chunk_magic, sizeof chunk_magic });

	if (rc == OTA_OK)
		rc = ota_buf_add_le32(&whole, index);
	if (rc == OTA_OK)
		rc = ota_buf_add(&whole, data);
	return rc == OTA_OK ? ota_buf_add(out, ota_buf_bytes(&whole)) : rc;
}

static size_t bitmap_len(uint32_t chunk_count)
{
	return ((size_t)chunk_count + 7) / 8;
}

/* True if the bits behind the last chunk are zero: one bitmap for one meaning. */
static bool is_tail_zero(const struct ota_need *need)
{
	unsigned used = need->chunk_count % 8;

	return used == 0 || need->bitmap.at[need->bitmap.len - 1] >> used == 0;
}

enum ota_code ota_need_parse(
	struct ota_bytes in, struct ota_need *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	bool is_need = read_magic(&r, need_magic);
	struct ota_need need = { 0 };

	read_digest(&r, &need.patch);
	need.chunk_count = ota_read_le32(&r);
	if (!is_need || r.bad)
		return ota_fail(err, OTA_E_FORMAT, "not a need");
	if (need.chunk_count > OTA_CHUNKS_MAX)
		return ota_fail(err, OTA_E_LIMIT, "need: %u chunks", need.chunk_count);
	need.bitmap = (struct ota_bytes){ r.at, r.left };
	if (r.left != bitmap_len(need.chunk_count) || !is_tail_zero(&need))
		return ota_fail(err, OTA_E_FORMAT, "need: bitmap does not fit %u chunks",
			need.chunk_count);
	*out = need;
	return OTA_OK;
}

enum ota_code ota_need_encode(const struct ota_need *need, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf whole = { 0 };
	enum ota_code rc =
		ota_buf_add(&whole, (struct ota_bytes){ need_magic, sizeof need_magic });

	if (rc == OTA_OK)
		rc = ota_buf_add(
			&whole, (struct ota_bytes){ need->patch.at, OTA_DIGEST_LEN });
	if (rc == OTA_OK)
		rc = ota_buf_add_le32(&whole, need->chunk_count);
	if (rc == OTA_OK)
		rc = ota_buf_add(&whole, need->bitmap);
	return rc == OTA_OK ? ota_buf_add(out, ota_buf_bytes(&whole)) : rc;
}
