#include "proto/delta/predict/plan.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/delta/predict/compare.h"
#include "proto/delta/predict/couples.h"

enum {
	GAP_MIN = 32,         /* bytes without a source that are worth a search */
	PROSE_MAX = 32 << 20, /* bytes of an image without executables that is one text */
};

/* A plan being made. */
struct work {
	const struct ota_plan_job *job; /* borrowed */
	struct ota_plan *plan;          /* borrowed */
	struct ota_runs runs;           /* between the images, in no order */
	struct ota_pairs pairs;
	atomic_uint_fast64_t done; /* bytes of the new image that were compared */
	atomic_bool cancelled;
};

static void work_fini(struct work *work)
{
	ota_runs_fini(&work->runs);
	ota_pairs_fini(&work->pairs);
}

/* Progress of a part of the work. */
static bool tick(void *ctx, uint64_t done, uint64_t total)
{
	struct work *work = ctx;
	const struct ota_progress *progress = &work->job->progress;
	uint64_t all = atomic_load(&work->done) + done;

	(void)total;
	if (progress->tick != NULL &&
		!progress->tick(progress->ctx,
			all < work->job->to.len ? all : work->job->to.len,
			work->job->to.len))
		atomic_store(&work->cancelled, true);
	return !atomic_load(&work->cancelled);
}

/* The same for workers that may not tell. */
static bool look(void *ctx, uint64_t done, uint64_t total)
{
	const struct work *work = ctx;

	(void)done;
	(void)total;
	return !atomic_load(&work->cancelled);
}

/* All comparisons, for whoever runs them. */
struct comparisons {
	struct work *work;         /* borrowed */
	struct ota_comparison *at; /* owned */
	uint32_t *order;           /* owned: the longest first */
	enum ota_code *rc;         /* owned: how each ended */
	uint32_t count;
};

static void comparisons_fini(struct comparisons *all)
{
	for (uint32_t i = 0; i < all->count; i++)
		ota_comparison_fini(&all->at[i]);
	free(all->at);
	free(all->order);
	free(all->rc);
}

static enum ota_code comparisons_init(struct comparisons *all, const int32_t *partner)
{
	const struct ota_items *from = &all->work->plan->from;
	const struct ota_items *to = &all->work->plan->to;

	all->at = calloc(to->count, sizeof *all->at);
	all->order = calloc(to->count, sizeof *all->order);
	all->rc = calloc(to->count, sizeof *all->rc);
	if (all->at == NULL || all->order == NULL || all->rc == NULL)
		return OTA_E_NOMEM;
	for (uint32_t i = 0; i < to->count; i++) {
		if (partner[i] == OTA_NO_PARTNER || to->at[i].len == 0 ||
			from->at[partner[i]].len == 0)
			continue;
		all->at[all->count++] = (struct ota_comparison){
			.from_image = from,
			.to_image = to,
			.from = &from->at[partner[i]],
			.to = &to->at[i],
		};
	}
	return OTA_OK;
}

/* By falling length, so that no worker is left with a long one at the end. Lengths are
 * counted out by their highest bit. */
static void put_in_order(struct comparisons *all)
{
	uint32_t done = 0;

	for (int bit = 63; bit >= 0; bit--)
		for (uint32_t i = 0; i < all->count; i++)
			if (all->at[i].to->len >> bit == 1)
				all->order[done++] = i;
}

static void run_one(void *arg, uint32_t worker, uint32_t i)
{
	struct comparisons *all = arg;
	struct work *work = all->work;
	struct ota_comparison *one = &all->at[all->order[i]];

	/* Only the calling thread may tell how far it is; the others look at the result.
	 */
	one->progress = (struct ota_progress){ work, worker == 0 ? tick : look };
	all->rc[all->order[i]] = ota_compare(one);
	atomic_fetch_add(&work->done, one->to->len);
	if (!one->progress.tick(work, 0, 0) && all->rc[all->order[i]] == OTA_OK)
		all->rc[all->order[i]] = OTA_E_CANCELLED;
}

static void run_all(const struct ota_crew *crew, struct comparisons *all)
{
	if (crew->run != NULL)
		crew->run(crew->ctx, all->count, run_one, all);
	else
		for (uint32_t i = 0; i < all->count; i++)
			run_one(all, 0, i);
}

static enum ota_code collect(
	struct work *work, struct comparisons *all, struct ota_error *err)
{
	for (uint32_t i = 0; i < all->count; i++) {
		struct ota_comparison *one = &all->at[i];
		enum ota_code rc = all->rc[i];

		for (size_t k = 0; k < one->runs.count && rc == OTA_OK; k++)
			rc = ota_runs_add(&work->runs, &one->runs.at[k]);
		if (rc == OTA_OK)
			rc = ota_pairs_take(&work->pairs, &one->pairs);
		if (rc != OTA_OK)
			return ota_fail(err, rc, "compare '%s': %s", one->to->path,
				ota_code_text(rc));
	}
	return OTA_OK;
}

static enum ota_code compare_all(struct work *work, struct ota_error *err)
{
	OTA_AUTO(comparisons_fini) struct comparisons all = { .work = work };
	ota_autofree int32_t *partner = malloc(work->plan->to.count * sizeof *partner);
	enum ota_code rc;

	if (partner == NULL)
		return OTA_E_NOMEM;
	rc = ota_couples_find(&work->plan->from, &work->plan->to, partner);
	if (rc == OTA_OK)
		rc = comparisons_init(&all, partner);
	if (rc != OTA_OK)
		return rc;
	put_in_order(&all);
	run_all(&work->job->crew, &all);
	return collect(work, &all, err);
}

/* Small files and what an image says of them are alike in their neighbourhood; nothing
 * in them refers to anything. */
