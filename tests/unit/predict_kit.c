#include "tests/unit/predict_kit.h"

#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/lzma_out.h"

enum { FUNCTION_LEN = 32, BASE = 0x10000, HEAP_MAX = 64 << 20, WINDOW_LOG = 16 };

void kit_cover_add(struct kit_tables *tables, uint64_t to, uint64_t from, uint32_t len)
{
	if (tables->tables.cover_count == KIT_COVERS_MAX)
		abort();
	tables->covers[tables->tables.cover_count++] =
		(struct ota_cover){ to, from, len, true };
}

/* Where function i stands, in bytes from the program's start. */
static uint32_t place(const struct kit_program *p, uint32_t i, bool is_new)
{
	return FUNCTION_LEN * i + (is_new && i >= p->cut ? p->moved : 0);
}

static void add_word(struct ota_buf *out, uint32_t word)
{
	if (ota_buf_add_le32(out, word) != OTA_OK)
		abort();
}

/* A name, three calls, and what makes each function look different. */
static void add_function(
	struct ota_buf *out, const struct kit_program *p, uint32_t i, bool is_new)
{
	uint32_t at = place(p, i, is_new);

	add_word(out, 0xd2800000 | (i & 0xffff) << 5); /* movz x0, #i */
	for (uint32_t k = 1; k <= 3; k++) {
		uint32_t to = place(p, (i * 7 + k * 5) % p->functions, is_new);
		bool stray = (i * 7 + k * 5) % p->functions == p->stray;

		if (stray && is_new)
			to = 8 * FUNCTION_LEN;
		add_word(out, 0x94000000 | (((to - at) / 4 - k) & 0x3ffffff)); /* bl */
	}
	for (uint32_t k = 0; k < 3; k++)
		add_word(out, 0xd2800001 | ((i * 31 + k) & 0xffff) << 5);
	add_word(out, 0xd65f03c0); /* ret */
}

static void add_code(struct ota_buf *out, const struct kit_program *p, bool is_new)
{
	for (uint32_t i = 0; i < p->functions; i++) {
		if (is_new && i == p->cut)
			kit_noise(out, p->moved, 77);
		add_function(out, p, i, is_new);
	}
}

static void add_pair(struct kit_tables *tables, const struct kit_program *p,
	uint64_t from, uint64_t to)
{
	uint32_t n = tables->tables.pair_count++;
	uint64_t len = (uint64_t)p->functions * FUNCTION_LEN;

	if (n == KIT_PAIRS_MAX)
		abort();
	tables->from[n] = (struct ota_span){ from, len, BASE };
	tables->to[n] =
		(struct ota_span){ to, len + p->moved, (int64_t)(BASE + p->new_address) };
	tables->regions[n] = (struct ota_region){
		.offset = from, .len = len, .address = BASE, .kind = OTA_REGION_A64
	};
	tables->pairs[n] = (struct ota_pair){ .bounds = { BASE, (int64_t)(BASE + len),
						      BASE, (int64_t)(BASE + len) },
		.from = &tables->from[n],
		.to = &tables->to[n],
		.regions = &tables->regions[n],
		.from_count = 1,
		.to_count = 1,
		.region_count = 1 };
	tables->tables.covers = tables->covers;
	tables->tables.pairs = tables->pairs;
}

void kit_program_add(
	struct kit_patch *kit, struct kit_tables *tables, const struct kit_program *p)
{
	uint32_t head = p->cut * FUNCTION_LEN;
	uint32_t tail = (p->functions - p->cut) * FUNCTION_LEN;
	uint64_t from, to;

	if (p->noise > 0)
		kit_cover_add(tables, kit->to.len, kit->from.len, p->noise);
	kit_noise(&kit->from, p->noise, 5);
	kit_noise(&kit->to, p->noise, 5);
	from = kit->from.len;
	to = kit->to.len;
	add_code(&kit->from, p, false);
	add_code(&kit->to, p, true);
	if (head > 0)
		kit_cover_add(tables, to, from, head);
	if (tail > 0)
		kit_cover_add(tables, to + head + p->moved, from + head, tail);
	add_pair(tables, p, from, to);
}

/* What makes the segments. */
struct maker {
	struct kit_patch *kit;
	struct kit_making *making;
	struct ota_segment_out segment;
	struct ota_lay *lay;
};

/* Would a field with this target be the new one? */
static bool is_right(const struct ota_guess *guess, const uint8_t *want, int64_t target)
{
	uint8_t field[OTA_REF_FIELD_MAX];

	memcpy(field, guess->field, guess->form->len);
	if (!guess->form->write(field, &guess->spot, target))
		return false;
	for (unsigned i = 0; i < guess->form->len; i++)
		if (((field[i] ^ want[i]) & guess->form->mask[i]) != 0)
			return false;
	return true;
}

static enum ota_code fix(void *ctx, struct ota_guess *guess, struct ota_error *err)
{
	struct maker *maker = ctx;
	const uint8_t *want = maker->kit->to.at + guess->to;
	struct ota_guess asked = *guess;
	int64_t target = guess->form->read(want, &guess->spot, guess->target);

	(void)err;
	if (!is_right(guess, want, guess->target)) {
		guess->plain = !is_right(guess, want, target);
		guess->target = guess->plain ? guess->target : target;
		maker->making->fixes++;
	}
	maker->making->guesses++;
	return ota_segment_out_guess(&maker->segment, &asked, guess);
}

