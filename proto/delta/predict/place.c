#include "proto/delta/predict/place.h"

uint64_t ota_cursor_to(struct ota_cursor *walk, uint64_t offset, uint64_t *left)
{
	const struct ota_extent *extents = walk->item->extents;

	if (offset < walk->begin)
		*walk = (struct ota_cursor){ .item = walk->item };
	while (offset - walk->begin >= extents[walk->extent].len)
		walk->begin += extents[walk->extent++].len;
	*left = extents[walk->extent].len - (offset - walk->begin);
	if (extents[walk->extent].offset == OTA_HOLE)
		return OTA_HOLE;
	return extents[walk->extent].offset + (offset - walk->begin);
}

enum ota_code ota_place_runs(const struct ota_item *from, const struct ota_item *to,
	const struct ota_runs *runs, struct ota_runs *out)
{
	struct ota_cursor from_walk = { .item = from }, to_walk = { .item = to };

	for (size_t i = 0; i < runs->count; i++) {
		struct ota_run run = runs->at[i];

		while (run.len > 0) {
			uint64_t from_left, to_left;
			struct ota_run piece = {
				.to = ota_cursor_to(&to_walk, run.to, &to_left),
				.from = ota_cursor_to(&from_walk, run.from, &from_left),
			};
			enum ota_code rc = OTA_OK;

			piece.len = run.len < to_left ? run.len : to_left;
			piece.len = piece.len < from_left ? piece.len : from_left;
			if (piece.to != OTA_HOLE && piece.from != OTA_HOLE)
				rc = ota_runs_add(out, &piece);
			if (rc != OTA_OK)
				return rc;
			run.to += piece.len;
			run.from += piece.len;
			run.len -= piece.len;
		}
	}
	return OTA_OK;
}
