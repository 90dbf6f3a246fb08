#include "proto/delta/predict/lay.h"

#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/frame.h"
#include "proto/delta/predict/pages.h"
#include "proto/delta/predict/to_order.h"

enum {
	PLAIN_MAX = 65536,   /* bytes copied at once */
	LEARNT_COUNT = 4096, /* a power of two */
	MAP_COUNT = 2,
	NEAR_LEN = 2048, /* bytes of code that are mostly of one function */
	GROWN_MAX = 256, /* bytes by which one grows or shrinks at most */
};

/* Where an old address went in spite of the map. */
struct learnt {
	int64_t from, to;
	uint32_t pair;
	uint32_t generation; /* holds something if it is the lay's */
};

struct kept_map {
	struct ota_map map;
	uint32_t tried; /* see ota_map_get_next() */
	uint32_t pair;
	bool built;
};

struct ota_lay {
	const struct ota_tables *tables; /* borrowed */
	const struct ota_fix *fix;       /* borrowed */
	struct ota_heap *heap;           /* borrowed */
	struct ota_to_order order;
	struct ota_pages pages;
	struct kept_map maps[MAP_COUNT]; /* the last used one first */
	struct learnt *learnt;           /* owned, LEARNT_COUNT entries */
	struct ota_frame frame;          /* of the function at hand */
	uint32_t generation;             /* at least 1 */
};

