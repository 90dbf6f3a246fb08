#include "proto/delta/predict/rest.h"

#include <stdlib.h>

#include "proto/base/own.h"

enum {
	PIECE_MIN = 16,      /* bytes; less is left alone */
	MARGIN = 16,         /* bytes around an unused piece that are searched too */
	BUNDLE_MAX = 8 << 20 /* bytes aligned at once */
};

/* Pieces of one content put together. */
struct bundle {
	struct ota_buf bytes;   /* owned */
	struct ota_runs pieces; /* owned; to: offset here, from: where it stands */
};

static void bundle_fini(struct bundle *bundle)
{
	ota_buf_fini(&bundle->bytes);
	ota_runs_fini(&bundle->pieces);
}

static OTA_CHECKED enum ota_code bundle_add(
	struct bundle *bundle, struct ota_bytes content, size_t at, size_t len)
{
	struct ota_run piece = { bundle->bytes.len, at, len };
	enum ota_code rc =
		ota_buf_add(&bundle->bytes, (struct ota_bytes){ content.at + at, len });

	return rc == OTA_OK ? ota_runs_add(&bundle->pieces, &piece) : rc;
}

/* Note a piece [begin, end) that is left over, if it is worth it. */
static OTA_CHECKED enum ota_code note(struct ota_runs *pieces, size_t begin, size_t end)
{
	struct ota_run piece = { begin, 0, end - begin };

	if (end < begin + PIECE_MIN)
		return OTA_OK;
	return ota_runs_add(pieces, &piece);
}

/* What of todo the runs leave open. */
static OTA_CHECKED enum ota_code find_open(
	const struct ota_runs *runs, const struct ota_runs *todo, struct ota_runs *open)
{
	enum ota_code rc = OTA_OK;
	size_t i = 0;

	for (size_t k = 0; k < todo->count && rc == OTA_OK; k++) {
		size_t at = todo->at[k].to, end = at + todo->at[k].len;

		for (; i < runs->count && runs->at[i].to < end && rc == OTA_OK; i++) {
			rc = note(open, at, runs->at[i].to);
			at = runs->at[i].to + runs->at[i].len;
		}
		if (rc == OTA_OK)
			rc = note(open, at, end);
	}
	return rc;
}

static int by_from(const void *a, const void *b)
{
	const struct ota_run *one = a, *other = b;

	return (one->from > other->from) - (one->from < other->from);
}

/* Which of `len` old bytes no run uses. */
static OTA_CHECKED enum ota_code find_unused(
	const struct ota_runs *runs, size_t len, struct ota_runs *unused)
{
	ota_autofree struct ota_run *sorted = calloc(runs->count + 1, sizeof *sorted);
	enum ota_code rc = OTA_OK;
	size_t at = 0;

	if (sorted == NULL)
		return OTA_E_NOMEM;
	for (size_t i = 0; i < runs->count; i++)
		sorted[i] = runs->at[i];
	qsort(sorted, runs->count, sizeof *sorted, by_from);
	for (size_t i = 0; i < runs->count && rc == OTA_OK; i++) {
		size_t end = sorted[i].from + sorted[i].len;

		if (sorted[i].from > at)
			rc = note(unused, at, sorted[i].from);
		at = end > at ? end : at;
	}
	return rc == OTA_OK ? note(unused, at, len) : rc;
}

/* Where the pieces that are put into bundles come from, and how far that is. */
struct supply {
	struct ota_bytes content;
	struct ota_runs pieces; /* owned */
	size_t next;            /* the piece */
	size_t done;            /* of it, bytes */
};

static void supply_fini(struct supply *supply)
{
	ota_runs_fini(&supply->pieces);
}

/* Put pieces, with a margin around each, into a bundle until it is full. */
static OTA_CHECKED enum ota_code draw(
	struct supply *supply, size_t margin, struct bundle *out)
{
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && supply->next < supply->pieces.count &&
		out->bytes.len < BUNDLE_MAX) {
		struct ota_run piece = supply->pieces.at[supply->next];
		size_t at = piece.to + supply->done, end = piece.to + piece.len;
		size_t room = BUNDLE_MAX - out->bytes.len;

		at -= at < margin ? at : margin;
		end += supply->content.len - end < margin ? 0 : margin;
		if (end - at > room) {
			supply->done = at + room - piece.to;
			end = at + room;
		} else {
			supply->next++;
			supply->done = 0;
		}
		rc = bundle_add(out, supply->content, at, end - at);
	}
	return rc;
}

/* The old pieces for a bundle of new ones that begins at `to`: those from somewhat before
 * the one that stands in proportion, so that two bundles' worth is never in order only.
 */
