#include "proto/delta/predict/pairing.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/map.h"
#include "proto/delta/predict/ways.h"

void ota_pairs_fini(struct ota_pairs *pairs)
{
	struct ota_tables tables = { .pairs = pairs->at, .pair_count = pairs->count };

	for (uint32_t i = 0; i < pairs->count; i++)
		free(pairs->renames[i].at);
	free(pairs->renames);
	ota_tables_fini(&tables);
	*pairs = (struct ota_pairs){ 0 };
}

/* A piece of an executable that is to be placed: what spans and regions share. */
struct piece {
	uint64_t offset; /* in the item */
	uint64_t len;
};

/* The next part of a piece that lies together in the image, or in a hole, and in none of
 * the executables inside this one. False if nothing is left. */
static bool next_together(const struct ota_loaded *loaded, uint32_t part,
	struct ota_cursor *walk, struct piece *left, struct piece *placed)
{
	uint64_t end = left->offset + left->len, together;
	struct piece now = *left;

	for (uint32_t i = part + 1; i < loaded->part_count; i++) {
		const struct ota_part *inner = &loaded->parts[i];
		uint64_t behind = inner->offset + inner->object.len;

		if (inner->offset >= end)
			break;
		if (behind <= now.offset)
			continue;
		if (inner->offset > now.offset) {
			end = inner->offset;
			break;
		}
		now.offset = behind < end ? behind : end;
	}
	if (now.offset >= end)
		return false;
	placed->offset = ota_cursor_to(walk, now.offset, &together);
	placed->len = end - now.offset < together ? end - now.offset : together;
	left->len -= now.offset + placed->len - left->offset;
	left->offset = now.offset + placed->len;
	return true;
}

/* The next part that the image holds. */
static bool next_part(const struct ota_loaded *loaded, uint32_t part,
	struct ota_cursor *walk, struct piece *left, struct piece *placed)
{
	while (next_together(loaded, part, walk, left, placed))
		if (placed->offset != OTA_HOLE)
			return true;
	return false;
}

/* Room for one more of `size` bytes at the end of an array that doubles. */
static void *room(void **at, uint32_t count, size_t size)
{
	if ((count & (count - 1)) == 0) {
		void *grown = realloc(*at, (count == 0 ? 1 : 2 * (size_t)count) * size);

		if (grown == NULL)
			return NULL;
		*at = grown;
	}
	return (uint8_t *)*at + count * size;
}

static enum ota_code place_spans(const struct ota_loaded *loaded, uint32_t part,
	struct ota_span **out, uint32_t *count)
{
	const struct ota_part *self = &loaded->parts[part];
	struct ota_cursor walk = { .item = loaded->item };

	for (uint32_t i = 0; i < self->object.span_count; i++) {
		struct ota_span span = self->object.spans[i];
		struct piece left = { self->offset + span.offset, span.len }, at,
			     was = left;

		while (next_part(loaded, part, &walk, &left, &at)) {
			struct ota_span *next = room((void **)out, *count, sizeof *next);

			if (next == NULL)
				return OTA_E_NOMEM;
			*next = (struct ota_span){ at.offset, at.len,
				span.address +
					(int64_t)(left.offset - at.len - was.offset) };
			++*count;
		}
	}
	return OTA_OK;
}

static enum ota_code place_regions(
	const struct ota_loaded *loaded, uint32_t part, struct ota_pair *pair)
{
	const struct ota_part *self = &loaded->parts[part];
	struct ota_cursor walk = { .item = loaded->item };

	for (uint32_t i = 0; i < self->object.region_count; i++) {
		struct ota_region region = self->object.regions[i];
		struct piece left = { self->offset + region.offset, region.len }, at,
			     was = left;

		while (next_part(loaded, part, &walk, &left, &at)) {
			struct ota_region *next = room((void **)&pair->regions,
				pair->region_count, sizeof *next);

			if (next == NULL)
				return OTA_E_NOMEM;
			*next = region;
			next->offset = at.offset;
			next->len = at.len;
			next->address += (int64_t)(left.offset - at.len - was.offset);
			pair->region_count++;
		}
	}
	return OTA_OK;
}