/* What one call may lay out: bytes that lie alike in both images. */
struct stretch {
	uint64_t to, from;               /* offsets */
	uint64_t limit;                  /* bytes until that ends */
	const struct ota_pair *pair;     /* NULL where no references are */
	const struct ota_span *span;     /* holds `to` */
	const struct ota_region *region; /* holds `from` */
	struct ota_page_name page;       /* holds `from` */
	struct kept_map *map;            /* borrowed */
	bool strays;                     /* the cover does not say where addresses went */
	/* What references of the page count from, as far as they are in the stretch. */
	uint64_t page_to;    /* the page's offset in the new image */
	int64_t old_address; /* its address in the old object */
	int64_t new_address; /* its address in the new one */
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The first region of a pair that ends behind an offset; region_count if none. */
static uint32_t region_at(const struct ota_pair *pair, uint64_t offset)
{
	uint32_t low = 0, high = pair->region_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct ota_region *region = &pair->regions[middle];

		if (region->offset + region->len > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Cut a stretch at the span it is in, or before the next. False if it is in none. */
static bool find_span(const struct ota_lay *lay, struct stretch *stretch)
{
	uint32_t behind = ota_to_order_behind(&lay->order, stretch->to);
	const struct ota_to_place *place;
	const struct ota_span *span;

	if (behind < lay->order.count)
		stretch->limit =
			least(stretch->limit, lay->order.at[behind].offset - stretch->to);
	if (behind == 0)
		return false;
	place = &lay->order.at[behind - 1];
	span = &lay->tables->pairs[place->pair].to[place->span];
	if (stretch->to - span->offset >= span->len)
		return false;
	stretch->limit = least(stretch->limit, span->len - (stretch->to - span->offset));
	stretch->page.pair = place->pair;
	stretch->pair = &lay->tables->pairs[place->pair];
	stretch->span = span;
	return true;
}

/* Cut it at the region it is in, or before the next. False if it is in none that has
 * references. */
static bool find_region(struct stretch *stretch)
{
	uint32_t at = region_at(stretch->pair, stretch->from);
	const struct ota_region *region;
	const struct ota_ref_kind *kind;
	uint64_t done;

	if (at == stretch->pair->region_count)
		return false;
	region = &stretch->pair->regions[at];
	if (stretch->from < region->offset) {
		stretch->limit = least(stretch->limit, region->offset - stretch->from);
		return false;
	}
	done = stretch->from - region->offset;
	stretch->limit = least(stretch->limit, region->len - done);
	stretch->page.region = at;
	stretch->page.number = done / OTA_REF_PAGE;
	stretch->region = region;
	kind = ota_ref_kind(region->kind);
	return kind != NULL && kind->scan != NULL;
}

static void swap_maps(struct ota_lay *lay)
{
	struct kept_map held = lay->maps[0];

	lay->maps[0] = lay->maps[1];
	lay->maps[1] = held;
}

static enum ota_code find_map(struct ota_lay *lay, struct stretch *stretch)
{
	struct kept_map *first = &lay->maps[0];
	enum ota_code rc = OTA_OK;

	if (!first->built || first->pair != stretch->page.pair)
		swap_maps(lay);
	if (!first->built || first->pair != stretch->page.pair) {
		first->built = false;
		first->map.heap = lay->heap;
		rc = ota_map_build(&first->map, lay->tables, stretch->pair);
		first->pair = stretch->page.pair;
		first->tried = 0;
		first->built = rc == OTA_OK;
	}
	stretch->map = first;
	return rc;
}

static struct learnt *learnt_at(struct ota_lay *lay, uint32_t pair, int64_t from)
{
	uint64_t hash =
		((uint64_t)from ^ (uint64_t)pair << 40) * UINT64_C(0x9e3779b97f4a7c15);

	return &lay->learnt[hash >> 52 & (LEARNT_COUNT - 1)];
}

/* By a map that is not empty. */
static int64_t map_address(struct kept_map *map, int64_t from)
{
	int64_t to = from;

	(void)ota_map_get_next(&map->map, &map->tried, from, &to);
	return to;
}

static int64_t guess_address(
	struct ota_lay *lay, const struct stretch *stretch, int64_t from)
{
	const struct learnt *learnt = learnt_at(lay, stretch->page.pair, from);

	if (learnt->generation == lay->generation && learnt->from == from &&
		learnt->pair == stretch->page.pair)
		return learnt->to;
	return map_address(stretch->map, from);
}

/* Members of structures and addresses do not meet: an object has no such address. */
static int64_t guess_field(
	struct ota_lay *lay, const struct stretch *stretch, int64_t from)
{
	const struct learnt *learnt = learnt_at(lay, stretch->page.pair, ~from);

	return learnt->generation == lay->generation && learnt->from == ~from &&
			       learnt->pair == stretch->page.pair
		       ? learnt->to
		       : from;
}

/* Where the last byte of something went: not far from where it was, seen from the first
 * one, or it is taken to be there. */
static int64_t guess_last(struct ota_lay *lay, const struct stretch *stretch,
	const struct ota_ref *ref, int64_t base)
{
	uint64_t len = (uint64_t)ref->target - (uint64_t)ref->base;
	uint64_t to = (uint64_t)guess_address(lay, stretch, ref->target);
	uint64_t grown = to - (uint64_t)base - len;

	return (int64_t)(grown + GROWN_MAX < 2 * GROWN_MAX ? to : (uint64_t)base + len);
}

static int64_t guess_target(
	struct ota_lay *lay, const struct stretch *stretch, const struct ota_guess *guess)
{
	const struct ota_ref_form *form = guess->form;
	int64_t from = guess->ref->target;

	if (form->scope == OTA_SCOPE_OBJECT)
		return guess_address(lay, stretch, from);
	if (form->scope == OTA_SCOPE_LEN)
		return guess_last(lay, stretch, guess->ref, guess->spot.base);
	if (form->scope == OTA_SCOPE_FIELD)
		return guess_field(lay, stretch, from);
	if (form->scope == OTA_SCOPE_PUSH)
		ota_frame_forget(&lay->frame);
	return ota_frame_guess(&lay->frame, from);
}

/* A stretch that came from some other function has that function's surroundings in mind:
 * what is near stays as near as it was, and there is nothing to learn. */
static bool is_stray(const struct stretch *stretch, const struct ota_guess *guess)
{
	uint64_t spot = (uint64_t)stretch->old_address + guess->ref->at;
	uint64_t far = (uint64_t)guess->ref->target - spot;

	return stretch->strays && guess->form->scope != OTA_SCOPE_FIELD &&
	       guess->form->scope != OTA_SCOPE_LEN &&
	       (guess->form->scope != OTA_SCOPE_OBJECT || far + NEAR_LEN < 2 * NEAR_LEN);
}

static int64_t stray_target(const struct stretch *stretch, const struct ota_guess *guess)
{
	uint64_t moved = (uint64_t)stretch->new_address - (uint64_t)stretch->old_address;

	return guess->form->scope != OTA_SCOPE_OBJECT
		       ? guess->ref->target
		       : (int64_t)((uint64_t)guess->ref->target + moved);
}

/* A field that stayed as it was says that the last lesson was wrong. In frames, that an
 * offset stayed is news too. */
static void learn(struct ota_lay *lay, const struct stretch *stretch,
	const struct ota_guess *answer, int64_t guessed)
{
	int64_t from = answer->ref->target;

	if (answer->form->scope == OTA_SCOPE_FIELD) {
		from = ~from;
	} else if (answer->form->scope != OTA_SCOPE_OBJECT &&
		   answer->form->scope != OTA_SCOPE_LEN) {
		ota_frame_learn(&lay->frame, from, answer->plain ? from : answer->target);
		return;
	}
	if (answer->plain)
		learnt_at(lay, stretch->page.pair, from)->generation = 0;
	if (answer->plain || answer->target == guessed)
		return;
	*learnt_at(lay, stretch->page.pair, from) = (struct learnt){ from, answer->target,
		stretch->page.pair, lay->generation };
}

/* Write one reference over its old bytes at guess->field. */
static enum ota_code lay_ref(struct ota_lay *lay, const struct stretch *stretch,
	struct ota_guess *guess, uint8_t *field, struct ota_error *err)
{
	const struct ota_ref *ref = guess->ref;
	bool stray = is_stray(stretch, guess);
	int64_t guessed;
	enum ota_code rc;

	guess->field = field;
	guess->to = stretch->page_to + ref->at;
	guess->spot.address = (int64_t)((uint64_t)stretch->new_address + ref->at);
	guess->spot.base =
		guess->form->has_base ? map_address(stretch->map, ref->base) : 0;
	guessed =
		stray ? stray_target(stretch, guess) : guess_target(lay, stretch, guess);
	guess->target = guessed;
	guess->plain = false;
	rc = lay->fix->fix(lay->fix->ctx, guess, err);
	if (rc != OTA_OK)
		return rc;
	if (!stray)
		learn(lay, stretch, guess, guessed);
	if (!guess->plain)
		(void)guess->form->write(
			field, &guess->spot, guess->target); /* else it stays */
	return OTA_OK;
}

/* The first reference of a page at or behind `at`. */
static uint32_t first_ref(const struct ota_refs *refs, uint64_t at)
{
	uint32_t low = 0, high = refs->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (refs->at[middle].at >= at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Re-target the references that start in the first *len bytes of out. The last one may
 * make it longer. */
static enum ota_code lay_refs(struct ota_lay *lay, const struct stretch *stretch,
	uint8_t *out, uint32_t *len, struct ota_error *err)
{
	uint64_t begin = (stretch->from - stretch->region->offset) % OTA_REF_PAGE;
	struct ota_guess guess = { .pair = stretch->page.pair,
		.region = stretch->page.region };
	const struct ota_refs *refs;
	enum ota_code rc = ota_pages_refs(&lay->pages, &stretch->page, &refs);

	if (rc != OTA_OK)
		return ota_fail(err, rc, "read the old image: %s", ota_code_text(rc));
	for (uint32_t i = first_ref(refs, begin); i < refs->count && rc == OTA_OK; i++) {
		uint64_t at = refs->at[i].at - begin, end;

		if (at >= *len)
			break;
		guess.ref = &refs->at[i];
		guess.form = ota_ref_form(guess.ref->form);
		end = guess.form == NULL ? UINT64_MAX : at + guess.form->len;
		if (end > stretch->limit)
			continue;
		*len = end > *len ? (uint32_t)end : *len;
		rc = lay_ref(lay, stretch, &guess, out + at, err);
	}
	return rc;
}

/* Where the page of a stretch lies in both objects. Only references in the stretch are
 * there. */
static void find_page(struct stretch *stretch)
{
	uint64_t page = stretch->page.number * OTA_REF_PAGE;

	stretch->page_to = stretch->to + stretch->region->offset + page - stretch->from;
	stretch->old_address = (int64_t)((uint64_t)stretch->region->address + page);
	stretch->new_address = (int64_t)((uint64_t)stretch->span->address +
					 stretch->page_to - stretch->span->offset);
}

enum ota_code ota_lay_next(struct ota_lay *lay, const struct ota_lay_part *part,
	uint8_t *out, uint32_t *len, struct ota_error *err)
{
	const struct ota_cover *cover = part->cover;
	struct stretch stretch = { .to = cover->to + part->done,
		.from = cover->from + part->done,
		.limit = cover->len - part->done,
		.strays = !cover->maps };
	bool refs = find_span(lay, &stretch) && find_region(&stretch);
	uint64_t n = least(stretch.limit, part->max), more;
	enum ota_code rc;

	if (refs && find_map(lay, &stretch) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "no memory for a map");
	refs = refs && stretch.map->map.count > 0;
	if (refs)
		find_page(&stretch);
	n = least(n, refs ? OTA_REF_PAGE - (stretch.from - stretch.region->offset) %
						   OTA_REF_PAGE
			  : PLAIN_MAX);
	more = refs ? least(stretch.limit, n + OTA_REF_FIELD_MAX) : n;
	rc = ota_pages_read(&lay->pages, stretch.from, out, (uint32_t)more);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "read the old image: %s", ota_code_text(rc));
	*len = (uint32_t)n;
	return refs ? lay_refs(lay, &stretch, out, len, err) : OTA_OK;
}

static void lay_freep(struct ota_lay **lay)
{
	ota_lay_free(*lay);
}

static enum ota_code open_parts(struct ota_lay *lay, const struct ota_source *from)
{
	enum ota_code rc = ota_to_order_init(&lay->order, lay->tables, lay->heap);

	if (rc == OTA_OK)
		rc = ota_pages_init(&lay->pages, lay->tables, from, lay->heap);
	if (rc != OTA_OK)
		return rc;
	lay->learnt = ota_heap_alloc(lay->heap, LEARNT_COUNT * sizeof *lay->learnt);
	if (lay->learnt == NULL)
		return OTA_E_NOMEM;
	ota_lay_forget(lay);
	return OTA_OK;
}

enum ota_code ota_lay_new(const struct ota_tables *tables, const struct ota_source *from,
	const struct ota_fix *fix, struct ota_heap *heap, struct ota_lay **lay)
{
	OTA_AUTO(lay_freep)
	struct ota_lay *made = ota_heap_alloc(heap, sizeof *made);
	enum ota_code rc;

	if (made == NULL)
		return OTA_E_NOMEM;
	*made = (struct ota_lay){ .tables = tables, .fix = fix, .heap = heap };
	rc = open_parts(made, from);
	if (rc == OTA_OK)
		*lay = ota_take(&made);
	return rc;
}

void ota_lay_free(struct ota_lay *lay)
{
	if (lay == NULL)
		return;
	for (unsigned i = 0; i < MAP_COUNT; i++)
		ota_map_fini(&lay->maps[i].map);
	ota_pages_fini(&lay->pages);
	ota_to_order_fini(&lay->order);
	ota_heap_free(lay->heap, lay->learnt);
	ota_heap_free(lay->heap, lay);
}

/* A new generation makes the others' entries worthless; there is no second round. */
void ota_lay_forget(struct ota_lay *lay)
{
	ota_frame_forget(&lay->frame);
	lay->generation++;
	if (lay->generation > 1)
		return;
	memset(lay->learnt, 0, LEARNT_COUNT * sizeof *lay->learnt);
	lay->generation = 1;
}
