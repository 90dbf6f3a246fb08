#include "proto/delta/predict/tables.h"

#include <criterion/criterion.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/sort.h"
#include "proto/delta/predict/varint.h"
#include "proto/delta/predict/ways.h"

static const struct ota_ends ends = { .from_len = 10000, .to_len = 12000 };

/* Tables that a test may spoil before they are written. Two pairs with entries of every
 * list, and covers of both sorts. */
struct sample {
	struct ota_cover covers[4];
	struct ota_span from[3], to[3];
	struct ota_region regions[3];
	struct ota_pin pins[3];
	struct ota_pair pairs[2];
	struct ota_tables tables;
};

static const struct sample whole = {
	.covers = { { 0, 9000, 1000, true }, { 1000, 0, 500, true },
		{ 2000, 600, 400, true }, { 11999, 9999, 1, true } },
	.from = { { 0, 4096, 0 }, { 8192, 100, 0x11000 }, { 100, 5000, INT64_MIN } },
	.to = { { 6000, 4100, 0 }, { 10100, 100, 0x12000 }, { 10, 5000, INT64_MAX } },
	.regions = { { 16, 4000, 16, 0, OTA_REGION_A64 },
		{ 8192, 50, 0x11000, 0x11000, OTA_REGION_EH_HDR },
		{ 200, 100, -5, INT64_MIN + 1, OTA_REGION_ABS32 } },
	.pins = { { -8, INT64_MAX, 8 }, { 0, 0, 1 }, { INT64_MIN, 5, INT64_MAX } },
	.pairs = { { .bounds = { 0, 0x12000, 0x1000, 0x2000 },
			   .from_count = 2,
			   .to_count = 2,
			   .region_count = 2,
			   .pin_count = 2 },
		{ .bounds = { INT64_MIN, INT64_MAX, -1, 1 },
			.from_count = 1,
			.to_count = 1,
			.region_count = 1,
			.pin_count = 1 } },
};

static void sample_init(struct sample *s)
{
	*s = whole;
	s->pairs[0].from = s->from;
	s->pairs[0].to = s->to;
	s->pairs[0].regions = s->regions;
	s->pairs[0].pins = s->pins;
	s->pairs[1].from = &s->from[2];
	s->pairs[1].to = &s->to[2];
	s->pairs[1].regions = &s->regions[2];
	s->pairs[1].pins = &s->pins[2];
	s->tables = (struct ota_tables){
		.covers = s->covers, .pairs = s->pairs, .cover_count = 4, .pair_count = 2
	};
	ota_covers_doubt(s->covers, 4);
}

static void expect_same_covers(const struct ota_tables *a, const struct ota_tables *b)
{
	cr_assert_eq(a->cover_count, b->cover_count);
	for (uint32_t i = 0; i < a->cover_count; i++) {
		cr_expect_eq(a->covers[i].to, b->covers[i].to);
		cr_expect_eq(a->covers[i].from, b->covers[i].from);
		cr_expect_eq(a->covers[i].len, b->covers[i].len);
		cr_expect_eq(a->covers[i].maps, b->covers[i].maps);
	}
}

static void expect_same_regions(const struct ota_pair *a, const struct ota_pair *b)
{
	cr_assert_eq(a->region_count, b->region_count);
	for (uint32_t i = 0; i < a->region_count; i++) {
		cr_expect_eq(a->regions[i].offset, b->regions[i].offset);
		cr_expect_eq(a->regions[i].len, b->regions[i].len);
		cr_expect_eq(a->regions[i].address, b->regions[i].address);
		cr_expect_eq(a->regions[i].base, b->regions[i].base);
		cr_expect_eq(a->regions[i].kind, b->regions[i].kind);
	}
}

/* Spans, pins and bounds have no holes. */
static void expect_same_pair(const struct ota_pair *a, const struct ota_pair *b)
{
	cr_expect_eq(memcmp(&a->bounds, &b->bounds, sizeof a->bounds), 0);
	cr_assert_eq(a->from_count, b->from_count);
	cr_assert_eq(a->to_count, b->to_count);
	cr_assert_eq(a->pin_count, b->pin_count);
	cr_expect_eq(memcmp(a->from, b->from, a->from_count * sizeof *a->from), 0);
	cr_expect_eq(memcmp(a->to, b->to, a->to_count * sizeof *a->to), 0);
	cr_expect_eq(memcmp(a->pins, b->pins, a->pin_count * sizeof *a->pins), 0);
	expect_same_regions(a, b);
}

Test(predict_tables, what_was_written_is_read)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	OTA_AUTO(ota_tables_fini) struct ota_tables got = { 0 };
	struct ota_error err = { 0 };
	struct sample s;

	sample_init(&s);
	cr_assert(ota_tables_write(&s.tables, &buf) == OTA_OK);
	cr_assert_eq(ota_tables_read(ota_buf_bytes(&buf), &ends, NULL, &got, &err),
		OTA_OK, "%s", err.text);
	expect_same_covers(&got, &s.tables);
	cr_assert_eq(got.pair_count, 2);
	expect_same_pair(&got.pairs[0], &s.pairs[0]);
	expect_same_pair(&got.pairs[1], &s.pairs[1]);
}

