#include "proto/delta/predict/ways.h"

#include <stddef.h>
#include <string.h>

enum {
	LONG = 128,  /* bytes of a cover that is no chance */
	FAR = 16384, /* bytes between ways that have nothing in common */
};

static void make_newest(struct ota_ways *ways, uint32_t place, uint64_t way)
{
	memmove(ways->recent + 1, ways->recent, place * sizeof ways->recent[0]);
	ways->recent[0] = way;
}

/* The number of a way, or OTA_WAYS. */
static uint32_t number_of(const struct ota_ways *ways, uint64_t way)
{
	uint32_t i = 0;

	while (i < OTA_WAYS && ways->recent[i] != way)
		i++;
	return i;
}

bool ota_ways_take(struct ota_ways *ways, uint32_t number, uint64_t *way)
{
	uint64_t taken = ways->recent[number];

	if (number_of(ways, taken) != number)
		return false;
	make_newest(ways, number, taken);
	*way = taken;
	return true;
}

bool ota_ways_add(struct ota_ways *ways, int64_t step, uint64_t *way)
{
	uint64_t made = ways->recent[0] + (uint64_t)step;

	if (number_of(ways, made) < OTA_WAYS)
		return false;
	make_newest(ways, OTA_WAYS - 1, made);
	*way = made;
	return true;
}

uint32_t ota_ways_put(struct ota_ways *ways, uint64_t way, int64_t *step)
{
	uint32_t number = number_of(ways, way);

	if (number < OTA_WAYS) {
		make_newest(ways, number, way);
		return number + 1;
	}
	if (step != NULL)
		*step = (int64_t)(way - ways->recent[0]);
	make_newest(ways, OTA_WAYS - 1, way);
	return 0;
}

static bool are_alike(const struct ota_cover *a, const struct ota_cover *b)
{
	uint64_t apart = (a->to - a->from) - (b->to - b->from);

	return apart + FAR < 2 * (uint64_t)FAR;
}

void ota_covers_doubt(struct ota_cover *covers, uint32_t count)
{
	const struct ota_cover *before = NULL;
	uint32_t next = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct ota_cover *cover = &covers[i];

		cover->maps = cover->len >= LONG;
		if (cover->maps) {
			before = cover;
			continue;
		}
		while (next < count && (next <= i || covers[next].len < LONG))
			next++;
		cover->maps = (before != NULL && are_alike(cover, before)) ||
			      (next < count && are_alike(cover, &covers[next])) ||
			      (before == NULL && next == count);
	}
}
