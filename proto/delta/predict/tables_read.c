#include <inttypes.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/tables_list.h"
#include "proto/delta/predict/to_order.h"
#include "proto/delta/predict/varint.h"
#include "proto/delta/predict/ways.h"

/* The fewest bytes of input behind an entry: what counts are checked against. */
enum { PAIR_LEN_MIN = 8, SPAN_LEN_MIN = 3, REGION_LEN_MIN = 5, PIN_LEN_MIN = 3 };
enum { COVER_LEN_MIN = 3 };

enum part { FROM_SPANS, TO_SPANS, REGIONS, PINS, N_PARTS };

static const struct part_row {
	const char *name;
	uint64_t len_min; /* bytes of one in the input */
	size_t item_len;  /* bytes of one in memory */
} parts[N_PARTS] = {
	[FROM_SPANS] = { "from span", SPAN_LEN_MIN, sizeof(struct ota_span) },
	[TO_SPANS] = { "to span", SPAN_LEN_MIN, sizeof(struct ota_span) },
	[REGIONS] = { "region", REGION_LEN_MIN, sizeof(struct ota_region) },
	[PINS] = { "pin", PIN_LEN_MIN, sizeof(struct ota_pin) },
};

struct reading {
	struct ota_reader r;
	const struct ota_ends *ends;
	struct ota_tables *tables;
	uint32_t totals[N_PARTS]; /* announced so far, over all pairs */
	uint64_t len_min;         /* bytes of input these take at least */
};

/* An entry that breaks a rule. */
struct fault {
	enum part part;
	uint32_t pair, index;
	const char *text;
};

static enum ota_code refuse(const struct fault *fault, struct ota_error *err)
{
	return ota_fail(err, OTA_E_DECODER,
		"tables: pair %" PRIu32 ": %s %" PRIu32 ": %s", fault->pair,
		parts[fault->part].name, fault->index, fault->text);
}

static enum ota_code refuse_cover(uint32_t index, const char *text, struct ota_error *err)
{
	return ota_fail(err, OTA_E_DECODER, "tables: cover %" PRIu32 ": %s", index, text);
}

static enum ota_code check_numbers(
	const struct reading *in, const char *name, struct ota_error *err)
{
	return in->r.bad ? ota_fail(err, OTA_E_DECODER,
				   "tables: %ss: a number is malformed", name)
			 : OTA_OK;
}

/* count zeroed items. NULL for none, and if there is no memory. */
static void *array_alloc(struct ota_heap *heap, uint32_t count, size_t item_len)
{
	void *at = NULL;

	if (count > 0 && item_len <= SIZE_MAX / count)
		at = ota_heap_alloc(heap, count * item_len);
	return at == NULL ? NULL : memset(at, 0, count * item_len);
}

/* Part by part, how many of each a pair has. */
static enum ota_code read_counts(struct reading *in, uint32_t pair,
	uint32_t counts[static N_PARTS], struct ota_error *err)
{
	for (unsigned part = 0; part < N_PARTS; part++) {
		uint64_t count = ota_varint_read(&in->r);

		if (count > OTA_PAIR_PARTS_MAX - in->totals[part])
			return ota_fail(err, OTA_E_DECODER,
				"tables: pair %" PRIu32 ": too many %ss", pair,
				parts[part].name);
		counts[part] = (uint32_t)count;
		in->totals[part] += counts[part];
		in->len_min += count * parts[part].len_min;
	}
	if (in->r.bad || in->len_min > in->r.left)
		return ota_fail(err, OTA_E_DECODER,
			"tables: pair %" PRIu32 ": cut short or malformed", pair);
	return OTA_OK;
}

static int64_t read_less(struct reading *in, int64_t before)
{
	return (int64_t)((uint64_t)before + (uint64_t)ota_varint_read_signed(&in->r));
}

static enum ota_code read_pair(struct reading *in, uint32_t index, struct ota_error *err)
{
	struct ota_heap *heap = in->tables->heap;
	struct ota_pair *pair = &in->tables->pairs[index];
	uint32_t counts[N_PARTS];
	enum ota_code rc;

	pair->bounds.low = read_less(in, 0);
	pair->bounds.high = read_less(in, pair->bounds.low);
	pair->bounds.text_low = read_less(in, pair->bounds.high);
	pair->bounds.text_high = read_less(in, pair->bounds.text_low);
	rc = read_counts(in, index, counts, err);
	if (rc != OTA_OK)
		return rc;