Test(predict_tables, empty_tables_are_two_bytes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	OTA_AUTO(ota_tables_fini) struct ota_tables got = { 0 };
	struct ota_tables none = { 0 };

	cr_assert(ota_tables_write(&none, &buf) == OTA_OK);
	cr_assert_eq(buf.len, 2);
	cr_assert(
		ota_tables_read(ota_buf_bytes(&buf), &ends, NULL, &got, NULL) == OTA_OK);
	cr_assert_eq(ota_tables_cover_at(&got, 0), 0);
}

struct row {
	void (*spoil)(struct sample *s);
	const char *text;
};

/* One function that breaks one rule. */
#define SPOIL(name, change)                \
	static void name(struct sample *s) \
	{                                  \
		change;                    \
	}

SPOIL(from_empty, s->from[1].len = 0)
SPOIL(from_overlap, s->from[1].offset = 4095)
SPOIL(from_outside, s->from[2].offset = UINT64_MAX)
SPOIL(from_behind, s->from[1].offset = 9901)
SPOIL(from_far, s->from[1].offset = 10001)
SPOIL(to_empty, s->to[0].len = 0)
SPOIL(to_overlap, s->to[1].offset = 10099)
SPOIL(to_behind, s->to[1].len = 1901)
SPOIL(to_of_another_pair, s->to[2].offset = 1001)
SPOIL(to_the_same, s->to[2] = s->to[0])
SPOIL(region_kind, s->regions[1].kind = OTA_REGION_KIND_COUNT)
SPOIL(region_empty, s->regions[0].len = 0)
SPOIL(region_overlap, s->regions[1].offset = 4015)
SPOIL(region_behind, s->regions[2].len = 9801)
SPOIL(region_outside, s->regions[0].offset = (uint64_t)-1)
SPOIL(pin_empty, s->pins[0].len = 0)
SPOIL(pin_overlap, s->pins[1].from = -1)
SPOIL(pin_end, s->pins[1].len = UINT64_C(1) << 63)
SPOIL(pin_far, (s->pins[0].from = INT64_MAX - 8, s->pins[1].from = INT64_MIN))
SPOIL(cover_empty, s->covers[1].len = 0)
SPOIL(cover_long, s->covers[1].len = OTA_COVER_MAX + 1)
SPOIL(cover_overlap, s->covers[2].to = 1499)
SPOIL(cover_behind, s->covers[3].to = 12000)
SPOIL(cover_from, s->covers[0].from = 9001)
SPOIL(cover_from_outside, s->covers[1].from = UINT64_MAX)

/* clang-format off */
static const struct row rows[] = {
	{ from_empty, "tables: pair 0: from span 1: is empty" },
	{ from_overlap, "tables: pair 0: from span 1: begins behind its image" },
	{ from_outside, "tables: pair 1: from span 0: begins outside of its image" },
	{ from_behind, "tables: pair 0: from span 1: ends behind its image" },
	{ from_far, "tables: pair 0: from span 1: begins behind its image" },
	{ to_empty, "tables: pair 0: to span 0: is empty" },
	{ to_overlap, "tables: pair 0: to span 1: begins behind its image" },
	{ to_behind, "tables: pair 0: to span 1: ends behind its image" },
	{ to_of_another_pair, "tables: pair 0: to span 0: overlaps that of another pair" },
	{ to_the_same, "tables: pair 1: to span 0: overlaps that of another pair" },
	{ region_kind, "tables: pair 0: region 1: is of unknown kind" },
	{ region_empty, "tables: pair 0: region 0: is empty" },
	{ region_overlap, "tables: pair 0: region 1: begins behind its image" },
	{ region_behind, "tables: pair 1: region 0: ends behind its image" },
	{ region_outside, "tables: pair 0: region 0: begins outside of its image" },
	{ pin_empty, "tables: pair 0: pin 0: is empty" },
	{ pin_overlap, "tables: pair 0: pin 1: begins behind the last address" },
	{ pin_end, "tables: pair 0: pin 1: ends behind the last address" },
	{ pin_far, "tables: pair 0: pin 1: begins behind the last address" },
	{ cover_empty, "tables: cover 1: is empty" },
	{ cover_long, "tables: cover 1: is too long" },
	{ cover_overlap, "tables: cover 2: ends behind the new image" },
	{ cover_behind, "tables: cover 3: ends behind the new image" },
	{ cover_from, "tables: cover 0: is not inside the old image" },
	{ cover_from_outside, "tables: cover 1: is not inside the old image" },
};
/* clang-format on */

static void expect_refused(struct ota_bytes in, const char *text)
{
	struct ota_tables got = { .cover_count = 77 };
	struct ota_error err = { 0 };

	cr_expect_eq(ota_tables_read(in, &ends, NULL, &got, &err), OTA_E_DECODER);
	cr_expect_str_eq(err.text, text, "%s", err.text);
	cr_expect_eq(got.cover_count, 77);
}

