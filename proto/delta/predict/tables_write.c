#include "proto/delta/predict/tables_list.h"
#include "proto/delta/predict/varint.h"
#include "proto/delta/predict/ways.h"

/* A writer stays failed, so a table is written without a check after each number. */
struct writer {
	struct ota_buf *out;
	enum ota_code rc;
};

static void put(struct writer *w, uint64_t value)
{
	if (w->rc == OTA_OK)
		w->rc = ota_varint_write(value, w->out);
}

/* A signed number, given as the wrapping difference it is. */
static void put_signed(struct writer *w, uint64_t value)
{
	put(w, ota_zigzag((int64_t)value));
}

static void write_head(struct writer *w, const struct ota_pair *pair)
{
	const struct ota_bounds *bounds = &pair->bounds;
	uint64_t ends[] = { (uint64_t)bounds->low, (uint64_t)bounds->high,
		(uint64_t)bounds->text_low, (uint64_t)bounds->text_high };

	for (unsigned i = 0; i < 4; i++)
		put_signed(w, ends[i] - (i == 0 ? 0 : ends[i - 1]));
	put(w, pair->from_count);
	put(w, pair->to_count);
	put(w, pair->region_count);
	put(w, pair->pin_count);
}

enum column { OFFSETS, LENGTHS, ADDRESSES, N_COLUMNS };

/* One column of one list over all pairs. */
struct writing {
	const struct ota_tables *tables;
	enum ota_list list;
	enum column column;
};

static void write_place(struct writer *w, const struct writing *writing,
	const struct ota_pair *pair, struct ota_list_state *state, uint32_t i)
{
	struct ota_place place = ota_list_at(pair, writing->list, i);
	uint64_t offset = *place.offset, address = (uint64_t)*place.address;

	if (writing->column == LENGTHS)
		put(w, *place.len);
	else if (writing->column == ADDRESSES)
		put_signed(w, address - offset -
				      ota_list_shift(state, &place, writing->list, i));
	else if (i == 0)
		put_signed(w, offset - state->end);
	else
		put(w, offset - state->end);
	state->end = offset + *place.len;
	state->shift = address - offset;
}

static void write_column(struct writer *w, const struct writing *writing)
{
	struct ota_list_state state = { 0 };

	for (uint32_t i = 0; i < writing->tables->pair_count; i++) {
		const struct ota_pair *pair = &writing->tables->pairs[i];

		ota_list_begin_pair(&state, pair, writing->list);
		for (uint32_t j = 0; j < ota_list_len(pair, writing->list); j++)
			write_place(w, writing, pair, &state, j);
	}
}

static void write_list(
	struct writer *w, const struct ota_tables *tables, enum ota_list list)
{
	for (unsigned column = OFFSETS; column < N_COLUMNS; column++) {
		struct writing writing = { tables, list, (enum column)column };

		write_column(w, &writing);
	}
}

static void write_kinds(struct writer *w, const struct ota_tables *tables)
{
	for (uint32_t i = 0; i < tables->pair_count; i++)
		for (uint32_t j = 0; j < tables->pairs[i].region_count; j++)
			if (w->rc == OTA_OK)
				w->rc = ota_buf_add_u8(
					w->out, tables->pairs[i].regions[j].kind);
}

static void write_bases(struct writer *w, const struct ota_tables *tables)
{
	for (uint32_t i = 0; i < tables->pair_count; i++) {
		const struct ota_pair *pair = &tables->pairs[i];
		uint64_t before = 0;

		for (uint32_t j = 0; j < pair->region_count; j++) {
			const struct ota_region *region = &pair->regions[j];
			uint64_t step = (uint64_t)region->base - before;

			if (region->base == region->address) {
				put(w, 0);
				continue;
			}
			put(w, ota_zigzag((int64_t)step) + 1);
			before = (uint64_t)region->base;
		}
	}
}

enum pin_column { PIN_FROM, PIN_TO, PIN_LEN, N_PIN_COLUMNS };

static void write_pins(
	struct writer *w, const struct ota_pair *pair, enum pin_column column)
{
	uint64_t end = 0, shift = 0;

	for (uint32_t i = 0; i < pair->pin_count; i++) {
		const struct ota_pin *pin = &pair->pins[i];
		uint64_t from = (uint64_t)pin->from, to = (uint64_t)pin->to;

		if (column == PIN_LEN)
			put(w, pin->len);
		else if (column == PIN_TO)
			put_signed(w, to - from - shift);
		else if (i == 0)
			put_signed(w, from);
		else
			put(w, from - end);
		end = from + pin->len;
		shift = to - from;
	}
}

static void write_pairs(struct writer *w, const struct ota_tables *tables)
{
	put(w, tables->pair_count);
	for (uint32_t i = 0; i < tables->pair_count; i++)
		write_head(w, &tables->pairs[i]);
	write_list(w, tables, OTA_LIST_FROM);
	write_list(w, tables, OTA_LIST_TO);
	write_kinds(w, tables);
	write_list(w, tables, OTA_LIST_REGIONS);
	write_bases(w, tables);
	for (unsigned column = PIN_FROM; column < N_PIN_COLUMNS; column++)
		for (uint32_t i = 0; i < tables->pair_count; i++)
			write_pins(w, &tables->pairs[i], (enum pin_column)column);
}

static void write_ways(struct writer *w, const struct ota_tables *tables)
{
	struct ota_ways ways = { 0 };

	for (uint32_t i = 0; i < tables->cover_count; i++) {
		const struct ota_cover *cover = &tables->covers[i];

		put(w, ota_ways_put(&ways, cover->from - cover->to, NULL));
	}
	ways = (struct ota_ways){ 0 };
	for (uint32_t i = 0; i < tables->cover_count; i++) {
		const struct ota_cover *cover = &tables->covers[i];
		int64_t step;

		if (ota_ways_put(&ways, cover->from - cover->to, &step) == 0)
			put_signed(w, (uint64_t)step);
	}
}

static void write_covers(struct writer *w, const struct ota_tables *tables)
{
	const struct ota_cover *covers = tables->covers;
	uint64_t to = 0;

	put(w, tables->cover_count);
	for (uint32_t i = 0; i < tables->cover_count; i++) {
		put(w, covers[i].to - to);
		to = covers[i].to + covers[i].len;
	}
	for (uint32_t i = 0; i < tables->cover_count; i++)
		put(w, covers[i].len);
	write_ways(w, tables);
}

enum ota_code ota_tables_write(const struct ota_tables *tables, struct ota_buf *out)
{
	struct writer w = { out, OTA_OK };

	write_pairs(&w, tables);
	write_covers(&w, tables);
	return w.rc;
}
