#include "proto/delta/predict/map.h"

#include <string.h>

#include "proto/delta/predict/sort.h"

/* A part of an address space ends here at the latest: no part passes the last address. */
static uint64_t len_cut(int64_t from, uint64_t len)
{
	uint64_t left = (uint64_t)INT64_MAX - (uint64_t)from;

	return len < left ? len : left;
}

static int64_t moved(int64_t address, uint64_t by)
{
	return (int64_t)((uint64_t)address + by);
}

static bool is_before(const void *a, const void *b)
{
	const struct ota_map_part *one = a, *other = b;

	if (one->from != other->from)
		return one->from < other->from;
	if (one->len != other->len)
		return one->len > other->len;
	return one->to < other->to;
}

/* Where the pieces of covers go: counted only while `parts` is NULL. */
struct pieces {
	struct ota_map_part *parts; /* borrowed */
	uint64_t count;
};

/* Bytes that old and new image share, inside one span of the new object. */
struct shared {
	uint64_t from, len; /* offset in the old image, bytes */
	int64_t to;         /* address of the first byte in the new object */
};

static uint32_t from_span_at(const struct ota_pair *pair, uint64_t offset)
{
	uint32_t low = 0, high = pair->from_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (pair->from[middle].offset + pair->from[middle].len > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void add_shared(
	struct pieces *pieces, const struct ota_pair *pair, const struct shared *shared)
{
	uint64_t end = shared->from + shared->len;

	for (uint32_t i = from_span_at(pair, shared->from); i < pair->from_count; i++) {
		const struct ota_span *span = &pair->from[i];
		uint64_t first =
			shared->from > span->offset ? shared->from : span->offset;
		uint64_t last = span->offset + span->len;
		struct ota_map_part part;

		if (first >= end)
			return;
		last = last < end ? last : end;
		part.from = moved(span->address, first - span->offset);
		part.to = moved(shared->to, first - shared->from);
		part.len = len_cut(part.from, last - first);
		if (part.len == 0)
			continue;
		if (pieces->parts != NULL)
			pieces->parts[pieces->count] = part;
		pieces->count++;
	}
}

static void add_span(struct pieces *pieces, const struct ota_tables *tables,
	const struct ota_pair *pair, const struct ota_span *span)
{
	uint64_t end = span->offset + span->len;

	for (uint32_t i = ota_tables_cover_at(tables, span->offset);
		i < tables->cover_count && tables->covers[i].to < end; i++) {
		const struct ota_cover *cover = &tables->covers[i];
		uint64_t first = cover->to > span->offset ? cover->to : span->offset;
		uint64_t last = cover->to + cover->len;

		last = last < end ? last : end;
		if (cover->maps)
			add_shared(pieces, pair,
				&(struct shared){ cover->from + (first - cover->to),
					last - first,
					moved(span->address, first - span->offset) });
	}
}

static void add_pieces(struct pieces *pieces, const struct ota_tables *tables,
	const struct ota_pair *pair)
{
	for (uint32_t i = 0; i < pair->to_count; i++)
		add_span(pieces, tables, pair, &pair->to[i]);
}

static enum ota_code reserve(struct ota_map *map, uint64_t count)
{
	map->count = 0;
	if (count <= map->cap)
		return OTA_OK;
	ota_heap_free(map->heap, map->parts);
	map->parts = NULL;
	map->cap = 0;
	if (count > UINT32_MAX || count > SIZE_MAX / sizeof *map->parts)
		return OTA_E_NOMEM;
	map->parts = ota_heap_alloc(map->heap, (size_t)count * sizeof *map->parts);
	if (map->parts == NULL)
		return OTA_E_NOMEM;
	map->cap = (uint32_t)count;
	return OTA_OK;
}

/* Drop len bytes from a part's front. */
static void trim(struct ota_map_part *part, uint64_t len)
{
	part->from = moved(part->from, len);
	part->to = moved(part->to, len);
	part->len -= len;
}

/* Append, or let the last part grow if this one continues it. */
static void append(struct ota_map *map, const struct ota_map_part *part)
{
	struct ota_map_part *last = map->count > 0 ? &map->parts[map->count - 1] : NULL;

	if (part->len == 0)
		return;
	if (last != NULL && moved(last->from, last->len) == part->from &&
		moved(last->to, last->len) == part->to)
		last->len += part->len;
	else
		map->parts[map->count++] = *part;
}

/* Sorted pieces claim their addresses, one after the other. */
static void settle_claims(struct ota_map *map, uint32_t piece_count)
{
	int64_t end = INT64_MIN;

	for (uint32_t i = 0; i < piece_count; i++) {
		struct ota_map_part part = map->parts[i];
		int64_t last = moved(part.from, part.len);

		if (last <= end)
			continue;
		if (part.from < end)
			trim(&part, (uint64_t)end - (uint64_t)part.from);
		append(map, &part);
		end = last;
	}
}

/* What lies before an address of the part at *next. Moves on behind what is used up. */
static void take_before(
	struct ota_map *map, uint32_t *next, uint32_t end, int64_t address)
{
	while (*next < end && map->parts[*next].from < address) {
		struct ota_map_part *part = &map->parts[*next], head = *part;
		uint64_t len = (uint64_t)address - (uint64_t)part->from;

		if (head.len > len)
			head.len = len;
		trim(part, head.len);
		if (part->len == 0)
			++*next;
		append(map, &head);
	}
}

static void drop_before(
	struct ota_map *map, uint32_t *next, uint32_t end, int64_t address)
{
	while (*next < end && map->parts[*next].from < address) {
		struct ota_map_part *part = &map->parts[*next];
		uint64_t len = (uint64_t)address - (uint64_t)part->from;

		trim(part, len < part->len ? len : part->len);
		if (part->len == 0)
			++*next;
	}
}

/* Lay the pins over the parts. These stand at the end of the array meanwhile; each pin
 * adds two parts at most, so what is appended at its front never reaches what is read. */
static void lay_pins(struct ota_map *map, const struct ota_pair *pair)
{
	uint32_t next = 2 * pair->pin_count, end = next + map->count;

	if (pair->pin_count == 0)
		return;
	memmove(map->parts + next, map->parts, map->count * sizeof *map->parts);
	map->count = 0;
	for (uint32_t i = 0; i < pair->pin_count; i++) {
		const struct ota_pin *pin = &pair->pins[i];
		struct ota_map_part part = { pin->from, pin->to, pin->len };

		take_before(map, &next, end, pin->from);
		append(map, &part);
		drop_before(map, &next, end, moved(pin->from, pin->len));
	}
	take_before(map, &next, end, INT64_MAX);
}

enum ota_code ota_map_build(
	struct ota_map *map, const struct ota_tables *tables, const struct ota_pair *pair)
{
	struct pieces pieces = { 0 };
	enum ota_code rc;

	add_pieces(&pieces, tables, pair);
	rc = reserve(map, pieces.count + 2 * (uint64_t)pair->pin_count);
	if (rc != OTA_OK)
		return rc;
	if (map->parts == NULL)
		return OTA_OK;
	pieces = (struct pieces){ map->parts, 0 };
	add_pieces(&pieces, tables, pair);
	ota_sort(map->parts, (size_t)pieces.count, sizeof *map->parts, is_before);
	settle_claims(map, (uint32_t)pieces.count);
	lay_pins(map, pair);
	return OTA_OK;
}

/* The part that an address goes with. No branch hangs on what is compared: addresses come
 * in no order, so half of the branches would be guessed wrong. */
static uint32_t part_of(const struct ota_map *map, int64_t from)
{
	uint32_t part = 0, count = map->count;

	while (count > 1) {
		uint32_t half = count / 2;

		part += map->parts[part + half].from <= from ? half : 0;
		count -= half;
	}
	return part;
}

static bool goes_with(const struct ota_map *map, uint32_t part, int64_t from)
{
	return part < map->count && map->parts[part].from <= from &&
	       (part + 1 == map->count || from < map->parts[part + 1].from);
}

bool ota_map_get_next(
	const struct ota_map *map, uint32_t *tried, int64_t from, int64_t *to)
{
	const struct ota_map_part *part;

	if (map->count == 0)
		return false;
	if (!goes_with(map, *tried, from))
		*tried = part_of(map, from);
	part = &map->parts[*tried];
	*to = (int64_t)((uint64_t)part->to + ((uint64_t)from - (uint64_t)part->from));
	return true;
}

bool ota_map_get(const struct ota_map *map, int64_t from, int64_t *to)
{
	uint32_t tried = 0;

	return ota_map_get_next(map, &tried, from, to);
}

void ota_map_fini(struct ota_map *map)
{
	ota_heap_free(map->heap, map->parts);
	*map = (struct ota_map){ 0 };
}