Test(predict_tables, what_breaks_a_rule_is_named)
{
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
		struct sample s;

		sample_init(&s);
		rows[i].spoil(&s);
		cr_assert(ota_tables_write(&s.tables, &buf) == OTA_OK);
		expect_refused(ota_buf_bytes(&buf), rows[i].text);
	}
}

/* Tables as bare numbers. */
static const struct raw_row {
	unsigned count;
	uint64_t numbers[12];
	const char *text;
} raw_rows[] = {
	{ 1, { OTA_PAIRS_MAX + 1 }, "tables: 65537 pairs are too many" },
	{ 1, { 1 }, "tables: 1 pairs are too many" },
	{ 9, { 1, 0, 0, 0, 0, OTA_PAIR_PARTS_MAX + 1, 0, 0, 0 },
		"tables: pair 0: too many from spans" },
	{ 9, { 1, 0, 0, 0, 0, 0, OTA_PAIR_PARTS_MAX + 1, 0, 0 },
		"tables: pair 0: too many to spans" },
	{ 9, { 1, 0, 0, 0, 0, 0, 0, OTA_PAIR_PARTS_MAX + 1, 0 },
		"tables: pair 0: too many regions" },
	{ 9, { 1, 0, 0, 0, 0, 0, 0, 0, OTA_PAIR_PARTS_MAX + 1 },
		"tables: pair 0: too many pins" },
	{ 9, { 1, 0, 0, 0, 0, 0, 0, 0, 1 }, "tables: pair 0: cut short or malformed" },
	{ 2, { 0, (uint64_t)OTA_COVERS_MAX + 1 }, "tables: 4194305 covers are too many" },
	{ 2, { 0, 1 }, "tables: 1 covers are too many" },
	{ 5, { 0, 1, 0, 1, OTA_WAYS + 1 }, "tables: cover 0: moved in no known way" },
	{ 6, { 0, 1, 0, 1, 0, 0 },
		"tables: cover 0: moved in a way that has a lower number" },
	{ 6, { 0, 1, 0, 1, 1, 0 }, "tables: 1 bytes follow the covers" },
	{ 3, { 0, 0, 0 }, "tables: 1 bytes follow the covers" },
};

Test(predict_tables, counts_that_cannot_be_are_refused)
{
	for (unsigned i = 0; i < sizeof raw_rows / sizeof raw_rows[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };

		for (unsigned j = 0; j < raw_rows[i].count; j++)
			cr_assert(
				ota_varint_write(raw_rows[i].numbers[j], &buf) == OTA_OK);
		expect_refused(ota_buf_bytes(&buf), raw_rows[i].text);
	}
}

Test(predict_tables, every_prefix_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct sample s;

	sample_init(&s);
	cr_assert(ota_tables_write(&s.tables, &buf) == OTA_OK);
	while (buf.len-- > 0) {
		OTA_AUTO(ota_tables_fini) struct ota_tables got = { 0 };

		cr_expect_eq(
			ota_tables_read(ota_buf_bytes(&buf), &ends, NULL, &got, NULL),
			OTA_E_DECODER, "%zu bytes", buf.len);
	}
}

Test(predict_tables, a_heap_too_small_is_no_memory)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	enum ota_code rc = OTA_E_NOMEM;
	struct sample s;
	unsigned refused = 0;

	sample_init(&s);
	cr_assert(ota_tables_write(&s.tables, &buf) == OTA_OK);
	for (uint64_t max = 0; rc != OTA_OK; max += 16) {
		struct ota_heap heap = { .max = max };
		struct ota_tables got = { 0 };

		rc = ota_tables_read(ota_buf_bytes(&buf), &ends, &heap, &got, NULL);
		cr_assert(rc == OTA_OK || rc == OTA_E_NOMEM);
		refused += rc == OTA_E_NOMEM;
		cr_assert_leq(heap.peak, max);
		ota_tables_fini(&got);
		cr_assert_eq(heap.held, 0);
	}
	cr_assert_gt(refused, 10);
}

Test(predict_tables, the_cover_at_an_offset_is_the_first_that_ends_behind_it)
{
	static const uint64_t at[] = { 0, 999, 1000, 1499, 1500, 1999, 2399, 2400, 11999,
		12000, UINT64_MAX };
	static const uint32_t want[] = { 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4 };
	struct sample s;

	sample_init(&s);
	for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++)
		cr_expect_eq(ota_tables_cover_at(&s.tables, at[i]), want[i]);
}

static bool smaller(const void *a, const void *b)
{
	return *(const uint32_t *)a < *(const uint32_t *)b;
}

Test(predict_tables, sorting_sorts)
{
	uint32_t items[300];

	for (uint32_t len = 0; len <= 300; len += len < 20 ? 1 : 35) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < len; i++)
			sum += items[i] = i * 2654435761U >> (len % 3 * 8);
		ota_sort(items, len, sizeof items[0], smaller);
		for (uint32_t i = 0; i < len; i++)
			sum -= items[i];
		cr_expect_eq(sum, 0);
		for (uint32_t i = 1; i < len; i++)
			cr_assert_leq(items[i - 1], items[i]);
	}
}
