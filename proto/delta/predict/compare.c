#include "proto/delta/predict/compare.h"

#include <stdlib.h>

#include "proto/base/own.h"

enum { ALIGN_MAX = 64 << 20 /* bytes of an item that get a suffix array */ };

/* Two items, in one piece each. */
struct couple {
	struct ota_loaded from, to;
};

static void couple_fini(struct couple *couple)
{
	ota_loaded_fini(&couple->from);
	ota_loaded_fini(&couple->to);
}

static enum ota_code load(const struct ota_comparison *comparison, struct couple *couple)
{
	enum ota_code rc =
		ota_item_load(comparison->from_image, comparison->from, &couple->from);

	return rc == OTA_OK
		       ? ota_item_load(comparison->to_image, comparison->to, &couple->to)
		       : rc;
}

static struct ota_bytes bytes_of(const struct ota_loaded *loaded)
{
	return (struct ota_bytes){ loaded->at, (size_t)loaded->item->len };
}

/* Align copies in which references are masked. */
static enum ota_code align_masked(const struct ota_progress *progress,
	const struct couple *couple, struct ota_runs *runs)
{
	ota_autofree uint8_t *from = malloc((size_t)couple->from.item->len + 1);
	ota_autofree uint8_t *to = malloc((size_t)couple->to.item->len + 1);
	enum ota_code rc;

	if (from == NULL || to == NULL)
		return OTA_E_NOMEM;
	rc = ota_item_mask(&couple->from, from);
	if (rc == OTA_OK)
		rc = ota_item_mask(&couple->to, to);
	if (rc == OTA_OK)
		rc = ota_align((struct ota_bytes){ from, (size_t)couple->from.item->len },
			(struct ota_bytes){ to, (size_t)couple->to.item->len }, progress,
			runs);
	return rc;
}

static enum ota_code align(const struct ota_progress *progress,
	const struct couple *couple, struct ota_runs *runs)
{
	if (couple->from.item->len > ALIGN_MAX || couple->to.item->len > ALIGN_MAX)
		return OTA_OK; /* left to the search in the whole image */
	if (couple->from.part_count > 0 && couple->to.part_count > 0)
		return align_masked(progress, couple, runs);
	return ota_align(bytes_of(&couple->from), bytes_of(&couple->to), progress, runs);
}

enum ota_code ota_compare(struct ota_comparison *comparison)
{
	OTA_AUTO(couple_fini) struct couple couple = { 0 };
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };
	const struct ota_item *from = comparison->from, *to = comparison->to;
	enum ota_code rc = load(comparison, &couple);

	if (rc != OTA_OK)
		return rc;
	if (ota_bytes_equal(bytes_of(&couple.from), bytes_of(&couple.to))) {
		rc = ota_runs_add(&runs, &(struct ota_run){ 0, 0, to->len });
		return rc == OTA_OK ? ota_place_runs(from, to, &runs, &comparison->runs)
				    : rc;
	}
	rc = ota_item_parse(&couple.from);
	if (rc == OTA_OK)
		rc = ota_item_parse(&couple.to);
	if (rc == OTA_OK)
		rc = align(&comparison->progress, &couple, &runs);
	if (rc == OTA_OK)
		rc = ota_place_runs(from, to, &runs, &comparison->runs);
	if (rc == OTA_OK)
		rc = ota_pairs_add(&comparison->pairs, &couple.from, &couple.to, &runs);
	return rc;
}

void ota_comparison_fini(struct ota_comparison *comparison)
{
	ota_runs_fini(&comparison->runs);
	ota_pairs_fini(&comparison->pairs);
}
