#include "proto/delta/predict/prune.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/lay.h"

enum {
	LAY_MAX = 64 << 10, /* bytes laid out at once */
	SCORE_MIN = 2,      /* fields made right, less those made wrong, that pay */
};

/* What each region is good for. */
struct scores {
	struct ota_bytes to; /* borrowed: the new image */
	int32_t *at;         /* owned: of each region */
	uint32_t *first;     /* owned: of each pair's first region, in at */
};

static void scores_fini(struct scores *scores)
{
	free(scores->at);
	free(scores->first);
}

static enum ota_code scores_init(struct scores *scores, const struct ota_tables *tables)
{
	uint32_t count = 0;

	scores->first = calloc((size_t)tables->pair_count + 1, sizeof *scores->first);
	if (scores->first == NULL)
		return OTA_E_NOMEM;
	for (uint32_t i = 0; i < tables->pair_count; i++) {
		scores->first[i] = count;
		count += tables->pairs[i].region_count;
	}
	scores->at = calloc((size_t)count + 1, sizeof *scores->at);
	return scores->at == NULL ? OTA_E_NOMEM : OTA_OK;
}

static bool is_right(
	const struct scores *scores, const struct ota_guess *guess, const uint8_t *field)
{
	return memcmp(field, scores->to.at + guess->to, guess->form->len) == 0;
}

/* The port of ota_lay: every guess is taken as it is. */
static enum ota_code score(void *ctx, struct ota_guess *guess, struct ota_error *err)
{
	struct scores *scores = ctx;
	int32_t *at = &scores->at[scores->first[guess->pair] + guess->region];
	uint8_t field[OTA_REF_FIELD_MAX];

	(void)err;
	memcpy(field, guess->field, guess->form->len);
	(void)guess->form->write(field, &guess->spot, guess->target);
	*at += is_right(scores, guess, field);
	*at -= is_right(scores, guess, guess->field);
	return OTA_OK;
}

static enum ota_code lay_all(
	struct ota_lay *lay, const struct ota_tables *tables, struct ota_error *err)
{
	ota_autofree uint8_t *laid = malloc(LAY_MAX + OTA_REF_FIELD_MAX);
	enum ota_code rc = OTA_OK;

	if (laid == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory to lay out the image");
	for (uint32_t i = 0; i < tables->cover_count; i++) {
		struct ota_lay_part part = { &tables->covers[i], 0, LAY_MAX };
		uint32_t len;

		for (; part.done < part.cover->len && rc == OTA_OK; part.done += len)
			rc = ota_lay_next(lay, &part, laid, &len, err);
		if (rc != OTA_OK)
			return rc;
	}
	return OTA_OK;
}

static void drop_regions(struct ota_pair *pair, const int32_t *scores)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < pair->region_count; i++)
		if (scores[i] >= SCORE_MIN)
			pair->regions[kept++] = pair->regions[i];
	pair->region_count = kept;
}

/* A pair without regions says nothing. */
static void drop(struct ota_tables *tables, const struct scores *scores)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < tables->pair_count; i++) {
		struct ota_pair pair = tables->pairs[i];

		drop_regions(&pair, scores->at + scores->first[i]);
		if (pair.region_count > 0)
			tables->pairs[kept++] = pair;
		else
			ota_pair_fini(tables->heap, &pair);
	}
	tables->pair_count = kept;
}

enum ota_code ota_regions_prune(struct ota_tables *tables, const struct ota_source *from,
	struct ota_bytes to, struct ota_error *err)
{
	OTA_AUTO(scores_fini) struct scores scores = { .to = to };
	OTA_AUTO(ota_heap_fini) struct ota_heap heap = { .max = UINT64_MAX };
	const struct ota_fix fix = { &scores, score };
	struct ota_lay *lay = NULL;
	enum ota_code rc = scores_init(&scores, tables);

	if (rc == OTA_OK)
		rc = ota_lay_new(tables, from, &fix, &heap, &lay);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "no memory to lay out the image");
	rc = lay_all(lay, tables, err);
	ota_lay_free(lay);
	if (rc == OTA_OK)
		drop(tables, &scores);
	return rc;
}