static bool is_prose(struct ota_bytes image)
{
	uint64_t offset;

	return image.len <= PROSE_MAX && !ota_object_find(image, 0, &offset);
}

static enum ota_code compare(struct work *work, struct ota_error *err)
{
	const struct ota_plan_job *job = work->job;
	const struct ota_progress progress = { work, tick };
	enum ota_code rc;

	if (!is_prose(job->from) || !is_prose(job->to))
		return compare_all(work, err);
	rc = ota_align(job->from, job->to, &progress, &work->runs);
	atomic_fetch_add(&work->done, job->to.len);
	return rc;
}

static int by_to(const void *a, const void *b)
{
	const struct ota_run *x = a, *y = b;

	return (x->to > y->to) - (x->to < y->to);
}

/* Sort, and join what continues each other. */
static enum ota_code order(struct ota_runs *runs)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs sorted = { 0 };
	enum ota_code rc = OTA_OK;
	struct ota_runs was;

	if (runs->count > 1)
		qsort(runs->at, runs->count, sizeof *runs->at, by_to);
	for (size_t i = 0; i < runs->count && rc == OTA_OK; i++)
		rc = ota_runs_add(&sorted, &runs->at[i]);
	if (rc != OTA_OK)
		return rc;
	was = *runs;
	*runs = sorted;
	sorted = was;
	return OTA_OK;
}

static enum ota_code find_gaps(const struct work *work, struct ota_runs *gaps)
{
	uint64_t end = 0;
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; i < work->runs.count && rc == OTA_OK; i++) {
		const struct ota_run *run = &work->runs.at[i];

		if (run->to - end >= GAP_MIN)
			rc = ota_runs_add(
				gaps, &(struct ota_run){ end, 0, run->to - end });
		end = run->to + run->len;
	}
	if (rc == OTA_OK && work->job->to.len - end >= GAP_MIN)
		rc = ota_runs_add(
			gaps, &(struct ota_run){ end, 0, work->job->to.len - end });
	return rc;
}

/* Look for what has no source yet in the whole old image. */
static enum ota_code fill_gaps(struct work *work)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs gaps = { 0 };
	OTA_AUTO(ota_runs_fini) struct ota_runs found = { 0 };
	const struct ota_progress progress = { work, tick };
	enum ota_code rc = order(&work->runs);

	if (rc == OTA_OK)
		rc = find_gaps(work, &gaps);
	if (rc == OTA_OK && gaps.count > 0)
		rc = ota_match(work->job->from, work->job->to, &gaps, &progress, &found);
	for (size_t i = 0; i < found.count && rc == OTA_OK; i++)
		rc = ota_runs_add(&work->runs, &found.at[i]);
	return rc == OTA_OK ? order(&work->runs) : rc;
}

static enum ota_code make_covers(
	const struct ota_runs *runs, struct ota_tables *tables, struct ota_error *err)
{
	size_t count = 0;
	struct ota_cover *next;

	for (size_t i = 0; i < runs->count; i++)
		count += (size_t)(runs->at[i].len / OTA_COVER_MAX) + 1;
	if (count > OTA_COVERS_MAX)
		return ota_fail(err, OTA_E_LIMIT, "%zu covers", count);
	next = tables->covers = malloc((count + 1) * sizeof *tables->covers);
	if (next == NULL)
		return OTA_E_NOMEM;
	for (size_t i = 0; i < runs->count; i++) {
		struct ota_run run = runs->at[i];

		while (run.len > 0) {
			uint32_t len = run.len < OTA_COVER_MAX ? (uint32_t)run.len
							       : OTA_COVER_MAX;

			*next++ = (struct ota_cover){ run.to, run.from, len, true };
			run.to += len;
			run.from += len;
			run.len -= len;
		}
	}
	tables->cover_count = (uint32_t)(next - tables->covers);
	return OTA_OK;
}

static enum ota_code check_limits(const struct ota_tables *tables, struct ota_error *err)
{
	uint64_t parts = 0;

	for (uint32_t i = 0; i < tables->pair_count; i++) {
		const struct ota_pair *pair = &tables->pairs[i];

		parts += (uint64_t)pair->from_count + pair->to_count +
			 pair->region_count + pair->pin_count;
	}
	if (tables->pair_count > OTA_PAIRS_MAX || parts > OTA_PAIR_PARTS_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "%u executables changed", tables->pair_count);
	return OTA_OK;
}

enum ota_code ota_plan_make(
	const struct ota_plan_job *job, struct ota_plan *out, struct ota_error *err)
{
	OTA_AUTO(ota_plan_fini) struct ota_plan plan = { 0 };
	OTA_AUTO(work_fini) struct work work = { .job = job, .plan = &plan };
	enum ota_code rc = ota_items_find(job->from, &plan.from);

	if (rc == OTA_OK)
		rc = ota_items_find(job->to, &plan.to);
	if (rc == OTA_OK)
		rc = compare(&work, err);
	if (rc == OTA_OK)
		rc = fill_gaps(&work);
	if (rc == OTA_OK)
		rc = make_covers(&work.runs, &plan.tables, err);
	if (rc == OTA_OK)
		rc = ota_pairs_settle(&work.pairs, &plan.tables);
	if (rc == OTA_OK)
		rc = check_limits(&plan.tables, err);
	if (rc != OTA_OK)
		return rc;
	*out = plan;
	plan = (struct ota_plan){ 0 };
	return OTA_OK;
}

void ota_plan_fini(struct ota_plan *plan)
{
	ota_items_fini(&plan->from);
	ota_items_fini(&plan->to);
	ota_tables_fini(&plan->tables);
	*plan = (struct ota_plan){ 0 };
}