	pair->from = array_alloc(heap, counts[FROM_SPANS], sizeof *pair->from);
	pair->to = array_alloc(heap, counts[TO_SPANS], sizeof *pair->to);
	pair->regions = array_alloc(heap, counts[REGIONS], sizeof *pair->regions);
	pair->pins = array_alloc(heap, counts[PINS], sizeof *pair->pins);
	pair->from_count = counts[FROM_SPANS];
	pair->to_count = counts[TO_SPANS];
	pair->region_count = counts[REGIONS];
	pair->pin_count = counts[PINS];
	if ((pair->from == NULL && pair->from_count > 0) ||
		(pair->to == NULL && pair->to_count > 0) ||
		(pair->regions == NULL && pair->region_count > 0) ||
		(pair->pins == NULL && pair->pin_count > 0))
		return ota_fail(err, OTA_E_NOMEM, "tables: no memory for a pair");
	return OTA_OK;
}

static enum ota_code read_pair_heads(struct reading *in, struct ota_error *err)
{
	uint64_t count = ota_varint_read(&in->r);
	enum ota_code rc = OTA_OK;

	if (count > OTA_PAIRS_MAX || count * PAIR_LEN_MIN > in->r.left)
		return ota_fail(err, OTA_E_DECODER,
			"tables: %" PRIu64 " pairs are too many", count);
	in->tables->pairs =
		array_alloc(in->tables->heap, (uint32_t)count, sizeof *in->tables->pairs);
	if (in->tables->pairs == NULL && count > 0)
		return ota_fail(err, OTA_E_NOMEM, "tables: no memory for pairs");
	in->tables->pair_count = (uint32_t)count;
	for (uint32_t i = 0; i < in->tables->pair_count && rc == OTA_OK; i++)
		rc = read_pair(in, i, err);
	return rc;
}

/* The columns as they stand, still coded against what is before. */
static void read_columns(struct reading *in, enum ota_list list)
{
	const struct ota_tables *tables = in->tables;

	for (uint32_t i = 0; i < tables->pair_count; i++)
		for (uint32_t j = 0; j < ota_list_len(&tables->pairs[i], list); j++)
			*ota_list_at(&tables->pairs[i], list, j).offset =
				j == 0 ? (uint64_t)ota_varint_read_signed(&in->r)
				       : ota_varint_read(&in->r);
	for (uint32_t i = 0; i < tables->pair_count; i++)
		for (uint32_t j = 0; j < ota_list_len(&tables->pairs[i], list); j++)
			*ota_list_at(&tables->pairs[i], list, j).len =
				ota_varint_read(&in->r);
	for (uint32_t i = 0; i < tables->pair_count; i++)
		for (uint32_t j = 0; j < ota_list_len(&tables->pairs[i], list); j++)
			*ota_list_at(&tables->pairs[i], list, j).address =
				ota_varint_read_signed(&in->r);
}

/* Make an entry absolute. What is wrong with it, or NULL. */
static const char *settle_place(struct ota_place place, struct ota_list_state *state,
	uint64_t limit, enum ota_list list, uint32_t i)
{
	uint64_t offset = state->end + *place.offset;

	if (i > 0 && *place.offset > limit - state->end)
		return "begins behind its image";
	if (offset > limit)
		return "begins outside of its image";
	if (*place.len == 0)
		return "is empty";
	if (*place.len > limit - offset)
		return "ends behind its image";

	*place.offset = offset;
	*place.address = (int64_t)((uint64_t)*place.address + offset +
				   ota_list_shift(state, &place, list, i));
	state->end = offset + *place.len;
	state->shift = (uint64_t)*place.address - offset;
	return NULL;
}

static enum ota_code settle_list(
	const struct reading *in, enum ota_list list, struct ota_error *err)
{
	uint64_t limit = list == OTA_LIST_TO ? in->ends->to_len : in->ends->from_len;
	struct ota_list_state state = { 0 };

	for (uint32_t i = 0; i < in->tables->pair_count; i++) {
		const struct ota_pair *pair = &in->tables->pairs[i];

		ota_list_begin_pair(&state, pair, list);
		for (uint32_t j = 0; j < ota_list_len(pair, list); j++) {
			struct fault fault = { (enum part)list, i, j, NULL };

			fault.text = settle_place(
				ota_list_at(pair, list, j), &state, limit, list, j);
			if (fault.text != NULL)
				return refuse(&fault, err);
		}
	}
	return OTA_OK;
}

static enum ota_code read_list(
	struct reading *in, enum ota_list list, struct ota_error *err)
{
	enum ota_code rc;

	read_columns(in, list);
	rc = check_numbers(in, parts[list].name, err);
	return rc != OTA_OK ? rc : settle_list(in, list, err);
}

static enum ota_code read_kinds(struct reading *in, struct ota_error *err)
{
	for (uint32_t i = 0; i < in->tables->pair_count; i++) {
		struct ota_pair *pair = &in->tables->pairs[i];

		for (uint32_t j = 0; j < pair->region_count; j++) {
			struct fault fault = { REGIONS, i, j, "is of unknown kind" };

			pair->regions[j].kind = ota_read_u8(&in->r);
			if (pair->regions[j].kind >= OTA_REGION_KIND_COUNT)
				return refuse(&fault, err);
		}
	}
	return check_numbers(in, parts[REGIONS].name, err);
}