static enum ota_code end_segment(struct maker *maker)
{
	if (maker->segment.to_len == 0)
		return OTA_OK;
	maker->making->segments++;
	maker->making->wrong +=
		(uint32_t)maker->segment.columns[OTA_SEGMENT_DIFFERENCES].len;
	maker->making->extra += (uint32_t)maker->segment.columns[OTA_SEGMENT_EXTRA].len;
	ota_lay_forget(maker->lay);
	return ota_segment_write(&maker->segment, &maker->making->raw);
}

static enum ota_code add_cover(
	struct maker *maker, const struct ota_cover *cover, struct ota_error *err)
{
	uint32_t max = maker->making->lay_max != 0 ? maker->making->lay_max : 4096, len;
	struct ota_lay_part part = { cover, 0, max };
	ota_autofree uint8_t *out = malloc(max + OTA_REF_FIELD_MAX);
	enum ota_code rc = out == NULL ? OTA_E_NOMEM : OTA_OK;

	for (; part.done < cover->len && rc == OTA_OK; part.done += len) {
		rc = ota_lay_next(maker->lay, &part, out, &len, err);
		if (rc == OTA_OK)
			rc = ota_segment_out_covered(&maker->segment, out,
				maker->kit->to.at + cover->to + part.done, len);
		if (rc == OTA_OK && maker->segment.to_len >= maker->making->segment_len)
			rc = end_segment(maker);
	}
	return rc;
}

/* Bytes of the new image up to `end` that no cover has. */
static enum ota_code add_gap(struct maker *maker, uint64_t at, uint64_t end)
{
	struct ota_bytes gap = { maker->kit->to.at, (size_t)(end - at) };
	enum ota_code rc;

	if (gap.len == 0)
		return OTA_OK;
	gap.at += at;
	rc = ota_segment_out_extra(&maker->segment, gap);
	if (rc == OTA_OK && maker->segment.to_len >= maker->making->segment_len)
		rc = end_segment(maker);
	return rc;
}

static enum ota_code add_all(
	struct maker *maker, const struct ota_tables *tables, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;
	uint64_t at = 0;

	for (uint32_t i = 0; i < tables->cover_count && rc == OTA_OK; i++) {
		const struct ota_cover *cover = &tables->covers[i];

		rc = add_gap(maker, at, cover->to);
		if (rc == OTA_OK)
			rc = add_cover(maker, cover, err);
		at = cover->to + cover->len;
	}
	if (rc == OTA_OK)
		rc = add_gap(maker, at, maker->kit->to.len);
	return rc == OTA_OK ? end_segment(maker) : rc;
}

static enum ota_code add_tables(
	struct kit_making *making, const struct ota_tables *tables)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf block = { 0 };
	enum ota_code rc = ota_tables_write(tables, &block);

	making->raw.len = 0;
	return rc != OTA_OK ? rc : ota_block_write(ota_buf_bytes(&block), &making->raw);
}

static enum ota_code keep(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	(void)err;
	return ota_buf_add(ctx, data);
}

enum ota_code kit_pack(struct kit_patch *kit, const struct kit_making *making)
{
	OTA_AUTO(ota_lzma_out_fini) struct ota_lzma_out out = { 0 };
	enum ota_code rc;

	kit->patch.len = 0;
	rc = ota_lzma_out_init(
		&out, WINDOW_LOG, (struct ota_stage){ &kit->patch, keep }, NULL);
	if (rc == OTA_OK)
		rc = ota_lzma_out_feed(&out, ota_buf_bytes(&making->raw), NULL);
	if (rc == OTA_OK)
		rc = ota_lzma_out_finish(&out, NULL);
	kit->manifest = (struct ota_manifest){ .codec = OTA_CODEC_PREDICT,
		.window_log = WINDOW_LOG,
		.raw_len = making->raw.len,
		.patch_len = kit->patch.len,
		.from_len = kit->from.len,
		.to_len = kit->to.len,
		.to = ota_digest_of(ota_buf_bytes(&kit->to)) };
	return rc;
}

enum ota_code kit_predict(struct kit_patch *kit, const struct kit_tables *tables,
	struct kit_making *making, struct ota_error *err)
{
	struct maker maker = { .kit = kit, .making = making };
	struct ota_heap heap = { .max = HEAP_MAX };
	struct ota_bytes bytes = ota_buf_bytes(&kit->from);
	struct ota_source from = ota_source_of(&bytes);
	struct ota_fix port = { &maker, fix };
	enum ota_code rc;

	if (making->segment_len == 0)
		making->segment_len = OTA_SEGMENT_TO_MAX;
	rc = add_tables(making, &tables->tables);
	if (rc == OTA_OK)
		rc = ota_lay_new(&tables->tables, &from, &port, &heap, &maker.lay);
	if (rc == OTA_OK)
		rc = add_all(&maker, &tables->tables, err);
	ota_segment_out_fini(&maker.segment);
	ota_lay_free(maker.lay);
	return rc != OTA_OK ? rc : kit_pack(kit, making);
}

void kit_making_fini(struct kit_making *making)
{
	ota_buf_fini(&making->raw);
}