static void rewind_to(struct supply *from, size_t to, size_t to_len)
{
	uint64_t total = 0, wanted, sum = 0;

	for (size_t i = 0; i < from->pieces.count; i++)
		total += from->pieces.at[i].len;
	from->next = 0;
	from->done = 0;
	if (total <= BUNDLE_MAX)
		return;
	wanted = (uint64_t)((double)to / (double)to_len * (double)total);
	wanted -= wanted < BUNDLE_MAX / 4 ? wanted : BUNDLE_MAX / 4;
	wanted = wanted > total - BUNDLE_MAX ? total - BUNDLE_MAX : wanted;
	while (sum + from->pieces.at[from->next].len <= wanted)
		sum += from->pieces.at[from->next++].len;
	from->done = (size_t)(wanted - sum);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The piece that holds offset `at` of a bundle. */
static const struct ota_run *piece_of(const struct bundle *bundle, size_t at)
{
	size_t low = 0, high = bundle->pieces.count;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (bundle->pieces.at[mid].to <= at)
			low = mid;
		else
			high = mid;
	}
	return &bundle->pieces.at[low];
}

/* Put a run between bundles in terms of the contents, cut where a piece ends. */
static OTA_CHECKED enum ota_code put_back(const struct bundle *from,
	const struct bundle *to, struct ota_run run, struct ota_runs *out)
{
	enum ota_code rc = OTA_OK;

	while (run.len > 0 && rc == OTA_OK) {
		const struct ota_run *a = piece_of(to, run.to);
		const struct ota_run *b = piece_of(from, run.from);
		size_t len = least(run.len,
			least(a->to + a->len - run.to, b->to + b->len - run.from));
		struct ota_run part = { a->from + (run.to - a->to),
			b->from + (run.from - b->to), len };

		if (len >= PIECE_MIN / 2)
			rc = ota_runs_add(out, &part);
		run.to += len;
		run.from += len;
		run.len -= len;
	}
	return rc;
}

/* Align the next bundle of new pieces. */
static OTA_CHECKED enum ota_code align_next(struct supply *from, struct supply *to,
	const struct ota_progress *progress, struct ota_runs *out)
{
	OTA_AUTO(bundle_fini) struct bundle new = { 0 };
	OTA_AUTO(bundle_fini) struct bundle old = { 0 };
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };
	enum ota_code rc;

	rewind_to(from, to->pieces.at[to->next].to + to->done, to->content.len);
	rc = draw(to, 0, &new);
	if (rc == OTA_OK)
		rc = draw(from, MARGIN, &old);
	if (rc == OTA_OK)
		rc = ota_align(ota_buf_bytes(&old.bytes), ota_buf_bytes(&new.bytes),
			progress, &runs);
	for (size_t i = 0; i < runs.count && rc == OTA_OK; i++)
		rc = put_back(&old, &new, runs.at[i], out);
	return rc;
}

/* Merge two lists of runs that do not overlap. */
static OTA_CHECKED enum ota_code merge(struct ota_runs *runs, const struct ota_runs *more)
{
	struct ota_runs all = { 0 };
	enum ota_code rc = OTA_OK;
	size_t a = 0, b = 0;

	while (rc == OTA_OK && (a < runs->count || b < more->count)) {
		bool is_old = b == more->count ||
			      (a < runs->count && runs->at[a].to < more->at[b].to);

		rc = ota_runs_add(&all, is_old ? &runs->at[a++] : &more->at[b++]);
	}
	ota_runs_fini(rc == OTA_OK ? runs : &all);
	if (rc == OTA_OK)
		*runs = all;
	return rc;
}

/* The progress of the whole, which stands at its end. */
struct waiting {
	const struct ota_progress *progress; /* borrowed */
	uint64_t total;                      /* bytes of the whole */
};

/* All was matched once; only whether to go on is asked. */
static bool still(void *ctx, uint64_t done, uint64_t total)
{
	const struct waiting *waiting = ctx;

	(void)done;
	(void)total; /* of the piece at hand */
	return waiting->progress->tick(
		waiting->progress->ctx, waiting->total, waiting->total);
}

enum ota_code ota_match_rest(struct ota_runs *runs, const struct ota_pair_of_bytes *pair,
	const struct ota_runs *todo, const struct ota_progress *progress)
{
	OTA_AUTO(supply_fini) struct supply to = { .content = pair->to };
	OTA_AUTO(supply_fini) struct supply from = { .content = pair->from };
	OTA_AUTO(ota_runs_fini) struct ota_runs found = { 0 };
	struct waiting waiting = { progress, pair->to.len };
	struct ota_progress wait = { &waiting, still };
	enum ota_code rc = find_open(runs, todo, &to.pieces);

	if (progress == NULL || progress->tick == NULL)
		wait.tick = NULL;
	if (rc == OTA_OK)
		rc = find_unused(runs, pair->from.len, &from.pieces);
	while (rc == OTA_OK && from.pieces.count > 0 && to.next < to.pieces.count)
		rc = align_next(&from, &to, &wait, &found);
	return rc == OTA_OK ? merge(runs, &found) : rc;
}