/* 0: the region's own address; else what the last other base is away. */
static int64_t read_base(struct reading *in, int64_t own, int64_t *before)
{
	uint64_t code = ota_varint_read(&in->r);

	if (code == 0)
		return own;
	*before = (int64_t)((uint64_t)*before + (uint64_t)ota_unzigzag(code - 1));
	if (*before == own)
		in->r.bad = true; /* there is one way to say it */
	return *before;
}

static enum ota_code read_bases(struct reading *in, struct ota_error *err)
{
	for (uint32_t i = 0; i < in->tables->pair_count; i++) {
		struct ota_pair *pair = &in->tables->pairs[i];
		int64_t base = 0;

		for (uint32_t j = 0; j < pair->region_count; j++)
			pair->regions[j].base =
				read_base(in, pair->regions[j].address, &base);
	}
	return check_numbers(in, parts[REGIONS].name, err);
}

static void read_pin_columns(struct reading *in)
{
	const struct ota_tables *tables = in->tables;

	for (uint32_t i = 0; i < tables->pair_count; i++)
		for (uint32_t j = 0; j < tables->pairs[i].pin_count; j++)
			tables->pairs[i].pins[j].from =
				j == 0 ? ota_varint_read_signed(&in->r)
				       : (int64_t)ota_varint_read(&in->r);
	for (uint32_t i = 0; i < tables->pair_count; i++)
		for (uint32_t j = 0; j < tables->pairs[i].pin_count; j++)
			tables->pairs[i].pins[j].to = ota_varint_read_signed(&in->r);
	for (uint32_t i = 0; i < tables->pair_count; i++)
		for (uint32_t j = 0; j < tables->pairs[i].pin_count; j++)
			tables->pairs[i].pins[j].len = ota_varint_read(&in->r);
}

/* How many addresses there are from one on. */
static uint64_t addresses_left(int64_t from)
{
	return (uint64_t)INT64_MAX - (uint64_t)from;
}

/* Make the pins of a pair absolute. What is wrong with pin *index, or NULL. */
static const char *settle_pins(const struct ota_pair *pair, uint32_t *index)
{
	uint64_t shift = 0;
	int64_t end = 0;

	for (uint32_t i = 0; i < pair->pin_count; i++) {
		struct ota_pin *pin = &pair->pins[i];

		*index = i;
		if (i > 0 && (uint64_t)pin->from > addresses_left(end))
			return "begins behind the last address";
		if (i > 0)
			pin->from = (int64_t)((uint64_t)end + (uint64_t)pin->from);
		if (pin->len == 0)
			return "is empty";
		if (pin->len > addresses_left(pin->from))
			return "ends behind the last address";
		shift += (uint64_t)pin->to;
		pin->to = (int64_t)((uint64_t)pin->from + shift);
		end = (int64_t)((uint64_t)pin->from + pin->len);
	}
	return NULL;
}

static enum ota_code read_pins(struct reading *in, struct ota_error *err)
{
	enum ota_code rc;

	read_pin_columns(in);
	rc = check_numbers(in, parts[PINS].name, err);
	for (uint32_t i = 0; i < in->tables->pair_count && rc == OTA_OK; i++) {
		struct fault fault = { PINS, i, 0, NULL };

		fault.text = settle_pins(&in->tables->pairs[i], &fault.index);
		if (fault.text != NULL)
			rc = refuse(&fault, err);
	}
	return rc;
}

/* No two spans of the new image overlap, whatever pairs they belong to. */
static enum ota_code check_to_spans(
	const struct ota_tables *tables, struct ota_error *err)
{
	OTA_AUTO(ota_to_order_fini) struct ota_to_order order = { 0 };
	uint64_t end = 0;

	if (ota_to_order_init(&order, tables, tables->heap) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "tables: no memory for spans");
	for (uint32_t i = 0; i < order.count; i++) {
		const struct ota_to_place *place = &order.at[i];
		const struct ota_span *span = &tables->pairs[place->pair].to[place->span];

		if (span->offset < end)
			return refuse(&(struct fault){ TO_SPANS, place->pair, place->span,
					      "overlaps that of another pair" },
				err);
		end = span->offset + span->len;
	}
	return OTA_OK;
}

static enum ota_code read_pairs(struct reading *in, struct ota_error *err)
{
	enum ota_code rc = read_pair_heads(in, err);