static int spans_by_offset(const void *a, const void *b)
{
	const struct ota_span *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int regions_by_offset(const void *a, const void *b)
{
	const struct ota_region *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int renames_by_address(const void *a, const void *b)
{
	const struct ota_rename *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

static const struct ota_section *section_named(
	const struct ota_object *object, const char *name)
{
	for (uint32_t i = 0; i < object->section_count; i++)
		if (strcmp(object->sections[i].name, name) == 0)
			return &object->sections[i];
	return NULL;
}

/* Sections that both have, by name. There are few. */
static enum ota_code find_renames(const struct ota_object *from,
	const struct ota_object *to, struct ota_renames *out)
{
	for (uint32_t i = 0; i < from->section_count; i++) {
		const struct ota_section *old = &from->sections[i];
		const struct ota_section *new = section_named(to, old->name);
		struct ota_rename *next;

		if (new == NULL || old->len == 0 || new->len == 0 ||
			section_named(from, old->name) != old)
			continue;
		next = room((void **)&out->at, out->count, sizeof *next);
		if (next == NULL)
			return OTA_E_NOMEM;
		*next = (struct ota_rename){ old->address, new->address,
			old->len < new->len ? old->len : new->len,
			old->offset != UINT64_MAX };
		out->count++;
	}
	if (out->count > 1)
		qsort(out->at, out->count, sizeof *out->at, renames_by_address);
	return OTA_OK;
}

static void pair_fini(struct ota_pair *pair)
{
	ota_pair_fini(NULL, pair);
}

static enum ota_code make_pair(const struct ota_loaded *from, uint32_t old,
	const struct ota_loaded *to, uint32_t new, struct ota_pair *pair)
{
	enum ota_code rc;

	pair->bounds = from->parts[old].object.bounds;
	rc = place_spans(from, old, &pair->from, &pair->from_count);
	if (rc == OTA_OK)
		rc = place_spans(to, new, &pair->to, &pair->to_count);
	if (rc == OTA_OK)
		rc = place_regions(from, old, pair);
	if (rc != OTA_OK)
		return rc;
	if (pair->from_count > 1)
		qsort(pair->from, pair->from_count, sizeof *pair->from, spans_by_offset);
	if (pair->to_count > 1)
		qsort(pair->to, pair->to_count, sizeof *pair->to, spans_by_offset);
	if (pair->region_count > 1)
		qsort(pair->regions, pair->region_count, sizeof *pair->regions,
			regions_by_offset);
	return OTA_OK;
}

static enum ota_code reserve(struct ota_pairs *pairs, uint32_t more)
{
	uint32_t cap = 2 * (pairs->count + more);
	void *grown;

	if (pairs->count + more <= pairs->cap)
		return OTA_OK;
	grown = realloc(pairs->at, cap * sizeof *pairs->at);
	if (grown == NULL)
		return OTA_E_NOMEM;
	pairs->at = grown;
	grown = realloc(pairs->renames, cap * sizeof *pairs->renames);
	if (grown == NULL)
		return OTA_E_NOMEM;
	pairs->renames = grown;
	pairs->cap = cap;
	return OTA_OK;
}

/* Note for each old executable how many bytes of [offset, offset + len) lie in it. */
static void vote(
	const struct ota_loaded *from, uint64_t offset, uint64_t len, uint64_t *votes)
{
	enum { LOOK_BACK = 64 }; /* executables inside executables are few */
	uint32_t low = 0, high = from->part_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (from->parts[middle].offset < offset + len)
			low = middle + 1;
		else
			high = middle;
	}
	for (uint32_t i = low; i > 0 && low - i < LOOK_BACK; i--) {
		const struct ota_part *part = &from->parts[i - 1];
		uint64_t begin = part->offset > offset ? part->offset : offset;
		uint64_t end = part->offset + part->object.len;

		end = end < offset + len ? end : offset + len;
		if (end > begin)
			votes[i - 1] += end - begin;
	}
}

/* The old executable that most of a new one's bytes came from, or part_count. */
static uint32_t origin_of(const struct ota_loaded *from, const struct ota_part *new,
	const struct ota_runs *runs, uint64_t *votes)
{
	uint64_t new_end = new->offset + new->object.len;
	uint32_t best = from->part_count;

	memset(votes, 0, from->part_count * sizeof *votes);
	for (size_t i = 0; i < runs->count; i++) {
		const struct ota_run *run = &runs->at[i];
		uint64_t begin = run->to > new->offset ? run->to : new->offset;
		uint64_t end =
			run->to + run->len < new_end ? run->to + run->len : new_end;

		if (run->to >= new_end)
			break;
		if (end > begin)
			vote(from, run->from + (begin - run->to), end - begin, votes);
	}
	for (uint32_t i = 0; i < from->part_count; i++)
		if (votes[i] > 0 &&
			(best == from->part_count || votes[i] > votes[best]) &&
			from->parts[i].object.machine == new->object.machine)
			best = i;
	return best;
}

static bool are_equal(const struct ota_loaded *from, const struct ota_part *old,
	const struct ota_loaded *to, const struct ota_part *new)
{
	return old->object.len ==
	       new->object.len &&memcmp(from->at + old->offset, to->at + new->offset,
		       (size_t) new->object.len) == 0;
}

static enum ota_code add_pair(struct ota_pairs *pairs, const struct ota_loaded *from,
	uint32_t old, const struct ota_loaded *to, uint32_t new)
{
	OTA_AUTO(pair_fini) struct ota_pair pair = { 0 };
	struct ota_renames renames = { 0 };
	enum ota_code rc = reserve(pairs, 1);

	if (rc == OTA_OK)
		rc = make_pair(from, old, to, new, &pair);
	if (rc != OTA_OK || pair.to_count == 0 || pair.region_count == 0)
		return rc;
	rc = find_renames(&from->parts[old].object, &to->parts[new].object, &renames);
	if (rc != OTA_OK) {
		free(renames.at);
		return rc;
	}
	pairs->at[pairs->count] = pair;
	pairs->renames[pairs->count++] = renames;
	pair = (struct ota_pair){ 0 };
	return OTA_OK;
}

enum ota_code ota_pairs_add(struct ota_pairs *pairs, const struct ota_loaded *from,
	const struct ota_loaded *to, const struct ota_runs *runs)
{
	ota_autofree uint64_t *votes = malloc((from->part_count + 1) * sizeof *votes);
	enum ota_code rc = OTA_OK;

	if (votes == NULL)
		return OTA_E_NOMEM;
	for (uint32_t i = 0; i < to->part_count && rc == OTA_OK; i++) {
		uint32_t old = origin_of(from, &to->parts[i], runs, votes);

		if (old < from->part_count &&
			!are_equal(from, &from->parts[old], to, &to->parts[i]))
			rc = add_pair(pairs, from, old, to, i);
	}
	return rc;
}

enum ota_code ota_pairs_take(struct ota_pairs *pairs, struct ota_pairs *more)
{
	enum ota_code rc = reserve(pairs, more->count);

	if (rc != OTA_OK)
		return rc;
	for (uint32_t i = 0; i < more->count; i++) {
		pairs->at[pairs->count] = more->at[i];
		pairs->renames[pairs->count++] = more->renames[i];
	}
	more->count = 0;
	ota_pairs_fini(more);
	return OTA_OK;
}

static enum ota_code add_pin(
	struct ota_pair *pair, const struct ota_rename *rename, uint64_t len)
{
	struct ota_pin *last =
		pair->pin_count > 0 ? &pair->pins[pair->pin_count - 1] : NULL;
	struct ota_pin *next;

	if (last != NULL && rename->from < last->from + (int64_t)last->len)
		return OTA_OK;
	next = room((void **)&pair->pins, pair->pin_count, sizeof *next);
	if (next == NULL)
		return OTA_E_NOMEM;
	*next = (struct ota_pin){ rename->from, rename->to, len };
	pair->pin_count++;
	return OTA_OK;
}

/* Does some field count from that address? */
static bool is_base(const struct ota_pair *pair, int64_t address)
{
	for (uint32_t i = 0; i < pair->region_count; i++)
		if (pair->regions[i].base == address)
			return true;
	return false;
}

static enum ota_code pin_sections(const struct ota_tables *tables, struct ota_pair *pair,
	const struct ota_renames *renames)
{
	OTA_AUTO(ota_map_fini) struct ota_map map = { 0 };
	enum ota_code rc = ota_map_build(&map, tables, pair);

	for (uint32_t i = 0; i < renames->count && rc == OTA_OK; i++) {
		const struct ota_rename *rename = &renames->at[i];
		int64_t to;

		if (!rename->has_bytes)
			rc = add_pin(pair, rename, rename->len);
		else if (is_base(pair, rename->from) &&
			 (!ota_map_get(&map, rename->from, &to) || to != rename->to))
			rc = add_pin(pair, rename, 1);
	}
	return rc;
}

enum ota_code ota_pairs_settle(struct ota_pairs *pairs, struct ota_tables *tables)
{
	enum ota_code rc = OTA_OK;

	ota_covers_doubt(tables->covers, tables->cover_count);
	tables->pairs = pairs->at;
	tables->pair_count = pairs->count;
	for (uint32_t i = 0; i < pairs->count && rc == OTA_OK; i++)
		rc = pin_sections(tables, &tables->pairs[i], &pairs->renames[i]);
	for (uint32_t i = 0; i < pairs->count; i++)
		free(pairs->renames[i].at);
	free(pairs->renames);
	*pairs = (struct ota_pairs){ 0 };
	return rc;
}
