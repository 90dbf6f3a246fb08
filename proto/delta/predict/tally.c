#include "proto/delta/predict/tally.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/deflate.h"
#include "proto/delta/predict/segment.h"

enum {
	TABLES = OTA_SEGMENT_COLUMN_COUNT, /* one more kind of content */
	KIND_COUNT,
	PIECE_MAX = 1 << 20, /* bytes of columns that are weighed at once */
	VISIT_MAX = 1 << 30, /* bytes of the image that one visit counts */
	WEIGH_LEVEL = 3,     /* of zstd */
	REPORT_LEVEL = 19,
	REPORT_WINDOW_LOG = 21,
};

/* What one item took. */
struct row {
	uint64_t offset; /* of its first byte in the image */
	uint64_t right_len, wrong_len, extra_len, covers, fixes;
	uint64_t weights[KIND_COUNT]; /* compressed bytes of what it took alone */
};

/* A piece of the image that belongs to an item. */
struct stretch {
	uint64_t offset, len;
	uint32_t item;
};

/* What the item at hand has taken so far, as a segment would have it. Guesses come in
 * before the bytes around them, so each has a visit of its own. */
struct visit {
	struct ota_segment_out segment;
	uint32_t item;
};

struct ota_tally {
	const struct ota_items *items; /* borrowed */
	struct stretch *stretches;     /* owned, by offset */
	size_t stretch_count;
	struct row *rows; /* owned, one for each item */
	struct visit guesses, content;
	struct ota_buf all[KIND_COUNT]; /* what all items took */
};