	if (rc == OTA_OK)
		rc = read_list(in, OTA_LIST_FROM, err);
	if (rc == OTA_OK)
		rc = read_list(in, OTA_LIST_TO, err);
	if (rc == OTA_OK)
		rc = check_to_spans(in->tables, err);
	if (rc == OTA_OK)
		rc = read_kinds(in, err);
	if (rc == OTA_OK)
		rc = read_list(in, OTA_LIST_REGIONS, err);
	if (rc == OTA_OK)
		rc = read_bases(in, err);
	return rc != OTA_OK ? rc : read_pins(in, err);
}

/* What moved alike has a number; what moved anew follows in a column of its own. Until
 * both were read, `from` holds the number. */
static enum ota_code read_ways(struct reading *in, struct ota_error *err)
{
	struct ota_cover *covers = in->tables->covers;
	struct ota_ways ways = { 0 };

	for (uint32_t i = 0; i < in->tables->cover_count; i++) {
		covers[i].from = ota_varint_read(&in->r);
		if (covers[i].from > OTA_WAYS)
			return refuse_cover(i, "moved in no known way", err);
	}
	for (uint32_t i = 0; i < in->tables->cover_count; i++) {
		uint32_t number = (uint32_t)covers[i].from;
		bool said = number > 0
				    ? ota_ways_take(&ways, number - 1, &covers[i].from)
				    : ota_ways_add(&ways, ota_varint_read_signed(&in->r),
					      &covers[i].from);

		if (!said)
			return refuse_cover(
				i, "moved in a way that has a lower number", err);
	}
	return check_numbers(in, "cover", err);
}

static enum ota_code read_cover_columns(struct reading *in, struct ota_error *err)
{
	struct ota_cover *covers = in->tables->covers;

	for (uint32_t i = 0; i < in->tables->cover_count; i++)
		covers[i].to = ota_varint_read(&in->r);
	for (uint32_t i = 0; i < in->tables->cover_count; i++) {
		uint64_t len = ota_varint_read(&in->r);

		if (len > OTA_COVER_MAX)
			return refuse_cover(i, "is too long", err);
		covers[i].len = (uint32_t)len;
	}
	return read_ways(in, err);
}

/* What was read of a cover as `to` and how it moved, given where the one before ended in
 * the new image. */
static const char *settle_cover(
	struct ota_cover *cover, uint64_t before, const struct ota_ends *ends)
{
	uint64_t left = ends->to_len - before;

	if (cover->len == 0)
		return "is empty";
	if (cover->to > left || cover->len > left - cover->to)
		return "ends behind the new image";
	cover->to += before;
	cover->from += cover->to;
	if (cover->from > ends->from_len || cover->len > ends->from_len - cover->from)
		return "is not inside the old image";
	return NULL;
}

static enum ota_code settle_covers(const struct reading *in, struct ota_error *err)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < in->tables->cover_count; i++) {
		struct ota_cover *cover = &in->tables->covers[i];
		const char *text = settle_cover(cover, before, in->ends);

		if (text != NULL)
			return refuse_cover(i, text, err);
		before = cover->to + cover->len;
	}
	ota_covers_doubt(in->tables->covers, in->tables->cover_count);
	return OTA_OK;
}

static enum ota_code read_covers(struct reading *in, struct ota_error *err)
{
	struct ota_tables *tables = in->tables;
	uint64_t count = ota_varint_read(&in->r);
	enum ota_code rc;

	if (in->r.bad || count > OTA_COVERS_MAX || count * COVER_LEN_MIN > in->r.left)
		return ota_fail(err, OTA_E_DECODER,
			"tables: %" PRIu64 " covers are too many", count);
	tables->covers =
		array_alloc(tables->heap, (uint32_t)count, sizeof *tables->covers);
	if (tables->covers == NULL && count > 0)
		return ota_fail(err, OTA_E_NOMEM, "tables: no memory for covers");
	tables->cover_count = (uint32_t)count;
	rc = read_cover_columns(in, err);
	return rc != OTA_OK ? rc : settle_covers(in, err);
}

enum ota_code ota_tables_read(struct ota_bytes in, const struct ota_ends *ends,
	struct ota_heap *heap, struct ota_tables *out, struct ota_error *err)
{
	OTA_AUTO(ota_tables_fini) struct ota_tables tables = { .heap = heap };
	struct reading reading = {
		.r = ota_reader_of(in), .ends = ends, .tables = &tables
	};
	enum ota_code rc = read_pairs(&reading, err);

	if (rc == OTA_OK)
		rc = read_covers(&reading, err);
	if (rc != OTA_OK)
		return rc;
	if (reading.r.left > 0)
		return ota_fail(err, OTA_E_DECODER, "tables: %zu bytes follow the covers",
			reading.r.left);
	*out = tables;
	tables = (struct ota_tables){ 0 };
	return OTA_OK;
}