static int by_offset(const void *a, const void *b)
{
	const struct stretch *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Where the items lie, without the last one, which has the rest. */
static void fill_stretches(struct ota_tally *tally)
{
	const struct ota_items *items = tally->items;

	for (uint32_t i = 0; i + 1 < items->count; i++)
		for (uint32_t k = 0; k < items->at[i].extent_count; k++) {
			const struct ota_extent *extent = &items->at[i].extents[k];

			if (extent->offset != OTA_HOLE)
				tally->stretches[tally->stretch_count++] =
					(struct stretch){ extent->offset, extent->len,
						i };
		}
	if (tally->stretch_count > 1)
		qsort(tally->stretches, tally->stretch_count, sizeof *tally->stretches,
			by_offset);
}

enum ota_code ota_tally_new(const struct ota_items *items, struct ota_tally **out)
{
	struct ota_tally *tally = calloc(1, sizeof *tally);
	size_t extents = 0;

	if (tally == NULL)
		return OTA_E_NOMEM;
	tally->items = items;
	for (uint32_t i = 0; i < items->count; i++)
		extents += items->at[i].extent_count;
	tally->rows = calloc(items->count, sizeof *tally->rows);
	tally->stretches = calloc(extents + 1, sizeof *tally->stretches);
	if (tally->rows == NULL || tally->stretches == NULL) {
		ota_tally_free(tally);
		return OTA_E_NOMEM;
	}
	for (uint32_t i = 0; i < items->count; i++)
		tally->rows[i].offset = UINT64_MAX;
	fill_stretches(tally);
	*out = tally;
	return OTA_OK;
}

void ota_tally_free(struct ota_tally *tally)
{
	if (tally == NULL)
		return;
	for (unsigned i = 0; i < KIND_COUNT; i++)
		ota_buf_fini(&tally->all[i]);
	ota_segment_out_fini(&tally->guesses.segment);
	ota_segment_out_fini(&tally->content.segment);
	free(tally->stretches);
	free(tally->rows);
	free(tally);
}

/* The item that has an offset; left: how many bytes from there, len at most. */
static uint32_t item_at(const struct ota_tally *tally, uint64_t offset, uint64_t *left)
{
	const struct stretch *all = tally->stretches;
	size_t low = 0, high = tally->stretch_count;
	uint64_t end = UINT64_MAX;
	uint32_t item = tally->items->count - 1;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (all[mid].offset <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < tally->stretch_count)
		end = all[low].offset;
	if (low > 0 && offset - all[low - 1].offset < all[low - 1].len) {
		const struct stretch *here = &all[low - 1];

		item = here->item;
		if (here->offset + here->len < end)
			end = here->offset + here->len;
	}
	*left = *left < end - offset ? *left : end - offset;
	return item;
}

static enum ota_code count_bytes(void *ctx, struct ota_bytes data, struct ota_error *err)
{
	uint64_t *count = ctx;

	(void)err;
	*count += data.len;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code measure(
	struct ota_bytes data, int level, uint64_t *len, struct ota_error *err)
{
	OTA_AUTO(ota_deflate_fini) struct ota_deflate deflate = { 0 };
	struct ota_deflate_options options = { level, REPORT_WINDOW_LOG, 0, data.len };
	uint64_t count = 0;
	enum ota_code rc = ota_deflate_init(
		&deflate, &options, (struct ota_stage){ &count, count_bytes }, err);

	if (rc == OTA_OK)
		rc = ota_deflate_feed(&deflate, data, err);
	if (rc == OTA_OK)
		rc = ota_deflate_finish(&deflate, err);
	if (rc == OTA_OK)
		*len = count < data.len ? count : data.len;
	return rc;
}

/* Weigh what an item took of a column, and put it with the others'. */
static OTA_CHECKED enum ota_code close_column(
	struct ota_tally *tally, struct visit *visit, unsigned column)
{
	struct ota_buf *piece = &visit->segment.columns[column];
	uint64_t weight;
	enum ota_code rc;

	if (piece->len == 0)
		return OTA_OK;
	rc = measure(ota_buf_bytes(piece), WEIGH_LEVEL, &weight, NULL);
	if (rc == OTA_OK)
		rc = ota_buf_add(&tally->all[column], ota_buf_bytes(piece));
	if (rc == OTA_OK)
		tally->rows[visit->item].weights[column] += weight;
	piece->len = 0;
	return rc;
}

static OTA_CHECKED enum ota_code close_visit(struct ota_tally *tally, struct visit *visit)
{
	struct row *row = &tally->rows[visit->item];
	const struct ota_buf *columns = visit->segment.columns;
	uint64_t wrong = columns[OTA_SEGMENT_DIFFERENCES].len;
	uint64_t extra = columns[OTA_SEGMENT_EXTRA].len;
	enum ota_code rc = OTA_OK;

	row->wrong_len += wrong;
	row->extra_len += extra;
	row->right_len += visit->segment.to_len - wrong - extra;
	visit->segment.to_len = 0;
	for (unsigned i = 0; i < OTA_SEGMENT_COLUMN_COUNT && rc == OTA_OK; i++)
		rc = close_column(tally, visit, i);
	return rc;
}

/* Go to the item that has an offset. */
static OTA_CHECKED enum ota_code visit_at(
	struct ota_tally *tally, struct visit *visit, uint64_t offset, uint64_t *left)
{
	uint32_t item = item_at(tally, offset, left);
	enum ota_code rc = OTA_OK;

	if (item != visit->item || visit->segment.to_len > VISIT_MAX ||
		ota_segment_out_len(&visit->segment) > PIECE_MAX)
		rc = close_visit(tally, visit);
	visit->item = item;
	if (offset < tally->rows[item].offset)
		tally->rows[item].offset = offset;
	return rc;
}

enum ota_code ota_tally_tables(struct ota_tally *tally, struct ota_bytes tables)
{
	return tally == NULL ? OTA_OK : ota_buf_add(&tally->all[TABLES], tables);
}

void ota_tally_cover(struct ota_tally *tally, const struct ota_cover *cover)
{
	uint64_t left = cover->len;
	struct row *row;

	if (tally == NULL)
		return;
	row = &tally->rows[item_at(tally, cover->to, &left)];
	row->covers++;
	row->weights[TABLES]++;
}

enum ota_code ota_tally_guess(struct ota_tally *tally, const struct ota_guess *guess,
	const struct ota_guess *answer)
{
	struct visit *visit;
	uint64_t left = 1;
	enum ota_code rc;

	if (tally == NULL)
		return OTA_OK;
	visit = &tally->guesses;
	rc = visit_at(tally, visit, guess->to, &left);
	if (rc != OTA_OK)
		return rc;
	if (answer->plain || answer->target != guess->target)
		tally->rows[visit->item].fixes++;
	return ota_segment_out_guess(&visit->segment, guess, answer);
}

enum ota_code ota_tally_covered(
	struct ota_tally *tally, uint64_t to, const uint8_t *laid, uint32_t len)
{
	enum ota_code rc = OTA_OK;

	while (tally != NULL && len > 0 && rc == OTA_OK) {
		uint64_t left = len;

		rc = visit_at(tally, &tally->content, to, &left);
		if (rc == OTA_OK)
			rc = ota_segment_out_covered(&tally->content.segment, laid,
				tally->items->image.at + to, (uint32_t)left);
		to += left;
		laid += left;
		len -= (uint32_t)left;
	}
	return rc;
}

enum ota_code ota_tally_extra(struct ota_tally *tally, uint64_t to, uint64_t len)
{
	enum ota_code rc = OTA_OK;

	while (tally != NULL && len > 0 && rc == OTA_OK) {
		uint64_t left = len < PIECE_MAX ? len : PIECE_MAX;
		struct ota_bytes extra = { tally->items->image.at + to, 0 };

		rc = visit_at(tally, &tally->content, to, &left);
		extra.len = (size_t)left;
		if (rc == OTA_OK)
			rc = ota_segment_out_extra(&tally->content.segment, extra);
		to += left;
		len -= left;
	}
	return rc;
}

/* What each kind of content has of the patch. */
struct prices {
	double kinds[KIND_COUNT];      /* bytes of the patch */
	double per_weight[KIND_COUNT]; /* the same for each unit of weight */
};

static OTA_CHECKED enum ota_code find_prices(struct ota_tally *tally, uint64_t patch_len,
	struct prices *prices, struct ota_error *err)
{
	uint64_t lens[KIND_COUNT] = { 0 }, weights[KIND_COUNT] = { 0 }, sum = 0;
	enum ota_code rc = OTA_OK;

	for (unsigned i = 0; i < KIND_COUNT && rc == OTA_OK; i++) {
		if (tally->all[i].len > 0)
			rc = measure(ota_buf_bytes(&tally->all[i]), REPORT_LEVEL,
				&lens[i], err);
		sum += lens[i];
		for (uint32_t k = 0; k < tally->items->count; k++)
			weights[i] += tally->rows[k].weights[i];
	}
	for (unsigned i = 0; i < KIND_COUNT && rc == OTA_OK; i++) {
		prices->kinds[i] =
			(double)lens[i] * (double)patch_len / (double)(sum > 0 ? sum : 1);
		if (weights[i] > 0)
			prices->per_weight[i] = prices->kinds[i] / (double)weights[i];
	}
	return rc;
}

/* Round so that what was given out so far is never off by a byte. */
static uint64_t next_share(double share, double *sum)
{
	uint64_t before = (uint64_t)(*sum + 0.5);

	*sum += share;
	return (uint64_t)(*sum + 0.5) - before;
}

static void report_parts(const struct prices *prices, const struct ota_explain *explain)
{
	const double *kinds = prices->kinds;
	struct ota_explain_parts parts;
	double sum = 0;

	parts.tables_len = next_share(kinds[TABLES], &sum);
	parts.fixes_len =
		next_share(kinds[OTA_SEGMENT_FIX_RUNS] + kinds[OTA_SEGMENT_FIXES], &sum);
	parts.differences_len =
		next_share(kinds[OTA_SEGMENT_RIGHT_RUNS] + kinds[OTA_SEGMENT_WRONG_RUNS] +
				   kinds[OTA_SEGMENT_DIFFERENCES],
			&sum);
	parts.extra_len = next_share(kinds[OTA_SEGMENT_EXTRA], &sum);
	explain->parts(explain->ctx, &parts);
}

static enum ota_explain_kind kind_of(const struct ota_items *items, uint32_t i)
{
	if (items->count == 1)
		return OTA_EXPLAIN_IMAGE;
	if (i + 1 == items->count)
		return OTA_EXPLAIN_REST;
	return items->at[i].path[0] != '\0' ? OTA_EXPLAIN_FILE : OTA_EXPLAIN_EXECUTABLE;
}

static OTA_CHECKED enum ota_code report_items(const struct ota_tally *tally,
	const struct prices *prices, const struct ota_explain *explain)
{
	double sum = 0;
	enum ota_code rc = OTA_OK;

	for (uint32_t i = 0; i < tally->items->count && rc == OTA_OK; i++) {
		const struct row *row = &tally->rows[i];
		struct ota_explain_item item = { tally->items->at[i].path,
			kind_of(tally->items, i), row->offset,
			row->right_len + row->wrong_len + row->extra_len, row->right_len,
			row->wrong_len, row->extra_len, row->covers, row->fixes, 0 };
		double share = 0;

		for (unsigned k = 0; k < KIND_COUNT; k++)
			share += (double)row->weights[k] * prices->per_weight[k];
		item.patch_len = next_share(share, &sum);
		if (share > 0)
			rc = explain->item(explain->ctx, &item);
	}
	return rc;
}

enum ota_code ota_tally_report(struct ota_tally *tally, uint64_t patch_len,
	const struct ota_explain *explain, struct ota_error *err)
{
	struct prices prices = { 0 };
	enum ota_code rc = OTA_OK;

	if (tally == NULL)
		return OTA_OK;
	rc = close_visit(tally, &tally->guesses);
	if (rc == OTA_OK)
		rc = close_visit(tally, &tally->content);
	if (rc == OTA_OK)
		rc = find_prices(tally, patch_len, &prices, err);
	if (rc == OTA_OK) {
		report_parts(&prices, explain);
		rc = report_items(tally, &prices, explain);
	}
	return rc == OTA_OK ? rc : ota_fail(err, rc, "no memory to explain the patch");
}
